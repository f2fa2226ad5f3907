// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_hart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core_thread.h"
#include "guest_copy.h"
#include "hart/cpu.h"
#include "hart_stream.h"
#include "names.h"
#include "trace.h"

namespace gmemu {

struct ComputeHart::Engine {
    Engine(Environment &env, TlbClient &client, HartMeter &meter, uint32_t hart, uint32_t harts)
        : port(env.mmu, client, env.faults, env.clock, meter, hart, harts), cpu(port, hart, env.vlen)
    {
    }
    ComputePort port;
    hart::Cpu<ComputePort, hart::UserMode> cpu;
    std::array<std::byte, kPageSize> bounce;
};

ComputeHart::ComputeHart(HartIndex index, uint32_t harts, Environment environment)
    : index_(index), env_(std::move(environment)), client_(env_.mmu.add_client()),
      meter_(env_.clock), engine_(std::make_unique<Engine>(env_, client_, meter_, index.value, harts))
{
    thread_ = start_core_thread([this] { run(); });
}

ComputeHart::~ComputeHart()
{
    {
        std::lock_guard lock(mutex_);
        exit_ = true;
        wake_.notify_all();
    }
    abandon();
    thread_.join();
}

// ---------------------------------------------------------- register block

void ComputeHart::write(uint32_t reg, uint64_t value)
{
    if (reg == GMEMU_H_CTRL) {
        if (value & GMEMU_H_KILL)
            kill();
        if (value & GMEMU_H_START)
            start(value);
        return;
    }
    std::lock_guard lock(mutex_);
    switch (reg) {
    case GMEMU_H_CTX: inputs_.ctx = ContextId(static_cast<uint32_t>(value)); break;
    case GMEMU_H_QUEUE: inputs_.queue = QueueId(static_cast<uint32_t>(value)); break;
    case GMEMU_H_PC: inputs_.pc = value; break;
    case GMEMU_H_SP: inputs_.sp = value; break;
    case GMEMU_H_A0: inputs_.a0 = value; break;
    case GMEMU_H_A1: inputs_.a1 = value; break;
    case GMEMU_H_MODE: inputs_.mode = value; break;
    case GMEMU_H_BLIT_DST: inputs_.blit_dst = value; break;
    case GMEMU_H_BLIT_SRC: inputs_.blit_src = value; break;
    case GMEMU_H_BLIT_LEN: inputs_.blit_len = value; break;
    default:
        for (unsigned d = 0; d < 3; d++) {
            if (reg == GMEMU_H_WG_ID(d))
                inputs_.wg_id[d] = value;
            if (reg == GMEMU_H_WG_SIZE(d))
                inputs_.wg_size[d] = value;
            if (reg == GMEMU_H_GRID(d))
                inputs_.grid[d] = value;
        }
    }
}

uint64_t ComputeHart::read(uint32_t reg) const
{
    if (reg == GMEMU_H_STATE)
        return state_.load();
    std::lock_guard lock(mutex_);
    switch (reg) {
    case GMEMU_H_CTX: return inputs_.ctx.value;
    case GMEMU_H_QUEUE: return inputs_.queue.value;
    case GMEMU_H_PC: return inputs_.pc;
    case GMEMU_H_SP: return inputs_.sp;
    case GMEMU_H_A0: return inputs_.a0;
    case GMEMU_H_A1: return inputs_.a1;
    case GMEMU_H_MODE: return inputs_.mode;
    case GMEMU_H_BLIT_DST: return inputs_.blit_dst;
    case GMEMU_H_BLIT_SRC: return inputs_.blit_src;
    case GMEMU_H_BLIT_LEN: return inputs_.blit_len;
    case GMEMU_H_CAUSE: return result_.cause;
    case GMEMU_H_EPC: return result_.pc;
    case GMEMU_H_TVAL: return result_.tval;
    case GMEMU_H_REASON: return result_.reason;
    case GMEMU_H_ACCESS: return result_.access;
    case GMEMU_H_TYPE: return result_.type;
    case GMEMU_H_INSTRET: return instret_.load();
    default:
        for (unsigned d = 0; d < 3; d++) {
            if (reg == GMEMU_H_WG_ID(d))
                return inputs_.wg_id[d];
            if (reg == GMEMU_H_WG_SIZE(d))
                return inputs_.wg_size[d];
            if (reg == GMEMU_H_GRID(d))
                return inputs_.grid[d];
        }
        return 0;
    }
}

// What of a job does not change while it runs.
ComputeHart::Started ComputeHart::started() const
{
    std::lock_guard lock(mutex_);
    return {job_.ctx, job_.queue, job_.mode, job_.pc};
}

void ComputeHart::start(uint64_t ctrl)
{
    {
        std::lock_guard lock(mutex_);
        const gmemu_hart_state state = state_.load();
        if (state == GMEMU_HART_RUNNING || state == GMEMU_HART_STALLED) {
            env_.host.log(GMEMU_LOG_ERROR, fmt::format("gmemu: firmware started hart {} while it runs", index_.value));
            return;
        }
        kill_ = false;
        env_.faults.clear_interrupt(index_);
        result_ = {};
        instret_ = 0;
        flush_code_ = ctrl & GMEMU_H_FENCE_I;
        begun_ = false;
        // Firmware may prepare the next job as soon as this one is started.
        job_ = inputs_;
        start_pending_ = true;
        state_ = GMEMU_HART_RUNNING;
        wake_.notify_all();
    }
    env_.auditor.set_running(true);
}

void ComputeHart::kill()
{
    std::lock_guard lock(mutex_);
    const gmemu_hart_state state = state_.load();
    if (state != GMEMU_HART_RUNNING && state != GMEMU_HART_STALLED)
        return;
    kill_ = true;
    env_.faults.interrupt(index_);
    poke();
}

uint64_t ComputeHart::request_update()
{
    const uint64_t request = meter_.updates.value();
    if (client_.running())
        poke();
    return request;
}

void ComputeHart::abandon()
{
    {
        std::lock_guard lock(mutex_);
        abandon_ = true;
        wake_.notify_all();
    }
    env_.faults.interrupt(index_);
    poke();
    env_.gate.wake();
}

void ComputeHart::reset()
{
    std::unique_lock lock(mutex_);
    if (start_pending_) {
        start_pending_ = false;
        env_.auditor.set_running(false);
    }
    wake_.wait(lock, [this] { return idle_; });
    env_.faults.clear_interrupt(index_);
    abandon_ = false;
    kill_ = false;
    inputs_ = {};
    job_ = {};
    result_ = {};
    instret_ = 0;
    begun_ = false;
    state_ = GMEMU_HART_IDLE;
}

// ------------------------------------------------------------------ thread

bool ComputeHart::enter_gate()
{
    inside_gate_ = env_.gate.enter_unless(abandon_);
    if (inside_gate_)
        meter_.enter(HartMeter::Phase::kRunning);
    return inside_gate_;
}

void ComputeHart::leave_gate()
{
    meter_.enter(HartMeter::Phase::kIdle);
    if (inside_gate_)
        env_.gate.leave();
    inside_gate_ = false;
}

void ComputeHart::run()
{
    HostThreadScope registered(env_.host, "gmemu-hart");
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return exit_ || start_pending_; });
        if (exit_)
            return;
        start_pending_ = false;
        idle_ = false;
        lock.unlock();
        if (enter_gate())
            work();
        leave_gate();
        env_.auditor.set_running(false);
        lock.lock();
        idle_ = true;
        wake_.notify_all();
    }
}

