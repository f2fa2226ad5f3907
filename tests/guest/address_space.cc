// SPDX-License-Identifier: GPL-2.0-or-later
// The address space changes while pages are on the device: fork, munmap, mremap, mprotect,
// madvise; and memory of every kind.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "device.h"

namespace {

using harness::Test;

constexpr size_t pages = 64;

void number_pages(const Mapping &memory, uint64_t first)
{
    for (size_t page = 0; page < memory.pages(); page++)
        *memory.page(page) = first + page;
}

// The device adds to the first word of each page, which brings them all there.
void touch_on_device(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    for (size_t page = 0; page < memory.pages(); page++)
        acc.start(acc.queue, "increment", increment_args{memory.page(page), value});
    acc.queue.wait_idle(patience);
}

bool pages_are(const Mapping &memory, uint64_t first)
{
    for (size_t page = 0; page < memory.pages(); page++)
        if (*memory.page(page) != first + page)
            return false;
    return true;
}

int wait_for(pid_t child)
{
    int status = -1;

    waitpid(child, &status, 0);
    return status;
}

Test fork_child_reads("fork while pages are on the device: both see the data", [] {
    Accelerator acc;
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

Test fork_device_writes("after fork the device writes to the parent's copy only", [] {
    Accelerator acc;
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

Test fork_child_device("a child opens the device for itself and uses what it inherited", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        int status = 1;
        try {
            Accelerator own;
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

Test fork_handles("a child cannot use its parent's context", [] {
    Accelerator acc;
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

Test unmap("munmap takes the pages away from the device", [] {
    Accelerator acc;
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

Test remap_at_same_place("a new mapping at an old address is empty for the device too", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);

    for (uint64_t round = 1; round <= 20; round++) {
        touch_on_device(acc, memory, round);
        EXPECT_EQUAL(*memory.page(round), round);
        EXPECT(mmap(memory.address(), memory.bytes(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory.address());
    }
});

Test move("mremap moves pages that are on the device", [] {
    Accelerator acc;
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

Test protect("mprotect is obeyed at once, both ways", [] {
    Accelerator acc;
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
    memory.protect(PROT_READ | PROT_WRITE);
    touch_on_device(acc, memory, 10000);
    EXPECT(pages_are(memory, 11100));
});

Test dontneed("MADV_DONTNEED empties pages that are on the device", [] {
    Accelerator acc;
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

Test unmap_under_kernel(
    "munmap under a running kernel stops it with an error, every time",
    [] {
        for (unsigned round = 0; round < 20; round++) {
            Accelerator acc;
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

Test change_under_kernel(
    "protection and contents change under a running kernel without harm",
    [] {
        Accelerator acc;
        Mapping memory(16 * page_size);
        uint64_t running = 0;
        // Not cores many: the page is the CPU's in between, and someone must get it.
        acc.start(acc.queue, "churn", churn_args{memory.words(), 16, &running}, 2);
        EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 2; }));

        for (unsigned round = 0; round < 100; round++) {
            const uint64_t seen = __atomic_load_n(memory.page(round % 16), __ATOMIC_RELAXED);
            EXPECT_EQUAL(madvise(memory.page(round % 16), page_size, MADV_DONTNEED), 0);
            // It starts again from 0 and the kernel goes on adding to it.
            (void)seen;
            EXPECT(
                wait_until([&] { return __atomic_load_n(memory.page(round % 16), __ATOMIC_RELAXED) > 0; }));
        }
        EXPECT_EQUAL(acc.queue.error().code, 0u);
    },
    std::chrono::seconds(120));

Test kinds("memory of every kind is device memory", [] {
    Accelerator acc;
    static uint64_t in_data = 1, in_bss;
    uint64_t on_stack = 2;
    auto *on_heap = static_cast<uint64_t *>(std::malloc(8));
    auto *big_heap = static_cast<uint64_t *>(std::malloc(4 << 20));
    Mapping shared(page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    thread_local uint64_t in_tls = 3;

    big_heap[1000] = 5;
    *on_heap = 4;
    for (uint64_t *word : {&in_data, &in_bss, &on_stack, on_heap, big_heap + 1000, shared.words(), &in_tls}) {
        const uint64_t before = *word;
        uint64_t seen = 0;
        acc.run("atomic_at", access_args{word, &seen, 100});
        EXPECT_EQUAL(seen, before);
        EXPECT_EQUAL(*word, before + 100);
    }
    std::free(on_heap);
    std::free(big_heap);
});

Test file_private("a private file mapping: read from the file, writes stay private", [] {
    Accelerator acc;
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

Test shared_memory("two processes and the device share a mapping", [] {
    Mapping memory(page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    const pid_t child = fork();

    EXPECT(child >= 0);
    if (child == 0) {
        int status = 1;
        try {
            Accelerator acc;
            acc.run("atomic_add", gmemu_atomic_add_args{memory.words(), 1, 1000}, 4);
            status = 0;
        } catch (const std::exception &error) {
            harness::note(error.what());
            fflush(stdout);
        }
        _exit(status);
    }
    {
        Accelerator acc;
        acc.run("atomic_add", gmemu_atomic_add_args{memory.words(), 1, 1000}, 4);
    }
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT_EQUAL(*memory.words(), 8000u);
});

Test copy_on_write("copy-on-write is broken for the device as for the CPU", [] {
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
    Accelerator acc;
    touch_on_device(acc, memory, 100);
    EXPECT(pages_are(memory, 110));
    EXPECT_EQUAL(write(go[1], "g", 1), 1);
    EXPECT_EQUAL(wait_for(child), 0);
});

} // namespace
