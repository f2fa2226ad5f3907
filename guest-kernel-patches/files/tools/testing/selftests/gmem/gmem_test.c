// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of GMEM with the device made of software (CONFIG_TEST_GMEM): what a
 * process can do to memory that a device is using.
 */
#include "../kselftest_harness.h"
#include <linux/userfaultfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "gmem_device.h"

/* Linux 6.4 has it, and the C library's headers may be older. */
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

FIXTURE(gmem)
{
	int fd;
	void *buf;	/* 4 MiB for the test's use, not known to the device */
	uint64_t free;
};

FIXTURE_SETUP(gmem)
{
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0)
		TH_LOG("modprobe test_gmem, and boot with gmem=on");
	self->buf = anon(4 * MIB);
	ASSERT_NE(NULL, self->buf);
	self->free = nr_free(self->fd);
	ASSERT_GT(self->free, 0);
}

FIXTURE_TEARDOWN(gmem)
{
	close(self->fd);
}

TEST_F(gmem, first_touch_by_the_device)
{
	uint64_t *p = anon_block(2 * MIB);

	memset(self->buf, 0xff, PAGE);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(0, ((uint64_t *)self->buf)[0]);
	EXPECT_EQ(0, ((uint64_t *)self->buf)[511]);
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	/* A granule came, and no more. */
	EXPECT_EQ(16, stat_of(self->fd, STAT_ZEROED));
	EXPECT_EQ(PAGE_NOMAP, where(self->fd, (char *)p + 128 * 1024));
	EXPECT_EQ(self->free - 16, nr_free(self->fd));

	fill(self->buf, MIB, 1);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(p, MIB, 1));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(gmem, cpu_first)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 2);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 2));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(512, stat_of(self->fd, STAT_TO_DEVICE));
	/* Windows double, so a stream takes few faults. */
	EXPECT_LE(stat_of(self->fd, STAT_FAULTS), 8);
	EXPECT_TRUE(check(p, 2 * MIB, 2));
	EXPECT_EQ(512, stat_of(self->fd, STAT_TO_HOST));
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(gmem, one_fault_is_served_once)
{
	uint64_t *p = anon_block(2 * MIB);

	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_WRITE, HINT_NONE));
	EXPECT_EQ(1, stat_of(self->fd, STAT_FAULTS));
	EXPECT_EQ(0, stat_of(self->fd, STAT_SPURIOUS));
	/* That one is: the page has come. */
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_READ, HINT_NONE));
	EXPECT_EQ(2, stat_of(self->fd, STAT_FAULTS));
	EXPECT_EQ(1, stat_of(self->fd, STAT_SPURIOUS));
}

TEST_F(gmem, hot_takes_the_block_with_one_leaf)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 3);
	ASSERT_EQ(0, dev_fault(self->fd, p + 1000, ACCESS_WRITE, HINT_HOT));
	EXPECT_EQ(512, stat_of(self->fd, STAT_TO_DEVICE));
	EXPECT_EQ(1, stat_of(self->fd, STAT_HUGE));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, (char *)p + 2 * MIB - 1));
	/* Half of it goes: the rest must stay right. */
	munmap((char *)p + MIB, MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 3));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, (char *)p + MIB, self->buf, 8));
}

TEST_F(gmem, zero_page_first)
{
	uint64_t *p = anon_block(2 * MIB);

	EXPECT_EQ(0, __atomic_load_n(p, __ATOMIC_RELAXED));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(0, ((uint64_t *)self->buf)[0]);
	((uint64_t *)self->buf)[0] = 7;
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 8));
	EXPECT_EQ(7, p[0]);
	EXPECT_EQ(0, p[512]);
}

TEST_F_TIMEOUT(gmem, pingpong, 300)
{
	size_t size = 64 * PAGE;
	uint64_t *p = anon_block(2 * MIB);
	uint64_t *b = self->buf;
	unsigned int round, i;

	for (round = 0; round < 1000; round++) {
		for (i = 0; i < size / 8; i += 64)
			p[i]++;
		ASSERT_EQ(0, dev_read(self->fd, p, b, size));
		for (i = 0; i < size / 8; i += 64)
			ASSERT_EQ(2 * round + 1, b[i]);
		for (i = 0; i < size / 8; i += 64)
			b[i]++;
		ASSERT_EQ(0, dev_write(self->fd, p, b, size));
	}
	for (i = 0; i < size / 8; i += 64)
		ASSERT_EQ(2000, p[i]);
}

TEST_F(gmem, addresses_that_are_none)
{
	char *p = anon_block(2 * MIB);

	EXPECT_EQ(-EFAULT, dev_read(self->fd, (void *)PAGE, self->buf, 8));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, (void *)(1UL << 46), self->buf, 8));
	munmap(p + 16 * PAGE, PAGE);
	EXPECT_EQ(0, dev_read(self->fd, p + 16 * PAGE - 8, self->buf, 8));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p + 16 * PAGE - 8, self->buf, 16));
	EXPECT_EQ(0, dev_read(self->fd, p + 17 * PAGE, self->buf, 16));
}

TEST_F(gmem, permissions)
{
	char *p = anon_block(2 * MIB);

	memset(p, 5, 2 * MIB);
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_NONE));
	ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_READ));
	EXPECT_EQ(-EACCES, dev_read(self->fd, p, self->buf, 8));
	EXPECT_EQ(0, dev_read(self->fd, p + PAGE, self->buf, 8));
	EXPECT_EQ(5, *(char *)self->buf);
	EXPECT_EQ(-EACCES, dev_write(self->fd, p + PAGE, self->buf, 8));
	EXPECT_EQ(RET_PERM, dev_fault(self->fd, p + PAGE, ACCESS_ATOMIC, 0));
	EXPECT_EQ(RET_PERM, dev_fault(self->fd, p + 2 * PAGE, ACCESS_EXEC, 0));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p + 2 * PAGE, ~0U, 0));
	EXPECT_EQ(RET_PERM, dev_fault(self->fd, p, ~0U, 0));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p + PAGE, ~0U, 0));
	EXPECT_EQ(RET_INVALID, dev_fault(self->fd, p, 77, 0));
	ASSERT_EQ(0, mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p + 2 * PAGE, ACCESS_EXEC, 0));
}

TEST_F(gmem, mprotect_while_on_the_device)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(self->buf, 64 * PAGE, 4);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 64 * PAGE));
	ASSERT_EQ(0, mprotect(p, 64 * PAGE, PROT_READ));
	EXPECT_EQ(-EACCES, dev_write(self->fd, p, self->buf, 8));
	memset(self->buf, 0, 64 * PAGE);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 64 * PAGE));
	EXPECT_TRUE(check(self->buf, 64 * PAGE, 4));
	ASSERT_EQ(0, mprotect(p, 64 * PAGE, PROT_NONE));
	EXPECT_EQ(-EACCES, dev_read(self->fd, p, self->buf, 8));
	ASSERT_EQ(0, mprotect(p, 64 * PAGE, PROT_READ | PROT_WRITE));
	fill(self->buf, 64 * PAGE, 5);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 64 * PAGE));
	EXPECT_TRUE(check(p, 64 * PAGE, 5));
}

TEST_F(gmem, munmap_frees)
{
	char *p = anon_block(8 * MIB);
	char c;

	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 4 * MIB));
	EXPECT_EQ(self->free - 1024, nr_free(self->fd));
	munmap(p, 8 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p, &c, 1));
	/* Something else at the same place. */
	ASSERT_EQ(p, mmap(p, 8 * MIB, PROT_READ | PROT_WRITE, MAP_FIXED |
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	c = 1;
	ASSERT_EQ(0, dev_read(self->fd, p, &c, 1));
	EXPECT_EQ(0, c);
}

TEST_F(gmem, dontneed)
{
	char *p = anon_block(2 * MIB);
	char c = 1;

	memset(self->buf, 9, MIB);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, madvise(p, MIB / 2, MADV_DONTNEED));
	EXPECT_EQ(PAGE_NOMAP, where(self->fd, p));
	ASSERT_EQ(0, dev_read(self->fd, p, &c, 1));
	EXPECT_EQ(0, c);
	EXPECT_EQ(0, p[MIB / 2 - 1]);
	EXPECT_EQ(9, p[MIB / 2]);
}

