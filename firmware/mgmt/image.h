/* SPDX-License-Identifier: MIT */
/* Constants of the firmware image, shared by assembly and C++. */
#ifndef GMEMU_FW_IMAGE_H
#define GMEMU_FW_IMAGE_H

#define FW_IMAGE_MAGIC 0x57464d47 /* GMEMU_FW_MAGIC; hal_rv64.cc checks that they agree */
#define FW_CONTRACT 0x00010000    /* GMEMU_REG_VERSION; hal_rv64.cc checks that too */
#define FW_VERSION 0x00010000
#define FW_MEM_MAX 0x200000 /* local DRAM behind it is not the image's */
#define FW_NAME "gmemu management firmware 1.0"

#endif
