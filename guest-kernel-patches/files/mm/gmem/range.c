// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process has said about ranges of its memory, see hmadvise(2).
 *
 * It is kept beside the VMAs and not in them: advice is about addresses, so
 * VMAs are split and merged as if it was not there. It goes when the memory is
 * unmapped, moves along with mremap(), and a child of fork() starts with none,
 * as it starts with no device.
 */
#include <kunit/visibility.h>
#include <linux/interval_tree.h>
#include <linux/slab.h>

#include "internal.h"

/**
 * struct gm_range - advice for a range of addresses
 * @it: [start, last] in gm_as.ranges.
 * @spare: In struct gm_spares, before it is in use.
 * @advice: What was said. Never all default: then there is no range.
 *
 * Ranges do not overlap, and neighbours differ. Protected by gm_as.range_lock.
 */
struct gm_range {
	union {
		struct interval_tree_node it;
		struct list_head spare;
	};
	struct gm_advice advice;
};

const struct gm_advice gm_no_advice = {
	.preferred = GM_HNID_UNSET,
	.remote = GM_HNID_UNSET,
	.read_mostly = GM_HNID_UNSET,
};

static struct gm_range *to_range(struct interval_tree_node *it)
{
	return it ? container_of(it, struct gm_range, it) : NULL;
}

static struct gm_range *gm_range_first(struct gm_as *as, unsigned long start,
				       unsigned long last)
{
	return to_range(interval_tree_iter_first(&as->ranges, start, last));
}

static struct gm_range *gm_range_next(struct gm_range *range,
				      unsigned long start, unsigned long last)
{
	return to_range(interval_tree_iter_next(&range->it, start, last));
}

static bool gm_advice_equal(const struct gm_advice *a,
			    const struct gm_advice *b)
{
	return a->preferred == b->preferred && a->remote == b->remote &&
	       a->read_mostly == b->read_mostly && a->pinned == b->pinned;
}

bool gm_advice_is_none(const struct gm_advice *advice)
{
	return gm_advice_equal(advice, &gm_no_advice);
}

static void gm_range_insert(struct gm_as *as, struct gm_range *range,
			    unsigned long start, unsigned long last)
{
	range->it.start = start;
	range->it.last = last;
	interval_tree_insert(&range->it, &as->ranges);
}

static void gm_range_resize(struct gm_as *as, struct gm_range *range,
			    unsigned long start, unsigned long last)
{
	interval_tree_remove(&range->it, &as->ranges);
	gm_range_insert(as, range, start, last);
}

static void gm_range_erase(struct gm_as *as, struct gm_range *range)
{
	interval_tree_remove(&range->it, &as->ranges);
	kfree(range);
}

/* A supply of ranges, filled where it is allowed to sleep. */
struct gm_spares {
	struct list_head list;
	unsigned int nr;
};

static void gm_spares_free(struct gm_spares *spares)
{
	struct gm_range *range, *tmp;

	list_for_each_entry_safe(range, tmp, &spares->list, spare)
		kfree(range);
}

static bool gm_spares_fill(struct gm_spares *spares, unsigned int nr)
{
	while (spares->nr < nr) {
		struct gm_range *range;

		range = kmalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);
		if (!range)
			return false;
		list_add(&range->spare, &spares->list);
		spares->nr++;
	}
	return true;
}

static struct gm_range *gm_spares_take(struct gm_spares *spares)
{
	struct gm_range *range;

	range = list_first_entry(&spares->list, struct gm_range, spare);
	list_del(&range->spare);
	spares->nr--;
	return range;
}

/* Let a range begin at @addr, if one reaches over it. */
static void gm_range_split(struct gm_as *as, unsigned long addr,
			   struct gm_spares *spares)
{
	struct gm_range *range = gm_range_first(as, addr, addr), *right;
	unsigned long last;

	if (!range || range->it.start == addr)
		return;
	last = range->it.last;
	right = gm_spares_take(spares);
	right->advice = range->advice;
	gm_range_resize(as, range, range->it.start, addr - 1);
	gm_range_insert(as, right, addr, last);
}

/* How many more ranges there can be once all of [start, last] has one. */
static unsigned int gm_range_need(struct gm_as *as, unsigned long start,
				  unsigned long last)
{
	struct gm_range *range;
	unsigned int nr = 3;

	for (range = gm_range_first(as, start, last); range;
	     range = gm_range_next(range, start, last))
		nr++;
	return nr;
}

/* Drop what says nothing and join what says the same. */
static void gm_range_tidy(struct gm_as *as, unsigned long start,
			  unsigned long last)
{
	struct gm_range *range, *next;

	if (start)
		start--;
	if (last != ULONG_MAX)
		last++;
	range = gm_range_first(as, start, last);
	while (range) {
		next = gm_range_next(range, start, last);
		if (gm_advice_is_none(&range->advice)) {
			gm_range_erase(as, range);
		} else if (next && next->it.start == range->it.last + 1 &&
			   gm_advice_equal(&range->advice, &next->advice)) {
			unsigned long joined = next->it.last;

			gm_range_erase(as, next);
			gm_range_resize(as, range, range->it.start, joined);
			continue;
		}
		range = next;
	}
}

/**
 * gm_range_change - change the advice for a range
 * @as: The address space.
 * @start: First address, page aligned.
 * @end: One past the last.
 * @change: Says what to change.
 *
 * Context: May sleep.
 * Return: GM_RET_SUCCESS or GM_RET_NOMEM; then nothing has changed.
 */
