/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where counting begins and ends: a NOP with an operand, `nopl NUMBER(%rax)`, that no compiler makes.
 */
#pragma once

#define INSTRUCTIONS_BEGIN 0x676d0000
#define INSTRUCTIONS_END 0x676d0100 /* + the kind of what was counted, below 256 */

/* 0f 1f 80 and four bytes of the number. */
#define INSTRUCTIONS_MARKER_BYTES 7
