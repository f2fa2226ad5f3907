// SPDX-License-Identifier: GPL-2.0-or-later
// The firmware's event loop and packet processor on the fake machine.
#include <catch2/catch_test_macros.hpp>

#include <memory>

#include "fake_machine.h"

namespace {

constexpr uint64_t ring_base = 0x7f0000000000, index_base = 0x7f0000100000, signal_base = 0x7f0000200000,
                   scratch_base = 0x7f0000300000, per_queue = 0x10000;
constexpr uint32_t ring_log2 = 4;

class Bench {
public:
    explicit Bench(uint32_t cores = 4) : machine(cores), fw(std::make_unique<fw::Firmware>())
    {
        REQUIRE(fw->init());
        gmemu_msg hello = message(GMEMU_MSG_HELLO);
        hello.u.hello.contract = (GMEMU_VERSION_MAJOR << 16) | 7;
        CHECK(call(hello) == GMEMU_FW_OK);
    }

    static gmemu_msg message(uint16_t type)
    {
        gmemu_msg result = {};
        result.type = type;
        return result;
    }

    // Send, run, and give the status of the answer; other messages go to `others`.
    uint32_t call(gmemu_msg request)
    {
        request.seq = ++seq;
        machine.host_send(request);
        fw->poll();
        std::optional<uint32_t> status;
        for (const gmemu_msg &answer : machine.host_receive_all()) {
            if (answer.type == GMEMU_MSG_ACK && answer.seq == seq)
                status = answer.u.ack.status;
            else
                others.push_back(answer);
        }
        REQUIRE(status);
        return *status;
    }

    static gmemu_msg create_message(uint32_t queue, uint32_t ctx)
    {
        gmemu_msg create = message(GMEMU_MSG_QUEUE_CREATE);
        create.u.queue_create.queue = queue;
        create.u.queue_create.ctx = ctx;
        create.u.queue_create.ring_va = ring_base + queue * per_queue;
        create.u.queue_create.index_va = index_base + queue * per_queue;
        create.u.queue_create.scratch_va = scratch_base;
        create.u.queue_create.scratch_size = 4096;
        create.u.queue_create.ring_log2 = ring_log2;
        return create;
    }

    void create(uint32_t queue, uint32_t ctx = 1)
    {
        for (unsigned n = 0; n < 1u << ring_log2; n++)
            machine.store<uint16_t>(ring_base + queue * per_queue + n * 64, GMEMU_AQL_INVALID);
        REQUIRE(call(create_message(queue, ctx)) == GMEMU_FW_OK);
    }

    static uint64_t signal(unsigned n) { return signal_base + n * 64; }
    int64_t signal_value(unsigned n) { return machine.load<int64_t>(signal(n)); }
    void set_signal(unsigned n, int64_t value) { machine.store(signal(n), value); }
    uint64_t read_index(uint32_t queue)
    {
        return machine.load<uint64_t>(index_base + queue * per_queue +
                                      offsetof(gmemu_queue_index, read_index));
    }
    static uint64_t packet_va(uint32_t queue, uint64_t index)
    {
        return ring_base + queue * per_queue + (index % (1u << ring_log2)) * 64;
    }
    void submit(uint32_t queue, const void *packet)
    {
        std::array<uint8_t, 64> bytes;
        std::memcpy(bytes.data(), packet, 64);
        machine.store(packet_va(queue, write_index[queue]++), bytes);
        machine.doorbell(queue);
    }
    static gmemu_aql_dispatch dispatch(uint32_t groups, uint64_t signal_va = 0, bool barrier = false)
    {
        gmemu_aql_dispatch packet = {};
        packet.header = static_cast<uint16_t>(GMEMU_AQL_KERNEL_DISPATCH | (barrier ? GMEMU_AQL_BARRIER : 0));
        packet.setup = 1;
        for (unsigned dim = 0; dim < 3; dim++)
            packet.workgroup_size[dim] = 1, packet.grid_size[dim] = 1;
        packet.grid_size[0] = groups;
        packet.kernel_object = 0x400000;
        packet.kernarg_address = 0x500000;
        packet.completion_signal = signal_va;
        return packet;
    }
    void submit_dispatch(uint32_t queue, uint32_t groups, uint64_t signal_va = 0, bool barrier = false)
    {
        const gmemu_aql_dispatch packet = dispatch(groups, signal_va, barrier);
        submit(queue, &packet);
    }
    std::optional<gmemu_msg> received(uint16_t type)
    {
        for (const gmemu_msg &m : machine.host_receive_all())
            others.push_back(m);
        for (auto it = others.begin(); it != others.end(); ++it) {
            if (it->type != type)
                continue;
            const gmemu_msg found = *it;
            others.erase(it);
            return found;
        }
        return {};
    }

