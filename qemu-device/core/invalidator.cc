// SPDX-License-Identifier: GPL-2.0-or-later
#include "invalidator.h"

#include <fmt/format.h>

#include <chrono>

#include "core_thread.h"

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

// Empty for a command that is refused.
std::optional<Invalidator::Command> Invalidator::decode(uint32_t word)
{
    Command command;
    command.word = word;
    auto refuse = [&](const char *why) {
        registers_.bad_value(GMEMU_REG_INV_CMD, word, why);
        return std::nullopt;
    };
    const uint64_t va = registers_.value(GMEMU_REG_INV_VA);
    const uint64_t size = registers_.value(GMEMU_REG_INV_SIZE);
    const ContextId ctx(static_cast<uint32_t>(registers_.value(GMEMU_REG_INV_CTX)));
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
    if (scope == GMEMU_INV_SCOPE_RANGE && replay == GMEMU_INV_REPLAY_CANCEL_VA)
        checker_.violation(GMEMU_CHK_INV_OPERANDS, ctx, va,
                           fmt::format("INV_CMD {:#010x} combines CANCEL_VA with SCOPE_RANGE: both take INV_VA ({:#x})", word, va));
    return command;
}

void Invalidator::submit(uint32_t word)
{
    auto decoded = decode(word);
    commands_.fetch_add(1, std::memory_order_relaxed);

    std::unique_lock lock(mutex_);
    if (queue_.size() >= kSlots &&
        !progress_.wait_for(lock, kSlotTimeout, [this] { return queue_.size() < kSlots; })) {
        lock.unlock();
        registers_.busy(GMEMU_REG_INV_CMD, "all slots busy: the command is lost, wait for INV_DONE first");
        return;
    }
    // A refused command still completes, in its turn, and does nothing.
    Command command = decoded.value_or(Command());
    command.seq = ++seq_;
    if (busy_ || !queue_.empty()) {
        queue_.push_back({command, std::nullopt});
        work_.notify_one();
        return;
    }

    busy_ = true;
    lock.unlock();
    std::optional<Mmu::Shootdown> shootdown;
    bool finished = true;
    if (command.has_scope) {
        shootdown = mmu_.start_shootdown(command.match);
        finished = shootdown->try_finish();
        for (unsigned i = 0; !finished && i < kInlineSpins; i++)
            finished = shootdown->try_finish();
    }
    if (!finished || command.replay == Command::Replay::kStartAckAll) {
        lock.lock();
        queue_.push_front({command, std::move(shootdown)});
        busy_ = false;
        work_.notify_one();
        return;
    }
    replay(command);
    lock.lock();
    complete(lock, command.seq);
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
        faults_.replay();
        faults_.wait_replay_settled();
        break;
    case Command::Replay::kCancel:
        faults_.cancel(command.cancel, command.reason);
        break;
    }
}

void Invalidator::complete(std::unique_lock<std::mutex> &lock, uint32_t seq)
{
    done_ = seq;
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
        replay(work.command);
        lock.lock();
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
}

}  // namespace gmemu
