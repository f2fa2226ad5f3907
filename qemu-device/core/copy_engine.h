// SPDX-License-Identifier: GPL-2.0-or-later
//
// The copy engine: descriptors from a ring in system memory, in order.
//
// A write to COPY_PUT that finds the engine idle works off a little itself,
// because waking a thread takes longer than copying a page. The rest is done by
// the engine's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "checker.h"
#include "copy_transfer.h"
#include "errors.h"
#include "host.h"
#include "injector.h"
#include "registers.h"
#include "run_gate.h"
#include "state_stream.h"

namespace gmemu {

class CopyEngine {
public:
    CopyEngine(RegisterFile &registers, const Host &host, Dram &dram, Checker &checker, DeviceErrors &errors,
               RunGate &gate);
    ~CopyEngine();

    // With the gate held and drained.
    void reset();
    void transfer(StateStream &stream);

    // Waits until no mapping of before is in use. From any thread.
    void revoke() { transfer_.revoke(); }

    // Before threads start. Called before and after each descriptor that is worked off.
    using Audit = std::function<void(const gmemu_copy_desc &, uint32_t index, bool done)>;
    void set_audit(Audit audit) { audit_ = std::move(audit); }
    bool has_work();
    void set_injector(Injector &injector) { injector_ = &injector; }

    const DmaBytes &dma_bytes() const { return dma_bytes_; }
    uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

private:
    static constexpr uint64_t kInlineBytes = 256ull << 10; // in the register write
    static constexpr uint64_t kDescriptorCost = 4ull << 10; // one counts as so many bytes, at least
    static constexpr uint64_t kMaxSizeLog2 = 16;

    bool work(uint64_t budget);  // false: nothing left to do
    bool fetch(gmemu_copy_desc &desc, bool &readable);
    void finish_descriptor();
    void fence(const gmemu_copy_desc &desc);
    void trace_begin();
    void trace_end(const char *result);
    void check_put(uint32_t value);
    bool data_fails() const;
    void dma_failed(BusAddr at, const char *what);
    bool abandoned();
    bool pending() const { return enabled_ && (put_ != get_ || have_); }
    void run();

    RegisterFile &registers_;
    const Host &host_;
    Checker &checker_;
    DeviceErrors &errors_;
    RunGate &gate_;
    Audit audit_;
    Injector *injector_ = nullptr;

    std::mutex mutex_;  // below
    std::condition_variable wake_;
    std::atomic<bool> exit_{false};
    bool enabled_ = false;
    bool active_ = false;  // someone executes descriptors
    uint32_t put_ = 0;
    uint32_t get_ = 0;

    // Of whoever is active.
    CopyTransfer transfer_;
    bool have_ = false;
    gmemu_copy_desc desc_{};
    uint64_t done_ = 0;
    uint32_t failed_ = 0;
    std::vector<gmemu_copy_desc> prefetched_;
    size_t prefetched_next_ = 0;
    bool prefetched_ok_ = true;

    std::atomic<uint64_t> bytes_{0};
    DmaBytes dma_bytes_;
    std::atomic<uint64_t> bytes_since_reset_{0};
    std::thread thread_;
};

}  // namespace gmemu