    FakeMachine machine;
    std::unique_ptr<fw::Firmware> fw;
    std::vector<gmemu_msg> others;
    std::array<uint64_t, GMEMU_MAX_QUEUES> write_index = {};
    uint32_t seq = 100;
};

} // namespace

TEST_CASE("firmware refuses a device with another contract", "[firmware]")
{
    FakeMachine machine(1);
    auto fw = std::make_unique<fw::Firmware>();

    machine.contract = (GMEMU_VERSION_MAJOR + 1) << 16;
    CHECK_FALSE(fw->init());
    CHECK(machine.fw_status != GMEMU_FW_RUNNING);
    CHECK(machine.console.find("install the firmware") != std::string::npos);
}

TEST_CASE("handshake and bad messages", "[firmware]")
{
    Bench b;
    gmemu_msg hello = Bench::message(GMEMU_MSG_HELLO);

    hello.u.hello.contract = (GMEMU_VERSION_MAJOR + 1) << 16;
    CHECK(b.call(hello) == GMEMU_FW_EVERSION);
    CHECK(b.call(Bench::create_message(0, 1)) == GMEMU_FW_EVERSION);
    hello.u.hello.contract = GMEMU_VERSION_MAJOR << 16;
    CHECK(b.call(hello) == GMEMU_FW_OK);

    CHECK(b.call(Bench::message(GMEMU_MSG_PING)) == GMEMU_FW_OK);
    CHECK(b.call(Bench::message(60)) == GMEMU_FW_EINVAL);

    const auto create = [&](auto change) {
        gmemu_msg m = Bench::create_message(0, 1);
        change(m.u.queue_create);
        return b.call(m);
    };
    CHECK(create([](auto &q) { q.queue = GMEMU_MAX_QUEUES; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &q) { q.ring_va++; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &q) { q.index_va += 8; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &q) { q.scratch_va += 64; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &q) { q.scratch_size = 0; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &q) { q.ring_log2 = 17; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &q) { q.flags = 1; }) == GMEMU_FW_EINVAL);
    CHECK(create([](auto &) {}) == GMEMU_FW_OK);
    CHECK(create([](auto &) {}) == GMEMU_FW_EBUSY);

    gmemu_msg destroy = Bench::message(GMEMU_MSG_QUEUE_DESTROY);
    destroy.u.queue = {0, 2};
    CHECK(b.call(destroy) == GMEMU_FW_ENOENT);
    destroy.u.queue = {0, 1};
    CHECK(b.call(destroy) == GMEMU_FW_OK);
    CHECK(b.call(destroy) == GMEMU_FW_ENOENT);
}

TEST_CASE("a dispatch runs its work-groups over the harts", "[firmware]")
{
    Bench b(3);

    b.create(7);
    b.set_signal(0, 1);
    b.submit_dispatch(7, 10, Bench::signal(0));
    b.fw->poll();
    REQUIRE(b.machine.running() == 3);
    for (unsigned hart = 0; hart < 3; hart++) {
        auto &registers = b.machine.harts[hart].registers;
        CHECK(registers[GMEMU_H_CTX] == 1);
        CHECK(registers[GMEMU_H_QUEUE] == 7);
        CHECK(registers[GMEMU_H_PC] == 0x400000);
        CHECK(registers[GMEMU_H_A0] == 0x500000);
        CHECK(registers[GMEMU_H_A1] == hart);
        CHECK(registers[GMEMU_H_WG_ID(0)] == hart);
        CHECK(registers[GMEMU_H_SP] == scratch_base + (hart + 1) * 4096);
        CHECK(registers[GMEMU_H_GRID(0)] == 10);
        CHECK(registers[GMEMU_H_GRID(2)] == 1);
    }
    CHECK(b.signal_value(0) == 1);
    CHECK(b.read_index(7) == 0);
    CHECK(b.machine.finish_all(*b.fw) == 10);
    CHECK(b.signal_value(0) == 0);
    CHECK(b.read_index(7) == 1);
    CHECK(b.machine.load<uint16_t>(Bench::packet_va(7, 0)) == GMEMU_AQL_INVALID);
    CHECK(b.machine.load<uint64_t>(Bench::signal(0) + offsetof(gmemu_signal, start_ts)) <
          b.machine.load<uint64_t>(Bench::signal(0) + offsetof(gmemu_signal, end_ts)));

    auto completion = b.received(GMEMU_MSG_COMPLETION);
    REQUIRE(completion);
    CHECK(completion->u.queue.queue == 7);
    CHECK(completion->u.queue.ctx == 1);
}