int gm_range_change(struct gm_as *as, unsigned long start, unsigned long end,
		    const struct gm_change *change)
{
	struct gm_spares spares = { .list = LIST_HEAD_INIT(spares.list) };
	unsigned long last = end - 1, addr = start;
	struct gm_range *range;
	unsigned int need;

	for (;;) {
		spin_lock(&as->range_lock);
		need = gm_range_need(as, start, last);
		if (spares.nr >= need)
			break;
		spin_unlock(&as->range_lock);
		if (!gm_spares_fill(&spares, need)) {
			gm_spares_free(&spares);
			return GM_RET_NOMEM;
		}
	}

	gm_range_split(as, start, &spares);
	if (end)
		gm_range_split(as, end, &spares);
	while (addr <= last) {
		range = gm_range_first(as, addr, last);
		if (!range || range->it.start > addr) {
			struct gm_range *hole = gm_spares_take(&spares);

			hole->advice = gm_no_advice;
			gm_range_insert(as, hole, addr,
					range ? range->it.start - 1 : last);
			range = hole;
		}
		if (change->mask & GM_CHANGE_PREFERRED)
			range->advice.preferred = change->advice.preferred;
		if (change->mask & GM_CHANGE_REMOTE)
			range->advice.remote = change->advice.remote;
		if (change->mask & GM_CHANGE_READ_MOSTLY)
			range->advice.read_mostly = change->advice.read_mostly;
		if (change->mask & GM_CHANGE_PINNED)
			range->advice.pinned = change->advice.pinned;
		if (range->it.last == ULONG_MAX)
			break;
		addr = range->it.last + 1;
	}
	gm_range_tidy(as, start, last);
	spin_unlock(&as->range_lock);
	gm_spares_free(&spares);
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_IF_KUNIT(gm_range_change);

/**
 * gm_range_lookup - the advice for an address
 * @as: The address space.
 * @addr: The address.
 * @start: In and out: shrunk to where the same advice begins.
 * @end: In and out: shrunk to where it ends.
 *
 * Return: the advice.
 */
struct gm_advice gm_range_lookup(struct gm_as *as, unsigned long addr,
				 unsigned long *start, unsigned long *end)
{
	struct gm_advice advice = gm_no_advice;
	struct gm_range *range;

	/* Nearly always there is none. */
	if (RB_EMPTY_ROOT(&as->ranges.rb_root))
		return advice;

	spin_lock(&as->range_lock);
	for (range = gm_range_first(as, *start, *end - 1); range;
	     range = gm_range_next(range, *start, *end - 1)) {
		if (range->it.last < addr) {
			*start = range->it.last + 1;
			continue;
		}
		if (range->it.start > addr) {
			*end = range->it.start;
			break;
		}
		advice = range->advice;
		*start = max(*start, range->it.start);
		*end = min(*end - 1, range->it.last) + 1;
		break;
	}
	spin_unlock(&as->range_lock);
	return advice;
}
EXPORT_SYMBOL_IF_KUNIT(gm_range_lookup);

/**
 * gm_range_forget - the memory goes, and its advice with it
 * @as: The address space.
 * @start: First address.
 * @end: One past the last.
 *
 * Called from MMU notifiers, so no memory is waited for. If there is none, what
 * was said of the memory behind the hole is forgotten too: advice can be lost,
 * but must not be applied to what it was not given for.
 */
void gm_range_forget(struct gm_as *as, unsigned long start, unsigned long end)
{
	unsigned long last = end - 1;
	struct gm_range *range, *right;

	if (RB_EMPTY_ROOT(&as->ranges.rb_root))
		return;

	spin_lock(&as->range_lock);
	while ((range = gm_range_first(as, start, last))) {
		unsigned long first = range->it.start, behind = range->it.last;

		if (first >= start && behind <= last) {
			gm_range_erase(as, range);
		} else if (first >= start) {
			gm_range_resize(as, range, last + 1, behind);
		} else {
			gm_range_resize(as, range, first, start - 1);
			if (behind <= last)
				continue;
			right = kmalloc(sizeof(*right),
					GFP_NOWAIT | __GFP_NOWARN);
			if (!right)
				continue;
			right->advice = range->advice;
			gm_range_insert(as, right, last + 1, behind);
		}
	}
	spin_unlock(&as->range_lock);
}
EXPORT_SYMBOL_IF_KUNIT(gm_range_forget);

/**
 * gm_range_mremap - memory moves, and its advice with it
 * @mm: The process's memory; mmap_lock held for writing.
 * @old: Where it was.
 * @new: Where it will be; does not overlap.
 * @len: How many bytes.
 *
 * An address space that has not got both places forgets. So it does when it is
 * out of memory.
 */
void gm_range_mremap(struct mm_struct *mm, unsigned long old,
		     unsigned long new, unsigned long len)
{
	struct gm_change change = { .mask = GM_CHANGE_ALL };
	unsigned long addr, first, end;
	unsigned int nth;
	struct gm_as *as;

	for (nth = 0; (as = gm_as_find(mm, old, NULL, nth)); nth++) {
		if (old + len > as->end_va || new < as->start_va ||
		    new + len > as->end_va)
			goto next;
		for (addr = old; addr < old + len; addr = end) {
			first = addr;
			end = old + len;
			change.advice = gm_range_lookup(as, addr, &first, &end);
			if (!gm_advice_is_none(&change.advice))
				gm_range_change(as, addr - old + new,
						end - old + new, &change);
		}
next:
		gm_as_put(as);
	}
}
