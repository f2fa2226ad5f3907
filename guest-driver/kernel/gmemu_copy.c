// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copy engine, with which GMEM moves pages between system memory and local
 * DRAM. A ring of descriptors; each list ends with a fence, which the device
 * writes to memory, errors of the list included. Most lists are short and done
 * before anybody could go to sleep: an interrupt comes only when the waiter asks
 * for it, with a second fence.
 *
 * A fence slot belongs to one list from gmemu_gm_copy() to the end of
 * gmemu_gm_copy_wait(). The cookie is the value the fence will have, and the slot.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/gmem.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

#define GMEMU_COPY_RING_LOG2 10
#define GMEMU_COPY_RING BIT(GMEMU_COPY_RING_LOG2)
/* Descriptors submitted at once, so that filling one half overlaps the work on the other. */
#define GMEMU_COPY_CHUNK (GMEMU_COPY_RING / 2 - 1)
#define GMEMU_COPY_SLOTS 64
#define GMEMU_COPY_SLOT_BITS 6
/* Fences that are there for their interrupt go here; nobody reads it. */
#define GMEMU_COPY_NO_SLOT GMEMU_COPY_SLOTS
/* How long to look at the fence before sleeping. */
#define GMEMU_COPY_SPIN_NS 20000
/* How long to wait for the interrupt, which may get lost, until the fence is looked at again. */
#define GMEMU_COPY_LOOK_MS 500

/**
 * struct gmemu_copy - the copy engine
 * @lock: Protects the ring, @put and @seq.
 * @ring: struct gmemu_copy_desc[].
 * @fences: struct gmemu_copy_fence[], one for each slot, and one more.
 * @wait: Woken by the completion interrupt and when a slot becomes free.
 * @used: Slots in use; atomic bit operations.
 * @life: For each slot, the life of the device its list was given to.
 * @put: Next descriptor to write.
 * @seq: Of the last fence.
 */
struct gmemu_copy {
	struct mutex lock; /* protects the ring */
	struct gmemu_dma ring;
	struct gmemu_dma fences;
	wait_queue_head_t wait;
	DECLARE_BITMAP(used, GMEMU_COPY_SLOTS);
	u32 life[GMEMU_COPY_SLOTS];
	u32 put;
	u64 seq;
};

static struct gmemu_copy_fence *gmemu_copy_fence(struct gmemu_copy *copy, unsigned int slot)
{
	return (struct gmemu_copy_fence *)copy->fences.cpu + slot;
}

static bool gmemu_copy_take_slot(struct gmemu_copy *copy, unsigned int *slot)
{
	unsigned int i;

	for_each_clear_bit(i, copy->used, GMEMU_COPY_SLOTS) {
		if (!test_and_set_bit(i, copy->used)) {
			*slot = i;
			return true;
		}
	}
	return false;
}

static void gmemu_copy_free_slot(struct gmemu_copy *copy, unsigned int slot)
{
	clear_bit_unlock(slot, copy->used);
	wake_up_all(&copy->wait);
}

/* Room for @nr more descriptors; the lock is held. */
static int gmemu_copy_room(struct gmemu_device *gdev, struct gmemu_copy *copy, unsigned int nr)
{
	ktime_t end = ktime_add_ms(ktime_get(), gmemu_timeout_ms);

	for (;;) {
		u32 get = gmemu_read(gdev, GMEMU_REG_COPY_GET);
		u32 used = (copy->put - get) & (GMEMU_COPY_RING - 1);

		if (gmemu_is_down(gdev))
			return -ENODEV;
		if (GMEMU_COPY_RING - 1 - used >= nr)
			return 0;
		if (ktime_after(ktime_get(), end)) {
			gmemu_lose(gdev, "the copy engine stands still");
			return -ENODEV;
		}
		usleep_range(20, 50);
	}
}

static void gmemu_copy_put(struct gmemu_copy *copy, const struct gmemu_copy_desc *desc)
{
	struct gmemu_copy_desc *ring = copy->ring.cpu;

	ring[copy->put] = *desc;
	copy->put = (copy->put + 1) & (GMEMU_COPY_RING - 1);
}

