// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of GMEM: what can be tested without a process and a device. The
 * rest is in tools/testing/selftests/gmem.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/vmalloc.h>

#include "internal.h"

/* A device that does nothing, correctly. */

static int pmaps;

static int null_pmap_create(struct gm_dev *dev, void **pmap)
{
	*pmap = &pmaps;
	pmaps++;
	return GM_RET_SUCCESS;
}

static int null_pmap_destroy(void *pmap)
{
	pmaps--;
	return GM_RET_SUCCESS;
}

static int null_pmap_enter(void *pmap, unsigned long va, unsigned long size,
			   unsigned long pa, unsigned long prot)
{
	return GM_RET_SUCCESS;
}

static int null_range(void *pmap, unsigned long va, unsigned long size)
{
	return GM_RET_SUCCESS;
}

static int null_copy(struct gm_dev *dev, const struct gm_copy *list,
		     unsigned int nr, u64 *cookie)
{
	*cookie = 0;
	return GM_RET_SUCCESS;
}

static int null_copy_wait(struct gm_dev *dev, u64 cookie)
{
	return GM_RET_SUCCESS;
}

static struct gm_mmu null_mmu = {
	.pmap_create = null_pmap_create,
	.pmap_destroy = null_pmap_destroy,
	.pmap_enter = null_pmap_enter,
	.pmap_release = null_range,
	.tlb_invl = null_range,
	.copy = null_copy,
	.copy_wait = null_copy_wait,
};

static struct gm_dev *need_dev(struct kunit *test)
{
	struct gm_dev *dev;

	if (!gmem_is_enabled())
		kunit_skip(test, "boot with gmem=on");
	KUNIT_ASSERT_EQ(test, GM_RET_SUCCESS,
			gm_dev_create(&null_mmu, test, GM_DEV_CAP_REPLAYABLE,
				      &dev));
	return dev;
}

/* The interface */

static void ret_is_one_convention(struct kunit *test)
{
	int ret;

	KUNIT_EXPECT_EQ(test, 0, gm_ret_to_errno(GM_RET_SUCCESS));
	for (ret = GM_RET_SUCCESS + 1; ret <= GM_RET_INCOMPATIBLE; ret++)
		KUNIT_EXPECT_LT(test, gm_ret_to_errno(ret), 0);
	KUNIT_EXPECT_EQ(test, -ENOMEM, gm_ret_to_errno(GM_RET_NOMEM));
	KUNIT_EXPECT_EQ(test, -EAGAIN, gm_ret_to_errno(GM_RET_RETRY));
	KUNIT_EXPECT_EQ(test, -EPROTONOSUPPORT,
			gm_ret_to_errno(GM_RET_INCOMPATIBLE));
	/* Garbage is an error too. */
	KUNIT_EXPECT_LT(test, gm_ret_to_errno(-1), 0);
	KUNIT_EXPECT_LT(test, gm_ret_to_errno(12345), 0);
}

static void mark_hot_is_not_no_hint(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, GM_FAULT_HINT_NONE);
	KUNIT_EXPECT_NE(test, 0, GM_FAULT_HINT_MARK_HOT);
}

static void mapping_types_do_not_overlap(struct kunit *test)
{
	struct gm_mapping mapping = { .flag = GM_PAGE_DEVICE };

	KUNIT_EXPECT_TRUE(test, gm_mapping_device(&mapping));
	KUNIT_EXPECT_FALSE(test, gm_mapping_cpu(&mapping));
	KUNIT_EXPECT_FALSE(test, gm_mapping_nomap(&mapping));
	KUNIT_EXPECT_EQ(test, 0,
			GM_PAGE_TYPE_MASK & (GM_PAGE_WILLNEED | GM_PAGE_REMOTE));
}

