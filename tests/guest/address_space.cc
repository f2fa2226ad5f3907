// SPDX-License-Identifier: GPL-2.0-or-later
// The address space changes while the device uses it, and has its pages if it migrates: fork,
// munmap, mremap, mprotect, madvise; and memory of every kind.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "modes.h"

namespace {

constexpr size_t pages = 64;
constexpr size_t huge_page = 2 << 20;

ModeTest fork_child_reads("fork while pages are on the device: both see the data", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        const bool right = pages_are(memory, 1100);
        number_pages(memory, 5);
        _exit(right && pages_are(memory, 5) ? 0 : 1);
    }
    EXPECT(pages_are(memory, 1100));
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT(pages_are(memory, 1100));
});

ModeTest fork_device_writes("after fork the device writes to the parent's copy only", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    int go[2];
    char byte;

    EXPECT_EQUAL(pipe(go), 0);
    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        const bool told = read(go[0], &byte, 1) == 1;
        _exit(told && pages_are(memory, 1100) ? 0 : 1);
    }
    touch_on_device(acc, memory, 10000);
    EXPECT_EQUAL(write(go[1], "g", 1), 1);
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT(pages_are(memory, 11100));
});

ModeTest fork_child_device("a child opens the device for itself and uses what it inherited", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        int status = 1;
        try {
            Accelerator own(mode);
            touch_on_device(own, memory, 5000);
            status = pages_are(memory, 6100) ? 0 : 2;
        } catch (const std::exception &error) {
            harness::note(error.what());
            fflush(stdout);
        }
        _exit(status);
    }
    touch_on_device(acc, memory, 7000);
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT(pages_are(memory, 8100));
});

ModeTest fork_handles("a child cannot use its parent's context", [](auto mode) {
    Accelerator acc(mode);
    gmemu_queue *queue = nullptr;
    const pid_t child = fork();

    EXPECT(child >= 0);
    if (child == 0) {
        const int result = gmemu_queue_create(acc.context.get(), nullptr, &queue);
        _exit(result < 0 ? 0 : 1);
    }
    EXPECT_EQUAL(wait_for(child), 0);
    uint64_t word = 0;
    acc.run("store_at", access_args{&word, nullptr, 3});
    EXPECT_EQUAL(word, 3u);
});

ModeTest unmap("munmap takes the pages away from the device", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    const uint64_t va = memory.va();
    uint64_t result = 0;

    touch_on_device(acc, memory, 1);
    memory.unmap();
    acc.start(acc.queue, "load_at", access_args{reinterpret_cast<uint64_t *>(va), &result, 0});
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_UNMAPPED});
    EXPECT_EQUAL(error.va, va);
});

ModeTest remap_at_same_place("a new mapping at an old address is empty for the device too", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    for (uint64_t round = 1; round <= 20; round++) {
        touch_on_device(acc, memory, round);
        EXPECT_EQUAL(*memory.page(round), round);
        EXPECT(mmap(memory.address(), memory.bytes(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory.address());
    }
});

ModeTest move("mremap moves pages that are on the device", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    const uint64_t old_va = memory.va();
    uint64_t result = 0;

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    memory.move_to_bigger(2 * pages * page_size);
    EXPECT(memory.va() != old_va);
    touch_on_device(acc, memory, 10000);
    for (size_t page = 0; page < pages; page++)
        EXPECT_EQUAL(*memory.page(page), 11100 + page);
    EXPECT_EQUAL(*memory.page(pages), 10000u);
    acc.start(acc.queue, "load_at", access_args{reinterpret_cast<uint64_t *>(old_va), &result, 0});
    EXPECT_EQUAL(failure_of(acc.queue).va, old_va);
});

ModeTest protect("mprotect is obeyed at once, both ways", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    memory.protect(PROT_READ);
    {
        gmemu::Queue queue(acc.context);
        acc.start(queue, "store_at", access_args{memory.page(3), nullptr, 1});
        const gmemu_queue_error error = failure_of(queue);
        EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_PERM});
        EXPECT_EQUAL(error.va, memory.va() + 3 * page_size);
    }
    memory.protect(PROT_NONE);
    {
        gmemu::Queue queue(acc.context);
        uint64_t result = 0;
        acc.start(queue, "load_at", access_args{memory.page(4), &result, 0});
        EXPECT_EQUAL(failure_of(queue).reason, uint32_t{GMEMU_REASON_PERM});
    }
    memory.protect(PROT_READ | PROT_WRITE);
    touch_on_device(acc, memory, 10000);
    EXPECT(pages_are(memory, 11100));
});

ModeTest dontneed("MADV_DONTNEED empties pages that are on the device", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    for (unsigned round = 0; round < 20; round++) {
        touch_on_device(acc, memory, 7);
        EXPECT_EQUAL(madvise(memory.address(), memory.bytes(), MADV_DONTNEED), 0);
        touch_on_device(acc, memory, 9);
        for (size_t page = 0; page < pages; page++)
            EXPECT_EQUAL(*memory.page(page), 9u);
        EXPECT_EQUAL(madvise(memory.address(), memory.bytes(), MADV_DONTNEED), 0);
    }
});

