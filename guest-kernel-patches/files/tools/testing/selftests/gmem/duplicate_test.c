// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of read-mostly duplication: devices read copies of what the CPU goes on to
 * read, until somebody writes.
 */
#include "../kselftest_harness.h"
#include "gmem_device.h"

FIXTURE(dup)
{
	int fd, other;		/* two devices */
	uint64_t *buf;		/* 4 MiB for the test's use, not known to them */
	uint64_t free, free1;
	int hnid;
};

FIXTURE_SETUP(dup)
{
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	self->other = open(DEVICE "1", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0)
		TH_LOG("modprobe test_gmem, and boot with gmem=on");
	ASSERT_GE(self->other, 0);
	self->buf = anon(4 * MIB);
	ASSERT_NE(NULL, self->buf);
	self->free = nr_free(self->fd);
	self->free1 = nr_free(self->other);
	self->hnid = hnid_of(self->fd);
}

FIXTURE_TEARDOWN(dup)
{
	close(self->fd);
	close(self->other);
}

/* Memory of its own block that is read mostly, written by the CPU. */
static uint64_t *read_mostly(size_t size, uint64_t seed)
{
	uint64_t *p = anon_block(size);

	if (!p || hmadvise(-1, p, size, HMADV_READ_MOSTLY))
		return NULL;
	fill(p, size, seed);
	return p;
}

static uint64_t sum(const uint64_t *p, size_t size)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < size / 8; i++)
		n += p[i];
	return n;
}

TEST_F(dup, cpu_goes_on_to_read)
{
	uint64_t *p = read_mostly(2 * MIB, 1), before;

	ASSERT_NE(NULL, p);
	before = sum(p, 2 * MIB);
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 1));
	EXPECT_EQ(512, stat_of(self->fd, STAT_DUPLICATED));
	EXPECT_EQ(self->free - 512, nr_free(self->fd));
	EXPECT_EQ(before, sum(p, 2 * MIB));
	EXPECT_TRUE(check(p, 2 * MIB, 1));
	/* The CPU has read all of it, and the device has it all. */
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA,
		  where_flags(self->fd, (char *)p + 2 * MIB - 1));
	EXPECT_EQ(0, stat_of(self->fd, STAT_TO_HOST));
	EXPECT_EQ(0, stat_of(self->fd, STAT_TO_DEVICE));
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(dup, write_by_the_cpu_drops_the_copy)
{
	uint64_t *p = read_mostly(2 * MIB, 2);

	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	p[1] = 77;
	EXPECT_EQ(PAGE_CPU, where_flags(self->fd, p));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p + 512));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(2, self->buf[0]);
	EXPECT_EQ(77, self->buf[1]);
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	/* A page that was dropped is not copied when it is written again. */
	p[1] = 78;
	p[2] = 79;
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(78, self->buf[1]);
	EXPECT_EQ(79, self->buf[2]);
}

TEST_F(dup, write_by_the_device_takes_the_page)
{
	uint64_t *p = read_mostly(2 * MIB, 3), v = 88;

	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, dev_write(self->fd, p + 1, &v, 8));
	EXPECT_EQ(PAGE_DEVICE, where_flags(self->fd, p));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p + 512));
	EXPECT_EQ(3, p[0]);
	EXPECT_EQ(88, p[1]);
	EXPECT_EQ(PAGE_CPU, where_flags(self->fd, p));
	/* And again, from the start. */
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(88, self->buf[1]);
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
}