void ComputeHart::begin_job()
{
    if (flush_code_)
        engine_->cpu.flush_code();
    hart::HartState &state = engine_->cpu.state();
    state = hart::HartState();
    engine_->cpu.vector().reset();
    state.pc = job_.pc & ~1ull;
    state.x[2] = job_.sp;
    state.x[10] = job_.a0;
    state.x[11] = job_.a1;
    begun_ = true;
}

// A job that has begun is one that was loaded with the state of a device.
void ComputeHart::work()
{
    engine_->port.set_job(job_);
    trace_begin_job(begun_);
    if (!begun_) {
        meter_.jobs.add(1);
        begin_job();
    }
    Result result;
    const Resolved end = run_job(result);
    // Before firmware knows, and starts the next one.
    trace_end_job(end, result);
    if (end == Resolved::kHalted)
        halt(result);
}

ComputeHart::Resolved ComputeHart::run_job(Result &result)
{
    if (env_.injector.hart_hangs(index_)) {
        hang();
        return Resolved::kAbandoned;
    }
    if (stalled())
        if (const Resolved end = await_decision(result); end != Resolved::kRetry)
            return end;
    return job_.mode == GMEMU_H_MODE_EXEC ? execute(result) : blit(result);
}

// Nothing but a reset ends it. What it had in its TLB it can still be told to forget.
void ComputeHart::hang()
{
    leave_gate();
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return exit_ || abandon_; });
}

