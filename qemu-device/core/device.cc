// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <bit>

#include <fmt/format.h>

#include "barrier.h"
#include "hart/vector/state.h"

namespace gmemu {

std::string Device::validate(const gmemu_config &config, const gmemu_host_ops &ops)
{
    if (ops.abi != GMEMU_CORE_ABI)
        return fmt::format("host ops have ABI {}, the core has {}: rebuild them together", ops.abi, GMEMU_CORE_ABI);
    if (!ops.dma_read || !ops.dma_write || !ops.dma_map || !ops.dma_unmap || !ops.msix)
        return "a host operation is missing";
    if (config.cores < 1 || config.cores > GMEMU_MAX_CORES)
        return fmt::format("cores={}: must be 1..{}", config.cores, GMEMU_MAX_CORES);
    if (config.check > GMEMU_CHECK_FATAL)
        return fmt::format("check={}: must be 0 (off), 1 (log) or 2 (fatal)", config.check);
    if (config.dram_size < 4ull << 20 || config.dram_size % (2ull << 20))
        return fmt::format("dram={} bytes: must be a multiple of 2 MiB and at least 4 MiB", config.dram_size);
    // Both are things of PCI: a BAR is a power of two, and pages of it get mapped.
    if (config.dram && !std::has_single_bit(config.dram_size))
        return fmt::format("dram={} bytes: local DRAM that is a BAR (coherent=on) must be a power of two", config.dram_size);
    if (config.dram && reinterpret_cast<uintptr_t>(config.dram) % kPageSize)
        return "the memory for local DRAM is not aligned to 4 KiB";
    if (config.peer > 1)
        return fmt::format("peer={}: must be 0 (off) or 1 (on)", config.peer);
    if (!hart::valid_vlen(config.vlen))
        return fmt::format("vlen={}: must be a power of two from {} to {} bits, or 0 for no vectors", config.vlen,
                           hart::kMinVlen, hart::kMaxVlen);
    if (config.replayable > 1)
        return fmt::format("replayable={}: must be 0 (no engine can replay its faults) or 1", config.replayable);
    std::string problem;
    parse_inject(config.inject ? config.inject : "", config.cores, problem);
    return problem;
}

Device::Device(const gmemu_config &config, const gmemu_host_ops &ops, void *opaque, const AuditTimes &times)
    : host_(ops, opaque), clock_(host_), trace_(Trace::make(config.trace, clock_, host_, config.cores)), errors_(host_), injector_(host_, errors_, config.inject ? config.inject : "", config.cores),
      checker_(host_, errors_, config.check), chaos_(config.chaos_seed),
      dram_(config.dram_size, static_cast<std::byte *>(config.dram)), registers_(checker_, errors_),
      check_ring_(registers_, host_, checker_, errors_, clock_, report_gate_), ring_map_(registers_, checker_),
      mmu_(host_, dram_, checker_, chaos_), counters_(registers_, host_, clock_, checker_, errors_, chaos_),
      faults_(config.cores, config.replayable != 0, registers_, host_, clock_, checker_, errors_, chaos_), doorbells_(irq_),
      mailbox_audit_(registers_, host_, checker_), mailbox_(registers_, host_, irq_, mailbox_audit_),
      auditor_(host_, mmu_, faults_, checker_, clock_, times), invalidator_(registers_, host_, mmu_, faults_, checker_),
      copy_audit_(registers_, mmu_, ring_map_, checker_), copy_(registers_, host_, dram_, checker_, errors_, engine_gate_),
      mgmt_dma_(host_, dram_, mmu_, checker_, errors_),
      mgmt_registers_(registers_, host_, clock_, irq_, doorbells_, mailbox_, mgmt_dma_, faults_, errors_, harts_)
{
    AsymmetricBarrier::init();
    if (injector_.enabled()) {
        host_.set_injector(injector_);
        mmu_.set_injector(injector_);
        copy_.set_injector(injector_);
    }
    engine_gate_.hold(HoldReason::kDisabled);
    checker_.set_fatal_hook([this] {
        fatal_ = true;
        engine_gate_.hold(HoldReason::kFatal);
        mgmt_gate_.hold(HoldReason::kFatal);
        poke_all();
    });
    counters_.set_age_hook([this](bool local) { mmu_.age(local); });
    mmu_.set_access_counters(counters_);
    faults_.set_parked_hook([this] { irq_.raise(GMEMU_MIRQ_REPLAY); });
    faults_.set_taken_hook([this] { auditor_.kick(); });
    if (checker_.enabled())
        copy_.set_audit([this](const gmemu_copy_desc &desc, uint32_t index, bool done) {
            copy_audit_.look(desc, index, done ? CopyAudit::Phase::kAfter : CopyAudit::Phase::kBefore);
        });
    invalidator_.set_completion_hook([this] { auditor_.kick(); });
    for (uint32_t i = 0; i < config.cores; i++) {
        ComputeHart::Environment environment{host_, mmu_, faults_, injector_, engine_gate_, auditor_, clock_, config.vlen, [this](HartIndex hart) {
                                                 mgmt_registers_.hart_halted(hart);
                                             }};
        harts_.push_back(std::make_unique<ComputeHart>(HartIndex(i), config.cores, std::move(environment)));
    }
    mgmt_ = std::make_unique<MgmtHart>(MgmtHart::Environment{registers_, host_, dram_, mmu_, faults_, mgmt_gate_, irq_,
                                                             mgmt_registers_, checker_, errors_, clock_, kFirmwareReserved});
    perf_ = std::make_unique<PerfCounters>(
        registers_, clock_,
        PerfCounters::Sources{host_, mmu_, faults_, invalidator_, copy_, mgmt_dma_, mgmt_registers_, harts_});
    inspector_ = std::make_unique<Inspector>(Inspector::Sources{host_, clock_, registers_, mmu_, faults_, *perf_, harts_});
    attach_registers(config);
    if (config.chaos_seed)
        host_.log(GMEMU_LOG_INFO, fmt::format("gmemu: chaos={}", config.chaos_seed));
}

Device::~Device()
{
    // Harts first: others wait for them.
    for (auto &hart : harts_)
        hart->abandon();
    mgmt_.reset();
    harts_.clear();
    mmu_.shootdown(TlbMatch{});
}

void Device::attach_registers(const gmemu_config &config)
{
    uint64_t caps = GMEMU_CAP_WALK_X86 | GMEMU_CAP_ACCESS_COUNTERS | GMEMU_CAP_PERF | GMEMU_CAP_PREFETCH;
    if (config.replayable)
        caps |= GMEMU_CAP_REPLAYABLE;
    if (checker_.enabled())
        caps |= GMEMU_CAP_CHECKER | GMEMU_CAP_CHECK_RING;
    if (config.dram)
        caps |= GMEMU_CAP_COHERENT;
    if (config.peer)
        caps |= GMEMU_CAP_PEER;
    if (config.vlen)
        caps |= GMEMU_CAP_VECTOR;
    registers_.set_reset(GMEMU_REG_CAPS, caps);
    registers_.set_reset(GMEMU_REG_CORES, config.cores);
    registers_.set_reset(GMEMU_REG_DRAM_SIZE, config.dram_size);
    // A peer keeps all of it, and says itself how much it can hold.
    registers_.set_reset(GMEMU_REG_DRAM_RESERVED, config.peer ? config.dram_size : kFirmwareReserved);
    registers_.set_reset(GMEMU_REG_CHECK_MODE, config.check);
    registers_.set_reset(GMEMU_REG_VLEN, config.vlen);

    registers_.on_read(GMEMU_REG_STATUS, [this]() -> uint64_t {
        return (ready_ ? GMEMU_STATUS_READY : 0) | (fatal_ ? GMEMU_STATUS_FATAL : 0) |
               (host_.bus_master() ? 0 : GMEMU_STATUS_DMA_OFF);
    });
    registers_.on_read(GMEMU_REG_ERROR, [this]() -> uint64_t { return errors_.code(); });
    registers_.on_read(GMEMU_REG_ERROR_INFO, [this]() -> uint64_t { return errors_.info(); });
    registers_.on_read(GMEMU_REG_TIMESTAMP, [this] { return clock_.now_ns(); });
    registers_.on_read(GMEMU_REG_CHECK_COUNT, [this]() -> uint64_t { return checker_.count(); });
    registers_.on_read(GMEMU_REG_CHECK_CODE, [this]() -> uint64_t { return checker_.first_code(); });
    registers_.on_read(GMEMU_REG_CHECK_CTX, [this]() -> uint64_t { return checker_.first_ctx(); });
    registers_.on_read(GMEMU_REG_CHECK_INFO, [this]() -> uint64_t { return checker_.first_info(); });
    registers_.on_write(GMEMU_REG_ERROR, [this](uint64_t value) {
        if (value)
            registers_.bad_value(GMEMU_REG_ERROR, value, "only 0 may be written, which clears it");
        else
            errors_.clear();
        return false;
    });
    registers_.on_write(GMEMU_REG_CHECK_CODE, [this](uint64_t value) {
        if (value)
            registers_.bad_value(GMEMU_REG_CHECK_CODE, value, "only 0 may be written, which clears it");
        else
            checker_.clear_first();
        return false;
    });
    registers_.on_write(GMEMU_REG_CTRL, [this](uint64_t value) {
        write_ctrl(value);
        return false;
    });
    registers_.on_write(GMEMU_REG_CTX_BASE, [this](uint64_t value) {
        if (value & 0xfff) {
            registers_.bad_value(GMEMU_REG_CTX_BASE, value, "not aligned to 4 KiB");
            return false;
        }
        mmu_.set_context_table(BusAddr(value), static_cast<uint32_t>(registers_.value(GMEMU_REG_CTX_SIZE_LOG2)));
        return true;
    });
    registers_.on_write(GMEMU_REG_CTX_SIZE_LOG2, [this](uint64_t value) {
        if (value > GMEMU_CTX_MAX_LOG2) {
            registers_.bad_value(GMEMU_REG_CTX_SIZE_LOG2, value, "larger than CTX_LOG2");
            return false;
        }
        mmu_.set_context_table(BusAddr(registers_.value(GMEMU_REG_CTX_BASE)), static_cast<uint32_t>(value));
        return true;
    });
}

// -------------------------------------------------------------------- MMIO

uint64_t Device::mmio_read(uint64_t offset, unsigned size)
{
    if (offset >= GMEMU_DOORBELL_BASE) {
        const uint64_t inside = offset - GMEMU_DOORBELL_BASE;
        return inside % GMEMU_DOORBELL_STRIDE == 0 && size == 8 ? doorbells_.value(inside / GMEMU_DOORBELL_STRIDE) : 0;
    }
    return registers_.read(offset, size);
}

void Device::mmio_write(uint64_t offset, uint64_t value, unsigned size)
{
    if (offset >= GMEMU_DOORBELL_BASE)
        doorbells_.write(offset - GMEMU_DOORBELL_BASE, value, size);
    else
        registers_.write(offset, value, size);
    if (checker_.enabled())
        ring_map_.written(offset);
}

void Device::write_ctrl(uint64_t value)
{
    if (value & GMEMU_CTRL_RESET) {
        reset(ResetCause::kRegister);
        return;
    }
    std::lock_guard lock(control_mutex_);
    if (trace_)
        trace_->instant(TraceTrack::kDevice, value & GMEMU_CTRL_ENABLE ? "enabled" : "disabled");
    registers_.set(GMEMU_REG_CTRL, value);
    if (value & GMEMU_CTRL_ENABLE) {
        engine_gate_.release(HoldReason::kDisabled);
    } else {
        check_stopped();
        engine_gate_.hold(HoldReason::kDisabled);
        poke_all();
        engine_gate_.drain();
    }
}

// CTRL.ENABLE goes: nothing may run then.
void Device::check_stopped()
{
    for (uint32_t i = 0; i < harts_.size(); i++) {
        const uint64_t state = harts_[i]->read(GMEMU_H_STATE);
        if (state == GMEMU_HART_RUNNING || state == GMEMU_HART_STALLED)
            checker_.violation(GMEMU_CHK_UNIT_STOPPED, ContextId(static_cast<uint32_t>(harts_[i]->read(GMEMU_H_CTX))),
                               GMEMU_REG_CTRL, fmt::format("CTRL.ENABLE was cleared while hart {} ran", i), {.hart = i});
    }
    if (copy_.has_work())
        checker_.violation(GMEMU_CHK_UNIT_STOPPED, ContextId(0), GMEMU_REG_CTRL,
                           "CTRL.ENABLE was cleared while the copy engine had descriptors to do");
}

// ------------------------------------------------------- reset and quiesce

void Device::poke_all()
{
    for (auto &hart : harts_)
        hart->poke();
    if (mgmt_)
        mgmt_->poke();
}

void Device::hold(HoldReason reason)
{
    engine_gate_.hold(reason);
    mgmt_gate_.hold(reason);
    report_gate_.hold(reason);
    poke_all();
}

void Device::drain()
{
    engine_gate_.drain();
    mgmt_gate_.drain();
    report_gate_.drain();
}

void Device::reset(ResetCause cause)
{
    std::lock_guard lock(control_mutex_);
    if (trace_)
        trace_->begin(TraceTrack::kDevice, "reset",
                      {TraceArg::text("by", cause == ResetCause::kRegister ? "CTRL" : "function or bus")});
    reset_blocks();
    dram_.clear();
    if (trace_)
        trace_->end(TraceTrack::kDevice);
}

// All but local DRAM.
void Device::reset_blocks()
{
    ready_ = false;
    hold(HoldReason::kReset);
    for (auto &hart : harts_)
        hart->abandon();
    mgmt_->abandon();
    drain();
    invalidator_.reset();
    for (auto &hart : harts_)
        hart->reset();
    mgmt_->reset();

    mmu_.set_context_table(BusAddr(0), 0);
    mmu_.shootdown(TlbMatch{});
    copy_.reset();
    counters_.reset();
    mgmt_dma_.reset();
    faults_.reset();
    doorbells_.reset();
    mgmt_registers_.reset();
    irq_.acknowledge(~0ull);
    registers_.reset();
    check_ring_.reset();
    ring_map_.reset();
    mailbox_audit_.reset();
    perf_->reset();
    auditor_.reset();
    checker_.reset();
    errors_.clear();

    fatal_ = false;
    ready_ = true;
    engine_gate_.hold(HoldReason::kDisabled);
    for (RunGate *gate : {&engine_gate_, &mgmt_gate_, &report_gate_}) {
        gate->release(HoldReason::kFatal);
        gate->release(HoldReason::kReset);
    }
}

void Device::quiesce()
{
    std::lock_guard lock(control_mutex_);
    if (quiesced_++)
        return;
    if (trace_)
        trace_->begin(TraceTrack::kDevice, "held");
    hold(HoldReason::kQuiesced);
    drain();
    faults_.settle();
    auditor_.pause();
    mmu_.shootdown(TlbMatch{});
}

void Device::resume()
{
    std::lock_guard lock(control_mutex_);
    if (quiesced_ == 0 || --quiesced_)
        return;
    // Time stood still for software: nothing is overdue yet.
    faults_.restart_overdue();
    auditor_.resume();
    engine_gate_.release(HoldReason::kQuiesced);
    mgmt_gate_.release(HoldReason::kQuiesced);
    report_gate_.release(HoldReason::kQuiesced);
    if (trace_)
        trace_->end(TraceTrack::kDevice);
}

// ------------------------------------------------------------- saved state

void Device::transfer(StateStream &stream)
{
    // First what tells whether the two devices are alike, last what goes on at once.
    stream.section("registers", 1, [&] { registers_.transfer(stream); });
    stream.section("device", 1, [&] { stream.field(fatal_); });
    stream.section("clock", 1, [&] {
        clock_.transfer(stream);
        if (trace_ && stream.loading())
            trace_->clock_set();
    });
    stream.section("errors", 1, [&] { errors_.transfer(stream); });
    stream.section("checker", 1, [&] { checker_.transfer(stream); });
    stream.section("check-ring", 1, [&] { check_ring_.transfer(stream); });
    stream.section("dram", 1, [&] { dram_.transfer(stream); });
    stream.section("mmu", 1, [&] { mmu_.transfer(stream); });
    stream.section("access-counters", 1, [&] { counters_.transfer(stream); });
    stream.section("mgmt-irq", 1, [&] { irq_.transfer(stream); });
    stream.section("doorbells", 1, [&] { doorbells_.transfer(stream); });
    stream.section("mailbox", 1, [&] { mailbox_.transfer(stream); });
    stream.section("mgmt-dma", 1, [&] { mgmt_dma_.transfer(stream); });
    stream.section("mgmt-registers", 1, [&] { mgmt_registers_.transfer(stream); });
    faults_.transfer(stream);
    stream.section("copy-engine", 1, [&] { copy_.transfer(stream); });
    for (uint32_t i = 0; i < harts_.size(); i++) {
        stream.section(fmt::format("hart-{}", i), 1, [&] {
            harts_[i]->transfer(stream);
            stream.require(harts_[i]->stalled() == faults_.stalled(HartIndex(i)), "a hart is stalled without a fault");
        });
    }
    stream.section("mgmt-hart", 1, [&] { mgmt_->transfer(stream); });
    stream.section("invalidator", 1, [&] { invalidator_.transfer(stream); });
    stream.later_section("perf-counters", 1, [&] { perf_->transfer(stream); });
    stream.finish();
}

std::string Device::save(std::vector<std::byte> &bytes)
{
    std::lock_guard lock(control_mutex_);
    if (!quiesced_)
        return "the device can only be saved while it is quiesced";
    invalidator_.settle();
    StateStream stream;
    transfer(stream);
    bytes = stream.take();
    return {};
}

std::string Device::load(std::span<const std::byte> bytes)
{
    std::lock_guard lock(control_mutex_);
    if (!quiesced_)
        return "a state can only be loaded while the device is quiesced";
    reset_blocks();
    if (trace_)
        trace_->end(TraceTrack::kDevice, {TraceArg::text("result", "a state is loaded")});
    StateStream stream(bytes);
    transfer(stream);
    if (trace_)
        trace_->begin(TraceTrack::kDevice, "held");
    if (!stream.ok()) {
        reset_blocks();
        dram_.clear();
        return stream.error();
    }
    if (registers_.value(GMEMU_REG_CTRL) & GMEMU_CTRL_ENABLE)
        engine_gate_.release(HoldReason::kDisabled);
    if (fatal_) {
        engine_gate_.hold(HoldReason::kFatal);
        mgmt_gate_.hold(HoldReason::kFatal);
    }
    return {};
}

void Device::set_bus_master(bool enabled)
{
    if (host_.bus_master() == enabled)
        return;
    if (trace_)
        trace_->instant(TraceTrack::kDevice, enabled ? "bus master on" : "bus master off");
    host_.set_bus_master(enabled);
    if (enabled)
        return;
    // New mappings are refused from here on; take away those that exist.
    mmu_.shootdown(TlbMatch{});
    copy_.revoke();
    mgmt_dma_.revoke();
}

void Device::dma_revoke(BusAddr bus, uint64_t size)
{
    TlbMatch match;
    match.kind = TlbMatch::Kind::kBus;
    match.bus = bus;
    match.size = size;
    mmu_.shootdown(match);
    copy_.revoke();
    mgmt_dma_.revoke();
}

void Device::poison_dram(DramOffset page)
{
    dram_.poison(page);
    TlbMatch all;
    all.kind = TlbMatch::Kind::kAll;
    mmu_.shootdown(all);
}

std::string Device::query(uint32_t what)
{
    switch (what) {
    case GMEMU_QUERY_CONTEXTS: return inspector_->contexts();
    case GMEMU_QUERY_TLBS: return inspector_->tlbs();
    case GMEMU_QUERY_PAGE_TABLES: return inspector_->page_tables();
    case GMEMU_QUERY_RINGS: return inspector_->rings();
    case GMEMU_QUERY_HARTS: return inspector_->harts();
    }
    return {};
}

void Device::end_trace()
{
    if (trace_)
        trace_->close();
}

void Device::stats(gmemu_core_stats &stats) const
{
    stats = {};
    for (const auto &hart : harts_)
        stats.instructions += hart->meter().instructions.value();
    stats.faults = faults_.faults();
    stats.faults_dropped = faults_.dropped();
    stats.replays = faults_.replays();
    stats.cancels = faults_.cancels();
    stats.invalidations = invalidator_.commands();
    stats.walks = mmu_.walks();
    stats.l2_hits = mmu_.l2_hits();
    stats.copy_bytes = copy_.bytes() + mgmt_dma_.bytes();
    stats.violations = checker_.total();
}

}  // namespace gmemu
