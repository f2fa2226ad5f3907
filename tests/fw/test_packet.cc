// SPDX-License-Identifier: GPL-2.0-or-later
// The rules for packets and how jobs are cut into units.
#include <catch2/catch_test_macros.hpp>

#include <cstring>

#include "job.h"
#include "packet.h"

namespace {

fw::Packet dispatch()
{
    fw::Packet packet = {};

    packet.dispatch.header = GMEMU_AQL_KERNEL_DISPATCH;
    packet.dispatch.setup = 1;
    for (unsigned dim = 0; dim < 3; dim++) {
        packet.dispatch.workgroup_size[dim] = 1;
        packet.dispatch.grid_size[dim] = 1;
    }
    packet.dispatch.kernel_object = 0x1000;
    return packet;
}

fw::Packet agent(uint16_t type, uint64_t dst, uint64_t src, uint64_t bytes)
{
    fw::Packet packet = {};

    packet.agent.header = GMEMU_AQL_AGENT_DISPATCH;
    packet.agent.type = type;
    packet.agent.arg[0] = dst;
    packet.agent.arg[1] = src;
    packet.agent.arg[2] = bytes;
    return packet;
}

constexpr uint64_t scratch = 65536;

template <class Change> uint32_t verdict(fw::Packet packet, Change change)
{
    change(packet);
    return fw::check_packet(packet, scratch);
}

} // namespace

TEST_CASE("kernel dispatch is checked", "[packet]")
{
    using fw::Packet;
    const auto changed = [](auto change) { return verdict(dispatch(), change); };

    CHECK(changed([](Packet &) {}) == 0);
    CHECK(changed([](Packet &p) { p.dispatch.header = GMEMU_AQL_VENDOR; }) == GMEMU_PKT_TYPE);
    CHECK(changed([](Packet &p) { p.dispatch.header = 77; }) == GMEMU_PKT_TYPE);
    CHECK(changed([](Packet &p) { p.dispatch.header |= 0x2000; }) == GMEMU_PKT_RESERVED);
    CHECK(changed([](Packet &p) { p.dispatch.header |= 3 << GMEMU_AQL_ACQUIRE_SHIFT; }) ==
          GMEMU_PKT_RESERVED);
    CHECK(changed([](Packet &p) { p.dispatch.header |= 3 << GMEMU_AQL_RELEASE_SHIFT; }) ==
          GMEMU_PKT_RESERVED);
    CHECK(changed([](Packet &p) { p.dispatch.reserved0 = 1; }) == GMEMU_PKT_RESERVED);
    CHECK(changed([](Packet &p) { p.dispatch.reserved1 = 1; }) == GMEMU_PKT_RESERVED);
    CHECK(changed([](Packet &p) { p.dispatch.group_segment_size = 4; }) == GMEMU_PKT_RESERVED);
    CHECK(changed([](Packet &p) { p.dispatch.setup = 0; }) == GMEMU_PKT_SETUP);
    CHECK(changed([](Packet &p) { p.dispatch.setup = 4; }) == GMEMU_PKT_SETUP);
    CHECK(changed([](Packet &p) { p.dispatch.grid_size[1] = 2; }) == GMEMU_PKT_SETUP);
    CHECK(changed([](Packet &p) { p.dispatch.workgroup_size[0] = 0; }) == GMEMU_PKT_SIZE);
    CHECK(changed([](Packet &p) { p.dispatch.grid_size[2] = 0; }) == GMEMU_PKT_SIZE);
    CHECK(changed([](Packet &p) { p.dispatch.private_segment_size = scratch; }) == 0);
    CHECK(changed([](Packet &p) { p.dispatch.private_segment_size = scratch + 1; }) == GMEMU_PKT_SCRATCH);
    CHECK(changed([](Packet &p) { p.dispatch.kernel_object = 0x1001; }) == GMEMU_PKT_ALIGN);
    CHECK(changed([](Packet &p) { p.dispatch.completion_signal = 0x1004; }) == GMEMU_PKT_ALIGN);
}

TEST_CASE("a grid whose work-groups do not fit 64 bits is refused", "[packet]")
{
    fw::Packet packet = dispatch();

    packet.dispatch.setup = 3;
    packet.dispatch.grid_size[0] = packet.dispatch.grid_size[1] = 0xffffffff;
    CHECK(fw::check_packet(packet, scratch) == 0);
    packet.dispatch.grid_size[2] = 2;
    CHECK(fw::check_packet(packet, scratch) == GMEMU_PKT_SIZE);
}

