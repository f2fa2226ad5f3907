// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts that get lost: by the device, by the platform, or by a virtual machine
 * that was moved. The device sends one and then none until what it told of has
 * been taken, so a lost one would be waited for for ever.
 *
 * Twice a second this looks what waits to be taken. What waited the last time as
 * well, while nobody is at it, was not told of: its handler is called.
 */
#include <linux/workqueue.h>

#include <drm/drm_drv.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

#define GMEMU_WATCHDOG_MS 500

/* Something that is not 0, and another when the entry at @get has been taken. */
static u64 gmemu_fault_waits(struct gmemu_fault_ring *ring)
{
	const struct gmemu_fault_entry *entry =
		(struct gmemu_fault_entry *)ring->mem.cpu + READ_ONCE(ring->get);

	if (READ_ONCE(ring->busy) || !(READ_ONCE(entry->valid) & GMEMU_FAULT_VALID))
		return 0;
	return READ_ONCE(entry->timestamp) | BIT_ULL(63);
}

static u64 gmemu_mailbox_waits(struct gmemu_device *gdev)
{
	struct gmemu_mbox *mbox = &gdev->mbox;

	if (gmemu_read(gdev, GMEMU_REG_F2H_PUT) == READ_ONCE(mbox->f2h_get))
		return 0;
	return READ_ONCE(mbox->messages) | BIT_ULL(63);
}

static u64 gmemu_error_waits(struct gmemu_device *gdev)
{
	u32 error = gmemu_read(gdev, GMEMU_REG_ERROR);

	if (error)
		return error;
	return gmemu_check_waits(gdev) ?:
	       gmemu_fault_waits(&gdev->faults[GMEMU_FAULT_RING_NONREPLAYABLE]);
}

/* Copies are looked after by whoever waits for them. */
static u64 gmemu_vector_waits(struct gmemu_device *gdev, unsigned int vector)
{
	switch (vector) {
	case GMEMU_VEC_FAULT:
		return gmemu_fault_waits(&gdev->faults[GMEMU_FAULT_RING_REPLAYABLE]);
	case GMEMU_VEC_ERROR:
		return gmemu_error_waits(gdev);
	case GMEMU_VEC_MAILBOX:
		return gmemu_mailbox_waits(gdev);
	case GMEMU_VEC_ACCESS:
		return gmemu_access_waits(gdev);
	default:
		return 0;
	}
}

static void gmemu_watchdog_look(struct gmemu_device *gdev)
{
	struct gmemu_watchdog *watchdog = &gdev->watchdog;
	unsigned int vector;
	u64 waits;

	/* Those who wait for it need not wait until the slot has noticed. */
	if (!gmemu_is_down(gdev) && !gmemu_is_present(gdev))
		gmemu_lose(gdev, "it has left the bus");
	for (vector = 0; vector < GMEMU_NUM_VECTORS; vector++) {
		waits = gmemu_is_down(gdev) ? 0 : gmemu_vector_waits(gdev, vector);
		if (waits && waits == watchdog->waited[vector]) {
			gmemu_irq_lost(gdev, vector);
			waits = 0;
		}
		watchdog->waited[vector] = waits;
	}
}

static void gmemu_watchdog_work(struct work_struct *work)
{
	struct gmemu_device *gdev = container_of(to_delayed_work(work), struct gmemu_device,
						 watchdog.work);
	int idx;

	if (drm_dev_enter(&gdev->drm, &idx)) {
		gmemu_watchdog_look(gdev);
		drm_dev_exit(idx);
	}
	queue_delayed_work(system_freezable_wq, &gdev->watchdog.work,
			   msecs_to_jiffies(GMEMU_WATCHDOG_MS));
}

/**
 * gmemu_watchdog_start - look after interrupts from now on
 * @gdev: The device, whose interrupts have handlers.
 */
void gmemu_watchdog_start(struct gmemu_device *gdev)
{
	INIT_DELAYED_WORK(&gdev->watchdog.work, gmemu_watchdog_work);
	queue_delayed_work(system_freezable_wq, &gdev->watchdog.work,
			   msecs_to_jiffies(GMEMU_WATCHDOG_MS));
}

/**
 * gmemu_watchdog_stop - undo gmemu_watchdog_start()
 * @gdev: The device.
 */
void gmemu_watchdog_stop(struct gmemu_device *gdev)
{
	cancel_delayed_work_sync(&gdev->watchdog.work);
}