static void disabled_says_so(struct kunit *test)
{
	struct gm_dev *dev;
	struct gm_as *as;

	if (gmem_is_enabled())
		kunit_skip(test, "GMEM is on");
	KUNIT_EXPECT_EQ(test, GM_RET_DISABLED,
			gm_dev_create(&null_mmu, NULL, 0, &dev));
	KUNIT_EXPECT_EQ(test, GM_RET_DISABLED,
			gm_as_create(0, PAGE_SIZE, &as));
}

static void dev_create_checks_its_arguments(struct kunit *test)
{
	struct gm_mmu broken = null_mmu;
	struct gm_dev *dev = need_dev(test);

	KUNIT_EXPECT_EQ(test, GM_RET_SUCCESS, gm_dev_destroy(dev));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_create(NULL, NULL, 0, &dev));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_create(&null_mmu, NULL, 0, NULL));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_create(&null_mmu, NULL, 0x8000, &dev));
	broken.tlb_invl = NULL;
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_create(&broken, NULL, 0, &dev));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID, gm_dev_destroy(NULL));
}

static void dev_ids_are_unique(struct kunit *test)
{
	struct gm_dev *a = need_dev(test), *b = need_dev(test);

	KUNIT_EXPECT_NE(test, a->id, b->id);
	KUNIT_EXPECT_PTR_EQ(test, a->dev_data, (void *)test);
	KUNIT_EXPECT_TRUE(test, list_empty(&a->gm_ctx_list));
	KUNIT_EXPECT_TRUE(test, nodes_empty(a->registered_hnodes));
	gm_dev_destroy(a);
	gm_dev_destroy(b);
}

static void as_create_needs_a_process_and_a_range(struct kunit *test)
{
	struct gm_dev *dev = need_dev(test);
	struct gm_as *as;

	/* KUnit runs in a kernel thread. */
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID, gm_as_create(0, PAGE_SIZE, &as));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_as_create(PAGE_SIZE, PAGE_SIZE, &as));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID, gm_as_create(0, PAGE_SIZE, NULL));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID, gm_as_destroy(NULL));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_as_attach(NULL, dev, GM_MMU_MODE_COHERENT_EXCLUSIVE,
				     false, NULL));
	gm_dev_destroy(dev);
}

/* Device memory */

static void hnode_ids_are_bounded_and_no_nodes(struct kunit *test)
{
	nodemask_t *taken = kunit_kzalloc(test, sizeof(*taken), GFP_KERNEL);
	unsigned int id, n = 0;

	KUNIT_ASSERT_NOT_NULL(test, taken);
	while ((id = gm_hnode_id_alloc()) < MAX_NUMNODES) {
		KUNIT_EXPECT_FALSE(test, node_possible(id));
		KUNIT_EXPECT_FALSE(test, node_isset(id, *taken));
		node_set(id, *taken);
		n++;
	}
	KUNIT_EXPECT_EQ(test, MAX_NUMNODES, id);
	KUNIT_EXPECT_LT(test, n, MAX_NUMNODES);
	for_each_node_mask(id, *taken)
		gm_hnode_id_free(id);
}

static void physmem_registers_and_leaves(struct kunit *test)
{
	struct gm_dev *dev = need_dev(test);
	unsigned int nid;

	KUNIT_ASSERT_EQ(test, GM_RET_SUCCESS,
			gm_dev_register_physmem(dev, SZ_2M, SZ_16M));
	KUNIT_EXPECT_EQ(test, 1, nodes_weight(dev->registered_hnodes));
	/* Overlaps. */
	KUNIT_EXPECT_EQ(test, GM_RET_PAGE_EXIST,
			gm_dev_register_physmem(dev, SZ_8M, SZ_32M));
	KUNIT_EXPECT_EQ(test, GM_RET_SUCCESS,
			gm_dev_register_physmem(dev, SZ_16M, SZ_32M));
	KUNIT_EXPECT_EQ(test, 2, nodes_weight(dev->registered_hnodes));

	nid = first_node(dev->registered_hnodes);
	gm_dev_unregister_physmem(dev, nid);
	KUNIT_EXPECT_EQ(test, 1, nodes_weight(dev->registered_hnodes));
	/* Twice, and ids out of bounds. */
	gm_dev_unregister_physmem(dev, nid);
	gm_dev_unregister_physmem(dev, MAX_NUMNODES);
	gm_dev_unregister_physmem(dev, UINT_MAX);
	KUNIT_EXPECT_EQ(test, 1, nodes_weight(dev->registered_hnodes));
	KUNIT_EXPECT_EQ(test, GM_RET_SUCCESS, gm_dev_destroy(dev));
}

