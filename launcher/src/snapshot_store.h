/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where guests that have been saved are kept, to be run many times. */
#pragma once

#include "posix.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gmemu {

/* A short name for a text. */
std::string fnv_hash(const std::string &text);

/* A saved guest. It stays as long as this does. */
class Snapshot {
public:
    Snapshot(std::filesystem::path directory, UniqueFd lock)
        : directory_(std::move(directory)),
          lock_(std::move(lock))
    {}

    /* The guest's memory is in files there. */
    const std::filesystem::path &directory() const { return directory_; }
    /* The state of the machine. */
    std::filesystem::path state() const { return directory_ / "state"; }

private:
    std::filesystem::path directory_;
    UniqueFd lock_; /* shared */
};

class SnapshotStore {
public:
    /* @limit: so many are kept; those that were not used for longest go. */
    explicit SnapshotStore(std::filesystem::path directory, size_t limit = 4)
        : directory_(std::move(directory)),
          limit_(limit)
    {}

    /*
     * The guest saved for @key, a text that says all that it depends on. If there is none,
     * @make saves one into a directory, and others who want it wait for that.
     */
    Snapshot get(const std::string &key, const std::function<void(const std::filesystem::path &)> &make);

    /* It does not work: the next get() makes it anew. */
    void forget(Snapshot snapshot);

    struct Entry {
        std::filesystem::path directory;
        uint64_t bytes = 0; /* on the disk */
        std::filesystem::file_time_type used;
    };
    /* The one that was used last comes first. */
    std::vector<Entry> entries() const;
    /* Removes all that are not in use, and returns how many these were. */
    size_t clear();

private:
    bool remove_unused(const std::filesystem::path &directory);
    void make_room();

    std::filesystem::path directory_;
    size_t limit_;
};

} // namespace gmemu
