// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/PID/gmem: where the memory of a process is now.
 *
 * A line for each VMA that devices have to do with:
 *
 *	START-END PERMS cpu=PAGES none=PAGES hnodeN=PAGES devN=LOCAL/REMOTE dupN=PAGES
 *
 * cpu is in system memory, none was never touched or is swapped out, hnodeN is in
 * that device memory: these add up to the VMA. devN is what device N has mapped, of
 * its own memory and over the bus; dupN, if there are any, how many of the former are
 * copies to read of what is in system memory. Indented lines tell what hmadvise()
 * said of parts.
 */
#include <linux/bitmap.h>
#include <linux/hugetlb.h>
#include <linux/pagewalk.h>
#include <linux/ptrace.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "internal.h"

/* Pages of one VMA, by place. */
struct gm_residency {
	unsigned long cpu;
	unsigned long device;
	unsigned long hnode[MAX_NUMNODES];
};

static int gm_residency_pmd(pmd_t *pmdp, unsigned long addr,
			    unsigned long next, struct mm_walk *walk)
{
	struct gm_residency *r = walk->private;
	pmd_t pmd = pmdp_get_lockless(pmdp);
	pte_t *start, *ptep, pte;
	spinlock_t *ptl; /* of the page table */

	if (pmd_trans_huge(pmd) || is_pmd_migration_entry(pmd)) {
		r->cpu += (next - addr) >> PAGE_SHIFT;
		return 0;
	}
	start = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!start)
		return 0;
	for (ptep = start; addr < next; ptep++, addr += PAGE_SIZE) {
		struct page *page;
		swp_entry_t entry;

		pte = ptep_get(ptep);
		if (pte_present(pte)) {
			r->cpu++;
			continue;
		}
		if (!is_swap_pte(pte))
			continue;
		entry = pte_to_swp_entry(pte);
		if (!is_pfn_swap_entry(entry))
			continue;
		page = pfn_swap_entry_to_page(entry);
		if (is_device_private_page(page) && gm_page_is_gmem(page)) {
			r->device++;
			r->hnode[gm_page_hnode(page)->id]++;
		} else {
			r->cpu++;
		}
	}
	pte_unmap_unlock(start, ptl);
	cond_resched();
	return 0;
}

static const struct mm_walk_ops gm_residency_ops = {
	.pmd_entry = gm_residency_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/* What the devices have mapped of a VMA; returns how many pages in all. */
static unsigned long gm_show_mapped(struct seq_file *m, struct mm_struct *mm,
				    struct vm_area_struct *vma, bool print)
{
	unsigned long start, end, local, remote, copies, all = 0;
	struct gm_context *ctx;
	struct gm_as *as;
	unsigned int nth;

	for (nth = 0; (as = gm_as_find(mm, ULONG_MAX, NULL, nth)); nth++) {
		start = max(vma->vm_start, as->start_va);
		end = min(vma->vm_end, as->end_va);
		mutex_lock(&as->map_lock);
		list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
			if (start >= end)
				break;
			gm_count_mapped(ctx, start, end, &local, &remote);
			all += local + remote;
			if (print && local + remote)
				seq_printf(m, " dev%d=%lu/%lu", ctx->dev->id,
					   local, remote);
			copies = gm_count_replicas(ctx, start, end);
			if (print && copies)
				seq_printf(m, " dup%d=%lu", ctx->dev->id,
					   copies);
		}
		mutex_unlock(&as->map_lock);
		gm_as_put(as);
	}
	return all;
}

static void gm_show_place(struct seq_file *m, const char *what, int hnid)
{
	if (hnid == HMADV_HNID_NONE)
		seq_printf(m, " %s=%s", what,
			   *what == 'p' ? "host" : "all");
	else if (hnid != GM_HNID_UNSET)
		seq_printf(m, " %s=hnode%d", what, hnid);
}

/* Returns whether there is any. */
static bool gm_show_advice(struct seq_file *m, struct mm_struct *mm,
			   struct vm_area_struct *vma, bool print)
{
	unsigned long addr, start, end;
	struct gm_advice advice;
	struct gm_as *as;
	unsigned int nth;
	bool any = false;

	for (nth = 0; (as = gm_as_find(mm, vma->vm_start, NULL, nth)); nth++) {
		for (addr = vma->vm_start; addr < vma->vm_end; addr = end) {
			start = addr;
			end = vma->vm_end;
			advice = gm_range_lookup(as, addr, &start, &end);
			if (gm_advice_is_none(&advice))
				continue;
			any = true;
			if (!print)
				continue;
			seq_printf(m, "  %lx-%lx", start, end);
			gm_show_place(m, "preferred", advice.preferred);
			gm_show_place(m, "remote", advice.remote);
			gm_show_place(m, "read-mostly", advice.read_mostly);
			seq_puts(m, advice.pinned ? " pinned\n" : "\n");
		}
		gm_as_put(as);
	}
	return any;
}

static void gm_show_vma(struct seq_file *m, struct mm_struct *mm,
			struct vm_area_struct *vma, struct gm_residency *r,
			bool pages)
{
	unsigned long all = vma_pages(vma);
	unsigned int id;

	memset(r, 0, sizeof(*r));
	if (is_vm_hugetlb_page(vma) || (vma->vm_flags & VM_PFNMAP))
		return;
	walk_page_range_vma(vma, vma->vm_start, vma->vm_end, &gm_residency_ops,
			    r);
	if (!r->device && !gm_show_mapped(m, mm, vma, false) &&
	    !gm_show_advice(m, mm, vma, false))
		return;

	seq_printf(m, "%lx-%lx %c%c%c%c cpu=%lu none=%lu", vma->vm_start,
		   vma->vm_end, vma->vm_flags & VM_READ ? 'r' : '-',
		   vma->vm_flags & VM_WRITE ? 'w' : '-',
		   vma->vm_flags & VM_EXEC ? 'x' : '-',
		   vma->vm_flags & VM_MAYSHARE ? 's' : 'p', r->cpu,
		   all - r->cpu - r->device);
	for (id = 0; id < MAX_NUMNODES; id++)
		if (r->hnode[id])
			seq_printf(m, " hnode%u=%lu", id, r->hnode[id]);
	gm_show_mapped(m, mm, vma, true);
	seq_putc(m, '\n');
	if (pages)
		gm_show_pages(m, mm, vma);
	else
		gm_show_advice(m, mm, vma, true);
}

/**
 * gm_proc_show - show where the memory of a process is
 * @m: Where to write it to.
 * @task: The process; the caller must be allowed to trace it.
 * @pages: Page by page, rather than what hmadvise() said.
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
int gm_proc_show(struct seq_file *m, struct task_struct *task, bool pages)
{
	struct vm_area_struct *vma;
	struct gm_residency *r;
	struct mm_struct *mm;

	mm = mm_access(task, PTRACE_MODE_READ_FSCREDS);
	if (IS_ERR_OR_NULL(mm))
		return mm ? PTR_ERR(mm) : 0;
	r = kvmalloc(sizeof(*r), GFP_KERNEL);
	if (!r) {
		mmput(mm);
		return -ENOMEM;
	}
	if (!mmap_read_lock_killable(mm)) {
		VMA_ITERATOR(vmi, mm, 0);

		for_each_vma(vmi, vma)
			gm_show_vma(m, mm, vma, r, pages);
		mmap_read_unlock(mm);
	}
	kvfree(r);
	mmput(mm);
	return 0;
}
