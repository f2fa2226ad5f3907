// SPDX-License-Identifier: GPL-2.0-or-later
//
// Makes the device work in the address space of another process, without changing what is in it:
// pages are read by the device, moved to its memory, and moved back.
//
//   hammer PID MIRROR READY LOCK LOG MODE
//
// MIRROR is /dev/hmm_dmirrorN, opened by PID; READY a pipe that gets a byte when it begins. LOCK
// is locked as long as it runs. A line about what was done is added to LOG in the end.
//
// Only memory that is there is touched, since the device would fill what is not, as any other
// access would. What else is not touched, and whether the process runs meanwhile, is the MODE's:
//
//   free      all that is there, while the process runs, which may unmap it
//   moving    the device reads only what it could move to its memory a moment before: GMEM serves
//             a fault on anything else with some pages beside it, also such as were not there
//   still     likewise, and the process is stopped while the device works
//   small     likewise, and huge pages stay where they are: Linux splits those that move
//   replica   for a device that keeps a replica of the CPU's page table (dmirror=2): nothing moves,
//             it reads all there is while the process is stopped, and what it has besides follows
//             whatever the process does

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include "lib/test_hmm_uapi.h"

#define PAGE 4096ul
#define RUN_PAGES 64ul // of one call
#define ROUND_PAGES 1024ul // of one round, of all mappings

static pid_t pid;
static int mirror, maps = -1, pagemap = -1, alive = -1;
static const struct mode {
	const char *name;
	bool stops, reads_all, moves, moves_huge;
} modes[] = {
	{"free", .reads_all = true, .moves = true, .moves_huge = true},
	{"moving", .moves = true, .moves_huge = true},
	{"still", .stops = true, .moves = true, .moves_huge = true},
	{"small", .stops = true, .moves = true},
	{"replica", .stops = true, .reads_all = true},
}, *mode;
static char *buffer;
static uint64_t seed;
static struct {
	unsigned long rounds, read, to_device, to_system, failed;
} done;

static uint64_t random_below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static int open_of_process(const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool ended(void)
{
	struct pollfd fd = {.fd = alive, .events = POLLIN};

	return poll(&fd, 1, 0) != 0;
}

// Do all threads stand still? A state is the letter behind the name in brackets.
static bool all_stopped(void)
{
	char path[300], stat[512];
	struct dirent *entry;
	bool stopped = true;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return false;
	while (stopped && (entry = readdir(tasks))) {
		const char *state;
		ssize_t n;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", pid, entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue; // it has just ended
		stat[n] = 0;
		state = strrchr(stat, ')');
		stopped = state && strchr("TZX", state[2]);
	}
	closedir(tasks);
	return stopped;
}

static bool stop(void)
{
	if (kill(pid, SIGSTOP))
		return false;
	for (int i = 0; i < 200; i++) {
		if (all_stopped())
			return true;
		usleep(500);
	}
	// A thread that waits for a child of vfork(), or for a fault, does not stop.
	return false;
}

static bool act(unsigned long what, uint64_t start, uint64_t pages, unsigned long *count)
{
	struct hmm_dmirror_cmd cmd = {.addr = start, .ptr = (uintptr_t)buffer, .npages = pages};
	bool ok = ioctl(mirror, what, &cmd) == 0;

	*count += cmd.cpages;
	if (!ok)
		done.failed++;
	return ok;
}

// Pages that are next to each other and all there.
static void work_on(uint64_t start, uint64_t pages)
{
	uint64_t what = random_below(8);
	bool there = mode->reads_all;

	if (mode->moves && what < 6)
		there |= act(HMM_DMIRROR_MIGRATE_TO_DEV, start, pages, &done.to_device);
	if (there && (what > 2 || !mode->moves))
		act(HMM_DMIRROR_READ, start, pages, &done.read);
	if (mode->moves && (what == 1 || what == 4))
		act(HMM_DMIRROR_MIGRATE_TO_SYS, start, pages, &done.to_system);
}

static uint64_t work_on_mapping(uint64_t start, uint64_t end, uint64_t budget)
{
	static struct page_region regions[ROUND_PAGES];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.vec = (uintptr_t)regions,
		.vec_len = ROUND_PAGES,
		.category_mask = PAGE_IS_PRESENT,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_HUGE,
	};
	uint64_t pages = (end - start) / PAGE, at, n;
	int found;

	// A part of one that is large, another one each time.
	if (pages > budget) {
		start += random_below(pages - budget + 1) * PAGE;
		pages = budget;
	}
	scan.start = start;
	scan.end = start + pages * PAGE;
	found = ioctl(pagemap, PAGEMAP_SCAN, &scan);
	for (int i = 0; i < found; i++) {
		if (mode->moves && !mode->moves_huge && regions[i].categories & PAGE_IS_HUGE)
			continue;
		for (at = regions[i].start; at < regions[i].end; at += n * PAGE) {
			n = (regions[i].end - at) / PAGE;
			n = n < RUN_PAGES ? n : RUN_PAGES;
			work_on(at, n);
		}
	}
	return pages;
}

// All anonymous mappings that may be read, and others too: these the device reads where they are.
static void work(void)
{
	static char text[1 << 18];
	uint64_t budget = ROUND_PAGES;
	ssize_t n, length = 0;
	char *line, *rest;

	lseek(maps, 0, SEEK_SET);
	while (length < (ssize_t)sizeof(text) - 1 &&
	       (n = read(maps, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	text[length] = 0;
	rest = text;
	while (budget && (line = strsep(&rest, "\n")) && *line) {
		uint64_t start, end, inode, share;
		char rights[5];

		if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, rights, &inode) != 4 ||
		    rights[0] != 'r' || strstr(line, "[v"))
			continue;
		// Memory the program has mapped first: libraries are read by everybody.
		share = inode && strstr(line, ".so") ? 16 : budget;
		budget -= work_on_mapping(start, end, share < budget ? share : budget);
	}
}

static void round_of_work(void)
{
	if (!mode->stops || stop())
		work();
	if (mode->stops)
		kill(pid, SIGCONT);
	done.rounds++;
}

int main(int argc, char **argv)
{
	int ready, lock, log;

	if (argc != 7)
		return 2;
	pid = atoi(argv[1]);
	mirror = atoi(argv[2]);
	ready = atoi(argv[3]);
	lock = open(argv[4], O_CREAT | O_RDONLY | O_CLOEXEC, 0666);
	log = open(argv[5], O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[6], modes[i].name) == 0)
			mode = &modes[i];
	if (!mode)
		return 2;
	seed = pid * 0x9e3779b97f4a7c15ull | 1;
	buffer = mmap(NULL, RUN_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	alive = syscall(SYS_pidfd_open, pid, 0);
	maps = open_of_process("maps");
	pagemap = open_of_process("pagemap");
	if (lock < 0 || log < 0 || alive < 0 || maps < 0 || pagemap < 0 || buffer == MAP_FAILED) {
		perror("hammer");
		return 1;
	}
	flock(lock, LOCK_SH);
	// The output of the program ends when the program does.
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (write(ready, "", 1) != 1)
		return 1;
	close(ready);
	while (!ended()) {
		round_of_work();
		usleep(200 + random_below(2000));
	}
	dprintf(log, "%lu rounds, pages %lu read, %lu to the device, %lu back, %lu calls refused\n", done.rounds,
		done.read, done.to_device, done.to_system, done.failed);
	return 0;
}