/* The lock is held and there is room. */
static void gmemu_copy_put_fence(struct gmemu_device *gdev, unsigned int slot, u64 value, bool irq)
{
	struct gmemu_copy *copy = gdev->copy;
	struct gmemu_copy_desc desc = {
		.src = value,
		.dst = copy->fences.bus + slot * sizeof(struct gmemu_copy_fence),
		.op = GMEMU_COPY_OP_FENCE,
		.flags = irq ? GMEMU_COPY_IRQ : 0,
	};

	gmemu_copy_put(copy, &desc);
	gmemu_write(gdev, GMEMU_REG_COPY_PUT, copy->put);
}

static u8 gmemu_copy_flags(unsigned int flags)
{
	return (flags & GM_COPY_SRC_DEV ? GMEMU_COPY_SRC_LOCAL : 0) |
	       (flags & GM_COPY_DST_DEV ? GMEMU_COPY_DST_LOCAL : 0);
}

static int gmemu_copy_submit(struct gmemu_device *gdev, const struct gm_copy *list,
			     unsigned int nr, unsigned int slot, u64 *seq)
{
	struct gmemu_copy *copy = gdev->copy;
	unsigned int i;
	int ret;

	mutex_lock(&copy->lock);
	ret = gmemu_copy_room(gdev, copy, nr + 1);
	if (ret)
		goto out;
	for (i = 0; i < nr; i++) {
		struct gmemu_copy_desc desc = {
			.src = list[i].src,
			.dst = list[i].dst,
			.len = list[i].size,
			.op = list[i].flags & GM_COPY_FILL ? GMEMU_COPY_OP_FILL :
							     GMEMU_COPY_OP_COPY,
			.flags = gmemu_copy_flags(list[i].flags),
		};
		gmemu_copy_put(copy, &desc);
	}
	copy->life[slot] = READ_ONCE(gdev->life);
	*seq = ++copy->seq;
	gmemu_copy_put_fence(gdev, slot, *seq, false);
out:
	mutex_unlock(&copy->lock);
	return ret;
}

static bool gmemu_copy_done(struct gmemu_copy *copy, unsigned int slot, u64 seq)
{
	return READ_ONCE(gmemu_copy_fence(copy, slot)->value) == seq;
}

/* An interrupt when all that was submitted so far is done. */
static void gmemu_copy_ask_irq(struct gmemu_device *gdev)
{
	struct gmemu_copy *copy = gdev->copy;

	mutex_lock(&copy->lock);
	if (!gmemu_copy_room(gdev, copy, 1))
		gmemu_copy_put_fence(gdev, GMEMU_COPY_NO_SLOT, 0, true);
	mutex_unlock(&copy->lock);
}

static int gmemu_copy_wait_fence(struct gmemu_device *gdev, unsigned int slot, u64 seq)
{
	struct gmemu_copy *copy = gdev->copy;
	u32 life = copy->life[slot];
	u64 end = ktime_get_ns() + GMEMU_COPY_SPIN_NS;
	unsigned int waited;
	long left = 0;

	while (!gmemu_copy_done(copy, slot, seq) && ktime_get_ns() < end)
		cpu_relax();
	if (!gmemu_copy_done(copy, slot, seq))
		gmemu_copy_ask_irq(gdev);
	for (waited = 0; waited < gmemu_timeout_ms; waited += GMEMU_COPY_LOOK_MS) {
		left = wait_event_timeout(copy->wait,
					  gmemu_copy_done(copy, slot, seq) ||
					  gmemu_is_past(gdev, life),
					  msecs_to_jiffies(GMEMU_COPY_LOOK_MS));
		if (left)
			break;
	}
	/* It was done, and nobody said so. */
	if (left == 1 && gmemu_copy_done(copy, slot, seq))
		gmemu_irq_lost(gdev, GMEMU_VEC_COMPLETION);
	if (!gmemu_copy_done(copy, slot, seq)) {
		if (gmemu_is_past(gdev, life))
			return -ENODEV;
		gmemu_lose(gdev, "a copy was not completed");
		return -EIO;
	}
	/* The count of errors was written before the value. */
	dma_rmb();
	return gmemu_copy_fence(copy, slot)->errors ? -EIO : 0;
}

/**
 * gmemu_gm_copy - gm_mmu.copy: start copying and filling a list of runs
 * @dev: GMEM's device.
 * @list: The runs.
 * @nr: Their number; all but the end of a list longer than the ring is waited for.
 * @cookie: Out, for gmemu_gm_copy_wait(), which must be called once.
 *
 * Return: GM_RET_SUCCESS, GM_RET_IO, or GM_RET_NODEV if the device is down.
 */