static void physmem_checks_its_range(struct kunit *test)
{
	struct gm_dev *dev = need_dev(test);
	struct gm_mmu no_copy = null_mmu;

	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_register_physmem(dev, SZ_4M, SZ_4M));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_register_physmem(dev, SZ_8M, SZ_4M));
	/* No whole chunk in it. */
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_register_physmem(dev, PAGE_SIZE, SZ_4M - 1));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_register_physmem(dev, ULONG_MAX - PAGE_SIZE,
						ULONG_MAX));
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_register_physmem(NULL, 0, SZ_4M));
	no_copy.copy = NULL;
	dev->mmu = &no_copy;
	KUNIT_EXPECT_EQ(test, GM_RET_INVALID,
			gm_dev_register_physmem(dev, 0, SZ_4M));
	dev->mmu = &null_mmu;
	gm_dev_destroy(dev);
}

struct alloc_test {
	struct gm_block block[2];
	struct page *pages[GM_BLOCK_PAGES];
	struct page *more[GM_BLOCK_PAGES];
	DECLARE_BITMAP(want, GM_BLOCK_PAGES);
};

static void put_pages(struct page **pages)
{
	unsigned int i;

	for (i = 0; i < GM_BLOCK_PAGES; i++) {
		if (!pages[i])
			continue;
		unlock_page(pages[i]);
		put_page(pages[i]);
		pages[i] = NULL;
	}
}

/* These tests take pages that no process has: there is nothing to evict. */
static void without_eviction(struct gm_dev *dev)
{
	list_first_entry(&dev->hnodes, struct gm_hnode, dev_link)->low = 0;
}

static void alloc_keeps_the_offset_in_the_block(struct kunit *test)
{
	struct gm_dev *dev = need_dev(test);
	struct alloc_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	KUNIT_ASSERT_EQ(test, GM_RET_SUCCESS,
			gm_dev_register_physmem(dev, 0, SZ_8M));
	without_eviction(dev);

	/* In two pieces, and one contiguous aligned 2 MiB comes out. */
	bitmap_set(t->want, 100, 300);
	KUNIT_EXPECT_EQ(test, 300,
			gm_hnode_alloc(dev, &t->block[0], t->want, t->pages));
	bitmap_complement(t->want, t->want, GM_BLOCK_PAGES);
	KUNIT_EXPECT_EQ(test, GM_BLOCK_PAGES - 300,
			gm_hnode_alloc(dev, &t->block[0], t->want, t->more));
	for (i = 0; i < GM_BLOCK_PAGES; i++) {
		struct page *page = t->pages[i] ?: t->more[i];

		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_EXPECT_EQ(test, i * PAGE_SIZE,
				gm_page_device_addr(page) % GM_BLOCK_SIZE);
		KUNIT_EXPECT_TRUE(test, gm_page_is_local(page, dev));
		KUNIT_EXPECT_TRUE(test, PageLocked(page));
	}
	KUNIT_EXPECT_EQ(test, (SZ_8M - SZ_2M) >> PAGE_SHIFT,
			gm_hnode_nr_free(dev));

	put_pages(t->pages);
	put_pages(t->more);
	KUNIT_EXPECT_EQ(test, SZ_8M >> PAGE_SHIFT, gm_hnode_nr_free(dev));
	KUNIT_EXPECT_NULL(test, t->block[0].chunk);
	gm_dev_destroy(dev);
}

