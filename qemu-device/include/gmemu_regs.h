/* SPDX-License-Identifier: MIT */
/*
 * gmemu hardware contract: registers, rings, page tables, packets.
 *
 * This is the only definition of every offset, bit and in-memory format of the
 * gmemu accelerator. The device model, the kernel driver, the management
 * firmware, the library and the tests all include it; docs/hardware.md explains
 * it in prose. It needs nothing but fixed-width integers, so that it compiles
 * in the kernel, in freestanding RISC-V code and in C++.
 *
 * All formats are little-endian. Reserved bits and bytes are written as zero
 * and ignored on read by software; the device reports a nonzero reserved field
 * as a contract violation.
 *
 * A register is accessed with one aligned access of its size, 32 bits unless its
 * comment says 64; a 64-bit one also with two aligned 32-bit accesses.
 */
#ifndef GMEMU_REGS_H
#define GMEMU_REGS_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/build_bug.h>
#define GMEMU_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size))
#else
#include <stdint.h>
#ifdef __cplusplus
#define GMEMU_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define GMEMU_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif
#endif

#define GMEMU_BIT(n) (1u << (n))
#define GMEMU_BIT64(n) (1ull << (n))

/* ------------------------------------------------------------------ PCI -- */

#define GMEMU_PCI_VENDOR_ID 0x1234 /* QEMU's vendor ID for experimental devices */
#define GMEMU_PCI_DEVICE_ID 0x6d65 /* "em" */
#define GMEMU_PCI_REVISION 0x01
#define GMEMU_PCI_CLASS 0x1200 /* processing accelerator */

#define GMEMU_BAR_REGS 0 /* registers and doorbells, 64-bit, non-prefetchable */
#define GMEMU_BAR_DRAM 2 /* local DRAM, only when GMEMU_CAP_COHERENT is set */
#define GMEMU_BAR_MSIX 4 /* MSI-X table and PBA */

#define GMEMU_BAR0_SIZE 0x200000u
#define GMEMU_REGS_SIZE 0x10000u
#define GMEMU_DOORBELL_BASE 0x100000u
#define GMEMU_DOORBELL_STRIDE 0x1000u /* one CPU page, so a process maps only its own */
#define GMEMU_MAX_QUEUES 256u
#define GMEMU_MAX_CORES 64u

/* MSI-X vectors. */
#define GMEMU_VEC_FAULT 0u /* replayable fault ring */
#define GMEMU_VEC_ERROR 1u /* non-replayable fault ring, device errors, checker */
#define GMEMU_VEC_COMPLETION 2u /* copy engine fences that ask for an interrupt */
#define GMEMU_VEC_MAILBOX 3u /* firmware-to-host ring */
#define GMEMU_VEC_ACCESS 4u /* access-counter ring */
#define GMEMU_NUM_VECTORS 5u

/* ------------------------------------------------------- identification -- */

#define GMEMU_REG_ID 0x0000u /* RO: GMEMU_ID */
#define GMEMU_ID 0x554d4547u /* "GEMU" */
#define GMEMU_REG_VERSION 0x0004u /* RO: major << 16 | minor of this contract */
#define GMEMU_VERSION_MAJOR 1u
#define GMEMU_VERSION_MINOR 0u
#define GMEMU_REG_CAPS 0x0008u /* RO, 64 bit: GMEMU_CAP_* */
#define GMEMU_CAP_REPLAYABLE GMEMU_BIT64(0) /* page faults stall and can be replayed */
#define GMEMU_CAP_COHERENT GMEMU_BIT64(1) /* local DRAM is BAR2 */
#define GMEMU_CAP_PEER GMEMU_BIT64(2) /* local DRAM and its page tables are the firmware's */
#define GMEMU_CAP_VECTOR GMEMU_BIT64(3)
#define GMEMU_CAP_WALK_X86 GMEMU_BIT64(4)
#define GMEMU_CAP_CHECKER GMEMU_BIT64(5)
#define GMEMU_CAP_ACCESS_COUNTERS GMEMU_BIT64(6)
#define GMEMU_CAP_PERF GMEMU_BIT64(7) /* performance counters */
#define GMEMU_CAP_CHECK_RING GMEMU_BIT64(8)
#define GMEMU_CAP_PREFETCH GMEMU_BIT64(9) /* harts report prefetches that miss (GMEMU_ACCESS_PREFETCH) */
#define GMEMU_REG_CORES 0x0010u /* RO: number of compute harts */
#define GMEMU_REG_QUEUES 0x0014u /* RO: number of queues and doorbells */
#define GMEMU_REG_CTX_LOG2 0x0018u /* RO: log2 of the largest context table */
#define GMEMU_REG_VA_BITS 0x001cu /* RO: 48 */
#define GMEMU_REG_PAGE_SIZES 0x0020u /* RO, 64 bit: bit n set: 2^n-byte leaves */
#define GMEMU_REG_DRAM_SIZE 0x0028u /* RO, 64 bit: bytes of local DRAM */
#define GMEMU_REG_DRAM_RESERVED 0x0030u /* RO, 64 bit: bytes at DRAM offset 0 owned by firmware */
#define GMEMU_REG_VLEN 0x0038u /* RO: bits of a vector register, 0 without vectors */
#define GMEMU_REG_APERTURES 0x003cu /* RO: where leaves and tables may be, GMEMU_APERTURE_* */
#define GMEMU_APERTURE_LEAF_SYSTEM GMEMU_BIT(0)
#define GMEMU_APERTURE_LEAF_LOCAL GMEMU_BIT(1)
#define GMEMU_APERTURE_TABLE_SYSTEM GMEMU_BIT(2)
#define GMEMU_APERTURE_TABLE_LOCAL GMEMU_BIT(3)
#define GMEMU_APERTURE_ATOMIC_SYSTEM GMEMU_BIT(4) /* AMO, LR and SC to system memory are atomic for CPUs, too */
#define GMEMU_APERTURE_ATOMIC_LOCAL GMEMU_BIT(5)

/* ------------------------------------------------------- device control -- */

#define GMEMU_REG_CTRL 0x0040u /* RW */
#define GMEMU_CTRL_ENABLE GMEMU_BIT(0) /* harts, copy engine and fault unit may run */
#define GMEMU_CTRL_RESET GMEMU_BIT(1) /* self-clearing; as FLR, PCI config space kept */
#define GMEMU_REG_STATUS 0x0044u /* RO */
#define GMEMU_STATUS_READY GMEMU_BIT(0)
#define GMEMU_STATUS_FATAL GMEMU_BIT(1) /* needs a reset */
#define GMEMU_STATUS_DMA_OFF GMEMU_BIT(2) /* PCI bus mastering is disabled */
#define GMEMU_REG_ERROR 0x0048u /* first sticky device error, GMEMU_ERR_*; write 0 clears */
#define GMEMU_REG_ERROR_INFO 0x0050u /* RO, 64 bit: address or index belonging to it */
#define GMEMU_REG_TIMESTAMP 0x0058u /* RO, 64 bit: nanoseconds since the device was made */

/* Values of GMEMU_REG_ERROR. */
#define GMEMU_ERR_NONE 0u
#define GMEMU_ERR_DMA 1u /* DMA to an address that is no memory, or bus mastering off */
#define GMEMU_ERR_BAD_REG 2u /* access to an undefined register or with a wrong size */
#define GMEMU_ERR_FIRMWARE 3u /* firmware image refused, or firmware crashed */
#define GMEMU_ERR_COPY 4u /* copy engine descriptor refused */
#define GMEMU_ERR_CONTRACT 5u /* contract checker in fatal mode */
#define GMEMU_ERR_POISON 6u /* a copy from local DRAM that has lost its content */

/* Contract checker. docs/checker.md explains each code. */
#define GMEMU_REG_CHECK_MODE 0x0060u /* RO: GMEMU_CHECK_* */
#define GMEMU_CHECK_OFF 0u
#define GMEMU_CHECK_LOG 1u
#define GMEMU_CHECK_FATAL 2u
#define GMEMU_REG_CHECK_COUNT 0x0064u /* RO: violations since reset */
#define GMEMU_REG_CHECK_CODE 0x0068u /* RO: code of the first violation since last cleared; write 0 clears */
#define GMEMU_REG_CHECK_CTX 0x006cu /* RO: context of that violation */
#define GMEMU_REG_CHECK_INFO 0x0070u /* RO, 64 bit: address of that violation */

