// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the device's contract checker finds: mistakes of this driver.
 *
 * The device writes a report of each into a ring and raises the error vector. Here
 * they are logged and the last few kept for debugfs. A device without the ring
 * tells only the first in its registers, which are looked at as well: a fatal
 * violation stops the device before its report is in the ring.
 */
#include <linux/dma-mapping.h>
#include <linux/seq_file.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

/* What a code is called, how bad it is, and what it means. */
static const struct gmemu_check_text {
	const char *name;
	const char *text;
	u8 check_class;
} gmemu_check_texts[GMEMU_CHK_MAX] = {
#define GMEMU_CHECK_TEXT(NAME, CLASS, TEXT) \
	[GMEMU_CHK_##NAME] = { #NAME, TEXT, GMEMU_CLASS_##CLASS },
	GMEMU_CHECK_CATALOGUE(GMEMU_CHECK_TEXT)
#undef GMEMU_CHECK_TEXT
};

static const char * const gmemu_check_classes[] = {
	[GMEMU_CLASS_NONE] = "unknown",
	[GMEMU_CLASS_UNDEFINED] = "undefined",
	[GMEMU_CLASS_NONCONTRACTUAL] = "noncontractual",
	[GMEMU_CLASS_UNSUPPORTED] = "unsupported",
	[GMEMU_CLASS_UNPREDICTABLE] = "unpredictable",
};

static const struct gmemu_check_text *gmemu_check_text(u32 code)
{
	static const struct gmemu_check_text newer = {
		.name = "?",
		.text = "a code that this driver does not know",
	};

	return code < GMEMU_CHK_MAX && gmemu_check_texts[code].name ?
		&gmemu_check_texts[code] : &newer;
}

static const char *gmemu_check_class_name(u32 check_class)
{
	if (check_class >= ARRAY_SIZE(gmemu_check_classes))
		check_class = GMEMU_CLASS_NONE;
	return gmemu_check_classes[check_class];
}

/* The lock is held. */
static void gmemu_check_report(struct gmemu_device *gdev, const struct gmemu_check_entry *entry)
{
	struct gmemu_check *check = &gdev->check;
	const struct gmemu_check_text *text = gmemu_check_text(entry->code);

	check->recent[check->reports++ % GMEMU_CHECK_RECENT] = *entry;
	/* The device limits the reports of each code, so that one does not hide another. */
	dev_warn(gdev->drm.dev,
		 "contract violation GMEMU_CHK_%s: %s (%s; context %u, info 0x%llx, %u so far)\n",
		 text->name, text->text, gmemu_check_class_name(entry->check_class), entry->ctx,
		 entry->info, entry->count);
}

/* Take the next report out of the ring, if there is one; the lock is held. */
static bool gmemu_check_next(struct gmemu_device *gdev)
{
	struct gmemu_check *check = &gdev->check;
	struct gmemu_check_entry *slot = (struct gmemu_check_entry *)check->mem.cpu + check->get;
	struct gmemu_check_entry entry;

	if (!(READ_ONCE(slot->valid) & GMEMU_CHECK_VALID))
		return false;
	/* The rest of the entry was written before the valid byte. */
	dma_rmb();
	entry = *slot;
	WRITE_ONCE(slot->valid, 0);
	check->get = (check->get + 1) & ((1u << GMEMU_CHECK_RING_LOG2) - 1);
	gmemu_check_report(gdev, &entry);
	return true;
}

/* The first violation since the last look, from the registers; the lock is held. */
static void gmemu_check_look(struct gmemu_device *gdev)
{
	struct gmemu_check *check = &gdev->check;
	struct gmemu_check_entry entry = { };
	u32 code = gmemu_read(gdev, GMEMU_REG_CHECK_CODE);

	/* All ones: it is not on the bus. */
	if (!code || code == U32_MAX)
		return;
	entry.code = code;
	entry.ctx = gmemu_read(gdev, GMEMU_REG_CHECK_CTX);
	entry.info = gmemu_read64(gdev, GMEMU_REG_CHECK_INFO);
	entry.count = gmemu_read(gdev, GMEMU_REG_CHECK_COUNT);
	entry.check_class = gmemu_check_text(entry.code)->check_class;
	check->first = entry;
	gmemu_write(gdev, GMEMU_REG_CHECK_CODE, 0);
	if (!check->mem.cpu || gmemu_read(gdev, GMEMU_REG_STATUS) & GMEMU_STATUS_FATAL)
		gmemu_check_report(gdev, &entry);
}

/**
 * gmemu_check_waits - is there a report to be read?
 * @gdev: The device.
 *
 * Return: 0, or something that is another when it has been read.
 */
u64 gmemu_check_waits(struct gmemu_device *gdev)
{
	struct gmemu_check *check = &gdev->check;
	const struct gmemu_check_entry *entry;
	u64 waits = 0;

	mutex_lock(&check->lock);
	if (check->mem.cpu) {
		entry = (struct gmemu_check_entry *)check->mem.cpu + check->get;
		if (READ_ONCE(entry->valid) & GMEMU_CHECK_VALID)
			waits = BIT_ULL(32) | check->reports;
	}
	mutex_unlock(&check->lock);
	return waits;
}

/**
 * gmemu_check_drain - look what the device's contract checker has found
 * @gdev: The device.
 *
 * Context: may sleep.
 */
void gmemu_check_drain(struct gmemu_device *gdev)
{
	struct gmemu_check *check = &gdev->check;
	u32 get;

	mutex_lock(&check->lock);
	get = check->get;
	while (check->mem.cpu && gmemu_check_next(gdev))
		cond_resched();
	/* Releases the entries, and arms the interrupt. */
	if (check->get != get)
		gmemu_write(gdev, GMEMU_REG_CHECK_RING_GET, check->get);
	gmemu_check_look(gdev);
	mutex_unlock(&check->lock);
}

/**
 * gmemu_check_show - the debugfs file
 * @gdev: The device, which is there.
 * @m: Where to.
 *
 * Lines of "name value", then one for each of the last reports.
 */
void gmemu_check_show(struct gmemu_device *gdev, struct seq_file *m)
{
	struct gmemu_check *check = &gdev->check;
	u32 i;

	gmemu_check_drain(gdev);
	mutex_lock(&check->lock);
	seq_printf(m, "check_mode %u\n", gmemu_read(gdev, GMEMU_REG_CHECK_MODE));
	seq_printf(m, "check_count %u\n", gmemu_read(gdev, GMEMU_REG_CHECK_COUNT));
	seq_printf(m, "check_code %u\n", check->first.code);
	seq_printf(m, "check_ctx %u\n", check->first.ctx);
	seq_printf(m, "check_info 0x%llx\n", check->first.info);
	seq_printf(m, "check_reports %u\n", check->reports);
	if (check->mem.cpu) {
		seq_printf(m, "check_dropped %u\n", gmemu_read(gdev, GMEMU_REG_CHECK_RING_DROPPED));
		seq_printf(m, "check_muted %u\n", gmemu_read(gdev, GMEMU_REG_CHECK_MUTED));
	}
	i = check->reports > GMEMU_CHECK_RECENT ? check->reports - GMEMU_CHECK_RECENT : 0;
	for (; i < check->reports; i++) {
		const struct gmemu_check_entry *entry = &check->recent[i % GMEMU_CHECK_RECENT];
		const struct gmemu_check_text *text = gmemu_check_text(entry->code);

		seq_printf(m, "report %u GMEMU_CHK_%s class %s count %u ctx %u info 0x%llx time_ns %llu: %s\n",
			   i, text->name, gmemu_check_class_name(entry->check_class),
			   entry->count, entry->ctx, entry->info, entry->timestamp, text->text);
	}
	mutex_unlock(&check->lock);
}

/**
 * gmemu_check_init - prepare to read what the device reports
 * @gdev: The device.
 *
 * Return: 0 or -ENOMEM.
 */
int gmemu_check_init(struct gmemu_device *gdev)
{
	struct gmemu_check *check = &gdev->check;

	mutex_init(&check->lock);
	if (!(gdev->caps & GMEMU_CAP_CHECK_RING))
		return 0;
	return gmemu_dma_alloc(gdev, &check->mem,
			       sizeof(struct gmemu_check_entry) << GMEMU_CHECK_RING_LOG2);
}

/**
 * gmemu_check_start - have the device report into the ring, if it can
 * @gdev: The device, reset.
 */
void gmemu_check_start(struct gmemu_device *gdev)
{
	struct gmemu_check *check = &gdev->check;

	if (!check->mem.cpu)
		return;
	mutex_lock(&check->lock);
	memset(check->mem.cpu, 0, check->mem.size);
	check->get = 0;
	gmemu_write64(gdev, GMEMU_REG_CHECK_RING_BASE, check->mem.bus);
	gmemu_write(gdev, GMEMU_REG_CHECK_RING_SIZE_LOG2, GMEMU_CHECK_RING_LOG2);
	gmemu_write(gdev, GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
	mutex_unlock(&check->lock);
}

/**
 * gmemu_check_fini - the device has been reset
 * @gdev: The device.
 */
void gmemu_check_fini(struct gmemu_device *gdev)
{
	gmemu_dma_free(gdev, &gdev->check.mem);
	mutex_destroy(&gdev->check.lock);
}
