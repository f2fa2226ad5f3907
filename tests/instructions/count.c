/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plugin of QEMU that counts the instructions, those of the kernel included, that a guest with one
 * CPU executes between two markers of a program:
 *
 *	-plugin count-instructions.so,out=FILE
 *
 * writes a line "KIND INSTRUCTIONS" for each pair.
 */
#include "markers.h"

#include <inttypes.h>
#include <qemu-plugin.h>
#include <stdio.h>
#include <string.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static FILE *out;
static qemu_plugin_u64 executed;
static uint64_t begin;

static void at_marker(unsigned int vcpu, void *data)
{
    const uint32_t number = (uintptr_t)data;
    const uint64_t now = qemu_plugin_u64_sum(executed);

    if (number == INSTRUCTIONS_BEGIN) {
        begin = now;
        return;
    }
    fprintf(out, "%" PRIu32 " %" PRIu64 "\n", number - INSTRUCTIONS_END, now - begin);
    fflush(out);
}

/* 0: it is none. */
static uint32_t marker_of(const struct qemu_plugin_insn *insn)
{
    static const uint8_t opcode[] = {0x0f, 0x1f, 0x80};
    uint8_t bytes[INSTRUCTIONS_MARKER_BYTES];
    uint32_t number;

    if (qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) != sizeof(bytes) ||
        memcmp(bytes, opcode, sizeof(opcode)))
        return 0;
    memcpy(&number, bytes + sizeof(opcode), sizeof(number));
    return number == INSTRUCTIONS_BEGIN || (number & ~0xffu) == INSTRUCTIONS_END ? number : 0;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint32_t number = marker_of(insn);

        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64, executed, 1);
        if (number)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, at_marker, QEMU_PLUGIN_CB_NO_REGS,
                                                   (void *)(uintptr_t)number);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
    if (!out) {
        fprintf(stderr, "count-instructions: out=FILE is missing, or cannot be written\n");
        return -1;
    }
    executed = qemu_plugin_scoreboard_u64(qemu_plugin_scoreboard_new(sizeof(uint64_t)));
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