TEST_CASE("copy and fill are checked", "[packet]")
{
    const auto copy = [](uint64_t dst, uint64_t src, uint64_t bytes) {
        return fw::check_packet(agent(GMEMU_AGENT_COPY, dst, src, bytes), scratch);
    };

    CHECK(copy(0x1001, 0x2003, 5) == 0);
    CHECK(copy(0x1000, 0x2000, 0x1000) == 0);
    CHECK(copy(0x2000, 0x1000, 0x1000) == 0);
    CHECK(copy(0x1000, 0x2000, 0x1001) == GMEMU_PKT_AGENT);
    CHECK(copy(0x2000, 0x1000, 0x1001) == GMEMU_PKT_AGENT);
    CHECK(copy(0x1000, 0x1000, 1) == GMEMU_PKT_AGENT);
    CHECK(copy(0x1000, 0x1000, 0) == 0);
    CHECK(copy(0x1000, 0x2000, uint64_t{1} << 48) == GMEMU_PKT_AGENT);

    const auto fill = [](uint64_t dst, uint64_t bytes) {
        return fw::check_packet(agent(GMEMU_AGENT_FILL, dst, 0x0123456789abcdef, bytes), scratch);
    };
    CHECK(fill(0x1000, 64) == 0);
    CHECK(fill(0x1004, 64) == GMEMU_PKT_ALIGN);
    CHECK(fill(0x1000, 63) == GMEMU_PKT_ALIGN);

    CHECK(fw::check_packet(agent(3, 0, 0, 0), scratch) == GMEMU_PKT_AGENT);
    fw::Packet packet = agent(GMEMU_AGENT_FILL, 0x1000, 0, 8);
    packet.agent.return_address = 8;
    CHECK(fw::check_packet(packet, scratch) == GMEMU_PKT_RESERVED);
}

TEST_CASE("barrier packets are checked", "[packet]")
{
    fw::Packet packet = {};

    packet.barrier.header = GMEMU_AQL_BARRIER_AND;
    CHECK(fw::check_packet(packet, scratch) == 0);
    packet.barrier.dep_signal[4] = 0x1004;
    CHECK(fw::check_packet(packet, scratch) == GMEMU_PKT_ALIGN);
    packet.barrier.dep_signal[4] = 0;
    packet.barrier.reserved2 = 1;
    CHECK(fw::check_packet(packet, scratch) == GMEMU_PKT_RESERVED);
}

TEST_CASE("work-groups are numbered x first", "[job]")
{
    fw::Packet packet = dispatch();

    packet.dispatch.setup = 3;
    packet.dispatch.workgroup_size[0] = 4;
    packet.dispatch.grid_size[0] = 9; // 3 work-groups, the last one partial
    packet.dispatch.grid_size[1] = 2;
    packet.dispatch.grid_size[2] = 2;

    fw::Job job = fw::make_job(packet, 4);
    REQUIRE(job.units == 12);
    for (uint32_t z = 0; z < 2; z++)
        for (uint32_t y = 0; y < 2; y++)
            for (uint32_t x = 0; x < 3; x++) {
                CHECK(job.next == x + 3 * (y + 2 * z));
                CHECK(job.id[0] == x);
                CHECK(job.id[1] == y);
                CHECK(job.id[2] == z);
                fw::advance(job);
            }
    CHECK(job.all_issued());
}

TEST_CASE("a copy is cut into chunks that cover it", "[job]")
{
    for (uint64_t bytes : {uint64_t{1}, uint64_t{65536}, uint64_t{65537}, uint64_t{10} << 20,
                           (uint64_t{10} << 20) + 3, uint64_t{5} << 30}) {
        const fw::Job job = fw::make_job(agent(GMEMU_AGENT_COPY, uint64_t{1} << 40, 0, bytes), 4);
        CHECK(job.chunk >= fw::min_chunk);
        CHECK(job.chunk % fw::min_chunk == 0);
        CHECK(job.units * job.chunk >= bytes);
        CHECK((job.units - 1) * job.chunk < bytes);
        CHECK(job.units <= 17);
    }
    CHECK(fw::make_job(agent(GMEMU_AGENT_COPY, 64, 0, 0), 4).complete());
}