TEST_F(dup, two_devices_have_a_copy_each)
{
	uint64_t *p = read_mostly(2 * MIB, 4), v = 99;

	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(0, dev_read(self->other, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 4));
	EXPECT_EQ(self->free - 512, nr_free(self->fd));
	EXPECT_EQ(self->free1 - 512, nr_free(self->other));
	EXPECT_EQ(512, stat_of(self->fd, STAT_DUPLICATED));
	EXPECT_EQ(512, stat_of(self->other, STAT_DUPLICATED));
	EXPECT_TRUE(check(p, 2 * MIB, 4));

	/* The CPU's write is seen by both. */
	p[5] = 55;
	EXPECT_EQ(self->free - 511, nr_free(self->fd));
	EXPECT_EQ(self->free1 - 511, nr_free(self->other));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(55, self->buf[5]);
	ASSERT_EQ(0, dev_read(self->other, p, self->buf, PAGE));
	EXPECT_EQ(55, self->buf[5]);

	/* And that of one device by the other one and the CPU. */
	ASSERT_EQ(0, dev_write(self->other, p + 6, &v, 8));
	EXPECT_EQ(hnid_of(self->other), hnid_where(self->other, p));
	EXPECT_EQ(self->free - 511, nr_free(self->fd));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(99, self->buf[6]);
	EXPECT_EQ(55, p[5]);
	EXPECT_EQ(99, p[6]);
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_EQ(self->free1, nr_free(self->other));
}

TEST_F(dup, one_device_is_told_apart)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 5);
	ASSERT_EQ(0, hmadvise(self->hnid, p, 2 * MIB, HMADV_READ_MOSTLY));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	ASSERT_EQ(0, dev_read(self->other, p, self->buf, PAGE));
	EXPECT_EQ(PAGE_DEVICE, where_flags(self->other, p));
	EXPECT_TRUE(check(p, 2 * MIB, 5));
}

struct pair {
	uint64_t *data, *flag;
	int stop;
};

static void *write_in_order(void *arg)
{
	struct pair *pair = arg;
	uint64_t n;

	for (n = 1; !__atomic_load_n(&pair->stop, __ATOMIC_RELAXED); n++) {
		__atomic_store_n(pair->data, n, __ATOMIC_SEQ_CST);
		__atomic_store_n(pair->flag, n, __ATOMIC_SEQ_CST);
		if (n % 8 == 0)
			sched_yield();
	}
	return NULL;
}

/* A device that sees the flag sees the data: no copy is read that is too old. */
TEST_F_TIMEOUT(dup, copies_are_never_old, 120)
{
	uint64_t *p = read_mostly(2 * MIB, 0), flag, data;
	struct pair pair = { .data = p, .flag = p + 512 };
	pthread_t thread;
	unsigned int i;

	*pair.flag = 0;
	*pair.data = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_in_order, &pair));
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, dev_read(i % 2 ? self->fd : self->other, pair.flag,
				      &flag, 8));
		ASSERT_EQ(0, dev_read(i % 2 ? self->fd : self->other, pair.data,
				      &data, 8));
		ASSERT_GE(data, flag);
	}
	__atomic_store_n(&pair.stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* Nor has any stood still. */
	ASSERT_EQ(0, dev_read(self->fd, pair.flag, &flag, 8));
	EXPECT_EQ(*pair.flag, flag);
	ASSERT_EQ(0, dev_read(self->other, pair.data, &data, 8));
	EXPECT_EQ(*pair.data, data);
	EXPECT_GT(stat_of(self->fd, STAT_DUPLICATED), 0);
}

TEST_F_TIMEOUT(dup, all_write_in_turn, 120)
{
	uint64_t *p = read_mostly(2 * MIB, 0), v;
	unsigned int i;

	memset(p, 0, 64 * PAGE);
	for (i = 0; i < 300; i++) {
		uint64_t *word = p + i % 64 * 512;
		int fd = i % 2 ? self->fd : self->other;

		ASSERT_EQ(0, dev_read(self->fd, word, &v, 8));
		ASSERT_EQ(0, dev_read(self->other, word, &v, 8));
		ASSERT_EQ(i / 64 * 2, v);
		ASSERT_EQ(i / 64 * 2, *word);
		v++;
		ASSERT_EQ(0, dev_write(fd, word, &v, 8));
		++*word;
	}
}