static void alloc_uses_the_last_page(struct kunit *test)
{
	struct gm_dev *dev = need_dev(test);
	struct alloc_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	KUNIT_ASSERT_EQ(test, GM_RET_SUCCESS,
			gm_dev_register_physmem(dev, 0, SZ_2M));
	without_eviction(dev);

	/* One block takes the only chunk, another gets what it left. */
	bitmap_set(t->want, 0, 12);
	KUNIT_EXPECT_EQ(test, 12,
			gm_hnode_alloc(dev, &t->block[0], t->want, t->pages));
	bitmap_fill(t->want, GM_BLOCK_PAGES);
	KUNIT_EXPECT_EQ(test, GM_BLOCK_PAGES - 12,
			gm_hnode_alloc(dev, &t->block[1], t->want, t->more));
	KUNIT_EXPECT_EQ(test, 0, gm_hnode_nr_free(dev));
	put_pages(t->pages);
	KUNIT_EXPECT_EQ(test, 12, gm_hnode_nr_free(dev));
	put_pages(t->more);
	KUNIT_EXPECT_EQ(test, GM_BLOCK_PAGES, gm_hnode_nr_free(dev));
	gm_dev_destroy(dev);
}

/* Policy */

static struct gm_window window(const unsigned long *resident,
			       unsigned int index, bool hot)
{
	struct gm_window all = { .first = 0, .end = GM_BLOCK_PAGES };

	return gm_policy_window(resident, all, index, hot);
}

static void window_of_one_access_is_a_granule(struct kunit *test)
{
	DECLARE_BITMAP(resident, GM_BLOCK_PAGES) = {};
	struct gm_window w;
	unsigned int i;

	for (i = 0; i < GM_BLOCK_PAGES; i += 7) {
		w = window(resident, i, false);
		KUNIT_EXPECT_EQ(test, w.first, round_down(i, GM_GRANULE_PAGES));
		KUNIT_EXPECT_EQ(test, w.end, w.first + GM_GRANULE_PAGES);
	}
}

static void window_of_a_stream_doubles(struct kunit *test)
{
	DECLARE_BITMAP(resident, GM_BLOCK_PAGES) = {};
	unsigned int faults = 0, i = 0;

	while (i < GM_BLOCK_PAGES) {
		struct gm_window w = window(resident, i, false);

		bitmap_set(resident, w.first, w.end - w.first);
		i = find_next_zero_bit(resident, GM_BLOCK_PAGES, i);
		faults++;
	}
	KUNIT_EXPECT_TRUE(test, bitmap_full(resident, GM_BLOCK_PAGES));
	KUNIT_EXPECT_LE(test, faults, 8);
}

static void window_stays_within_the_vma(struct kunit *test)
{
	DECLARE_BITMAP(resident, GM_BLOCK_PAGES);
	struct gm_window bounds, w;
	unsigned int i;

	bitmap_fill(resident, GM_BLOCK_PAGES);
	for (bounds.first = 0; bounds.first < GM_BLOCK_PAGES;
	     bounds.first += 13) {
		for (bounds.end = bounds.first + 1;
		     bounds.end <= GM_BLOCK_PAGES; bounds.end += 29) {
			i = (bounds.first + bounds.end - 1) / 2;
			w = gm_policy_window(resident, bounds, i, false);
			KUNIT_EXPECT_GE(test, w.first, bounds.first);
			KUNIT_EXPECT_LE(test, w.end, bounds.end);
			KUNIT_EXPECT_LE(test, w.first, i);
			KUNIT_EXPECT_GT(test, w.end, i);
			w = gm_policy_window(resident, bounds, i, true);
			KUNIT_EXPECT_EQ(test, w.first, bounds.first);
			KUNIT_EXPECT_EQ(test, w.end, bounds.end);
		}
	}
}

