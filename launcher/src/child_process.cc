/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "child_process.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gmemu {

ChildProcess::ChildProcess(const std::vector<std::string> &args, const std::vector<int> &keep, int stderr_fd)
{
    const pid_t parent = getpid();

    pid_ = fork();
    if (pid_ < 0)
        throw_errno("cannot start a process");
    if (pid_ == 0) {
        std::vector<char *> argv;
        sigset_t none;

        /* Also when the launcher is killed with SIGKILL. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(125);
        /* Ctrl-C is for the launcher to act on. */
        setpgid(0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
        signal(SIGPIPE, SIG_DFL);
        const int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(stderr_fd, 1);
        dup2(stderr_fd, 2);
        for (const int fd : keep)
            fcntl(fd, F_SETFD, 0);
        for (const std::string &arg : args)
            argv.push_back(const_cast<char *>(arg.c_str()));
        argv.push_back(nullptr);
        execv(argv[0], argv.data());
        dprintf(2, "cannot run %s\n", argv[0]);
        _exit(127);
    }
    pidfd_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
}

ChildProcess::~ChildProcess()
{
    if (!code_) {
        kill();
        while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR)
            ;
    }
}

void ChildProcess::kill()
{
    if (!code_)
        ::kill(pid_, SIGKILL);
}

std::optional<int> ChildProcess::poll()
{
    int status;

    if (!code_ && waitpid(pid_, &status, WNOHANG) == pid_)
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
}

} // namespace gmemu
