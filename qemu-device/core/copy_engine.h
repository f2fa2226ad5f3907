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
#include <mutex>
#include <thread>
#include <vector>

#include "checker.h"
#include "dram.h"
#include "errors.h"
#include "host.h"
#include "registers.h"
#include "run_gate.h"

namespace gmemu {

class CopyEngine {
public:
    CopyEngine(RegisterFile &registers, const Host &host, const Dram &dram, Checker &checker, DeviceErrors &errors,
               RunGate &gate);
    ~CopyEngine();

    // With the gate held and drained.
    void reset();

    // Waits until no mapping of before is in use. From any thread.
    void revoke();

    uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

private:
    static constexpr uint64_t kChunk = 1ull << 20;        // between looks at the gate
    static constexpr uint64_t kInlineBytes = 256ull << 10; // in the register write
    static constexpr uint64_t kDescriptorCost = 4ull << 10; // one counts as so many bytes, at least
    static constexpr uint64_t kBounce = 64ull << 10;

    struct Side {
        bool local;
        uint64_t address;
    };

    bool work(uint64_t budget);  // false: nothing left to do
    bool fetch(gmemu_copy_desc &desc, bool &readable);
    void finish_descriptor();
    const char *refuse(const gmemu_copy_desc &desc) const;
    static constexpr uint64_t kRevoked = ~0ull;
    uint64_t step(const gmemu_copy_desc &desc, uint64_t done, uint64_t limit);  // bytes done; 0: failed; kRevoked: again
    uint64_t step_bounced(const gmemu_copy_desc &desc, uint64_t done, uint64_t length);
    void fence(const gmemu_copy_desc &desc);
    bool has_work() const { return enabled_ && (put_ != get_ || have_); }
    void run();

    RegisterFile &registers_;
    const Host &host_;
    const Dram &dram_;
    Checker &checker_;
    DeviceErrors &errors_;
    RunGate &gate_;

    std::mutex mutex_;  // below
    std::condition_variable wake_;
    std::atomic<bool> exit_{false};
    bool enabled_ = false;
    bool active_ = false;  // someone executes descriptors
    uint32_t put_ = 0;
    uint32_t get_ = 0;

    // Of whoever is active.
    std::mutex mapping_mutex_;  // held while mappings are used, not while they are made
    std::atomic<uint64_t> revocations_{0};
    bool have_ = false;
    gmemu_copy_desc desc_{};
    uint64_t done_ = 0;
    uint32_t failed_ = 0;
    std::vector<std::byte> bounce_;
    std::vector<gmemu_copy_desc> prefetched_;
    size_t prefetched_next_ = 0;
    bool prefetched_ok_ = true;
    BusAddr failed_at_{};  // of the step that moved nothing

    std::atomic<uint64_t> bytes_{0};
    std::atomic<uint64_t> bytes_since_reset_{0};
    std::thread thread_;
};

}  // namespace gmemu