static void window_without_what_is_there(struct kunit *test)
{
	DECLARE_BITMAP(resident, GM_BLOCK_PAGES) = {};
	struct gm_window w = { .first = 0, .end = 64 }, t;

	bitmap_set(resident, 0, 32);
	t = gm_policy_trim(resident, w, 40);
	KUNIT_EXPECT_EQ(test, 32, t.first);
	KUNIT_EXPECT_EQ(test, 64, t.end);
	/* The wanted page stays in, whatever is known about it. */
	t = gm_policy_trim(resident, w, 10);
	KUNIT_EXPECT_EQ(test, 10, t.first);
	bitmap_fill(resident, GM_BLOCK_PAGES);
	t = gm_policy_trim(resident, w, 63);
	KUNIT_EXPECT_EQ(test, 63, t.first);
	KUNIT_EXPECT_EQ(test, 64, t.end);
}

static void thrash_takes_a_row_of_quick_bounces(struct kunit *test)
{
	struct gm_thrash thrash = {};
	u64 now = 1;
	int i;

	KUNIT_EXPECT_FALSE(test, gm_thrash_left(&thrash, now));
	KUNIT_EXPECT_FALSE(test, gm_thrash_remote(&thrash, jiffies));
	/* Slow ones never count. */
	for (i = 0; i < 100; i++) {
		gm_thrash_arrived(&thrash, now, now + NSEC_PER_MSEC);
		now += NSEC_PER_SEC;
		KUNIT_EXPECT_FALSE(test, gm_thrash_left(&thrash, now));
	}
	for (i = 0; i < 100; i++) {
		gm_thrash_arrived(&thrash, now, now + NSEC_PER_MSEC);
		now += 2 * NSEC_PER_MSEC;
		if (gm_thrash_left(&thrash, now))
			break;
		KUNIT_EXPECT_FALSE(test, gm_thrash_remote(&thrash, jiffies));
	}
	KUNIT_EXPECT_LT(test, i, 100);
	KUNIT_EXPECT_TRUE(test, gm_thrash_remote(&thrash, jiffies));
	/* Not for ever. */
	KUNIT_EXPECT_FALSE(test, gm_thrash_remote(&thrash, jiffies + 10 * HZ));
}

static void thrash_takes_its_time_from_the_machine(struct kunit *test)
{
	struct gm_thrash thrash = {};
	u64 now = 1;
	int i;

	/* Half a second to arrive, a second to stay: that is bouncing. */
	for (i = 0; i < 100; i++) {
		gm_thrash_arrived(&thrash, now, now + NSEC_PER_SEC / 2);
		now += NSEC_PER_SEC * 3 / 2;
		if (gm_thrash_left(&thrash, now))
			break;
	}
	KUNIT_EXPECT_LT(test, i, 100);
}

static void heat_brings_only_what_was_left(struct kunit *test)
{
	struct gm_heat heat = {};

	KUNIT_EXPECT_FALSE(test, gm_heat_reported(&heat, 1));
	heat.left = true;
	KUNIT_EXPECT_TRUE(test, gm_heat_reported(&heat, 1));
	/* It is on its way. */
	KUNIT_EXPECT_FALSE(test, gm_heat_reported(&heat, 1));
}

static int reports_until_brought(struct gm_heat *heat, u64 now)
{
	int n;

	heat->left = true;
	for (n = 1; n < 1000 && !gm_heat_reported(heat, now); n++)
		;
	return n;
}

static void heat_loses_patience_with_what_goes_soon(struct kunit *test)
{
	struct gm_heat heat = {};
	int i, n, last = 0;
	u64 now = 1;

	for (i = 0; i < 20; i++) {
		n = reports_until_brought(&heat, now);
		KUNIT_EXPECT_GE(test, n, last);
		last = n;
		now += NSEC_PER_MSEC;
		gm_heat_evicted(&heat, now);
	}
	KUNIT_EXPECT_GT(test, last, 10);
	/* Not for ever. */
	KUNIT_EXPECT_LT(test, last, 1000);
	/* Evicted again without having been brought: that says nothing. */
	gm_heat_evicted(&heat, now);
	KUNIT_EXPECT_EQ(test, last, reports_until_brought(&heat, now));
	/* It stayed long enough. */
	now += 10 * NSEC_PER_SEC;
	gm_heat_evicted(&heat, now);
	KUNIT_EXPECT_EQ(test, 1, reports_until_brought(&heat, now));
}