enum gmemu_check_code {
	GMEMU_CHK_NONE = 0,
	GMEMU_CHK_STALE_TLB = 1, /* a TLB hit disagrees with the page table: invalidation missing */
	GMEMU_CHK_LOST_REPLAY = 2, /* fault entries were consumed, no REPLAY or CANCEL followed in time */
	GMEMU_CHK_RING_GET = 3, /* GET moved past PUT, or over an entry that is not valid yet */
	GMEMU_CHK_RING_VALID = 4, /* an entry was released with its valid bit still set */
	GMEMU_CHK_RESERVED_PTE = 5, /* reserved bit in a PTE */
	GMEMU_CHK_RESERVED_CTX = 6, /* reserved bit in a context entry */
	GMEMU_CHK_REG_SIZE = 7, /* register accessed with a wrong size or alignment */
	GMEMU_CHK_REG_UNDEFINED = 8, /* access to an undefined register */
	GMEMU_CHK_REG_READONLY = 9, /* write to a read-only register */
	GMEMU_CHK_REG_BUSY = 10, /* ring reprogrammed while enabled, INV_CMD issued with all slots busy */
	GMEMU_CHK_BAD_VALUE = 11, /* reserved value or misaligned address written to a register */
	GMEMU_CHK_COPY_DESC = 12, /* copy descriptor malformed or out of local DRAM */
	GMEMU_CHK_PTE_RANGE = 13, /* leaf or table pointer outside local DRAM */
	GMEMU_CHK_CTX_LIVE = 14, /* context entry changed or table moved without invalidation */

	GMEMU_CHK_COPY_MAPPED = 30, /* copy or fill writes local DRAM that a hart can reach meanwhile */
	GMEMU_CHK_COPY_RACE = 31, /* copy reads a page that a hart can write meanwhile */
	GMEMU_CHK_PT_WRITTEN = 32, /* page-table page mapped writable, or overwritten by a copy */
	GMEMU_CHK_DMA_ADDRESS = 33, /* ring, fence, table or copy at a bus address that is no memory */
	GMEMU_CHK_FW_IMAGE = 34, /* firmware image changed while it was loaded */
	GMEMU_CHK_RING_OVERRUN = 35, /* PUT moved back, or over what the device has not consumed */
	GMEMU_CHK_MSG_CHANGED = 36, /* mailbox message changed between PUT and the firmware's GET */
	GMEMU_CHK_MSG_FORMAT = 37, /* mailbox message of unknown type or with a reserved field set */
	GMEMU_CHK_UNIT_STOPPED = 38, /* unit switched off while it had work */
	GMEMU_CHK_RING_OVERLAP = 39, /* memory of a ring or table also serves another, or is written by a copy */
	GMEMU_CHK_FW_MEMORY = 40, /* the firmware's part of local DRAM mapped or written while it runs */
	GMEMU_CHK_INV_OPERANDS = 41, /* CANCEL_VA with SCOPE_RANGE: they share INV_VA */

	GMEMU_CHK_MGMT_DMA = 60, /* the firmware's DMA command malformed, out of local DRAM, or given while one runs */
	GMEMU_CHK_MGMT_INV = 61, /* the firmware's invalidation malformed, or given while one runs */
	GMEMU_CHK_MAX /* larger than each code */
};

/* What kind of mistake a code stands for; docs/checker.md says more. */
enum gmemu_check_class {
	GMEMU_CLASS_NONE = 0,
	GMEMU_CLASS_UNDEFINED = 1, /* from here on silicon may do anything, mostly corrupt memory */
	GMEMU_CLASS_NONCONTRACTUAL = 2, /* breaks a rule of the manual; this device ignores it safely */
	GMEMU_CLASS_UNSUPPORTED = 3, /* not in this version of the device */
	GMEMU_CLASS_UNPREDICTABLE = 4, /* a race: the result depends on who comes first */
};

/*
 * The catalogue: X(NAME, CLASS, "text") for each GMEMU_CHK_NAME but NONE, with its
 * GMEMU_CLASS_CLASS and what software did. docs/checker.md has an entry for each.
 */
#define GMEMU_CHECK_CATALOGUE(X) \
	X(STALE_TLB, UNDEFINED, "a TLB invalidation is missing") \
	X(LOST_REPLAY, UNPREDICTABLE, "a fault was taken from the ring, no replay or cancel came") \
	X(RING_GET, NONCONTRACTUAL, "GET moved past what is there") \
	X(RING_VALID, UNDEFINED, "ring entry released with its valid byte set") \
	X(RESERVED_PTE, UNDEFINED, "reserved bit or misaligned leaf in a page table") \
	X(RESERVED_CTX, UNDEFINED, "reserved bit or unknown format in a context entry") \
	X(REG_SIZE, NONCONTRACTUAL, "register access of a wrong size") \
	X(REG_UNDEFINED, UNSUPPORTED, "access to a register that does not exist") \
	X(REG_READONLY, NONCONTRACTUAL, "write to a read-only register") \
	X(REG_BUSY, NONCONTRACTUAL, "unit programmed while it works") \
	X(BAD_VALUE, NONCONTRACTUAL, "value a register cannot have") \
	X(COPY_DESC, NONCONTRACTUAL, "copy descriptor refused") \
	X(PTE_RANGE, UNDEFINED, "page-table entry points out of local DRAM") \
	X(CTX_LIVE, UNDEFINED, "context entry changed without invalidation") \
	X(COPY_MAPPED, UNPREDICTABLE, "copy writes local DRAM that a hart can reach") \
	X(COPY_RACE, UNPREDICTABLE, "copy reads a page that a hart can write") \
	X(PT_WRITTEN, UNDEFINED, "page table mapped writable or overwritten by a copy") \
	X(DMA_ADDRESS, UNDEFINED, "DMA address that is no memory") \
	X(FW_IMAGE, UNPREDICTABLE, "firmware image changed while it was loaded") \
	X(RING_OVERRUN, UNDEFINED, "PUT moved over what is not consumed yet") \
	X(MSG_CHANGED, UNPREDICTABLE, "mailbox message changed after PUT") \
	X(MSG_FORMAT, UNSUPPORTED, "mailbox message of unknown type or form") \
	X(UNIT_STOPPED, UNDEFINED, "unit switched off while it had work") \
	X(RING_OVERLAP, UNDEFINED, "memory of a ring has a second use") \
	X(FW_MEMORY, UNDEFINED, "the firmware's memory mapped or written") \
	X(INV_OPERANDS, UNDEFINED, "CANCEL_VA combined with SCOPE_RANGE") \
	X(MGMT_DMA, NONCONTRACTUAL, "the firmware's DMA command refused") \
	X(MGMT_INV, NONCONTRACTUAL, "the firmware's invalidation refused")

/* ---------------------------------------------------------------- MMU ---- */

#define GMEMU_REG_CTX_BASE 0x0200u /* RW, 64 bit: bus address of the context table, 4 KiB aligned */
#define GMEMU_REG_CTX_SIZE_LOG2 0x0208u /* RW: log2 of its number of entries */

/*
 * Invalidation and replay. Write the operands, then INV_CMD. The command gets
 * the next sequence number, which INV_SEQ then reads; it is complete when
 * (int32_t)(INV_DONE - seq) >= 0. Commands complete in order. Completion means
 * that no hart, walk or queue processor can use a translation that the command
 * covers and that was read from memory before the command; the replay
 * operation, if any, takes effect after that. A read of INV_DONE may be held
 * back by the device for a bounded time while a command is under way.
 */
#define GMEMU_REG_INV_VA 0x0210u /* RW, 64 bit: first byte, 4 KiB aligned; for CANCEL_VA any byte of the page */
#define GMEMU_REG_INV_SIZE 0x0218u /* RW, 64 bit: bytes, multiple of 4 KiB */
#define GMEMU_REG_INV_CTX 0x0220u /* RW: context */
#define GMEMU_REG_INV_CMD 0x0224u /* WO: fields below */
#define GMEMU_REG_INV_SEQ 0x0228u /* RO: sequence number of the last command written */
#define GMEMU_REG_INV_DONE 0x022cu /* RO: sequence number of the last command completed */