TEST_CASE("the ring wraps and the window limits packets in flight", "[firmware]")
{
    Bench b(2);
    unsigned units = 0;

    b.create(0);
    b.set_signal(0, 100);
    for (unsigned round = 0; round < 100 / 10; round++) {
        for (unsigned n = 0; n < 10; n++)
            b.submit_dispatch(0, 3, Bench::signal(0));
        units += b.machine.finish_all(*b.fw);
    }
    CHECK(units == 300);
    CHECK(b.signal_value(0) == 0);
    CHECK(b.read_index(0) == 100);
}

TEST_CASE("packets without barrier bit overlap and retire in order", "[firmware]")
{
    Bench b(2);

    b.create(0);
    b.set_signal(0, 1);
    b.set_signal(1, 1);
    b.submit_dispatch(0, 1, Bench::signal(0));
    b.submit_dispatch(0, 1, Bench::signal(1));
    b.fw->poll();
    REQUIRE(b.machine.running() == 2);
    b.machine.halt(1);
    b.fw->poll();
    CHECK(b.signal_value(0) == 1);
    CHECK(b.signal_value(1) == 0);
    CHECK(b.read_index(0) == 0);
    b.machine.halt(0);
    b.fw->poll();
    CHECK(b.signal_value(0) == 0);
    CHECK(b.read_index(0) == 2);
}

TEST_CASE("the barrier bit waits for all packets before", "[firmware]")
{
    Bench b(4);

    b.create(0);
    b.submit_dispatch(0, 1);
    b.submit_dispatch(0, 1);
    b.submit_dispatch(0, 1, 0, true);
    b.submit_dispatch(0, 1);
    b.fw->poll();
    CHECK(b.machine.running() == 2);
    b.machine.halt(0);
    b.fw->poll();
    CHECK(b.machine.running() == 1);
    b.machine.halt(1);
    b.fw->poll();
    // The last packet has no barrier bit: it may run beside the third.
    CHECK(b.machine.running() == 2);
    b.machine.finish_all(*b.fw);
    CHECK(b.read_index(0) == 4);
}

TEST_CASE("barrier-and waits for every signal, barrier-or for one", "[firmware]")
{
    for (bool any : {false, true}) {
        Bench b(2);
        gmemu_aql_barrier packet = {};

        b.create(0);
        b.create(1);
        b.set_signal(0, 1);
        b.set_signal(1, 1);
        b.set_signal(2, 1);
        packet.header = any ? GMEMU_AQL_BARRIER_OR : GMEMU_AQL_BARRIER_AND;
        packet.dep_signal[1] = Bench::signal(0);
        packet.dep_signal[4] = Bench::signal(1);
        packet.completion_signal = Bench::signal(2);
        b.submit(0, &packet);
        b.submit_dispatch(0, 1);
        b.fw->poll();
        CHECK(b.machine.running() == 0);

        // A packet of another queue completes to the first signal.
        b.submit_dispatch(1, 1, Bench::signal(0));
        b.fw->poll();
        REQUIRE(b.machine.running() == 1);
        b.machine.halt(b.machine.harts[0].running ? 0 : 1);
        b.fw->poll();
        CHECK(b.signal_value(0) == 0);
        CHECK(b.signal_value(2) == (any ? 0 : 1));

        // The CPU changes the second one and rings any doorbell.
        b.set_signal(1, 0);
        b.machine.doorbell(1);
        b.fw->poll();
        CHECK(b.signal_value(2) == 0);
        b.machine.finish_all(*b.fw);
        CHECK(b.read_index(0) == 2);
    }
}

