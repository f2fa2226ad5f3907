// SPDX-License-Identifier: GPL-2.0-or-later
// Accesses that must not succeed: the queue errors with address and access, the process
// lives, everything else goes on.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

namespace {

using harness::Test;

void expect_fault(Accelerator &acc, const char *kernel, uint64_t va, uint32_t access, uint32_t reason)
{
    uint64_t result = 0;

    acc.start(acc.queue, kernel, access_args{reinterpret_cast<uint64_t *>(va), &result, 1});
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
    EXPECT_EQUAL(error.va, va);
    EXPECT_EQUAL(error.access, access);
    EXPECT_EQUAL(error.reason, reason);
    EXPECT(error.hart < acc.device.info().cores);
    if (access != GMEMU_ACCESS_EXEC)
        EXPECT(error.pc != 0);

    // The process lives and can go on with another queue.
    uint64_t word = 0;
    gmemu::Queue queue(acc.context);
    acc.start(queue, "store_at", access_args{&word, nullptr, 7});
    queue.wait_idle(patience);
    EXPECT_EQUAL(word, 7u);
}

Test unmapped_read("read of an unmapped address", [] {
    Accelerator acc;
    Mapping memory(page_size);
    const uint64_t va = memory.va() + 24;

    memory.unmap();
    expect_fault(acc, "load_at", va, GMEMU_ACCESS_READ, GMEMU_REASON_UNMAPPED);
});

Test unmapped_write("write to an unmapped address", [] {
    Accelerator acc;
    Mapping memory(page_size);
    const uint64_t va = memory.va() + 8;

    memory.unmap();
    expect_fault(acc, "store_at", va, GMEMU_ACCESS_WRITE, GMEMU_REASON_UNMAPPED);
});

Test null_read("read of address 0", [] {
    Accelerator acc;

    expect_fault(acc, "load_at", 0, GMEMU_ACCESS_READ, GMEMU_REASON_UNMAPPED);
});

Test beyond("read beyond the address space", [] {
    Accelerator acc;

    expect_fault(acc, "load_at", 0xffff800000001000, GMEMU_ACCESS_READ, GMEMU_REASON_UNMAPPED);
});

Test none_read("read of a PROT_NONE page", [] {
    Accelerator acc;
    Mapping memory(page_size);

    memory.words()[0] = 1;
    memory.protect(PROT_NONE);
    expect_fault(acc, "load_at", memory.va(), GMEMU_ACCESS_READ, GMEMU_REASON_PERM);
});

Test read_only("write to a read-only page", [] {
    Accelerator acc;
    Mapping memory(page_size);

    memory.words()[1] = 5;
    memory.protect(PROT_READ);
    uint64_t seen = 0;
    acc.run("load_at", access_args{memory.words() + 1, &seen, 0});
    EXPECT_EQUAL(seen, 5u);
    expect_fault(acc, "store_at", memory.va() + 8, GMEMU_ACCESS_WRITE, GMEMU_REASON_PERM);
    EXPECT_EQUAL(memory.words()[1], 5u);
});

Test read_only_atomic("atomic on a read-only page", [] {
    Accelerator acc;
    Mapping memory(page_size);

    memory.words()[0] = 5;
    memory.protect(PROT_READ);
    expect_fault(acc, "atomic_at", memory.va(), GMEMU_ACCESS_ATOMIC, GMEMU_REASON_PERM);
    EXPECT_EQUAL(memory.words()[0], 5u);
});

Test fetch_unmapped("instruction fetch from an unmapped address", [] {
    Accelerator acc;
    Mapping memory(page_size);
    const uint64_t va = memory.va();

    memory.unmap();
    expect_fault(acc, "call_at", va, GMEMU_ACCESS_EXEC, GMEMU_REASON_UNMAPPED);
});

Test fetch_data("instruction fetch from memory that is not executable", [] {
    Accelerator acc;
    Mapping memory(page_size);

    memory.words()[0] = 0x8082; // c.ret
    expect_fault(acc, "call_at", memory.va(), GMEMU_ACCESS_EXEC, GMEMU_REASON_PERM);
    memory.protect(PROT_READ | PROT_EXEC);
    gmemu::Queue queue(acc.context);
    acc.start(queue, "call_at", access_args{memory.words(), nullptr, 0});
    queue.wait_idle(patience);
});

Test file_end("access behind the end of a file", [] {
    Accelerator acc;
    char path[] = "/tmp/gmemu-faults.XXXXXX";
    const int fd = mkstemp(path);
    EXPECT(fd >= 0);
    unlink(path);
    EXPECT_EQUAL(ftruncate(fd, page_size), 0);
    Mapping memory(2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    close(fd);

    acc.run("store_at", access_args{memory.words(), nullptr, 3});
    EXPECT_EQUAL(memory.words()[0], 3u);
    expect_fault(acc, "load_at", memory.va() + page_size, GMEMU_ACCESS_READ, GMEMU_REASON_IO);
});

Test kernarg("the second half of a page-crossing access", [] {
    Accelerator acc;
    Mapping memory(2 * page_size);
    const uint64_t va = memory.va() + page_size - 4;

    EXPECT_EQUAL(munmap(memory.page(1), page_size), 0);
    memory.page(0)[words_per_page - 1] = 0x1122334455667788;
    uint64_t result = 0;
    acc.start(acc.queue, "store_at", access_args{reinterpret_cast<uint64_t *>(va), &result, 0});
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
    EXPECT_EQUAL(error.va / page_size, memory.va() / page_size + 1);
    EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_UNMAPPED});
    // A store that faults has stored nothing.
    EXPECT_EQUAL(memory.page(0)[words_per_page - 1], 0x1122334455667788u);
});

