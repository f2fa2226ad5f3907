// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults of hardware, on purpose: what a driver must live with but a device that
// works never shows. The property inject= says which, and when:
//
//     FAULT[:KEY=VALUE]...[+FAULT...]
//
// docs/device.md explains faults and keys. Nothing here breaks the contract: the
// device reports each of these, or the manual tells software to expect it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "errors.h"
#include "types.h"

namespace gmemu {

enum class InjectKind { kDmaError, kDramPoison, kHungHart, kLostInterrupt, kSlowLink };

struct InjectRule {
    static constexpr uint64_t kAny = ~0ull;

    InjectKind kind = InjectKind::kDmaError;
    // Which of the occasions: the at-th; each every-th; or one in one_in, drawn from seed.
    uint64_t at = 0;
    uint64_t every = 0;
    uint64_t one_in = 0;
    uint64_t seed = 1;
    uint64_t times = ~0ull;  // at most
    // Only occasions of this hart, vector, or InjectUnit.
    uint64_t only = kAny;
    // Slow link.
    uint64_t latency_us = 0;
    uint64_t mbps = 0;
};

enum class InjectUnit : uint64_t { kCopy, kHart };

// What the spec says, or in @error what is wrong with it. An empty one says nothing.
std::vector<InjectRule> parse_inject(std::string_view spec, uint32_t cores, std::string &error);

class Injector {
public:
    // @spec has been found good by parse_inject(). @errors must outlive this.
    Injector(const Host &host, DeviceErrors &errors, std::string_view spec, uint32_t cores);

    bool enabled() const { return !rules_.empty(); }

    // All from any thread, with any lock held. Occasions, and what the answer is:
    // true: the transfer of @unit at @bus fails, and GMEMU_ERR_DMA has been raised.
    bool dma_fails(InjectUnit unit, BusAddr bus) { return enabled() && fail_dma(unit, bus); }
    // true: @page is to be poisoned.
    bool dram_poisoned(DramOffset page);
    // true: the job that the hart is about to begin never ends, and cannot be killed.
    bool hart_hangs(HartIndex hart);
    // true: the message is not sent.
    bool interrupt_lost(unsigned vector);

    // The link that DMA takes. ns; 0: as fast as it goes.
    bool link_is_slow() const { return latency_ns_ || mbps_; }
    uint64_t link_latency_ns() const { return latency_ns_; }
    uint64_t link_time_ns(uint64_t bytes) const { return mbps_ ? bytes * 1000 / mbps_ : 0; }
    // Bytes that take the link about 10 ms: what a transfer moves before it looks up.
    uint64_t link_piece() const { return mbps_ ? mbps_ * 10'000 : ~0ull; }

private:
    struct Rule {
        explicit Rule(const InjectRule &what) : rule(what), draw(what.seed) {}
        const InjectRule rule;
        std::atomic<uint64_t> occasions{0};
        std::atomic<uint64_t> done{0};
        std::atomic<uint64_t> draw;
    };
    bool strikes(Rule &rule);
    bool strikes(InjectKind kind, uint64_t who, uint64_t &number);
    bool fail_dma(InjectUnit unit, BusAddr bus);

    const Host &host_;
    DeviceErrors &errors_;
    std::vector<std::unique_ptr<Rule>> rules_;
    uint64_t latency_ns_ = 0;
    uint64_t mbps_ = 0;
};

}  // namespace gmemu
