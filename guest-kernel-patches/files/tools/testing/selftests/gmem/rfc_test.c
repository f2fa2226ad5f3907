// SPDX-License-Identifier: GPL-2.0-only
/*
 * The defects that the code posted in November 2023 had, one test each, named
 * after what went wrong there. Those that need no process are in
 * mm/gmem/gmem_test.c, as rfc_*.
 */
#include "../kselftest_harness.h"
#include "gmem_device.h"

FIXTURE(rfc)
{
	int fd;
	char *buf;
	uint64_t free;
};

FIXTURE_SETUP(rfc)
{
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0)
		TH_LOG("modprobe test_gmem, and boot with gmem=on");
	self->buf = anon(4 * MIB);
	ASSERT_NE(NULL, self->buf);
	self->free = nr_free(self->fd);
}

FIXTURE_TEARDOWN(rfc)
{
	close(self->fd);
}

/* gm_host_fault_locked() */

/* The mask was inverted: the address became the offset in the page. */
TEST_F(rfc, host_fault_masks_the_offset_and_not_the_page)
{
	char *p = anon_block(2 * MIB);
	unsigned int i;

	for (i = 0; i < 64; i++)
		self->buf[i * PAGE + 100 + i] = i + 1;
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 64 * PAGE));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p + 3 * PAGE));
	for (i = 3; i < 64; i += 17) {
		ASSERT_EQ(i + 1, p[i * PAGE + 100 + i]);
		ASSERT_EQ(PAGE_CPU, where(self->fd, p + i * PAGE));
	}
}

/* 2 MiB came home whatever the size of the page was. */
TEST_F(rfc, host_fault_of_a_small_page_leaves_its_neighbours)
{
	char *p = anon_block(2 * MIB);

	memset(p, 1, 2 * MIB);
	ASSERT_EQ(0, mprotect(p + 16 * PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(p + 16 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	munmap(p + 15 * PAGE, PAGE);
	munmap(p + 17 * PAGE, PAGE);
	memset(self->buf, 2, PAGE);
	ASSERT_EQ(0, dev_write(self->fd, p + 16 * PAGE, self->buf, PAGE));
	EXPECT_EQ(2, p[16 * PAGE]);
	EXPECT_EQ(2, p[17 * PAGE - 1]);
	EXPECT_EQ(1, p[15 * PAGE - 1]);
	EXPECT_EQ(1, p[18 * PAGE]);
	EXPECT_EQ(1, p[2 * MIB - 1]);
	EXPECT_EQ(0, where(self->fd, p + 15 * PAGE));
	EXPECT_EQ(1, stat_of(self->fd, STAT_TO_HOST));
}

static char *shared_page;
static int go;

static void *touch(void *arg)
{
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		;
	return (void *)(intptr_t)__atomic_load_n(shared_page, __ATOMIC_RELAXED);
}

/* It did not look whether the page was still on the device. */
TEST_F(rfc, host_fault_of_two_threads_brings_one_page)
{
	char *p = anon_block(2 * MIB);
	pthread_t thread[2];
	unsigned int i, k;
	void *got;

	shared_page = p;
	for (i = 1; i < 100; i++) {
		self->buf[0] = i;
		ASSERT_EQ(0, dev_write(self->fd, p, self->buf, PAGE));
		go = 0;
		for (k = 0; k < 2; k++)
			ASSERT_EQ(0, pthread_create(&thread[k], NULL, touch,
						    NULL));
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		for (k = 0; k < 2; k++) {
			ASSERT_EQ(0, pthread_join(thread[k], &got));
			ASSERT_EQ(i, (intptr_t)got);
		}
	}
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* gm_dev_fault() */

TEST_F(rfc, dev_fault_takes_an_unaligned_address)
{
	char *p = anon_block(2 * MIB);

	memset(p, 3, 2 * MIB);
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p + 5 * PAGE + 1234, ~0U, 0));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + 5 * PAGE));
	EXPECT_EQ(3, p[5 * PAGE + 1233]);
	EXPECT_EQ(3, p[5 * PAGE + 1235]);
	EXPECT_EQ(3, p[6 * PAGE + 1234]);
}

