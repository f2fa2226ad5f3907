// SPDX-License-Identifier: GPL-2.0-or-later
// Allocations of the kernel that fail (failslab, fail_page_alloc): whoever asked gets an error or
// what it asked for, the device works on, and nothing leaks. For a kernel with fault injection
// and kmemleak, which the debug kernel has.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "device.h"

namespace {

using harness::Test;

constexpr const char *kmemleak = "/sys/kernel/debug/kmemleak";
constexpr size_t pages = 32;
constexpr uint32_t words = pages * words_per_page;
constexpr std::chrono::seconds long_patience{1500};

// Addresses of code, of which one must be among the callers of an allocation that is to fail.
struct Code {
    uint64_t start = 0, end = 0;
};

// GMEM's functions stand together in the kernel's text.
Code code_of_gmem()
{
    std::ifstream symbols("/proc/kallsyms");
    std::vector<std::pair<uint64_t, bool>> text; // address, is it GMEM's
    uint64_t end_of_text = 0;

    for (std::string line; std::getline(symbols, line);) {
        std::istringstream fields(line);
        std::string type, name, module;
        uint64_t address = 0;

        fields >> std::hex >> address >> type >> name >> module;
        if (name == "_etext")
            end_of_text = address;
        if ((type == "t" || type == "T") && module.empty() && name.find('.') == name.npos)
            text.emplace_back(address, name.starts_with("gm_"));
    }
    std::sort(text.begin(), text.end());
    Code code;
    for (size_t i = 0; i + 1 < text.size() && text[i].first < end_of_text; i++)
        if (text[i].second) {
            code.start = code.start ? code.start : text[i].first;
            code.end = text[i + 1].first;
        }
    EXPECT(code.start && code.end > code.start && code.end - code.start < (1u << 20));
    return code;
}

Code code_of_driver()
{
    const auto start = read_number("/sys/module/gmemu/sections/.text");
    const auto size = read_number("/sys/module/gmemu/coresize");

    EXPECT(start && size);
    return {*start, *start + *size};
}

// What fails, as long as this lives. With probability 0 it is only what fail-nth counts.
class Failures {
public:
    explicit Failures(unsigned probability, bool marked_tasks_only, Code below = {})
    {
        for (const char *what : {"failslab", "fail_page_alloc"}) {
            const std::string dir = std::string("/sys/kernel/debug/") + what + "/";

            if (!std::filesystem::exists(dir + "require-start"))
                throw harness::Skip("this kernel makes no allocation fail");
            write_text(dir + "probability", "0");
            write_text(dir + "interval", "1");
            write_text(dir + "times", "-1");
            write_text(dir + "space", "0");
            write_text(dir + "verbose", "0");
            write_text(dir + "task-filter", marked_tasks_only ? "Y" : "N");
            write_text(dir + "ignore-gfp-wait", "N");
            write_text(dir + "stacktrace-depth", below.end ? "32" : "0");
            write_text(dir + "require-start", std::to_string(below.start));
            write_text(dir + "require-end", std::to_string(below.end ? below.end : UINT64_MAX));
        }
        write_text("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
        write_text("/sys/kernel/debug/fail_page_alloc/min-order", "0");
        set(probability);
    }
    ~Failures() { set(0); }
    Failures(const Failures &) = delete;
    Failures &operator=(const Failures &) = delete;

    static void set(unsigned probability)
    {
        for (const char *what : {"failslab", "fail_page_alloc"})
            write_text(std::string("/sys/kernel/debug/") + what + "/probability",
                       std::to_string(probability));
    }
};

// The n-th allocation from here on that this thread asks for fails.
class NthFailure {
public:
    NthFailure() : fd_(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC)) { EXPECT(fd_ >= 0); }
    ~NthFailure() { close(fd_); }
    NthFailure(const NthFailure &) = delete;
    NthFailure &operator=(const NthFailure &) = delete;