#define GMEMU_INV_SCOPE_MASK 0x0000000fu
#define GMEMU_INV_SCOPE_NONE 0u /* replay only */
#define GMEMU_INV_SCOPE_ALL 1u /* every context, and cached context entries */
#define GMEMU_INV_SCOPE_CTX 2u /* one context, and its cached context entry */
#define GMEMU_INV_SCOPE_RANGE 3u /* INV_VA .. INV_VA + INV_SIZE of one context */
#define GMEMU_INV_REPLAY_SHIFT 4
#define GMEMU_INV_REPLAY_MASK 0x000000f0u
#define GMEMU_INV_REPLAY_NONE 0u
#define GMEMU_INV_REPLAY_START 1u /* stalled accesses are tried again */
#define GMEMU_INV_REPLAY_START_ACK_ALL 2u /* as START; complete when each has been tried once */
#define GMEMU_INV_REPLAY_CANCEL_TARGETED 3u /* the fault of one engine/client (INV_CLIENT bits) */
#define GMEMU_INV_REPLAY_CANCEL_VA 4u /* faults of INV_CTX on the 4 KiB page of INV_VA; not with SCOPE_RANGE */
#define GMEMU_INV_REPLAY_CANCEL_GLOBAL 5u /* every outstanding fault */
#define GMEMU_INV_CLIENT_SHIFT 8 /* hart index, or queue for engine QP */
#define GMEMU_INV_CLIENT_MASK 0x0000ff00u
#define GMEMU_INV_ENGINE_SHIFT 16 /* enum gmemu_fault_engine */
#define GMEMU_INV_ENGINE_MASK 0x000f0000u
#define GMEMU_INV_REASON_SHIFT 24 /* cancel: enum gmemu_fault_reason, handed to the queue's error */
#define GMEMU_INV_REASON_MASK 0xff000000u

/*
 * Context table entry. root has the format of a page-table pointer
 * (GMEMU_PTE_V, aperture, address).
 */
struct gmemu_ctx_entry {
	uint64_t root;
	uint32_t format; /* GMEMU_CTX_FORMAT_* */
	uint32_t reserved0;
	uint64_t va_limit; /* accesses at or above it fault with VA_LIMIT; 0: 2^48 */
	uint64_t reserved1;
};
GMEMU_ASSERT_SIZE(struct gmemu_ctx_entry, 32);

#define GMEMU_CTX_FORMAT_GMEMU 0u /* the 4-level table below */
#define GMEMU_CTX_FORMAT_X86_4L 1u /* needs GMEMU_CAP_WALK_X86 */
#define GMEMU_CTX_FORMAT_X86_5L 2u
#define GMEMU_CTX_MAX_LOG2 16u

/*
 * Page table: 4 levels of 512 entries of 64 bits, VA bits 47..39, 38..30,
 * 29..21 and 20..12. An entry at level 2 (1 GiB) or 1 (2 MiB) is a leaf when
 * LEAF is set; at level 0 (4 KiB) LEAF must be set. The address is a bus
 * address (APERTURE_SYSTEM) or an offset into local DRAM (APERTURE_LOCAL).
 */
#define GMEMU_PTE_V GMEMU_BIT64(0)
#define GMEMU_PTE_LOCAL GMEMU_BIT64(1) /* aperture: 0 system memory, 1 local DRAM */
#define GMEMU_PTE_R GMEMU_BIT64(2)
#define GMEMU_PTE_W GMEMU_BIT64(3)
#define GMEMU_PTE_X GMEMU_BIT64(4)
#define GMEMU_PTE_ATOMIC GMEMU_BIT64(5) /* AMO, LR and SC allowed (with R and W) */
#define GMEMU_PTE_A GMEMU_BIT64(6) /* set by the device on first access */
#define GMEMU_PTE_D GMEMU_BIT64(7) /* set by the device on first write */
#define GMEMU_PTE_LEAF GMEMU_BIT64(8)
#define GMEMU_PTE_SW_MASK 0x0000000000000e00ull /* for software, ignored by the device */
#define GMEMU_PTE_ADDR_MASK 0x000ffffffffff000ull
#define GMEMU_PTE_RESERVED_MASK 0xfff0000000000000ull
#define GMEMU_PT_LEVELS 4
#define GMEMU_PT_ENTRIES 512
#define GMEMU_PT_SHIFT(level) (12 + 9 * (level))

/* --------------------------------------------------------- fault rings --- */

/*
 * Ring n has its registers at GMEMU_REG_FAULT(n) + offset. Entries are written
 * by the device, the byte with GMEMU_FAULT_VALID last. Software reads entries
 * from GET while they are valid, clears the valid byte, and writes GET. PUT may
 * be ahead of an entry that is not valid yet. The ring is full when PUT + 1 ==
 * GET (mod size): the entry is dropped and OVERFLOW set. A dropped replayable
 * fault is written again after the next replay; a dropped non-replayable one
 * is lost.
 *
 * Interrupt: the vector fires when the ring is armed and the entry at GET is
 * valid, and that disarms it. A write to GET arms it. Enabling the ring sets GET,
 * PUT and DROPPED to 0 and arms it. Faults of a disabled ring are dropped, without
 * OVERFLOW.
 *
 * Which ring: a fault of an engine in GMEMU_REG_FAULT_ENGINES is replayable: it
 * goes to ring 0 and the access waits. Any other goes to ring 1, and the access
 * has failed already, as if cancelled with GMEMU_REASON_NONREPLAYABLE.
 */
#define GMEMU_FAULT_RING_REPLAYABLE 0
#define GMEMU_FAULT_RING_NONREPLAYABLE 1
#define GMEMU_REG_FAULT(n) (0x0300u + 0x40u * (n))
#define GMEMU_FAULT_BASE 0x00u /* RW, 64 bit: bus address, 4 KiB aligned */
#define GMEMU_FAULT_SIZE_LOG2 0x08u /* RW: log2 of the number of entries, 1..16 */
#define GMEMU_FAULT_CTRL 0x0cu /* RW: GMEMU_FAULT_CTRL_ENABLE */
#define GMEMU_FAULT_GET 0x10u /* RW: index of the next entry software reads */
#define GMEMU_FAULT_PUT 0x14u /* RO: index of the next entry the device writes */
#define GMEMU_FAULT_STATUS 0x18u /* RW1C: GMEMU_FAULT_STATUS_* */
#define GMEMU_FAULT_DROPPED 0x1cu /* RO: entries dropped since enabled */
#define GMEMU_FAULT_CTRL_ENABLE GMEMU_BIT(0)
#define GMEMU_FAULT_STATUS_OVERFLOW GMEMU_BIT(0)
#define GMEMU_REG_FAULT_ENGINES 0x0380u /* RW: bit n: faults of engine n (enum gmemu_fault_engine) are replayable */
#define GMEMU_FAULT_ENGINES_ALL 0x00000007u /* its reset value with GMEMU_CAP_REPLAYABLE; without it 0 and read as 0 */

enum gmemu_fault_access {
	GMEMU_ACCESS_READ = 0,
	GMEMU_ACCESS_WRITE = 1,
	GMEMU_ACCESS_EXEC = 2,
	GMEMU_ACCESS_ATOMIC = 3,
	GMEMU_ACCESS_PREFETCH = 4, /* a hint: nobody waits, replay and cancel do nothing for it */
};

enum gmemu_fault_type {
	GMEMU_FAULT_PTE = 0, /* leaf not valid */
	GMEMU_FAULT_PDE = 1, /* table pointer not valid */
	GMEMU_FAULT_CTX = 2, /* context entry not valid */
	GMEMU_FAULT_VA_LIMIT = 3, /* above va_limit or not canonical */
	GMEMU_FAULT_RO = 4, /* write to a page without W */
	GMEMU_FAULT_WO = 5, /* read of a page without R */
	GMEMU_FAULT_NX = 6, /* fetch from a page without X */
	GMEMU_FAULT_ATOMIC = 7, /* atomic to a page without ATOMIC */
	GMEMU_FAULT_RESERVED = 8, /* reserved bit in an entry */
	GMEMU_FAULT_APERTURE = 9, /* address is no memory */
	GMEMU_FAULT_POISON = 10, /* the memory has lost its content */
};

enum gmemu_fault_engine {
	GMEMU_ENGINE_HART = 0, /* client: hart index */
	GMEMU_ENGINE_QP = 1, /* queue processor (management hart for a queue); client: queue */
	GMEMU_ENGINE_BLIT = 2, /* hart that copies or fills (GMEMU_H_MODE_*); client: hart index */
};

