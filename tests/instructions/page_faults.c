/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page faults of a process that no device has ever seen, between markers: of memory touched first,
 * of memory copied on write, and of a file that is in the page cache. Runs in the guest.
 */
#include "markers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define SIZE (1024 * PAGE)
#define ROUNDS 30

enum kind { FIRST_TOUCH, COPY_ON_WRITE, CACHED_FILE };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

#define MARK(number) __asm__ volatile(".byte 0x0f, 0x1f, 0x80\n.long %c0" ::"i"(number) : "memory")

static volatile unsigned char *map(int flags, int fd)
{
    unsigned char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

    /* One fault for each page, and not what a huge page saves. */
    if (p == MAP_FAILED || madvise(p, SIZE, MADV_NOHUGEPAGE) || madvise(p, SIZE, MADV_RANDOM))
        fail("mmap");
    return p;
}

static void unmap(volatile unsigned char *p) { munmap((void *)p, SIZE); }

static void first_touch(void)
{
    volatile unsigned char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

    MARK(INSTRUCTIONS_BEGIN);
    for (size_t at = 0; at < SIZE; at += PAGE)
        p[at] = 1;
    MARK(INSTRUCTIONS_END + FIRST_TOUCH);
    unmap(p);
}

static void copy_on_write(void)
{
    volatile unsigned char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
    int status;
    pid_t child;

    memset((void *)p, 1, SIZE);
    child = fork();
    if (child < 0)
        fail("fork");
    if (!child) {
        MARK(INSTRUCTIONS_BEGIN);
        for (size_t at = 0; at < SIZE; at += PAGE)
            p[at] = 2;
        MARK(INSTRUCTIONS_END + COPY_ON_WRITE);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status)
        fail("the child");
    unmap(p);
}

static void cached_file(int fd)
{
    volatile unsigned char *p = map(MAP_SHARED, fd);
    unsigned char sum = 0;

    MARK(INSTRUCTIONS_BEGIN);
    for (size_t at = 0; at < SIZE; at += PAGE)
        sum += p[at];
    MARK(INSTRUCTIONS_END + CACHED_FILE);
    if (sum)
        fail("the file");
    unmap(p);
}

int main(void)
{
    const int fd = memfd_create("page-faults", 0);

    if (fd < 0 || ftruncate(fd, SIZE))
        fail("memfd_create");
    for (int round = 0; round < ROUNDS; round++) {
        first_touch();
        copy_on_write();
        cached_file(fd);
    }
    return 0;
}
