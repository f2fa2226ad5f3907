// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a hart needs from the world around it: translated memory, stop and
// flush requests, CSRs it does not own itself. Cpu<Port> inlines all of it.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace gmemu::hart {

// Values agree with enum gmemu_fault_access.
enum class Access : uint8_t { kRead = 0, kWrite = 1, kExec = 2, kAtomic = 3, kPrefetch = 4 };

enum class FillStatus : uint8_t {
    kFilled, // lookup() will probably hit now; try again
    kMmio,   // no memory: use mmio_read()/mmio_write() (MachinePort only)
    kFault,  // the access faults
};

struct Fill {
    FillStatus status = FillStatus::kFilled;
    uint64_t cause = 0; // kFault, machine mode: the mcause of the trap
};

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kPageOffset = kPageSize - 1;

// Requests to one hart from other threads, looked at on every block entry with
// a single load. A block is a straight run of at most 64 instructions without
// a taken branch.
//
// Decoded instructions outlive the translation they were fetched through, so
// an invalidation that covers an executable translation of this hart must
//   1. make lookup<kExec>() miss,
//   2. token = bump_code_epoch(),
//   3. wait until the hart is outside of begin_access()/end_access(),
//   4. wait until passed(token), unless the hart is not inside Cpu::run().
// run() checks the epoch before it executes anything.
class HartControl {
public:
    // Any thread.
    void request_stop() { word_.fetch_or(kStop); }
    void clear_stop() { word_.fetch_and(~kStop); }
    bool stop_requested() const { return word_.load() & kStop; }
    uint64_t bump_code_epoch() { return epoch(word_.fetch_add(kEpochUnit) + kEpochUnit); }
    // To wait until the hart is somewhere else: n = answers(), request_answer(), look, and if
    // it is not, wait_answer(n). The hart answers on a block entry and when it leaves run().
    uint32_t answers() const { return answers_.load(); }
    void request_answer() { word_.fetch_or(kAnswer); }
    void wait_answer(uint32_t seen) const { answers_.wait(seen); }
    bool passed(uint64_t token) const
    {
        return static_cast<int64_t>(seen_.load(std::memory_order_acquire) - token) >= 0;
    }

    // The hart's own thread (Cpu).
    uint64_t word() const { return word_.load(std::memory_order_acquire); }
    static constexpr bool is_stop(uint64_t word) { return word & kStop; }
    static constexpr uint64_t epoch(uint64_t word) { return word & ~(kStop | kAnswer); }
    void answer()
    {
        if (!(word_.load() & kAnswer)) [[likely]]
            return;
        word_.fetch_and(~kAnswer);
        answers_.fetch_add(1);
        answers_.notify_all();
    }
    void publish_epoch(uint64_t epoch) { seen_.store(epoch, std::memory_order_release); }

private:
    static constexpr uint64_t kStop = 1;
    static constexpr uint64_t kAnswer = 2;
    static constexpr uint64_t kEpochUnit = 4;
    alignas(64) std::atomic<uint64_t> word_{0};
    alignas(64) std::atomic<uint64_t> seen_{0};
    std::atomic<uint32_t> answers_{0};
};

// Port: all calls come from the thread inside Cpu::run().
//
//   begin_access(), end_access()
//       Bracket every lookup() and the host access made through its result.
//       They nest never, and no fill() or mmio call happens between them. Two
//       relaxed stores and compiler barriers are enough when the invalidator
//       uses membarrier().
//   lookup<access>(va, align_mask) -> std::byte *
//       L1 TLB probe: the host address of va, good for the rest of its 4 KiB
//       page, or nullptr. A hit promises that the page allows the access and
//       that (va & align_mask) == 0 (align_mask is a natural size - 1, or 0).
//       It may miss for any reason. kWrite: the caller may store; kAtomic: may
//       load and store; kExec: may load instructions.
//   fill(va, access) -> Fill
//       Walks the tables and enters the translation in the L1 TLB. Must not
//       block on a fault: it returns kFault, run() returns kPageFault with the
//       state of before the instruction, and calling run() again retries.
//       Of all these calls only this one, prefetch and the mmio calls may do floating
//       point: the others run with the hart's FP environment.
//   prefetch(va, access)                         optional
//       The program will want va: enter its translation if there is one, and tell
//       whom it may concern if there is none. Never fails, never blocks.
//   quick() -> Quick &                           optional
//       begin_access(), end_access() and lookup() of loads and stores, as run() has them
//       inline: it asks once, so that nothing has to be found on the way to the TLB. A lookup
//       of it may miss where that of the port hits; then that of the port is tried.
//   control() -> HartControl &
//   timestamp() -> uint64_t                      the time CSR
//   csr_read(csr, uint64_t &value) -> bool       custom CSRs; false: illegal
template <class P>
concept Port = requires(P &p, uint64_t va, uint64_t &value, uint32_t csr)
{
    p.begin_access();
    p.end_access();
    {
        p.template lookup<Access::kRead>(va, va)
        } -> std::same_as<std::byte *>;
    {
        p.template lookup<Access::kWrite>(va, va)
        } -> std::same_as<std::byte *>;
    {
        p.template lookup<Access::kExec>(va, va)
        } -> std::same_as<std::byte *>;
    {
        p.template lookup<Access::kAtomic>(va, va)
        } -> std::same_as<std::byte *>;
    {
        p.fill(va, Access::kRead)
        } -> std::same_as<Fill>;
    {
        p.control()
        } -> std::same_as<HartControl &>;
    {
        p.timestamp()
        } -> std::convertible_to<uint64_t>;
    {
        p.csr_read(csr, value)
        } -> std::same_as<bool>;
};

// The quick() of a port that has none.
template <class P> class PortItself {
public:
    explicit PortItself(P &port) : port_(port) {}
    void begin_access() { port_.begin_access(); }
    void end_access() { port_.end_access(); }
    template <Access access> std::byte *lookup(uint64_t va, uint64_t align_mask)
    {
        return port_.template lookup<access>(va, align_mask);
    }

private:
    P &port_;
};

template <class P> decltype(auto) quick_of(P &port)
{
    if constexpr (requires { port.quick(); })
        return port.quick();
    else
        return PortItself<P>(port);
}

// For a hart in machine mode.
//
//   mmio_read(va, size, uint64_t &value), mmio_write(va, size, value) -> bool
//       Naturally aligned only (others trap as misaligned). false: access fault.
//   csr_write(csr, value) -> bool                false: illegal instruction
//   set_user_data(bool on)
//       mstatus.MPRV and MPP now say that loads, stores and AMOs use (on) user
//       translation, or bare addresses. Fetches are always bare.
template <class P>
concept MachinePort = Port<P> && requires(P &p, uint64_t va, unsigned size, uint64_t &out, uint32_t csr)
{
    {
        p.mmio_read(va, size, out)
        } -> std::same_as<bool>;
    {
        p.mmio_write(va, size, va)
        } -> std::same_as<bool>;
    {
        p.csr_write(csr, va)
        } -> std::same_as<bool>;
    p.set_user_data(true);
};

} // namespace gmemu::hart