TEST_F(gmem, mremap_moves)
{
	uint64_t *p = anon_block(4 * MIB), *q;

	fill(self->buf, 2 * MIB, 6);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	q = mremap(p, 4 * MIB, 6 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (char *)anon_block(16 * MIB) + 64 * PAGE);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p, self->buf, 8));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, q));
	memset(self->buf, 0, 2 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 6));
	EXPECT_TRUE(check(q, 2 * MIB, 6));
	munmap(q, 6 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* Runs in the child: its own context, its own view. */
static int child_of_fork(uint64_t *p, size_t size)
{
	uint64_t *b = anon(size);
	int fd = open(DEVICE, O_RDWR);

	if (fd < 0)
		return 1;
	if (dev_read(fd, p, b, size) || !check(b, size, 10))
		return 2;
	fill(b, size, 11);
	if (dev_write(fd, p, b, size))
		return 3;
	if (!check(p, size, 11))
		return 4;
	fill(p, size, 12);
	if (dev_read(fd, p, b, size) || !check(b, size, 12))
		return 5;
	return 0;
}

TEST_F(gmem, fork_child_first)
{
	size_t size = 200 * PAGE;
	uint64_t *p = anon_block(2 * MIB);
	pid_t pid;

	fill(self->buf, size, 10);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, size));
	pid = fork();
	if (!pid)
		_exit(child_of_fork(p, size));
	EXPECT_EQ(0, wait_for(pid));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, size));
	EXPECT_TRUE(check(self->buf, size, 10));
	fill(self->buf, size, 13);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, size));
	EXPECT_TRUE(check(p, size, 13));
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(gmem, fork_parent_first)
{
	size_t size = 200 * PAGE;
	uint64_t *p = anon_block(2 * MIB);
	int pipes[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(pipes));
	fill(self->buf, size, 10);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, size));
	pid = fork();
	if (!pid) {
		if (read(pipes[0], &c, 1) != 1)
			_exit(99);
		_exit(child_of_fork(p, size));
	}
	/* The device writes: the child must not see it. */
	fill(self->buf, size, 14);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, size));
	ASSERT_EQ(1, write(pipes[1], "x", 1));
	EXPECT_EQ(0, wait_for(pid));
	memset(self->buf, 0, size);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, size));
	EXPECT_TRUE(check(self->buf, size, 14));
	EXPECT_TRUE(check(p, size, 14));
}

/* A file descriptor that fork() handed down still is the parent's context. */
TEST_F(gmem, fork_inherited_context)
{
	uint64_t *p = anon_block(2 * MIB), v = 21;
	pid_t pid;

	p[0] = 20;
	pid = fork();
	if (!pid) {
		p[0] = 22;
		_exit(dev_write(self->fd, p, &v, 8) || p[0] != 22);
	}
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ(21, p[0]);
}

TEST_F_TIMEOUT(gmem, oversubscription, 300)
{
	struct test_gmem_info info;
	size_t size, i;
	char *p;

	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_INFO, &info));
	size = 3 * info.size * PAGE;
	p = anon_block(size);
	ASSERT_NE(NULL, p);
	for (i = 0; i < size; i += 2 * MIB) {
		fill(self->buf, 2 * MIB, i);
		ASSERT_EQ(0, dev_write(self->fd, p + i, self->buf, 2 * MIB));
	}
	EXPECT_GT(stat_of(self->fd, STAT_EVICTED), 0);
	/* Evicted, not mapped remotely. */
	EXPECT_EQ(0, stat_of(self->fd, STAT_REMOTE));
	for (i = 0; i < size; i += 2 * MIB) {
		ASSERT_EQ(0, dev_read(self->fd, p + i, self->buf, 2 * MIB));
		ASSERT_TRUE(check(self->buf, 2 * MIB, i));
	}
	for (i = 0; i < size; i += 2 * MIB)
		ASSERT_TRUE(check((uint64_t *)(p + i), 2 * MIB, i));
	munmap(p, size);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/*
 * Fill the device's memory with something else, until there is no room for one
 * granule: in whole blocks first, then in granules that no window joins.
 */
static char *fill_device(int fd, uint64_t *buf, size_t *size)
{
	const size_t rest = 6 * MIB;
	struct test_gmem_info info;
	size_t i;
	char *p;

	if (ioctl(fd, TEST_GMEM_INFO, &info))
		return NULL;
	*size = info.size * PAGE + rest;
	p = anon_block(*size);
	for (i = 0; p && i < *size - rest; i += 2 * MIB) {
		fill(buf, 2 * MIB, i);
		if (dev_write(fd, p + i, buf, 2 * MIB))
			return NULL;
	}
	for (; p && i < *size; i += MIB / 4) {
		p[i] = 1;
		if (dev_fault(fd, p + i, ACCESS_READ, HINT_NONE))
			return NULL;
	}
	return p;
}

