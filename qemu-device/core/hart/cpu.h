// SPDX-License-Identifier: GPL-2.0-or-later
//
// An RV64 hart: interpreter over predecoded basic blocks.
//
//   Cpu<MyPort, UserMode> cpu(port);      RV64GC_Zba_Zbb_Zbs, user mode; V too if given a vlen
//   Cpu<MyPort, MachineMode> cpu(port);   RV64IMAC_Zba_Zbb_Zbs, machine mode, no FP
//   cpu.state().pc = entry;
//   Stop stop = cpu.run();
//
// run() returns with precise state; calling it again goes on where it stopped.
// A Cpu is used by one thread at a time. Compile the file that instantiates
// run() with hart_cpp_args of hart/meson.build.
#pragma once

#include "code_cache.h"
#include "decode.h"
#include "guest_memory.h"
#include "host_fp.h"
#include "machine_csrs.h"
#include "port.h"
#include "state.h"
#include "vector/memory_insn.h"
#include "vector/unit.h"

namespace gmemu::hart {

struct UserMode {
    static constexpr bool kMachine = false;
    static constexpr bool kFloat = true;
    static constexpr bool kVector = true;
};

struct MachineMode {
    static constexpr bool kMachine = true;
    static constexpr bool kFloat = false;
    static constexpr bool kVector = false;
};

template <Port P, class Mode = UserMode> class Cpu {
    static_assert(!Mode::kMachine || MachinePort<P>);

public:
    // vlen: bits of a vector register, as valid_vlen() says; 0: no vectors.
    explicit Cpu(P &port, uint64_t hart_id = 0, unsigned vlen = 0);
    Cpu(const Cpu &) = delete;
    Cpu &operator=(const Cpu &) = delete;

    // Only while run() is not running.
    HartState &state() { return s_; }
    const HartState &state() const { return s_; }
    VectorState &vector() { return vector_.state(); }
    MachineCsrs &machine_csrs() { return m_; }
    void reset(uint64_t pc);              // all registers and CSRs to 0, decoded code forgotten
    void flush_code() { cache_.flush(); } // forget decoded instructions (as FENCE.I)

    Stop run();

private:
    // Why the instruction at hand cannot complete.
    struct Trap {
        StopReason reason = StopReason::kIllegal;
        Access access = Access::kRead;
        uint64_t cause = 0; // machine mode
        uint64_t tval = 0;
    };
    enum class Refill { kRetry, kMmio, kTrapped };

    // cpu_memory.h: what the inline fast path does not take. false: trap_ is set.
    Refill refill(uint64_t va, Access access);
    bool load_slow(uint64_t va, unsigned size, uint64_t &value);
    bool store_slow(uint64_t va, unsigned size, uint64_t value);
    void prefetch(uint64_t va, uint8_t kind);
    template <class T, AmoKind kind> bool amo(const Insn &insn);
    template <class T> bool load_reserved(const Insn &insn);
    template <class T> bool store_conditional(const Insn &insn);
    template <Access access, class T, class Body> bool with_atomic(uint64_t va, Body body);
    bool misaligned(uint64_t va, Access access);

    // cpu_vector.h
    void set_vector_length(uint32_t bits);
    template <Access access> bool vector_memory(uint32_t bits);
    template <Access access, class T> uint64_t vector_access(VectorMemoryInsn insn, const VectorAccess &a);
    template <Access access, class T>
    uint64_t vector_span(uint64_t base, T *elements, uint64_t first, uint64_t count);
    template <Access access, class T, class Address>
    uint64_t vector_segments(VectorMemoryInsn insn, const VectorAccess &a, Address address);
    template <Access access, class T> bool vector_element(uint64_t va, T &element);

    // cpu_fetch.h
    Block *find_or_build(uint64_t pc);
    Block *build(uint64_t pc);
    bool fetch(uint64_t va, unsigned size, uint8_t *out);
    static bool fuse(const Decoded &first, const Decoded &second, uint32_t second_offset, Decoded &fused);

    // cpu_csr.h
    bool execute_csr(uint32_t bits);
    bool read_csr(uint32_t csr, uint64_t &value);
    bool write_csr(uint32_t csr, uint64_t value);
    bool read_vector_csr(uint32_t csr, uint64_t &value);
    bool write_vector_csr(uint32_t csr, uint64_t value);
    bool enter_trap(uint64_t pc);
    void mret();
    bool illegal(uint32_t bits);
    void fold_fp_flags();
    void update_fp_mode();

    HartState s_;
    P &port_;
    uint64_t epoch_ = 0;    // the control word without stop bit that cache_ belongs to
    bool fp_fast_ = false;  // frm says nearest even, which the host FPU is set to
    bool fma_fast_ = false; // as well, and the host has fused multiply-add
    const void *const *labels_ = nullptr;
    DecodeOptions options_;
    Trap trap_;
    HostFp host_fp_;
    MachineCsrs m_;
    VectorUnit vector_;
    CodeCache cache_;
};

} // namespace gmemu::hart

#include "cpu_csr.h"
#include "cpu_fetch.h"
#include "cpu_memory.h"
#include "cpu_run.h"
#include "cpu_vector.h"