struct gmemu_fault_entry {
	uint64_t va; /* faulting byte */
	uint64_t timestamp; /* GMEMU_REG_TIMESTAMP */
	uint32_t ctx;
	uint16_t queue;
	uint8_t engine; /* enum gmemu_fault_engine */
	uint8_t client;
	uint8_t access; /* enum gmemu_fault_access */
	uint8_t type; /* enum gmemu_fault_type */
	uint16_t seq; /* counts entries, dropped ones too */
	uint8_t reserved[3];
	uint8_t valid; /* GMEMU_FAULT_VALID, written last */
};
GMEMU_ASSERT_SIZE(struct gmemu_fault_entry, 32);
#define GMEMU_FAULT_VALID 0x80u

/* Why a faulting access failed; carried into the queue's error. Software cancels with 0 to 5. */
enum gmemu_fault_reason {
	GMEMU_REASON_NONE = 0,
	GMEMU_REASON_UNMAPPED = 1, /* no mapping at this address: SIGSEGV, MAPERR */
	GMEMU_REASON_PERM = 2, /* the mapping does not allow this access: SIGSEGV, ACCERR */
	GMEMU_REASON_NOMEM = 3, /* out of memory */
	GMEMU_REASON_IO = 4, /* data lost or not readable: SIGBUS */
	GMEMU_REASON_KILLED = 5, /* the process or its context is going away */
	GMEMU_REASON_NONREPLAYABLE = 6, /* set by the device: this engine cannot wait for memory to be mapped */
};

/* --------------------------------------------------------- copy engine --- */

/*
 * A ring of descriptors in system memory, written by the kernel only, worked
 * off in order. PUT is the doorbell. Indices are modulo the ring size; the ring
 * is full when PUT + 1 == GET.
 */
#define GMEMU_REG_COPY_BASE 0x0400u /* RW, 64 bit: bus address, 4 KiB aligned */
#define GMEMU_REG_COPY_SIZE_LOG2 0x0408u /* RW: log2 of the number of descriptors, 1..16 */
#define GMEMU_REG_COPY_CTRL 0x040cu /* RW: GMEMU_COPY_CTRL_ENABLE */
#define GMEMU_REG_COPY_PUT 0x0410u /* RW */
#define GMEMU_REG_COPY_GET 0x0414u /* RO */
#define GMEMU_REG_COPY_BYTES 0x0418u /* RO, 64 bit: bytes moved since reset */
#define GMEMU_COPY_CTRL_ENABLE GMEMU_BIT(0)

enum gmemu_copy_op {
	GMEMU_COPY_OP_NOP = 0,
	GMEMU_COPY_OP_COPY = 1, /* len bytes from src to dst, which do not overlap */
	GMEMU_COPY_OP_FILL = 2, /* len bytes at dst (both multiples of 8) with the 64-bit pattern in src */
	GMEMU_COPY_OP_FENCE = 3, /* struct gmemu_copy_fence to the bus address dst (8-byte aligned), value from src */
};

#define GMEMU_COPY_SRC_LOCAL GMEMU_BIT(0) /* src is an offset into local DRAM */
#define GMEMU_COPY_DST_LOCAL GMEMU_BIT(1)
#define GMEMU_COPY_IRQ GMEMU_BIT(2) /* fence: raise GMEMU_VEC_COMPLETION */

struct gmemu_copy_desc {
	uint64_t src;
	uint64_t dst;
	uint64_t len; /* bytes; 0 for FENCE */
	uint8_t op; /* enum gmemu_copy_op */
	uint8_t flags; /* GMEMU_COPY_* */
	uint8_t reserved[6];
};
GMEMU_ASSERT_SIZE(struct gmemu_copy_desc, 32);

struct gmemu_copy_fence {
	uint64_t value; /* written last */
	uint32_t errors; /* descriptors that failed since the fence before; their dst is undefined */
	uint32_t reserved;
};
GMEMU_ASSERT_SIZE(struct gmemu_copy_fence, 16);

/* ------------------------------------------------- firmware and mailbox -- */

#define GMEMU_REG_FW_BASE 0x0500u /* RW, 64 bit: bus address of the image */
#define GMEMU_REG_FW_SIZE 0x0508u /* RW: its size in bytes */
#define GMEMU_REG_FW_CTRL 0x050cu /* RW */
#define GMEMU_FW_CTRL_BOOT GMEMU_BIT(0) /* load the image and start; self-clearing */
#define GMEMU_FW_CTRL_HALT GMEMU_BIT(1) /* stop the management hart; self-clearing */
#define GMEMU_REG_FW_STATUS 0x0510u /* RO: enum gmemu_fw_status */
#define GMEMU_REG_FW_VERSION 0x0514u /* RO: as firmware wrote it, major << 16 | minor */

enum gmemu_fw_status {
	GMEMU_FW_OFF = 0,
	GMEMU_FW_LOADING = 1,
	GMEMU_FW_RUNNING = 2, /* firmware has checked the contract version and serves the mailbox */
	GMEMU_FW_BAD_IMAGE = 3, /* magic, checksum, size or contract version is wrong */
	GMEMU_FW_CRASHED = 4,
};

/*
 * Firmware image: this header, then the payload. The device's boot ROM checks
 * it, copies the whole image to offset 0 of local DRAM and starts the
 * management hart at entry.
 */
#define GMEMU_FW_MAGIC 0x57464d47u /* "GMFW" */
struct gmemu_fw_header {
	uint32_t magic;
	uint32_t header_size;
	uint32_t image_size; /* bytes, header included */
	uint32_t crc32; /* IEEE CRC-32 of the image after the header */
	uint32_t contract; /* GMEMU_REG_VERSION it was built for; majors must agree */
	uint32_t fw_version; /* major << 16 | minor */
	uint32_t entry; /* offset from the start of the image */
	uint32_t mem_size; /* bytes it needs from DRAM offset 0, bss and stack included */
	uint8_t name[32]; /* NUL-terminated text for dmesg */
};
GMEMU_ASSERT_SIZE(struct gmemu_fw_header, 64);
#define GMEMU_FW_NAME "gmemu/gmemu-fw.bin" /* for request_firmware() */

/* Two rings of 64-byte messages in system memory; indices run modulo the size. */
#define GMEMU_REG_H2F_BASE 0x0540u /* RW, 64 bit */
#define GMEMU_REG_H2F_SIZE_LOG2 0x0548u /* RW: 1..12 */
#define GMEMU_REG_H2F_PUT 0x0550u /* RW by host; a write interrupts the firmware */
#define GMEMU_REG_H2F_GET 0x0554u /* RO for the host */
#define GMEMU_REG_F2H_BASE 0x0560u /* RW, 64 bit */
#define GMEMU_REG_F2H_SIZE_LOG2 0x0568u /* RW: 1..12 */
#define GMEMU_REG_F2H_PUT 0x0570u /* RO for the host; firmware's write raises GMEMU_VEC_MAILBOX */
#define GMEMU_REG_F2H_GET 0x0574u /* RW by host; a write interrupts the firmware, which may wait for room */

enum gmemu_msg_type {
	/* host to firmware; each is answered by ACK with the same seq */
	GMEMU_MSG_HELLO = 1, /* hello */
	GMEMU_MSG_QUEUE_CREATE = 2, /* queue_create */
	GMEMU_MSG_QUEUE_DESTROY = 3, /* queue: harts are stopped, then ACK */
	GMEMU_MSG_CTX_DESTROY = 4, /* ctx: as QUEUE_DESTROY for all queues of the context */
	GMEMU_MSG_PING = 5,
	GMEMU_MSG_QUEUE_STOP = 6, /* queue: what has been begun is finished, then the queue is gone and ACK */
	/* the same, with GMEMU_CAP_PEER; each is answered by PEER_ACK with the same seq */
	GMEMU_MSG_PEER_CTX_CREATE = 16, /* peer.ctx: an empty address space; peer_ack.root */
	GMEMU_MSG_PEER_CTX_DESTROY = 17, /* peer.ctx: and all it holds; it has no queues any more */
	GMEMU_MSG_PEER_VA_ALLOC = 18, /* peer: ctx, va, size, prot */
	GMEMU_MSG_PEER_VA_FREE = 19, /* peer: ctx, va, size */
	GMEMU_MSG_PEER_MAP = 20, /* peer */
	GMEMU_MSG_PEER_UNMAP = 21, /* peer, prot is 0 */
	GMEMU_MSG_PEER_QUERY = 22, /* peer.ctx: that context; GMEMU_PEER_ALL: the device */
	/* firmware to host */
	GMEMU_MSG_ACK = 64, /* ack */
	GMEMU_MSG_COMPLETION = 65, /* queue: packets completed, signals may have changed */
	GMEMU_MSG_QUEUE_ERROR = 66, /* queue_error: the queue has stopped */
	GMEMU_MSG_LOG = 67, /* text */
	GMEMU_MSG_PEER_ACK = 80, /* peer_ack */
};

