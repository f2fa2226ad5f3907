// SPDX-License-Identifier: GPL-2.0-or-later
// The real firmware and real device kernels on the device core.
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "gmemu_std_kernels.h"
#include "device_rig.h"
#include "test_args.h"

TEST_CASE("firmware boots and shakes hands", "[core]")
{
    Device d(3);

    CHECK(d.read(GMEMU_REG_FW_VERSION) == 0x00010000);
    gmemu_msg ping = {};
    ping.type = GMEMU_MSG_PING;
    const gmemu_msg ack = d.call(ping);
    CHECK(ack.u.ack.status == GMEMU_FW_OK);
    CHECK(ack.u.ack.cores == 3);
    CHECK(d.log().find("gmemu management firmware") != std::string::npos);
}

TEST_CASE("work-groups of a dispatch run once each", "[core]")
{
    Device d;
    Rig::Queue queue(d, 0);
    constexpr uint32_t groups = 100;
    auto *records = d.allocate_array<record>(groups);

    queue.launch(d.tests.at("record_wg"), record_args{d.on_device(records)}, 995, 10);
    REQUIRE(queue.wait());
    uint64_t items = 0;
    for (uint32_t n = 0; n < groups; n++) {
        CHECK(records[n].runs == 1);
        CHECK(records[n].flat == n);
        CHECK(records[n].id[0] == n);
        CHECK(records[n].num_harts == 4);
        items += records[n].items;
    }
    CHECK(items == 995);
    CHECK(d.faults() > 0);
    CHECK(queue.signal()->end_ts > queue.signal()->start_ts);
    CHECK(d.violations() == 0);
}

TEST_CASE("saxpy through demand faults", "[core]")
{
    Device d;
    Rig::Queue queue(d, 5);
    constexpr uint32_t n = 200'000;
    auto *x = d.allocate_array<float>(n);
    auto *y = d.allocate_array<float>(n);

    for (uint32_t i = 0; i < n; i++) {
        x[i] = static_cast<float>(i) * 1.37f;
        y[i] = static_cast<float>(i) / 3.0f;
    }
    std::vector<float> expected(n);
    for (uint32_t i = 0; i < n; i++)
        expected[i] = std::fma(2.5f, x[i], y[i]);
    queue.launch(d.standard.at("saxpy"), gmemu_saxpy_args{d.on_device(x), d.on_device(y), 2.5f, 0}, n, 4096);
    REQUIRE(queue.wait());
    CHECK(std::memcmp(y, expected.data(), n * sizeof(float)) == 0);
    CHECK(d.faults() >= 2 * n * sizeof(float) / Rig::page_size);
    CHECK(d.violations() == 0);
}

