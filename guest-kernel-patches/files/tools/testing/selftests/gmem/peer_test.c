// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of GMEM with a device that is a peer: it manages its memory itself and is
 * asked by address to hold what a process has there.
 */
#include "../kselftest_harness.h"
#include "gmem_device.h"

FIXTURE(peer)
{
	int fd;
	uint64_t *buf;	/* 4 MiB for the test's use, not known to the device */
	uint64_t free;
};

FIXTURE_SETUP(peer)
{
	self->fd = open(DEVICE "_peer", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0)
		TH_LOG("modprobe test_gmem, and boot with gmem=on");
	self->buf = anon(4 * MIB);
	ASSERT_NE(NULL, self->buf);
	self->free = nr_free(self->fd);
	ASSERT_GT(self->free, 0);
}

FIXTURE_TEARDOWN(peer)
{
	close(self->fd);
}

static struct test_gmem_peer ask(int fd)
{
	struct test_gmem_peer peer = { .held = ~0ULL };

	ioctl(fd, TEST_GMEM_PEER, &peer);
	return peer;
}

/* The peer is told in the background that nobody has its memory any more. */
static int comes_to_hold(int fd, uint64_t pages)
{
	unsigned int tries;

	for (tries = 0; tries < 300; tries++) {
		if (ask(fd).held == pages)
			return 1;
		usleep(10000);
	}
	return 0;
}

/* Its VMAs go after what it holds in them. */
static int comes_to_have_vas(int fd, uint64_t pages)
{
	unsigned int tries;

	for (tries = 0; tries < 300; tries++) {
		if (ask(fd).va_pages == pages)
			return 1;
		usleep(10000);
	}
	return 0;
}

static int comes_to_be_free(int fd, uint64_t pages)
{
	unsigned int tries;

	for (tries = 0; tries < 300; tries++) {
		if (nr_free(fd) == pages)
			return 1;
		usleep(10000);
	}
	return 0;
}

/* The next calls of the peer that are to fail, and none of others. */
static int fail(int fd, struct test_gmem_fail what)
{
	return ioctl(fd, TEST_GMEM_FAIL, &what);
}

TEST_F(peer, cpu_first)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 1);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 1));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(512, stat_of(self->fd, STAT_TO_DEVICE));
	EXPECT_EQ(512, ask(self->fd).held);
	EXPECT_EQ(512, ask(self->fd).va_pages);
	EXPECT_EQ(self->free - 512, nr_free(self->fd));

	EXPECT_TRUE(check(p, 2 * MIB, 1));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_TRUE(comes_to_hold(self->fd, 0));
	EXPECT_EQ(512, ask(self->fd).va_pages);
	EXPECT_TRUE(comes_to_be_free(self->fd, self->free));
}

TEST_F(peer, first_touch_by_the_device)
{
	uint64_t *p = anon_block(2 * MIB);

	memset(self->buf, 0xff, PAGE);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(0, self->buf[0]);
	EXPECT_EQ(0, self->buf[511]);
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_EQ(16, stat_of(self->fd, STAT_ZEROED));
	EXPECT_EQ(16, ask(self->fd).held);

	fill(self->buf, MIB, 2);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(p, MIB, 2));
	EXPECT_EQ(0, p[MIB / 8]);
}

/* What one of the two writes, the other reads: there is one copy at a time. */
TEST_F_TIMEOUT(peer, pingpong, 120)
{
	size_t size = 64 * PAGE, i;
	uint64_t *p = anon_block(2 * MIB);
	unsigned int round;

	for (round = 0; round < 200; round++) {
		for (i = 0; i < size / 8; i += 64)
			p[i]++;
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, size));
		for (i = 0; i < size / 8; i += 64)
			ASSERT_EQ(2 * round + 1, self->buf[i]);
		for (i = 0; i < size / 8; i += 64)
			self->buf[i]++;
		ASSERT_EQ(0, dev_write(self->fd, p, self->buf, size));
	}
	for (i = 0; i < size / 8; i += 64)
		ASSERT_EQ(400, p[i]);
}

