// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that a process has on a device is charged to its memory cgroup, as it
 * is in system memory.
 */
#include "../kselftest_harness.h"
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "gmem_device.h"

/* Half of the device, so that it does not evict. */
#define SIZE (8 * MIB)
/* The kernel charges in batches, per CPU. */
#define SLACK MIB

FIXTURE(memcg)
{
	char root[32];
	char group[48];
	int fd;
	uint64_t free;
};

static int group_write(const char *group, const char *name, const char *value)
{
	char path[96];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int64_t group_read(const char *group, const char *name)
{
	char path[96], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atoll(text);
}

static int64_t charged(const char *group)
{
	return group_read(group, "memory.current");
}

FIXTURE_SETUP(memcg)
{
	snprintf(self->root, sizeof(self->root), "/tmp/gmem-cgroup-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->root));
	if (mount("cgroup2", self->root, "cgroup2", 0, NULL)) {
		rmdir(self->root);
		SKIP(return, "cgroup2 cannot be mounted");
	}
	snprintf(self->group, sizeof(self->group), "%s/test-%d", self->root,
		 getpid());
	ASSERT_EQ(0, group_write(self->root, "cgroup.subtree_control",
				 "+memory"));
	ASSERT_EQ(0, mkdir(self->group, 0755));
	ASSERT_EQ(0, group_write(self->group, "cgroup.procs", "0"));
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0);
	self->free = nr_free(self->fd);
}

FIXTURE_TEARDOWN(memcg)
{
	close(self->fd);
	group_write(self->root, "cgroup.procs", "0");
	EXPECT_EQ(0, rmdir(self->group));
	umount2(self->root, MNT_DETACH);
	rmdir(self->root);
}

TEST_F(memcg, charge_goes_along)
{
	char *buf = anon(SIZE), *p = anon_block(SIZE);
	int64_t before, with;
	unsigned int round;

	memset(buf, 1, SIZE);
	before = charged(self->group);
	memset(p, 2, SIZE);
	with = charged(self->group);
	EXPECT_GE(with, before + (int64_t)(SIZE - SLACK));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, dev_read(self->fd, p, buf, SIZE));
		ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
		EXPECT_LE(llabs(charged(self->group) - with), (int64_t)SLACK);
		memset(p, 3, SIZE);
		ASSERT_EQ(PAGE_CPU, where(self->fd, p));
		EXPECT_LE(llabs(charged(self->group) - with), (int64_t)SLACK);
	}
	ASSERT_EQ(0, dev_read(self->fd, p, buf, SIZE));
	munmap(p, SIZE);
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_LE(llabs(charged(self->group) - before), (int64_t)SLACK);
}

TEST_F(memcg, first_touch_by_the_device_is_charged)
{
	char *buf = anon(SIZE), *p = anon_block(SIZE);
	int64_t before;

	memset(buf, 1, SIZE);
	before = charged(self->group);
	ASSERT_EQ(0, dev_write(self->fd, p, buf, SIZE));
	ASSERT_EQ(PAGE_DEVICE, where(self->fd, p));
	EXPECT_GE(charged(self->group), before + (int64_t)(SIZE - SLACK));
	munmap(p, SIZE);
	EXPECT_LE(llabs(charged(self->group) - before), (int64_t)SLACK);
}

TEST_F(memcg, limit_holds_on_the_device)
{
	char *buf = anon(SIZE), *p = anon_block(SIZE);
	int64_t before;
	char limit[32];
	int status;
	pid_t pid;

	memset(buf, 1, SIZE);
	before = charged(self->group);
	snprintf(limit, sizeof(limit), "%lld",
		 (long long)before + (long long)SIZE / 2);
	ASSERT_EQ(0, group_write(self->group, "memory.max", limit));
	pid = fork();
	if (!pid) {
		int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

		_exit(fd < 0 ? 99 : dev_write(fd, p, buf, SIZE) ? 1 : 0);
	}
	/* An error of the device, or the OOM killer; all that matters is an end. */
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == 1));
	ASSERT_EQ(0, group_write(self->group, "memory.max", "max"));
	EXPECT_EQ(self->free, nr_free(self->fd));
	EXPECT_LE(llabs(charged(self->group) - before), (int64_t)SLACK);
	/* What failed for want of memory works when there is some. */
	EXPECT_EQ(0, dev_write(self->fd, p, buf, SIZE));
}

/*
 * While a device is served for a process, the process's memory cannot go. The OOM
 * killer of the cgroup must not take what is left there for the next to kill.
 */
TEST_F(memcg, limit_kills_nobody_else)
{
	char *buf = anon(SIZE), *p = anon_block(SIZE);
	pid_t pid, bystander;
	int ready[2], status;
	char limit[32], c;
	int fd, pidfd;

	memset(buf, 1, SIZE);
	ASSERT_EQ(0, group_write(self->root, "cgroup.procs", "0"));
	ASSERT_EQ(0, pipe(ready));
	bystander = fork();
	if (!bystander) {
		if (group_write(self->group, "cgroup.procs", "0") ||
		    write(ready[1], "b", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	pid = fork();
	if (!pid) {
		if (group_write(self->group, "cgroup.procs", "0") ||
		    dup2(open(DEVICE, O_RDWR), 100) != 100 ||
		    write(ready[1], "p", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(1, read(ready[0], &c, 1));
	snprintf(limit, sizeof(limit), "%lld",
		 (long long)charged(self->group) + (long long)SIZE / 2);
	ASSERT_EQ(0, group_write(self->group, "memory.max", limit));
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	fd = syscall(SYS_pidfd_getfd, pidfd, 100, 0);
	ASSERT_GE(fd, 0);

	/* Its process does nothing, and so ends as soon as it is killed. */
	EXPECT_NE(0, dev_write(fd, p, buf, SIZE));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_EQ(0, kill(bystander, SIGTERM));
	EXPECT_EQ(bystander, waitpid(bystander, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	close(fd);
	close(pidfd);
	close(ready[0]);
	close(ready[1]);
	EXPECT_EQ(self->free, nr_free(self->fd));
}

TEST_HARNESS_MAIN
