// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/hmm_dmirrorN: the test interface of the kernel's lib/test_hmm.c, on this
 * device. With it the kernel's own hmm-tests run as they are, and what they read,
 * write and migrate goes through GMEM, the device's page table, its DRAM and its
 * copy engine. For tests only: modprobe gmemu dmirror=1.
 *
 * The copy engine has no MMU, so the page table is looked up here: under
 * gm_as.map_lock, which every change of it needs, until the copy is done.
 */
#include <linux/gmem.h>
#include <linux/hmm.h>
#include <linux/idr.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/xarray.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>

#include <lib/test_hmm_uapi.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

enum gmemu_dmirror_mode {
	GMEMU_DMIRROR_NONE,
	GMEMU_DMIRROR_EXCLUSIVE,
	GMEMU_DMIRROR_REPLICA,
};

static unsigned int gmemu_dmirror_param;
module_param_named(dmirror, gmemu_dmirror_param, uint, 0444);
MODULE_PARM_DESC(dmirror, "FOR TESTS: make /dev/hmm_dmirrorN, with which the kernel's hmm-tests run (1: pages move to the device, 2: it has a replica of the page table, and nothing moves)");

static DEFINE_IDA(gmemu_dmirror_ids);

/* Pages that are copied, faulted in or looked at in one go. */
#define GMEMU_DMIRROR_PAGES 64
/* Races lost before a fault is given up. */
#define GMEMU_DMIRROR_TRIES 100

/**
 * struct gmemu_dmirror - the node of a device
 * @misc: The node.
 * @name: Its name.
 * @id: Its number.
 * @gdev: The device.
 * @lock: Protects @files.
 * @release_lock: Serialises HMM_DMIRROR_RELEASE.
 * @files: Open files, by gmemu_mirror.link.
 */
struct gmemu_dmirror {
	struct miscdevice misc;
	char name[24];
	int id;
	struct gmemu_device *gdev;
	struct mutex lock; /* files; outside gmemu_mirror.lock */
	struct mutex release_lock; /* HMM_DMIRROR_RELEASE; inside gmemu_mirror.lock */
	struct list_head files;
};

/**
 * struct gmemu_mirror - an open file: a process's address space on the device
 * @node: What was opened.
 * @link: In gmemu_dmirror.files.
 * @lock: Serialises calls, and these against the end of the device.
 * @as: The address space; NULL: the device is gone.
 * @gm: The device's view of it.
 * @bounce: Where pages are copied to and from.
 * @exclusive: Pages given to the device alone, by page number; those it has lost
 *	since are in it until they are looked up.
 * @reqs: Scratch.
 * @list: Scratch.
 */
struct gmemu_mirror {
	struct gmemu_dmirror *node;
	struct list_head link;
	struct mutex lock; /* see above */
	struct gm_as *as;
	struct gm_context *gm;
	struct gmemu_dma bounce;
	struct xarray exclusive;
	struct gm_fault_req reqs[GMEMU_DMIRROR_PAGES];
	struct gm_copy list[GMEMU_DMIRROR_PAGES];
};

static int gmemu_dmirror_errno(int ret, bool write)
{
	/* hmm_range_fault() knows one kind of forbidden read. */
	if (ret == GM_RET_PERM)
		return write ? -EPERM : -EFAULT;
	return gm_ret_to_errno(ret);
}

/*
 * Copy between @bounce and what the device has mapped from @addr on. Return how many pages
 * there were up to one that is not mapped well enough, or a negative errno.
 */