/* find_vma() finds the next one, too. */
TEST_F(rfc, dev_fault_below_a_vma_is_no_mapping)
{
	char *p = anon_block(2 * MIB);

	munmap(p, MIB);
	EXPECT_EQ(RET_NO_MAPPING, dev_fault(self->fd, p + MIB - 1, ~0U, 0));
	EXPECT_EQ(RET_NO_MAPPING, dev_fault(self->fd, p, ACCESS_READ, 0));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p + MIB, ~0U, 0));
	EXPECT_EQ(0, where(self->fd, p + MIB - 1));
}

TEST_F(rfc, dev_fault_asks_for_permission)
{
	char *p = anon_block(2 * MIB);

	ASSERT_EQ(0, mprotect(p, MIB, PROT_READ));
	ASSERT_EQ(0, mprotect(p + MIB, MIB, PROT_NONE));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p, ACCESS_READ, 0));
	EXPECT_EQ(RET_PERM, dev_fault(self->fd, p, ACCESS_WRITE, 0));
	EXPECT_EQ(RET_PERM, dev_fault(self->fd, p + MIB, ACCESS_READ, 0));
	EXPECT_EQ(-EACCES, dev_write(self->fd, p, self->buf, 8));
}

TEST_F(rfc, dev_fault_stays_within_the_address_space)
{
	char *p = anon_block(4 * MIB);
	struct test_gmem_range range = {
		.start = (uintptr_t)p + MIB,
		.end = (uintptr_t)p + 3 * MIB,
		.mode = 1,	/* GM_MMU_MODE_COHERENT_EXCLUSIVE */
	};

	memset(p, 4, 4 * MIB);
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_RANGE, &range));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p + MIB, ACCESS_READ, HINT_HOT));
	EXPECT_EQ(RET_NO_MAPPING, dev_fault(self->fd, p + MIB - 1,
					    ACCESS_READ, 0));
	EXPECT_EQ(RET_NO_MAPPING, dev_fault(self->fd, p + 3 * MIB,
					    ACCESS_READ, 0));
	/* Nor does a window reach out of it. */
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + 2 * MIB - PAGE));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p + MIB - PAGE));
}

/* A page that has gone in the meantime was success, without a mapping. */
TEST_F(rfc, dev_fault_of_a_page_that_is_gone_gets_somewhere)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		char *p = anon_block(2 * MIB);

		memset(p, 5, 16 * PAGE);
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
		ASSERT_EQ(5, self->buf[0]);
		ASSERT_EQ(0, madvise(p, 16 * PAGE, MADV_DONTNEED));
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
		ASSERT_EQ(0, self->buf[0]);
		ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	}
}

/* The page was unmapped first and lost when the device said no. */
TEST_F(rfc, failed_map_loses_no_data)
{
	struct test_gmem_fail fail = { .copies = 1 };
	struct test_gmem_fail enters = { .enters = 1 };
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 6);
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	dev_read(self->fd, p, self->buf, PAGE);
	EXPECT_TRUE(check(p, 2 * MIB, 6));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &enters));
	dev_read(self->fd, p, self->buf, PAGE);
	EXPECT_TRUE(check(p, 2 * MIB, 6));
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* What a failure left behind (a state, a flag) was never taken back. */
TEST_F(rfc, failed_map_leaves_nothing_behind)
{
	uint64_t *p = anon_block(2 * MIB);
	unsigned int i;

	fill(p, 2 * MIB, 7);
	for (i = 0; i < 20; i++) {
		struct test_gmem_fail fail = {
			.copies = i % 2,
			.enters = !(i % 2),
		};

		ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
		dev_fault(self->fd, p, ACCESS_READ, HINT_HOT);
		memset(&fail, 0, sizeof(fail));
		ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
		ASSERT_TRUE(check((uint64_t *)self->buf, PAGE, 7));
		ASSERT_TRUE(check(p, 2 * MIB, 7));
	}
}

