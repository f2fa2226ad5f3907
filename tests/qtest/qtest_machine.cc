/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qtest_machine.h"

#include "gmemu_regs.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gmemu::qtest {

namespace {

constexpr unsigned kDevice = Machine::kDevfn >> 3;
constexpr uint16_t kConfigAddress = 0xcf8, kConfigData = 0xcfc;
constexpr unsigned kCommand = 0x04, kBars = 0x10, kCapabilities = 0x34;
constexpr uint16_t kCommandMemory = 2, kCommandMaster = 4;

std::vector<std::string> command_line(const std::string &device)
{
    return {qemu_path(),
            "-L",
            "/usr/share/qemu",
            "-L",
            "/usr/share/seabios",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-machine",
            "q35",
            "-m",
            "128M",
            "-accel",
            "qtest",
            "-device",
            fmt::format("{},addr={:#x}.0", device, kDevice)};
}

[[noreturn]] void exec(const std::vector<std::string> &args)
{
    std::vector<char *> argv;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const std::string &arg : args)
        argv.push_back(const_cast<char *>(arg.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
}

} // namespace

std::string qemu_path()
{
    std::string path;

    if (const char *given = getenv("GMEMU_QEMU"))
        path = given;
    else if (const char *cache = getenv("GMEMU_CACHE"))
        path = std::string(cache) + "/qemu/build/qemu-system-x86_64";
    else if (const char *home = getenv("HOME"))
        path = std::string(home) + "/.cache/gmemu/qemu/build/qemu-system-x86_64";
    return access(path.c_str(), X_OK) == 0 ? path : "";
}

void short_pause() { usleep(2000); }

StartFailure expect_refusal(const std::string &device, const Arguments &more)
{
    int fds[2];
    StartFailure failure{-1, {}};

    if (pipe(fds))
        throw std::runtime_error("pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        auto args = command_line(device);

        args.insert(args.end(), more.begin(), more.end());
        alarm(60);
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        exec(args);
    }
    close(fds[1]);
    char buffer[4096];
    for (ssize_t n; (n = ::read(fds[0], buffer, sizeof(buffer))) > 0;)
        failure.message.append(buffer, static_cast<size_t>(n));
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    failure.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return failure;
}

Machine::Machine(const std::string &device, const Arguments &more)
{
    int monitor[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor))
        throw std::runtime_error("socketpair");
    qmp_ = monitor[0];
    char directory[] = "/tmp/gmemu-qtest-XXXXXX";

    if (!mkdtemp(directory))
        throw std::runtime_error("mkdtemp");
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof(address)) ||
        listen(listener, 1))
        throw std::runtime_error("cannot listen for QEMU");
    pid_ = fork();
    if (pid_ == 0) {
        auto args = command_line(device);

        args.insert(args.end(),
                    {"-qtest", fmt::format("unix:{}", address.sun_path), "-qtest-log", "/dev/null",
                     "-chardev", fmt::format("socket,id=qmp,fd={}", monitor[1]), "-mon",
                     "chardev=qmp,mode=control"});
        args.insert(args.end(), more.begin(), more.end());
        fcntl(monitor[1], F_SETFD, 0);
        exec(args);
    }
    close(monitor[1]);
    /* A QEMU that refuses to start never connects. */
    timeval limit{30, 0};
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    socket_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
    unlink(address.sun_path);
    rmdir(directory);
    if (socket_ < 0)
        throw std::runtime_error("QEMU did not connect to the qtest socket");
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(qmp_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    qmp_line(); /* the greeting */
    qmp(R"({"execute": "qmp_capabilities"})");
}

