// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace fs = std::filesystem;

std::string kernel_file(const char *name)
{
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();

    for (const fs::path &path : {here / name, here / "../fw" / name, here / "../../firmware" / name})
        if (fs::exists(path))
            return path.lexically_normal();
    /* Installed: somewhere above is the prefix. */
    for (fs::path above = here; above != above.parent_path(); above = above.parent_path())
        if (const fs::path path = above / "share/gmemu/kernels" / name; fs::exists(path))
            return path;
    throw std::runtime_error(std::string(name) + " is not beside the test program");
}

gmemu::Kernel Accelerator::find(const char *kernel) const
{
    gmemu_kernel *found;

    if (gmemu_module_kernel(kernels.get(), kernel, &found) == 0)
        return gmemu::Kernel(found);
    return standard.kernel(kernel);
}

gmemu_queue_error failure_of(gmemu::Queue &queue)
{
    const int result = gmemu_queue_wait_idle(queue.get(), std::chrono::nanoseconds(patience).count());

    EXPECT_EQUAL(result, -EIO);
    const gmemu_queue_error error = queue.error();
    harness::note(gmemu::to_string(error));
    return error;
}

Mapping::Mapping(size_t bytes, int protection, int flags, int fd)
    : address_(mmap(nullptr, bytes, protection, flags, fd, 0)),
      bytes_(bytes)
{
    if (address_ == MAP_FAILED)
        throw std::runtime_error(std::string("mmap: ") + std::strerror(errno));
}

Mapping::~Mapping()
{
    if (address_)
        munmap(address_, bytes_);
}

void Mapping::protect(int protection)
{
    if (mprotect(address_, bytes_, protection))
        throw std::runtime_error(std::string("mprotect: ") + std::strerror(errno));
}

void Mapping::unmap()
{
    munmap(address_, bytes_);
    address_ = nullptr;
}

void Mapping::move_to_bigger(size_t bytes)
{
    // A reserved range of the new size makes sure that it moves.
    void *target = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *moved = target == MAP_FAILED
                      ? MAP_FAILED
                      : mremap(address_, bytes_, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target);

    if (moved == MAP_FAILED)
        throw std::runtime_error(std::string("mremap: ") + std::strerror(errno));
    address_ = moved;
    bytes_ = bytes;
}

void number_pages(const Mapping &memory, uint64_t first)
{
    for (size_t page = 0; page < memory.pages(); page++)
        *memory.page(page) = first + page;
}

bool pages_are(const Mapping &memory, uint64_t first)
{
    for (size_t page = 0; page < memory.pages(); page++)
        if (*memory.page(page) != first + page)
            return false;
    return true;
}

void touch_on_device(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    for (size_t page = 0; page < memory.pages(); page++)
        acc.start(acc.queue, "increment", increment_args{memory.page(page), value});
    acc.queue.wait_idle(patience);
}

int wait_for(pid_t child)
{
    int status = -1;

    EXPECT_EQUAL(waitpid(child, &status, 0), child);
    return status;
}

void kill_in_the_middle(int signal, std::chrono::microseconds delay,
                        const std::function<void(const std::function<void()> &under_way)> &work)
{
    int ready[2];
    char byte;

    EXPECT_EQUAL(pipe(ready), 0);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        try {
            work([&] { EXPECT_EQUAL(write(ready[1], "r", 1), 1); });
        } catch (const std::exception &error) {
            harness::note(error.what());
            fflush(stdout);
        }
        _exit(1);
    }
    close(ready[1]);
    const bool up = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    std::this_thread::sleep_for(delay);
    kill(child, signal);
    const int status = wait_for(child);
    EXPECT(up);
    EXPECT(WIFSIGNALED(status));
}

void expect_device_works()
{
    Accelerator acc;
    uint64_t word = 0;

    acc.run("atomic_add", gmemu_atomic_add_args{&word, 1, 10}, 100);
    EXPECT_EQUAL(word, 1000u);
}

std::optional<uint64_t> read_number(const std::string &path)
{
    std::ifstream in(path);
    std::string text;

    if (!(in >> text))
        return {};
    return std::strtoull(text.c_str(), nullptr, 0);
}

void write_text(const std::string &path, const std::string &text)
{
    std::ofstream out(path);

    out << text << std::flush;
    if (!out)
        throw std::runtime_error(path + " cannot be written");
}

unsigned rounds(unsigned otherwise)
{
    const char *wanted = std::getenv("GMEMU_TEST_ROUNDS");

    return wanted ? std::strtoul(wanted, nullptr, 0) : otherwise;
}