/* Status in ACK and PEER_ACK. */
enum gmemu_fw_result {
	GMEMU_FW_OK = 0,
	GMEMU_FW_EINVAL = 1,
	GMEMU_FW_ENOENT = 2,
	GMEMU_FW_EBUSY = 3,
	GMEMU_FW_EVERSION = 4,
	/* of the messages PEER_* */
	GMEMU_FW_EPEER = 16, /* the device was made without peer mode */
	GMEMU_FW_ENOCTX = 17, /* the context has no peer address space */
	GMEMU_FW_EALIGN = 18, /* va, size or bus is not a multiple of 4 KiB */
	GMEMU_FW_ERANGE = 19, /* size is 0 or too large, or the range ends beyond 2^48 */
	GMEMU_FW_EEXIST = 20, /* VMAs overlap, memory is held already, or there is such a context */
	GMEMU_FW_ENOVMA = 21, /* no VMA covers the whole range */
	GMEMU_FW_EPROT = 22, /* more access than the VMA allows */
	GMEMU_FW_ENOMEM = 23, /* no local DRAM left for data */
	GMEMU_FW_ENOTABLE = 24, /* no local DRAM left for page tables or VMAs */
	GMEMU_FW_EMANY = 25, /* too many contexts, or too many VMAs in this one */
	GMEMU_FW_ENOTHELD = 26, /* to be copied back, but no memory is held there */
	GMEMU_FW_EDMA = 27, /* a copy failed: bus is no memory */
};

/* Peer mode: access, in peer.prot. W needs R, ATOMIC needs W. */
#define GMEMU_PEER_R GMEMU_BIT(0)
#define GMEMU_PEER_W GMEMU_BIT(1)
#define GMEMU_PEER_X GMEMU_BIT(2)
#define GMEMU_PEER_ATOMIC GMEMU_BIT(3)

/* Peer mode: how to map and unmap, in peer.flags. */
#define GMEMU_PEER_COPY GMEMU_BIT(0) /* MAP: from bus; UNMAP: to bus */
#define GMEMU_PEER_REMOTE GMEMU_BIT(1) /* MAP: the system memory at bus, hold nothing */
#define GMEMU_PEER_KEEP GMEMU_BIT(2) /* UNMAP: take the access away, hold the memory and its content */

#define GMEMU_PEER_ALL 0xffffffffu
#define GMEMU_PEER_MAX_SIZE 0x200000u /* bytes of one MAP, or of one UNMAP with COPY */
#define GMEMU_PEER_MAX_CONTEXTS 1024u
#define GMEMU_PEER_MAX_VMAS 4096u /* of one context */

enum gmemu_queue_error_code {
	GMEMU_QERR_NONE = 0,
	GMEMU_QERR_MEMORY_FAULT = 1, /* a fault was cancelled: va, access and reason say which */
	GMEMU_QERR_ILLEGAL_INSTRUCTION = 2, /* va: the instruction's address */
	GMEMU_QERR_MISALIGNED = 3, /* misaligned AMO/LR/SC or instruction address */
	GMEMU_QERR_BREAKPOINT = 4, /* ebreak */
	GMEMU_QERR_ABORT = 5, /* the kernel called abort; arg: its code */
	GMEMU_QERR_BAD_PACKET = 6, /* va: the packet's address; arg: what is wrong, GMEMU_PKT_* */
	GMEMU_QERR_HART = 7, /* hart failed */
	GMEMU_QERR_RESET = 8, /* not by the firmware: the driver's, for a queue that a reset ended */
};

struct gmemu_msg {
	uint16_t type; /* enum gmemu_msg_type */
	uint16_t reserved0;
	uint32_t seq;
	union {
		struct {
			uint32_t contract; /* GMEMU_REG_VERSION the driver was built for */
		} hello;
		struct {
			uint32_t queue;
			uint32_t ctx;
			uint64_t ring_va; /* 64-byte aligned, device VA */
			uint64_t index_va; /* struct gmemu_queue_index, device VA */
			uint64_t scratch_va; /* 4 KiB aligned; hart n uses [n, n + 1) * scratch_size */
			uint64_t scratch_size; /* bytes per hart, multiple of 16: the kernel's stack */
			uint32_t ring_log2; /* log2 of the number of packets, 1..16 */
			uint32_t flags; /* 0 */
			uint64_t first_index; /* of the first packet to read, and of read_index */
		} queue_create;
		struct {
			uint32_t queue;
			uint32_t ctx;
		} queue;
		struct {
			uint32_t status; /* enum gmemu_fw_result */
			uint32_t fw_version; /* for HELLO */
			uint32_t cores; /* for HELLO */
			uint32_t reserved;
			uint64_t read_index; /* for QUEUE_STOP: packets retired */
		} ack;
		struct {
			uint32_t ctx;
			uint32_t prot; /* GMEMU_PEER_R, ... */
			uint64_t va;
			uint64_t size; /* bytes */
			uint64_t bus; /* contiguous, with COPY or REMOTE; else 0 */
			uint32_t flags; /* GMEMU_PEER_COPY, ... */
			uint32_t reserved;
		} peer;
		struct {
			uint32_t status; /* enum gmemu_fw_result */
			uint32_t contexts; /* for QUERY of the device */
			uint64_t root; /* for CTX_CREATE: what the context entry's root is to be */
			uint64_t total_pages; /* for QUERY: 4 KiB pages of local DRAM firmware hands out */
			uint64_t free_pages; /* for QUERY: those of them that nobody has */
			uint64_t held_pages; /* for QUERY: with content of the context, or of all */
			uint32_t table_pages; /* for QUERY: page tables and VMAs of the context, or of all */
			uint32_t vmas; /* for QUERY: of the context, or of all */
		} peer_ack;
		struct {
			uint32_t queue;
			uint32_t ctx;
			uint32_t code; /* enum gmemu_queue_error_code */
			uint8_t access; /* enum gmemu_fault_access */
			uint8_t reason; /* enum gmemu_fault_reason */
			uint8_t hart; /* 0xff: the queue processor */
			uint8_t type; /* enum gmemu_fault_type */
			uint64_t va;
			uint64_t pc;
			uint64_t arg;
			uint64_t packet; /* index of the packet */
		} queue_error;
		uint8_t text[56];
	} u;
};
GMEMU_ASSERT_SIZE(struct gmemu_msg, 64);

/* ------------------------------------------------------ access counters -- */

/*
 * Needs GMEMU_CAP_ACCESS_COUNTERS. One counter for each (context, granule) in use
 * counts the translations of its pages that harts had to fetch because their L1
 * TLB did not hold them. Every PERIOD_US the L1 TLBs forget the translations of
 * counted pages, so that a page in constant use is counted about once in a period
 * by each hart that uses it. A counter that reaches THRESHOLD writes an entry to
 * the ring, once until it is cleared. The device has a bounded number of counters,
 * thousands; one that is needed for another granule is lost, smallest first.
 *
 * The ring is as a fault ring: entries are written with the valid byte last,
 * software clears it and writes GET, which arms the interrupt. The ring is full
 * when PUT + 1 == GET: the entry is dropped, OVERFLOW set, and the counter tries
 * again when it counts next. Setting ENABLE clears all counters and sets GET, PUT
 * and DROPPED to 0.
 */
