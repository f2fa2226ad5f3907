/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /init of the guest: brings up the file systems, loads the modules, runs one
 * program, tells the launcher how it ended, and switches the machine off.
 *
 * Linked statically and alone in the initramfs, beside modules and firmware.
 */
#include "config.h"
#include "mounts.h"
#include "ports.h"
#include "protocol.h"
#include "relay.h"
#include "revive.h"
#include "text_file.h"
#include "tracer.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace gmemu;
using namespace gmemu::init;

static void load_module(const Ports &ports, const std::string &line)
{
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string parameters = space == line.npos ? "" : line.substr(space + 1);
    const std::string path = std::string(protocol::kModuleDir) + "/" + name;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);

    if (fd < 0 || syscall(SYS_finit_module, fd, parameters.c_str(), 0))
        send(ports, "log cannot load the kernel module %s: %s", name.c_str(), strerror(errno));
    close(fd);
}

/* The launcher boots with maxcpus=1; it says why. */
static void start_all_cpus()
{
    for (int cpu = 1;; cpu++) {
        const std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online";
        const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);

        if (fd < 0)
            return;
        if (write(fd, "1", 1) != 1)
            perror(path.c_str());
        close(fd);
    }
}

static unsigned long long uptime_ms()
{
    timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<unsigned long long>(now.tv_sec) * 1000 +
           static_cast<unsigned long long>(now.tv_nsec) / 1000000;
}

[[noreturn]] static void power_off()
{
    /* QEMU runs with -no-reboot: this ends it, and needs no ACPI. */
    sync();
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

int main()
{
    const unsigned long long began_ms = uptime_ms();

    mount_kernel_filesystems();
    start_all_cpus();

    Config config;
    parse_config(read_text(protocol::kConfigPath), config);
    Ports ports;
    if (!open_ports(ports))
        power_off();
    for (const std::string &module : config.modules)
        load_module(ports, module);
    const unsigned long long modules_ms = uptime_ms();
    if (config.deferred) {
        send(ports, "ready");
        if (!receive_config(ports, config))
            power_off();
        renew_time_and_entropy(config);
    }
    const std::string error = mount_program_root(config);
    if (!error.empty()) {
        send(ports, "fail %s", error.c_str());
        power_off();
    }
    Tracer tracer;
    if (config.trace)
        tracer.start(ports);
    send(ports, "start %llu %llu %llu", uptime_ms(), began_ms, modules_ms);
    const Outcome outcome = run_program(config, ports);
    tracer.finish();
    kill(-1, SIGKILL);
    sync();
    send(ports, "exit %d %llu %llu", outcome.code, static_cast<unsigned long long>(outcome.out_bytes),
         static_cast<unsigned long long>(outcome.err_bytes));
    power_off();
}