/* What is only passed through must not drive out what is there. */
TEST_F_TIMEOUT(gmem, a_stream_is_left_when_there_is_no_room, 300)
{
	uint64_t evicted, left, remote, faults;
	const size_t size = 16 * MIB;
	size_t full_size, i;
	char *p, *full;

	p = anon_block(size);
	ASSERT_NE(NULL, p);
	fill((uint64_t *)p, size / 2, 7);
	ASSERT_EQ(0, set_counting(self->fd, 1));
	full = fill_device(self->fd, self->buf, &full_size);
	ASSERT_NE(NULL, full);
	evicted = stat_of(self->fd, STAT_EVICTED);
	left = stat_of(self->fd, STAT_LEFT);
	remote = stat_of(self->fd, STAT_REMOTE);
	faults = stat_of(self->fd, STAT_FAULTS);

	/* Half of it has been touched by the CPU, half by nobody. */
	for (i = 0; i < size; i += 2 * MIB) {
		if (i < size / 2) {
			ASSERT_EQ(0, dev_read(self->fd, p + i, self->buf, 2 * MIB));
			ASSERT_EQ(0, memcmp(p + i, self->buf, 2 * MIB));
		}
		fill(self->buf, 2 * MIB, i);
		ASSERT_EQ(0, dev_write(self->fd, p + i, self->buf, 2 * MIB));
	}
	EXPECT_EQ(evicted, stat_of(self->fd, STAT_EVICTED));
	EXPECT_GE(stat_of(self->fd, STAT_LEFT), left + size / 2 / MIB);
	EXPECT_GE(stat_of(self->fd, STAT_REMOTE), remote + size / PAGE);
	/* A few for each block, not one for each page. */
	EXPECT_LT(stat_of(self->fd, STAT_FAULTS) - faults, size / PAGE / 8);
	for (i = 0; i < size; i += 2 * MIB)
		ASSERT_TRUE(check((uint64_t *)(p + i), 2 * MIB, i));

	ASSERT_EQ(0, set_counting(self->fd, 0));
	munmap(p, size);
	munmap(full, full_size);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F_TIMEOUT(gmem, what_is_used_a_lot_is_brought, 300)
{
	size_t full_size;
	char *p, *full;

	p = anon_block(2 * MIB);
	ASSERT_NE(NULL, p);
	fill((uint64_t *)p, 2 * MIB, 7);
	ASSERT_EQ(0, set_counting(self->fd, 1));
	full = fill_device(self->fd, self->buf, &full_size);
	ASSERT_NE(NULL, full);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(PAGE_CPU, where(self->fd, p));

	ASSERT_EQ(0, dev_accessed(self->fd, p + MIB, 1));
	EXPECT_TRUE(comes_to_be(self->fd, p, 2 * MIB, PAGE_DEVICE));
	EXPECT_EQ(2 * MIB / PAGE, stat_of(self->fd, STAT_PROMOTED));
	EXPECT_GT(stat_of(self->fd, STAT_EVICTED), 0);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 7));

	/* Nobody has left these: what makes no sense does no harm. */
	EXPECT_EQ(0, dev_accessed(self->fd, p, 2 * MIB));
	EXPECT_EQ(0, dev_accessed(self->fd, p, 0));
	EXPECT_EQ(0, dev_accessed(self->fd, (void *)-PAGE, 2 * PAGE));
	EXPECT_EQ(0, dev_accessed(self->fd, NULL, ~0UL));

	ASSERT_EQ(0, set_counting(self->fd, 0));
	munmap(p, 2 * MIB);
	munmap(full, full_size);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F_TIMEOUT(gmem, advice_holds_when_there_is_no_room, 300)
{
	const int hnid = hnid_of(self->fd);
	size_t full_size;
	char *p, *full;

	p = anon_block(4 * MIB);
	ASSERT_NE(NULL, p);
	memset(p, 1, 4 * MIB);
	ASSERT_EQ(0, set_counting(self->fd, 1));
	full = fill_device(self->fd, self->buf, &full_size);
	ASSERT_NE(NULL, full);
	/* The best place is known, so room is made. */
	ASSERT_EQ(0, hmadvise(hnid, p, 2 * MIB, HMADV_PREFERRED));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	/* This is to be used where it is, however often. */
	ASSERT_EQ(0, dev_read(self->fd, p + 2 * MIB, self->buf, 2 * MIB));
	ASSERT_EQ(0, hmadvise(hnid, p + 2 * MIB, 2 * MIB, HMADV_MAP_REMOTE));
	ASSERT_EQ(0, dev_accessed(self->fd, p + 2 * MIB, 2 * MIB));
	usleep(200000);
	EXPECT_EQ(PAGE_CPU, where(self->fd, p + 2 * MIB));

	ASSERT_EQ(0, set_counting(self->fd, 0));
	munmap(p, 4 * MIB);
	munmap(full, full_size);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* Nobody answers for its neighbours: what the device did not ask for must not wait for that. */
TEST_F_TIMEOUT(gmem, left_memory_of_userfaultfd_is_not_populated, 120)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *p = anon_block(2 * MIB), *full;
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, 2 * MIB },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = {
		.dst = (uintptr_t)p + PAGE,
		.src = (uintptr_t)self->buf,
		.len = PAGE,
	};
	size_t full_size;
	int uffd;

	ASSERT_EQ(0, set_counting(self->fd, 1));
	full = fill_device(self->fd, self->buf, &full_size);
	ASSERT_NE(NULL, full);
	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	ASSERT_GE(uffd, 0);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	fill(self->buf, PAGE, 3);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_COPY, &copy));
	memset(self->buf, 0, PAGE);
	ASSERT_EQ(0, dev_read(self->fd, p + PAGE, self->buf, PAGE));
	EXPECT_TRUE(check(self->buf, PAGE, 3));
	close(uffd);

	ASSERT_EQ(0, set_counting(self->fd, 0));
	munmap(p, 2 * MIB);
	munmap(full, full_size);
}

TEST_F(gmem, files_are_mapped_remotely)
{
	int fd = memfd_create("gmem", 0);
	uint64_t *p, v = 31;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, MIB));
	p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	p[1] = 30;
	ASSERT_EQ(0, dev_read(self->fd, p + 1, &v, 8));
	EXPECT_EQ(30, v);
	v = 31;
	ASSERT_EQ(0, dev_write(self->fd, p + 1, &v, 8));
	EXPECT_EQ(31, p[1]);
	v = 0;
	ASSERT_EQ(8, pread(fd, &v, 8, 8));
	EXPECT_EQ(31, v);
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_GT(stat_of(self->fd, STAT_REMOTE), 0);
	EXPECT_EQ(0, stat_of(self->fd, STAT_TO_DEVICE));
	/* Beyond the end: the CPU would get SIGBUS. */
	EXPECT_EQ(-EIO, dev_read(self->fd, (char *)p + MIB, &v, 8));
	/* Truncation takes it away from the device too. */
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(-EIO, dev_read(self->fd, p + 1, &v, 8));
	close(fd);
}

TEST_F(gmem, end_of_file_is_nearby)
{
	int fd = memfd_create("gmem", 0);
	uint64_t *p, v = 35;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, dev_write(self->fd, p, &v, 8));
	EXPECT_EQ(35, p[0]);
	EXPECT_EQ(-EIO, dev_write(self->fd, (char *)p + PAGE, &v, 8));
	close(fd);
}

TEST_F(gmem, neighbours_are_not_copied)
{
	int fd = memfd_create("gmem", 0);
	uint64_t *p, v = 36;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, 16 * PAGE));
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, dev_write(self->fd, p, &v, 8));
	v = 37;
	ASSERT_EQ(8, pwrite(fd, &v, 8, 0));
	ASSERT_EQ(8, pwrite(fd, &v, 8, PAGE));
	EXPECT_EQ(36, p[0]);
	/* Still the file's own page. */
	EXPECT_EQ(37, p[PAGE / 8]);
	close(fd);
}

TEST_F(gmem, private_file_is_copied_on_write)
{
	int fd = memfd_create("gmem", 0);
	uint64_t *p, v = 40;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(8, pwrite(fd, &v, 8, 0));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(40, v);
	v = 41;
	ASSERT_EQ(0, dev_write(self->fd, p, &v, 8));
	EXPECT_EQ(41, p[0]);
	ASSERT_EQ(8, pread(fd, &v, 8, 0));
	EXPECT_EQ(40, v);
	close(fd);
}

TEST_F(gmem, remote_on_demand)
{
	uint64_t *p = anon_block(2 * MIB), v = 51;

	p[0] = 50;
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_WRITE, HINT_REMOTE));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	ASSERT_EQ(0, dev_write(self->fd, p, &v, 8));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(51, p[0]);
	/* Hot after all. */
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_WRITE, HINT_HOT));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(51, v);
}

TEST_F(gmem, huge_pages)
{
	uint64_t *p = anon_block(4 * MIB);

	if (madvise(p, 4 * MIB, MADV_HUGEPAGE))
		SKIP(return, "no huge pages");
	fill(p, 4 * MIB, 60);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_TRUE(check(self->buf, 4 * MIB, 60));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, (char *)p + MIB));
	EXPECT_TRUE(check(p, 4 * MIB, 60));
}

TEST_F(gmem, kernel_reads_what_is_on_the_device)
{
	uint64_t *p = anon_block(2 * MIB), *q = anon(64 * PAGE);
	struct iovec local = { .iov_base = q, .iov_len = 32 * PAGE };
	struct iovec remote = { .iov_base = p, .iov_len = 32 * PAGE };
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	fill(self->buf, 32 * PAGE, 70);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 32 * PAGE));
	ASSERT_EQ(PAGE, write(pipes[1], p, PAGE));
	ASSERT_EQ(PAGE, read(pipes[0], q, PAGE));
	EXPECT_TRUE(check(q, PAGE, 70));
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 32 * PAGE));
	/* By way of get_user_pages(). */
	ASSERT_EQ(32 * PAGE, process_vm_readv(getpid(), &local, 1, &remote, 1,
					      0));
	EXPECT_TRUE(check(q, 32 * PAGE, 70));
}

TEST_F(gmem, lazily_freed_memory_is_not_lost)
{
	uint64_t *p = anon_block(2 * MIB);

	memset(p, 1, MIB);
	ASSERT_EQ(0, madvise(p, MIB, MADV_FREE));
	fill(self->buf, MIB, 80);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_TRUE(check(p, PAGE, 80));
	madvise(p, MIB, MADV_PAGEOUT);
	EXPECT_TRUE(check(p, MIB, 80));
}

