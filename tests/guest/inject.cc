// SPDX-License-Identifier: GPL-2.0-or-later
// Hardware that fails: the device was started with inject=, and each test is for one fault. The
// driver says what happened, nobody hangs, what was not hit is right, and the device works again.
// Run with the name of the fault; `gmemu test --list` knows the properties that belong to it.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

namespace {

using harness::Test;

constexpr size_t pages = 64;

// Memory that was written by the CPU, filled by the device. True: done. False: the queue has an
// error, which is that of a fault, and another queue has taken its place.
bool fill(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    acc.start(acc.queue, "fill", gmemu_fill_args{memory.words(), value}, memory.pages() * words_per_page, 512);
    if (!gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience).count()))
        return true;
    const gmemu_queue_error error = acc.queue.error();
    harness::note(gmemu::to_string(error));
    EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
    EXPECT_EQUAL(uint32_t{error.reason}, uint32_t{GMEMU_REASON_IO});
    acc.queue = gmemu::Queue(acc.context);
    return false;
}

void expect_values(const Mapping &memory, uint64_t want)
{
    for (size_t i = 0; i < memory.pages() * words_per_page; i++)
        if (memory.words()[i] != want)
            EXPECT_EQUAL(memory.words()[i], want);
}

void write_all(const Mapping &memory, uint64_t value)
{
    for (size_t i = 0; i < memory.pages() * words_per_page; i++)
        memory.words()[i] = value;
}

// How often the device failed us on the way.
unsigned fill_in_the_end(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    unsigned failures = 0;

    while (!fill(acc, memory, value)) {
        failures++;
        EXPECT(failures < 20);
    }
    return failures;
}

void expect_said(KernelLog &log, const std::string &text)
{
    if (!wait_until([&] { return log.says(text); }, std::chrono::seconds(10)))
        harness::fail(__FILE__, __LINE__, "the kernel's messages do not have: " + text);
}

void survives_dma_errors()
{
    KernelLog log;
    Accelerator acc;
    Mapping memory(pages * page_size);
    unsigned failures = 0;

    for (uint64_t round = 1; round <= 8; round++) {
        write_all(memory, 100 + round);
        failures += fill_in_the_end(acc, memory, round);
        expect_values(memory, round);
    }
    harness::note(std::to_string(failures) + " queues failed");
    expect_said(log, "device error 1 (DMA failed");
}

// How a process ends that reads a word.
int end_of_reader(const uint64_t *word)
{
    int status = -1;
    const pid_t child = fork();

    EXPECT(child >= 0);
    if (!child) {
        signal(SIGBUS, SIG_DFL);
        const uint64_t value = *static_cast<const volatile uint64_t *>(word);
        _exit(value ? 1 : 0);
    }
    EXPECT_EQUAL(waitpid(child, &status, 0), child);
    return status;
}

Test dma_error("dma-error", survives_dma_errors);
Test hart_dma_error("hart-access", survives_dma_errors);

Test poison("dram-poison", [] {
    KernelLog log;
    uint64_t hit = 0;
    {
        Accelerator acc;
        Mapping memory(pages * page_size);

        acc.start(acc.queue, "fill", gmemu_fill_args{memory.words(), 7}, pages * words_per_page, 512);
        const gmemu_queue_error error = failure_of(acc.queue);
        EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
        EXPECT_EQUAL(uint32_t{error.reason}, uint32_t{GMEMU_REASON_IO});
        EXPECT(error.va >= memory.va() && error.va < memory.va() + memory.bytes());
        hit = (error.va - memory.va()) / page_size;
        expect_said(log, "local DRAM has lost what was at 0x");

        // The page is gone, and whoever reads it is told so; its neighbours are not.
        const int status = end_of_reader(memory.page(hit));
        EXPECT(WIFSIGNALED(status));
        EXPECT_EQUAL(WTERMSIG(status), SIGBUS);
        for (size_t i = 0; i < pages; i++)
            if (i != hit)
                EXPECT(*memory.page(i) == 7 || *memory.page(i) == 0);
    }
    Accelerator acc;
    Mapping memory(pages * page_size);
    EXPECT(fill(acc, memory, 9));
    expect_values(memory, 9);
    expect_clean(log);
});

// The parameter timeout_ms makes the driver impatient.
Test hung_hart(
    "hung-hart",
    [] {
        KernelLog log;
        Mapping memory(pages * page_size);
        {
            Accelerator acc;

            acc.start(acc.queue, "fill", gmemu_fill_args{memory.words(), 1}, words_per_page, 512);
            EXPECT_EQUAL(gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(std::chrono::seconds(2)).count()),
                         -ETIME);
            // Only the kernel's memory is out of reach of nobody.
            write_all(memory, 5);
        }
        expect_said(log, "device lost: the firmware does not answer");
        reset_device();
        Accelerator acc;
        EXPECT(fill(acc, memory, 9));
        expect_values(memory, 9);
        expect_clean(log);
    },
    std::chrono::seconds(120));

Test lost_interrupt(
    "lost-interrupt",
    [] {
        KernelLog log;
        Accelerator acc;
        Mapping memory(pages * page_size);

        for (uint64_t round = 1; round <= 20; round++) {
            write_all(memory, 100 + round);
            EXPECT(fill(acc, memory, round));
            expect_values(memory, round);
        }
        expect_said(log, " was lost");
        expect_clean(log);
    },
    std::chrono::seconds(120));

Test slow_link("slow-link", [] {
    KernelLog log;
    Accelerator acc;
    Mapping memory(pages * page_size);

    for (uint64_t round = 1; round <= 3; round++) {
        write_all(memory, 100 + round);
        EXPECT(fill(acc, memory, round));
        expect_values(memory, round);
    }
    expect_clean(log);
});

} // namespace
