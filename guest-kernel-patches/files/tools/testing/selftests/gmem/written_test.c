// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who asks what a process has written hears of what devices have, and of what they
 * have written: soft-dirty bits, PAGEMAP_SCAN.
 */
#include "../kselftest_harness.h"
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "gmem_device.h"

#define PAGES 64
#define SIZE (PAGES * PAGE)

#define PM_SOFT_DIRTY 0x80000000000000ULL

/* Linux 6.7 has them, and the C library's headers may be older. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED 0x2000
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC 0x8000
#endif
#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN 2
#define PM_SCAN_WP_MATCHING 1
#define PM_SCAN_CHECK_WPASYNC 2

struct page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct pm_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

FIXTURE(written)
{
	int fd;
	int pagemap;
	char *p;	/* of SIZE, written by the CPU, on the device */
	void *buf;	/* as large */
};

FIXTURE_SETUP(written)
{
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0)
		TH_LOG("modprobe test_gmem, and boot with gmem=on");
	self->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->pagemap, 0);
	self->buf = anon(SIZE);
	self->p = anon_block(SIZE);
	ASSERT_NE(NULL, self->buf);
	fill(self->p, SIZE, 1);
	ASSERT_EQ(0, dev_read(self->fd, self->p, self->buf, SIZE));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, self->p));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, self->p + SIZE - 1));
}

FIXTURE_TEARDOWN(written)
{
	close(self->pagemap);
	close(self->fd);
}

static char load(const char *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static bool soft_dirty(int pagemap, const void *addr)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)addr / PAGE * 8) !=
	    sizeof(entry))
		return false;
	return entry & PM_SOFT_DIRTY;
}

/* How many of PAGES are. */
static unsigned int soft_dirties(int pagemap, const char *p)
{
	unsigned int i, n = 0;

	for (i = 0; i < PAGES; i++)
		n += soft_dirty(pagemap, p + i * PAGE);
	return n;
}

static int clear_soft_dirty(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -1;
	ret = write(fd, "4", 1) == 1 ? 0 : -1;
	close(fd);
	return ret;
}

TEST_F(written, soft_dirty_is_what_was_written_since)
{
	char *p = self->p, c = 9;

	if (!soft_dirty(self->pagemap, p))
		SKIP(return, "no CONFIG_MEM_SOFT_DIRTY");
	EXPECT_EQ(PAGES, soft_dirties(self->pagemap, p));
	ASSERT_EQ(0, clear_soft_dirty());
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(0, soft_dirties(self->pagemap, p));

	/* Neither of them writes. */
	EXPECT_EQ(((char *)self->buf)[20 * PAGE], load(p + 20 * PAGE));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, SIZE));
	EXPECT_EQ(0, soft_dirties(self->pagemap, p));

	p[3 * PAGE] = 1;
	EXPECT_EQ(1, soft_dirties(self->pagemap, p));
	EXPECT_TRUE(soft_dirty(self->pagemap, p + 3 * PAGE));
	ASSERT_EQ(0, dev_write(self->fd, p + 40 * PAGE, &c, 1));
	EXPECT_EQ(2, soft_dirties(self->pagemap, p));
	EXPECT_TRUE(soft_dirty(self->pagemap, p + 40 * PAGE));

	/* Wherever it goes. */
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, SIZE));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + 3 * PAGE));
	EXPECT_EQ(2, soft_dirties(self->pagemap, p));
	ASSERT_EQ(0, hmadvise(-1, p, SIZE, HMADV_EVICT));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p + 3 * PAGE));
	EXPECT_EQ(2, soft_dirties(self->pagemap, p));
}

TEST_F(written, soft_dirty_outlives_mprotect_and_fork)
{
	pid_t pid;
	char *p = self->p;

	if (!soft_dirty(self->pagemap, p))
		SKIP(return, "no CONFIG_MEM_SOFT_DIRTY");
	ASSERT_EQ(0, mprotect(p, SIZE, PROT_READ));
	EXPECT_EQ(PAGES, soft_dirties(self->pagemap, p));
	ASSERT_EQ(0, mprotect(p, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(PAGES, soft_dirties(self->pagemap, p));
	/* Make them writable again, and give them back to the device. */
	fill(p, SIZE, 2);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, SIZE));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	pid = fork();
	if (!pid) {
		int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

		_exit(soft_dirties(pagemap, p));
	}
	EXPECT_EQ(PAGES, wait_for(pid));
	EXPECT_EQ(PAGES, soft_dirties(self->pagemap, p));
}