TEST_CASE("a barrier without signals completes at once", "[firmware]")
{
    for (unsigned type : {GMEMU_AQL_BARRIER_AND, GMEMU_AQL_BARRIER_OR}) {
        Bench b(1);
        gmemu_aql_barrier packet = {};

        b.create(0);
        packet.header = static_cast<uint16_t>(type);
        b.submit(0, &packet);
        b.fw->poll();
        CHECK(b.read_index(0) == 1);
    }
}

TEST_CASE("copy is cut over the harts", "[firmware]")
{
    Bench b(4);
    gmemu_aql_agent packet = {};

    b.create(0);
    packet.header = GMEMU_AQL_AGENT_DISPATCH;
    packet.type = GMEMU_AGENT_COPY;
    packet.arg[0] = 0x10000000;
    packet.arg[1] = 0x20000000;
    packet.arg[2] = 3 * 65536 + 5;
    b.submit(0, &packet);
    b.fw->poll();
    REQUIRE(b.machine.running() == 4);
    for (unsigned n = 0; n < 4; n++) {
        auto &registers = b.machine.harts[n].registers;
        CHECK(registers[GMEMU_H_MODE] == GMEMU_H_MODE_COPY);
        CHECK(registers[GMEMU_H_BLIT_DST] == 0x10000000 + n * 65536);
        CHECK(registers[GMEMU_H_BLIT_SRC] == 0x20000000 + n * 65536);
        CHECK(registers[GMEMU_H_BLIT_LEN] == (n == 3 ? 5 : 65536));
    }
    b.machine.finish_all(*b.fw);
    CHECK(b.read_index(0) == 1);

    packet.type = GMEMU_AGENT_FILL;
    packet.arg[1] = 0x55;
    packet.arg[2] = 65536 + 8;
    b.submit(0, &packet);
    b.fw->poll();
    REQUIRE(b.machine.running() == 2);
    unsigned total = 0;
    for (auto &hart : b.machine.harts) {
        if (!hart.running)
            continue;
        CHECK(hart.registers[GMEMU_H_MODE] == GMEMU_H_MODE_FILL);
        CHECK(hart.registers[GMEMU_H_BLIT_SRC] == 0x55);
        total += static_cast<unsigned>(hart.registers[GMEMU_H_BLIT_LEN]);
    }
    CHECK(total == 65536 + 8);
    b.machine.finish_all(*b.fw);

    packet.arg[2] = 0;
    b.submit(0, &packet);
    CHECK(b.machine.finish_all(*b.fw) == 0);
    CHECK(b.read_index(0) == 3);
}

TEST_CASE("every access of the queue processor can fault and goes on after a replay", "[firmware][fault]")
{
    using State = FakeMachine::Page::State;
    Bench b(1);

    b.create(0);
    b.set_signal(0, 1);
    const uint64_t ring = Bench::packet_va(0, 0), index = index_base;

    b.machine.page(ring).state = State::faults;
    b.machine.page(Bench::signal(0)).state = State::faults;
    b.machine.page(index).state = State::faults;
    b.submit_dispatch(0, 2, Bench::signal(0));
    b.fw->poll();
    CHECK(b.machine.faults == std::vector<uint64_t>{ring});

    // A replay that did not help: the same fault again, no other access before it.
    b.machine.replay();
    b.fw->poll();
    CHECK(b.machine.faults == std::vector<uint64_t>{ring, ring});
    CHECK(b.machine.running() == 0);

    b.machine.page(ring).state = State::present;
    b.machine.replay();
    CHECK(b.machine.finish_all(*b.fw) == 2);
    CHECK(b.machine.faults.size() == 3);
    CHECK(b.machine.faults.back() == Bench::signal(0) + offsetof(gmemu_signal, start_ts));

    b.machine.page(Bench::signal(0)).state = State::present;
    b.machine.replay();
    b.fw->poll();
    CHECK(b.signal_value(0) == 0);
    CHECK(b.read_index(0) == 0);
    CHECK(b.machine.faults.back() == index + offsetof(gmemu_queue_index, read_index));

    b.machine.page(index).state = State::present;
    b.machine.replay();
    b.fw->poll();
    CHECK(b.read_index(0) == 1);
    CHECK(b.signal_value(0) == 0);
    CHECK(b.machine.faults.size() == 4);
}