TEST_F(dup, what_a_process_does_to_memory)
{
	uint64_t *p = read_mostly(2 * MIB, 6), *q = anon_block(2 * MIB), v = 1;
	pid_t pid;

	/* fork(): each writes its own. */
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	pid = fork();
	if (!pid) {
		p[0] = 1;
		_exit(p[0] != 1 || p[512] != 6 + 512 * 0x9e3779b97f4a7c15ULL);
	}
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_TRUE(check(p, 2 * MIB, 6));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 6));

	ASSERT_EQ(0, mprotect(p, MIB, PROT_READ));
	EXPECT_EQ(-EACCES, dev_write(self->fd, p, &v, 8));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	ASSERT_EQ(0, mprotect(p, MIB, PROT_NONE));
	EXPECT_EQ(-EACCES, dev_read(self->fd, p, &v, 8));
	ASSERT_EQ(0, mprotect(p, MIB, PROT_READ | PROT_WRITE));
	p[3] = 33;
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_EQ(33, self->buf[3]);

	/* The advice goes along. */
	ASSERT_EQ(q, mremap(p, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(-EFAULT, dev_read(self->fd, p, &v, 8));
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, MIB));
	EXPECT_EQ(33, self->buf[3]);
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, q));

	ASSERT_EQ(0, madvise(q, MIB / 2, MADV_DONTNEED));
	EXPECT_EQ(self->free - 128, nr_free(self->fd));
	ASSERT_EQ(0, dev_read(self->fd, q, self->buf, PAGE));
	EXPECT_EQ(0, self->buf[3]);
	munmap(q, 2 * MIB);
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(dup, memory_that_nobody_has_touched)
{
	uint64_t *p = anon_block(2 * MIB);

	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_READ_MOSTLY));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(0, self->buf[0]);
	p[0] = 4;
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(4, self->buf[0]);
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
}

TEST_F(dup, memory_on_another_device)
{
	uint64_t *p = read_mostly(2 * MIB, 7), v = 70;

	ASSERT_EQ(0, dev_write(self->other, p, &v, 8));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	ASSERT_EQ(0, dev_read(self->fd, p, &v, 8));
	EXPECT_EQ(70, v);
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
}

TEST_F(dup, huge_pages)
{
	uint64_t *p = anon_block(2 * MIB);

	madvise(p, 2 * MIB, MADV_HUGEPAGE);
	fill(p, 2 * MIB, 8);
	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_READ_MOSTLY));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 8));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p + 1000));
	p[1000] = 5;
	EXPECT_EQ(PAGE_CPU, where_flags(self->fd, p + 1000));
	ASSERT_EQ(0, dev_read(self->fd, p + 1000, self->buf, 8));
	EXPECT_EQ(5, self->buf[0]);
	EXPECT_TRUE(check(p, PAGE, 8));
}

/* 24 MiB of copies on a device of 16: the old ones go, and nothing is copied back. */
TEST_F_TIMEOUT(dup, copies_are_evicted, 120)
{
	char *p = anon_block(24 * MIB);
	unsigned int round, i;

	ASSERT_EQ(0, hmadvise(-1, p, 24 * MIB, HMADV_READ_MOSTLY));
	for (i = 0; i < 12; i++)
		fill((uint64_t *)(p + i * 2 * MIB), 2 * MIB, 100 + i);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 12; i++) {
			ASSERT_EQ(0, dev_read(self->fd, p + i * 2 * MIB,
					      self->buf, 2 * MIB));
			ASSERT_TRUE(check(self->buf, 2 * MIB, 100 + i));
		}
	}
	EXPECT_GT(stat_of(self->fd, STAT_EVICTED), 2048);
	EXPECT_EQ(0, stat_of(self->fd, STAT_TO_HOST));
	EXPECT_GT(stat_of(self->fd, STAT_DUPLICATED), 4096);
	for (i = 0; i < 12; i++)
		EXPECT_TRUE(check((uint64_t *)(p + i * 2 * MIB), 2 * MIB,
				  100 + i));
	munmap(p, 24 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(dup, prefetch_makes_copies)
{
	uint64_t *p = read_mostly(2 * MIB, 9);
	unsigned int tries;

	ASSERT_EQ(0, hmadvise(self->hnid, p, 2 * MIB, HMADV_PREFETCH));
	for (tries = 0; tries < 300 &&
	     stat_of(self->fd, STAT_DUPLICATED) < 512; tries++)
		usleep(20000);
	EXPECT_EQ(512, stat_of(self->fd, STAT_DUPLICATED));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	EXPECT_EQ(0, stat_of(self->fd, STAT_FAULTS));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 9));
	EXPECT_EQ(0, stat_of(self->fd, STAT_FAULTS));
}