/* Nothing is there, or the page of zeros: the device reads what is no write, and writes. */
TEST_F(written, soft_dirty_is_no_first_read)
{
	char c = 9, *p = anon_block(SIZE);
	unsigned int i;

	if (!soft_dirty(self->pagemap, self->p))
		SKIP(return, "no CONFIG_MEM_SOFT_DIRTY");
	ASSERT_EQ(0, clear_soft_dirty());
	for (i = 0; i < PAGES / 2; i++)
		EXPECT_EQ(0, load(p + i * PAGE));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, SIZE));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + SIZE - 1));
	EXPECT_EQ(0, soft_dirties(self->pagemap, p));
	p[3 * PAGE] = 1;
	p[50 * PAGE] = 1;
	EXPECT_EQ(2, soft_dirties(self->pagemap, p));
	ASSERT_EQ(0, dev_write(self->fd, p + 20 * PAGE, &c, 1));
	ASSERT_EQ(0, dev_write(self->fd, p + 60 * PAGE, &c, 1));
	EXPECT_EQ(4, soft_dirties(self->pagemap, p));
	EXPECT_TRUE(soft_dirty(self->pagemap, p + 20 * PAGE));
	EXPECT_TRUE(soft_dirty(self->pagemap, p + 60 * PAGE));
	EXPECT_EQ(9, p[20 * PAGE]);
	EXPECT_EQ(9, p[60 * PAGE]);
}

/*
 * Until the descriptor is closed, PAGEMAP_SCAN tells what was written. -EINVAL: the
 * kernel cannot.
 */
static int track_writes(const char *p)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, SIZE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (uffd < 0)
		return -EPERM;
	if (ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -EINVAL;
	}
	if (ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		close(uffd);
		return -EIO;
	}
	return uffd;
}

/* How many pages were written since the last call, or a negative errno. */
static int scan_written(int pagemap, char *p, struct page_region *regions,
			unsigned int nr)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)p,
		.end = (uintptr_t)p + SIZE,
		.vec = (uintptr_t)regions,
		.vec_len = nr,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	unsigned int pages = 0;
	int i, ret;

	ret = ioctl(pagemap, PAGEMAP_SCAN, &arg);
	if (ret < 0)
		return -errno;
	for (i = 0; i < ret; i++)
		pages += (regions[i].end - regions[i].start) / PAGE;
	return pages;
}

TEST_F(written, pagemap_scan_finds_what_was_written_since)
{
	char *p = self->p, c = 9;
	struct page_region regions[PAGES];
	int uffd;

	uffd = track_writes(p);
	if (uffd == -EINVAL)
		SKIP(return, "no CONFIG_PTE_MARKER_UFFD_WP");
	ASSERT_GE(uffd, 0);
	EXPECT_EQ(PAGES, scan_written(self->pagemap, p, regions, PAGES));
	EXPECT_EQ(0, scan_written(self->pagemap, p, regions, PAGES));

	EXPECT_EQ(((char *)self->buf)[20 * PAGE], load(p + 20 * PAGE));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, SIZE));
	EXPECT_EQ(0, scan_written(self->pagemap, p, regions, PAGES));

	p[3 * PAGE] = 1;
	ASSERT_EQ(0, dev_write(self->fd, p + 40 * PAGE, &c, 1));
	EXPECT_EQ(2, scan_written(self->pagemap, p, regions, PAGES));
	EXPECT_EQ((uintptr_t)p + 3 * PAGE, regions[0].start);
	EXPECT_EQ((uintptr_t)p + 40 * PAGE, regions[1].start);
	EXPECT_EQ(0, scan_written(self->pagemap, p, regions, PAGES));

	/* What the device had written to before the scan, it writes to again. */
	ASSERT_EQ(0, dev_write(self->fd, p + 40 * PAGE, &c, 1));
	EXPECT_EQ(1, scan_written(self->pagemap, p, regions, PAGES));
	close(uffd);
}

TEST_F(written, pagemap_scan_finds_writes_to_the_page_of_zeros)
{
	char *p = anon_block(SIZE), c = 9;
	struct page_region regions[PAGES];
	unsigned int i;
	int uffd;

	uffd = track_writes(p);
	if (uffd == -EINVAL)
		SKIP(return, "no CONFIG_PTE_MARKER_UFFD_WP");
	ASSERT_GE(uffd, 0);
	for (i = 0; i < PAGES / 2; i++)
		EXPECT_EQ(0, load(p + i * PAGE));
	scan_written(self->pagemap, p, regions, PAGES);
	EXPECT_EQ(0, scan_written(self->pagemap, p, regions, PAGES));
	/* What was the page of zeros, and what was nothing. */
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, SIZE));
	EXPECT_EQ(0, scan_written(self->pagemap, p, regions, PAGES));
	p[3 * PAGE] = 1;
	p[50 * PAGE] = 1;
	EXPECT_EQ(2, scan_written(self->pagemap, p, regions, PAGES));
	ASSERT_EQ(0, dev_write(self->fd, p + 20 * PAGE, &c, 1));
	ASSERT_EQ(0, dev_write(self->fd, p + 60 * PAGE, &c, 1));
	EXPECT_EQ(2, scan_written(self->pagemap, p, regions, PAGES));
	EXPECT_EQ((uintptr_t)p + 20 * PAGE, regions[0].start);
	EXPECT_EQ((uintptr_t)p + 60 * PAGE, regions[1].start);
	close(uffd);
}

TEST_HARNESS_MAIN