    void arm(unsigned n)
    {
        const int size = std::snprintf(text_, sizeof(text_), "%u", n);

        EXPECT_EQUAL(pwrite(fd_, text_, size, 0), ssize_t{size});
    }
    // Was there such an allocation?
    bool disarm()
    {
        char left[16] = {};

        EXPECT(pread(fd_, left, sizeof(left) - 1, 0) > 0);
        arm(0);
        return std::strtoul(left, nullptr, 10) == 0;
    }

private:
    int fd_;
    char text_[16];
};

// Memory of the kernel that nobody has a pointer to, since it was made.
class Leaks {
public:
    Leaks()
    {
        scan();
        write_text(kmemleak, "clear");
    }
    void expect_none()
    {
        // A young object may have its only pointer in a register, and some are freed after a
        // grace period: it has to stay unreferenced.
        scan();
        scan();
        std::ifstream list(kmemleak);
        size_t found = 0;
        for (std::string line; std::getline(list, line);) {
            found += line.starts_with("unreferenced object");
            harness::note(line);
        }
        EXPECT_EQUAL(found, size_t{0});
    }

private:
    static void scan()
    {
        sleep_ms(6000);
        write_text(kmemleak, "scan");
    }
};

// Around all tests here: what must be true of them whatever fails.
void watched(const std::function<void()> &body)
{
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    Leaks leaks;

    body();
    expect_device_works();
    expect_pages_in_use(before);
    leaks.expect_none();
    expect_clean(log);
}

void expect_values(const Mapping &memory, uint64_t value)
{
    for (size_t i = 0; i < words; i++)
        if (memory.words()[i] != value)
            EXPECT_EQUAL(memory.words()[i], value);
}

void write_all(const Mapping &memory, uint64_t value) { std::fill_n(memory.words(), words, value); }

// A system call returned an error that says so: no memory, or, of a copy from or to the process,
// nothing that can be reached.
struct Refused {};

void check_errno(bool good)
{
    if (good)
        return;
    if (errno != ENOMEM && errno != EFAULT && errno != EAGAIN)
        throw std::runtime_error(std::strerror(errno));
    throw Refused{};
}

// True: done. False: an error was returned, and it says that there was no memory.
bool tried(const std::function<void()> &call)
{
    try {
        call();
        return true;
    } catch (const gmemu::Error &error) {
        if (error.code() != -ENOMEM && error.code() != -EAGAIN && error.code() != -EFAULT)
            throw;
        return false;
    } catch (const Refused &) {
        return false;
    }
}

// It goes back and forth all the time, and is not to be mapped remotely for that.
std::unique_ptr<Mapping> new_memory(Accelerator &acc)
{
    // No other VMA merges with it, so that residency_of() knows it.
    auto memory = std::make_unique<Mapping>(pages * page_size, PROT_READ | PROT_WRITE | PROT_EXEC);

    acc.context.advise(std::span(memory->words(), words), GMEMU_ADVICE_PREFER_DEVICE);
    return memory;
}

void to_device(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    acc.run("fill", gmemu_fill_args{memory.words(), value}, words, 4096);
}

// @call once for each of its allocations, or each @step-th, which fails; @after it without failures.
void fail_each(const char *name, const std::function<void()> &before, const std::function<void()> &call,
               const std::function<void()> &after, unsigned step = 1)
{
    constexpr unsigned most = 5000;
    NthFailure nth;
    unsigned errors = 0, tries = 0;

    for (bool failed = true; failed; tries++) {
        const unsigned n = 1 + tries * step;

        EXPECT(n < most);
        before();
        nth.arm(n);
        try {
            errors += !tried(call);
        } catch (...) {
            nth.arm(0);
            harness::note(std::string(name) + ", allocation " + std::to_string(n));
            throw;
        }
        failed = nth.disarm();
        after();
    }
    harness::note(std::string(name) + ": " + std::to_string(tries - 1) + " failed allocations, " +
                  std::to_string(errors) + " errors");
    std::fflush(stdout);
}

Test calls(
    "each allocation of each call fails",
    [] {
        const Failures failures(0, false);

        watched([] {
            const auto nothing = [] {};

            fail_each(
                "opening the device", nothing, [] { gmemu::Device device; }, nothing);
            Accelerator acc;
            fail_each(
                "a context", nothing, [&] { gmemu::Context context(acc.device); }, nothing);
            fail_each(
                "a queue", nothing, [&] { gmemu::Queue queue(acc.context); }, nothing);
            fail_each(
                "a signal", nothing, [&] { gmemu::Signal signal(acc.context); }, nothing);
        });
    },
    long_patience);

struct Advice {
    const char *name;
    gmemu_advice advice, undo;
    bool on_device; // the memory is there before
};

Test advice(
    "each allocation of advice fails",
    [] {
        const Failures failures(0, false);

        watched([] {
            static constexpr Advice all[] = {
                {"prefetch", GMEMU_ADVICE_PREFETCH, GMEMU_ADVICE_HOME, false},
                {"home", GMEMU_ADVICE_HOME, GMEMU_ADVICE_HOME, true},
                {"map remote", GMEMU_ADVICE_MAP_REMOTE, GMEMU_ADVICE_NO_MAP_REMOTE, false},
                {"read mostly", GMEMU_ADVICE_READ_MOSTLY, GMEMU_ADVICE_NO_READ_MOSTLY, false},
                {"prefer host", GMEMU_ADVICE_PREFER_HOST, GMEMU_ADVICE_NO_PREFERENCE, false},
            };
            Accelerator acc;

            for (const Advice &each : all) {
                std::unique_ptr<Mapping> memory;
                uint64_t value = 1;
                bool done = false;

                fail_each(
                    each.name,
                    [&] {
                        memory = new_memory(acc);
                        write_all(*memory, ++value);
                        if (each.on_device)
                            to_device(acc, *memory, value);
                        done = false;
                    },
                    [&] {
                        acc.context.advise(std::span(memory->words(), words), each.advice);
                        done = true;
                    },
                    [&] {
                        // Success is all of it.
                        if (done && each.advice == GMEMU_ADVICE_HOME)
                            EXPECT_EQUAL(residency_of(*memory).local, size_t{0});
                        expect_values(*memory, value);
                        to_device(acc, *memory, ++value);
                        acc.context.advise(std::span(memory->words(), words), each.undo);
                        expect_values(*memory, value);
                    });
            }
        });
    },
    long_patience);

Test memory_of_device(
    "each allocation fails of what a process does to memory on the device",
    [] {
        const Failures failures(0, false);

        watched([] {
            Accelerator acc;
            std::unique_ptr<Mapping> memory;
            uint64_t value = 1;
            const auto bring = [&] {
                memory = new_memory(acc);
                to_device(acc, *memory, ++value);
            };
            const auto look = [&] { expect_values(*memory, value); };
            const auto use = [&] {
                expect_values(*memory, value);
                to_device(acc, *memory, ++value);
                expect_values(*memory, value);
            };
            int ends[2];

            // The kernel tries again until there is memory: nobody gets a signal.
            fail_each(
                "a read by the CPU", bring, [&] { (void)*(volatile uint64_t *)memory->page(7); }, look);
            fail_each(
                "a write by the CPU", bring, [&] { *(volatile uint64_t *)memory->page(9) = value; }, look);
            EXPECT_EQUAL(pipe2(ends, O_NONBLOCK), 0);
            fail_each(
                "write() from there", bring, [&] { check_errno(write(ends[1], memory->page(3), 64) >= 0); },
                [&] {
                    char bytes[64];
                    while (read(ends[0], bytes, sizeof(bytes)) > 0)
                        ;
                    look();
                });
            close(ends[0]);
            close(ends[1]);
            fail_each(
                "mprotect()", bring,
                [&] { check_errno(mprotect(memory->page(11), 7 * page_size, PROT_READ) == 0); },
                [&] {
                    EXPECT_EQUAL(mprotect(memory->address(), memory->bytes(), PROT_READ | PROT_WRITE), 0);
                    use();
                });
            fail_each(
                "munmap() in the middle", bring,
                [&] { check_errno(munmap(memory->page(20), 5 * page_size) == 0); },
                [&] {
                    for (const size_t page : {size_t{0}, size_t{19}, size_t{25}, pages - 1})
                        EXPECT_EQUAL(*memory->page(page), value);
                });
            fail_each(
                "mremap()", bring,
                [&] {
                    void *target =
                        mmap(nullptr, memory->bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    check_errno(target != MAP_FAILED);
                    void *moved = mremap(memory->address(), 16 * page_size, 16 * page_size,
                                         MREMAP_MAYMOVE | MREMAP_FIXED, target);
                    if (moved == MAP_FAILED) {
                        const int error = errno;
                        munmap(target, memory->bytes());
                        errno = error;
                        check_errno(false);
                    }
                    // Home again; without failures in between, or it fails as a whole.
                    while (mremap(moved, 16 * page_size, 16 * page_size, MREMAP_MAYMOVE | MREMAP_FIXED,
                                  memory->address()) == MAP_FAILED)
                        EXPECT_EQUAL(errno, ENOMEM);
                    munmap(target, memory->bytes());
                },
                use);
            // It has hundreds.
            fail_each(
                "fork()", bring,
                [&] {
                    const pid_t child = fork();
                    if (!child) {
                        for (size_t i = 0; i < words; i += words_per_page)
                            if (memory->words()[i] != value)
                                _exit(1);
                        _exit(0);
                    }
                    check_errno(child > 0);
                    EXPECT_EQUAL(wait_for(child), 0);
                },
                use, 7);
        });
    },
    long_patience);

// Fills memory on the device, with failures: an error of the queue, which says that there was no
// memory, or all is filled. What is in memory is in both cases what was there before or is new.
unsigned fill_with_failures(Accelerator &acc, const Mapping &memory, unsigned rounds_to_go)
{
    unsigned errors = 0;

    write_all(memory, 0);
    for (uint64_t value = 1; value <= rounds_to_go; value++) {
        bool done = tried([&] {
            acc.context.advise(std::span(memory.words(), words / 2),
                               value % 2 ? GMEMU_ADVICE_PREFETCH : GMEMU_ADVICE_HOME);
        });
        done = tried([&] {
            acc.start(acc.queue, "fill", gmemu_fill_args{memory.words(), value}, words, 4096);
        });
        if (!done) {
            errors++;
            continue;
        }
        const int result =
            gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience * 4).count());
        if (result == -EIO) {
            const gmemu_queue_error error = acc.queue.error();

            EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
            EXPECT_EQUAL(uint32_t{error.reason}, uint32_t{GMEMU_REASON_NOMEM});
            errors++;
            while (!tried([&] { acc.queue = gmemu::Queue(acc.context); }))
                ;
        } else {
            EXPECT_EQUAL(result, 0);
            expect_values(memory, value);
        }
        for (size_t i = 0; i < words; i++)
            EXPECT(memory.words()[i] <= value);
        // Some of it stays on the device, with the value of this round.
        write_all(memory, value);
    }
    return errors;
}

