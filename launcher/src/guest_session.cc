/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_session.h"

#include "attach_server.h"
#include "child_process.h"
#include "console_watch.h"
#include "device_properties.h"
#include "device_questions.h"
#include "directories.h"
#include "guest_image.h"
#include "guest_trace.h"
#include "kvm_probe.h"
#include "passthrough.h"
#include "posix.h"
#include "protocol.h"
#include "qemu_command.h"
#include "signal_fd.h"
#include "snapshot.h"
#include "snapshot_store.h"
#include "terminal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

constexpr size_t kChunk = 65536;
/* A pipe that poll() calls writable takes this much without blocking. */
constexpr size_t kWriteChunk = PIPE_BUF;
/* The guest has said all, or has crashed; QEMU should end by itself in that time. */
constexpr auto kEndGrace = std::chrono::seconds(5);
/* The device is dead; the program gets this long to notice. */
constexpr auto kFatalGrace = std::chrono::seconds(10);
/* A guest that is to be saved has this long to boot. */
constexpr auto kSaveLimit = std::chrono::seconds(300);
/* The program was told to end by SIGTERM or SIGHUP; it gets this long. */
constexpr auto kTermGrace = std::chrono::seconds(10);
/* So many signals within so long, and the guest ends at once. */
constexpr unsigned kImpatience = 3;
constexpr auto kImpatienceSpan = std::chrono::seconds(2);

/* All that a user waits for counts, also what comes before a session. */
const Clock::time_point launcher_began = Clock::now();

double seconds_of_launcher() { return std::chrono::duration<double>(Clock::now() - launcher_began).count(); }

void say(std::string_view text) { fmt::print(stderr, "gmemu: {}\n", text); }

/* From a guest's stream to one of ours. */
struct Output {
    int fd;
    std::string pending;
    uint64_t received = 0;
    bool closed = false; /* our reader has gone */
    bool ended = false;  /* QEMU has closed its side */

    bool wants_input() const { return !ended && pending.size() < kChunk; }
};

/* How a guest begins. */
enum class Beginning {
    boot,
    save, /* boots, and is saved before it runs anything */
    load, /* goes on from where it was saved */
};

class Session {
public:
    /* @directory: where the guest is, or will be, saved. */
    Session(const Paths &paths, const RunOptions &options, Beginning beginning = Beginning::boot,
            fs::path directory = {})
        : paths_(paths),
          options_(options),
          beginning_(beginning),
          saved_(std::move(directory))
    {}
    RunResult run();
    /* All that a saved guest depends on. */
    std::string snapshot_key();

private:
    struct Channel {
        ChannelEnds pair = make_socket_pair();
        int ours() const { return pair.ours.get(); }
        int theirs() const { return pair.theirs.get(); }
    };

    std::string image() const;
    std::vector<std::string> command(const QemuFds &fds, const fs::path &initramfs, MemoryFiles memory,
                                     std::vector<std::string> more);
    std::vector<std::string> command(int initramfs, int monitor);
    bool uses_kvm() const;
    void save(ChildProcess &qemu, UniqueFd monitor);
    void load(UniqueFd monitor);
    void write_control();
    void end_as(RunOutcome outcome, int code, std::string message);
    void loop(ChildProcess &qemu, int qemu_messages);
    void read_stdin();
    void write_stdin();
    void control(std::string_view line);
    void send_control(std::string_view line);
    bool read_channel(int fd, std::string &chunk);
    void read_output(Channel &channel, Output &output);
    void write_output(Output &output);
    void read_control();
    void read_console();
    void read_messages(int fd);
    void read_trace();
    void complete_traces();
    void signals();
    void forward_signal(int number);
    void limit(Clock::time_point when) { deadline_ = deadline_ ? std::min(*deadline_, when) : when; }
    bool check_is_fatal() const;
    bool complete() const;
    void conclude();
    void keep_artifacts(std::string_view command);
    std::string gdb_instructions(pid_t qemu) const;