/* Success, and nothing mapped: the page was on another device. */
TEST_F(rfc, page_on_another_device_comes_over)
{
	int other = open(DEVICE "1", O_RDWR | O_CLOEXEC);
	uint64_t *p = anon_block(2 * MIB);
	uint64_t free1;

	ASSERT_GE(other, 0);
	free1 = nr_free(other);
	fill(p, 2 * MIB, 8);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	ASSERT_EQ(0, dev_read(other, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check((uint64_t *)self->buf, 2 * MIB, 8));
	EXPECT_EQ(hnid_of(other), hnid_where(other, p));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(free1 - 512, nr_free(other));

	/* And back, with what the other one wrote. */
	fill((uint64_t *)self->buf, 2 * MIB, 9);
	ASSERT_EQ(0, dev_write(other, p, self->buf, 2 * MIB));
	memset(self->buf, 0, 2 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check((uint64_t *)self->buf, 2 * MIB, 9));
	EXPECT_TRUE(check(p, 2 * MIB, 9));
	EXPECT_EQ(free1, nr_free(other));
	close(other);
}

/* A pointer to a page was kept over reclaim, KSM and khugepaged. */
TEST_F(rfc, page_that_is_replaced_is_not_used_any_more)
{
	uint64_t *p = anon_block(4 * MIB);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		fill(p, 2 * MIB, i);
		/* Mapped where they are: by page. */
		ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, 2 * MIB,
				      36 /* HMADV_MAP_REMOTE */));
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
		/* Other pages for the same addresses. */
		if (i % 2)
			madvise(p, 2 * MIB, 25 /* MADV_COLLAPSE */);
		else
			madvise(p, 2 * MIB, MADV_DONTNEED);
		fill(p, 2 * MIB, 100 + i);
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
		ASSERT_TRUE(check((uint64_t *)self->buf, 2 * MIB, 100 + i));
		ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, 2 * MIB,
				      37 /* HMADV_NO_MAP_REMOTE */));
	}
}

/* The mode was taken and not looked at. */
TEST_F(rfc, mode_that_is_not_there_is_refused)
{
	struct test_gmem_range range = { .end = 1UL << 46,
					 .mode = MODE_EXCLUSIVE };

	EXPECT_EQ(0, ioctl(self->fd, TEST_GMEM_RANGE, &range));
	for (range.mode = MODE_REPLICATE + 1; range.mode < 8; range.mode++) {
		EXPECT_EQ(-1, ioctl(self->fd, TEST_GMEM_RANGE, &range));
		EXPECT_EQ(EINVAL, errno);
	}
	/* It is there, but needs somebody to share with. */
	range.mode = MODE_SHARE;
	EXPECT_EQ(-1, ioctl(self->fd, TEST_GMEM_RANGE, &range));
	EXPECT_EQ(EPROTONOSUPPORT, errno);
}

TEST_F(rfc, huge_page_is_moved_as_a_whole)
{
	uint64_t *p = anon_block(4 * MIB);

	madvise(p, 4 * MIB, MADV_HUGEPAGE);
	fill(p, 4 * MIB, 11);
	ASSERT_EQ(0, dev_fault(self->fd, (char *)p + MIB, ACCESS_WRITE, 0));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_TRUE(check((uint64_t *)self->buf, 4 * MIB, 11));
	munmap((char *)p + MIB, MIB);
	EXPECT_TRUE(check(p, MIB, 11));
	EXPECT_TRUE(check(p + 2 * MIB / 8, 2 * MIB,
			  11 + 2 * MIB / 8 * 0x9e3779b97f4a7c15ULL));
}