int gmemu_gm_copy(struct gm_dev *dev, const struct gm_copy *list, unsigned int nr, u64 *cookie)
{
	struct gmemu_device *gdev = dev->dev_data;
	struct gmemu_copy *copy = gdev->copy;
	unsigned int slot, now;
	u64 seq = 0;
	int ret;

	if (gmemu_is_down(gdev))
		return GM_RET_NODEV;
	wait_event(copy->wait, gmemu_copy_take_slot(copy, &slot));

	for (;;) {
		now = min_t(unsigned int, nr, GMEMU_COPY_CHUNK);
		ret = gmemu_copy_submit(gdev, list, now, slot, &seq);
		list += now;
		nr -= now;
		if (ret || !nr)
			break;
		ret = gmemu_copy_wait_fence(gdev, slot, seq);
		if (ret)
			break;
	}
	if (ret) {
		gmemu_copy_free_slot(copy, slot);
		return ret == -ENODEV ? GM_RET_NODEV : GM_RET_IO;
	}
	*cookie = seq << GMEMU_COPY_SLOT_BITS | slot;
	return GM_RET_SUCCESS;
}

/**
 * gmemu_gm_copy_wait - gm_mmu.copy_wait: wait for a list
 * @dev: GMEM's device.
 * @cookie: From gmemu_gm_copy().
 *
 * Return: GM_RET_SUCCESS, GM_RET_IO, or GM_RET_NODEV if the device went down.
 */
int gmemu_gm_copy_wait(struct gm_dev *dev, u64 cookie)
{
	struct gmemu_device *gdev = dev->dev_data;
	unsigned int slot = cookie & (GMEMU_COPY_SLOTS - 1);
	int ret;

	ret = gmemu_copy_wait_fence(gdev, slot, cookie >> GMEMU_COPY_SLOT_BITS);
	gmemu_copy_free_slot(gdev->copy, slot);
	if (ret)
		return ret == -ENODEV ? GM_RET_NODEV : GM_RET_IO;
	return GM_RET_SUCCESS;
}

irqreturn_t gmemu_copy_irq(int irq, void *data)
{
	struct gmemu_device *gdev = data;

	wake_up_all(&gdev->copy->wait);
	return IRQ_HANDLED;
}

wait_queue_head_t *gmemu_copy_waitqueue(struct gmemu_device *gdev)
{
	return &gdev->copy->wait;
}

/**
 * gmemu_copy_init - make the copy engine's ring
 * @gdev: The device.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_copy_init(struct gmemu_device *gdev)
{
	struct gmemu_copy *copy;
	int ret;

	BUILD_BUG_ON(1 << GMEMU_COPY_SLOT_BITS != GMEMU_COPY_SLOTS);
	copy = kzalloc(sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	mutex_init(&copy->lock);
	init_waitqueue_head(&copy->wait);
	ret = gmemu_dma_alloc(gdev, &copy->ring,
			      sizeof(struct gmemu_copy_desc) * GMEMU_COPY_RING);
	if (ret)
		goto free;
	ret = gmemu_dma_alloc(gdev, &copy->fences,
			      sizeof(struct gmemu_copy_fence) * (GMEMU_COPY_SLOTS + 1));
	if (ret)
		goto free_ring;
	gdev->copy = copy;
	return 0;

free_ring:
	gmemu_dma_free(gdev, &copy->ring);
free:
	mutex_destroy(&copy->lock);
	kfree(copy);
	return ret;
}

/**
 * gmemu_copy_start - give a device fresh from reset the copy engine's ring
 * @gdev: The device.
 */
void gmemu_copy_start(struct gmemu_device *gdev)
{
	struct gmemu_copy *copy = gdev->copy;

	mutex_lock(&copy->lock);
	copy->put = 0;
	gmemu_write64(gdev, GMEMU_REG_COPY_BASE, copy->ring.bus);
	gmemu_write(gdev, GMEMU_REG_COPY_SIZE_LOG2, GMEMU_COPY_RING_LOG2);
	gmemu_write(gdev, GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
	mutex_unlock(&copy->lock);
}

/**
 * gmemu_copy_fini - undo gmemu_copy_init()
 * @gdev: The device, which has been reset.
 */
void gmemu_copy_fini(struct gmemu_device *gdev)
{
	struct gmemu_copy *copy = gdev->copy;

	gdev->copy = NULL;
	gmemu_dma_free(gdev, &copy->fences);
	gmemu_dma_free(gdev, &copy->ring);
	mutex_destroy(&copy->lock);
	kfree(copy);
}