#define GMEMU_REG_ACNT_BASE 0x0700u /* RW, 64 bit: bus address of the ring, 4 KiB aligned */
#define GMEMU_REG_ACNT_SIZE_LOG2 0x0708u /* RW: log2 of the number of entries, 1..16 */
#define GMEMU_REG_ACNT_CTRL 0x070cu /* RW: GMEMU_ACNT_CTRL_* */
#define GMEMU_REG_ACNT_GET 0x0710u /* RW: index of the next entry software reads */
#define GMEMU_REG_ACNT_PUT 0x0714u /* RO: index of the next entry the device writes */
#define GMEMU_REG_ACNT_STATUS 0x0718u /* RW1C: GMEMU_ACNT_STATUS_* */
#define GMEMU_REG_ACNT_DROPPED 0x071cu /* RO: entries dropped since enabled */
#define GMEMU_REG_ACNT_THRESHOLD 0x0720u /* RW: count that is notified, 1..65535 */
#define GMEMU_REG_ACNT_GRANULE_LOG2 0x0724u /* RW: log2 of the bytes that share a counter */
#define GMEMU_REG_ACNT_PERIOD_US 0x0728u /* RW: sampling period, 0: count natural misses only */
#define GMEMU_REG_ACNT_CMD 0x072cu /* WO: GMEMU_ACNT_CMD_*; done when the write is */
#define GMEMU_REG_ACNT_VA 0x0730u /* RW, 64 bit: operand: any address in the granule */
#define GMEMU_REG_ACNT_CTX 0x0738u /* RW: operand: context */
#define GMEMU_REG_ACNT_ONLY_CTX 0x073cu /* RW: the context that CTRL.ONE_CTX counts */
#define GMEMU_ACNT_CTRL_ENABLE GMEMU_BIT(0)
#define GMEMU_ACNT_CTRL_LOCAL GMEMU_BIT(1) /* count pages in local DRAM as well as in system memory */
#define GMEMU_ACNT_CTRL_ONE_CTX GMEMU_BIT(2) /* count one context only */
#define GMEMU_ACNT_STATUS_OVERFLOW GMEMU_BIT(0)
#define GMEMU_ACNT_CMD_CLEAR_ALL 1u
#define GMEMU_ACNT_CMD_CLEAR_CTX 2u /* counters of ACNT_CTX */
#define GMEMU_ACNT_CMD_CLEAR_GRANULE 3u /* the counter of ACNT_VA in ACNT_CTX */
#define GMEMU_ACNT_GRANULE_MIN_LOG2 12u
#define GMEMU_ACNT_GRANULE_MAX_LOG2 30u
#define GMEMU_ACNT_PERIOD_MIN_US 100u
#define GMEMU_ACNT_PERIOD_MAX_US 1000000u

struct gmemu_acnt_entry {
	uint64_t va; /* first byte of the granule */
	uint64_t timestamp; /* GMEMU_REG_TIMESTAMP */
	uint32_t ctx;
	uint32_t count; /* at least THRESHOLD */
	uint8_t granule_log2;
	uint8_t aperture; /* GMEMU_ACNT_APERTURE_*: of the page that was counted last */
	uint16_t seq; /* counts entries, dropped ones too */
	uint8_t reserved[3];
	uint8_t valid; /* GMEMU_ACNT_VALID, written last */
};
GMEMU_ASSERT_SIZE(struct gmemu_acnt_entry, 32);
#define GMEMU_ACNT_APERTURE_SYSTEM 0u
#define GMEMU_ACNT_APERTURE_LOCAL 1u
#define GMEMU_ACNT_VALID 0x80u

/* ------------------------------------------------------- checker ring ---- */

/*
 * With GMEMU_CAP_CHECK_RING: each violation becomes an entry of a ring in system
 * memory, with the rules of the fault rings: the byte with GMEMU_CHECK_VALID last,
 * software clears it and writes GET, full when PUT + 1 == GET (mod size). An entry
 * that finds the ring full is dropped and counted. GMEMU_VEC_ERROR fires when an entry
 * becomes valid while the ring is armed, and disarms it; a write to GET arms it, and
 * fires at once if entries remain. While the ring is enabled the checker raises the
 * vector in no other way.
 */
#define GMEMU_REG_CHECK_RING_BASE 0x0740u /* RW, 64 bit: bus address, 4 KiB aligned */
#define GMEMU_REG_CHECK_RING_SIZE_LOG2 0x0748u /* RW: log2 of the number of entries, 1..16 */
#define GMEMU_REG_CHECK_RING_CTRL 0x074cu /* RW: GMEMU_CHECK_RING_ENABLE */
#define GMEMU_CHECK_RING_ENABLE GMEMU_BIT(0) /* setting it sets GET, PUT and DROPPED to 0 */
#define GMEMU_REG_CHECK_RING_GET 0x0750u /* RW: index of the next entry software reads */
#define GMEMU_REG_CHECK_RING_PUT 0x0754u /* RO: index of the next entry the device writes */
#define GMEMU_REG_CHECK_RING_DROPPED 0x0758u /* RO: entries that found the ring full */
#define GMEMU_REG_CHECK_LIMIT 0x075cu /* RW: see below */
#define GMEMU_CHECK_LIMIT_RESET 32u
/*
 * Of each code, the first CHECK_LIMIT violations are logged and entered in the ring,
 * after that only each 2^n-th. All are counted in CHECK_COUNT.
 */
#define GMEMU_REG_CHECK_MUTE(n) (0x0760u + 8u * (n)) /* RW, 64 bit, n = 0, 1: bit c: code 64 n + c is muted */
#define GMEMU_REG_CHECK_MUTED 0x0770u /* RO: violations of muted codes, which are nowhere else */

struct gmemu_check_entry {
	uint64_t timestamp; /* GMEMU_REG_TIMESTAMP */
	uint64_t info; /* as GMEMU_REG_CHECK_INFO */
	uint32_t ctx;
	uint32_t count; /* violations of this code since reset, this one included */
	uint16_t code; /* enum gmemu_check_code */
	uint16_t queue; /* GMEMU_CHECK_NO_QUEUE: none, or not known */
	uint8_t hart; /* GMEMU_CHECK_NO_HART: none, or not known */
	uint8_t check_class; /* enum gmemu_check_class */
	uint8_t reserved;
	uint8_t valid; /* GMEMU_CHECK_VALID, written last */
};
GMEMU_ASSERT_SIZE(struct gmemu_check_entry, 32);
#define GMEMU_CHECK_VALID 0x80u
#define GMEMU_CHECK_NO_QUEUE 0xffffu
#define GMEMU_CHECK_NO_HART 0xffu

/* ------------------------------------------------- performance counters -- */

/*
 * With GMEMU_CAP_PERF. 64-bit counters that always run and start at 0 with each
 * reset. FREEZE keeps the values of one moment for the registers to show, while
 * the counters run on; RESET makes them start at 0. With both in one write no event is
 * lost between one set and the next.
 */
#define GMEMU_REG_PERF_CTRL 0x0600u /* RW */
#define GMEMU_PERF_CTRL_FREEZE GMEMU_BIT(0) /* show the values of the moment at which it was written */
#define GMEMU_PERF_CTRL_RESET GMEMU_BIT(1) /* self-clearing; after FREEZE of the same write */
#define GMEMU_REG_PERF_SELECT 0x0604u /* RW: whose GMEMU_PERF_HART_COUNTERS: a hart, or ALL */
#define GMEMU_PERF_SELECT_ALL 0xffffffffu /* its reset value: their sum; L2_HITS and WALKS with those of the queue processor */
#define GMEMU_REG_PERF_SINCE 0x0608u /* RO, 64 bit: GMEMU_REG_TIMESTAMP when they were 0 */
#define GMEMU_REG_PERF_TIME 0x0610u /* RO, 64 bit: GMEMU_REG_TIMESTAMP of the values shown */
#define GMEMU_REG_PERF_COUNT 0x0618u /* RO: GMEMU_PERF_COUNTERS of the device */
#define GMEMU_REG_PERF(n) (0x0620u + 8u * (n)) /* RO, 64 bit: counter n, enum gmemu_perf_counter */

enum gmemu_perf_counter {
	/* of the harts: GMEMU_REG_PERF_SELECT chooses one */
	GMEMU_PERF_INSTRUCTIONS = 0, /* retired */
	GMEMU_PERF_RUN_NS = 1, /* time with a job, stalls not counted */
	GMEMU_PERF_STALL_NS = 2, /* time in which an access waited for a replay */
	GMEMU_PERF_JOBS = 3, /* work-groups and pieces of copies that were started */
	GMEMU_PERF_L1_HITS = 4, /* data accesses that found their translation in the hart's own TLB */
	GMEMU_PERF_L1_MISSES = 5, /* look-ups for data accesses that did not, tries after a replay included */
	GMEMU_PERF_L2_HITS = 6, /* L1 misses, of fetches and prefetches too, that the shared TLB answered */
	GMEMU_PERF_WALKS = 7, /* those for which the page table was walked */
	/* of the device */
	GMEMU_PERF_PACKETS = 8, /* packets that firmware has completed */
	GMEMU_PERF_REPLAYS = 9, /* commands with REPLAY_START or START_ACK_ALL */
	GMEMU_PERF_CANCELS = 10, /* commands with a cancel */
	GMEMU_PERF_INVALIDATIONS = 11, /* commands with a scope, the firmware's included */
	GMEMU_PERF_DMA_READ_BYTES = 12, /* system memory read by the copy engine and by firmware's DMA */
	GMEMU_PERF_DMA_WRITE_BYTES = 13, /* system memory written by them */
	GMEMU_PERF_INTERRUPTS = 14, /* MSI-X messages */
	GMEMU_PERF_FAULTS_DROPPED = 15, /* faults that found no room in their ring */
};
#define GMEMU_PERF_FAULTS(type) (16u + (type)) /* faults of enum gmemu_fault_type, each time they were found */
#define GMEMU_PERF_HART_COUNTERS 8u
#define GMEMU_PERF_FAULT_TYPES 11u
#define GMEMU_PERF_COUNTERS 27u