static int stop;

static void *count(void *arg)
{
	uint64_t n;

	for (n = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); n++)
		__atomic_fetch_add((uint64_t *)arg, 1, __ATOMIC_RELAXED);
	return (void *)n;
}

TEST_F_TIMEOUT(peer, atomics_of_both_at_once, 120)
{
	uint64_t *p = anon_block(2 * MIB), one = 1;
	pthread_t thread;
	unsigned int i;
	void *n;

	ASSERT_EQ(0, pthread_create(&thread, NULL, count, p));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, dev_op(self->fd, TEST_GMEM_ADD, p,
				    (void *)(uintptr_t)one, 10, 0, 0));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, &n));
	EXPECT_EQ((uintptr_t)n + 1000, *p);
}

TEST_F(peer, munmap_frees_memory_and_vmas)
{
	char *p = anon_block(4 * MIB);

	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 4 * MIB));
	EXPECT_EQ(1024, ask(self->fd).held);
	EXPECT_EQ(1024, ask(self->fd).va_pages);
	munmap(p + MIB, MIB);
	EXPECT_TRUE(comes_to_hold(self->fd, 768));
	EXPECT_TRUE(comes_to_have_vas(self->fd, 768));
	munmap(p, 4 * MIB);
	EXPECT_TRUE(comes_to_hold(self->fd, 0));
	EXPECT_TRUE(comes_to_have_vas(self->fd, 0));
	EXPECT_EQ(0, ask(self->fd).vmas);
	EXPECT_TRUE(comes_to_be_free(self->fd, self->free));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p, self->buf, 8));
}

/* At once, while what was there before is being given back. */
TEST_F(peer, something_else_at_the_same_place)
{
	char *p = anon_block(2 * MIB);
	unsigned int i;

	for (i = 1; i <= 20; i++) {
		fill(self->buf, 2 * MIB, i);
		ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
		ASSERT_EQ(p, mmap(p, 2 * MIB, PROT_READ | PROT_WRITE, MAP_FIXED |
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		if (i % 2)
			fill((uint64_t *)p, MIB, 100 + i);
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
		ASSERT_EQ(i % 2 ? 100 + i : 0, self->buf[0]);
		ASSERT_TRUE(i % 2 == 0 || check(self->buf, MIB, 100 + i));
		ASSERT_EQ(0, self->buf[MIB / 8]);
	}
}

TEST_F(peer, dontneed)
{
	char *p = anon_block(2 * MIB);

	memset(self->buf, 9, MIB);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, madvise(p, MIB / 2, MADV_DONTNEED));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_EQ(0, self->buf[0]);
	EXPECT_EQ(0x0909090909090909ULL, self->buf[MIB / 8 - 1]);
	EXPECT_EQ(9, p[MIB / 2]);
	EXPECT_EQ(0, p[MIB / 2 - 1]);
}

/* The peer holds it at the address where it was. */
TEST_F(peer, mremap_moves_it)
{
	char *p = anon_block(2 * MIB), *q = anon_block(2 * MIB), *r;

	fill(self->buf, MIB, 3);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	r = mremap(p, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	ASSERT_EQ(q, r);
	memset(self->buf, 0, MIB);
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, MIB / 2));
	EXPECT_TRUE(check(self->buf, MIB / 2, 3));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, q));
	/* And the CPU finds what only the old address leads to. */
	EXPECT_TRUE(check((uint64_t *)q, MIB, 3));
}

TEST_F(peer, mremap_and_something_new_there)
{
	char *p = anon_block(2 * MIB), *q = anon_block(2 * MIB);

	fill(self->buf, 2 * MIB, 4);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(q, mremap(p, 2 * MIB, 2 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED,
			    q));
	ASSERT_EQ(p, mmap(p, 2 * MIB, PROT_READ | PROT_WRITE, MAP_FIXED |
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fill((uint64_t *)p, 2 * MIB, 5);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 5));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_TRUE(check((uint64_t *)q, 2 * MIB, 4));
	munmap(p, 2 * MIB);
	munmap(q, 2 * MIB);
	EXPECT_TRUE(comes_to_hold(self->fd, 0));
	EXPECT_TRUE(comes_to_have_vas(self->fd, 0));
}