static long gmemu_mirror_copy(struct gmemu_mirror *m, unsigned long addr, unsigned int nr,
			      bool write, bool local)
{
	u64 need = GMEMU_PTE_R | (write ? GMEMU_PTE_W : 0) | (local ? GMEMU_PTE_LOCAL : 0);
	struct gm_dev *dev = m->node->gdev->gm;
	unsigned int i;
	u64 cookie;
	int ret = 0;

	mutex_lock(&m->as->map_lock);
	for (i = 0; i < nr; i++) {
		u64 entry = gmemu_pmap_lookup(m->gm->pmap, addr + i * PAGE_SIZE);
		u64 there = entry & GMEMU_PTE_ADDR_MASK, here = m->bounce.bus + i * PAGE_SIZE;

		if ((entry & need) != need)
			break;
		m->list[i] = (struct gm_copy) {
			.src = write ? here : there,
			.dst = write ? there : here,
			.size = PAGE_SIZE,
		};
		if (entry & GMEMU_PTE_LOCAL)
			m->list[i].flags = write ? GM_COPY_DST_DEV : GM_COPY_SRC_DEV;
	}
	if (i)
		ret = gmemu_gm_copy(dev, m->list, i, &cookie) ?:
		      gmemu_gm_copy_wait(dev, cookie);
	mutex_unlock(&m->as->map_lock);
	return ret ? gm_ret_to_errno(ret) : i;
}

