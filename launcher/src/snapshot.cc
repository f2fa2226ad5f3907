/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapshot.h"

#include "console_watch.h"
#include "qemu_monitor.h"
#include "snapshot_store.h"

#include <chrono>
#include <fmt/format.h>
#include <sys/stat.h>
#include <thread>

namespace gmemu {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 300s;

std::string uri(const fs::path &state) { return "file:" + state.string(); }

/* Memory that is a shared file needs no saving, and is not in the state. */
void ignore_shared_memory(QemuMonitor &monitor)
{
    using nlohmann::json;
    const json capability = {{"capability", "x-ignore-shared"}, {"state", true}};

    monitor.execute("migrate-set-capabilities", {{"capabilities", json::array({capability})}});
}

} // namespace

std::string file_identity(const fs::path &file)
{
    struct stat status = {};

    stat(file.c_str(), &status);
    return fmt::format("{} {} {}.{:09}\n", file.string(), status.st_size, status.st_mtim.tv_sec,
                       status.st_mtim.tv_nsec);
}

std::string content_identity(const std::string &content)
{
    return fmt::format("{} {}\n", content.size(), fnv_hash(content));
}

std::string cpu_model()
{
    const std::string text = try_read_file("/proc/cpuinfo");

    /* Of the first; with the clock it is never the same twice. */
    std::string model;
    LineSplitter lines;
    lines.feed(text.substr(0, text.find("\n\n") + 1), [&](std::string_view line) {
        if (!line.starts_with("cpu MHz"))
            model += line;
    });
    return model;
}

std::vector<std::string> save_arguments(int fd)
{
    return {"-chardev", fmt::format("socket,id=monitor,fd={}", fd), "-mon", "chardev=monitor,mode=control"};
}

std::vector<std::string> load_arguments(int fd)
{
    std::vector<std::string> words = save_arguments(fd);

    words.insert(words.end(), {"-incoming", "defer"});
    return words;
}

void save_machine(UniqueFd connection, const fs::path &state)
{
    QemuMonitor monitor(std::move(connection));
    const auto deadline = std::chrono::steady_clock::now() + kPatience;

    ignore_shared_memory(monitor);
    monitor.execute("migrate-set-parameters", {{"max-bandwidth", 1ull << 40}});
    /* It runs to the last moment, and so goes on by itself when it is loaded. */
    monitor.execute("migrate", {{"uri", uri(state)}});
    for (;;) {
        const nlohmann::json info = monitor.execute("query-migrate");
        const std::string status = info.value("status", "");

        if (status == "completed")
            break;
        if (status == "failed" || std::chrono::steady_clock::now() > deadline)
            throw Error("the guest cannot be saved: " + info.value("error-desc", "QEMU says no reason"));
        std::this_thread::sleep_for(5ms);
    }
    monitor.execute("quit");
}

void load_machine(UniqueFd connection, const fs::path &state)
{
    QemuMonitor monitor(std::move(connection));

    ignore_shared_memory(monitor);
    monitor.execute("migrate-incoming", {{"uri", uri(state)}});
}

int run_snapshots(const Paths &paths, bool clear)
{
    SnapshotStore store(paths.snapshots());

    if (clear) {
        const size_t removed = store.clear();

        fmt::print("{} removed, {} in use\n", removed, store.entries().size());
        return 0;
    }
    for (const SnapshotStore::Entry &entry : store.entries())
        fmt::print("{}  {} MiB\n", entry.directory.string(), entry.bytes >> 20);
    return 0;
}

} // namespace gmemu
