// SPDX-License-Identifier: GPL-2.0-or-later
// Processes that end, one way or the other, leave nothing behind.
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>

#include "device.h"

namespace {

using harness::Test;

// A child runs the kernel that never ends, on all harts, over its own memory.
void run_and_be_killed(unsigned round, int signal)
{
    const std::chrono::microseconds delay(round * 37 % 5000); // at another moment each time

    kill_in_the_middle(signal, delay, [](const auto &under_way) {
        Accelerator acc;
        Mapping memory(256 * page_size);
        uint64_t running = 0;

        acc.start(acc.queue, "churn", churn_args{memory.words(), 256, &running}, acc.device.info().cores);
        EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0; }));
        under_way();
        pause();
    });
}

Test killed(
    "kill -9 in the middle of a kernel, 50 times",
    [] {
        KernelLog log;
        const uint64_t before = device_pages_of_others();

        for (unsigned round = 0; round < 50; round++)
            run_and_be_killed(round, SIGKILL);
        expect_pages_in_use(before);
        expect_device_works();
        expect_clean(log);
    },
    std::chrono::seconds(300));

Test exits("exit without destroying anything", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();

    for (unsigned round = 0; round < 10; round++) {
        const pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            auto *acc = new Accelerator;
            auto *words = new uint64_t[100'000]();
            acc->run("increment", increment_args{words, 1}, 100'000, 5000);
            _exit(words[99'999] == 1 ? 0 : 1);
        }
        int status = -1;
        EXPECT_EQUAL(waitpid(child, &status, 0), child);
        EXPECT_EQUAL(status, 0);
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

Test contexts("contexts come and go", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        gmemu::Device device;
        const gmemu::Module kernels(kernel_file("test_kernels.elf"));
        Mapping memory(64 * page_size);

        for (uint64_t round = 1; round <= 50; round++) {
            gmemu::Context context(device);
            gmemu::Queue queue(context);
            queue.launch(kernels.kernel("increment"), {64 * words_per_page, 1, 1}, {4096, 1, 1},
                         increment_args{memory.words(), 1});
            queue.wait_idle(patience);
            if (round % 2)
                EXPECT_EQUAL(*memory.page(63), round);
        }
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

Test freed("memory given back is given back by the device too", [] {
    const uint64_t before = device_pages_of_others();
    uint64_t most = 0;
    Accelerator acc;

    for (unsigned round = 0; round < 50; round++) {
        Mapping memory(512 * page_size);
        acc.run("fill", gmemu_fill_args{memory.words(), round}, 512 * words_per_page, 16384);
        most = std::max(most, device_pages_in_use());
        EXPECT_EQUAL(*memory.page(round), round);
    }
    EXPECT(most >= before + 256); // it was there at all
    // What the process still has there is its own few pages, not 50 mappings.
    EXPECT(device_pages_in_use() < before + 2048);
});

// A memory cgroup of its own, for children to enter.
class MemoryGroup {
public:
    explicit MemoryGroup(size_t limit)
    {
        char name[] = "/tmp/cgroup-XXXXXX";

        if (!mkdtemp(name) || mount("cgroup2", name, "cgroup2", 0, nullptr))
            throw harness::Skip("no cgroup2");
        root_ = name;
        write_text(root_ + "/cgroup.subtree_control", "+memory");
        group_ = root_ + "/test-" + std::to_string(getpid());
        EXPECT_EQUAL(mkdir(group_.c_str(), 0755), 0);
        write_text(group_ + "/memory.max", std::to_string(limit));
    }
    ~MemoryGroup()
    {
        rmdir(group_.c_str());
        umount2(root_.c_str(), MNT_DETACH);
        rmdir(root_.c_str());
    }
    MemoryGroup(const MemoryGroup &) = delete;
    MemoryGroup &operator=(const MemoryGroup &) = delete;

    void enter() const { write_text(group_ + "/cgroup.procs", "0"); }

private:
    std::string root_, group_;
};

Test too_much("a process whose device takes more than its memory limit ends, and nobody else", [] {
    constexpr size_t mib = 1 << 20;
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        const MemoryGroup group(32 * mib);
        const pid_t bystander = fork();
        if (bystander == 0) {
            group.enter();
            pause();
            _exit(1);
        }
        const pid_t child = fork();
        if (child == 0) {
            group.enter();
            Accelerator acc;
            Mapping memory(128 * mib);
            acc.run("fill", gmemu_fill_args{memory.words(), 1}, 128 * mib / 8, 16384);
            _exit(0);
        }
        EXPECT(child > 0 && bystander > 0);
        // By the OOM killer, or by the queue's error, which the child does not catch.
        EXPECT(WIFSIGNALED(wait_for(child)));
        EXPECT_EQUAL(kill(bystander, SIGTERM), 0);
        const int status = wait_for(bystander);
        EXPECT(WIFSIGNALED(status));
        EXPECT_EQUAL(WTERMSIG(status), SIGTERM);
    }
    expect_pages_in_use(before);
    expect_device_works();
    expect_clean(log);
});

} // namespace
