/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Register access. Offsets and bits are those of gmemu_regs.h; registers that
 * are 64 bits wide are read and written in one access.
 */
#ifndef __GMEMU_HW_H__
#define __GMEMU_HW_H__

#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>

#include "gmemu_drv.h"

static inline u32 gmemu_read(struct gmemu_device *gdev, u32 reg)
{
	return readl(gdev->regs + reg);
}

static inline u64 gmemu_read64(struct gmemu_device *gdev, u32 reg)
{
	return readq(gdev->regs + reg);
}

static inline void gmemu_write(struct gmemu_device *gdev, u32 reg, u32 value)
{
	writel(value, gdev->regs + reg);
}

static inline void gmemu_write64(struct gmemu_device *gdev, u32 reg, u64 value)
{
	writeq(value, gdev->regs + reg);
}

/*
 * Is the device on the bus? One that was pulled out reads as ones, in QEMU as
 * zeroes.
 */
static inline bool gmemu_is_present(struct gmemu_device *gdev)
{
	return gmemu_read(gdev, GMEMU_REG_ID) == GMEMU_ID;
}

#endif /* __GMEMU_HW_H__ */
