// SPDX-License-Identifier: GPL-2.0-or-later
#include "invalidator.h"

#include <fmt/format.h>

#include <chrono>

#include "core_thread.h"
#include "trace.h"

namespace gmemu {

Invalidator::Invalidator(RegisterFile &registers, const Host &host, Mmu &mmu, FaultUnit &faults, Checker &checker)
    : registers_(registers), host_(host), mmu_(mmu), faults_(faults), checker_(checker)
{
    registers_.on_write(GMEMU_REG_INV_CMD, [this](uint64_t value) {
        submit(static_cast<uint32_t>(value));
        return false;
    });
    registers_.on_read(GMEMU_REG_INV_SEQ, [this]() -> uint64_t {
        std::lock_guard lock(mutex_);
        return seq_;
    });
    registers_.on_read(GMEMU_REG_INV_DONE, [this]() -> uint64_t { return read_done(); });
    thread_ = start_core_thread([this] { run(); });
}

Invalidator::~Invalidator()
{
    {
        std::lock_guard lock(mutex_);
        exit_ = true;
        work_.notify_all();
    }
    thread_.join();
}

std::optional<Invalidator::Command> Invalidator::decode(const Operands &operands, const char *&why)
{
    Command command;
    command.operands = operands;
    auto refuse = [&](const char *reason) {
        why = reason;
        return std::nullopt;
    };
    const auto [word, va, size, ctx_value] = operands;
    const ContextId ctx(ctx_value);
    const uint32_t scope = word & GMEMU_INV_SCOPE_MASK;
    const uint32_t replay = (word & GMEMU_INV_REPLAY_MASK) >> GMEMU_INV_REPLAY_SHIFT;
    const uint32_t reason = (word & GMEMU_INV_REASON_MASK) >> GMEMU_INV_REASON_SHIFT;

    command.has_scope = scope != GMEMU_INV_SCOPE_NONE;
    command.match.ctx = ctx;
    switch (scope) {
    case GMEMU_INV_SCOPE_NONE:
        break;
    case GMEMU_INV_SCOPE_ALL:
        command.match.kind = TlbMatch::Kind::kAll;
        break;
    case GMEMU_INV_SCOPE_CTX:
        command.match.kind = TlbMatch::Kind::kContext;
        break;
    case GMEMU_INV_SCOPE_RANGE:
        if (size == 0)
            return refuse("INV_SIZE is 0: nothing would be invalidated");
        if ((va | size) & (kPageSize - 1))
            return refuse("INV_VA or INV_SIZE is not a multiple of 4 KiB");
        // 5-level x86 tables have the widest addresses.
        if (va >> 57 || size > 1ull << 57)
            return refuse("INV_VA or INV_SIZE is beyond 57 bits");
        command.match.kind = TlbMatch::Kind::kRange;
        command.match.va = va;
        command.match.size = size;
        break;
    default:
        return refuse("reserved scope");
    }
    switch (replay) {
    case GMEMU_INV_REPLAY_NONE:
        command.replay = Command::Replay::kNone;
        break;
    case GMEMU_INV_REPLAY_START:
        command.replay = Command::Replay::kStart;
        break;
    case GMEMU_INV_REPLAY_START_ACK_ALL:
        command.replay = Command::Replay::kStartAckAll;
        break;
    case GMEMU_INV_REPLAY_CANCEL_TARGETED:
        command.cancel.kind = CancelMatch::Kind::kTargeted;
        command.replay = Command::Replay::kCancel;
        break;
    case GMEMU_INV_REPLAY_CANCEL_VA:
        command.cancel.kind = CancelMatch::Kind::kVa;
        command.replay = Command::Replay::kCancel;
        break;
    case GMEMU_INV_REPLAY_CANCEL_GLOBAL:
        command.cancel.kind = CancelMatch::Kind::kGlobal;
        command.replay = Command::Replay::kCancel;
        break;
    default:
        return refuse("reserved replay operation");
    }
    command.cancel.engine = (word & GMEMU_INV_ENGINE_MASK) >> GMEMU_INV_ENGINE_SHIFT;
    command.cancel.client = (word & GMEMU_INV_CLIENT_MASK) >> GMEMU_INV_CLIENT_SHIFT;
    command.cancel.ctx = ctx;
    command.cancel.va = DeviceVa(va);
    if (command.replay == Command::Replay::kCancel && reason > GMEMU_REASON_KILLED)
        return refuse("reserved cancel reason");
    command.reason = static_cast<gmemu_fault_reason>(reason);
    return command;
}

bool Invalidator::finish_soon(Mmu::Shootdown &shootdown)
{
    constexpr unsigned kLooks = 64;  // for one at the clock
    const auto end = std::chrono::steady_clock::now() + kInlineWait;
    do {
        for (unsigned i = 0; i < kLooks; i++)
            if (shootdown.try_finish())
                return true;
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

void Invalidator::submit(uint32_t word)
{
    const Operands operands{word, registers_.value(GMEMU_REG_INV_VA), registers_.value(GMEMU_REG_INV_SIZE),
                            static_cast<uint32_t>(registers_.value(GMEMU_REG_INV_CTX))};
    const char *why = nullptr;
    auto decoded = decode(operands, why);
    if (!decoded)
        registers_.bad_value(GMEMU_REG_INV_CMD, word, why);
    else if (decoded->match.kind == TlbMatch::Kind::kRange && decoded->has_scope &&
             decoded->replay == Command::Replay::kCancel && decoded->cancel.kind == CancelMatch::Kind::kVa)
        checker_.violation(GMEMU_CHK_INV_OPERANDS, decoded->match.ctx, operands.va,
                           fmt::format("INV_CMD {:#010x} combines CANCEL_VA with SCOPE_RANGE: both take INV_VA ({:#x})", word,
                                       operands.va));
    commands_.fetch_add(1, std::memory_order_relaxed);
    if (decoded && decoded->has_scope)
        invalidations_.fetch_add(1, std::memory_order_relaxed);

    std::unique_lock lock(mutex_);
    if (queue_.size() >= kSlots &&
        !progress_.wait_for(lock, kSlotTimeout, [this] { return queue_.size() < kSlots; })) {
        lock.unlock();
        registers_.busy(GMEMU_REG_INV_CMD, "all slots busy: the command is lost, wait for INV_DONE first");
        return;
    }
    // A refused command still completes, in its turn, and does nothing.
    Command command = decoded.value_or(Command{.operands = operands, .refused = true});
    command.seq = ++seq_;
    trace_begin(command);
    if (busy_ || !queue_.empty()) {
        queue_.push_back({command, std::nullopt, false});
        work_.notify_one();
        return;
    }

    busy_ = true;
    lock.unlock();
    std::optional<Mmu::Shootdown> shootdown;
    bool finished = true;
    if (command.has_scope) {
        shootdown = mmu_.start_shootdown(command.match);
        finished = finish_soon(*shootdown);
    }
    if (!finished || command.replay == Command::Replay::kStartAckAll) {
        lock.lock();
        queue_.push_front({command, std::move(shootdown), false});
        busy_ = false;
        work_.notify_one();
        return;
    }
    replay(command);
    lock.lock();
    complete(lock, command.seq);
}

// From the write of INV_CMD until INV_DONE shows its number.
void Invalidator::trace_begin(const Command &command)
{
    host_.event(GMEMU_EVENT_INVALIDATE, command.seq, command.operands.word, command.operands.ctx, command.operands.va);
    Trace *const trace = host_.trace();
    if (!trace)
        return;
    const char *name = "refused";
    if (!command.refused) {
        switch (command.replay) {
        case Command::Replay::kNone: name = command.has_scope ? "invalidate" : "nothing"; break;
        case Command::Replay::kStart: name = command.has_scope ? "invalidate and replay" : "replay"; break;
        case Command::Replay::kStartAckAll: name = command.has_scope ? "invalidate, replay and wait" : "replay and wait"; break;
        case Command::Replay::kCancel: name = command.has_scope ? "invalidate and cancel" : "cancel"; break;
        }
    }
    const char *scope = "none";
    if (command.has_scope)
        scope = command.match.kind == TlbMatch::Kind::kRange     ? "range"
                : command.match.kind == TlbMatch::Kind::kContext ? "context"
                                                                 : "all";
    trace->begin(TraceKind::kInvalidation, command.seq, name,
                 {TraceArg::number("seq", command.seq), TraceArg::hex("command", command.operands.word),
                  TraceArg::text("scope", scope), TraceArg::number("context", command.operands.ctx),
                  TraceArg::hex("va", command.operands.va), TraceArg::number("bytes", command.operands.size)});
}

void Invalidator::replay(const Command &command)
{
    switch (command.replay) {
    case Command::Replay::kNone:
        break;
    case Command::Replay::kStart:
        faults_.replay();
        break;
    case Command::Replay::kStartAckAll:
        break;
    case Command::Replay::kCancel:
        faults_.cancel(command.cancel, command.reason);
        break;
    }
}

void Invalidator::replay_and_settle(const Command &command, bool replayed)
{
    if (!replayed)
        faults_.replay();
    {
        std::lock_guard lock(mutex_);
        settling_ = command;
        progress_.notify_all();
    }
    faults_.wait_replay_settled();
}

void Invalidator::complete(std::unique_lock<std::mutex> &lock, uint32_t seq)
{
    done_ = seq;
    host_.event(GMEMU_EVENT_INVALIDATE_END, seq);
    if (Trace *const trace = host_.trace())
        trace->end(TraceKind::kInvalidation, seq);
    busy_ = false;
    progress_.notify_all();
    if (!queue_.empty())
        work_.notify_one();
    lock.unlock();
    if (completion_hook_)
        completion_hook_();
}

uint32_t Invalidator::read_done()
{
    std::unique_lock lock(mutex_);
    if (done_ != seq_)
        progress_.wait_for(lock, kReadDelay, [this] { return done_ == seq_; });
    return done_;
}

void Invalidator::run()
{
    HostThreadScope registered(host_, "gmemu-inv");
    std::unique_lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [this] { return exit_ || (!queue_.empty() && !busy_); });
        if (exit_)
            return;
        Work work = std::move(queue_.front());
        queue_.pop_front();
        busy_ = true;
        lock.unlock();
        if (work.command.has_scope) {
            if (!work.started)
                work.started = mmu_.start_shootdown(work.command.match);
            work.started->finish();
        }
        if (work.command.replay == Command::Replay::kStartAckAll) {
            replay_and_settle(work.command, work.replayed);
        } else {
            replay(work.command);
        }
        lock.lock();
        settling_.reset();
        complete(lock, work.command.seq);
        lock.lock();
    }
}

void Invalidator::reset()
{
    std::unique_lock lock(mutex_);
    for (;;) {
        queue_.clear();
        if (!busy_)
            break;
        progress_.wait(lock);
    }
    seq_ = done_ = 0;
    if (Trace *const trace = host_.trace())
        trace->end_all(TraceKind::kInvalidation, {TraceArg::text("result", "reset")});
}

void Invalidator::settle()
{
    std::unique_lock lock(mutex_);
    progress_.wait(lock, [this] { return settling_ ? !faults_.replay_settled() : queue_.empty() && !busy_; });
}

void Invalidator::transfer(StateStream &stream)
{
    std::lock_guard lock(mutex_);
    stream.field(seq_);
    stream.field(done_);
    stream.field(commands_);
    bool settling = settling_.has_value();
    stream.field(settling);
    uint32_t count = static_cast<uint32_t>(queue_.size()) + settling;
    stream.field(count, kSlots + 1, "the number of invalidations under way");
    for (uint32_t i = 0; i < count; i++) {
        Command command;
        if (!stream.loading())
            command = settling && i == 0 ? *settling_ : queue_[i - settling].command;
        stream.field(command.seq);
        stream.field(command.refused);
        stream.field(command.operands.word);
        stream.field(command.operands.va);
        stream.field(command.operands.size);
        stream.field(command.operands.ctx);
        if (!stream.loading() || !stream.ok())
            continue;
        const bool replayed = settling && i == 0;
        const char *why = nullptr;
        const auto decoded = decode(command.operands, why);
        stream.require(command.refused == !decoded, "an invalidation under way is impossible");
        stream.require(!replayed || (decoded && decoded->replay == Command::Replay::kStartAckAll),
                       "a replay under way is none");
        if (!stream.ok())
            break;
        if (decoded) {
            const uint32_t seq = command.seq;
            command = *decoded;
            command.seq = seq;
        }
        // There is nothing in the TLBs of a device that is loaded, so its shootdown is quick.
        queue_.push_back({command, std::nullopt, replayed});
        trace_begin(command);
    }
    if (!stream.loading())
        return;
    if (!stream.ok())
        queue_.clear();
    work_.notify_one();
}

}  // namespace gmemu