/* What hmadvise() said */

static struct gm_as *ranges_of_nobody(struct kunit *test)
{
	struct gm_as *as = kunit_kzalloc(test, sizeof(*as), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, as);
	spin_lock_init(&as->range_lock);
	as->ranges = RB_ROOT_CACHED;
	return as;
}

static void prefer(struct kunit *test, struct gm_as *as, unsigned long start,
		   unsigned long end, int hnid)
{
	struct gm_change change = {
		.mask = GM_CHANGE_PREFERRED,
		.advice.preferred = hnid,
	};

	KUNIT_ASSERT_EQ(test, GM_RET_SUCCESS,
			gm_range_change(as, start, end, &change));
}

static void pin(struct kunit *test, struct gm_as *as, unsigned long start,
		unsigned long end, bool pinned)
{
	struct gm_change change = {
		.mask = GM_CHANGE_PINNED,
		.advice.pinned = pinned,
	};

	KUNIT_ASSERT_EQ(test, GM_RET_SUCCESS,
			gm_range_change(as, start, end, &change));
}

static int preferred(struct gm_as *as, unsigned long addr)
{
	unsigned long start = 0, end = ULONG_MAX;

	return gm_range_lookup(as, addr, &start, &end).preferred;
}

static unsigned int nr_ranges(struct gm_as *as)
{
	struct rb_node *node;
	unsigned int nr = 0;

	for (node = rb_first_cached(&as->ranges); node; node = rb_next(node))
		nr++;
	return nr;
}

static void ranges_split_and_merge(struct kunit *test)
{
	struct gm_as *as = ranges_of_nobody(test);
	unsigned long start = 0, end = SZ_1G;

	KUNIT_EXPECT_EQ(test, GM_HNID_UNSET, preferred(as, SZ_1M));
	prefer(test, as, SZ_1M, SZ_4M, 5);
	prefer(test, as, SZ_2M, 3 * SZ_1M, 6);
	KUNIT_EXPECT_EQ(test, 3, nr_ranges(as));
	KUNIT_EXPECT_EQ(test, GM_HNID_UNSET, preferred(as, SZ_1M - 1));
	KUNIT_EXPECT_EQ(test, 5, preferred(as, SZ_1M));
	KUNIT_EXPECT_EQ(test, 6, preferred(as, SZ_2M));
	KUNIT_EXPECT_EQ(test, 5, preferred(as, 3 * SZ_1M));
	KUNIT_EXPECT_EQ(test, GM_HNID_UNSET, preferred(as, SZ_4M));

	gm_range_lookup(as, SZ_2M, &start, &end);
	KUNIT_EXPECT_EQ(test, SZ_2M, start);
	KUNIT_EXPECT_EQ(test, 3 * SZ_1M, end);
	start = 0;
	end = SZ_1G;
	gm_range_lookup(as, SZ_1M - 1, &start, &end);
	KUNIT_EXPECT_EQ(test, 0, start);
	KUNIT_EXPECT_EQ(test, SZ_1M, end);
	end = SZ_1G;
	gm_range_lookup(as, SZ_8M, &start, &end);
	KUNIT_EXPECT_EQ(test, SZ_4M, start);
	KUNIT_EXPECT_EQ(test, SZ_1G, end);

	/* One attribute leaves the others alone. */
	pin(test, as, SZ_512K, SZ_8M, true);
	KUNIT_EXPECT_EQ(test, 6, preferred(as, SZ_2M));
	KUNIT_EXPECT_EQ(test, 5, nr_ranges(as));
	pin(test, as, SZ_512K, SZ_8M, false);
	KUNIT_EXPECT_EQ(test, 3, nr_ranges(as));

	prefer(test, as, SZ_2M, 3 * SZ_1M, 5);
	KUNIT_EXPECT_EQ(test, 1, nr_ranges(as));
	prefer(test, as, SZ_1M, SZ_4M, GM_HNID_UNSET);
	KUNIT_EXPECT_EQ(test, 0, nr_ranges(as));
}

