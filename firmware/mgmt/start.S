/* SPDX-License-Identifier: MIT */
/*
 * Image header and entry of the management firmware. The boot ROM copied the image to
 * the start of local DRAM, which may hold anything behind it: bss is cleared here.
 */
#include "image.h"

	.section .gmemu.header, "a"
	.globl	fw_header
fw_header:
	.4byte	FW_IMAGE_MAGIC
	.4byte	64			/* header_size */
	.4byte	0			/* image_size: mkfw */
	.4byte	0			/* crc32: mkfw */
	.4byte	FW_CONTRACT
	.4byte	FW_VERSION
	.4byte	_start - fw_header	/* entry */
	.4byte	fw_mem_size		/* from the linker script */
	.ascii	FW_NAME
	.org	fw_header + 64, 0

	.section .text.start, "ax"
	.globl	_start
_start:
	la	t0, trap_entry
	csrw	mtvec, t0
	la	sp, fw_stack_top
	la	t0, fw_bss_start
	la	t1, fw_bss_end
1:	bgeu	t0, t1, 2f
	sd	zero, 0(t0)
	addi	t0, t0, 8
	j	1b
2:	call	fw_main
3:	wfi
	j	3b
