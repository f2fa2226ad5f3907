// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeping the memory of a process in use, for a device and not for itself.
 */
#include <linux/memcontrol.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>

#include "internal.h"

/**
 * gm_mm_use - keep the memory of a process
 * @mm: Its memory; with a reference to the struct.
 *
 * Until gm_mm_unuse() the process's end does not free its memory. So what this
 * thread charges to the process's memory cgroup fails at the limit, rather than
 * have the OOM killer wait for that. A thread of the process itself may do
 * what any fault of it does.
 *
 * Context: Does not nest.
 * Return: false if the process is gone.
 */
bool gm_mm_use(struct mm_struct *mm)
{
	if (!mmget_not_zero(mm))
		return false;
	if (current->mm != mm)
		mem_cgroup_defer_oom();
	return true;
}

/**
 * gm_mm_is_dying - has the OOM killer chosen this memory
 * @mm: The memory.
 *
 * Return: true if so: it must not get new pages.
 */
bool gm_mm_is_dying(struct mm_struct *mm)
{
	return check_stable_address_space(mm) ||
	       test_bit(MMF_OOM_REAP_QUEUED, &mm->flags);
}

/**
 * gm_mm_unuse - end what gm_mm_use() has begun
 * @mm: The memory.
 * @wanted: Something failed that somebody waits for: if that was at the limit
 *	of a memory cgroup, the OOM killer is called, now that nothing is kept.
 *
 * Context: May sleep.
 * Return: true if @wanted, and what failed is worth another try.
 */
bool gm_mm_unuse(struct mm_struct *mm, bool wanted)
{
	struct mem_cgroup *memcg = NULL;
	bool again;

	/* A thread of the process itself has deferred nothing. */
	wanted = mem_cgroup_defer_oom_end() && wanted;
	if (wanted)
		memcg = get_mem_cgroup_from_mm(mm);
	/* Others' faults wait: no tearing down of a process in here. */
	mmput_async(mm);
	if (!wanted)
		return false;
	/* What ends by itself, or by what has been done, makes room. */
	again = !atomic_read(&mm->mm_users) || gm_mm_is_dying(mm) ||
		mem_cgroup_deferred_oom(memcg);
	mem_cgroup_put(memcg);
	return again;
}