TEST_F(dup, hint_of_one_fault)
{
	uint64_t *p = anon_block(2 * MIB);

	fill(p, 2 * MIB, 10);
	ASSERT_EQ(RET_OK, dev_fault(self->fd, p, ACCESS_READ, HINT_READ_DUP));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	/* For a write it is no advice. */
	ASSERT_EQ(RET_OK, dev_fault(self->fd, p + 20 * 512, ACCESS_WRITE,
				    HINT_READ_DUP));
	EXPECT_EQ(PAGE_DEVICE, where_flags(self->fd, p + 20 * 512));
	EXPECT_TRUE(check(p, 2 * MIB, 10));
}

TEST_F(dup, advice_is_taken_back)
{
	uint64_t *p = read_mostly(2 * MIB, 11);

	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_NO_READ_MOSTLY));
	EXPECT_EQ(PAGE_CPU, where_flags(self->fd, p));
	EXPECT_EQ(self->free, nr_free(self->fd));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	EXPECT_TRUE(check(self->buf, MIB, 11));
	EXPECT_EQ(PAGE_DEVICE, where_flags(self->fd, p));
}

/* Whose word counts: pinned memory moves, a preferred place is no reason to. */
TEST_F(dup, advice_beside_other_advice)
{
	uint64_t *p = read_mostly(4 * MIB, 12);

	ASSERT_EQ(0, hmadvise(-1, p, 2 * MIB, HMADV_PREFERRED));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, PAGE));
	EXPECT_EQ(PAGE_CPU | PAGE_REPLICA, where_flags(self->fd, p));
	ASSERT_EQ(0, hmadvise(self->hnid, p + 2 * MIB / 8, 2 * MIB, HMADV_PIN));
	EXPECT_TRUE(comes_to_be(self->fd, (char *)p + 2 * MIB, 2 * MIB,
				PAGE_DEVICE));
	EXPECT_TRUE(check(p, 4 * MIB, 12));
}

TEST_F(dup, proc_tells)
{
	uint64_t *p = read_mostly(2 * MIB, 13);
	char line[256], want[64];
	int copies = 0, advice = 0;
	FILE *f;

	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, MIB));
	f = fopen("/proc/self/gmem", "r");
	ASSERT_NE(NULL, f);
	snprintf(want, sizeof(want), "  %lx-%lx read-mostly=all",
		 (unsigned long)p, (unsigned long)p + 2 * MIB);
	while (fgets(line, sizeof(line), f)) {
		copies |= !!strstr(line, " dev0=256/0 dup0=256");
		advice |= !strncmp(line, want, strlen(want));
	}
	fclose(f);
	EXPECT_TRUE(copies);
	EXPECT_TRUE(advice);
}

TEST_F(dup, failures_leave_nothing_behind)
{
	uint64_t *p = read_mostly(2 * MIB, 14);
	unsigned int i;

	for (i = 0; i < 8; i++) {
		struct test_gmem_fail fail = {
			.copies = i % 2,
			.enters = !(i % 2),
		};

		ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
		dev_fault(self->fd, p, ACCESS_READ, HINT_HOT);
		memset(&fail, 0, sizeof(fail));
		ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_FAIL, &fail));
		ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
		ASSERT_TRUE(check(self->buf, 2 * MIB, 14));
		ASSERT_TRUE(check(p, 2 * MIB, 14));
		p[0] = p[0];
	}
	munmap(p, 2 * MIB);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_F(dup, end_of_context_and_of_memory)
{
	uint64_t *p = read_mostly(2 * MIB, 15);

	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REPLUG));
	EXPECT_EQ(self->free, nr_free(self->fd));
	ASSERT_EQ(0, dev_read(self->fd, p, self->buf, 2 * MIB));
	EXPECT_TRUE(check(self->buf, 2 * MIB, 15));
	EXPECT_EQ(self->free - 512, nr_free(self->fd));
	ASSERT_EQ(0, ioctl(self->fd, TEST_GMEM_REATTACH));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_TRUE(check(p, 2 * MIB, 15));
}

TEST_HARNESS_MAIN
