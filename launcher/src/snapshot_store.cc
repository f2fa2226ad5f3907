/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STORE/NAME is a saved guest, STORE/NAME.lock its lock: shared by those who run it, exclusive for
 * who makes or removes it. NAME is a hash of the key, which is kept in full beside the guest.
 * A guest is made as STORE/NAME.new and gets its name when it is complete, so what has a name
 * is whole.
 */
#include "snapshot_store.h"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

fs::path lock_of(const fs::path &directory) { return directory.string() + ".lock"; }

UniqueFd open_lock(const fs::path &directory)
{
    UniqueFd lock(open(lock_of(directory).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));

    if (!lock)
        throw_errno(fmt::format("cannot open {}", lock_of(directory).string()));
    return lock;
}

bool has_key(const fs::path &directory, const std::string &key)
{
    return try_read_file(directory / "key") == key;
}

uint64_t disk_usage(const fs::path &directory)
{
    std::error_code error;
    uint64_t bytes = 0;

    for (const auto &file : fs::directory_iterator(directory, error)) {
        struct stat status;

        if (stat(file.path().c_str(), &status) == 0)
            bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
    return bytes;
}

} // namespace

/* FNV-1a */
std::string fnv_hash(const std::string &text)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return fmt::format("{:016x}", hash);
}

Snapshot SnapshotStore::get(const std::string &key, const std::function<void(const fs::path &)> &make)
{
    const fs::path directory = directory_ / fnv_hash(key);
    const fs::path unfinished = directory.string() + ".new";

    fs::create_directories(directory_);
    fs::permissions(directory_, fs::perms::owner_all);
    for (;;) {
        UniqueFd lock = open_lock(directory);

        flock(lock.get(), LOCK_SH);
        if (has_key(directory, key)) {
            fs::last_write_time(directory, fs::file_time_type::clock::now());
            return {directory, std::move(lock)};
        }
        flock(lock.get(), LOCK_UN);
        if (flock(lock.get(), LOCK_EX | LOCK_NB)) {
            fmt::print(stderr, "gmemu: somebody is making this snapshot, or uses it; waiting ...\n");
            flock(lock.get(), LOCK_EX);
        }
        if (!has_key(directory, key)) {
            make_room();
            fs::remove_all(unfinished);
            fs::remove_all(directory);
            fs::create_directory(unfinished);
            try {
                make(unfinished);
            } catch (...) {
                fs::remove_all(unfinished);
                throw;
            }
            write_file(unfinished / "key", key);
            fs::rename(unfinished, directory);
        }
        /* Another may take the lock in between, and even remove it: look again. */
    }
}

void SnapshotStore::forget(Snapshot snapshot)
{
    std::error_code ignored;

    /* Who has opened it keeps it. */
    fs::remove_all(snapshot.directory(), ignored);
}

std::vector<SnapshotStore::Entry> SnapshotStore::entries() const
{
    std::vector<Entry> list;
    std::error_code error;

    for (const auto &item : fs::directory_iterator(directory_, error))
        if (item.is_directory(error) && item.path().extension().empty())
            list.push_back({item.path(), disk_usage(item.path()), item.last_write_time(error)});
    std::sort(list.begin(), list.end(), [](const Entry &a, const Entry &b) { return a.used > b.used; });
    return list;
}

bool SnapshotStore::remove_unused(const fs::path &directory)
{
    const UniqueFd lock = open_lock(directory);
    std::error_code ignored;

    if (flock(lock.get(), LOCK_EX | LOCK_NB))
        return false;
    fs::remove_all(directory, ignored);
    fs::remove_all(directory.string() + ".new", ignored);
    return true;
}

void SnapshotStore::make_room()
{
    const std::vector<Entry> list = entries();

    for (size_t i = limit_ - 1; i < list.size(); i++)
        remove_unused(list[i].directory);
}

size_t SnapshotStore::clear()
{
    size_t removed = 0;

    for (const Entry &entry : entries())
        removed += remove_unused(entry.directory);
    return removed;
}

} // namespace gmemu
