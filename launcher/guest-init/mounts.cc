/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mounts.h"

#include "protocol.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gmemu::init {

/* Big messages: each is a round trip to QEMU. */
static const std::string k9pOptions = "trans=virtio,version=9p2000.L,msize=512000";

static int mount_at(const char *type, const std::string &where, unsigned long flags = 0,
                    const std::string &options = {})
{
    mkdir(where.c_str(), 0755);
    return mount(type, where.c_str(), type, flags, options.c_str());
}

static std::string failure(const std::string &what) { return what + ": " + strerror(errno); }

void mount_kernel_filesystems()
{
    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
    mount_at("devtmpfs", "/dev");
    /* A new mount is a new devpts: /init, which opens the master, and the program share this one. */
    mount_at("devpts", "/dev/pts", 0, "ptmxmode=0666");
}

static void make_directories(const std::string &path)
{
    for (size_t slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1))
        mkdir(path.substr(0, slash).c_str(), 0755);
    mkdir(path.c_str(), 0755);
}

/* @lower, with a layer in memory above it that takes what is written. */
static std::string mount_overlay(const std::string &lower, const std::string &path, const std::string &name)
{
    const std::string upper = "/gmemu/rw/upper-" + name, work = "/gmemu/rw/work-" + name;

    mkdir(upper.c_str(), 0755);
    mkdir(work.c_str(), 0755);
    if (mount("overlay", path.c_str(), "overlay", 0,
              ("lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work).c_str()))
        return failure("cannot mount the overlay on " + path);
    return {};
}

/* "MODE TAG PATH" */
static std::string mount_share(const std::string &share)
{
    const size_t tag_at = share.find(' ') + 1, path_at = share.find(' ', tag_at) + 1;
    const std::string mode = share.substr(0, tag_at - 1), tag = share.substr(tag_at, path_at - 1 - tag_at);
    const std::string guest_path = share.substr(path_at), path = protocol::kProgramRoot + guest_path;
    const bool overlay = mode == "overlay";
    const std::string where = overlay ? "/gmemu/lower-" + tag : path;

    make_directories(path);
    mkdir(where.c_str(), 0755);
    /* mmap: written pages reach the host at msync, munmap and sync; reads see its changes. */
    if (mount(tag.c_str(), where.c_str(), "9p", mode == "rw" ? 0 : MS_RDONLY,
              (k9pOptions + ",cache=mmap").c_str()))
        return failure("cannot mount the shared directory " + guest_path);
    return overlay ? mount_overlay(where, path, tag) : std::string();
}

static std::string mount_host_root()
{
    mkdir("/gmemu/lower", 0755);
    /* The root does not change under us as far as programs care: cache without limits. */
    if (mount(protocol::kTagRoot, "/gmemu/lower", "9p", MS_RDONLY, (k9pOptions + ",cache=loose").c_str()))
        return failure("cannot mount the host's file system (9p)");
    if (mount_at("tmpfs", "/gmemu/rw", 0, "mode=0755"))
        return failure("cannot mount tmpfs");
    mkdir(protocol::kProgramRoot, 0755);
    return mount_overlay("/gmemu/lower", protocol::kProgramRoot, "root");
}

std::string mount_program_root(const Config &config)
{
    const std::string root = protocol::kProgramRoot;

    if (!config.standalone)
        if (const std::string error = mount_host_root(); !error.empty())
            return error;
    mount_at("proc", root + "/proc");
    mount_at("sysfs", root + "/sys");
    mount_at("debugfs", root + "/sys/kernel/debug");
    mount_at("tracefs", root + "/sys/kernel/tracing");
    mount_at("devtmpfs", root + "/dev");
    mount("/dev/pts", (root + "/dev/pts").c_str(), nullptr, MS_BIND, nullptr);
    mount_at("tmpfs", root + "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_at("tmpfs", root + "/run", MS_NOSUID | MS_NODEV, "mode=0755");
    symlink("/proc/self/fd", (root + "/dev/fd").c_str());
    symlink("/proc/self/fd/0", (root + "/dev/stdin").c_str());
    symlink("/proc/self/fd/1", (root + "/dev/stdout").c_str());
    symlink("/proc/self/fd/2", (root + "/dev/stderr").c_str());
    for (const std::string &share : config.shares)
        if (const std::string error = mount_share(share); !error.empty())
            return error;
    return {};
}

} // namespace gmemu::init