void fail_below(Code code, unsigned probability)
{
    watched([&] {
        Accelerator acc;
        Mapping memory(pages * page_size);
        unsigned errors = 0;
        {
            const Failures failures(probability, false, code);

            errors = fill_with_failures(acc, memory, rounds(60));
        }
        harness::note(std::to_string(errors) + " of " + std::to_string(rounds(60)) +
                      " rounds ended with an error");
        acc.queue = gmemu::Queue(acc.context);
        to_device(acc, memory, 77);
        expect_values(memory, 77);
    });
}

Test below_gmem(
    "allocations below GMEM fail, in all threads", [] { fail_below(code_of_gmem(), 5); }, long_patience);
Test below_driver(
    "allocations below the driver fail, in all threads", [] { fail_below(code_of_driver(), 5); },
    long_patience);

// A child whose every allocation may fail: 0 all is right, 1 there was an error. Not where it only
// reads files, which some file systems do not take well.
int session_with_failures(const gmemu::Module &kernels)
{
    const pid_t child = fork();

    EXPECT(child >= 0);
    if (child)
        return wait_for(child);
    int code = 1;
    try {
        // The stack is there: a process that cannot have more of it dies.
        volatile char stack[256 << 10];
        for (size_t i = 0; i < sizeof(stack); i += page_size)
            stack[i] = 1;
        write_text("/proc/self/make-it-fail", "1");
        gmemu::Device device;
        gmemu::Context context(device);
        gmemu::Queue queue(context);
        Mapping memory(pages * page_size);

        write_all(memory, 3);
        context.advise(std::span(memory.words(), words), GMEMU_ADVICE_PREFETCH);
        queue.launch(kernels.kernel("increment"), {words, 1, 1}, {4096, 1, 1},
                     increment_args{memory.words(), 4});
        queue.wait_idle(patience);
        const auto right = [](uint64_t word) { return word == 7; };
        code = std::all_of(memory.words(), memory.words() + words, right) ? 0 : 2;
    } catch (const gmemu::Error &error) {
        // It was told; a time that is over is nothing to be told.
        code = error.code() == -ETIME ? 2 : 1;
    } catch (const std::exception &) {
    }
    _exit(code);
}

Test sessions(
    "allocations of a process fail at random, from beginning to end",
    [] {
        watched([] {
            // Seldom enough for some to get through.
            const Failures failures(3, true);
            const gmemu::Module kernels(kernel_file("test_kernels.elf"));
            unsigned ends[2] = {};

            for (unsigned round = 0; round < rounds(60); round++) {
                const int status = session_with_failures(kernels);
                EXPECT(WIFEXITED(status));
                EXPECT(WEXITSTATUS(status) < 2);
                ends[WEXITSTATUS(status)]++;
            }
            harness::note(std::to_string(ends[0]) + " worked, " + std::to_string(ends[1]) + " had an error");
            EXPECT(ends[1] > 0);
        });
    },
    long_patience);

} // namespace