Test copy_fault("a copy to unmapped memory", [] {
    Accelerator acc;
    Mapping source(256 * 1024), target(256 * 1024);
    const uint64_t hole = target.va() + 130 * 1024 / page_size * page_size;

    EXPECT_EQUAL(munmap(reinterpret_cast<void *>(hole), page_size), 0);
    acc.queue.copy(target.address(), source.address(), source.bytes());
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
    EXPECT_EQUAL(error.access, uint32_t{GMEMU_ACCESS_WRITE});
    EXPECT_EQUAL(error.va / page_size, hole / page_size);
});

Test dead_signal("a completion signal on a page that is gone", [] {
    Accelerator acc;
    Mapping memory(page_size);
    uint64_t word = 0, index = 0;
    gmemu_aql_barrier packet = {};

    packet.header = GMEMU_AQL_BARRIER_AND;
    packet.completion_signal = memory.va() + 128;
    memory.unmap();
    gmemu::check(gmemu_submit_raw(acc.queue.get(), &packet, &index));
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
    EXPECT_EQUAL(error.hart, 0xffu);
    EXPECT_EQUAL(error.va / 64, packet.completion_signal / 64);
    EXPECT_EQUAL(word, 0u);
});

Test others_go_on("another process's queue goes on", [] {
    int ready[2], failed[2];
    EXPECT_EQUAL(pipe(ready), 0);
    EXPECT_EQUAL(pipe(failed), 0);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        int status = 1;
        try {
            Accelerator acc;
            uint64_t running = 0, stop = 0, word = 0;
            char byte;

            acc.start(acc.queue, "spin", spin_args{&running, &stop});
            const bool up = wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 1; });
            // Its kernel runs while the parent's queue fails, and after.
            if (up && write(ready[1], "r", 1) == 1 && read(failed[0], &byte, 1) == 1) {
                __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
                acc.queue.wait_idle(patience);
                acc.run("store_at", access_args{&word, nullptr, 9});
                status = word == 9 ? 0 : 2;
            }
        } catch (const std::exception &error) {
            harness::note(error.what());
            fflush(stdout);
            status = 3;
        }
        _exit(status);
    }

    close(ready[1]); // the child's end also tells of its death
    char byte;
    EXPECT_EQUAL(read(ready[0], &byte, 1), 1);
    {
        Accelerator acc;
        expect_fault(acc, "store_at", 0x1000, GMEMU_ACCESS_WRITE, GMEMU_REASON_UNMAPPED);
    }
    EXPECT_EQUAL(write(failed[1], "f", 1), 1);
    int status = -1;
    EXPECT_EQUAL(waitpid(child, &status, 0), child);
    EXPECT_EQUAL(status, 0);
});

} // namespace
