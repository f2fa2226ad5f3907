/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kvm_probe.h"

#include "posix.h"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gmemu {

namespace {

constexpr unsigned kSeconds = 2;
constexpr uint16_t kPort = 0xf4;
constexpr uint8_t kAnswer = 0x5a;
constexpr uint64_t kCodeAt = 0x1000;

/*
 * What a kernel does first and broken nested setups do not survive: 32-bit protected
 * mode, a loop long enough to be interrupted, cpuid, port I/O.
 */
constexpr uint8_t kProgram[] = {
    0xb9, 0x00,    0x00, 0x10, 0x00, /*    mov  $0x100000, %ecx */
    0x49,                            /*                         1: dec  %ecx */
    0x75, 0xfd,                      /*                      jnz  1b */
    0x31, 0xc0,                      /*                      xor  %eax, %eax */
    0x0f, 0xa2,                      /*                      cpuid */
    0x66, 0xba,    0xf4, 0x00,       /*          mov  $0xf4, %dx */
    0xb0, kAnswer,                   /*                   mov  $0x5a, %al */
    0xee,                            /*                            out  %al, (%dx) */
    0xf4,                            /*                            hlt */
};

enum Outcome { kWorks = 0, kNoDevice, kNoVm, kNoVcpu, kRunFailed, kWrongExit };

void set_flat_32bit(kvm_sregs &sregs)
{
    kvm_segment code = {};

    code.limit = 0xffffffff;
    code.selector = 8;
    code.type = 11;
    code.present = code.db = code.s = code.g = 1;
    kvm_segment data = code;
    data.type = 3;
    data.selector = 16;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr0 |= 1;
}

/* In a child process; SIGALRM ends it when the guest never comes back. */
Outcome run_guest()
{
    UniqueFd kvm(open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (!kvm)
        return kNoDevice;
    UniqueFd vm(ioctl(kvm.get(), KVM_CREATE_VM, 0UL));
    void *memory = mmap(nullptr, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!vm || memory == MAP_FAILED)
        return kNoVm;
    memcpy(static_cast<uint8_t *>(memory) + kCodeAt, kProgram, sizeof(kProgram));
    kvm_userspace_memory_region region = {};
    region.memory_size = 0x2000;
    region.userspace_addr = reinterpret_cast<uint64_t>(memory);
    if (ioctl(vm.get(), KVM_SET_USER_MEMORY_REGION, &region))
        return kNoVm;
    UniqueFd vcpu(ioctl(vm.get(), KVM_CREATE_VCPU, 0UL));
    const int size = ioctl(kvm.get(), KVM_GET_VCPU_MMAP_SIZE, 0UL);
    if (!vcpu || size <= 0)
        return kNoVcpu;
    auto *run = static_cast<kvm_run *>(
        mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.get(), 0));
    kvm_sregs sregs;
    kvm_regs regs = {};
    if (run == MAP_FAILED || ioctl(vcpu.get(), KVM_GET_SREGS, &sregs))
        return kNoVcpu;
    set_flat_32bit(sregs);
    regs.rip = kCodeAt;
    regs.rflags = 2;
    if (ioctl(vcpu.get(), KVM_SET_SREGS, &sregs) || ioctl(vcpu.get(), KVM_SET_REGS, &regs))
        return kNoVcpu;
    for (;;) {
        if (ioctl(vcpu.get(), KVM_RUN, 0UL)) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return kRunFailed;
        }
        if (run->exit_reason == KVM_EXIT_INTR)
            continue;
        if (run->exit_reason == KVM_EXIT_IO && run->io.port == kPort &&
            reinterpret_cast<uint8_t *>(run)[run->io.data_offset] == kAnswer)
            return kWorks;
        return kWrongExit;
    }
}

KvmVerdict judge(int status)
{
    if (WIFSIGNALED(status))
        return {false, "a test guest did not come back from KVM_RUN (broken nesting?)"};
    switch (WEXITSTATUS(status)) {
    case kWorks: return {true, "a test guest ran"};
    case kNoDevice:
        return {false, access("/dev/kvm", F_OK) ? "there is no /dev/kvm"
                                                : "no permission to open /dev/kvm (group kvm)"};
    case kNoVm: return {false, "KVM cannot create a virtual machine"};
    case kNoVcpu: return {false, "KVM cannot create a virtual CPU"};
    case kRunFailed: return {false, "KVM_RUN fails"};
    default: return {false, "a test guest went wrong under KVM"};
    }
}

KvmVerdict probe()
{
    if (access("/sys/module/kvm_intel", F_OK) && access("/sys/module/kvm_amd", F_OK))
        return {false, access("/dev/kvm", F_OK) ? "there is no /dev/kvm"
                                                : "/dev/kvm is not backed by kvm_intel or kvm_amd"};
    const pid_t child = fork();
    if (child < 0)
        return {false, "cannot start the probe"};
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(kSeconds);
        _exit(run_guest());
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return judge(status);
}

} // namespace

KvmVerdict probe_kvm(const std::filesystem::path &cache)
{
    const std::string boot = try_read_file("/proc/sys/kernel/random/boot_id");
    const std::filesystem::path file = cache / "kvm-probe";
    const std::string known = try_read_file(file);
    /* Permissions differ between users of one cache. */
    const std::string key = boot + std::to_string(geteuid()) + "\n";

    if (!boot.empty() && known.starts_with(key) && known.size() > key.size() + 2)
        return {known[key.size()] == '1', known.substr(key.size() + 2)};
    KvmVerdict verdict = probe();
    std::error_code ignored;
    std::filesystem::create_directories(cache, ignored);
    try {
        write_file(file, key + (verdict.usable ? "1 " : "0 ") + verdict.reason);
    } catch (const Error &) {
        /* Without a cache the probe just runs again. */
    }
    return verdict;
}

} // namespace gmemu