/* The device faults on @nr of @reqs until each has got an answer that stays. */
static int gmemu_mirror_fault_some(struct gmemu_mirror *m, unsigned int nr, bool write)
{
	unsigned int i, tries, again;

	for (tries = 0; nr && tries < GMEMU_DMIRROR_TRIES; tries++) {
		gm_dev_fault_batch(m->gm, m->reqs, nr);
		for (i = 0, again = 0; i < nr; i++) {
			int ret = m->reqs[i].ret;

			if (ret == GM_RET_RETRY)
				m->reqs[again++] = m->reqs[i];
			else if (ret)
				return gmemu_dmirror_errno(ret, write);
		}
		nr = again;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return nr ? -EBUSY : 0;
}

/* Fault on what is not mapped well enough; *@missing: how many pages that were. */
static int gmemu_mirror_fault_once(struct gmemu_mirror *m, unsigned long start, unsigned long end,
				   bool write, unsigned long *missing)
{
	u64 need = write ? GMEMU_PTE_W : GMEMU_PTE_R;
	int ret = 0;

	*missing = 0;
	while (start < end && !ret) {
		unsigned int nr = 0;

		mutex_lock(&m->as->map_lock);
		for (; start < end && nr < GMEMU_DMIRROR_PAGES; start += PAGE_SIZE) {
			if (gmemu_pmap_lookup(m->gm->pmap, start) & need)
				continue;
			xa_erase(&m->exclusive, start >> PAGE_SHIFT);
			m->reqs[nr++] = (struct gm_fault_req) {
				.addr = start,
				.access = write ? GM_ACCESS_WRITE : GM_ACCESS_READ,
				.hint = GM_FAULT_HINT_NONE,
			};
		}
		mutex_unlock(&m->as->map_lock);
		*missing += nr;
		ret = gmemu_mirror_fault_some(m, nr, write);
	}
	return ret;
}

/*
 * One device fault for all of a range, as the device of lib/test_hmm.c has them. A page may
 * be lost again while others come, when copies of shared pages are made.
 */
static int gmemu_mirror_fault(struct gmemu_mirror *m, unsigned long start, unsigned long end,
			      bool write)
{
	unsigned int tries;
	unsigned long missing;
	int ret;

	for (tries = 0; tries < GMEMU_DMIRROR_TRIES; tries++) {
		ret = gmemu_mirror_fault_once(m, start, end, write, &missing);
		if (ret || !missing)
			return ret;
	}
	return -EBUSY;
}

static int gmemu_mirror_access(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd, bool write)
{
	int ret;

	while (cmd->cpages < cmd->npages) {
		unsigned long done = cmd->cpages << PAGE_SHIFT;
		unsigned int nr = min_t(u64, cmd->npages - cmd->cpages, GMEMU_DMIRROR_PAGES);
		void __user *user = u64_to_user_ptr(cmd->ptr + done);
		unsigned long addr = cmd->addr + done;
		long moved;

		if (fatal_signal_pending(current))
			return -EINTR;
		if (write && copy_from_user(m->bounce.cpu, user, nr * PAGE_SIZE))
			return -EFAULT;
		moved = gmemu_mirror_copy(m, addr, nr, write, false);
		if (moved < 0)
			return moved;
		if (!write && copy_to_user(user, m->bounce.cpu, moved * PAGE_SIZE))
			return -EFAULT;
		cmd->cpages += moved;
		if (moved == nr)
			continue;
		ret = gmemu_mirror_fault(m, addr + moved * PAGE_SIZE,
					 cmd->addr + (cmd->npages << PAGE_SHIFT), write);
		if (ret)
			return ret;
		cmd->faults++;
	}
	return 0;
}

/* Hand out what the device has without a fault; -ENOENT: it has not got all of it. */
static int gmemu_mirror_show(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd, bool local)
{
	while (cmd->cpages < cmd->npages) {
		unsigned int nr = min_t(u64, cmd->npages - cmd->cpages, GMEMU_DMIRROR_PAGES);
		unsigned long done = cmd->cpages << PAGE_SHIFT;
		long moved = gmemu_mirror_copy(m, cmd->addr + done, nr, false, local);

		if (moved < 0)
			return moved;
		if (copy_to_user(u64_to_user_ptr(cmd->ptr + done), m->bounce.cpu,
				 moved * PAGE_SIZE))
			return -EFAULT;
		cmd->cpages += moved;
		if (moved < nr)
			return -ENOENT;
	}
	return 0;
}

/* All of the range is memory that may be read. */
static int gmemu_mirror_check(struct gmemu_mirror *m, unsigned long addr, unsigned long end)
{
	struct mm_struct *mm = m->as->mm;
	struct vm_area_struct *vma;
	int ret = 0;

	if (!mmget_not_zero(mm))
		return -ESRCH;
	mmap_read_lock(mm);
	for (; addr < end && !ret; addr = vma ? vma->vm_end : end) {
		vma = vma_lookup(mm, addr);
		if (!vma || !(vma->vm_flags & VM_READ))
			ret = -EINVAL;
	}
	mmap_read_unlock(mm);
	mmput(mm);
	return ret;
}

static int gmemu_mirror_to_device(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = cmd->addr + (cmd->npages << PAGE_SHIFT);
	int ret = gmemu_mirror_check(m, cmd->addr, end);

	if (!ret)
		ret = gm_ret_to_errno(gm_context_prefetch(m->gm, cmd->addr, end));
	return ret ?: gmemu_mirror_show(m, cmd, true);
}

static int gmemu_mirror_to_system(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = cmd->addr + (cmd->npages << PAGE_SHIFT);
	int ret = gmemu_mirror_check(m, cmd->addr, end);

	if (!ret)
		cmd->cpages = gm_context_evict(m->gm, cmd->addr, end);
	return ret;
}

static int gmemu_mirror_exclusive(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd)
{
	unsigned long i, addr;
	int ret;

	for (i = 0; i < cmd->npages; i++) {
		addr = cmd->addr + (i << PAGE_SHIFT);
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = gm_context_exclusive(m->gm, addr);
		if (ret == GM_RET_RETRY)
			return -EBUSY;
		if (ret)
			return gmemu_dmirror_errno(ret, true);
		ret = xa_err(xa_store(&m->exclusive, addr >> PAGE_SHIFT, xa_mk_value(1),
				      GFP_KERNEL));
		if (ret)
			return ret;
	}
	return gmemu_mirror_show(m, cmd, false);
}

/* -EPERM: the device still has one of the pages for itself. */
static int gmemu_mirror_check_exclusive(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd)
{
	unsigned long last = (cmd->addr >> PAGE_SHIFT) + cmd->npages - 1, pfn;
	void *entry;
	int ret = 0;

	mutex_lock(&m->as->map_lock);
	xa_for_each_range(&m->exclusive, pfn, entry, cmd->addr >> PAGE_SHIFT, last) {
		if (gmemu_pmap_lookup(m->gm->pmap, pfn << PAGE_SHIFT) & GMEMU_PTE_ATOMIC)
			ret = -EPERM;
		else
			xa_erase(&m->exclusive, pfn);
	}
	mutex_unlock(&m->as->map_lock);
	return ret;
}

static u8 gmemu_mirror_describe(unsigned long pfn)
{
	struct page *page;
	unsigned int order;
	u8 perm;

	if (pfn & HMM_PFN_ERROR)
		return HMM_DMIRROR_PROT_ERROR;
	if (!(pfn & HMM_PFN_VALID))
		return HMM_DMIRROR_PROT_NONE;
	page = hmm_pfn_to_page(pfn);
	perm = pfn & HMM_PFN_WRITE ? HMM_DMIRROR_PROT_WRITE : HMM_DMIRROR_PROT_READ;
	/* hmm_range_fault() tells of no pages in private memory but those of the owner. */
	if (is_device_private_page(page))
		perm |= HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL;
	else if (is_zero_pfn(page_to_pfn(page)))
		perm |= HMM_DMIRROR_PROT_ZERO;
	order = hmm_pfn_to_map_order(pfn);
	if (order + PAGE_SHIFT == PMD_SHIFT)
		perm |= HMM_DMIRROR_PROT_PMD;
	else if (order + PAGE_SHIFT == PUD_SHIFT)
		perm |= HMM_DMIRROR_PROT_PUD;
	return perm;
}

static int gmemu_mirror_snapshot_some(struct gmemu_mirror *m, struct hmm_range *range)
{
	struct mm_struct *mm = m->as->mm;
	unsigned int tries;
	int ret = -EBUSY;

	if (!mmget_not_zero(mm))
		return -ESRCH;
	for (tries = 0; ret == -EBUSY && tries < GMEMU_DMIRROR_TRIES; tries++) {
		range->notifier_seq = mmu_interval_read_begin(range->notifier);
		mmap_read_lock(mm);
		ret = hmm_range_fault(range);
		mmap_read_unlock(mm);
		if (ret)
			continue;
		mutex_lock(&m->as->map_lock);
		if (mmu_interval_read_retry(range->notifier, range->notifier_seq))
			ret = -EBUSY;
		mutex_unlock(&m->as->map_lock);
	}
	mmput(mm);
	return ret;
}

/* What the CPU's page table says, without bringing anything in. */
static int gmemu_mirror_snapshot(struct gmemu_mirror *m, struct hmm_dmirror_cmd *cmd)
{
	unsigned long pfns[GMEMU_DMIRROR_PAGES];
	u8 perms[GMEMU_DMIRROR_PAGES];

	while (cmd->cpages < cmd->npages) {
		unsigned int i, nr = min_t(u64, cmd->npages - cmd->cpages, GMEMU_DMIRROR_PAGES);
		struct hmm_range range = {
			.notifier = &m->as->notifier,
			.start = cmd->addr + (cmd->cpages << PAGE_SHIFT),
			.hmm_pfns = pfns,
			.dev_private_owner = m->node->gdev->gm,
		};
		int ret;

		range.end = range.start + nr * PAGE_SIZE;
		memset(pfns, 0, sizeof(pfns));
		ret = gmemu_mirror_snapshot_some(m, &range);
		if (ret)
			return ret;
		for (i = 0; i < nr; i++)
			perms[i] = gmemu_mirror_describe(pfns[i]);
		if (copy_to_user(u64_to_user_ptr(cmd->ptr + cmd->cpages), perms, nr))
			return -EFAULT;
		cmd->cpages += nr;
	}
	return 0;
}

/* The device's memory is taken from GMEM, which brings home what is in it, and given back. */
static int gmemu_mirror_release_memory(struct gmemu_mirror *m)
{
	struct gmemu_device *gdev = m->node->gdev;
	int ret;

	mutex_lock(&m->node->release_lock);
	gmemu_svm_bring_home(gdev);
	ret = gmemu_svm_give_back(gdev);
	mutex_unlock(&m->node->release_lock);
	return ret;
}

static int gmemu_mirror_do(struct gmemu_mirror *m, unsigned int what, struct hmm_dmirror_cmd *cmd)
{
	switch (what) {
	case HMM_DMIRROR_READ:
		return gmemu_mirror_access(m, cmd, false);
	case HMM_DMIRROR_WRITE:
		return gmemu_mirror_access(m, cmd, true);
	case HMM_DMIRROR_MIGRATE_TO_DEV:
		return gmemu_mirror_to_device(m, cmd);
	case HMM_DMIRROR_MIGRATE_TO_SYS:
		return gmemu_mirror_to_system(m, cmd);
	case HMM_DMIRROR_SNAPSHOT:
		return gmemu_mirror_snapshot(m, cmd);
	case HMM_DMIRROR_EXCLUSIVE:
		return gmemu_mirror_exclusive(m, cmd);
	case HMM_DMIRROR_CHECK_EXCLUSIVE:
		return gmemu_mirror_check_exclusive(m, cmd);
	case HMM_DMIRROR_RELEASE:
		return gmemu_mirror_release_memory(m);
	default:
		return -EINVAL;
	}
}

static long gmemu_mirror_ioctl(struct file *file, unsigned int what, unsigned long arg)
{
	struct gmemu_mirror *m = file->private_data;
	void __user *user = (void __user *)arg;
	struct hmm_dmirror_cmd cmd;
	unsigned long end;
	int ret, idx;

	if (copy_from_user(&cmd, user, sizeof(cmd)))
		return -EFAULT;
	if (!PAGE_ALIGNED(cmd.addr) || cmd.npages > TASK_SIZE_MAX >> PAGE_SHIFT ||
	    check_add_overflow(cmd.addr, cmd.npages << PAGE_SHIFT, &end) || !cmd.npages)
		return -EINVAL;
	cmd.cpages = 0;
	cmd.faults = 0;

	ret = gmemu_enter(m->node->gdev, &idx);
	if (ret)
		return ret;
	mutex_lock(&m->lock);
	ret = m->as ? gmemu_mirror_do(m, what, &cmd) : -ENODEV;
	mutex_unlock(&m->lock);
	gmemu_exit(m->node->gdev, idx);

	if (copy_to_user(user, &cmd, sizeof(cmd)))
		return -EFAULT;
	return ret;
}

/* The device forgets the address space. */
static void gmemu_mirror_end(struct gmemu_mirror *m)
{
	mutex_lock(&m->lock);
	if (m->as) {
		gm_as_destroy(m->as);
		m->as = NULL;
		m->gm = NULL;
		gmemu_dma_free(m->node->gdev, &m->bounce);
	}
	mutex_unlock(&m->lock);
}

static int gmemu_mirror_begin(struct gmemu_mirror *m)
{
	struct gmemu_device *gdev = m->node->gdev;
	enum gm_mmu_mode mode = gmemu_dmirror_param == GMEMU_DMIRROR_REPLICA ?
				GM_MMU_MODE_REPLICATE : GM_MMU_MODE_COHERENT_EXCLUSIVE;
	int ret;

	if (!gdev->gm)
		return -ENODEV;
	ret = gmemu_dma_alloc(gdev, &m->bounce, GMEMU_DMIRROR_PAGES * PAGE_SIZE);
	if (ret)
		return ret;
	ret = gm_as_create(0, min_t(u64, TASK_SIZE_MAX, 1ull << gdev->va_bits), &m->as);
	if (ret)
		goto free;
	ret = gm_as_attach(m->as, gdev->gm, mode, false, &m->gm);
	if (!ret)
		return 0;
	gm_as_destroy(m->as);
free:
	gmemu_dma_free(gdev, &m->bounce);
	return gm_ret_to_errno(ret);
}

static int gmemu_mirror_open(struct inode *inode, struct file *file)
{
	struct gmemu_dmirror *node = container_of(file->private_data, struct gmemu_dmirror, misc);
	struct gmemu_mirror *m;
	int ret, idx;

	m = kzalloc(sizeof(*m), GFP_KERNEL);
	if (!m)
		return -ENOMEM;
	m->node = node;
	mutex_init(&m->lock);
	xa_init(&m->exclusive);
	ret = gmemu_enter(node->gdev, &idx);
	if (ret)
		goto free;
	ret = gmemu_mirror_begin(m);
	if (!ret) {
		mutex_lock(&node->lock);
		list_add_tail(&m->link, &node->files);
		mutex_unlock(&node->lock);
		drm_dev_get(&node->gdev->drm);
		file->private_data = m;
	}
	gmemu_exit(node->gdev, idx);
	if (!ret)
		return 0;
free:
	mutex_destroy(&m->lock);
	kfree(m);
	return ret;
}

static int gmemu_mirror_close(struct inode *inode, struct file *file)
{
	struct gmemu_mirror *m = file->private_data;
	struct gmemu_dmirror *node = m->node;

	/* If the device is removed meanwhile, one of the two finds nothing left. */
	gmemu_enter_to_end(node->gdev);
	gmemu_mirror_end(m);
	gmemu_exit_end(node->gdev);
	mutex_lock(&node->lock);
	list_del(&m->link);
	mutex_unlock(&node->lock);
	xa_destroy(&m->exclusive);
	mutex_destroy(&m->lock);
	kfree(m);
	drm_dev_put(&node->gdev->drm);
	return 0;
}

/* Pages in a mapping of a device: VM_MIXEDMAP, for the test of that name. */
static int gmemu_mirror_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long addr;

	for (addr = vma->vm_start; addr < vma->vm_end; addr += PAGE_SIZE) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		int ret;

		if (!page)
			return -ENOMEM;
		ret = vm_insert_page(vma, addr, page);
		put_page(page);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct file_operations gmemu_mirror_fops = {
	.owner = THIS_MODULE,
	.open = gmemu_mirror_open,
	.release = gmemu_mirror_close,
	.mmap = gmemu_mirror_mmap,
	.unlocked_ioctl = gmemu_mirror_ioctl,
	.llseek = noop_llseek,
};

/**
 * gmemu_dmirror_init - make the test node of a device, if that is asked for
 * @gdev: The device, which works. Without a node it works all the same.
 */
void gmemu_dmirror_init(struct gmemu_device *gdev)
{
	struct gmemu_dmirror *node;
	int ret;

	if (gmemu_dmirror_param == GMEMU_DMIRROR_NONE)
		return;
	/* It goes with the last file, not with the hardware. */
	node = drmm_kzalloc(&gdev->drm, sizeof(*node), GFP_KERNEL);
	if (!node)
		return;
	node->gdev = gdev;
	mutex_init(&node->lock);
	mutex_init(&node->release_lock);
	INIT_LIST_HEAD(&node->files);
	ret = ida_alloc(&gmemu_dmirror_ids, GFP_KERNEL);
	if (ret < 0)
		goto fail;
	node->id = ret;
	snprintf(node->name, sizeof(node->name), "hmm_dmirror%d", node->id);
	node->misc.minor = MISC_DYNAMIC_MINOR;
	node->misc.name = node->name;
	node->misc.fops = &gmemu_mirror_fops;
	node->misc.parent = gdev->drm.dev;
	ret = misc_register(&node->misc);
	if (!ret) {
		gdev->dmirror = node;
		return;
	}
	ida_free(&gmemu_dmirror_ids, node->id);
fail:
	dev_err(gdev->drm.dev, "no /dev/hmm_dmirror (%d); is test_hmm loaded?\n", ret);
}

/**
 * gmemu_dmirror_fini - undo gmemu_dmirror_init()
 * @gdev: The device; no call is under way, and none begins.
 */
void gmemu_dmirror_fini(struct gmemu_device *gdev)
{
	struct gmemu_dmirror *node = gdev->dmirror;
	struct gmemu_mirror *m;

	if (!node)
		return;
	misc_deregister(&node->misc);
	mutex_lock(&node->lock);
	list_for_each_entry(m, &node->files, link)
		gmemu_mirror_end(m);
	mutex_unlock(&node->lock);
	ida_free(&gmemu_dmirror_ids, node->id);
	gdev->dmirror = NULL;
}
