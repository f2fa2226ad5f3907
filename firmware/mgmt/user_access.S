/* SPDX-License-Identifier: MIT */
/*
 * Accesses to a process's memory, and the only trap handler.
 *
 * With mstatus.MPRV = 1 and MPP = U the device MMU translates loads, stores and AMOs in
 * context mctx. Such an access may fault; the trap handler then makes the accessor
 * return the cause instead of 0. An accessor is an ordinary call and the handler
 * returns to its caller, so all temporaries are free to use and nothing is saved. Any
 * other trap is a firmware bug.
 */
#define MSTATUS_MPRV	(1 << 17)
#define MSTATUS_MPP	(3 << 11)
#define CAUSE_CTX_FAULT	24
#define CAUSE_CTX_CANCELLED 25

	.section .text.user_access, "ax"

	/* Enter with MPP = U, MPRV = 1. Clobbers t0. */
	.macro	mprv_on
	li	t0, MSTATUS_MPP
	csrc	mstatus, t0
	li	t0, MSTATUS_MPRV
	csrs	mstatus, t0
	.endm

	.macro	mprv_off
	li	t0, MSTATUS_MPRV
	csrc	mstatus, t0
	.endm

user_access_begin:
	/* long user_load16(u64 va, u16 *out) */
	.globl	user_load16
user_load16:
	mprv_on
	lhu	t1, 0(a0)
	mprv_off
	fence	r, rw
	sh	t1, 0(a1)
	li	a0, 0
	ret

	/* long user_load64(u64 va, u64 *out) */
	.globl	user_load64
user_load64:
	mprv_on
	ld	t1, 0(a0)
	mprv_off
	fence	r, rw
	sd	t1, 0(a1)
	li	a0, 0
	ret

	/* long user_load_packet(u64 va, u64 out[8]); va is 64-byte aligned */
	.globl	user_load_packet
user_load_packet:
	mprv_on
	ld	t1, 0(a0)
	ld	t2, 8(a0)
	ld	t3, 16(a0)
	ld	t4, 24(a0)
	ld	t5, 32(a0)
	ld	t6, 40(a0)
	ld	a2, 48(a0)
	ld	a3, 56(a0)
	mprv_off
	sd	t1, 0(a1)
	sd	t2, 8(a1)
	sd	t3, 16(a1)
	sd	t4, 24(a1)
	sd	t5, 32(a1)
	sd	t6, 40(a1)
	sd	a2, 48(a1)
	sd	a3, 56(a1)
	li	a0, 0
	ret

	/* long user_store16(u64 va, u16 value), release */
	.globl	user_store16
user_store16:
	fence	rw, w
	mprv_on
	sh	a1, 0(a0)
	mprv_off
	li	a0, 0
	ret

	/* long user_store64(u64 va, u64 value), release */
	.globl	user_store64
user_store64:
	fence	rw, w
	mprv_on
	sd	a1, 0(a0)
	mprv_off
	li	a0, 0
	ret

	/* long user_add64(u64 va, u64 value), release */
	.globl	user_add64
user_add64:
	fence	rw, w
	mprv_on
	amoadd.d.rl t1, a1, (a0)
	mprv_off
	li	a0, 0
	ret
user_access_end:

	.balign	4
	.globl	trap_entry
trap_entry:
	mprv_off
	csrr	t1, mepc
	la	t2, user_access_begin
	bltu	t1, t2, 1f
	la	t2, user_access_end
	bgeu	t1, t2, 1f
	csrr	a0, mcause
	li	t2, CAUSE_CTX_FAULT
	beq	a0, t2, 2f
	li	t2, CAUSE_CTX_CANCELLED
	bne	a0, t2, 1f
2:	csrw	mepc, ra
	mret				/* MPP = M and MPRV = 0: stays in machine mode */

1:	csrr	a0, mcause
	csrr	a1, mepc
	csrr	a2, mtval
	la	sp, fw_stack_top
	tail	fw_crash