static void ranges_are_forgotten(struct kunit *test)
{
	struct gm_as *as = ranges_of_nobody(test);

	prefer(test, as, SZ_1M, SZ_4M, 5);
	gm_range_forget(as, SZ_2M, 3 * SZ_1M);
	KUNIT_EXPECT_EQ(test, 5, preferred(as, SZ_2M - 1));
	KUNIT_EXPECT_EQ(test, GM_HNID_UNSET, preferred(as, SZ_2M));
	KUNIT_EXPECT_EQ(test, GM_HNID_UNSET, preferred(as, 3 * SZ_1M - 1));
	KUNIT_EXPECT_EQ(test, 5, preferred(as, 3 * SZ_1M));
	prefer(test, as, SZ_8M, SZ_16M, 7);
	gm_range_forget(as, 3 * SZ_1M, SZ_8M + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 2, nr_ranges(as));
	KUNIT_EXPECT_EQ(test, GM_HNID_UNSET, preferred(as, SZ_8M));
	KUNIT_EXPECT_EQ(test, 7, preferred(as, SZ_8M + PAGE_SIZE));
	gm_range_forget(as, 0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, 0, nr_ranges(as));
}

/* Against an array that has an answer for each page. */
static void ranges_agree_with_an_array(struct kunit *test)
{
	struct gm_as *as = ranges_of_nobody(test);
	struct rnd_state rnd;
	int model[64], i, round;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < 64; i++)
		model[i] = GM_HNID_UNSET;
	for (round = 0; round < 2000; round++) {
		unsigned int a = prandom_u32_state(&rnd) % 64;
		unsigned int b = prandom_u32_state(&rnd) % 64;
		int hnid = (int)(prandom_u32_state(&rnd) % 6) + GM_HNID_UNSET;
		unsigned int first = min(a, b), end = max(a, b) + 1;

		if (prandom_u32_state(&rnd) % 4) {
			prefer(test, as, first * PAGE_SIZE, end * PAGE_SIZE,
			       hnid);
		} else {
			gm_range_forget(as, first * PAGE_SIZE, end * PAGE_SIZE);
			hnid = GM_HNID_UNSET;
		}
		for (i = first; i < end; i++)
			model[i] = hnid;
		for (i = 0; i < 64; i++)
			KUNIT_ASSERT_EQ(test, model[i],
					preferred(as, i * PAGE_SIZE));
		KUNIT_ASSERT_LE(test, nr_ranges(as), 64);
	}
	gm_range_forget(as, 0, ULONG_MAX);
}

/* What replicas have not got yet */

static bool pending(const struct gm_pending *p, unsigned long addr)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++)
		if (addr >= p->range[i].start && addr < p->range[i].end)
			return true;
	return false;
}

static void pending_joins_what_touches(struct kunit *test)
{
	struct gm_pending p = {};

	gm_pending_add(&p, SZ_4M, SZ_8M);
	gm_pending_add(&p, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, 2, p.nr);
	KUNIT_EXPECT_FALSE(test, pending(&p, SZ_2M));
	/* Closes the gap. */
	gm_pending_add(&p, SZ_2M, SZ_4M);
	KUNIT_EXPECT_EQ(test, 1, p.nr);
	KUNIT_EXPECT_EQ(test, SZ_1M, p.range[0].start);
	KUNIT_EXPECT_EQ(test, SZ_8M, p.range[0].end);
	gm_pending_add(&p, SZ_2M, SZ_4M);
	KUNIT_EXPECT_EQ(test, 1, p.nr);
}

