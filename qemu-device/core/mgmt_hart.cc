// SPDX-License-Identifier: GPL-2.0-or-later
#include "mgmt_hart.h"

#include <fmt/format.h>

#include "core_thread.h"
#include "hart/cpu.h"
#include "hart_stream.h"

namespace gmemu {

struct MgmtHart::Engine {
    Engine(const Environment &env, TlbClient &client)
        : port(env.mmu, client, env.dram, env.host, env.faults, env.mgmt_registers, env.clock), cpu(port, 0)
    {
    }
    MgmtPort port;
    hart::Cpu<MgmtPort, hart::MachineMode> cpu;
};

MgmtHart::MgmtHart(const Environment &environment)
    : env_(environment), client_(env_.mmu.add_client()), engine_(std::make_unique<Engine>(env_, client_))
{
    env_.registers.on_write(GMEMU_REG_FW_CTRL, [this](uint64_t value) {
        if (value & GMEMU_FW_CTRL_HALT) {
            halt_ = true;
            poke();
            std::unique_lock lock(mutex_);
            if (start_pending_) {
                start_pending_ = false;
                phase_ = Phase::kOff;
            }
            // Held while the VM is stopped: firmware is off once it goes on.
            wake_.wait_for(lock, std::chrono::milliseconds(50), [this] { return idle_; });
            env_.registers.set(GMEMU_REG_FW_STATUS, GMEMU_FW_OFF);
        }
        if (value & GMEMU_FW_CTRL_BOOT) {
            std::unique_lock lock(mutex_);
            // The VM was stopped when HALT was written: firmware is about to find it.
            if (halt_)
                wake_.wait_for(lock, std::chrono::milliseconds(50), [this] { return idle_; });
            if (!idle_ || start_pending_) {
                env_.registers.busy(GMEMU_REG_FW_CTRL, "BOOT while firmware runs: HALT it first");
                return false;
            }
            halt_ = false;
            phase_ = Phase::kBooting;
            start_pending_ = true;
            env_.registers.set(GMEMU_REG_FW_STATUS, GMEMU_FW_LOADING);
            wake_.notify_all();
        }
        return false;
    });
    for (uint32_t reg : {GMEMU_REG_FW_BASE, GMEMU_REG_FW_SIZE}) {
        env_.registers.on_write(reg, [this, reg](uint64_t) {
            if (env_.registers.value(GMEMU_REG_FW_STATUS) != GMEMU_FW_LOADING)
                return true;
            env_.registers.busy(reg, "the image is being loaded");
            return false;
        });
    }
    thread_ = start_core_thread([this] { run(); });
}

MgmtHart::~MgmtHart()
{
    {
        std::lock_guard lock(mutex_);
        exit_ = true;
        wake_.notify_all();
    }
    abandon();
    thread_.join();
}

void MgmtHart::abandon()
{
    abandon_ = true;
    poke();
    env_.gate.wake();
}

void MgmtHart::reset()
{
    std::unique_lock lock(mutex_);
    start_pending_ = false;
    wake_.wait(lock, [this] { return idle_; });
    phase_ = Phase::kOff;
    abandon_ = false;
    halt_ = false;
    engine_->port.reset();
}

bool MgmtHart::enter_gate()
{
    inside_gate_ = env_.gate.enter_unless(abandon_);
    return inside_gate_;
}

void MgmtHart::leave_gate()
{
    if (inside_gate_)
        env_.gate.leave();
    inside_gate_ = false;
}

void MgmtHart::run()
{
    HostThreadScope registered(env_.host, "gmemu-mgmt");
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return exit_ || start_pending_; });
        if (exit_)
            return;
        start_pending_ = false;
        idle_ = false;
        lock.unlock();
        if (enter_gate() && (phase_ != Phase::kBooting || boot()))
            execute();
        env_.mmu.watch().set_firmware_end(0);
        if (inside_gate_)
            phase_ = Phase::kOff;
        leave_gate();
        lock.lock();
        idle_ = true;
        wake_.notify_all();
    }
}

