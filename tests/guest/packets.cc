// SPDX-License-Identifier: GPL-2.0-or-later
// Bad packets, and kernels that end in a way they should not.
#include "device.h"

namespace {

using harness::Test;

gmemu_aql_dispatch good_packet()
{
    gmemu_aql_dispatch packet = {};

    packet.header = GMEMU_AQL_KERNEL_DISPATCH;
    packet.setup = 1;
    for (unsigned dim = 0; dim < 3; dim++)
        packet.workgroup_size[dim] = 1, packet.grid_size[dim] = 1;
    return packet;
}

template <class Packet> void expect_refused(Accelerator &acc, const Packet &packet, uint64_t wrong)
{
    gmemu::Queue queue(acc.context);
    uint64_t index = ~0ull;

    gmemu::check(gmemu_submit_raw(queue.get(), &packet, &index));
    const gmemu_queue_error error = failure_of(queue);
    EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_BAD_PACKET});
    EXPECT_EQUAL(error.arg, wrong);
    EXPECT_EQUAL(error.packet, index);
}

Test bad_dispatch("malformed dispatch packets stop the queue", [] {
    Accelerator acc;
    const auto refused = [&](auto change, uint64_t wrong) {
        gmemu_aql_dispatch packet = good_packet();
        change(packet);
        expect_refused(acc, packet, wrong);
    };

    refused([](auto &p) { p.header = GMEMU_AQL_VENDOR; }, GMEMU_PKT_TYPE);
    refused([](auto &p) { p.header |= 0x8000; }, GMEMU_PKT_RESERVED);
    refused([](auto &p) { p.reserved1 = 1; }, GMEMU_PKT_RESERVED);
    refused([](auto &p) { p.setup = 0; }, GMEMU_PKT_SETUP);
    refused([](auto &p) { p.workgroup_size[0] = 0; }, GMEMU_PKT_SIZE);
    refused([](auto &p) { p.private_segment_size = 1u << 30; }, GMEMU_PKT_SCRATCH);
    refused([](auto &p) { p.kernel_object = 1; }, GMEMU_PKT_ALIGN);
});

Test bad_agent("malformed copy and fill packets stop the queue", [] {
    Accelerator acc;
    gmemu_aql_agent packet = {};

    packet.header = GMEMU_AQL_AGENT_DISPATCH;
    packet.type = 99;
    expect_refused(acc, packet, GMEMU_PKT_AGENT);
    packet.type = GMEMU_AGENT_FILL;
    packet.arg[0] = 4;
    packet.arg[2] = 8;
    expect_refused(acc, packet, GMEMU_PKT_ALIGN);
});

template <class Check> void expect_end(const char *kernel, uint32_t code, Check check)
{
    Accelerator acc;

    acc.start(acc.queue, kernel, code_args{1234});
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.code, code);
    check(error);
    // A stopped queue takes no more work, and says why.
    EXPECT(gmemu_queue_wait_idle(acc.queue.get(), 1'000'000'000) == -EIO);
}

Test abort_code("abort reaches the program with its code", [] {
    expect_end("abort_with", GMEMU_QERR_ABORT, [](const auto &error) { EXPECT_EQUAL(error.arg, 1234u); });
});

Test illegal("an illegal instruction stops the queue", [] {
    expect_end("illegal", GMEMU_QERR_ILLEGAL_INSTRUCTION,
               [](const auto &error) { EXPECT_EQUAL(error.va, error.pc); });
});

Test breakpoint("ebreak stops the queue", [] {
    expect_end("breakpoint", GMEMU_QERR_BREAKPOINT, [](const auto &error) { EXPECT(error.pc != 0); });
});

Test misaligned("a misaligned atomic stops the queue", [] {
    expect_end("misaligned_atomic", GMEMU_QERR_MISALIGNED,
               [](const auto &error) { EXPECT_EQUAL(error.va & 7, 4u); });
});

} // namespace
