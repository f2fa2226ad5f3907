// SPDX-License-Identifier: GPL-2.0-or-later
// The device as the guest tests use it, memory mappings, and what the kernel says of itself.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmemu/gmemu.hpp>

#include "gmemu_regs.h"
#include "gmemu_std_kernels.h"
#include "harness.h"
#include "test_args.h"

constexpr std::chrono::seconds patience{30};
constexpr size_t page_size = 4096;
constexpr size_t words_per_page = page_size / sizeof(uint64_t);

std::string kernel_file(const char *name);

// One process's use of the device.
struct Accelerator {
    explicit Accelerator(gmemu_context_mode mode = GMEMU_CONTEXT_MIGRATE) : context(device, mode) {}

    gmemu::Device device;
    gmemu::Context context;
    gmemu::Module kernels{kernel_file("test_kernels.elf")};
    gmemu::Module standard{kernel_file("std.elf")};
    gmemu::Queue queue{context};

    // Launch over n work-items and wait.
    template <class Args> void run(const char *kernel, const Args &args, uint32_t n = 1, uint32_t group = 1)
    {
        start(queue, kernel, args, n, group);
        queue.wait_idle(patience);
    }
    template <class Args>
    void start(gmemu::Queue &on, const char *kernel, const Args &args, uint32_t n = 1, uint32_t group = 1)
    {
        on.launch(find(kernel), {n, 1, 1}, {group, 1, 1}, args);
    }
    gmemu::Kernel find(const char *kernel) const;
};

// The error of a queue whose work is expected to fail: waits for it.
gmemu_queue_error failure_of(gmemu::Queue &queue);

// Anonymous or other memory, unmapped in the end.
class Mapping {
public:
    explicit Mapping(size_t bytes, int protection = PROT_READ | PROT_WRITE,
                     int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1);
    ~Mapping();
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;

    uint64_t *words() const { return static_cast<uint64_t *>(address_); }
    uint64_t *page(size_t n) const { return words() + n * words_per_page; }
    void *address() const { return address_; }
    uint64_t va() const { return reinterpret_cast<uint64_t>(address_); }
    size_t bytes() const { return bytes_; }
    size_t pages() const { return bytes_ / page_size; }

    void protect(int protection);
    void unmap();
    void move_to_bigger(size_t bytes); // mremap

private:
    void *address_;
    size_t bytes_;
};

// Pages with a number each, in their first words.
void number_pages(const Mapping &memory, uint64_t first);
bool pages_are(const Mapping &memory, uint64_t first);
// The device adds to the first word of each page; one that migrates has them all then.
void touch_on_device(Accelerator &acc, const Mapping &memory, uint64_t value);

// A mapping that no other VMA merges with, so that /proc/self/gmem counts it alone.
struct Alone : Mapping {
    explicit Alone(size_t bytes) : Mapping(bytes, PROT_READ | PROT_WRITE | PROT_EXEC) {}
};

// Where the pages of a VMA are, and which of them a device maps: from the line of /proc/self/gmem
// that it begins, "START-END rw-p cpu=.. none=.. dev0=LOCAL/REMOTE".
struct Residency {
    size_t cpu = 0, local = 0, remote = 0;
};
Residency residency_of(const Mapping &memory);

// How a child ended.
int wait_for(pid_t child);
// A child does @work, which calls @under_way when it is. @signal ends it @delay after that.
void kill_in_the_middle(int signal, std::chrono::microseconds delay,
                        const std::function<void(const std::function<void()> &under_way)> &work);
// The device counts as it should.
void expect_device_works();

// The number in a file of sysfs, debugfs or a module parameter, if it exists.
std::optional<uint64_t> read_number(const std::string &path);
void write_text(const std::string &path, const std::string &text);

// How often a test that goes round in circles does so: GMEMU_TEST_ROUNDS, or what it says itself.
unsigned rounds(unsigned otherwise);

// The PCI device in sysfs.
std::string device_directory();
// A function-level reset by the kernel; returns when the device works again.
void reset_device();

// 4 KiB pages of local DRAM in use, over all hnodes.
uint64_t device_pages_in_use();
// After all that this process and its parent have there was brought home.
uint64_t device_pages_of_others();
// Waits a little for it to become `want`, since freeing is partly deferred.
void expect_pages_in_use(uint64_t want);

// Kernel messages since it was made; each is read once.
class KernelLog {
public:
    KernelLog();
    ~KernelLog();
    KernelLog(const KernelLog &) = delete;
    KernelLog &operator=(const KernelLog &) = delete;
    // Those that should not be there (BUG, WARNING, lockdep ...).
    std::vector<std::string> reports();
    // Is there one with @text in it?
    bool says(const std::string &text);

private:
    std::optional<std::string> next();

    int fd_;
};
void expect_clean(KernelLog &log);

template <class Condition> bool wait_until(Condition condition, std::chrono::seconds limit = patience);

void sleep_ms(unsigned ms);

template <class Condition> bool wait_until(Condition condition, std::chrono::seconds limit)
{
    const auto deadline = std::chrono::steady_clock::now() + limit;

    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        sleep_ms(1);
    }
    return true;
}