TEST_F(gmem, two_contexts_of_a_process)
{
	uint64_t *p = anon_block(2 * MIB), v = 90, w = 0;
	int other = open(DEVICE, O_RDWR);

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, dev_write(self->fd, p, &v, 8));
	ASSERT_EQ(0, dev_read(other, p, &w, 8));
	EXPECT_EQ(90, w);
	v = 91;
	ASSERT_EQ(0, dev_write(other, p, &v, 8));
	ASSERT_EQ(0, dev_read(self->fd, p, &w, 8));
	EXPECT_EQ(91, w);
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(91, p[0]);
	v = 92;
	ASSERT_EQ(0, dev_write(other, p, &v, 8));
	close(other);
	ASSERT_EQ(0, dev_read(self->fd, p, &w, 8));
	EXPECT_EQ(92, w);
	EXPECT_EQ(92, p[0]);
}

/* Half of two blocks in the one device, a quarter in system memory; the other wants all. */
static void from_device_to_device(struct __test_metadata *_metadata, int from,
				  int to, uint64_t *buf, bool over_bus)
{
	const size_t size = 4 * MIB, there = 2 * MIB;
	uint64_t home, maps, pages, visible = over_bus;
	struct test_gmem_info info;
	char *p = anon_block(size);
	size_t i;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, ioctl(from, TEST_GMEM_VISIBLE, &visible));
	ASSERT_EQ(0, ioctl(from, TEST_GMEM_INFO, &info));
	maps = info.bus_maps;
	fill((uint64_t *)p, there + MIB, 5);
	ASSERT_EQ(0, dev_fault(from, p, ACCESS_WRITE, HINT_HOT));
	for (i = 0; i < there; i += PAGE)
		ASSERT_EQ(hnid_of(from), hnid_where(from, p + i));
	home = stat_of(from, STAT_TO_HOST);
	pages = stat_of(to, STAT_FROM_DEVICES);

	ASSERT_EQ(0, dev_read(to, p, buf, 2 * MIB));
	EXPECT_TRUE(check(buf, 2 * MIB, 5));
	ASSERT_EQ(0, dev_read(to, p + there, buf, 2 * MIB));
	for (i = 0; i < size; i += PAGE)
		ASSERT_EQ(hnid_of(to), hnid_where(to, p + i));
	/* None of it was the CPU's in between. */
	EXPECT_EQ(home, stat_of(from, STAT_TO_HOST));
	EXPECT_EQ(pages + there / PAGE, stat_of(to, STAT_FROM_DEVICES));
	ASSERT_EQ(0, ioctl(from, TEST_GMEM_INFO, &info));
	EXPECT_EQ(over_bus, info.bus_maps > maps);
	EXPECT_EQ(0, info.bus_mapped);

	/* The one that had it sees what the other writes. */
	fill(buf, PAGE, 9);
	ASSERT_EQ(0, dev_write(to, p + PAGE, buf, PAGE));
	memset(buf, 0, PAGE);
	ASSERT_EQ(0, dev_read(from, p + PAGE, buf, PAGE));
	EXPECT_TRUE(check(buf, PAGE, 9));
	fill((uint64_t *)(p + PAGE), PAGE, 0);
	fill(buf, there + MIB, 5);
	memcpy(p + PAGE, (char *)buf + PAGE, PAGE);
	EXPECT_TRUE(check((uint64_t *)p, there + MIB, 5));
	visible = 0;
	ASSERT_EQ(0, ioctl(from, TEST_GMEM_VISIBLE, &visible));
	munmap(p, size);
}

TEST_F_TIMEOUT(gmem, device_to_device, 300)
{
	int other = open(DEVICE "1", O_RDWR);
	uint64_t other_free;

	ASSERT_GE(other, 0);
	other_free = nr_free(other);
	from_device_to_device(_metadata, self->fd, other, self->buf, false);
	from_device_to_device(_metadata, other, self->fd, self->buf, true);
	from_device_to_device(_metadata, self->fd, other, self->buf, true);
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(other_free, nr_free(other));
	close(other);
}

TEST_F_TIMEOUT(gmem, device_to_device_that_cannot_copy, 300)
{
	struct test_gmem_fail fail = { .copies = 1 };
	int other = open(DEVICE "1", O_RDWR);
	char *p = anon_block(2 * MIB);

	ASSERT_GE(other, 0);
	ASSERT_NE(NULL, p);
	fill((uint64_t *)p, 2 * MIB, 5);
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_WRITE, HINT_HOT));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	ASSERT_EQ(0, dev_read(other, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 5));
	EXPECT_TRUE(check((uint64_t *)p, 2 * MIB, 5));
	munmap(p, 2 * MIB);
	close(other);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* Where the context that brought it is gone, and where both want it for long. */
TEST_F_TIMEOUT(gmem, device_to_device_without_the_first_context, 300)
{
	int other = open(DEVICE "1", O_RDWR), i;
	char *p = anon_block(2 * MIB);
	uint64_t n;

	ASSERT_GE(other, 0);
	ASSERT_NE(NULL, p);
	fill((uint64_t *)p, 2 * MIB, 5);
	ASSERT_EQ(0, dev_fault(other, p, ACCESS_WRITE, HINT_HOT));
	ASSERT_EQ(0, ioctl(other, TEST_GMEM_REATTACH));
	ASSERT_EQ(hnid_of(other), hnid_where(self->fd, p));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 5));
	EXPECT_EQ(2 * MIB / PAGE, stat_of(self->fd, STAT_FROM_DEVICES));

	for (i = 0; i < 200; i++) {
		n = i;
		ASSERT_EQ(0, dev_write(i & 1 ? other : self->fd, p, &n, 8));
		n = 0;
		ASSERT_EQ(0, dev_read(i & 1 ? self->fd : other, p, &n, 8));
		ASSERT_EQ(i, n);
	}
	/* In the end each uses it where it is. */
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	munmap(p, 2 * MIB);
	close(other);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(gmem, context_goes_memory_stays)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(self->buf, MIB, 95);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REATTACH));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	memset(self->buf, 0, MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 95));
	EXPECT_TRUE(check(p, MIB, 95));
}

TEST_F_TIMEOUT(gmem, replug_brings_home, 120)
{
	uint64_t *p = anon_block(4 * MIB);
	pid_t pid;
	int i;

	fill(self->buf, 4 * MIB, 100);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 4 * MIB));
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REPLUG));
		EXPECT_EQ(PAGE_CPU, where(self->fd, p));
		EXPECT_EQ(self->free, nr_free(self->fd));
		memset(self->buf, 0, 4 * MIB);
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
		EXPECT_TRUE(check(self->buf, 4 * MIB, 100));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_TRUE(check(p, 4 * MIB, 100));
}

TEST_F(gmem, failing_copies)
{
	struct test_gmem_fail fail = { .copies = 1000 };
	uint64_t *p = anon_block(2 * MIB), v = 0;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	fill(p, MIB, 110);
	/* To the device: it stays in system memory, and works. */
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(110, v);
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	fail.copies = 0;
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	EXPECT_TRUE(check(p, MIB, 110));

	/* Home: an error for the CPU, and the data survives. */
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_READ, HINT_HOT));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	fail.copies = 1000;
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	EXPECT_EQ(-1, write(pipes[1], p, 8));
	EXPECT_EQ(EFAULT, errno);
	/* One failure only: the page comes alone. */
	fail.copies = 1;
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	EXPECT_EQ(8, write(pipes[1], p, 8));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, (char *)p + PAGE));
	/* And is tried again when it is alone. */
	fail.copies = 3;
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	EXPECT_EQ(8, write(pipes[1], (char *)p + PAGE, 8));
	EXPECT_EQ(PAGE_CPU, where(self->fd, (char *)p + PAGE));
	EXPECT_TRUE(check(p, MIB, 110));
}

TEST_F(gmem, failing_enter)
{
	struct test_gmem_fail fail = { .enters = 1 };
	uint64_t *p = anon_block(2 * MIB), v = 0;

	fill(p, MIB, 115);
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
	EXPECT_EQ(-EIO, dev_read(self->fd, p, &v, 8));
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(115, v);
	EXPECT_TRUE(check(p, MIB, 115));
}

struct adder {
	int fd;
	uint64_t *p;
	unsigned int n;
	int err;
};