std::string device_directory()
{
    // It may come or go at any moment: what cannot be looked at is not there.
    std::error_code error;

    for (fs::directory_iterator entry("/sys/class/accel", error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code gone;
        const fs::path device = fs::canonical(entry->path() / "device", gone);

        if (!gone && fs::exists(device / "driver", gone))
            return device;
    }
    throw harness::Skip("no accelerator in /sys/class/accel");
}

void reset_device() { write_text(device_directory() + "/reset", "1"); }

Residency residency_of(const Mapping &memory)
{
    std::ifstream in("/proc/self/gmem");
    Residency found;

    for (std::string line; std::getline(in, line);) {
        char *rest = nullptr;
        const uint64_t start = std::strtoull(line.c_str(), &rest, 16);
        const uint64_t end = *rest == '-' ? std::strtoull(rest + 1, nullptr, 16) : 0;

        if (line[0] == ' ' || start > memory.va() || end < memory.va() + memory.bytes())
            continue;
        std::istringstream words(line);
        for (std::string word; words >> word;) {
            const size_t value = word.find('=') + 1, slash = word.find('/');
            if (word.starts_with("cpu="))
                found.cpu = std::strtoull(&word[value], nullptr, 10);
            if (word.starts_with("dev") && slash != word.npos) {
                found.local += std::strtoull(&word[value], nullptr, 10);
                found.remote += std::strtoull(&word[slash + 1], nullptr, 10);
            }
        }
    }
    return found;
}

uint64_t device_pages_in_use()
{
    const fs::path root = "/sys/kernel/mm/gmem";
    uint64_t pages = 0;
    bool found = false;

    if (fs::exists(root))
        for (const auto &entry : fs::directory_iterator(root)) {
            if (!entry.path().filename().string().starts_with("hnode"))
                continue;
            if (const auto active = read_number(entry.path() / "nr_active")) {
                pages += *active;
                found = true;
            }
        }
    if (!found)
        throw harness::Skip("no hnode in /sys/kernel/mm/gmem");
    return pages;
}

namespace {

// A page that a child shares with its parents, as all do after fork(), moves to the device when
// the child uses it there, and stays when the child is gone.
void bring_home(pid_t pid)
{
    std::ifstream ranges("/proc/" + std::to_string(pid) + "/gmem");

    for (std::string line; std::getline(ranges, line);) {
        unsigned long start, end;
        char byte;

        if (line.find(" hnode") == line.npos || std::sscanf(line.c_str(), "%lx-%lx", &start, &end) != 2)
            continue;
        for (unsigned long page = start; page < end; page += page_size) {
            const iovec here{&byte, 1}, there{reinterpret_cast<void *>(page), 1};

            process_vm_readv(pid, &here, 1, &there, 1, 0);
        }
    }
}

} // namespace

uint64_t device_pages_of_others()
{
    bring_home(getpid());
    bring_home(getppid());
    return device_pages_in_use();
}

void expect_pages_in_use(uint64_t want)
{
    wait_until([&] { return device_pages_of_others() == want; }, std::chrono::seconds(10));
    EXPECT_EQUAL(device_pages_of_others(), want);
}

KernelLog::KernelLog() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC))
{
    if (fd_ >= 0)
        lseek(fd_, 0, SEEK_END);
}

KernelLog::~KernelLog()
{
    if (fd_ >= 0)
        close(fd_);
}

std::optional<std::string> KernelLog::next()
{
    char line[8192];

    while (fd_ >= 0) {
        const ssize_t size = read(fd_, line, sizeof(line) - 1);
        if (size < 0 && errno == EPIPE)
            continue; // messages were overwritten: go on with the oldest
        if (size <= 0)
            break;
        line[size] = 0;
        if (const char *text = std::strchr(line, ';'))
            return text + 1;
    }
    return std::nullopt;
}

std::vector<std::string> KernelLog::reports()
{
    std::vector<std::string> found;

    while (const auto line = next())
        for (const char *bad : {"BUG:", "WARNING:", "Oops", "KASAN", "possible circular locking",
                                "possible recursive locking", "inconsistent lock state", "Bad page",
                                "Bad rss-counter", "non-zero pgtables_bytes", "stack backtrace"})
            if (line->find(bad) != std::string::npos) {
                found.push_back(*line);
                break;
            }
    return found;
}

bool KernelLog::says(const std::string &text)
{
    while (const auto line = next())
        if (line->find(text) != std::string::npos)
            return true;
    return false;
}

void expect_clean(KernelLog &log)
{
    const auto reports = log.reports();

    for (const std::string &report : reports)
        harness::note("kernel: " + report);
    EXPECT_EQUAL(reports.size(), size_t{0});
}

void sleep_ms(unsigned ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