static void pending_joins_neighbours_when_full(struct kunit *test)
{
	struct gm_pending p = {};
	unsigned long i;

	for (i = 0; i < GM_PENDING_RANGES; i++)
		gm_pending_add(&p, i * SZ_1G, i * SZ_1G + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, GM_PENDING_RANGES, p.nr);
	gm_pending_add(&p, SZ_1G + SZ_4M, SZ_1G + SZ_8M);
	KUNIT_EXPECT_EQ(test, GM_PENDING_RANGES, p.nr);
	KUNIT_EXPECT_TRUE(test, pending(&p, SZ_1G));
	KUNIT_EXPECT_TRUE(test, pending(&p, SZ_1G + SZ_4M));
	KUNIT_EXPECT_FALSE(test, pending(&p, SZ_1G + SZ_8M));
	KUNIT_EXPECT_FALSE(test, pending(&p, SZ_1G - 1));
}

/* Nothing may get lost, however the ranges come. */
static void pending_forgets_nothing(struct kunit *test)
{
	DECLARE_BITMAP(noted, 256) = {};
	struct gm_pending p = {};
	struct rnd_state rnd;
	unsigned int round, i, j;

	prandom_seed_state(&rnd, 2);
	for (round = 0; round < 2000; round++) {
		unsigned int first = prandom_u32_state(&rnd) % 256;
		unsigned int nr = 1 + prandom_u32_state(&rnd) % 3;

		if (!(round % 50)) {
			p.nr = 0;
			bitmap_zero(noted, 256);
		}
		nr = min(nr, 256 - first);
		bitmap_set(noted, first, nr);
		gm_pending_add(&p, first * PAGE_SIZE, (first + nr) * PAGE_SIZE);
		for_each_set_bit(i, noted, 256)
			KUNIT_ASSERT_TRUE(test, pending(&p, i * PAGE_SIZE));
		for (i = 0; i < p.nr; i++)
			for (j = 0; j < i; j++)
				KUNIT_ASSERT_TRUE(test,
						  p.range[i].end <
						  p.range[j].start ||
						  p.range[j].end <
						  p.range[i].start);
	}
}

static struct kunit_case gmem_cases[] = {
	KUNIT_CASE(ret_is_one_convention),
	KUNIT_CASE(mark_hot_is_not_no_hint),
	KUNIT_CASE(mapping_types_do_not_overlap),
	KUNIT_CASE(disabled_says_so),
	KUNIT_CASE(dev_create_checks_its_arguments),
	KUNIT_CASE(dev_ids_are_unique),
	KUNIT_CASE(as_create_needs_a_process_and_a_range),
	KUNIT_CASE(hnode_ids_are_bounded_and_no_nodes),
	KUNIT_CASE(physmem_registers_and_leaves),
	KUNIT_CASE(physmem_checks_its_range),
	KUNIT_CASE(alloc_keeps_the_offset_in_the_block),
	KUNIT_CASE(alloc_uses_the_last_page),
	KUNIT_CASE(window_of_one_access_is_a_granule),
	KUNIT_CASE(window_of_a_stream_doubles),
	KUNIT_CASE(window_stays_within_the_vma),
	KUNIT_CASE(window_without_what_is_there),
	KUNIT_CASE(thrash_takes_a_row_of_quick_bounces),
	KUNIT_CASE(thrash_takes_its_time_from_the_machine),
	KUNIT_CASE(heat_brings_only_what_was_left),
	KUNIT_CASE(heat_loses_patience_with_what_goes_soon),
	KUNIT_CASE(ranges_split_and_merge),
	KUNIT_CASE(ranges_are_forgotten),
	KUNIT_CASE(ranges_agree_with_an_array),
	KUNIT_CASE(pending_joins_what_touches),
	KUNIT_CASE(pending_joins_neighbours_when_full),
	KUNIT_CASE(pending_forgets_nothing),
	{}
};

static struct kunit_suite gmem_suite = {
	.name = "gmem",
	.test_cases = gmem_cases,
};

kunit_test_suite(gmem_suite);

MODULE_DESCRIPTION("KUnit tests of GMEM");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