/* What programs call them: an initialiser of strings, for an array of GMEMU_PERF_COUNTERS. */
#define GMEMU_PERF_NAMES { \
	"instructions", "run_ns", "stall_ns", "jobs", "l1_hits", "l1_misses", "l2_hits", "walks", \
	"packets", "replays", "cancels", "invalidations", "dma_read_bytes", "dma_write_bytes", \
	"interrupts", "faults_dropped", \
	"faults_pte", "faults_pde", "faults_ctx", "faults_va_limit", "faults_ro", "faults_wo", \
	"faults_nx", "faults_atomic", "faults_reserved", "faults_aperture", "faults_poison", \
}

/* ------------------------------------------------------- queues and AQL -- */

/*
 * Doorbell page of queue n: BAR0 + GMEMU_DOORBELL_BASE + n * STRIDE. A 64-bit
 * write at offset 0 of the number of packets submitted so far wakes the queue.
 */

/* In user memory, one cache line per writer. */
struct gmemu_queue_index {
	uint64_t write_index; /* packets reserved by producers */
	uint64_t pad0[7];
	uint64_t read_index; /* packets retired, written by the device */
	uint64_t pad1[7];
};
GMEMU_ASSERT_SIZE(struct gmemu_queue_index, 128);

/* HSA 1.2 section 2.9 (AQL). A packet belongs to the device once its type is not INVALID. */
#define GMEMU_AQL_TYPE_MASK 0x00ffu
#define GMEMU_AQL_VENDOR 0u
#define GMEMU_AQL_INVALID 1u
#define GMEMU_AQL_KERNEL_DISPATCH 2u
#define GMEMU_AQL_BARRIER_AND 3u
#define GMEMU_AQL_AGENT_DISPATCH 4u
#define GMEMU_AQL_BARRIER_OR 5u
#define GMEMU_AQL_BARRIER GMEMU_BIT(8) /* start only after all earlier packets are complete */
#define GMEMU_AQL_ACQUIRE_SHIFT 9
#define GMEMU_AQL_RELEASE_SHIFT 11
#define GMEMU_AQL_FENCE_NONE 0u
#define GMEMU_AQL_FENCE_AGENT 1u
#define GMEMU_AQL_FENCE_SYSTEM 2u
#define GMEMU_AQL_HEADER_RESERVED 0xe000u

struct gmemu_aql_dispatch {
	uint16_t header;
	uint16_t setup; /* number of grid dimensions, 1..3 */
	uint16_t workgroup_size[3];
	uint16_t reserved0;
	uint32_t grid_size[3]; /* in work-items */
	uint32_t private_segment_size; /* bytes of stack needed */
	uint32_t group_segment_size; /* must be 0 */
	uint64_t kernel_object; /* VA of the entry stub */
	uint64_t kernarg_address;
	uint64_t reserved1;
	uint64_t completion_signal; /* VA of struct gmemu_signal, or 0 */
};
GMEMU_ASSERT_SIZE(struct gmemu_aql_dispatch, 64);

struct gmemu_aql_agent {
	uint16_t header;
	uint16_t type; /* GMEMU_AGENT_* */
	uint32_t reserved0;
	uint64_t return_address; /* must be 0 */
	uint64_t arg[4]; /* COPY: dst, src, bytes, 0; FILL: dst, 64-bit pattern, bytes, 0 */
	uint64_t reserved1;
	uint64_t completion_signal;
};
GMEMU_ASSERT_SIZE(struct gmemu_aql_agent, 64);
#define GMEMU_AGENT_COPY 1u
#define GMEMU_AGENT_FILL 2u

struct gmemu_aql_barrier {
	uint16_t header;
	uint16_t reserved0;
	uint32_t reserved1;
	uint64_t dep_signal[5]; /* VA or 0; AND: all are 0, OR: one is 0 */
	uint64_t reserved2;
	uint64_t completion_signal;
};
GMEMU_ASSERT_SIZE(struct gmemu_aql_barrier, 64);

/* In user memory. The device decrements value with an atomic, release order. */
struct gmemu_signal {
	int64_t value;
	uint64_t reserved0;
	uint64_t start_ts; /* GMEMU_REG_TIMESTAMP, of the last packet that completed to it */
	uint64_t end_ts;
	uint64_t reserved1[4];
};
GMEMU_ASSERT_SIZE(struct gmemu_signal, 64);

/* What is wrong with a packet (arg of GMEMU_QERR_BAD_PACKET). */
#define GMEMU_PKT_TYPE 1u
#define GMEMU_PKT_RESERVED 2u
#define GMEMU_PKT_SETUP 3u
#define GMEMU_PKT_SIZE 4u /* work-group or grid size is 0 */
#define GMEMU_PKT_SCRATCH 5u /* private_segment_size exceeds the queue's scratch_size */
#define GMEMU_PKT_ALIGN 6u
#define GMEMU_PKT_AGENT 7u

/* ------------------------------------------------- compute hart, user view */

/*
 * A work-group starts at kernel_object with a0 = kernarg_address, a1 = flat
 * work-group index, sp = top of the hart's scratch (16-byte aligned), ra = 0,
 * gp = tp = 0, frm = fcsr = 0, other registers 0. It ends with ecall, a7 =
 * GMEMU_ECALL_EXIT. User-readable custom CSRs give the dispatch.
 */
#define GMEMU_ECALL_EXIT 0u
#define GMEMU_ECALL_ABORT 1u /* a0: code; the queue errors with GMEMU_QERR_ABORT */

#define GMEMU_CSR_HART_ID 0xcc0u
#define GMEMU_CSR_NUM_HARTS 0xcc1u
#define GMEMU_CSR_WG_ID_X 0xcc2u /* work-group number in its dimension */
#define GMEMU_CSR_WG_ID_Y 0xcc3u
#define GMEMU_CSR_WG_ID_Z 0xcc4u
#define GMEMU_CSR_WG_SIZE_X 0xcc5u /* work-items in a work-group */
#define GMEMU_CSR_WG_SIZE_Y 0xcc6u
#define GMEMU_CSR_WG_SIZE_Z 0xcc7u
#define GMEMU_CSR_GRID_X 0xcc8u /* work-items in the grid */
#define GMEMU_CSR_GRID_Y 0xcc9u
#define GMEMU_CSR_GRID_Z 0xccau

/* -------------------------------------------- management hart's view ----- */

/*
 * RV64IMAC, M-mode only, bare physical addresses:
 *   GMEMU_MGMT_MMIO    registers below
 *   GMEMU_MGMT_DRAM    local DRAM, offset 0 first
 *   GMEMU_MGMT_BUS     system memory: GMEMU_MGMT_BUS + bus address
 * With mstatus.MPRV = 1 and MPP = U, loads, stores and AMOs are translated by
 * the device MMU in context CSR mctx, on behalf of queue CSR mqueue. Such an
 * access that faults is entered into the replayable ring (engine QP, client =
 * queue) and traps with GMEMU_CAUSE_CTX_FAULT; firmware parks the queue and
 * tries again after GMEMU_MIRQ_REPLAY. If the fault was cancelled, the retry
 * traps with GMEMU_CAUSE_CTX_CANCELLED, the reason in CSR mreason, the access in
 * CSR maccess and the type of the fault in CSR mtype. A fault that is not replayable
 * traps so at once.
 */