/* Attaching changed the caller's nodes, with nothing held. */
static int mems_allowed(char *line, size_t size)
{
	FILE *f = fopen("/proc/self/status", "r");
	int found = 0;

	while (f && !found && fgets(line, size, f))
		found = !strncmp(line, "Mems_allowed:", 13);
	if (f)
		fclose(f);
	return found;
}

TEST_F(rfc, attach_leaves_mems_allowed_alone)
{
	char before[512] = "", after[512] = "";
	int fd;

	if (!mems_allowed(before, sizeof(before)))
		SKIP(return, "only a kernel with CONFIG_CPUSETS tells");
	fd = open(DEVICE "1", O_RDWR);
	ASSERT_GE(fd, 0);
	ASSERT_TRUE(mems_allowed(after, sizeof(after)));
	EXPECT_EQ(0, strcmp(before, after));
	close(fd);
}

/* Nothing freed mm->gm_as: not at exit, not in the end. */
TEST_F(rfc, exit_frees_the_address_space)
{
	unsigned int i, wait;

	for (i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid) {
			int fd = open(DEVICE, O_RDWR);
			char *p = anon_block(2 * MIB);

			_exit(dev_write(fd, p, p, 2 * MIB) ? 1 : 0);
		}
		ASSERT_EQ(0, wait_for(pid));
	}
	for (wait = 0; wait < 100 && nr_free(self->fd) != self->free; wait++)
		usleep(20000);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* munmap_in_peer_devices() did not end, and unlocked twice. */
TEST_F(rfc, munmap_of_many_mappings_ends)
{
	char *p = anon_block(64 * MIB);
	unsigned int i;

	for (i = 0; i < 64; i += 3)
		ASSERT_EQ(0, dev_write(self->fd, p + i * MIB, self->buf, PAGE));
	for (i = 0; i < 64; i += 7)
		munmap(p + i * MIB, PAGE);
	munmap(p, 64 * MIB);
	munmap(p, 64 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p, self->buf, 1));
}

/* The child had nothing for what the device held: it read zeroes. */
TEST_F(rfc, child_of_fork_reads_what_the_device_wrote)
{
	uint64_t *p = anon_block(2 * MIB);
	pid_t pid;

	fill((uint64_t *)self->buf, 2 * MIB, 12);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	pid = fork();
	if (!pid)
		_exit(check(p, 2 * MIB, 12) ? 0 : 1);
	ASSERT_EQ(0, wait_for(pid));
	EXPECT_TRUE(check(p, 2 * MIB, 12));
}

/* It slept under the lock of a page table; CONFIG_DEBUG_ATOMIC_SLEEP tells. */
TEST_F(rfc, unmap_under_a_page_table_lock_does_not_sleep)
{
	char *p = anon_block(8 * MIB);
	unsigned int i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 4 * MIB));
		ASSERT_EQ(0, madvise(p, 2 * MIB, MADV_DONTNEED));
		ASSERT_EQ(0, mprotect(p, 4 * MIB, PROT_READ));
		ASSERT_EQ(0, mprotect(p, 4 * MIB, PROT_READ | PROT_WRITE));
	}
	munmap(p, 8 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* An hnid indexed an array, whatever it was. */
TEST_F(rfc, hnid_out_of_bounds_is_refused)
{
	char *p = anon_block(2 * MIB);
	int hnid;

	for (hnid = 1 << 30; hnid > 0; hnid >>= 1) {
		int ret = hmadvise(hnid, p, PAGE, HMADV_PREFETCH);

		EXPECT_TRUE(ret == -EINVAL || ret == -ENODEV || !ret);
		EXPECT_EQ(-EINVAL, hmadvise(-hnid - 1, p, PAGE,
					    HMADV_PREFETCH));
	}
	EXPECT_EQ(-EINVAL, hmadvise(0x7fffffff, p, PAGE, HMADV_PREFETCH));
}

TEST_HARNESS_MAIN