ModeTest unmap_under_kernel(
    "munmap under a running kernel stops it with an error, every time",
    [](auto mode) {
        for (unsigned round = 0; round < 20; round++) {
            Accelerator acc(mode);
            Mapping memory(16 * page_size);
            const uint64_t va = memory.va();
            uint64_t running = 0;

            acc.start(acc.queue, "churn", churn_args{memory.words(), 16, &running}, acc.device.info().cores);
            EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0; }));
            memory.unmap();
            const gmemu_queue_error error = failure_of(acc.queue);
            EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
            EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_UNMAPPED});
            EXPECT(error.va >= va);
            EXPECT(error.va < va + 16 * page_size);
        }
    },
    std::chrono::seconds(120));

ModeTest change_under_kernel(
    "protection and contents change under a running kernel without harm",
    [](auto mode) {
        Accelerator acc(mode);
        Mapping memory(16 * page_size);
        uint64_t running = 0;
        // Not cores many: the page is the CPU's in between, and someone must get it.
        acc.start(acc.queue, "churn", churn_args{memory.words(), 16, &running}, 2);
        EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 2; }));

        for (unsigned round = 0; round < 100; round++) {
            EXPECT_EQUAL(madvise(memory.page(round % 16), page_size, MADV_DONTNEED), 0);
            // It starts again from 0 and the kernel goes on adding to it.
            EXPECT(
                wait_until([&] { return __atomic_load_n(memory.page(round % 16), __ATOMIC_RELAXED) > 0; }));
        }
        EXPECT_EQUAL(acc.queue.error().code, 0u);
    },
    std::chrono::seconds(120));

ModeTest kinds("memory of every kind is device memory", [](auto mode) {
    Accelerator acc(mode);
    static uint64_t in_data = 1, in_bss;
    uint64_t on_stack = 2;
    auto *on_heap = static_cast<uint64_t *>(std::malloc(8));
    auto *big_heap = static_cast<uint64_t *>(std::malloc(4 << 20));
    Mapping shared(page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    Mapping huge(2 * huge_page);
    uint64_t *in_huge = huge.page((huge_page - huge.va() % huge_page) / page_size);
    thread_local uint64_t in_tls = 3;

    EXPECT_EQUAL(madvise(huge.address(), huge.bytes(), MADV_HUGEPAGE), 0);
    big_heap[1000] = 5;
    *on_heap = 4;
    *in_huge = 6;
    for (uint64_t *word : {&in_data, &in_bss, &on_stack, on_heap, big_heap + 1000, shared.words(), &in_tls,
                           in_huge, in_huge + 500 * words_per_page}) {
        const uint64_t before = *word;
        uint64_t seen = 0;
        acc.run("atomic_at", access_args{word, &seen, 100});
        EXPECT_EQUAL(seen, before);
        EXPECT_EQUAL(*word, before + 100);
    }
    std::free(on_heap);
    std::free(big_heap);
});

ModeTest file_private("a private file mapping: read from the file, writes stay private", [](auto mode) {
    Accelerator acc(mode);
    char path[] = "/tmp/gmemu-as.XXXXXX";
    const int fd = mkstemp(path);
    EXPECT(fd >= 0);
    unlink(path);
    const std::vector<uint64_t> content(words_per_page, 77);
    EXPECT_EQUAL(write(fd, content.data(), page_size), static_cast<ssize_t>(page_size));
    Mapping memory(page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
    uint64_t seen = 0, in_file = 0;

    acc.run("load_at", access_args{memory.words() + 9, &seen, 0});
    EXPECT_EQUAL(seen, 77u);
    acc.run("store_at", access_args{memory.words() + 9, nullptr, 78});
    EXPECT_EQUAL(memory.words()[9], 78u);
    EXPECT_EQUAL(pread(fd, &in_file, 8, 72), 8);
    EXPECT_EQUAL(in_file, 77u);
    close(fd);
});

ModeTest shared_memory("two processes and the device share a mapping", [](auto mode) {
    Mapping memory(page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    const pid_t child = fork();

    EXPECT(child >= 0);
    if (child == 0) {
        int status = 1;
        try {
            Accelerator acc(mode);
            acc.run("atomic_add", gmemu_atomic_add_args{memory.words(), 1, 1000}, 4);
            status = 0;
        } catch (const std::exception &error) {
            harness::note(error.what());
            fflush(stdout);
        }
        _exit(status);
    }
    {
        Accelerator acc(mode);
        acc.run("atomic_add", gmemu_atomic_add_args{memory.words(), 1, 1000}, 4);
    }
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT_EQUAL(*memory.words(), 8000u);
});

ModeTest copy_on_write("copy-on-write is broken for the device as for the CPU", [](auto mode) {
    Mapping memory(4 * page_size);
    number_pages(memory, 10);
    int go[2];
    char byte;
    EXPECT_EQUAL(pipe(go), 0);
    const pid_t child = fork();

    EXPECT(child >= 0);
    if (child == 0) {
        const bool told = read(go[0], &byte, 1) == 1;
        _exit(told && pages_are(memory, 10) ? 0 : 1);
    }
    Accelerator acc(mode);
    touch_on_device(acc, memory, 100);
    EXPECT(pages_are(memory, 110));
    EXPECT_EQUAL(write(go[1], "g", 1), 1);
    EXPECT_EQUAL(wait_for(child), 0);
});

} // namespace