    const Paths &paths_;
    const RunOptions &options_;
    const Beginning beginning_;
    const fs::path saved_;
    const std::unique_ptr<TempDir> gdb_ = options_.gdb ? std::make_unique<TempDir>() : nullptr;
    std::vector<SharedDirectory> directories_ = shared_directories(options_);
    /* A pipe: a serial port that cannot write at once drops characters. */
    Channel console_{make_pipe_from_child()};
    Channel control_, stdin_, stdout_, stderr_, attach_, trace_, questions_;
    /* The ports of the guest, its console, and QEMU's monitor. */
    const std::array<Channel *, 8> channels_ = {&console_, &control_, &stdin_, &stdout_,
                                                &stderr_,  &attach_,  &trace_, &questions_};
    AttachServer attached_{attach_.ours()};
    DeviceQuestions devices_{questions_.ours()};
    Output out_{.fd = 1, .pending = {}}, err_{.fd = 2, .pending = {}};
    SignalFd signals_;
    LineSplitter control_lines_, console_lines_, message_lines_;
    GuestTrace guest_trace_;
    RunResult result_;
    std::string stdin_pending_, control_pending_;
    uint64_t stdin_bytes_ = 0;
    bool stdin_ended_ = false;
    Clock::time_point started_ = Clock::now();
    std::optional<Clock::time_point> deadline_; /* kill QEMU then */

    /* How it ended. */
    std::optional<int> exit_code_, qemu_code_;
    uint64_t out_total_ = 0, err_total_ = 0;
    bool console_open_ = true, control_open_ = true, messages_open_ = true, trace_open_ = true;
    bool ready_ = false; /* to be saved */
    bool program_started_ = false, timed_out_ = false, panicked_ = false, fatal_ = false;
    std::string init_failure_;
    int interrupted_by_ = 0;

    /* Signals we got: the last that asks for an end, and how many came in a short while. */
    int asked_to_end_ = 0;
    unsigned signal_count_ = 0;
    Clock::time_point first_signal_;
};

bool Session::uses_kvm() const
{
    if (options_.accel != "auto")
        return options_.accel == "kvm";
    const KvmVerdict verdict = probe_kvm(paths_.cache);
    if (options_.verbose)
        say(fmt::format("KVM: {}", verdict.reason));
    return verdict.usable;
}

std::string Session::image() const
{
    return build_guest_image(
        paths_, options_, beginning_ == Beginning::boot ? run_config(options_, directories_) : std::string());
}

std::vector<std::string> Session::command(const QemuFds &fds, const fs::path &initramfs, MemoryFiles memory,
                                          std::vector<std::string> more)
{
    return qemu_command({
        .paths = paths_,
        .options = options_,
        .qemu = find_qemu(paths_, options_),
        .kernel = find_kernel(paths_, options_),
        .initramfs = initramfs,
        .directories = directories_,
        .kvm = uses_kvm(),
        .memory = std::move(memory),
        .more = std::move(more),
        .gdb_socket = gdb_ ? gdb_->path() / "gdb" : fs::path(),
        .fds = fds,
    });
}

std::vector<std::string> Session::command(int initramfs, int monitor)
{
    std::vector<std::string> more;

    if (beginning_ == Beginning::save)
        more = save_arguments(monitor);
    else if (beginning_ == Beginning::load)
        more = load_arguments(monitor);
    return command({console_.theirs(), control_.theirs(), stdin_.theirs(), stdout_.theirs(), stderr_.theirs(),
                    attach_.theirs(), trace_.theirs(), questions_.theirs()},
                   initramfs < 0 ? "INITRAMFS" : fmt::format("/proc/self/fd/{}", initramfs),
                   {saved_, beginning_ == Beginning::save}, std::move(more));
}