bool MgmtHart::boot()
{
    const BusAddr image(env_.registers.value(GMEMU_REG_FW_BASE));
    const auto size = static_cast<uint32_t>(env_.registers.value(GMEMU_REG_FW_SIZE));
    const BootResult result = load_firmware(env_.host, env_.dram, image, size, env_.reserved);
    if (!result.ok) {
        env_.host.log(GMEMU_LOG_GUEST_ERROR, "gmemu: firmware image refused: " + result.error);
        env_.registers.set(GMEMU_REG_FW_STATUS, GMEMU_FW_BAD_IMAGE);
        env_.errors.raise(GMEMU_ERR_FIRMWARE, image.value);
        return false;
    }
    if (result.changed)
        env_.checker.violation(GMEMU_CHK_FW_IMAGE, ContextId(0), image.value,
                               fmt::format("the firmware image at bus {:#x} was changed while it was loaded", image.value));
    env_.mmu.watch().set_firmware_end(env_.reserved);
    env_.registers.set(GMEMU_REG_FW_VERSION, result.version);
    env_.host.log(GMEMU_LOG_INFO, fmt::format("gmemu: starting firmware {} {}.{}", result.name, result.version >> 16,
                                              result.version & 0xffff));
    engine_->port.reset();
    engine_->cpu.reset(GMEMU_MGMT_DRAM + result.entry);
    phase_ = Phase::kRunning;
    return true;
}

// false: the hart is to stop.
bool MgmtHart::attend()
{
    for (;;) {
        client_.control().clear_stop();
        if (halt_ || abandon_)
            return false;
        if (!env_.gate.held())
            return true;
        leave_gate();
        if (!enter_gate())
            return false;
    }
}

void MgmtHart::crashed(uint64_t pc, uint64_t tval)
{
    env_.host.log(GMEMU_LOG_ERROR, fmt::format("gmemu: firmware crashed at pc {:#x}, address {:#x}", pc, tval));
    env_.registers.set(GMEMU_REG_FW_STATUS, GMEMU_FW_CRASHED);
    env_.errors.raise(GMEMU_ERR_FIRMWARE, pc);
}

void MgmtHart::execute()
{
    while (attend()) {
        if (phase_ == Phase::kWaiting) {
            leave_gate();
            env_.irq.wait([this] { return halt_ || abandon_; });
            if (!enter_gate())
                return;
            phase_ = Phase::kRunning;
            continue;
        }
        client_.set_running(true);
        const hart::Stop stop = engine_->cpu.run();
        client_.set_running(false);
        switch (stop.reason) {
        case hart::StopReason::kRequested:
            break;
        case hart::StopReason::kWfi:
            if (!env_.irq.pending())
                phase_ = Phase::kWaiting;
            break;
        default:
            crashed(stop.pc, stop.tval);
            return;
        }
    }
}

void MgmtHart::transfer(StateStream &stream)
{
    auto &cpu = engine_->cpu;
    std::lock_guard lock(mutex_);
    Phase phase = halt_ ? Phase::kOff : phase_;  // it was held before it could see that
    stream.field(phase, Phase::kWaiting, "the phase of the management hart");
    stream.field(halt_);
    gmemu::transfer(stream, cpu.state());
    gmemu::transfer(stream, cpu.machine_csrs());
    engine_->port.transfer(stream);
    if (!stream.loading() || !stream.ok())
        return;
    engine_->port.set_user_data(cpu.machine_csrs().user_data());
    cpu.flush_code();
    phase_ = phase;
    if (phase == Phase::kRunning || phase == Phase::kWaiting)
        env_.mmu.watch().set_firmware_end(env_.reserved);
    start_pending_ = phase != Phase::kOff;
    wake_.notify_all();
}

}  // namespace gmemu
