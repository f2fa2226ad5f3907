// SPDX-License-Identifier: GPL-2.0-only
/*
 * Performance counters. The hardware counts always; a reader freezes a set of
 * values that belong together, reads it, and lets go of it. The registers are
 * shared by all readers, so that each set has gmemu_device.perf_lock to itself.
 */
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

static const char * const gmemu_perf_names[GMEMU_PERF_COUNTERS] = GMEMU_PERF_NAMES;

/**
 * struct gmemu_perf_set - counters of one moment
 * @time_ns: When they had these values.
 * @since_ns: When they were 0.
 * @count: How many there are.
 * @values: By enum gmemu_perf_counter.
 */
struct gmemu_perf_set {
	u64 time_ns;
	u64 since_ns;
	u32 count;
	u64 values[GMEMU_PERF_COUNTERS];
};

/**
 * gmemu_perf_init - before anything can read counters
 * @gdev: The device.
 */
void gmemu_perf_init(struct gmemu_device *gdev)
{
	mutex_init(&gdev->perf_lock);
}

/* The device asks harts that run for their counts, which may take milliseconds. */
static void gmemu_perf_freeze(struct gmemu_device *gdev)
{
	mutex_lock(&gdev->perf_lock);
	gmemu_write(gdev, GMEMU_REG_PERF_CTRL, GMEMU_PERF_CTRL_FREEZE);
}

static void gmemu_perf_thaw(struct gmemu_device *gdev)
{
	gmemu_write(gdev, GMEMU_REG_PERF_CTRL, 0);
	mutex_unlock(&gdev->perf_lock);
}

/* Of what is frozen, those of a hart or of all. */
static void gmemu_perf_read(struct gmemu_device *gdev, u32 hart, struct gmemu_perf_set *set)
{
	u32 limit = hart == GMEMU_PERF_SELECT_ALL ? GMEMU_PERF_COUNTERS : GMEMU_PERF_HART_COUNTERS;
	u32 i;

	gmemu_write(gdev, GMEMU_REG_PERF_SELECT, hart);
	set->time_ns = gmemu_read64(gdev, GMEMU_REG_PERF_TIME);
	set->since_ns = gmemu_read64(gdev, GMEMU_REG_PERF_SINCE);
	set->count = min(gmemu_read(gdev, GMEMU_REG_PERF_COUNT), limit);
	for (i = 0; i < set->count; i++)
		set->values[i] = gmemu_read64(gdev, GMEMU_REG_PERF(i));
}

/**
 * gmemu_get_counters_ioctl - DRM_IOCTL_GMEMU_GET_COUNTERS
 * @drm: The device.
 * @data: struct drm_gmemu_get_counters.
 * @file: The caller's.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_get_counters_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct drm_gmemu_get_counters *args = data;
	struct gmemu_perf_set set;
	u32 room = args->count;
	int idx, ret;

	BUILD_BUG_ON(DRM_GMEMU_ALL_HARTS != GMEMU_PERF_SELECT_ALL);
	if (args->flags || args->pad)
		return -EINVAL;
	if (args->hart != DRM_GMEMU_ALL_HARTS && args->hart >= gdev->cores)
		return -EINVAL;
	if (!(gdev->caps & GMEMU_CAP_PERF))
		return -EOPNOTSUPP;
	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	gmemu_perf_freeze(gdev);
	gmemu_perf_read(gdev, args->hart, &set);
	gmemu_perf_thaw(gdev);
	if (!gmemu_is_present(gdev))
		ret = -ENODEV;
	gmemu_exit(gdev, idx);
	if (ret)
		return ret;
	if (copy_to_user(u64_to_user_ptr(args->values), set.values,
			 array_size(min(room, set.count), sizeof(set.values[0]))))
		return -EFAULT;
	args->count = set.count;
	args->time_ns = set.time_ns;
	args->since_ns = set.since_ns;
	return 0;
}

/**
 * gmemu_perf_show - all counters of one moment, for debugfs
 * @gdev: The device, entered.
 * @m: Where to.
 */
void gmemu_perf_show(struct gmemu_device *gdev, struct seq_file *m)
{
	struct gmemu_perf_set set;
	u32 hart, i;

	if (!(gdev->caps & GMEMU_CAP_PERF))
		return;
	gmemu_perf_freeze(gdev);
	gmemu_perf_read(gdev, GMEMU_PERF_SELECT_ALL, &set);
	seq_printf(m, "time_ns %llu\n", set.time_ns);
	seq_printf(m, "since_ns %llu\n", set.since_ns);
	for (i = 0; i < set.count; i++)
		seq_printf(m, "%s %llu\n", gmemu_perf_names[i], set.values[i]);
	for (hart = 0; hart < gdev->cores; hart++) {
		gmemu_perf_read(gdev, hart, &set);
		for (i = 0; i < set.count; i++)
			seq_printf(m, "hart%u_%s %llu\n", hart, gmemu_perf_names[i], set.values[i]);
	}
	gmemu_perf_thaw(gdev);
}