TEST_CASE("a parked queue retries the access that faulted before any other", "[firmware][fault]")
{
    using State = FakeMachine::Page::State;
    Bench b(2);

    b.create(0);
    b.set_signal(0, 1);
    // The signal of the second packet is on a page that faults.
    const uint64_t far_signal = signal_base + 0x5000;
    b.machine.store<int64_t>(far_signal, 1);
    b.machine.page(far_signal).state = State::faults;
    b.submit_dispatch(0, 1, Bench::signal(0));
    b.submit_dispatch(0, 1, far_signal);
    b.fw->poll();
    b.machine.halt(1);
    b.fw->poll();
    REQUIRE(b.machine.faults.size() == 1);

    // Meanwhile the first packet ends; its signal's page now faults too.
    b.machine.page(Bench::signal(0)).state = State::faults;
    b.machine.halt(0);
    b.fw->poll();
    CHECK(b.machine.faults.size() == 1);
    b.machine.replay();
    b.fw->poll();
    REQUIRE(b.machine.faults.size() == 2);
    CHECK(b.machine.faults[1] == b.machine.faults[0]);

    b.machine.page(far_signal).state = State::present;
    b.machine.page(Bench::signal(0)).state = State::present;
    b.machine.replay();
    b.fw->poll();
    CHECK(b.read_index(0) == 2);
}

TEST_CASE("a cancelled fault of the queue processor stops only its queue", "[firmware][error]")
{
    using State = FakeMachine::Page::State;
    Bench b(2);

    b.create(0, 1);
    b.create(1, 2);
    b.submit_dispatch(0, 2, 0x7f0000999000);
    b.submit_dispatch(1, 1);
    b.machine.page(0x7f0000999000).state = State::cancelled;
    b.machine.page(0x7f0000999000).reason = GMEMU_REASON_UNMAPPED;
    b.machine.finish_all(*b.fw);

    auto error = b.received(GMEMU_MSG_QUEUE_ERROR);
    REQUIRE(error);
    CHECK(error->u.queue_error.queue == 0);
    CHECK(error->u.queue_error.ctx == 1);
    CHECK(error->u.queue_error.code == GMEMU_QERR_MEMORY_FAULT);
    CHECK(error->u.queue_error.reason == GMEMU_REASON_UNMAPPED);
    CHECK(error->u.queue_error.access == GMEMU_ACCESS_WRITE);
    CHECK(error->u.queue_error.hart == 0xff);
    CHECK(error->u.queue_error.va == 0x7f0000999000 + offsetof(gmemu_signal, start_ts));
    CHECK(b.read_index(1) == 1);
    CHECK_FALSE(b.received(GMEMU_MSG_QUEUE_ERROR));

    // Stopped: a doorbell changes nothing.
    b.submit_dispatch(0, 1);
    CHECK(b.machine.finish_all(*b.fw) == 0);
}

TEST_CASE("a bad packet stops the queue where it stands", "[firmware][error]")
{
    Bench b(2);
    gmemu_aql_dispatch bad = Bench::dispatch(1);

    b.create(0);
    b.submit_dispatch(0, 1);
    b.machine.finish_all(*b.fw);
    bad.setup = 0;
    b.submit(0, &bad);
    b.submit_dispatch(0, 1);
    CHECK(b.machine.finish_all(*b.fw) == 0);

    auto error = b.received(GMEMU_MSG_QUEUE_ERROR);
    REQUIRE(error);
    CHECK(error->u.queue_error.code == GMEMU_QERR_BAD_PACKET);
    CHECK(error->u.queue_error.arg == GMEMU_PKT_SETUP);
    CHECK(error->u.queue_error.va == Bench::packet_va(0, 1));
    CHECK(error->u.queue_error.packet == 1);
    CHECK(b.read_index(0) == 1);
}