static void *cpu_adds(void *arg)
{
	struct adder *a = arg;
	unsigned int i;

	for (i = 0; i < a->n; i++)
		__atomic_fetch_add(a->p, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *dev_adds(void *arg)
{
	struct adder *a = arg;

	a->err = dev_op(a->fd, TEST_GMEM_ADD, a->p, (void *)1UL, a->n, 0, 0);
	return NULL;
}

TEST_F_TIMEOUT(gmem, atomics_from_both_sides, 300)
{
	uint64_t *p = anon_block(2 * MIB);
	struct adder cpu = { .p = p, .n = 2000000 };
	struct adder dev = { .fd = self->fd, .p = p, .n = 20000 };
	struct adder dev2 = dev;
	pthread_t threads[4];

	pthread_create(&threads[0], NULL, cpu_adds, &cpu);
	pthread_create(&threads[1], NULL, dev_adds, &dev);
	pthread_create(&threads[2], NULL, cpu_adds, &cpu);
	pthread_create(&threads[3], NULL, dev_adds, &dev2);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, dev.err);
	EXPECT_EQ(0, dev2.err);
	EXPECT_EQ(4000000 + 40000, *p);
}

struct writer {
	int fd;
	uint64_t *p;
	unsigned int id, rounds, pages;
	int err;
};

/* Each writer owns one word of every page; nobody may lose another's. */
static void *cpu_writes(void *arg)
{
	struct writer *w = arg;
	unsigned int r, i;

	for (r = 1; r <= w->rounds && !w->err; r++)
		for (i = 0; i < w->pages; i++) {
			uint64_t *word = &w->p[i * 512 + w->id];

			if (__atomic_load_n(word, __ATOMIC_RELAXED) != r - 1)
				w->err = 1;
			__atomic_store_n(word, r, __ATOMIC_RELAXED);
		}
	return NULL;
}

static void *dev_writes(void *arg)
{
	struct writer *w = arg;
	uint64_t v, r;
	unsigned int i;

	for (r = 1; r <= w->rounds && !w->err; r++)
		for (i = 0; i < w->pages; i++) {
			uint64_t *word = &w->p[i * 512 + w->id];

			if (dev_read(w->fd, word, &v, 8) || v != r - 1 ||
			    dev_write(w->fd, word, &r, 8))
				w->err = 1;
		}
	return NULL;
}

TEST_F_TIMEOUT(gmem, writers_on_both_sides, 300)
{
	struct writer w[6] = {};
	pthread_t threads[6];
	uint64_t *p = anon_block(2 * MIB);
	unsigned int i;

	for (i = 0; i < 6; i++) {
		w[i].fd = self->fd;
		w[i].p = p;
		w[i].id = i;
		w[i].rounds = i < 3 ? 300 : 30;
		w[i].pages = 20;
		pthread_create(&threads[i], NULL, i < 3 ? cpu_writes :
				dev_writes, &w[i]);
	}
	for (i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, w[i].err);
	}
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(300, p[i * 512]);
		EXPECT_EQ(30, p[i * 512 + 5]);
	}
}

/* Unmapping, protecting, forking while the device is busy with the range. */
TEST_F_TIMEOUT(gmem, address_space_in_motion, 300)
{
	struct test_gmem_info info;
	char *p = anon_block(8 * MIB);
	struct writer w = { .fd = self->fd, .rounds = 40, .pages = 16 };
	pthread_t thread;
	unsigned int i;

	w.p = (uint64_t *)(p + 4 * MIB);
	pthread_create(&thread, NULL, dev_writes, &w);
	for (i = 0; i < 200; i++) {
		pid_t pid;

		/* The other half, and next to what the device works on. */
		dev_write(self->fd, p, self->buf, MIB);
		mmap(p, 2 * MIB, PROT_READ | PROT_WRITE, MAP_FIXED |
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(p + 5 * MIB, MIB, i & 1 ? PROT_NONE :
						   PROT_READ | PROT_WRITE);
		if (i % 10)
			continue;
		pid = fork();
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, w.err);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(40, w.p[i * 512]);
	munmap(p, 8 * MIB);
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_INFO, &info));
	EXPECT_EQ(info.size, info.nr_free);
}

TEST_F_TIMEOUT(gmem, kill_in_the_middle, 300)
{
	unsigned int i, wait;
	struct test_gmem_info info;

	for (i = 0; i < 30; i++) {
		pid_t pid = fork();

		if (!pid) {
			char *p = anon_block(8 * MIB), *b = anon(2 * MIB);
			int fd = open(DEVICE, O_RDWR);

			for (;;) {
				dev_write(fd, p, b, 2 * MIB);
				dev_write(fd, p + 3 * MIB, b, 2 * MIB);
				memset(p, 1, MIB);
			}
		}
		usleep(1000 + i * 3000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	for (wait = 0; wait < 100; wait++) {
		ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_INFO, &info));
		if (info.nr_free == info.size)
			break;
		usleep(100000);
	}
	EXPECT_EQ(info.size, info.nr_free);
}

/* Room is made before somebody has to wait for it. */
TEST_F_TIMEOUT(gmem, evicts_in_the_background, 300)
{
	uint64_t low = hnode_number(self->fd, "watermark_low");
	uint64_t high = hnode_number(self->fd, "watermark_high");
	uint64_t before = hnode_number(self->fd, "nr_evicted_background");
	size_t size = self->free * PAGE, i;
	unsigned int tries;
	uint64_t *p;

	ASSERT_GT(low, 0);
	ASSERT_GT(high, low);
	ASSERT_LT(high, self->free / 4);
	p = anon_block(size);
	fill(p, size, 41);
	for (i = 0; i < size; i += PAGE)
		ASSERT_EQ(0, dev_read(self->fd, (char *)p + i, self->buf, 8));
	/* It is counted when it has been done. */
	for (tries = 0; tries < 500; tries++) {
		if (hnode_number(self->fd, "nr_evicted_background") > before)
			break;
		usleep(10000);
	}
	EXPECT_LT(tries, 500);
	EXPECT_GE(nr_free(self->fd), high);
	/* The oldest went, and not all of it. */
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_GE(self->free, 2 * nr_free(self->fd));
	EXPECT_TRUE(check(p, size, 41));
	munmap(p, size);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* The line of such a file about a VMA, and those behind it about its parts. */
static int proc_lines(const char *file, const void *start, char *text,
		      size_t size)
{
	FILE *f = fopen(file, "r");
	char line[512], want[32];
	int found = 0;

	snprintf(want, sizeof(want), "%lx-", (unsigned long)start);
	text[0] = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (line[0] != ' ')
			found = !strncmp(line, want, strlen(want));
		if (found && strlen(text) + strlen(line) < size)
			strcat(text, line);
	}
	if (f)
		fclose(f);
	return text[0] != 0;
}

static int proc_gmem(const void *start, char *text, size_t size)
{
	return proc_lines("/proc/self/gmem", start, text, size);
}

TEST_F(gmem, proc_tells_where_memory_is)
{
	char want[256], text[1024];
	int hnid = hnid_of(self->fd);
	char *p = anon_block(4 * MIB);

	/* A VMA of its own, of which devices know nothing yet. */
	ASSERT_EQ(0, mprotect(p, 4 * MIB, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_FALSE(proc_gmem(p, text, sizeof(text)));

	memset(p, 1, 3 * MIB);
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_READ, HINT_HOT));
	ASSERT_EQ(0, hmadvise(hnid, p + 2 * MIB, 16 * PAGE, HMADV_MAP_REMOTE));
	ASSERT_EQ(0, dev_read(self->fd, p + 2 * MIB, self->buf, 4 * PAGE));
	ASSERT_TRUE(proc_gmem(p, text, sizeof(text)));
	snprintf(want, sizeof(want), "rwxp cpu=256 none=256 hnode%d=512 dev",
		 hnid);
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", text);
	EXPECT_NE(NULL, strstr(text, "=512/16\n")) TH_LOG("%s", text);
	snprintf(want, sizeof(want), "  %lx-%lx remote=hnode%d\n",
		 (unsigned long)p + 2 * MIB,
		 (unsigned long)p + 2 * MIB + 16 * PAGE, hnid);
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", text);

	/* Back to where it was before. */
	memset(p, 2, 3 * MIB);
	ASSERT_EQ(0, hmadvise(-1, p, 4 * MIB, HMADV_NO_MAP_REMOTE));
	EXPECT_FALSE(proc_gmem(p, text, sizeof(text))) TH_LOG("%s", text);
	munmap(p, 4 * MIB);
}

