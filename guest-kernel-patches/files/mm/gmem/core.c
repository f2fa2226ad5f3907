// SPDX-License-Identifier: GPL-2.0-only
/*
 * GMEM: the switch, sysfs and memory for migrations.
 */
#define pr_fmt(fmt) "gmem: " fmt

#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/mempool.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/gmem.h>

DEFINE_STATIC_KEY_FALSE(gmem_status);
EXPORT_SYMBOL_GPL(gmem_status);

/* A CPU fault must be able to bring its page home however little memory is left. */
#define GM_MIGRATION_RESERVE	4

struct kobject *gmem_kobj;

static bool enable_gmem __initdata;
static const char *gmem_reason = "boot with gmem=on to turn it on";
static struct kmem_cache *gm_migration_cache;
static mempool_t *gm_migration_pool;

struct gm_migration *gm_migration_alloc(void)
{
	return mempool_alloc(gm_migration_pool, GFP_KERNEL);
}

void gm_migration_free(struct gm_migration *m)
{
	mempool_free(m, gm_migration_pool);
}

static ssize_t enabled_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%d\n", gmem_is_enabled());
}

static struct kobj_attribute enabled_attr = __ATTR_RO(enabled);

static ssize_t reason_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", gmem_reason);
}

static struct kobj_attribute reason_attr = __ATTR_RO(reason);

static struct attribute *gmem_attrs[] = {
	&enabled_attr.attr,
	&reason_attr.attr,
	NULL,
};

static const struct attribute_group gmem_attr_group = {
	.attrs = gmem_attrs,
};

static int __init gmem_init(void)
{
	gmem_kobj = kobject_create_and_add("gmem", mm_kobj);
	if (!gmem_kobj)
		return -ENOMEM;
	if (sysfs_create_group(gmem_kobj, &gmem_attr_group))
		pr_warn("no files in sysfs\n");

	if (!enable_gmem)
		return 0;

	gmem_reason = "out of memory at boot";
	gm_migration_cache = KMEM_CACHE(gm_migration, 0);
	if (!gm_migration_cache)
		return -ENOMEM;
	gm_migration_pool = mempool_create_slab_pool(GM_MIGRATION_RESERVE,
						     gm_migration_cache);
	if (!gm_migration_pool) {
		kmem_cache_destroy(gm_migration_cache);
		return -ENOMEM;
	}

	if (gm_prefetch_init() || gm_evict_init() || gm_replicate_init()) {
		mempool_destroy(gm_migration_pool);
		kmem_cache_destroy(gm_migration_cache);
		return -ENOMEM;
	}

	gmem_reason = "on";
	static_branch_enable(&gmem_status);
	pr_info("on\n");
	return 0;
}
subsys_initcall(gmem_init);

static int __init setup_gmem(char *str)
{
	if (kstrtobool(str, &enable_gmem))
		pr_warn("gmem=%s: say gmem=on or gmem=off\n", str);
	return 1;
}
__setup("gmem=", setup_gmem);