TEST_CASE("what ends a work-group becomes the queue's error", "[firmware][error]")
{
    struct Case {
        uint64_t cause;
        uint32_t code;
        uint64_t va, arg;
    };
    for (const Case &c : {Case{GMEMU_HCAUSE_FAULT, GMEMU_QERR_MEMORY_FAULT, 0xbad0, 0},
                          Case{GMEMU_HCAUSE_ILLEGAL, GMEMU_QERR_ILLEGAL_INSTRUCTION, 0x4010, 0},
                          Case{GMEMU_HCAUSE_MISALIGNED, GMEMU_QERR_MISALIGNED, 0xbad0, 0},
                          Case{GMEMU_HCAUSE_BREAKPOINT, GMEMU_QERR_BREAKPOINT, 0x4010, 0},
                          Case{GMEMU_HCAUSE_ABORT, GMEMU_QERR_ABORT, 0, 0xbad0}}) {
        Bench b(3);

        b.create(0);
        b.submit_dispatch(0, 100);
        b.fw->poll();
        auto &registers = b.machine.harts[1].registers;
        registers[GMEMU_H_EPC] = 0x4010;
        registers[GMEMU_H_TVAL] = 0xbad0;
        registers[GMEMU_H_REASON] = GMEMU_REASON_PERM;
        registers[GMEMU_H_ACCESS] = GMEMU_ACCESS_WRITE;
        b.machine.halt(1, c.cause);
        b.fw->poll();

        auto error = b.received(GMEMU_MSG_QUEUE_ERROR);
        REQUIRE(error);
        CHECK(error->u.queue_error.code == c.code);
        CHECK(error->u.queue_error.va == c.va);
        CHECK(error->u.queue_error.arg == c.arg);
        CHECK(error->u.queue_error.pc == 0x4010);
        CHECK(error->u.queue_error.hart == 1);
        // The other harts are told to stop, and nothing new is started.
        CHECK(b.machine.harts[0].kill);
        CHECK(b.machine.harts[2].kill);
        b.machine.halt(0, GMEMU_HCAUSE_KILLED);
        b.machine.halt(2, GMEMU_HCAUSE_FAULT);
        b.fw->poll();
        CHECK(b.machine.running() == 0);
        CHECK_FALSE(b.received(GMEMU_MSG_QUEUE_ERROR));
    }
}

TEST_CASE("destroying a queue waits until its harts have halted", "[firmware]")
{
    Bench b(2);

    b.create(0, 1);
    b.create(1, 2);
    b.submit_dispatch(0, 100);
    b.fw->poll();
    gmemu_msg destroy = Bench::message(GMEMU_MSG_QUEUE_DESTROY);
    destroy.seq = 1;
    destroy.u.queue = {0, 1};
    b.machine.host_send(destroy);
    b.fw->poll();
    CHECK(b.machine.harts[0].kill);
    CHECK(b.machine.harts[1].kill);
    CHECK(b.machine.forgotten == std::vector<uint32_t>{0, 1, 0});
    CHECK_FALSE(b.received(GMEMU_MSG_ACK));
    b.machine.halt(0, GMEMU_HCAUSE_KILLED);
    b.fw->poll();
    CHECK_FALSE(b.received(GMEMU_MSG_ACK));
    // The other queue may use the free hart meanwhile.
    b.submit_dispatch(1, 1);
    b.fw->poll();
    CHECK(b.machine.running() == 2);
    b.machine.halt(1, GMEMU_HCAUSE_EXIT);
    b.fw->poll();
    auto ack = b.received(GMEMU_MSG_ACK);
    REQUIRE(ack);
    CHECK(ack->seq == 1);
    CHECK(ack->u.ack.status == GMEMU_FW_OK);
    // The number can be used again.
    b.write_index[0] = 0;
    b.create(0, 3);
    b.submit_dispatch(0, 2);
    b.machine.finish_all(*b.fw);
    CHECK(b.read_index(0) == 1);
}