TEST_F(peer, mremap_that_leaves_the_vma)
{
	char *p = anon_block(2 * MIB), *q = anon_block(2 * MIB);

	fill(self->buf, MIB, 6);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(q, mremap(p, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED |
			    4 /* MREMAP_DONTUNMAP */, q));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_EQ(0, self->buf[0]);
	EXPECT_EQ(0, self->buf[MIB / 8 - 1]);
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_TRUE(check((uint64_t *)q, MIB, 6));
}

TEST_F(peer, fork_shares_what_the_peer_holds)
{
	uint64_t *p = anon_block(2 * MIB);
	int ready[2], go[2];
	pid_t pid;
	char c = 0;

	fill(self->buf, MIB, 7);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		/* Once the parent has something else at the address. */
		if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(!check(p, MIB, 7));
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 7));
	fill(self->buf, MIB, 8);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(1, write(go[1], &c, 1));
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_TRUE(check(p, MIB, 8));
}

/* The child has it when the parent's context ends. */
TEST_F(peer, fork_and_the_end_of_the_context)
{
	uint64_t *p = anon_block(2 * MIB);
	int go[2];
	pid_t pid;
	char c = 0;

	fill(self->buf, MIB, 9);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(!check(p, MIB, 9));
	}
	munmap(p, 2 * MIB);
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REATTACH));
	EXPECT_EQ(0, ask(self->fd).held);
	ASSERT_EQ(1, write(go[1], &c, 1));
	EXPECT_EQ(0, wait_for(pid));
}

/* The peer's memory ends with the context: it comes home with it. */
TEST_F(peer, end_of_the_context_brings_home)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(self->buf, 2 * MIB, 10);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REATTACH));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_TRUE(check(p, 2 * MIB, 10));
}

TEST_F(peer, replug_brings_home)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(self->buf, 2 * MIB, 11);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REPLUG));
	EXPECT_EQ(0, ask(self->fd).held);
	EXPECT_EQ(0, ask(self->fd).vmas);
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_TRUE(check(p, 2 * MIB, 11));
	memset(self->buf, 0, 2 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 11));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, p));
}

TEST_F(peer, exit_leaves_nothing)
{
	unsigned int i;

	close(self->fd);
	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			int fd = open(DEVICE "_peer", O_RDWR);
			char *p = anon_block(2 * MIB);

			/* It comes to an end with memory held. */
			_exit(dev_write(fd, p, p, 2 * MIB) ||
			      ask(fd).held != 512);
		}
		ASSERT_EQ(0, wait_for(pid));
	}
	self->fd = open(DEVICE "_peer", O_RDWR | O_CLOEXEC);
	EXPECT_TRUE(comes_to_be_free(self->fd, self->free));
}

TEST_F(peer, permissions)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(self->buf, MIB, 12);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, mprotect(p, MIB, PROT_READ));
	EXPECT_EQ(-EACCES, dev_write(self->fd, p, self->buf, 8));
	memset(self->buf, 0, MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 12));
	ASSERT_EQ(0, mprotect(p, MIB, PROT_NONE));
	EXPECT_EQ(-EACCES, dev_read(self->fd, p, self->buf, 8));
	ASSERT_EQ(0, mprotect(p, MIB, PROT_READ | PROT_WRITE));
	/* Held all the time, and nobody copied it. */
	EXPECT_EQ(0, stat_of(self->fd, STAT_TO_HOST));
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 8));
	EXPECT_TRUE(check(p, MIB, 12));
}

