// SPDX-License-Identifier: GPL-2.0-or-later
//
// The device trace: what is in it, that all of it is in pairs, and that neither a slow
// nor a full disk is the device's trouble.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <thread>

#include "abi_core.h"
#include "copier.h"
#include "machine.h"
#include "trace_file.h"

using namespace std::chrono_literals;

namespace {

// A name in the temporary directory; the file goes with it.
class TracePath {
public:
    TracePath();
    ~TracePath();
    TracePath(const TracePath &) = delete;
    TracePath &operator=(const TracePath &) = delete;
    const std::string &str() const { return path_; }
    std::string text() const;

private:
    std::string directory_;
    std::string path_;
};

TracePath::TracePath()
{
    std::string name = (std::filesystem::temp_directory_path() / "gmemu-trace-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    directory_ = name;
    path_ = directory_ + "/trace.json";
}

TracePath::~TracePath()
{
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
}

std::string TracePath::text() const
{
    std::ifstream in(path_);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kVa = 0x7f0000000000;
constexpr uint64_t kLocal = 8ull << 20;

// One load from each of a1 pages.
rv::Code load_pages()
{
    rv::Code c;
    c.lui(rv::t2, 1);
    const size_t loop = c.here();
    c.ld(rv::t0, rv::a0, 0);
    c.add(rv::a0, rv::a0, rv::t2);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, loop);
    c.exit();
    return c;
}

std::string refusal(const std::string &path)
{
    gmemu_config config = small_config();
    config.trace = path.c_str();
    const AbiCore core(config);
    return core.get() ? "" : core.error();
}

// The first @harts fault, each on a page of its own.
void stall_each(Machine &m, uint32_t harts)
{
    m.create_context(1);
    m.load_code(1, kCode, load_pages());
    for (uint32_t hart = 0; hart < harts; hart++) {
        m.set_pte(1, kVa + hart * kPage, 0);
        m.start(hart, 1, kCode, kVa + hart * kPage, 1);
        m.wait_state(hart, GMEMU_HART_STALLED);
    }
}

std::vector<TraceSpan> named(const std::vector<TraceSpan> &spans, const std::string &name)
{
    std::vector<TraceSpan> found;
    std::ranges::copy_if(spans, std::back_inserter(found), [&](const TraceSpan &span) { return span.name == name; });
    return found;
}

}  // namespace

TEST_CASE("a fault is traced from where it is found to its replay", "[trace]")
{
    const TracePath path;
    uint64_t before = 0, after = 0;
    {
        Machine m({.cores = 2, .trace = path.str()});
        m.create_context(1);
        m.load_code(1, kCode, load_pages());
        m.set_pte(1, kVa, 0);
        before = m.r64(GMEMU_REG_TIMESTAMP);
        m.start(1, 1, kCode, kVa, 1);
        m.fault();
        m.wait_state(1, GMEMU_HART_STALLED);
        m.map(1, kVa, m.alloc(), kR);
        m.replay();
        CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);
        after = m.r64(GMEMU_REG_TIMESTAMP);
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();

    const auto jobs = named(trace.row("hart 1"), "work-group");
    REQUIRE(jobs.size() == 1);
    CHECK(jobs[0].depth == 0);
    CHECK(jobs[0].args.at("context") == 1);
    CHECK(jobs[0].args.at("queue") == 5);
    CHECK(hex(jobs[0].args.at("pc")) == kCode);
    CHECK(jobs[0].end.at("result") == "exit");
    CHECK(jobs[0].end.at("instructions") >= 5);
    // The clock is GMEMU_REG_TIMESTAMP.
    CHECK(jobs[0].start * 1000 >= static_cast<double>(before));
    CHECK(jobs[0].stop * 1000 <= static_cast<double>(after));
    CHECK(trace.row("hart 0").empty());

    const auto stalls = named(trace.row("hart 1"), "stall");
    REQUIRE(stalls.size() == 1);
    CHECK(stalls[0].depth == 1);
    CHECK(stalls[0].end.at("result") == "replay");
    CHECK(hex(stalls[0].args.at("va")) == kVa);
    CHECK(hex(stalls[0].args.at("pc")) == kCode + 4);

    const auto faults = trace.kind("fault");
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].id == hex(stalls[0].args.at("fault")));
    CHECK(faults[0].name == "not mapped");
    CHECK(faults[0].args.at("access") == "read");
    CHECK(faults[0].args.at("engine") == "hart");
    CHECK(faults[0].args.at("client") == 1);
    CHECK(hex(faults[0].args.at("va")) == kVa);
    CHECK(faults[0].steps == std::vector<std::string>{"in ring", "interrupt", "taken"});
    CHECK(faults[0].end.at("result") == "replay");
    CHECK(faults[0].start <= stalls[0].start);
    CHECK(faults[0].stop <= stalls[0].stop);

    const auto interrupts = trace.instants("fault");
    REQUIRE(interrupts.size() == 1);
    CHECK(interrupts[0].at("args").at("sent") == "yes");
    const auto invalidations = trace.kind("invalidation");
    REQUIRE(invalidations.size() == 1);
    CHECK(invalidations[0].name == "replay");
    CHECK(invalidations[0].start <= faults[0].stop);
    CHECK(invalidations[0].stop >= faults[0].stop);
}