TEST_CASE("a queue that is stopped finishes what it has begun, and can go on later", "[firmware]")
{
    Bench b(1);
    gmemu_msg stop = Bench::message(GMEMU_MSG_QUEUE_STOP);
    stop.u.queue = {0, 1};

    b.create(0, 1);
    b.set_signal(0, 1);
    b.set_signal(1, 1);
    b.submit_dispatch(0, 2, Bench::signal(0));
    b.submit_dispatch(0, 1, Bench::signal(1), true); // read, but waits for the first
    b.fw->poll();
    REQUIRE(b.machine.running() == 1);
    stop.seq = 77;
    b.machine.host_send(stop);
    b.fw->poll();
    CHECK_FALSE(b.received(GMEMU_MSG_ACK));
    CHECK(b.machine.finish_all(*b.fw) == 2); // both work-groups of the first, none of the second
    CHECK(b.signal_value(0) == 0);
    CHECK(b.signal_value(1) == 1);
    CHECK(b.received(GMEMU_MSG_COMPLETION));
    const auto ack = b.received(GMEMU_MSG_ACK);
    REQUIRE(ack);
    CHECK(ack->seq == 77);
    CHECK(ack->u.ack.status == GMEMU_FW_OK);
    CHECK(ack->u.ack.read_index == 1);
    CHECK(b.call(stop) == GMEMU_FW_ENOENT);

    gmemu_msg again = Bench::create_message(0, 1);
    again.u.queue_create.first_index = 1;
    REQUIRE(b.call(again) == GMEMU_FW_OK);
    b.machine.doorbell(0);
    b.fw->poll();
    CHECK(b.machine.finish_all(*b.fw) == 1);
    CHECK(b.signal_value(1) == 0);
    CHECK(b.read_index(0) == 2);
}

TEST_CASE("stopping an idle queue is answered at once, a failed one refused", "[firmware]")
{
    Bench b(1);
    gmemu_msg stop = Bench::message(GMEMU_MSG_QUEUE_STOP);

    b.create(0, 1);
    stop.u.queue = {0, 2};
    CHECK(b.call(stop) == GMEMU_FW_ENOENT);
    stop.u.queue = {GMEMU_MAX_QUEUES, 1};
    CHECK(b.call(stop) == GMEMU_FW_ENOENT);
    stop.u.queue = {0, 1};
    CHECK(b.call(stop) == GMEMU_FW_OK);

    // One that fails while it comes to rest, and one that is destroyed.
    b.create(1, 1);
    b.submit_dispatch(1, 1);
    b.fw->poll();
    stop.u.queue = {1, 1};
    stop.seq = 78;
    b.machine.host_send(stop);
    b.fw->poll();
    CHECK(b.call(stop) == GMEMU_FW_EBUSY);
    b.machine.halt(0, GMEMU_HCAUSE_ILLEGAL);
    b.fw->poll();
    CHECK(b.received(GMEMU_MSG_QUEUE_ERROR));
    const auto refused = b.received(GMEMU_MSG_ACK);
    REQUIRE(refused);
    CHECK(refused->seq == 78);
    CHECK(refused->u.ack.status == GMEMU_FW_ENOENT);
}

TEST_CASE("destroying a context takes all its queues", "[firmware]")
{
    Bench b(3);

    b.create(0, 1);
    b.create(5, 1);
    b.create(9, 2);
    b.submit_dispatch(0, 1);
    b.submit_dispatch(5, 1);
    b.submit_dispatch(9, 1);
    b.fw->poll();
    REQUIRE(b.machine.running() == 3);
    gmemu_msg destroy = Bench::message(GMEMU_MSG_CTX_DESTROY);
    destroy.seq = 1;
    destroy.u.queue = {0, 1};
    b.machine.host_send(destroy);
    b.fw->poll();
    CHECK_FALSE(b.received(GMEMU_MSG_ACK));
    for (unsigned hart = 0; hart < 3; hart++)
        if (b.machine.harts[hart].kill)
            b.machine.halt(hart, GMEMU_HCAUSE_KILLED);
    CHECK(b.machine.running() == 1);
    b.fw->poll();
    auto ack = b.received(GMEMU_MSG_ACK);
    REQUIRE(ack);
    CHECK(ack->seq == 1);
    CHECK_FALSE(b.received(GMEMU_MSG_ACK));
    b.machine.finish_all(*b.fw);
    CHECK(b.read_index(9) == 1);
    // An empty context is destroyed at once.
    CHECK(b.call(destroy) == GMEMU_FW_OK);
}

TEST_CASE("queues share the harts in turn", "[firmware]")
{
    Bench b(1);
    std::vector<uint64_t> order;

    b.create(3);
    b.create(200);
    b.submit_dispatch(3, 4);
    b.fw->poll();
    b.submit_dispatch(200, 4);
    for (unsigned n = 0; n < 8; n++) {
        b.fw->poll();
        REQUIRE(b.machine.harts[0].running);
        order.push_back(b.machine.harts[0].registers[GMEMU_H_QUEUE]);
        b.machine.halt(0);
    }
    CHECK(order == std::vector<uint64_t>{3, 200, 3, 200, 3, 200, 3, 200});
}