TEST_F(gmem, proc_tells_who_holds_each_page)
{
	const char *file = "/proc/self/gmem_pages";
	int hnid = hnid_of(self->fd);
	char *p = anon_block(4 * MIB);
	unsigned long a = (unsigned long)p;
	char want[256], line[64], text[1024], *runs, *dev;

	ASSERT_EQ(0, mprotect(p, 4 * MIB, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_FALSE(proc_lines(file, p, text, sizeof(text)));

	/* 2 MiB there, then pages the device reads from here, untouched ones. */
	memset(p, 1, 3 * MIB);
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_READ, HINT_HOT));
	ASSERT_EQ(0, hmadvise(hnid, p + 2 * MIB, 16 * PAGE, HMADV_MAP_REMOTE));
	ASSERT_EQ(0, dev_read(self->fd, p + 2 * MIB, self->buf, 4 * PAGE));
	ASSERT_TRUE(proc_lines(file, p, text, sizeof(text)));
	runs = strchr(text, '\n') + 1;
	dev = strstr(runs, " dev");
	ASSERT_NE(NULL, dev) TH_LOG("%s", text);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(dev, "\n"), dev);
	snprintf(want, sizeof(want),
		 "  %lx-%lx hnode%d\n  %lx-%lx cpu%s\n  %lx-%lx cpu\n  %lx-%lx none\n",
		 a, a + 2 * MIB, hnid, a + 2 * MIB, a + 2 * MIB + 16 * PAGE,
		 line, a + 2 * MIB + 16 * PAGE, a + 3 * MIB, a + 3 * MIB,
		 a + 4 * MIB);
	EXPECT_STREQ(want, runs);

	/* The last page of these comes back, perhaps with some before it. */
	p[2 * MIB - 1] = 2;
	ASSERT_TRUE(proc_lines(file, p, text, sizeof(text)));
	snprintf(want, sizeof(want), "-%lx cpu\n  %lx-%lx cpu%s\n", a + 2 * MIB,
		 a + 2 * MIB, a + 2 * MIB + 16 * PAGE, line);
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", text);
	snprintf(want, sizeof(want), "\n  %lx-", a);
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", text);
	EXPECT_NE(NULL, strstr(text, " hnode")) TH_LOG("%s", text);
	munmap(p, 4 * MIB);
}

/* GM_MMU_MODE_REPLICATE */

/* Wait for the worker to have entered all of a range. */
static int replicated(int fd, const void *start, size_t size)
{
	const char *p = start;
	unsigned int tries;
	size_t done = 0;

	for (tries = 0; tries < 300; tries++) {
		while (done < size &&
		       where_flags(fd, p + done) & PAGE_REMOTE)
			done += PAGE;
		if (done >= size)
			return 1;
		usleep(20000);
	}
	return 0;
}

TEST_F(gmem, replica_follows_the_cpu)
{
	uint64_t *p = anon_block(4 * MIB), faults;

	/* What is there already, too. */
	memset(self->buf, 1, 4 * MIB);
	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	EXPECT_TRUE(replicated(self->fd, self->buf, 4 * MIB));
	fill(p, 4 * MIB, 200);
	EXPECT_TRUE(replicated(self->fd, p, 4 * MIB));
	EXPECT_GE(stat_of(self->fd, STAT_REPLICATED), 2048);
	faults = stat_of(self->fd, STAT_FAULTS);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_TRUE(check(self->buf, 4 * MIB, 200));
	fill(self->buf, 4 * MIB, 201);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 4 * MIB));
	EXPECT_TRUE(check(p, 4 * MIB, 201));
	EXPECT_EQ(faults, stat_of(self->fd, STAT_FAULTS));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(0, stat_of(self->fd, STAT_TO_DEVICE));
}

TEST_F(gmem, replica_faults_when_it_is_quicker)
{
	uint64_t *p = anon_block(2 * MIB), v = 210;

	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	ASSERT_EQ(0, dev_write(self->fd, p, &v, 8));
	EXPECT_EQ(210, p[0]);
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(RET_OK, dev_fault(self->fd, p, ACCESS_WRITE, HINT_HOT));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	/* Asked to bring it to the device: it stays. */
	ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, 2 * MIB, HMADV_PREFETCH));
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(self->free, nr_free(self->fd));
}

/* mfill_atomic_install_pte(): neither a fault nor a notifier. */
TEST_F(gmem, replica_sees_userfaultfd_copy)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *p = anon_block(2 * MIB);
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, 2 * MIB },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = {
		.dst = (uintptr_t)p,
		.src = (uintptr_t)self->buf,
		.len = MIB,
	};
	uint64_t faults;
	int uffd;

	fill(self->buf, MIB, 220);
	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	ASSERT_GE(uffd, 0);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_COPY, &copy));
	EXPECT_TRUE(replicated(self->fd, p, MIB));
	faults = stat_of(self->fd, STAT_FAULTS);
	memset(self->buf, 0, MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 220));
	EXPECT_EQ(faults, stat_of(self->fd, STAT_FAULTS));
	close(uffd);
}

/* A replica of nothing, of all and of what comes and goes. */
TEST_F_TIMEOUT(gmem, replica_of_an_address_space_in_motion, 300)
{
	uint64_t v, rounds;
	char *p;

	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	for (rounds = 0; rounds < 300; rounds++) {
		p = anon_block(4 * MIB);
		ASSERT_NE(NULL, p);
		memset(p, rounds, 2 * MIB);
		if (rounds % 3 == 0)
			ASSERT_EQ(0, mprotect(p, MIB, PROT_READ));
		if (rounds % 3 == 1)
			madvise(p, MIB, MADV_DONTNEED);
		ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
		EXPECT_EQ(rounds % 3 == 1 ? 0 : (rounds & 0xff) *
			  0x0101010101010101ULL, v);
		munmap(p, 4 * MIB);
		EXPECT_EQ(-EFAULT, dev_read(self->fd, p, &v, 8));
		if (rounds % 50 == 0)
			ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	}
}

/* GM_MMU_MODE_SHARE: with another device, the software ones cannot walk the CPU's */

#define OTHER DEVICE "1"

static int borrow(int fd, int from, unsigned int mode)
{
	struct test_gmem_lend lend = { .fd = from, .mode = mode };

	return ioctl(fd, TEST_GMEM_BORROW, &lend) ? -errno : 0;
}

TEST_F(gmem, share_needs_a_compatible_mmu)
{
	uint64_t cookie = 77, own = TEST_GMEM_COOKIE_OWN, v = 230;
	uint64_t *p = anon_block(2 * MIB);
	int other;

	/* Alone: nobody's page table could be walked. */
	EXPECT_EQ(-EPROTONOSUPPORT, set_mode(self->fd, MODE_SHARE));

	/* With one that has another format. */
	other = open(OTHER, O_RDWR);
	ASSERT_GE(other, 0);
	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	ASSERT_EQ(0, ioctl(other, TEST_GMEM_COOKIE, &cookie));
	EXPECT_EQ(-EPROTONOSUPPORT, borrow(other, self->fd, MODE_SHARE));
	/* A private one is nobody's, not even that of another private one. */
	cookie = 0;
	ASSERT_EQ(0, ioctl(other, TEST_GMEM_COOKIE, &cookie));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_COOKIE, &cookie));
	EXPECT_EQ(-EPROTONOSUPPORT, borrow(other, self->fd, MODE_SHARE));
	ASSERT_EQ(0, ioctl(other, TEST_GMEM_COOKIE, &own));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_COOKIE, &own));

	/* With one whose entries lead into its own memory. */
	ASSERT_EQ(0, set_mode(self->fd, MODE_EXCLUSIVE));
	EXPECT_EQ(-EPROTONOSUPPORT, borrow(other, self->fd, MODE_SHARE));

	/* Refused, and nothing is left of it. */
	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	ASSERT_EQ(0, borrow(other, self->fd, MODE_SHARE));
	ASSERT_EQ(0, dev_write(other, p, &v, 8));
	EXPECT_EQ(230, p[0]);
	close(other);
}

