/* SPDX-License-Identifier: GPL-2.0-only */
/* The devices made of software, as the tests use them. */
#ifndef _GMEM_TEST_DEVICE_H
#define _GMEM_TEST_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_gmem_uapi.h"

#define DEVICE "/dev/test_gmem"
#define PAGE 4096UL
#define MIB 1048576UL

/* As in <linux/gmem.h> */
enum { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC, ACCESS_ATOMIC };
enum { MODE_SHARE, MODE_EXCLUSIVE, MODE_REPLICATE };
enum { HINT_NONE, HINT_HOT, HINT_REMOTE, HINT_READ_DUP };
enum {
	RET_OK = 0,
	RET_INVALID = 5,
	RET_NO_MAPPING = 6,
	RET_PERM = 7,
	RET_CONFLICT = 14,
};

#define PAGE_CPU 0x10
#define PAGE_DEVICE 0x20
#define PAGE_NOMAP 0x40
#define PAGE_TYPE 0x70
#define PAGE_REMOTE 0x100
#define PAGE_REPLICA 0x200

/* Indices in struct gm_stats */
enum {
	STAT_FAULTS = 0,
	STAT_SPURIOUS = 2,
	STAT_TO_DEVICE = 5,
	STAT_ZEROED = 6,
	STAT_TO_HOST = 7,
	STAT_EVICTED = 8,
	STAT_LOCAL = 9,
	STAT_REMOTE = 10,
	STAT_HUGE = 11,
	STAT_PREFETCHED = 18,
	STAT_REPLICATED = 19,
	STAT_DUPLICATED = 20,
	STAT_LEFT = 21,
	STAT_PROMOTED = 22,
	STAT_FROM_DEVICES = 23,
};

#ifndef __NR_hmadvise
#define __NR_hmadvise 463
#endif

/* As in <linux/gmem.h> */
enum {
	HMADV_DONTNEED = 4,
	HMADV_PREFETCH = 26,
	HMADV_EVICT = 32,
	HMADV_MARK_HOT,
	HMADV_PREFERRED,
	HMADV_NO_PREFERRED,
	HMADV_MAP_REMOTE,
	HMADV_NO_MAP_REMOTE,
	HMADV_PIN,
	HMADV_UNPIN,
	HMADV_READ_MOSTLY,
	HMADV_NO_READ_MOSTLY,
};

static inline int hmadvise(int hnid, const void *start, size_t len, int behavior)
{
	return syscall(__NR_hmadvise, hnid, start, len, behavior) ? -errno : 0;
}

static inline int hnid_of(int fd)
{
	struct test_gmem_info info;

	return ioctl(fd, TEST_GMEM_INFO, &info) ? -1 : (int)info.hnid;
}

static inline int dev_op(int fd, unsigned long cmd, const void *addr,
			 void *buffer, size_t size, unsigned int hint,
			 unsigned int access)
{
	struct test_gmem_op op = {
		.addr = (uintptr_t)addr,
		.buffer = (uintptr_t)buffer,
		.size = size,
		.hint = hint,
		.access = access,
	};

	if (ioctl(fd, cmd, &op))
		return -errno;
	return op.ret;
}

static inline int dev_read(int fd, const void *addr, void *buffer, size_t size)
{
	return dev_op(fd, TEST_GMEM_READ, addr, buffer, size, 0, 0);
}

static inline int dev_write(int fd, void *addr, const void *buffer, size_t size)
{
	return dev_op(fd, TEST_GMEM_WRITE, addr, (void *)buffer, size, 0, 0);
}

static inline int dev_fault(int fd, const void *addr, unsigned int access,
			    unsigned int hint)
{
	return dev_op(fd, TEST_GMEM_FAULT, addr, NULL, 0, hint, access);
}

static inline unsigned int where(int fd, const void *addr)
{
	struct test_gmem_where w = { .addr = (uintptr_t)addr };

	if (ioctl(fd, TEST_GMEM_WHERE, &w) || w.ret)
		return 0;
	return w.flag & PAGE_TYPE;
}

static inline unsigned int where_flags(int fd, const void *addr)
{
	struct test_gmem_where w = { .addr = (uintptr_t)addr };

	return ioctl(fd, TEST_GMEM_WHERE, &w) || w.ret ? 0 : w.flag;
}

/* The hnode a page is on, or -1. */
static inline int hnid_where(int fd, const void *addr)
{
	struct test_gmem_where w = { .addr = (uintptr_t)addr };

	return ioctl(fd, TEST_GMEM_WHERE, &w) || w.ret ? -1 : w.hnid;
}

static inline uint64_t stat_of(int fd, int index)
{
	struct test_gmem_stats stats;

	return ioctl(fd, TEST_GMEM_STATS, &stats) ? ~0ULL : stats.value[index];
}

static inline uint64_t nr_free(int fd)
{
	struct test_gmem_info info;

	return ioctl(fd, TEST_GMEM_INFO, &info) ? ~0ULL : info.nr_free;
}

/* Give the file another address space, of all there is, in another mode. */
static inline int set_mode(int fd, unsigned int mode)
{
	struct test_gmem_range range = { .end = 0x7ffffffff000, .mode = mode };

	return ioctl(fd, TEST_GMEM_RANGE, &range) ? -errno : 0;
}

/* The device tells of what it uses over the bus, or does not. */
static inline int set_counting(int fd, uint64_t on)
{
	return ioctl(fd, TEST_GMEM_COUNT, &on) ? -errno : 0;
}

static inline int dev_accessed(int fd, const void *addr, size_t size)
{
	struct test_gmem_op op = { .addr = (uintptr_t)addr, .size = size };

	return ioctl(fd, TEST_GMEM_ACCESSED, &op) ? -errno : 0;
}

static inline void *anon(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Aligned, so that the block is the test's own. */
static inline void *anon_block(size_t size)
{
	char *p = anon(size + 2 * MIB);
	uintptr_t start = ((uintptr_t)p + 2 * MIB - 1) & ~(2 * MIB - 1);

	if (!p)
		return NULL;
	if (start > (uintptr_t)p)
		munmap(p, start - (uintptr_t)p);
	munmap((char *)start + size, (uintptr_t)p + 2 * MIB - start);
	return (void *)start;
}

static inline void fill(uint64_t *p, size_t size, uint64_t seed)
{
	size_t i;

	for (i = 0; i < size / 8; i++)
		p[i] = seed + i * 0x9e3779b97f4a7c15ULL;
}

static inline int check(const uint64_t *p, size_t size, uint64_t seed)
{
	size_t i;

	for (i = 0; i < size / 8; i++)
		if (p[i] != seed + i * 0x9e3779b97f4a7c15ULL)
			return 0;
	return 1;
}

static inline uint64_t hnode_number(int fd, const char *name)
{
	struct test_gmem_info info;
	char path[96], text[32] = {};
	int file;

	if (ioctl(fd, TEST_GMEM_INFO, &info))
		return ~0ULL;
	snprintf(path, sizeof(path), "/sys/kernel/mm/gmem/hnode%u/%s",
		 info.hnid, name);
	file = open(path, O_RDONLY);
	if (file < 0)
		return ~0ULL;
	if (read(file, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	close(file);
	return strtoull(text, NULL, 0);
}

/* Wait for a prefetch: it goes on in the background. */
static inline int comes_to_be(int fd, const char *p, size_t size, unsigned int type)
{
	unsigned int tries;
	size_t done = 0;

	for (tries = 0; tries < 300; tries++) {
		while (done < size && where(fd, p + done) == type)
			done += PAGE;
		if (done >= size)
			return 1;
		usleep(20000);
	}
	return 0;
}

static inline int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#endif
