// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/accel/DEVICE/: what the device and the driver are doing.
 */
#include <linux/debugfs.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_drv.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

static struct gmemu_device *gmemu_of(struct seq_file *m)
{
	struct drm_debugfs_entry *entry = m->private;

	return to_gmemu(entry->dev);
}

/* One "name value" a line, for people and for scripts. */
static int gmemu_debugfs_device(struct seq_file *m, void *unused)
{
	struct gmemu_device *gdev = gmemu_of(m);
	u32 fault = GMEMU_REG_FAULT(GMEMU_FAULT_RING_REPLAYABLE);
	int idx;

	seq_printf(m, "lost %d\n", gmemu_is_lost(gdev));
	seq_printf(m, "resets %u\n", READ_ONCE(gdev->life) - 1);
	seq_printf(m, "corrected_errors %d\n", atomic_read(&gdev->correctable));
	if (!drm_dev_enter(&gdev->drm, &idx))
		return 0;
	if (gmemu_is_down(gdev))
		goto exit;
	seq_printf(m, "status 0x%x\n", gmemu_read(gdev, GMEMU_REG_STATUS));
	seq_printf(m, "fw_status %u\n", gmemu_read(gdev, GMEMU_REG_FW_STATUS));
	seq_printf(m, "timestamp_ns %llu\n", gmemu_read64(gdev, GMEMU_REG_TIMESTAMP));
	seq_printf(m, "inval_issued %u\n", gmemu_read(gdev, GMEMU_REG_INV_SEQ));
	seq_printf(m, "inval_done %u\n", gmemu_read(gdev, GMEMU_REG_INV_DONE));
	seq_printf(m, "fault_get %u\n", gmemu_read(gdev, fault + GMEMU_FAULT_GET));
	seq_printf(m, "fault_put %u\n", gmemu_read(gdev, fault + GMEMU_FAULT_PUT));
	seq_printf(m, "fault_dropped %u\n", gmemu_read(gdev, fault + GMEMU_FAULT_DROPPED));
	seq_printf(m, "copy_get %u\n", gmemu_read(gdev, GMEMU_REG_COPY_GET));
	seq_printf(m, "copy_put %u\n", gmemu_read(gdev, GMEMU_REG_COPY_PUT));
	seq_printf(m, "copy_bytes %llu\n", gmemu_read64(gdev, GMEMU_REG_COPY_BYTES));
	seq_printf(m, "p2p_bytes %lld\n", atomic64_read(&gdev->p2p_bytes));
exit:
	drm_dev_exit(idx);
	return 0;
}

static int gmemu_debugfs_check(struct seq_file *m, void *unused)
{
	struct gmemu_device *gdev = gmemu_of(m);
	int idx;

	if (!drm_dev_enter(&gdev->drm, &idx))
		return 0;
	if (!gmemu_is_down(gdev))
		gmemu_check_show(gdev, m);
	drm_dev_exit(idx);
	return 0;
}

static int gmemu_debugfs_contexts(struct seq_file *m, void *unused)
{
	struct gmemu_device *gdev = gmemu_of(m);
	struct gmemu_context *ctx;
	struct gmemu_queue *queue;
	unsigned long id;

	xa_lock(&gdev->contexts);
	xa_for_each(&gdev->contexts, id, ctx)
		seq_printf(m, "context %lu faults %lld deduped %lld cancelled %lld replays %lld accesses %lld\n",
			   id, atomic64_read(&ctx->counters.faults),
			   atomic64_read(&ctx->counters.deduped),
			   atomic64_read(&ctx->counters.cancelled),
			   atomic64_read(&ctx->counters.replays),
			   atomic64_read(&ctx->counters.accesses));
	xa_unlock(&gdev->contexts);
	xa_lock_irq(&gdev->queues);
	xa_for_each(&gdev->queues, id, queue)
		seq_printf(m, "queue %lu error %u\n", id, READ_ONCE(queue->error.code));
	xa_unlock_irq(&gdev->queues);
	return 0;
}