void ComputeHart::halt(const Result &result)
{
    env_.faults.halted(index_);
    {
        std::lock_guard lock(mutex_);
        result_ = result;
        state_ = GMEMU_HART_HALTED;
    }
    env_.halted(index_);
}

// -------------------------------------------------------------------- trace

static const char *name_of(Verdict verdict)
{
    switch (verdict) {
    case Verdict::kReplay: return "replay";
    case Verdict::kCancelled: return "cancel";
    case Verdict::kInterrupted:
    case Verdict::kPending: break;
    }
    return "hart stopped";
}

void ComputeHart::trace_begin_job(bool resumed)
{
    env_.host.event(GMEMU_EVENT_JOB, index_.value, job_.ctx.value, job_.pc, job_.queue.value);
    Trace *const trace = env_.host.trace();
    if (!trace)
        return;
    const TraceArg ctx = TraceArg::number("context", job_.ctx.value);
    const TraceArg queue = TraceArg::number("queue", job_.queue.value);
    const TraceArg begun = TraceArg::text("begun", resumed ? "before the state was loaded" : "now");
    if (job_.mode == GMEMU_H_MODE_EXEC)
        trace->begin(trace_track(index_), "work-group",
                     {ctx, queue, TraceArg::hex("pc", job_.pc), TraceArg::number("x", job_.wg_id[0]),
                      TraceArg::number("y", job_.wg_id[1]), TraceArg::number("z", job_.wg_id[2]), begun});
    else
        trace->begin(trace_track(index_), job_.mode == GMEMU_H_MODE_COPY ? "copy" : "fill",
                     {ctx, queue, TraceArg::number("bytes", job_.blit_len), TraceArg::hex("dst", job_.blit_dst),
                      TraceArg::hex("src", job_.blit_src), begun});
}

void ComputeHart::trace_end_job(Resolved end, const Result &result)
{
    env_.host.event(GMEMU_EVENT_JOB_END, index_.value, end == Resolved::kHalted ? result.cause : GMEMU_HCAUSE_NONE, instret_);
    if (Trace *const trace = env_.host.trace())
        trace->end(trace_track(index_),
                   {TraceArg::text("result", end == Resolved::kHalted ? name_of_cause(result.cause) : "reset"),
                    TraceArg::number("instructions", instret_.load())});
}

void ComputeHart::trace_stall()
{
    if (Trace *const trace = env_.host.trace())
        trace->begin(trace_track(index_), "stall",
                     {TraceArg::hex("fault", env_.faults.number(index_)), TraceArg::hex("va", stall_.va.value),
                      TraceArg::text("access", name_of_access(static_cast<size_t>(stall_.access))),
                      TraceArg::text("type", name_of_fault(stall_.type)), TraceArg::hex("pc", stall_.pc)});
}

void ComputeHart::trace_answer(const char *answer)
{
    if (Trace *const trace = env_.host.trace())
        trace->end(trace_track(index_), {TraceArg::text("result", answer)});
}

// ---------------------------------------------------------------------- jobs

// Looked at before each stretch of work: is something else wanted of this hart?
ComputeHart::Resolved ComputeHart::attend(uint64_t pc, Result &result)
{
    for (;;) {
        client_.control().clear_stop();
        if (abandon_)
            return Resolved::kAbandoned;
        if (kill_) {
            result = {GMEMU_HCAUSE_KILLED, pc, 0, GMEMU_REASON_NONE, 0};
            return Resolved::kHalted;
        }
        if (!env_.gate.held())
            return Resolved::kRetry;
        leave_gate();
        if (!enter_gate())
            return Resolved::kAbandoned;
    }
}

ComputeHart::Resolved ComputeHart::resolve(DeviceVa va, Access access, gmemu_fault_type type, uint64_t pc, Result &result)
{
    stall({pc, va, access, type});
    return await_decision(result);
}

// Inside the gate.
void ComputeHart::stall(const Stall &at)
{
    stall_ = at;
    const gmemu_fault_engine engine = job_.mode == GMEMU_H_MODE_EXEC ? GMEMU_ENGINE_HART : GMEMU_ENGINE_BLIT;
    // Before the entry is in the ring: who has taken that finds the hart so.
    state_ = GMEMU_HART_STALLED;
    env_.faults.stall(index_, {job_.ctx, job_.queue, at.va, at.access, at.type, engine});
}