std::string Session::snapshot_key()
{
    const Qemu qemu = find_qemu(paths_, options_);
    std::string key;

    /* Where a directory is on the host is not part of the machine. */
    for (SharedDirectory &directory : directories_)
        directory.host = "HOST";
    for (const std::string &word : command({}, "INITRAMFS", {}, {}))
        key += word + "\n";
    for (const fs::path &file : {qemu.program, qemu.plugin, find_kernel(paths_, options_)})
        key += file_identity(file);
    key += content_identity(image());
    if (uses_kvm())
        key += content_identity(try_read_file("/proc/sys/kernel/osrelease") + cpu_model());
    return key;
}

void Session::send_control(std::string_view line) { control_pending_ += line; }

void Session::write_control()
{
    const ssize_t n = write(control_.ours(), control_pending_.data(), control_pending_.size());

    if (n > 0)
        control_pending_.erase(0, static_cast<size_t>(n));
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        control_pending_.clear();
}

void Session::read_stdin()
{
    char buffer[kChunk];
    const ssize_t n = options_.stdin_null ? 0 : read(0, buffer, sizeof(buffer));

    if (n > 0) {
        stdin_pending_.append(buffer, static_cast<size_t>(n));
        stdin_bytes_ += static_cast<uint64_t>(n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        stdin_ended_ = true;
        send_control(fmt::format("eof {}\n", stdin_bytes_));
    }
}

void Session::write_stdin()
{
    const ssize_t n = write(stdin_.ours(), stdin_pending_.data(), stdin_pending_.size());

    if (n > 0)
        stdin_pending_.erase(0, static_cast<size_t>(n));
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        stdin_pending_.clear();
}

void Session::control(std::string_view text)
{
    const std::string line(text);
    unsigned long long out, err;
    int code;

    if (sscanf(line.c_str(), "exit %d %llu %llu", &code, &out, &err) == 3) {
        exit_code_ = code;
        out_total_ = out;
        err_total_ = err;
    } else if (line.starts_with("start ")) {
        program_started_ = true;
        result_.times.start = seconds_of_launcher();
        result_.times.read_start(line, beginning_ == Beginning::boot);
        result_.seconds_to_start = std::chrono::duration<double>(Clock::now() - started_).count();
        if (options_.verbose)
            say(fmt::format("the program starts {:.1f} s after QEMU", result_.seconds_to_start));
    } else if (line == "ready") {
        ready_ = true;
    } else if (line.starts_with("fail ")) {
        init_failure_ = line.substr(5);
    } else if (line.starts_with("log ")) {
        say(line.substr(4));
    }
}

/* Appends what there is; false at the end. */
bool Session::read_channel(int fd, std::string &chunk)
{
    char buffer[kChunk];
    const ssize_t n = read(fd, buffer, sizeof(buffer));

    if (n > 0)
        chunk.append(buffer, static_cast<size_t>(n));
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void Session::read_output(Channel &channel, Output &output)
{
    const size_t before = output.pending.size();

    output.ended = !read_channel(channel.ours(), output.pending);
    output.received += output.pending.size() - before;
    if (output.received > 0 && !result_.times.output)
        result_.times.output = seconds_of_launcher();
    if (output.closed)
        output.pending.clear();
}

void Session::write_output(Output &output)
{
    const ssize_t n = write(output.fd, output.pending.data(), std::min(output.pending.size(), kWriteChunk));

    if (n > 0) {
        output.pending.erase(0, static_cast<size_t>(n));
    } else if (errno != EAGAIN && errno != EINTR) {
        /* As the program would learn it on the host. */
        output.closed = true;
        output.pending.clear();
        send_control(fmt::format("signal {}\n", SIGPIPE));
    }
}

void Session::read_control()
{
    std::string chunk;

    control_open_ = read_channel(control_.ours(), chunk);
    control_lines_.feed(chunk, [this](std::string_view line) { control(line); });
}

void Session::read_console()
{
    std::string chunk;

    console_open_ = read_channel(console_.ours(), chunk);
    result_.console += chunk;
    if (options_.verbose)
        fmt::print(stderr, "{}", chunk);
    console_lines_.feed(chunk, [this](std::string_view line) {
        if (is_panic_line(line) && !panicked_) {
            panicked_ = true;
            /* Under a debugger it is to be looked at. */
            if (!options_.gdb)
                limit(Clock::now() + kEndGrace);
        }
    });
}

void Session::read_messages(int fd)
{
    std::string chunk;

    messages_open_ = read_channel(fd, chunk);
    result_.qemu_messages += chunk;
    message_lines_.feed(chunk, [this](std::string_view line) {
        const bool stopped =
            is_device_fatal_line(line) || (check_is_fatal() && is_contract_violation_line(line));

        if (stopped && !fatal_) {
            fatal_ = true;
            limit(Clock::now() + kFatalGrace);
        }
        if (options_.verbose || is_contract_violation_line(line) || is_device_fatal_line(line))
            fmt::print(stderr, "{}\n", line);
    });
}

void Session::read_trace()
{
    std::string chunk;

    trace_open_ = read_channel(trace_.ours(), chunk);
    guest_trace_.feed(chunk);
}

/* QEMU has ended: nobody writes to them any more. */
void Session::complete_traces()
{
    const std::vector<fs::path> files = trace_files(options_);
    std::error_code error;

    for (size_t i = 0; i < files.size(); i++) {
        try {
            if (fs::is_regular_file(files[i], error) && !guest_trace_.merge_into(files[i], i))
                say(fmt::format("{} has nothing of the guest's kernel: that has not told of device {}",
                                files[i].string(), i));
        } catch (const Error &problem) {
            say(problem.what());
        }
    }
}

void Session::signals()
{
    while (const int number = signals_.next()) {
        if (number == SIGWINCH) {
            const auto [rows, columns] = terminal_size(0);

            send_control(fmt::format("size {} {}\n", rows, columns));
        } else {
            forward_signal(number);
        }
    }
}

/*
 * The program gets it, as if it ran here. The guest ends with it, or without it if there is no
 * program yet, if it does not listen, or if somebody is impatient.
 */
void Session::forward_signal(int number)
{
    const auto now = Clock::now();
    const bool user = number == SIGUSR1 || number == SIGUSR2;

    if (!user && (signal_count_++ == 0 || now - first_signal_ > kImpatienceSpan)) {
        signal_count_ = 1;
        first_signal_ = now;
    }
    if (program_started_ && !exit_code_ && (user || signal_count_ < kImpatience)) {
        send_control(fmt::format("signal {}\n", number));
        if (number == SIGTERM || number == SIGHUP) {
            asked_to_end_ = number;
            limit(now + kTermGrace);
        }
    } else if (!user) {
        interrupted_by_ = number;
    }
}

/* With check=fatal the device stops at the first violation of its contract. */
bool Session::check_is_fatal() const { return any_device_has(options_, "check", "fatal"); }

/* The program's end is known, and all it wrote has been passed on. */
bool Session::complete() const
{
    const bool out_done = out_.pending.empty() && (out_.received >= out_total_ || out_.ended);
    const bool err_done = err_.pending.empty() && (err_.received >= err_total_ || err_.ended);

    return exit_code_ && out_done && err_done;
}

void Session::loop(ChildProcess &qemu, int messages)
{
    bool ended = false, finishing = false;
    const auto limit_ms = [this] {
        if (!deadline_)
            return -1;
        const auto left = *deadline_ - Clock::now();
        return static_cast<int>(
            std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1));
    };

    /* When QEMU ends, each descriptor still gives what was sent before, then its end. */
    const auto drained = [this] {
        return !messages_open_ && !console_open_ && !control_open_ && !trace_open_ && out_.ended &&
               err_.ended && out_.pending.empty() && err_.pending.empty();
    };

    attached_.set_ask([this](uint16_t client, std::string_view question) { devices_.ask(client, question); });
    while (!ended || !drained()) {
        const bool want_stdin = program_started_ && !ended && !stdin_ended_ && stdin_pending_.size() < kChunk;
        std::vector<pollfd> fds = {
            {signals_.get(), POLLIN, 0},
            {ended ? -1 : qemu.pidfd(), POLLIN, 0},
            {messages_open_ ? messages : -1, POLLIN, 0},
            {console_open_ ? console_.ours() : -1, POLLIN, 0},
            {control_open_ ? control_.ours() : -1, POLLIN, 0},
            {out_.wants_input() ? stdout_.ours() : -1, POLLIN, 0},
            {err_.wants_input() ? stderr_.ours() : -1, POLLIN, 0},
            {want_stdin ? 0 : -1, POLLIN, 0},
            {stdin_pending_.empty() || ended ? -1 : stdin_.ours(), POLLOUT, 0},
            {out_.pending.empty() ? -1 : out_.fd, POLLOUT, 0},
            {err_.pending.empty() ? -1 : err_.fd, POLLOUT, 0},
            {control_pending_.empty() || ended ? -1 : control_.ours(), POLLOUT, 0},
            {trace_open_ ? trace_.ours() : -1, POLLIN, 0},
        };

        if (!ended) {
            attached_.add_polls(fds);
            devices_.add_polls(fds);
        }
        if (poll(fds.data(), fds.size(), limit_ms()) < 0 && errno != EINTR)
            throw_errno("poll");
        if (deadline_ && Clock::now() >= *deadline_) {
            if (!exit_code_ && !panicked_ && !fatal_) {
                interrupted_by_ = asked_to_end_;
                timed_out_ = !asked_to_end_;
            }
            return;
        }
        if (fds[0].revents)
            signals();
        if (fds[11].revents)
            write_control();
        if (interrupted_by_)
            return;
        if (fds[2].revents)
            read_messages(messages);
        if (fds[3].revents)
            read_console();
        if (fds[4].revents)
            read_control();
        if (ready_ && beginning_ == Beginning::save)
            return;
        if (fds[5].revents)
            read_output(stdout_, out_);
        if (fds[6].revents)
            read_output(stderr_, err_);
        if (fds[7].revents)
            read_stdin();
        if (fds[8].revents)
            write_stdin();
        if (fds[9].revents)
            write_output(out_);
        if (fds[10].revents)
            write_output(err_);
        if (fds[12].revents)
            read_trace();
        attached_.work();
        devices_.work([this](uint16_t client, std::string_view json) { attached_.answer(client, json); });
        if (complete() && !finishing) {
            /* The kernel still has its last words on the console. */
            finishing = true;
            deadline_ = Clock::now() + kEndGrace;
        }
        ended |= fds[1].revents != 0;
    }
    /* Its descriptor said it has ended. */
    qemu_code_ = qemu.poll();
}

/* Each line ends so that a raw terminal shows it as well. */
std::string Session::gdb_instructions(pid_t qemu) const
{
    const std::string target = fmt::format("target remote {}", (gdb_->path() / "gdb").string());

    return fmt::format(
        "gmemu: the guest waits for gdb, and goes on with its 'continue':\r\n"
        "    {}\r\n"
        "gmemu: the device is part of QEMU:\r\n"
        "    {}\r\n",
        shell_quoted({"gdb", find_kernel(paths_, options_).string(), "-ex", target}),
        shell_quoted({"gdb", "-p", std::to_string(qemu), "-ex", "handle SIGUSR1 nostop noprint"}));
}

void Session::keep_artifacts(std::string_view command)
{
    char name[64];
    const time_t now = time(nullptr);
    tm local = {};
    const fs::path parent = paths_.artifacts();
    std::error_code error;

    localtime_r(&now, &local);
    strftime(name, sizeof(name), "%Y%m%d-%H%M%S", &local);
    const fs::path directory = parent / fmt::format("{}-{}", name, getpid());
    if (!options_.keep_artifacts || !fs::create_directories(directory, error))
        return;
    write_file(directory / "console.log", result_.console);
    write_file(directory / "qemu.log", result_.qemu_messages);
    write_file(directory / "command", fmt::format("{}\n", command));
    result_.artifacts = directory;
    say(fmt::format("logs are kept in {}", directory.string()));
}

std::string last_lines(std::string_view text, size_t count)
{
    size_t start = text.size();

    for (size_t found = 0; start > 0; start--)
        if (text[start - 1] == '\n' && start != text.size() && ++found == count)
            break;
    std::string lines;
    LineSplitter splitter;
    splitter.feed(text.substr(start),
                  [&](std::string_view line) { lines += fmt::format("    | {}\n", line); });
    return lines;
}

/* Says why, unless the program has ended by itself. */
void Session::end_as(RunOutcome outcome, int code, std::string message)
{
    if (!message.empty() && outcome != RunOutcome::interrupted)
        say(message);
    result_.outcome = outcome;
    result_.code = code;
    result_.message = std::move(message);
}

void Session::conclude()
{
    const auto quote = [](std::string_view what, const std::string &text) {
        say(fmt::format("the end of {}:", what));
        fmt::print(stderr, "{}", last_lines(text.ends_with('\n') ? text : text + "\n", 30));
    };
    const bool booted = program_started_ || beginning_ == Beginning::load ||
                        result_.console.find("Linux version") != std::string::npos;

    if (interrupted_by_) {
        end_as(RunOutcome::interrupted, 128 + interrupted_by_,
               fmt::format("gmemu got signal {}", interrupted_by_));
    } else if (fatal_) {
        end_as(RunOutcome::device_failed, kExitDeviceFatal, "the device has failed; see above");
    } else if (exit_code_) {
        end_as(RunOutcome::exited, *exit_code_, {});
    } else if (panicked_) {
        end_as(RunOutcome::panicked, kExitGuestPanic, "the guest's kernel panicked");
        quote("its console", result_.console);
    } else if (timed_out_) {
        end_as(RunOutcome::timed_out, kExitTimeout,
               beginning_ == Beginning::save
                   ? std::string("the guest does not get ready to be saved")
                   : fmt::format("stopped after the timeout of {} s{}", options_.timeout_s,
                                 program_started_ ? "" : "; the program had not even started"));
    } else if (!init_failure_.empty()) {
        end_as(RunOutcome::failed, kExitLauncher,
               fmt::format("the guest could not be set up: {}", init_failure_));
    } else if (!booted) {
        end_as(RunOutcome::failed, kExitLauncher,
               fmt::format("QEMU did not start the guest (exit code {})", qemu_code_.value_or(0)));
        quote("what it said", result_.qemu_messages);
    } else if (qemu_code_ && *qemu_code_ != 0) {
        end_as(RunOutcome::failed, kExitLauncher, fmt::format("QEMU crashed (exit code {})", *qemu_code_));
        quote("what it said", result_.qemu_messages);
    } else {
        end_as(RunOutcome::panicked, kExitGuestPanic, "the guest stopped without a word (crash or reset)");
        quote("its console", result_.console);
    }
}

void Session::load(UniqueFd monitor)
{
    try {
        load_machine(std::move(monitor), saved_ / "state");
    } catch (const Error &error) {
        /* QEMU says more of it, and ends. */
        result_.qemu_messages += fmt::format("{}\n", error.what());
    }
}

/* The guest waits for what it is to run. */
void Session::save(ChildProcess &qemu, UniqueFd monitor)
{
    pollfd end = {qemu.pidfd(), POLLIN, 0};

    save_machine(std::move(monitor), saved_ / "state");
    poll(&end, 1, static_cast<int>(std::chrono::milliseconds(kEndGrace).count()));
}

RunResult Session::run()
{
    if (options_.dry_run) {
        image();
        fmt::print("{}\n", shell_quoted(command(-1, -1)));
        result_.code = 0;
        return std::move(result_);
    }

    /* Nothing of it has a name, so nothing is left, however we end. */
    const UniqueFd initramfs = make_memory_file(image());
    ChannelEnds monitor = make_socket_pair(), messages = make_pipe_from_child();
    const std::vector<std::string> line = command(initramfs.get(), monitor.theirs.get());
    std::vector<int> inherited = {initramfs.get()};

    if (options_.verbose)
        say(shell_quoted(line));
    for (Channel *channel : channels_) {
        fcntl(channel->ours(), F_SETFL, O_NONBLOCK);
        inherited.push_back(channel->theirs());
    }
    fcntl(messages.ours.get(), F_SETFL, O_NONBLOCK);
    if (beginning_ != Beginning::boot)
        inherited.push_back(monitor.theirs.get());
    if (beginning_ == Beginning::load) {
        const std::string config = run_config(options_, directories_) + revival_config();

        send_control(fmt::format("config {}\n{}", config.size(), config));
    }
    std::optional<RawTerminal> raw;
    if (options_.pty && beginning_ != Beginning::save) {
        const auto [rows, columns] = terminal_size(0);

        raw.emplace(0);
        send_control(fmt::format("size {} {}\n", rows, columns));
    }
    if (beginning_ == Beginning::save)
        limit(started_ + kSaveLimit);
    else if (options_.timeout_s)
        limit(started_ + std::chrono::seconds(options_.timeout_s));
    {
        result_.times.qemu = seconds_of_launcher();
        ChildProcess qemu(line, inherited, messages.theirs.get());

        messages.theirs.reset();
        monitor.theirs.reset();
        for (Channel *channel : channels_)
            channel->pair.theirs.reset();
        if (gdb_)
            fmt::print(stderr, "{}", gdb_instructions(qemu.pid()));
        if (beginning_ == Beginning::load)
            load(std::move(monitor.ours));
        loop(qemu, messages.ours.get());
        if (ready_ && beginning_ == Beginning::save)
            save(qemu, std::move(monitor.ours));
    }
    raw.reset();
    if (program_started_)
        complete_traces();
    result_.seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    result_.command = line;
    if (ready_) {
        end_as(RunOutcome::exited, 0, {});
        return std::move(result_);
    }
    conclude();
    if (!options_.dmesg.empty())
        write_file(options_.dmesg, result_.console);
    if (!options_.qemu_log.empty())
        write_file(options_.qemu_log, result_.qemu_messages);
    if (!exit_code_ && !interrupted_by_)
        keep_artifacts(shell_quoted(line));
    write_run_reports(options_, result_);
    return std::move(result_);
}

/* A guest could not be saved; how that ended. */
struct NotSaved {
    RunResult result;
};

RunResult run_from_snapshot(const Paths &paths, const RunOptions &options)
{
    SnapshotStore store(paths.snapshots());
    RunOptions kind = options;

    /* Where a trace goes is not part of the machine. */
    kind.trace.clear();
    const auto make = [&](const fs::path &directory) {
        say("saving a guest of this kind, once; the next runs begin from there ...");
        RunResult made = Session(paths, kind, Beginning::save, directory).run();

        if (made.outcome != RunOutcome::exited)
            throw NotSaved{std::move(made)};
    };

    try {
        const std::string key = Session(paths, kind, Beginning::save).snapshot_key();
        Snapshot snapshot = store.get(key, make);
        RunResult result = Session(paths, options, Beginning::load, snapshot.directory()).run();

        if (result.outcome == RunOutcome::failed) {
            store.forget(std::move(snapshot));
            say("the saved guest is removed; the next run makes it anew");
        }
        return result;
    } catch (NotSaved &failure) {
        return std::move(failure.result);
    }
}

} // namespace

RunResult run_guest(const Paths &paths, const RunOptions &options)
{
    try {
        check_passthrough(options);
        if (options.snapshot && !options.dry_run)
            return run_from_snapshot(paths, options);
        return Session(paths, options).run();
    } catch (const Error &error) {
        /* Who reads the reports learns of it, too. */
        RunResult result;

        result.message = error.what();
        write_run_reports(options, result);
        throw;
    }
}

} // namespace gmemu