TEST_CASE("copy and fill of odd sizes", "[core]")
{
    Device d;
    Rig::Queue queue(d, 1);
    constexpr size_t bytes = 1'000'003;
    auto *source = d.allocate_array<uint8_t>(bytes + 64);
    auto *target = d.allocate_array<uint8_t>(bytes + 64);

    std::iota(source, source + bytes + 64, uint8_t{1});
    std::memset(target, 0xee, bytes + 64);
    queue.copy(target + 5, source + 3, bytes);
    REQUIRE(queue.wait());
    CHECK(std::memcmp(target + 5, source + 3, bytes) == 0);
    CHECK(target[4] == 0xee);
    CHECK(target[5 + bytes] == 0xee);

    auto *words = d.allocate_array<uint64_t>(50'000);
    queue.fill(words + 1, 0x1234, 49'998 * 8);
    REQUIRE(queue.wait());
    CHECK(words[0] == 0);
    CHECK(words[1] == 0x1234);
    CHECK(words[49'998] == 0x1234);
    CHECK(words[49'999] == 0);
}

TEST_CASE("a cancelled fault is the queue's error, other queues go on", "[core]")
{
    Device d;
    Rig::Queue bad(d, 0), good(d, 1);
    auto *page = d.allocate_array<uint64_t>(512);
    auto *word = d.allocate_array<uint64_t>(1);

    d.forbid(d.va(page), GMEMU_REASON_PERM);
    bad.launch(d.tests.at("store_at"), access_args{d.on_device(page + 2), nullptr, 1}, 1);
    const auto error = d.wait_error(0);
    REQUIRE(error);
    CHECK(error->u.queue_error.code == GMEMU_QERR_MEMORY_FAULT);
    CHECK(error->u.queue_error.va == d.va(page + 2));
    CHECK(error->u.queue_error.access == GMEMU_ACCESS_WRITE);
    CHECK(error->u.queue_error.reason == GMEMU_REASON_PERM);
    CHECK(error->u.queue_error.type <= GMEMU_FAULT_PDE);
    CHECK(error->u.queue_error.hart < 4);
    CHECK(error->u.queue_error.packet == 0);
    CHECK(page[2] == 0);

    good.launch(d.tests.at("store_at"), access_args{d.on_device(word), nullptr, 7}, 1);
    REQUIRE(good.wait());
    CHECK(*word == 7);
}

TEST_CASE("a ring that is not there is the queue processor's error", "[core]")
{
    Device d;
    Rig::Queue queue(d, 9);
    gmemu_aql_barrier packet = {};

    packet.header = GMEMU_AQL_BARRIER_AND;
    d.forbid(d.va(queue.signal()), GMEMU_REASON_UNMAPPED);
    queue.submit(&packet);
    const auto error = d.wait_error(9);
    REQUIRE(error);
    CHECK(error->u.queue_error.code == GMEMU_QERR_MEMORY_FAULT);
    CHECK(error->u.queue_error.hart == 0xff);
    CHECK(error->u.queue_error.reason == GMEMU_REASON_UNMAPPED);
    CHECK(error->u.queue_error.va / 64 == d.va(queue.signal()) / 64);
}

TEST_CASE("a hart's fault that is not replayable is the queue's error", "[core]")
{
    Device d;
    Rig::Queue queue(d, 0);
    auto *word = d.allocate_array<uint64_t>(1);

    d.write(GMEMU_REG_FAULT_ENGINES, GMEMU_FAULT_ENGINES_ALL & ~(1u << GMEMU_ENGINE_HART));
    queue.launch(d.tests.at("store_at"), access_args{d.on_device(word), nullptr, 7}, 1);
    const auto error = d.wait_error(0);
    REQUIRE(error);
    CHECK(error->u.queue_error.code == GMEMU_QERR_MEMORY_FAULT);
    CHECK(error->u.queue_error.reason == GMEMU_REASON_NONREPLAYABLE);
    CHECK(error->u.queue_error.hart < 4);
    CHECK(error->u.queue_error.type <= GMEMU_FAULT_PDE);
    // Nothing is mapped before it is asked for, so the first fetch is what fails.
    CHECK(error->u.queue_error.access == GMEMU_ACCESS_EXEC);
    CHECK(error->u.queue_error.va / 4096 == d.tests.at("store_at") / 4096);
    CHECK(*word == 0);
}

TEST_CASE("a queue processor's fault that is not replayable is the queue's error", "[core]")
{
    Device d;
    Rig::Queue queue(d, 9);
    gmemu_aql_barrier packet = {};

    packet.header = GMEMU_AQL_BARRIER_AND;
    d.write(GMEMU_REG_FAULT_ENGINES, GMEMU_FAULT_ENGINES_ALL & ~(1u << GMEMU_ENGINE_QP));
    queue.submit(&packet);
    const auto error = d.wait_error(9);
    REQUIRE(error);
    CHECK(error->u.queue_error.code == GMEMU_QERR_MEMORY_FAULT);
    CHECK(error->u.queue_error.reason == GMEMU_REASON_NONREPLAYABLE);
    CHECK(error->u.queue_error.hart == 0xff);
    CHECK(error->u.queue_error.access == GMEMU_ACCESS_READ);
    CHECK(error->u.queue_error.type <= GMEMU_FAULT_PDE);
}

TEST_CASE("kernels that end badly", "[core]")
{
    struct Case {
        const char *kernel;
        uint32_t code;
    };
    Device d;
    uint32_t id = 0;

    for (const Case &c :
         {Case{"abort_with", GMEMU_QERR_ABORT}, Case{"illegal", GMEMU_QERR_ILLEGAL_INSTRUCTION},
          Case{"breakpoint", GMEMU_QERR_BREAKPOINT}, Case{"misaligned_atomic", GMEMU_QERR_MISALIGNED}}) {
        INFO(c.kernel);
        Rig::Queue queue(d, ++id);
        queue.launch(d.tests.at(c.kernel), code_args{77}, 8);
        const auto error = d.wait_error(id);
        REQUIRE(error);
        CHECK(error->u.queue_error.code == c.code);
        if (c.code == GMEMU_QERR_ABORT)
            CHECK(error->u.queue_error.arg == 77);
        else
            CHECK(error->u.queue_error.pc != 0);
    }
}

TEST_CASE("an endless kernel is destroyed with its queue", "[core]")
{
    Device d;

    for (unsigned round = 0; round < 30; round++) {
        auto *flags = d.allocate_array<uint64_t>(2);
        auto *counter = d.allocate_array<uint64_t>(1);
        {
            Rig::Queue queue(d, round % 3);
            queue.launch(d.tests.at("spin"), spin_args{d.on_device(flags), d.on_device(flags + 1)}, 10);
            while (!__atomic_load_n(flags, __ATOMIC_ACQUIRE))
                std::this_thread::yield();
        }
        Rig::Queue queue(d, 100);
        queue.launch(d.standard.at("atomic_add"), gmemu_atomic_add_args{d.on_device(counter), 1, 1}, 20);
        REQUIRE(queue.wait());
        CHECK(*counter == 20);
    }
}

TEST_CASE("many packets through a small ring", "[core]")
{
    Device d;
    Rig::Queue queue(d, 0, 2);
    auto *counter = d.allocate_array<uint64_t>(1);

    for (unsigned n = 0; n < 500; n++)
        queue.launch(d.standard.at("atomic_add"), gmemu_atomic_add_args{d.on_device(counter), 2, 3}, 5);
    REQUIRE(queue.wait());
    CHECK(*counter == 500 * 2 * 3 * 5);
    CHECK(d.violations() == 0);
}

TEST_CASE("CPU and harts add to one word while its page comes and goes", "[core]")
{
    Device d;
    Rig::Queue queue(d, 0);
    auto *word = d.allocate_array<uint64_t>(512);
    constexpr uint64_t cpu_adds = 100'000;

    queue.launch(d.standard.at("atomic_add"), gmemu_atomic_add_args{d.on_device(word), 1, 50'000}, 16);
    std::thread remapper([&] {
        for (unsigned n = 0; n < 300; n++) {
            d.unmap(d.va(word));
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    });
    for (uint64_t n = 0; n < cpu_adds; n++)
        __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
    remapper.join();
    REQUIRE(queue.wait(std::chrono::seconds(60)));
    CHECK(*word == cpu_adds + 16 * 50'000);
    CHECK(d.violations() == 0);
}

TEST_CASE("a counter goes back and forth between CPU and device", "[core]")
{
    Device d;
    Rig::Queue queue(d, 0);
    auto *ball = d.allocate_array<uint64_t>(1);
    constexpr uint64_t turns = 2000;

    queue.launch(d.standard.at("ping_pong"), gmemu_ping_pong_args{d.on_device(ball), turns, 0}, 1);
    for (uint64_t next = 0; next < turns; next += 2) {
        while (__atomic_load_n(ball, __ATOMIC_ACQUIRE) != next)
            std::this_thread::yield();
        __atomic_fetch_add(ball, 1, __ATOMIC_SEQ_CST);
    }
    REQUIRE(queue.wait());
    CHECK(*ball == turns);
}

TEST_CASE("queues of many kinds at once", "[core]")
{
    Device d;
    std::vector<std::unique_ptr<Rig::Queue>> queues;
    auto *counter = d.allocate_array<uint64_t>(1);

    for (uint32_t n = 0; n < 12; n++)
        queues.push_back(std::make_unique<Rig::Queue>(d, n * 20));
    for (unsigned round = 0; round < 20; round++)
        for (auto &queue : queues)
            queue->launch(d.standard.at("atomic_add"), gmemu_atomic_add_args{d.on_device(counter), 1, 10}, 3);
    for (auto &queue : queues)
        REQUIRE(queue->wait());
    CHECK(*counter == 12 * 20 * 30);
}