// The hart is stalled. Whether it is so and what was decided is settled while it is
// inside the gate, so that a device that is held has it in stall_ and the fault unit.
ComputeHart::Resolved ComputeHart::await_decision(Result &result)
{
    const Stall &at = stall_;
    for (;;) {
        trace_stall();
        leave_gate();
        meter_.enter(HartMeter::Phase::kStalled);
        env_.faults.await(index_);
        if (!enter_gate()) {
            trace_answer("reset");
            return Resolved::kAbandoned;
        }
        const FaultOutcome outcome = env_.faults.take_outcome(index_);
        state_ = GMEMU_HART_RUNNING;
        trace_answer(name_of(outcome.verdict));
        switch (outcome.verdict) {
        case Verdict::kReplay:
            if (engine_->port.fill(at.va.value, at.access).status == hart::FillStatus::kFilled) {
                env_.faults.replay_tried(index_);
                return Resolved::kRetry;
            }
            stall({at.pc, at.va, at.access, engine_->port.fault_type()});
            break;
        case Verdict::kCancelled:
            result = {GMEMU_HCAUSE_FAULT, at.pc, at.va.value, outcome.reason, static_cast<uint64_t>(at.access),
                      at.type};
            return Resolved::kHalted;
        case Verdict::kInterrupted:
        case Verdict::kPending:
            return attend(at.pc, result);
        }
    }
}

ComputeHart::Resolved ComputeHart::execute(Result &result)
{
    auto &cpu = engine_->cpu;
    hart::HartState &state = cpu.state();

    for (;;) {
        if (const Resolved wanted = attend(state.pc, result); wanted != Resolved::kRetry)
            return wanted;
        const uint64_t instructions = state.instret;
        const uint64_t accesses = state.accesses;
        client_.set_running(true);
        const hart::Stop stop = cpu.run();
        pc_.store(stop.reason == hart::StopReason::kRequested ? state.pc : stop.pc, std::memory_order_relaxed);
        meter_.instructions.add(state.instret - instructions);
        meter_.accesses.add(state.accesses - accesses);
        meter_.updated();
        client_.set_running(false);
        instret_ = state.instret;

        auto halt_with = [&](gmemu_hart_cause cause, uint64_t tval) {
            result = {cause, stop.pc, tval, GMEMU_REASON_NONE, static_cast<uint64_t>(stop.access)};
            return Resolved::kHalted;
        };
        switch (stop.reason) {
        case hart::StopReason::kRequested:
            break;
        case hart::StopReason::kPageFault:
            if (const Resolved end =
                    resolve(DeviceVa(stop.tval), stop.access, engine_->port.fault_type(), stop.pc, result);
                end != Resolved::kRetry)
                return end;
            break;
        case hart::StopReason::kEcall:
            if (state.x[17] == GMEMU_ECALL_EXIT)
                return halt_with(GMEMU_HCAUSE_EXIT, 0);
            if (state.x[17] == GMEMU_ECALL_ABORT)
                return halt_with(GMEMU_HCAUSE_ABORT, state.x[10]);
            return halt_with(GMEMU_HCAUSE_ILLEGAL, stop.pc);
        case hart::StopReason::kBreakpoint:
            return halt_with(GMEMU_HCAUSE_BREAKPOINT, stop.pc);
        case hart::StopReason::kIllegal:
            return halt_with(GMEMU_HCAUSE_ILLEGAL, stop.tval);
        case hart::StopReason::kMisaligned:
            return halt_with(GMEMU_HCAUSE_MISALIGNED, stop.tval);
        case hart::StopReason::kWfi:
        case hart::StopReason::kCrash:
            return halt_with(GMEMU_HCAUSE_ILLEGAL, stop.pc);
        }
    }
}

// ------------------------------------------------------------------- blit

ComputeHart::Resolved ComputeHart::blit(Result &result)
{
    const bool fill = job_.mode == GMEMU_H_MODE_FILL;
    pc_.store(0, std::memory_order_relaxed);
    if (!fill && job_.mode != GMEMU_H_MODE_COPY) {
        result.cause = GMEMU_HCAUSE_ILLEGAL;
        return Resolved::kHalted;
    }
    if (fill && ((job_.blit_dst | job_.blit_len) & 7)) {
        result = {GMEMU_HCAUSE_MISALIGNED, 0, job_.blit_dst, GMEMU_REASON_NONE, static_cast<uint64_t>(Access::kWrite)};
        return Resolved::kHalted;
    }
    while (job_.blit_len) {
        if (const Resolved wanted = attend(0, result); wanted != Resolved::kRetry)
            return wanted;
        client_.set_running(true);
        const Resolved end = blit_page(result);
        meter_.updated();
        client_.set_running(false);
        if (end != Resolved::kRetry)
            return end;
    }
    result.cause = GMEMU_HCAUSE_EXIT;
    return Resolved::kHalted;
}