Machine::~Machine()
{
    if (socket_ >= 0)
        close(socket_);
    close(qmp_);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

std::string Machine::command(const std::string &line)
{
    const std::string text = line + "\n";

    if (send(socket_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
        throw std::runtime_error("QEMU has gone away");
    for (;;) {
        for (size_t end; (end = received_.find('\n')) != received_.npos;) {
            const std::string answer = received_.substr(0, end);

            received_.erase(0, end + 1);
            if (answer.starts_with("IRQ "))
                continue;
            if (!answer.starts_with("OK"))
                throw std::runtime_error(fmt::format("qtest: '{}' gave '{}'", line, answer));
            return answer.size() > 3 ? answer.substr(3) : "";
        }
        char buffer[65536];
        const ssize_t n = recv(socket_, buffer, sizeof(buffer), 0);
        if (n <= 0)
            throw std::runtime_error(fmt::format("no answer to '{}'", line));
        received_.append(buffer, static_cast<size_t>(n));
    }
}

std::string Machine::qmp_line()
{
    for (;;) {
        if (const size_t end = qmp_received_.find('\n'); end != qmp_received_.npos) {
            const std::string line = qmp_received_.substr(0, end);

            qmp_received_.erase(0, end + 1);
            return line;
        }
        char buffer[4096];
        const ssize_t n = recv(qmp_, buffer, sizeof(buffer), 0);
        if (n <= 0)
            throw std::runtime_error("no answer from the monitor");
        qmp_received_.append(buffer, static_cast<size_t>(n));
    }
}

std::string Machine::qmp(const std::string &command)
{
    if (send(qmp_, command.data(), command.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(command.size()))
        throw std::runtime_error("QEMU has gone away");
    for (;;) {
        const std::string line = qmp_line();

        if (line.starts_with("{\"return\""))
            return line;
        if (line.starts_with("{\"error\""))
            throw std::runtime_error(fmt::format("QMP: '{}' gave '{}'", command, line));
        /* What else there is, is events. */
    }
}

static char size_letter(unsigned size)
{
    switch (size) {
    case 1: return 'b';
    case 2: return 'w';
    case 4: return 'l';
    default: return 'q';
    }
}

uint64_t Machine::read(uint64_t address, unsigned size)
{
    return std::stoull(command(fmt::format("read{} {:#x}", size_letter(size), address)), nullptr, 0);
}

void Machine::write(uint64_t address, uint64_t value, unsigned size)
{
    command(fmt::format("write{} {:#x} {:#x}", size_letter(size), address, value));
}

std::vector<uint8_t> Machine::read_memory(uint64_t address, size_t size)
{
    const std::string hex = command(fmt::format("read {:#x} {:#x}", address, size));
    std::vector<uint8_t> bytes;

    for (size_t i = 2; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

void Machine::write_memory(uint64_t address, std::span<const uint8_t> bytes)
{
    std::string hex = "0x";

    for (const uint8_t byte : bytes)
        hex += fmt::format("{:02x}", byte);
    command(fmt::format("write {:#x} {:#x} {}", address, bytes.size(), hex));
}

void Machine::out(uint16_t port, uint32_t value, unsigned size)
{
    command(fmt::format("out{} {:#x} {:#x}", size_letter(size), port, value));
}

uint32_t Machine::in(uint16_t port, unsigned size)
{
    return static_cast<uint32_t>(
        std::stoul(command(fmt::format("in{} {:#x}", size_letter(size), port)), nullptr, 0));
}

uint32_t Machine::config_read(unsigned offset, unsigned size)
{
    out(kConfigAddress, 0x80000000 | (kDevice << 11) | (offset & ~3u), 4);
    return in(static_cast<uint16_t>(kConfigData + (offset & 3)), size);
}

void Machine::config_write(unsigned offset, uint32_t value, unsigned size)
{
    out(kConfigAddress, 0x80000000 | (kDevice << 11) | (offset & ~3u), 4);
    out(static_cast<uint16_t>(kConfigData + (offset & 3)), value, size);
}

/* In the host bridge: where the window is. */
uint64_t Machine::extended_at(unsigned offset)
{
    constexpr uint64_t kWindow = 0xb0000000;
    constexpr uint32_t kPciexbar = 0x60, kEnable = 1;

    out(kConfigAddress, 0x80000000 | kPciexbar, 4);
    out(kConfigData, static_cast<uint32_t>(kWindow) | kEnable, 4);
    return kWindow + (kDevice << 15) + offset;
}

uint32_t Machine::extended_read(unsigned offset) { return static_cast<uint32_t>(read(extended_at(offset), 4)); }

void Machine::extended_write(unsigned offset, uint32_t value) { write(extended_at(offset), value, 4); }

unsigned Machine::find_extended_capability(unsigned id)
{
    unsigned at = 0x100;

    while (at && (extended_read(at) & 0xffff) != id)
        at = extended_read(at) >> 20;
    return at;
}

unsigned Machine::find_capability(unsigned id)
{
    for (unsigned at = config_read(kCapabilities, 1); at; at = config_read(at + 1, 1))
        if (config_read(at, 1) == id)
            return at;
    return 0;
}

uint64_t Machine::bar_size(unsigned bar)
{
    const unsigned at = kBars + 4 * bar;
    const uint32_t low = config_read(at, 4);

    config_write(at, 0xffffffff, 4);
    uint64_t mask = 0xffffffff00000000 | config_read(at, 4);
    config_write(at, low, 4);
    if (!static_cast<uint32_t>(mask))
        return 0; /* no such BAR */
    if ((low & 6) == 4) {
        const uint32_t high = config_read(at + 4, 4);

        config_write(at + 4, 0xffffffff, 4);
        mask = (static_cast<uint64_t>(config_read(at + 4, 4)) << 32) | (mask & 0xffffffff);
        config_write(at + 4, high, 4);
    }
    return ~(mask & ~uint64_t(15)) + 1;
}

size_t Machine::resident_bytes() const
{
    std::ifstream statm(fmt::format("/proc/{}/statm", pid_));
    size_t total = 0, resident = 0;

    if (!(statm >> total >> resident))
        throw std::runtime_error("QEMU has gone away");
    return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void Machine::enable(bool bus_master)
{
    config_write(kBars + 4 * GMEMU_BAR_REGS, kBar0, 4);
    config_write(kBars + 4 * GMEMU_BAR_REGS + 4, 0, 4);
    config_write(kBars + 4 * GMEMU_BAR_DRAM, kBar2, 4); // ignored by a device without it
    config_write(kBars + 4 * GMEMU_BAR_DRAM + 4, 0, 4);
    config_write(kBars + 4 * GMEMU_BAR_MSIX, kBar4, 4);
    config_write(kCommand, kCommandMemory | (bus_master ? kCommandMaster : 0u), 2);
}

} // namespace gmemu::qtest
