// SPDX-License-Identifier: GPL-2.0-or-later
// Peer mode with the real firmware: what harts see of memory that firmware holds.
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "device_rig.h"
#include "gmemu_std_kernels.h"
#include "test_args.h"

namespace {

constexpr uint32_t RW = GMEMU_PEER_R | GMEMU_PEER_W;

struct PeerDevice : Device {
    PeerDevice() : Device(4, Mode::peer) {}
    auto query() { return peer(GMEMU_MSG_PEER_QUERY).u.peer_ack; }
    uint32_t status(gmemu_msg_type type, uint64_t at = 0, uint64_t size = 0, uint32_t prot = 0, uint32_t flags = 0,
                    uint64_t from = 0)
    {
        return peer(type, at, size, prot, flags, from).u.peer_ack.status;
    }
};

} // namespace

TEST_CASE("a device that is no peer says so", "[core][peer]")
{
    Device d(1);

    CHECK(d.peer(GMEMU_MSG_PEER_QUERY).u.peer_ack.status == GMEMU_FW_EPEER);
    CHECK(d.peer(GMEMU_MSG_PEER_CTX_CREATE).u.peer_ack.status == GMEMU_FW_EPEER);
    CHECK(d.read(GMEMU_REG_DRAM_RESERVED, 8) < d.read(GMEMU_REG_DRAM_SIZE, 8));
}

TEST_CASE("a kernel works on memory that firmware holds", "[core][peer]")
{
    PeerDevice d;
    CHECK(d.log().find("peer mode") != std::string::npos);
    constexpr uint32_t n = 200'000;
    constexpr uint64_t pages = (n * sizeof(float) + Rig::page_size - 1) / Rig::page_size;
    auto *x = static_cast<float *>(d.allocate(pages * Rig::page_size));
    auto *y = static_cast<float *>(d.allocate(pages * Rig::page_size));
    {
        Rig::Queue queue(d, 5);

        d.migrate(x, pages * Rig::page_size);
        d.migrate(y, pages * Rig::page_size);
        for (uint32_t i = 0; i < n; i++) {
            x[i] = static_cast<float>(i) * 1.37f;
            y[i] = static_cast<float>(i) / 3.0f;
        }
        const std::vector<float> before(y, y + n);
        std::vector<float> expected(n);
        for (uint32_t i = 0; i < n; i++)
            expected[i] = std::fma(2.5f, x[i], y[i]);
        queue.launch(d.standard.at("saxpy"), gmemu_saxpy_args{d.on_device(x), d.on_device(y), 2.5f, 0}, n, 4096);
        REQUIRE(queue.wait());
        CHECK(d.query().held_pages == 2 * pages);
        // It happened in the device's memory.
        CHECK(std::memcmp(y, before.data(), n * sizeof(float)) == 0);
        CHECK(d.bring_home(y, pages * Rig::page_size) == pages);
        CHECK(std::memcmp(y, expected.data(), n * sizeof(float)) == 0);
        CHECK(d.query().held_pages == pages);
        // The context cannot go while there is a queue.
        CHECK(d.status(GMEMU_MSG_PEER_CTX_DESTROY) == GMEMU_FW_EBUSY);
    }
    REQUIRE(d.status(GMEMU_MSG_PEER_CTX_DESTROY) == GMEMU_FW_OK);
    CHECK(d.status(GMEMU_MSG_PEER_QUERY) == GMEMU_FW_ENOCTX);
    CHECK(d.violations() == 0);
}

TEST_CASE("no add is lost while pages go to the device and come back", "[core][peer]")
{
    PeerDevice d;
    Rig::Queue queue(d, 0);
    auto *word = d.allocate_array<uint64_t>(512);
    constexpr uint64_t adds = 5'000, groups = 16, enough = 10;
    uint64_t launches = 0;

    d.migrate(word, Rig::page_size);
    std::atomic<bool> done{false};
    std::atomic<uint64_t> trips{0}, kept{0};
    std::thread mover([&] {
        for (unsigned n = 0; !done; n++) {
            if (n % 3 == 2)
                kept += d.keep(word, Rig::page_size);
            else
                trips += d.bring_home(word, Rig::page_size);
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    });
    bool complete = true;
    while (complete && (trips < enough || kept < enough)) {
        queue.launch(d.standard.at("atomic_add"), gmemu_atomic_add_args{d.on_device(word), 1, adds}, groups);
        launches++;
        complete = queue.wait(std::chrono::seconds(60));
    }
    done = true;
    mover.join();
    REQUIRE(complete);
    d.bring_home(word, Rig::page_size);
    CHECK(*word == launches * groups * adds);
    CHECK(d.query().held_pages == 0);
    CHECK(d.violations() == 0);
}

TEST_CASE("local DRAM runs out, is refused, and is there again", "[core][peer]")
{
    PeerDevice d;
    constexpr uint64_t piece = GMEMU_PEER_MAX_SIZE;
    const uint64_t first = (Rig::user_va + (32u << 20) + piece - 1) / piece * piece;
    const auto start = d.query();
    uint64_t pieces = 0;

    CHECK(start.total_pages > 3000);
    CHECK(d.status(GMEMU_MSG_PEER_MAP, first, piece + Rig::page_size, RW) == GMEMU_FW_ERANGE);
    CHECK(d.status(GMEMU_MSG_PEER_MAP, first, piece, RW, GMEMU_PEER_COPY, 1ull << 40) == GMEMU_FW_EDMA);
    CHECK(d.query().held_pages == 0);
    uint32_t status;
    while ((status = d.status(GMEMU_MSG_PEER_MAP, first + pieces * piece, piece, RW)) == GMEMU_FW_OK)
        pieces++;
    CHECK(status == GMEMU_FW_ENOMEM);
    CHECK(pieces == start.free_pages / 512);
    CHECK(d.query().held_pages == pieces * 512);
    CHECK(d.status(GMEMU_MSG_PEER_UNMAP, first, piece) == GMEMU_FW_OK);
    CHECK(d.status(GMEMU_MSG_PEER_MAP, first + pieces * piece, piece, RW) == GMEMU_FW_OK);
    CHECK(d.status(GMEMU_MSG_PEER_VA_FREE, first, (pieces + 1) * piece) == GMEMU_FW_OK);
    CHECK(d.query().held_pages == 0);
    CHECK(d.status(GMEMU_MSG_PEER_MAP, first, piece, RW) == GMEMU_FW_ENOVMA);
    CHECK(d.violations() == 0);
}