ComputeHart::Resolved ComputeHart::blit_fill_tlb(uint64_t va, Access access, Result &result)
{
    if (engine_->port.fill(va, access).status == hart::FillStatus::kFilled)
        return Resolved::kRetry;
    client_.set_running(false);
    return resolve(DeviceVa(va), access, engine_->port.fault_type(), 0, result);
}

// As much as lies in one page on both sides.
ComputeHart::Resolved ComputeHart::blit_page(Result &result)
{
    ComputePort &port = engine_->port;
    const uint64_t dst = job_.blit_dst;
    const uint64_t src = job_.blit_src;
    const bool fill = job_.mode == GMEMU_H_MODE_FILL;
    uint64_t length = std::min(job_.blit_len, kPageSize - dst % kPageSize);
    if (!fill)
        length = std::min(length, kPageSize - src % kPageSize);

    auto advance = [&] {
        job_.blit_dst += length;
        job_.blit_len -= length;
        if (!fill)
            job_.blit_src += length;
    };
    // Both pages may compete for one L1 entry, and then never be there together.
    const bool conflict = !fill && L1Tlb::conflict(src, dst);
    bool bounced = false;
    for (;;) {
        const bool read = !fill && !bounced;
        const bool write = !conflict || bounced;
        port.begin_access();
        const std::byte *from = read ? port.lookup<Access::kRead>(src, 0) : engine_->bounce.data();
        std::byte *to = write ? port.lookup<Access::kWrite>(dst, 0) : engine_->bounce.data();
        const bool hit = from && to;
        if (hit && fill)
            guest_fill(to, src, length);
        else if (hit)
            guest_copy(to, from, length);
        port.end_access();
        if (hit) {
            meter_.accesses.add(unsigned{read} + unsigned{write});
            if (write) {
                advance();
                return Resolved::kRetry;
            }
            bounced = true;
            continue;
        }
        if (client_.control().stop_requested())
            return Resolved::kRetry;  // from the start of the page; nothing is lost
        const bool missing_source = !from;
        const Resolved end = blit_fill_tlb(missing_source ? src : dst,
                                           missing_source ? Access::kRead : Access::kWrite, result);
        if (end != Resolved::kRetry)
            return end;
        client_.set_running(true);
    }
}

// ------------------------------------------------------------- saved state

void ComputeHart::transfer(StateStream &stream)
{
    bool runs = false;
    {
        std::lock_guard lock(mutex_);
        gmemu_hart_state state = state_;
        stream.field(state, GMEMU_HART_HALTED, "the state of a hart");
        gmemu::transfer(stream, inputs_);
        stream.field(result_.cause, GMEMU_HCAUSE_KILLED, "the cause of a halt");
        stream.field(result_.pc);
        stream.field(result_.tval);
        stream.field(result_.reason);
        stream.field(result_.access);
        stream.field(result_.type);
        stream.field(kill_);
        stream.field(instret_);
        uint64_t instructions = meter_.instructions.value();
        stream.field(instructions);
        stream.field(begun_);
        gmemu::transfer(stream, job_);
        gmemu::transfer(stream, engine_->cpu.state());
        gmemu::transfer(stream, engine_->cpu.vector());
        stream.field(stall_.pc);
        stream.field(stall_.va);
        stream.field(stall_.access, Access::kAtomic, "the access of a stalled hart");
        stream.field(stall_.type, GMEMU_FAULT_POISON, "the fault of a stalled hart");
        runs = state == GMEMU_HART_RUNNING || state == GMEMU_HART_STALLED;
        stream.require(state != GMEMU_HART_STALLED || begun_, "a hart is stalled in a job that has not begun");
        if (!stream.loading() || !stream.ok())
            return;
        engine_->cpu.flush_code();
        meter_.instructions.set(instructions);
        state_ = state;
        start_pending_ = runs;
        wake_.notify_all();
    }
    if (runs)
        env_.auditor.set_running(true);
}

}  // namespace gmemu