/* What cannot migrate the peer uses where it is. */
TEST_F(peer, shared_memory_is_mapped_remotely)
{
	uint64_t *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0), one = 1;

	ASSERT_NE(MAP_FAILED, p);
	fill(p, MIB, 13);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 13));
	EXPECT_EQ(PAGE_CPU | PAGE_REMOTE, where_flags(self->fd, p));
	EXPECT_EQ(0, ask(self->fd).held);
	ASSERT_EQ(0, dev_op(self->fd, TEST_GMEM_ADD, p,
			    (void *)(uintptr_t)one, 5, 0, 0));
	EXPECT_EQ(13 + 5, *p);
	*p = 1;
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 8));
	EXPECT_EQ(1, self->buf[0]);
	munmap(p, MIB);
	EXPECT_EQ(0, ask(self->fd).va_pages);
}

/* The data was gone when the peer said no. */
TEST_F(peer, failed_map_loses_no_data)
{
	uint64_t *p = anon_block(2 * MIB);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		struct test_gmem_fail what = {
			.maps = i % 4 == 0 ? 1 : i % 4 == 1 ? 3 : 0,
			.enters = i % 4 == 2,
			.full = i % 4 == 3 ? 2 : 0,
		};

		fill(p, 2 * MIB, i);
		ASSERT_EQ(0, fail(self->fd, what));
		dev_fault(self->fd, p, ACCESS_READ, i % 8 < 4 ? HINT_HOT : 0);
		memset(&what, 0, sizeof(what));
		ASSERT_EQ(0, fail(self->fd, what));
		ASSERT_TRUE(i % 3 || check(p, 2 * MIB, i));
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
		ASSERT_TRUE(check(self->buf, 2 * MIB, i));
		ASSERT_TRUE(check(p, 2 * MIB, i));
	}
	munmap(p, 2 * MIB);
	EXPECT_TRUE(comes_to_hold(self->fd, 0));
	EXPECT_TRUE(comes_to_be_free(self->fd, self->free));
}

/* A copy home that fails is tried again: the peer holds the data still. */
TEST_F(peer, failed_unmap_loses_no_data)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(self->buf, MIB, 14);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, fail(self->fd, (struct test_gmem_fail){ .copies = 2 }));
	EXPECT_TRUE(check(p, MIB, 14));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
}

TEST_F(peer, copy_that_always_fails_is_sigbus_and_no_loss)
{
	uint64_t *p = anon_block(2 * MIB);
	int status;
	pid_t pid;

	fill(self->buf, MIB, 15);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, fail(self->fd, (struct test_gmem_fail){ .copies = 1000 }));
	pid = fork();
	if (!pid)
		_exit(__atomic_load_n(p, __ATOMIC_RELAXED) != 15);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	ASSERT_EQ(0, fail(self->fd, (struct test_gmem_fail){}));
	EXPECT_TRUE(check(p, MIB, 15));
}

/* A full peer has something taken away, and then it fits. */
TEST_F(peer, full_peer_makes_room)
{
	uint64_t *p = anon_block(2 * MIB), *q = anon_block(2 * MIB);

	fill(p, 2 * MIB, 16);
	fill(q, 2 * MIB, 17);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(0, fail(self->fd, (struct test_gmem_fail){ .full = 1 }));
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 17));
	EXPECT_EQ(PAGE_DEVICE, where(self->fd, q));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_GT(stat_of(self->fd, STAT_EVICTED), 0);
	EXPECT_TRUE(check(p, 2 * MIB, 16));
}

/* One with no memory at all uses it where it is. */
TEST_F(peer, peer_without_memory_maps_remotely)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, MIB, 18);
	ASSERT_EQ(0, fail(self->fd, (struct test_gmem_fail){ .full = 1000 }));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 16 * PAGE));
	EXPECT_TRUE(check(self->buf, 16 * PAGE, 18));
	EXPECT_EQ(PAGE_CPU | PAGE_REMOTE, where_flags(self->fd, p));
	ASSERT_EQ(0, fail(self->fd, (struct test_gmem_fail){}));
	EXPECT_TRUE(check(p, MIB, 18));
}