TEST_F(gmem, share_one_page_table)
{
	uint64_t *p = anon_block(2 * MIB), v = 0, faults;
	int other = open(OTHER, O_RDWR);

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	ASSERT_EQ(0, borrow(other, self->fd, MODE_SHARE));
	/* What the one has mapped the other can use. */
	fill(p, 2 * MIB, 240);
	ASSERT_TRUE(replicated(self->fd, p, 2 * MIB));
	faults = stat_of(other, STAT_FAULTS);
	ASSERT_EQ(0, dev_read(other, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 240));
	EXPECT_EQ(faults, stat_of(other, STAT_FAULTS));

	/* Both have it in their TLBs, and lose it. */
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(-EACCES, dev_write(other, p, &v, 8));
	EXPECT_EQ(-EACCES, dev_write(self->fd, p, &v, 8));
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	v = 241;
	ASSERT_EQ(0, dev_write(other, p, &v, 8));
	EXPECT_EQ(241, p[0]);
	v = 0;
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(241, v);
	ASSERT_EQ(0, madvise(p, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, dev_read(other, p, &v, 8));
	EXPECT_EQ(0, v);
	munmap(p, 2 * MIB);
	EXPECT_EQ(-EFAULT, dev_read(other, p, &v, 8));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(self->free, nr_free(self->fd));
	close(other);
}

/* The child's copies are not what the devices of the parent write to. */
TEST_F(gmem, share_after_fork)
{
	uint64_t *p = anon_block(2 * MIB);
	int other = open(OTHER, O_RDWR), pipes[2];
	pid_t pid;
	char c;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, set_mode(self->fd, MODE_REPLICATE));
	ASSERT_EQ(0, borrow(other, self->fd, MODE_SHARE));
	fill(self->buf, MIB, 250);
	ASSERT_EQ(0, dev_write(other, p, self->buf, MIB));
	pid = fork();
	if (!pid) {
		if (read(pipes[0], &c, 1) != 1)
			_exit(99);
		_exit(check(p, MIB, 250) ? 0 : 1);
	}
	fill(self->buf, MIB, 251);
	ASSERT_EQ(0, dev_write(other, p, self->buf, MIB));
	ASSERT_EQ(1, write(pipes[1], "x", 1));
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_TRUE(check(p, MIB, 251));
	close(other);
}

/* hmadvise(2) */

TEST_F(gmem, hmadvise_refuses_what_makes_no_sense)
{
	int hnid = hnid_of(self->fd);
	char *p = anon_block(2 * MIB);
	pid_t pid;

	EXPECT_EQ(-EINVAL, hmadvise(hnid, p + 1, PAGE, HMADV_PREFETCH));
	EXPECT_EQ(-EINVAL, hmadvise(hnid, p, -PAGE, HMADV_PREFETCH));
	EXPECT_EQ(-EINVAL, hmadvise(hnid, p, ~0UL, HMADV_PREFETCH));
	EXPECT_EQ(-EINVAL, hmadvise(hnid, p, PAGE, 12345));
	EXPECT_EQ(-EINVAL, hmadvise(hnid, p, PAGE, -1));
	EXPECT_EQ(-EINVAL, hmadvise(-2, p, PAGE, HMADV_PREFETCH));
	EXPECT_EQ(-EINVAL, hmadvise(1 << 20, p, PAGE, HMADV_PREFETCH));
	EXPECT_EQ(-EINVAL, hmadvise(-1, p, PAGE, HMADV_PIN));
	EXPECT_EQ(-EINVAL, hmadvise(-1, p, PAGE, HMADV_MARK_HOT));
	/* A NUMA node is no hnode, and not every number is one. */
	EXPECT_EQ(-ENODEV, hmadvise(0, p, PAGE, HMADV_PREFETCH));
	EXPECT_EQ(-ENODEV, hmadvise(hnid + 1, p, PAGE, HMADV_PREFETCH));
	EXPECT_EQ(0, hmadvise(hnid, p, 0, HMADV_PREFETCH));

	/* What is there is advised nevertheless. */
	memset(p, 1, 2 * MIB);
	munmap(p + MIB, PAGE);
	EXPECT_EQ(-ENOMEM, hmadvise(hnid, p, 2 * MIB, HMADV_PREFETCH));
	EXPECT_TRUE(comes_to_be(self->fd, p, MIB, PAGE_DEVICE));
	EXPECT_TRUE(comes_to_be(self->fd, p + MIB + PAGE, MIB - PAGE,
				PAGE_DEVICE));

	/* A process that shares nothing has no such hnode. */
	EXPECT_EQ(0, ioctl(self->fd, TEST_GMEM_REATTACH));
	EXPECT_EQ(0, hmadvise(hnid, p, PAGE, HMADV_PREFETCH));
	pid = fork();
	if (!pid)
		_exit(hmadvise(hnid, p, PAGE, HMADV_PREFETCH) != -ENODEV);
	EXPECT_EQ(0, wait_for(pid));
}

TEST_F(gmem, hmadvise_prefetch_both_ways)
{
	size_t size = 6 * MIB;
	uint64_t *p = anon_block(size);
	char *b = anon(size);
	uint64_t faults;

	fill(p, size, 31);
	ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, size, HMADV_PREFETCH));
	ASSERT_TRUE(comes_to_be(self->fd, (char *)p, size, PAGE_DEVICE));
	EXPECT_EQ(size / PAGE, stat_of(self->fd, STAT_PREFETCHED));
	faults = stat_of(self->fd, STAT_FAULTS);
	ASSERT_EQ(0, dev_read(self->fd, p, b, size));
	EXPECT_TRUE(check((uint64_t *)b, size, 31));
	/* The workers may still be entering the last of it. */
	EXPECT_LE(stat_of(self->fd, STAT_FAULTS), faults + 4);

	ASSERT_EQ(0, hmadvise(-1, p, size, HMADV_PREFETCH));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(size / PAGE, stat_of(self->fd, STAT_TO_HOST));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_TRUE(check(p, size, 31));
}

/* More than the device has: what came first must not be evicted for the rest. */
TEST_F_TIMEOUT(gmem, hmadvise_prefetch_more_than_there_is, 300)
{
	size_t size = 2 * self->free * PAGE;
	uint64_t *p = anon_block(size);

	fill(p, size, 32);
	ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, size, HMADV_PREFETCH));
	ASSERT_TRUE(comes_to_be(self->fd, (char *)p, 2 * MIB, PAGE_DEVICE));
	usleep(200000);
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_TRUE(check(p, size, 32));
}

TEST_F_TIMEOUT(gmem, hmadvise_prefetch_and_unmap, 300)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		char *p = anon_block(8 * MIB);

		memset(p, i, 8 * MIB);
		ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, 8 * MIB,
				      HMADV_PREFETCH));
		usleep(i * 200);
		munmap(p, 8 * MIB);
	}
	usleep(200000);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(gmem, hmadvise_evict_keeps_the_data)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 33);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, MIB, HMADV_EVICT));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, (char *)p + MIB));
	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_EVICT));
	EXPECT_EQ(PAGE_CPU, where(self->fd, (char *)p + MIB));
	EXPECT_TRUE(check(p, 2 * MIB, 33));
}

