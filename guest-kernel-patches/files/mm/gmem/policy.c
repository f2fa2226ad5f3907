// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much to move at once, and when to stop moving.
 *
 * Nothing here touches memory management state: it is arithmetic on what the
 * callers say, so that KUnit can test it.
 */
#include <kunit/visibility.h>
#include <linux/bitmap.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/log2.h>

#include "internal.h"

/*
 * Bouncing: leaving this soon after arrival, this often in a row. On a machine
 * that is slow or emulated, soon is measured by what the arrival has cost.
 */
#define GM_THRASH_INTERVAL	(100 * NSEC_PER_MSEC)
#define GM_THRASH_COST_FACTOR	16
#define GM_THRASH_BOUNCES	8
/* How long it is left alone then. */
#define GM_THRASH_REMOTE	HZ

/* What was brought and had to go within this time came too early. */
#define GM_HEAT_STAY		NSEC_PER_SEC
#define GM_HEAT_PATIENCE	6

static unsigned int weight(const unsigned long *map, struct gm_window w)
{
	unsigned int bit = w.first, n = 0;

	for_each_set_bit_from(bit, map, w.end)
		n++;
	return n;
}

static struct gm_window clip(struct gm_window w, struct gm_window bounds)
{
	w.first = max(w.first, bounds.first);
	w.end = min(w.end, bounds.end);
	return w;
}

/**
 * gm_policy_window - which pages to move when one of them is wanted
 * @resident: Pages of the block that are where the wanted one should be.
 * @bounds: Where the VMA lies in the block.
 * @index: The wanted page, within @bounds.
 * @hot: All of it is wanted.
 *
 * The largest aligned power-of-two range around the page that would be more
 * than half resident once the page's granule is. A stream is served with
 * windows that double, a random access with one granule.
 *
 * Return: a window within @bounds that contains @index.
 */
struct gm_window gm_policy_window(const unsigned long *resident,
				  struct gm_window bounds, unsigned int index,
				  bool hot)
{
	unsigned int first = round_down(index, GM_GRANULE_PAGES);
	struct gm_window best, granule, w;
	unsigned int size, extra;

	if (hot)
		return bounds;

	granule.first = first;
	granule.end = first + GM_GRANULE_PAGES;
	granule = clip(granule, bounds);
	best = granule;
	extra = granule.end - granule.first - weight(resident, granule);

	for (size = 2 * GM_GRANULE_PAGES; size <= GM_BLOCK_PAGES; size *= 2) {
		w.first = round_down(index, size);
		w.end = w.first + size;
		w = clip(w, bounds);
		if (2 * (weight(resident, w) + extra) > w.end - w.first)
			best = w;
	}
	return best;
}
EXPORT_SYMBOL_IF_KUNIT(gm_policy_window);

/**
 * gm_policy_trim - leave out what is there already
 * @resident: As for gm_policy_window().
 * @window: What that returned.
 * @index: The wanted page.
 *
 * Moving a range takes away from the device for a moment what it has of it.
 *
 * Return: the smallest window with @index and all of @window not resident.
 */
struct gm_window gm_policy_trim(const unsigned long *resident,
				struct gm_window window, unsigned int index)
{
	while (window.first < index && test_bit(window.first, resident))
		window.first++;
	while (window.end > index + 1 && test_bit(window.end - 1, resident))
		window.end--;
	return window;
}
EXPORT_SYMBOL_IF_KUNIT(gm_policy_trim);

/**
 * gm_thrash_arrived - a granule was moved to the device
 * @thrash: Its record.
 * @start: When the device asked for it, in ns.
 * @now: When it got it.
 */
void gm_thrash_arrived(struct gm_thrash *thrash, u64 start, u64 now)
{
	thrash->arrived = now;
	thrash->cost = now - start;
}
EXPORT_SYMBOL_IF_KUNIT(gm_thrash_arrived);

/**
 * gm_thrash_stop - leave a granule in system memory for a while
 * @thrash: Its record.
 */
void gm_thrash_stop(struct gm_thrash *thrash)
{
	thrash->bounces = 0;
	thrash->remote = true;
	thrash->remote_until = jiffies + GM_THRASH_REMOTE;
}

/**
 * gm_thrash_forget - somebody knows better
 * @thrash: The record of a granule that is wanted in device memory.
 */
void gm_thrash_forget(struct gm_thrash *thrash)
{
	thrash->bounces = 0;
	thrash->remote = false;
}

/**
 * gm_thrash_left - the CPU took a granule back
 * @thrash: Its record.
 * @now: In ns.
 *
 * Return: true if it is now to be left in system memory for a while.
 */
bool gm_thrash_left(struct gm_thrash *thrash, u64 now)
{
	u64 soon = max_t(u64, GM_THRASH_INTERVAL,
			 GM_THRASH_COST_FACTOR * thrash->cost);

	if (!thrash->arrived || now - thrash->arrived > soon) {
		thrash->bounces = 0;
		return false;
	}
	if (++thrash->bounces < GM_THRASH_BOUNCES)
		return false;
	gm_thrash_stop(thrash);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(gm_thrash_left);

/**
 * gm_thrash_remote - is a granule to be left in system memory
 * @thrash: Its record.
 * @now: jiffies.
 *
 * Return: true if so.
 */
bool gm_thrash_remote(const struct gm_thrash *thrash, unsigned long now)
{
	return thrash->remote && time_before(now, thrash->remote_until);
}
EXPORT_SYMBOL_IF_KUNIT(gm_thrash_remote);

/**
 * gm_heat_reported - the device uses a block in system memory
 * @heat: Its record.
 * @now: In ns.
 *
 * Return: true if it is to be brought to the device now.
 */
bool gm_heat_reported(struct gm_heat *heat, u64 now)
{
	if (!heat->left || ++heat->reports < 1U << heat->patience)
		return false;
	heat->left = false;
	heat->reports = 0;
	heat->brought = now;
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(gm_heat_reported);

/**
 * gm_heat_evicted - a block had to make room
 * @heat: Its record.
 * @now: In ns.
 *
 * When more is in use than there is memory, each block that is brought drives
 * another one out. So it takes twice as much to bring it the next time.
 */
void gm_heat_evicted(struct gm_heat *heat, u64 now)
{
	if (!heat->brought)
		return;
	if (now - heat->brought > GM_HEAT_STAY)
		heat->patience = 0;
	else if (heat->patience < GM_HEAT_PATIENCE)
		heat->patience++;
	heat->brought = 0;
}
EXPORT_SYMBOL_IF_KUNIT(gm_heat_evicted);