/* 32 MiB on a peer of 16, of which it has 15 for others. */
TEST_F_TIMEOUT(peer, more_than_the_peer_has, 120)
{
	char *p = anon_block(32 * MIB);
	unsigned int i;

	for (i = 0; i < 16; i++)
		fill((uint64_t *)(p + i * 2 * MIB), 2 * MIB, 100 + i);
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, dev_read(self->fd, p + i * 2 * MIB, self->buf,
				      2 * MIB));
		ASSERT_TRUE(check(self->buf, 2 * MIB, 100 + i));
		fill(self->buf, 2 * MIB, 200 + i);
		ASSERT_EQ(0, dev_write(self->fd, p + i * 2 * MIB, self->buf,
				       2 * MIB));
	}
	EXPECT_GT(stat_of(self->fd, STAT_EVICTED), 4096 - 1024);
	for (i = 0; i < 16; i++)
		ASSERT_TRUE(check((uint64_t *)(p + i * 2 * MIB), 2 * MIB,
				  200 + i));
}

TEST_F(peer, conflict_is_passed_on)
{
	uint64_t *p = anon_block(4 * MIB);
	struct test_gmem_range own = {
		.start = (uintptr_t)p + MIB,
		.end = (uintptr_t)p + MIB + PAGE,
	};

	fill(p, 4 * MIB, 19);
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_PEER_OWN, &own));
	EXPECT_EQ(-EADDRINUSE, dev_read(self->fd, p, self->buf, 8));
	EXPECT_EQ(RET_CONFLICT, dev_fault(self->fd, p, ACCESS_WRITE, 0));
	EXPECT_TRUE(check(p, 4 * MIB, 19));
	/* Elsewhere there is none. */
	ASSERT_EQ(0, dev_read(self->fd, p + 2 * MIB / 8, self->buf, MIB));
	own.end = 0;
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_PEER_OWN, &own));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 4 * MIB));
	EXPECT_TRUE(check(self->buf, 4 * MIB, 19));
}

/* The peer's functions are told of a process, not of a context. */
TEST_F(peer, one_context_of_a_process)
{
	EXPECT_EQ(-1, open(DEVICE "_peer", O_RDWR));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(-EINVAL, set_mode(self->fd, MODE_REPLICATE));
	EXPECT_EQ(-EINVAL, set_mode(self->fd, MODE_SHARE));
	EXPECT_EQ(0, set_mode(self->fd, MODE_EXCLUSIVE));
}

/* To a peer from another device, and back. */
TEST_F(peer, beside_a_device_that_is_none)
{
	int other = open(DEVICE, O_RDWR | O_CLOEXEC);
	uint64_t *p = anon_block(2 * MIB);

	ASSERT_GE(other, 0);
	fill(self->buf, 2 * MIB, 20);
	ASSERT_EQ(0, dev_write(other, p, self->buf, 2 * MIB));
	memset(self->buf, 0, 2 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 20));
	EXPECT_EQ(hnid_of(self->fd), hnid_where(self->fd, p));
	fill(self->buf, 2 * MIB, 21);
	ASSERT_EQ(0, dev_write(self->fd, p, self->buf, 2 * MIB));
	memset(self->buf, 0, 2 * MIB);
	ASSERT_EQ(0, dev_read(other, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 21));
	EXPECT_EQ(hnid_of(other), hnid_where(other, p));
	close(other);
}

TEST_F(peer, advice)
{
	uint64_t *p = anon_block(2 * MIB);
	int hnid = hnid_of(self->fd);

	fill(p, 2 * MIB, 22);
	ASSERT_EQ(0, hmadvise(hnid, p, 2 * MIB, HMADV_PREFETCH));
	EXPECT_TRUE(comes_to_be(self->fd, (char *)p, 2 * MIB, PAGE_DEVICE));
	EXPECT_EQ(512, ask(self->fd).held);
	ASSERT_EQ(0, hmadvise(hnid, p, 2 * MIB, HMADV_EVICT));
	EXPECT_EQ(PAGE_CPU, where(self->fd, p));
	EXPECT_TRUE(comes_to_hold(self->fd, 0));
	EXPECT_TRUE(check(p, 2 * MIB, 22));
}

TEST_HARNESS_MAIN