TEST_F(gmem, hmadvise_dontneed_drops_what_the_device_has)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 34);
	ASSERT_EQ(0, dev_fault(self->fd, p, ACCESS_WRITE, HINT_HOT));
	/* The CPU has the second half back. */
	ASSERT_EQ(0, hmadvise(-1, (char *)p + MIB, MIB, HMADV_EVICT));
	ASSERT_EQ(0, hmadvise(hnid_of(self->fd), p, 2 * MIB, HMADV_DONTNEED));
	EXPECT_EQ(PAGE_NOMAP, where(self->fd, p));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(0, p[MIB / 8 - 1]);
	EXPECT_TRUE(check(p + MIB / 8, MIB,
			  34 + MIB / 8 * 0x9e3779b97f4a7c15ULL));
	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_DONTNEED));
	EXPECT_EQ(0, p[MIB / 8]);
}

TEST_F(gmem, hmadvise_map_remote_stays_home)
{
	int hnid = hnid_of(self->fd);
	uint64_t *p = anon_block(4 * MIB);

	fill(p, 4 * MIB, 35);
	ASSERT_EQ(0, hmadvise(hnid, p, MIB, HMADV_MAP_REMOTE));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_TRUE(check(self->buf, 4 * MIB, 35));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(PAGE_CPU, where(self->fd, (char *)p + MIB - 1));
	/* Not a page more than was said. */
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, (char *)p + MIB));
	ASSERT_EQ(0, hmadvise(hnid, p, MIB, HMADV_NO_MAP_REMOTE));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));

	/* Another hnode's advice is not ours. */
	ASSERT_EQ(0, hmadvise(-1, p, 4 * MIB, HMADV_EVICT));
	ASSERT_EQ(0, hmadvise(-1, p, 4 * MIB, HMADV_PREFERRED));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_EQ(PAGE_CPU, where(self->fd, (char *)p + 3 * MIB));
	ASSERT_EQ(0, hmadvise(hnid, p, 4 * MIB, HMADV_PREFERRED));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 8));
	/* The best place: all of the block comes at once. */
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, (char *)p + 2 * MIB - 1));
	EXPECT_TRUE(check(p, 4 * MIB, 35));
}

TEST_F(gmem, mergeable_memory_stays_home)
{
	int hnid = hnid_of(self->fd);
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 36);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	if (madvise(p, 2 * MIB, MADV_MERGEABLE))
		SKIP(return, "no CONFIG_KSM");
	/* What was there has come back, and nothing follows. */
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(256, stat_of(self->fd, STAT_TO_HOST));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 36));
	ASSERT_EQ(0, hmadvise(hnid, p, 2 * MIB, HMADV_PREFETCH));
	usleep(10000);
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	fill(self->buf, 2 * MIB, 37);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_TRUE(check(p, 2 * MIB, 37));
	ASSERT_EQ(0, madvise(p, 2 * MIB, MADV_UNMERGEABLE));
	/* Not what the device has mapped already. */
	ASSERT_EQ(0, madvise(p, 2 * MIB, MADV_DONTNEED));
	fill(p, 2 * MIB, 38);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
}

/* A child knows nothing of the device that has what its parent left it. */
TEST_F(gmem, all_of_a_child_offered_to_ksm_comes_home)
{
	uint64_t *p = anon_block(2 * MIB);
	pid_t pid;

	fill(p, 2 * MIB, 39);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_EQ(self->free - 512, nr_free(self->fd));
	pid = fork();
	if (!pid) {
		if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
			_exit(2);
		_exit(nr_free(self->fd) != self->free ||
		      !check(p, 2 * MIB, 39));
	}
	switch (wait_for(pid)) {
	case 2:
		SKIP(return, "no CONFIG_KSM");
	case 0:
		break;
	default:
		EXPECT_TRUE(false) TH_LOG("something stayed on the device");
	}
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_TRUE(check(p, 2 * MIB, 39));
}

static void set_ksm(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	fd = open(path, O_WRONLY);
	if (fd >= 0) {
		if (write(fd, value, strlen(value)) < 0)
			perror(path);
		close(fd);
	}
}

/* Pages are merged, and become several again, under a device that reads and writes. */
TEST_F_TIMEOUT(gmem, ksm_merges_what_the_device_uses, 300)
{
	const uint64_t words = PAGE / sizeof(uint64_t);
	uint64_t *p = anon_block(2 * MIB);
	unsigned int i, round;

	if (madvise(p, 2 * MIB, MADV_MERGEABLE))
		SKIP(return, "no CONFIG_KSM");
	set_ksm("sleep_millisecs", "0");
	set_ksm("pages_to_scan", "2000");
	set_ksm("run", "1");
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 2 * MIB / PAGE; i++)
			fill(p + i * words, PAGE, round);
		for (i = 0; i < 4; i++) {
			usleep(2000);
			ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
			EXPECT_TRUE(check(self->buf, PAGE, round));
		}
		fill(self->buf, PAGE, 1000 + round);
		ASSERT_EQ(0, dev_write(self->fd, p + round * words, self->buf,
				       PAGE));
		for (i = 0; i < 2 * MIB / PAGE; i++)
			ASSERT_TRUE(check(p + i * words, PAGE,
					  i == round ? 1000 + round : round));
	}
	set_ksm("run", "2");
	set_ksm("run", "0");
}

/* A page for which nothing was said must not inherit what was said before. */
TEST_F(gmem, hmadvise_is_forgotten_with_the_memory)
{
	char *p = anon_block(6 * MIB), *q;

	ASSERT_EQ(0, hmadvise(-1, p, 6 * MIB, HMADV_PREFERRED));
	q = mmap(p + 2 * MIB, 2 * MIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(p + 2 * MIB, q);
	memset(p, 1, 6 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, 2 * MIB));
	ASSERT_EQ(0, dev_read(self->fd, q + 2 * MIB, self->buf, 2 * MIB));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, q));
	EXPECT_EQ(PAGE_CPU, where(self->fd, q + 2 * MIB));
}

TEST_F(gmem, hmadvise_survives_split_merge_and_mremap)
{
	char *p = anon_block(4 * MIB), *q = anon_block(8 * MIB);

	ASSERT_EQ(0, hmadvise(-1, p + MIB, 2 * MIB, HMADV_PREFERRED));
	memset(p, 1, 4 * MIB);
	/* Split the VMA and merge it again. */
	ASSERT_EQ(0, mprotect(p + 2 * MIB, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(p + 2 * MIB, PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p + MIB));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p + 2 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + 3 * MIB));

	ASSERT_EQ(q + 2 * MIB, mremap(p, 4 * MIB, 4 * MIB,
				      MREMAP_MAYMOVE | MREMAP_FIXED,
				      q + 2 * MIB));
	q += 2 * MIB;
	memset(q, 2, 4 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, 4 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, q));
	EXPECT_EQ(PAGE_CPU, where(self->fd, q + MIB));
	EXPECT_EQ(PAGE_CPU, where(self->fd, q + 2 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, q + 3 * MIB));

	/* Where it was, nothing is said any more. */
	ASSERT_EQ(p, mmap(p, 4 * MIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + MIB));
}

TEST_F_TIMEOUT(gmem, hmadvise_pin_is_not_evicted, 300)
{
	int hnid = hnid_of(self->fd);
	char *p = anon_block(4 * MIB), *big;
	size_t size = 2 * self->free * PAGE, i;

	memset(p, 3, 4 * MIB);
	ASSERT_EQ(0, hmadvise(hnid, p, 2 * MIB, HMADV_PIN));
	ASSERT_TRUE(comes_to_be(self->fd, p, 2 * MIB, PAGE_DEVICE));
	ASSERT_EQ(0, dev_read(self->fd, p + 2 * MIB, self->buf, 2 * MIB));
	big = anon_block(size);
	memset(big, 4, size);
	for (i = 0; i < size; i += 2 * MIB)
		ASSERT_EQ(0, dev_read(self->fd, big + i, self->buf, 2 * MIB));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p + 2 * MIB - 1));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p + 2 * MIB));

	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_UNPIN));
	for (i = 0; i < size; i += 2 * MIB)
		ASSERT_EQ(0, dev_read(self->fd, big + i, self->buf, 2 * MIB));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(3, p[2 * MIB - 1]);
}

TEST_HARNESS_MAIN