static int gmemu_debugfs_access(struct seq_file *m, void *unused)
{
	struct gmemu_device *gdev = gmemu_of(m);
	struct gmemu_access *access = &gdev->access;
	int idx;

	if (!drm_dev_enter(&gdev->drm, &idx))
		return 0;
	mutex_lock(&access->lock);
	seq_printf(m, "available %d\n", !!access->mem.cpu);
	seq_printf(m, "threshold %u\n", access->threshold);
	if (access->mem.cpu) {
		seq_printf(m, "granule_log2 %u\n", gmemu_read(gdev, GMEMU_REG_ACNT_GRANULE_LOG2));
		seq_printf(m, "period_us %u\n", gmemu_read(gdev, GMEMU_REG_ACNT_PERIOD_US));
		seq_printf(m, "entries %llu\n", access->entries);
		seq_printf(m, "dropped %u\n", gmemu_read(gdev, GMEMU_REG_ACNT_DROPPED));
	}
	mutex_unlock(&access->lock);
	drm_dev_exit(idx);
	return 0;
}

static int gmemu_debugfs_counters(struct seq_file *m, void *unused)
{
	struct gmemu_device *gdev = gmemu_of(m);
	int idx, ret;

	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	gmemu_perf_show(gdev, m);
	gmemu_exit(gdev, idx);
	return 0;
}

/* Of a few looks the quickest one tells best how the clocks are related. */
#define GMEMU_CLOCK_LOOKS 5

/* CLOCK_MONOTONIC before and after a look at the device's clock. */
static int gmemu_debugfs_clock(struct seq_file *m, void *unused)
{
	struct gmemu_device *gdev = gmemu_of(m);
	u64 before, after, device, best[3] = { 0, U64_MAX, 0 };
	unsigned int i;
	int idx, ret;

	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	for (i = 0; i < GMEMU_CLOCK_LOOKS; i++) {
		before = ktime_get_ns();
		device = gmemu_read64(gdev, GMEMU_REG_TIMESTAMP);
		after = ktime_get_ns();
		if (after - before < best[1] - best[0]) {
			best[0] = before;
			best[1] = after;
			best[2] = device;
		}
	}
	if (!gmemu_is_present(gdev))
		ret = -ENODEV;
	gmemu_exit(gdev, idx);
	if (ret)
		return ret;
	seq_printf(m, "gmem_dev %d\n", gdev->gm_id);
	seq_printf(m, "before_ns %llu\n", best[0]);
	seq_printf(m, "after_ns %llu\n", best[1]);
	seq_printf(m, "device_ns %llu\n", best[2]);
	return 0;
}

static int gmemu_threshold_get(void *data, u64 *value)
{
	struct gmemu_device *gdev = data;

	*value = READ_ONCE(gdev->access.threshold);
	return 0;
}

static int gmemu_threshold_set(void *data, u64 value)
{
	struct gmemu_device *gdev = data;
	int idx, ret;

	if (value > U32_MAX)
		return -ERANGE;
	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	ret = gmemu_access_set(gdev, value);
	gmemu_exit(gdev, idx);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(gmemu_threshold_fops, gmemu_threshold_get, gmemu_threshold_set, "%llu\n");

static const struct drm_debugfs_info gmemu_debugfs_files[] = {
	{ "device", gmemu_debugfs_device },
	{ "check", gmemu_debugfs_check },
	{ "contexts", gmemu_debugfs_contexts },
	{ "access", gmemu_debugfs_access },
	{ "counters", gmemu_debugfs_counters },
	{ "clock", gmemu_debugfs_clock },
};

/**
 * gmemu_debugfs_init - make the files
 * @gdev: The device, before it is registered.
 */
void gmemu_debugfs_init(struct gmemu_device *gdev)
{
	drm_debugfs_add_files(&gdev->drm, gmemu_debugfs_files, ARRAY_SIZE(gmemu_debugfs_files));
	debugfs_create_file_unsafe("access_threshold", 0600, gdev->drm.debugfs_root, gdev,
				   &gmemu_threshold_fops);
}