TEST_CASE("a full host ring loses nothing", "[firmware]")
{
    Bench b(2);
    constexpr unsigned queues = 20;

    b.machine.f2h_log2 = 6;
    for (uint32_t q = 0; q < queues; q++)
        b.create(q);
    // From here on the host takes messages one at a time; the ring holds 63.
    std::array<unsigned, queues> completions = {};
    std::vector<uint32_t> acks;
    for (uint32_t q = 0; q < queues; q++)
        b.submit_dispatch(q, 1);
    b.machine.finish_all(*b.fw);
    for (uint32_t n = 0; n < 60; n++) {
        gmemu_msg ping = Bench::message(GMEMU_MSG_PING);
        ping.seq = 1000 + n;
        b.machine.host_send(ping);
    }
    b.fw->poll();
    gmemu_aql_dispatch bad = Bench::dispatch(0);
    b.submit(4, &bad);
    b.fw->poll();

    unsigned errors = 0;
    while (auto message = b.machine.host_receive()) {
        if (message->type == GMEMU_MSG_COMPLETION)
            completions.at(message->u.queue.queue)++;
        else if (message->type == GMEMU_MSG_ACK)
            acks.push_back(message->seq);
        else if (message->type == GMEMU_MSG_QUEUE_ERROR)
            errors++;
        b.fw->poll();
    }
    for (unsigned count : completions)
        CHECK(count >= 1);
    REQUIRE(acks.size() == 60);
    for (uint32_t n = 0; n < 60; n++)
        CHECK(acks[n] == 1000 + n);
    CHECK(errors == 1);
}

TEST_CASE("an acquire fence makes each hart forget decoded code once", "[firmware]")
{
    Bench b(1);
    gmemu_aql_dispatch packet = Bench::dispatch(2);

    packet.header |= GMEMU_AQL_FENCE_SYSTEM << GMEMU_AQL_ACQUIRE_SHIFT;
    b.create(0);
    b.submit(0, &packet);
    b.fw->poll();
    CHECK(b.machine.harts[0].fence_i);
    b.machine.halt(0);
    b.fw->poll();
    REQUIRE(b.machine.harts[0].starts == 2);
    CHECK_FALSE(b.machine.harts[0].fence_i);
    b.machine.finish_all(*b.fw);
    b.submit_dispatch(0, 1);
    b.fw->poll();
    CHECK_FALSE(b.machine.harts[0].fence_i);
}

TEST_CASE("the packet is copied before it is checked", "[firmware]")
{
    Bench b(1);

    b.create(0);
    b.submit_dispatch(0, 3);
    b.fw->poll();
    // The program scribbles over a packet that is the device's: no effect.
    gmemu_aql_dispatch scribble = Bench::dispatch(0);
    std::array<uint8_t, 64> bytes;
    std::memcpy(bytes.data(), &scribble, 64);
    b.machine.store(Bench::packet_va(0, 0), bytes);
    CHECK(b.machine.finish_all(*b.fw) == 3);
    CHECK(b.read_index(0) == 1);
    CHECK_FALSE(b.received(GMEMU_MSG_QUEUE_ERROR));
}

TEST_CASE("queues of two packets work", "[firmware]")
{
    Bench b(4);
    gmemu_msg create = Bench::create_message(0, 1);

    create.u.queue_create.ring_log2 = 1;
    b.machine.store<uint16_t>(ring_base, GMEMU_AQL_INVALID);
    b.machine.store<uint16_t>(ring_base + 64, GMEMU_AQL_INVALID);
    REQUIRE(b.call(create) == GMEMU_FW_OK);
    const gmemu_aql_dispatch packet = Bench::dispatch(1);
    std::array<uint8_t, 64> bytes;
    std::memcpy(bytes.data(), &packet, 64);
    for (unsigned round = 0; round < 5; round++) {
        b.machine.store(ring_base, bytes);
        b.machine.store(ring_base + 64, bytes);
        b.machine.doorbell(0);
        CHECK(b.machine.finish_all(*b.fw) == 2);
        CHECK(b.read_index(0) == 2 * (round + 1));
    }
}