#define GMEMU_MGMT_MMIO 0x10000000ull
#define GMEMU_MGMT_DRAM 0x80000000ull
#define GMEMU_MGMT_BUS GMEMU_BIT64(55)
#define GMEMU_CSR_MCTX 0x7c0u
#define GMEMU_CSR_MQUEUE 0x7c1u
#define GMEMU_CSR_MREASON 0x7c2u
#define GMEMU_CSR_MACCESS 0x7c3u
#define GMEMU_CSR_MTYPE 0x7c4u
#define GMEMU_CAUSE_CTX_FAULT 24u /* mtval: VA */
#define GMEMU_CAUSE_CTX_CANCELLED 25u

/* Registers at GMEMU_MGMT_MMIO; 64-bit accesses unless noted. */
#define GMEMU_M_CORES 0x000u /* RO */
#define GMEMU_M_DRAM_SIZE 0x008u /* RO */
#define GMEMU_M_TIMESTAMP 0x010u /* RO, ns */
#define GMEMU_M_CONTRACT 0x018u /* RO: GMEMU_REG_VERSION */
#define GMEMU_M_FW_STATUS 0x020u /* RW: as GMEMU_REG_FW_STATUS; firmware writes RUNNING or CRASHED */
#define GMEMU_M_FW_VERSION 0x028u /* RW */
#define GMEMU_M_CONSOLE 0x030u /* WO: one character of the log; newline ends a line */
#define GMEMU_M_CAPS 0x038u /* RO: as GMEMU_REG_CAPS */
#define GMEMU_M_IRQ_PENDING 0x040u /* RO: GMEMU_MIRQ_* */
#define GMEMU_M_IRQ_ACK 0x048u /* W1C */
#define GMEMU_M_H2F_BASE 0x080u /* RO: bus address */
#define GMEMU_M_H2F_SIZE_LOG2 0x088u /* RO */
#define GMEMU_M_H2F_PUT 0x090u /* RO */
#define GMEMU_M_H2F_GET 0x098u /* RW */
#define GMEMU_M_F2H_BASE 0x0a0u /* RO */
#define GMEMU_M_F2H_SIZE_LOG2 0x0a8u /* RO */
#define GMEMU_M_F2H_PUT 0x0b0u /* RW: a write raises GMEMU_VEC_MAILBOX */
#define GMEMU_M_F2H_GET 0x0b8u /* RO */
#define GMEMU_M_HART_EVENTS 0x0c0u /* RW1C: bit n: hart n halted since cleared */
#define GMEMU_M_QP_FORGET 0x0c8u /* WO: queue; its faults (engine QP) are no longer outstanding, nor cancelled */
/*
 * DMA of the firmware: write the operands, then DMA_CMD; read DMA_CMD until BUSY is
 * clear. INV takes translations of a context away: it is complete when INV_CMD
 * reads 0. A read may be held back for a bounded time while a command is under way.
 */
#define GMEMU_M_DMA_SRC 0x0d0u /* RW: DRAM offset or bus address; FILL: the 64-bit pattern */
#define GMEMU_M_DMA_DST 0x0d8u /* RW: DRAM offset or bus address */
#define GMEMU_M_DMA_LEN 0x0e0u /* RW: bytes */
#define GMEMU_M_DMA_CMD 0x0e8u /* write: OP and flags, starts; read: BUSY, FAILED */
#define GMEMU_M_INV_VA 0x0f0u /* RW: first byte, 4 KiB aligned */
#define GMEMU_M_INV_CMD 0x0f8u /* write: context and pages, starts; read: 1 while under way */
#define GMEMU_M_DMA_OP_MASK 0xffull /* enum gmemu_copy_op: COPY or FILL */
#define GMEMU_M_DMA_FLAGS_SHIFT 8 /* GMEMU_COPY_SRC_LOCAL, GMEMU_COPY_DST_LOCAL */
#define GMEMU_M_DMA_FLAGS_MASK 0xff00ull
#define GMEMU_M_DMA_BUSY GMEMU_BIT64(0)
#define GMEMU_M_DMA_FAILED GMEMU_BIT64(1) /* the last one was refused, or met no memory */
#define GMEMU_M_INV_CTX_MASK 0xffffull
#define GMEMU_M_INV_PAGES_SHIFT 16 /* 0: the whole context and its cached context entry */
#define GMEMU_M_DOORBELL_PENDING(w) (0x100u + 8u * (w)) /* RW1C: 256 bits */
#define GMEMU_M_PACKET_START 0x200u /* WO: queue | index of the packet << 16: its work begins */
#define GMEMU_M_PACKET_END 0x208u /* WO: the same: it is complete. For GMEMU_PERF_PACKETS and traces only */
#define GMEMU_M_DOORBELL(q) (0x1000u + 8u * (q)) /* RO: last value written */
#define GMEMU_M_HART(n) (0x10000u + 0x200u * (n)) /* block of hart n */

/* wfi waits until a bit is pending; bits stay until acknowledged. */
#define GMEMU_MIRQ_MAILBOX GMEMU_BIT64(0) /* H2F_PUT or F2H_GET was written */
#define GMEMU_MIRQ_DOORBELL GMEMU_BIT64(1)
#define GMEMU_MIRQ_HART GMEMU_BIT64(2)
#define GMEMU_MIRQ_REPLAY GMEMU_BIT64(3) /* a replay or cancel touched a parked queue */

/* In a hart's block. Inputs are read at START. */
#define GMEMU_H_CTRL 0x00u /* WO: GMEMU_H_START, GMEMU_H_KILL, GMEMU_H_FENCE_I */
#define GMEMU_H_STATE 0x08u /* RO: enum gmemu_hart_state */
#define GMEMU_H_CTX 0x10u
#define GMEMU_H_QUEUE 0x18u
#define GMEMU_H_PC 0x20u
#define GMEMU_H_SP 0x28u
#define GMEMU_H_A0 0x30u
#define GMEMU_H_A1 0x38u
#define GMEMU_H_WG_ID(d) (0x40u + 8u * (d))
#define GMEMU_H_WG_SIZE(d) (0x58u + 8u * (d))
#define GMEMU_H_GRID(d) (0x70u + 8u * (d))
#define GMEMU_H_MODE 0x88u /* GMEMU_H_MODE_* */
#define GMEMU_H_BLIT_DST 0x90u
#define GMEMU_H_BLIT_SRC 0x98u /* FILL: the 64-bit pattern */
#define GMEMU_H_BLIT_LEN 0xa0u
#define GMEMU_H_CAUSE 0x100u /* RO: enum gmemu_hart_cause */
#define GMEMU_H_EPC 0x108u /* RO */
#define GMEMU_H_TVAL 0x110u /* RO: address, or a0 of ABORT */
#define GMEMU_H_REASON 0x118u /* RO: enum gmemu_fault_reason */
#define GMEMU_H_ACCESS 0x120u /* RO: enum gmemu_fault_access */
#define GMEMU_H_INSTRET 0x128u /* RO: instructions of this work-group */
#define GMEMU_H_TYPE 0x130u /* RO: enum gmemu_fault_type */

#define GMEMU_H_START GMEMU_BIT64(0)
#define GMEMU_H_KILL GMEMU_BIT64(1) /* stops at the next instruction, also when stalled */
#define GMEMU_H_FENCE_I GMEMU_BIT64(2) /* with START: forget decoded instructions first */

#define GMEMU_H_MODE_EXEC 0u
#define GMEMU_H_MODE_COPY 1u /* blit: BLIT_LEN bytes from SRC to DST in the context, no overlap */
#define GMEMU_H_MODE_FILL 2u /* BLIT_LEN multiple of 8, DST 8-byte aligned */

enum gmemu_hart_state {
	GMEMU_HART_IDLE = 0, /* START accepted */
	GMEMU_HART_RUNNING = 1,
	GMEMU_HART_STALLED = 2, /* waits for a replay */
	GMEMU_HART_HALTED = 3, /* CAUSE tells why; START accepted */
};

enum gmemu_hart_cause {
	GMEMU_HCAUSE_NONE = 0,
	GMEMU_HCAUSE_EXIT = 1, /* work-group complete */
	GMEMU_HCAUSE_FAULT = 2, /* fault cancelled, or not replayable: TVAL, ACCESS, TYPE, REASON */
	GMEMU_HCAUSE_ILLEGAL = 3,
	GMEMU_HCAUSE_MISALIGNED = 4,
	GMEMU_HCAUSE_BREAKPOINT = 5,
	GMEMU_HCAUSE_ABORT = 6,
	GMEMU_HCAUSE_KILLED = 7,
};

#endif /* GMEMU_REGS_H */