TEST_CASE("what is cancelled, killed or reset has its end in the trace", "[trace]")
{
    const TracePath path;
    {
        Machine m({.cores = 4, .trace = path.str()});
        stall_each(m, 4);
        for (uint32_t hart = 0; hart < 4; hart++)
            m.fault();
        m.cancel_va(1, kVa, GMEMU_REASON_UNMAPPED);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        m.hart_write(1, GMEMU_H_CTRL, GMEMU_H_KILL);
        CHECK(m.halted(1) == GMEMU_HCAUSE_KILLED);
        m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
        m.set_up();
        m.create_context(1);
        m.load_code(1, kCode, load_pages());
        m.set_pte(1, kVa, 0);
        m.start(3, 1, kCode, kVa, 1);
        m.fault();
        // And one that is still there in the end.
        m.device.quiesce();
        m.device.reset();
        m.device.resume();
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    const auto faults = trace.kind("fault");
    REQUIRE(faults.size() == 5);
    CHECK(faults[0].end.at("result") == "cancel");
    CHECK(faults[0].end.at("reason") == "unmapped");
    CHECK(faults[1].end.at("result") == "hart stopped");
    for (size_t i : {2u, 3u, 4u})
        CHECK(faults[i].end.at("result") == "reset");
    CHECK(trace.row("hart 0")[0].end.at("result") == "fault");
    CHECK(trace.row("hart 0")[1].end.at("result") == "cancel");
    CHECK(trace.row("hart 1")[0].end.at("result") == "killed");
    CHECK(trace.row("hart 2")[0].end.at("result") == "reset");
    const auto device = trace.row("device");
    REQUIRE(device.size() == 3);
    CHECK(device[0].name == "reset");
    CHECK(device[0].args.at("by") == "CTRL");
    CHECK(device[1].name == "held");
    CHECK(device[2].name == "reset");
    CHECK(device[2].args.at("by") == "function or bus");
    CHECK(device[2].depth == 1);
}

TEST_CASE("a fault that nobody waits for ends when software has taken it", "[trace]")
{
    const TracePath path;
    {
        Machine m({.replayable = false, .trace = path.str()});
        m.create_context(1);
        m.load_code(1, kCode, load_pages());
        m.start(0, 1, kCode, kVa, 1);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        m.fault(GMEMU_FAULT_RING_NONREPLAYABLE);
        // Nobody takes this one.
        m.start(0, 1, kCode, kVa, 1);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        CHECK(Machine::wait_for([&] { return m.has_fault(GMEMU_FAULT_RING_NONREPLAYABLE); }));
        m.w32(GMEMU_REG_FAULT(1) + GMEMU_FAULT_CTRL, 0);
        // And this one finds the ring disabled.
        m.start(0, 1, kCode, kVa, 1);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        m.w32(GMEMU_REG_FAULT(1) + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    const auto faults = trace.kind("fault");
    REQUIRE(faults.size() == 3);
    CHECK(faults[0].steps == std::vector<std::string>{"in ring", "interrupt", "taken"});
    CHECK(faults[0].end.at("result") == "told");
    CHECK(faults[1].steps == std::vector<std::string>{"in ring", "interrupt"});
    CHECK(faults[1].end.at("result") == "ring enabled anew");
    CHECK(faults[2].steps == std::vector<std::string>{"dropped"});
    CHECK(faults[2].end.at("result") == "dropped");
}

TEST_CASE("a fault that finds the ring full is dropped, and found again after the replay", "[trace]")
{
    const TracePath path;
    {
        Machine m({.cores = 3, .ring_log2 = 1, .trace = path.str()});
        stall_each(m, 3);
        REQUIRE(Machine::wait_for([&] { return m.fault_reg(0, GMEMU_FAULT_DROPPED) == 2; }));
        m.fault();
        for (uint32_t hart = 0; hart < 3; hart++)
            m.map(1, kVa + hart * kPage, m.alloc(), kR);
        m.replay();
        for (uint32_t hart = 0; hart < 3; hart++)
            CHECK(m.halted(hart) == GMEMU_HCAUSE_EXIT);
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    const auto faults = trace.kind("fault");
    REQUIRE(faults.size() == 3);
    CHECK(faults[0].steps == std::vector<std::string>{"in ring", "interrupt", "taken"});
    CHECK(faults[1].steps == std::vector<std::string>{"dropped"});
    for (const TraceSpan &fault : faults)
        CHECK(fault.end.at("result") == "replay");
}

TEST_CASE("one interrupt tells of all entries that can be read", "[trace]")
{
    const TracePath path;
    {
        Machine m({.cores = 4, .trace = path.str()});
        stall_each(m, 4);
        CHECK(m.host.interrupts(GMEMU_VEC_FAULT) == 1);
        m.fault();  // GET arms it again
        CHECK(m.host.interrupts(GMEMU_VEC_FAULT) == 2);
    }
    const TraceFile trace(path.str());
    const auto faults = trace.kind("fault");
    REQUIRE(faults.size() == 4);
    CHECK(faults[0].steps == std::vector<std::string>{"in ring", "interrupt", "taken"});
    for (size_t i = 1; i < 4; i++)
        CHECK(faults[i].steps == std::vector<std::string>{"in ring", "interrupt"});
    CHECK(trace.instants("fault").size() == 2);
}

TEST_CASE("the copy engine's work is in the trace, with its bytes", "[trace]")
{
    const TracePath path;
    {
        Machine m({.inject = "dma-error:at=3", .trace = path.str()});
        Copier copier(m);
        const uint64_t bus = m.alloc(4 * kPage);
        copier.push(GMEMU_COPY_OP_COPY, bus, kLocal, 3 * kPage, GMEMU_COPY_DST_LOCAL);
        CHECK(copier.fence(GMEMU_COPY_IRQ) == 0);
        copier.push(GMEMU_COPY_OP_FILL, 7, kLocal, 64, GMEMU_COPY_DST_LOCAL);
        copier.push(GMEMU_COPY_OP_COPY, kLocal, bus, kPage, GMEMU_COPY_SRC_LOCAL);
        CHECK(copier.fence() == 0);
        copier.push(GMEMU_COPY_OP_COPY, bus, kLocal, kPage, GMEMU_COPY_DST_LOCAL);
        CHECK(copier.fence() == 1);
        copier.push(GMEMU_COPY_OP_COPY, 0x1000, kLocal, kPage, GMEMU_COPY_DST_LOCAL);  // no memory
        CHECK(copier.fence() == 1);
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    const auto copies = trace.row("copy engine");
    REQUIRE(copies.size() == 5);
    CHECK(copies[0].name == "copy");
    CHECK(copies[0].args.at("bytes") == 3 * kPage);
    CHECK(copies[0].args.at("from") == "system");
    CHECK(copies[0].args.at("to") == "local");
    CHECK(copies[0].end.at("result") == "done");
    CHECK(copies[0].end.at("moved") == 3 * kPage);
    CHECK(copies[1].name == "fill");
    CHECK(copies[2].args.at("to") == "system");
    CHECK(copies[3].end.at("result") == "failed");
    CHECK(copies[3].end.at("moved") == 0);
    CHECK(copies[4].end.at("result") == "failed");
    const auto fences = trace.instants("fence");
    REQUIRE(fences.size() == 4);
    CHECK(fences[2].at("args").at("errors") == 1);
    CHECK(trace.instants("completion").size() == 1);
    CHECK(trace.instants("contract violation").at(0).at("args").at("check") == "GMEMU_CHK_DMA_ADDRESS");
}

TEST_CASE("firmware's packets, copies and invalidations are in the trace", "[trace]")
{
    const TracePath path;
    {
        Machine m({.trace = path.str()});
        auto &fw = m.device.mgmt_registers();
        fw.write(GMEMU_M_PACKET_START, 3 | 7 << 16);
        fw.write(GMEMU_M_PACKET_START, 3 | 8 << 16);
        fw.write(GMEMU_M_PACKET_START, 4 | 7 << 16);
        fw.write(GMEMU_M_PACKET_END, 3 | 8 << 16);
        fw.write(GMEMU_M_PACKET_END, 9);  // of none
        fw.write(GMEMU_M_QP_FORGET, 3);
        fw.write(GMEMU_M_DMA_SRC, m.alloc());
        fw.write(GMEMU_M_DMA_DST, kLocal);
        fw.write(GMEMU_M_DMA_LEN, kPage);
        fw.write(GMEMU_M_DMA_CMD, GMEMU_COPY_OP_COPY | GMEMU_COPY_DST_LOCAL << GMEMU_M_DMA_FLAGS_SHIFT);
        uint64_t state = 0;
        do
            fw.read(GMEMU_M_DMA_CMD, state);
        while (state & GMEMU_M_DMA_BUSY);
        fw.write(GMEMU_M_INV_CMD, 1);
        do
            fw.read(GMEMU_M_INV_CMD, state);
        while (state);
        m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    const auto packets = trace.kind("packet");
    REQUIRE(packets.size() == 3);
    CHECK(packets[0].args.at("queue") == 3);
    CHECK(packets[0].args.at("slot") == 7);
    CHECK(packets[0].end.at("result") == "queue gone");
    CHECK(packets[1].end.at("result") == "complete");
    CHECK(packets[2].end.at("result") == "reset");
    const auto firmware = trace.kind("firmware");
    REQUIRE(firmware.size() == 2);
    CHECK(firmware[0].name == "copy");
    CHECK(firmware[0].end.at("result") == "done");
    CHECK(firmware[1].name == "invalidate");
    CHECK(firmware[1].args.at("context") == 1);
}

TEST_CASE("times are microseconds of the clock that the embedder gives", "[trace]")
{
    const TracePath path;
    const uint64_t start = 1ull << 62;
    FakeHost host(1 << 20);
    host.set_clock(start);
    gmemu_config config{};
    config.cores = 1;
    config.dram_size = 4 << 20;
    config.replayable = 1;
    config.trace = path.str().c_str();
    {
        gmemu::Device device(config, host.ops(), &host);
        CHECK(device.mmio_read(GMEMU_REG_TIMESTAMP, 8) == 0);
        host.set_clock(start + 1'234'567);
        CHECK(device.mmio_read(GMEMU_REG_TIMESTAMP, 8) == 1'234'567);
        device.set_bus_master(false);
        host.set_clock(start + 5'000'000'000'000'000);
        device.set_bus_master(true);
    }
    const TraceFile trace(path.str());
    CHECK(trace.instants("bus master off").at(0).at("ts") == 1234.567);
    CHECK(trace.instants("bus master on").at(0).at("ts") == 5e12);
    CHECK(trace.metadata("gmemu_clock").at("timestamp_ns") == 0);
    CHECK(trace.metadata("gmemu_clock").at("host_ns") == start);
}

TEST_CASE("the file is complete after each write", "[trace]")
{
    const TracePath path;
    Machine m({.trace = path.str()});
    CHECK(TraceFile(path.str()).size() > 0);
    m.create_context(1);
    m.load_code(1, kCode, load_pages());
    size_t size = 0;
    for (int i = 0; i < 20; i++) {
        m.start(0, 1, kCode, kCode, 1);
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
        if (i % 2)
            m.device.trace()->flush();
        // By a reader that does not know when it is written.
        const TraceFile trace(path.str());
        CHECK(trace.size() >= size);
        size = trace.size();
    }
    m.device.trace()->flush();
    CHECK(named(TraceFile(path.str()).row("hart 0"), "work-group").size() == 20);
    CHECK(path.text().ends_with("}\n]\n"));
    m.device.end_trace();
    // It goes on without.
    m.start(0, 1, kCode, kCode, 1);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    m.device.end_trace();
    CHECK(named(TraceFile(path.str()).row("hart 0"), "work-group").size() == 20);
}

TEST_CASE("a path that cannot be written is refused", "[trace]")
{
    const TracePath path;
    CHECK(refusal("/nowhere/trace.json") ==
          "trace=/nowhere/trace.json: the file cannot be opened for writing: No such file or directory");
    CHECK(refusal("/") == "trace=/: the file cannot be opened for writing: Is a directory");
    CHECK(refusal("/dev/full") == "trace=/dev/full: the file cannot be written: No space left on device");
    CHECK(refusal("/dev/null").empty());
    CHECK(refusal(path.str()).empty());

    // Two devices do not write to one file, and the second does not empty it.
    Machine m({.trace = path.str()});
    const size_t size = TraceFile(path.str()).size();
    CHECK(refusal(path.str()) == "trace=" + path.str() + ": another device writes to it: Resource temporarily unavailable");
    CHECK(TraceFile(path.str()).size() == size);
}

TEST_CASE("a disk that is full ends the trace and nothing else", "[trace]")
{
    const TracePath path;
    Machine m({.trace = path.str()});
    m.create_context(1);
    m.load_code(1, kCode, load_pages());
    // As if there were room for 64 KiB. The signal is blocked in threads of the core.
    rlimit limit{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const rlimit small{64 << 10, limit.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (int i = 0; i < 2000 && m.host.count_logged("the trace ends here") == 0; i++) {
        m.start(0, 1, kCode, kCode, 1);
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
        if (i % 20 == 0)
            m.device.trace()->flush();
    }
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(m.host.logged("gmemu: trace=" + path.str() + ": File too large: the trace ends here, the device goes on"));
    for (int i = 0; i < 100; i++) {
        m.start(0, 1, kCode, kCode, 1);
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    }
    m.device.trace()->flush();
    CHECK(m.device.trace()->buffered() == 0);
    CHECK(m.host.count_logged("the trace ends here") == 1);
    const TraceFile trace(path.str());
    CHECK(trace.size() > 100);
    CHECK(std::filesystem::file_size(path.str()) <= 64 << 10);
}

TEST_CASE("nobody waits for a slow disk, and what is left out is left out in pairs", "[trace]")
{
    const TracePath path;
    REQUIRE(mkfifo(path.str().c_str(), 0600) == 0);
    const int reader = open(path.str().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(reader >= 0);
    auto m = std::make_unique<Machine>(MachineOptions{.cores = 2, .trace = path.str()});
    auto &trace = *m->device.trace();
    m->create_context(1);
    m->load_code(1, kCode, load_pages());
    m->set_pte(1, kVa, 0);
    m->start(1, 1, kCode, kVa, 1);
    m->fault();
    // Nobody reads: far more than the pipe holds and the trace keeps.
    for (size_t i = 0; i < 3 * gmemu::Trace::capacity(); i++) {
        trace.begin(gmemu::TraceTrack::kCopyEngine, "outer");
        trace.begin(gmemu::TraceTrack::kCopyEngine, "inner");
        trace.begin(gmemu::TraceKind::kPacket, i, "packet");
        trace.step(gmemu::TraceKind::kPacket, i, "step");
        trace.end(gmemu::TraceKind::kPacket, i);
        trace.end(gmemu::TraceTrack::kCopyEngine);
        trace.end(gmemu::TraceTrack::kCopyEngine);
        if (i % 1000 == 0)
            CHECK(trace.buffered() <= gmemu::Trace::capacity());
    }
    CHECK(trace.lost() > 0);
    m->map(1, kVa, m->alloc(), kR);
    m->replay();
    CHECK(m->halted(1) == GMEMU_HCAUSE_EXIT);

    // Now somebody does.
    std::string text;
    std::thread reading([&] {
        fcntl(reader, F_SETFL, 0);
        char bytes[65536];
        for (ssize_t n; (n = read(reader, bytes, sizeof(bytes))) > 0;)
            text.append(bytes, static_cast<size_t>(n));
    });
    trace.flush();
    m->start(0, 1, kCode, kCode, 1);  // there is room again
    CHECK(m->halted(0) == GMEMU_HCAUSE_EXIT);
    FakeHost &host = m->host;
    m->device.end_trace();
    CHECK(host.count_logged("events are left out") == 1);
    m = nullptr;
    reading.join();
    close(reader);
    const TracePath copy;
    std::ofstream(copy.str()) << text;
    const TraceFile file(copy.str());
    file.require_all_ended();
    uint64_t told = 0;
    for (const auto &event : file.instants("left out"))
        told += event.at("args").at("events").get<uint64_t>();
    CHECK(told > 0);
    CHECK(named(file.row("hart 0"), "work-group").size() == 1);
    // What was open before has its end.
    CHECK(file.row("hart 1").at(0).end.at("result") == "exit");
    CHECK(file.kind("fault").at(0).end.at("result") == "replay");
}

TEST_CASE("spans without end do not grow", "[trace]")
{
    const TracePath path;
    Machine m({.trace = path.str()});
    auto &fw = m.device.mgmt_registers();
    for (uint64_t packet = 0; packet < 20'000; packet++)
        fw.write(GMEMU_M_PACKET_START, packet << 16);
    for (int i = 0; i < 100; i++)
        m.device.trace()->begin(gmemu::TraceTrack::kDevice, "deep");
    CHECK(m.device.trace()->lost() > 15'000);
    m.device.end_trace();
    const TraceFile trace(path.str());
    trace.require_all_ended();
    CHECK(trace.kind("packet").size() < 5000);
    CHECK(trace.row("device").size() < 20);
}

TEST_CASE("a trace goes on where a state is loaded", "[trace]")
{
    const TracePath path;
    {
        Machine m({.trace = path.str()});
        m.create_context(1);
        m.load_code(1, kCode, load_pages());
        m.set_pte(1, kVa, 0);
        m.start(0, 1, kCode, kVa, 2);
        CHECK(Machine::wait_for([&] { return m.has_fault(); }));
        m.migrate();
        m.fault();
        m.map(1, kVa, m.alloc(), kR);
        m.map(1, kVa + kPage, m.alloc(), kR);
        m.replay();
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    }
    const TraceFile before(path.str());
    before.require_all_ended();
    CHECK(before.kind("fault").at(0).end.at("result") == "the trace ends");
    const TraceFile after(path.str() + ".1");
    after.require_all_ended();
    CHECK(after.instants("the clock was set").size() == 1);
    const auto faults = after.kind("fault");
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].id == before.kind("fault").at(0).id);
    CHECK(faults[0].args.at("found") == "before the state was loaded");
    CHECK(faults[0].steps == std::vector<std::string>{"taken"});
    CHECK(faults[0].end.at("result") == "replay");
    const auto row = after.row("hart 0");
    REQUIRE(row.size() == 2);
    CHECK(row[0].args.at("begun") == "before the state was loaded");
    CHECK(row[0].end.at("result") == "exit");
    CHECK(hex(row[1].args.at("fault")) == faults[0].id);
}

TEST_CASE("in a trace, time goes back where an old state is loaded, and nowhere else", "[trace]")
{
    const TracePath path;
    {
        Machine m({.trace = path.str()});
        m.create_context(1);
        m.load_code(1, kCode, load_pages());
        m.set_pte(1, kVa, 0);
        m.start(0, 1, kCode, kVa, 1);
        CHECK(Machine::wait_for([&] { return m.has_fault(); }));
        m.device.quiesce();
        const auto state = m.save();
        const uint64_t then = m.r64(GMEMU_REG_TIMESTAMP);
        CHECK(Machine::wait_for([&] { return m.r64(GMEMU_REG_TIMESTAMP) > then + 10'000'000; }));
        REQUIRE(m.device.load(state).empty());
        m.device.resume();
        m.fault();
        m.map(1, kVa, m.alloc(), kR);
        m.replay();
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    CHECK(trace.instants("the clock was set").size() == 1);
    CHECK(trace.kind("fault").size() == 2);
}

TEST_CASE("a storm of faults with chaos is in pairs", "[trace][stress]")
{
    const uint64_t seed = GENERATE(1, 2, 3, 4);
    constexpr uint32_t cores = 4;
    const TracePath path;
    uint64_t entries = 0;
    {
        Machine m({.cores = cores, .chaos = seed, .ring_log2 = 3, .trace = path.str()});
        m.create_context(1);
        m.load_code(1, kCode, load_pages());
        for (int round = 0; round < 12; round++) {
            for (uint32_t hart = 0; hart < cores; hart++) {
                const uint64_t va = kVa + (round * cores + hart) * 8 * kPage;
                for (uint64_t page = 0; page < 8; page++)
                    m.set_pte(1, va + page * kPage, 0);
                m.start(hart, 1, kCode, va, 8);
            }
            std::set<uint32_t> running{0, 1, 2, 3};
            uint32_t killed = 0;
            REQUIRE(Machine::wait_for([&] {
                while (const auto fault = m.try_fault()) {
                    entries++;
                    if ((fault->va >> 12) % 13 == 0)
                        m.cancel_va(1, fault->va, GMEMU_REASON_PERM);
                    else
                        m.map(1, fault->va & ~(kPage - 1), m.alloc(), kR);
                }
                m.replay();
                if (round % 4 == 3 && killed < cores)
                    m.hart_write(killed++, GMEMU_H_CTRL, GMEMU_H_KILL);
                std::erase_if(running, [&](uint32_t hart) { return m.state(hart) == GMEMU_HART_HALTED; });
                return running.empty();
            }));
        }
    }
    const TraceFile trace(path.str());
    trace.require_all_ended();
    std::set<uint64_t> faults;
    for (const TraceSpan &fault : trace.kind("fault"))
        CHECK(faults.insert(fault.id).second);
    CHECK(entries > 100);
    size_t jobs = 0;
    for (uint32_t hart = 0; hart < cores; hart++) {
        const auto row = trace.row("hart " + std::to_string(hart));
        jobs += named(row, "work-group").size();
        // Each stall is of a fault that is in the trace, and no longer than it is told.
        for (const TraceSpan &stall : named(row, "stall"))
            if (const uint64_t fault = hex(stall.args.at("fault")))
                CHECK(faults.contains(fault));
    }
    CHECK(jobs == 12 * cores);
    CHECK(trace.instants("left out").empty());
}

TEST_CASE("without a trace there is neither file nor thread", "[trace]")
{
    Machine off;
    CHECK(off.device.trace() == nullptr);
    off.device.end_trace();
    const TracePath path;
    Machine on({.trace = path.str()});
    REQUIRE(Machine::wait_for([&] { return on.host.threads() == off.host.threads() + 1; }));
}
