/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of saved guests: made once, kept while used, the oldest go. */
#include "snapshot_store.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <optional>
#include <thread>

using namespace gmemu;
namespace fs = std::filesystem;

TEST_CASE("a guest is made once for each key", "[snapshot]")
{
    const TempDir temp;
    SnapshotStore store(temp.path() / "store");
    int made = 0;
    const auto make = [&](const fs::path &directory) {
        made++;
        write_file(directory / "state", "a guest");
    };

    for (int i = 0; i < 3; i++)
        CHECK(read_file(store.get("key", make).state()) == "a guest");
    CHECK(made == 1);
    store.get("another key", make);
    CHECK(made == 2);
    CHECK(store.entries().size() == 2);
    store.forget(store.get("key", make));
    CHECK(store.entries().size() == 1);
    store.get("key", make);
    CHECK(made == 3);
}

TEST_CASE("what could not be made is not there", "[snapshot]")
{
    const TempDir temp;
    SnapshotStore store(temp.path() / "store");

    CHECK_THROWS_AS(store.get("key",
                              [](const fs::path &directory) {
                                  write_file(directory / "memory", "half of it");
                                  throw Error("no");
                              }),
                    Error);
    CHECK(store.entries().empty());
    for (const auto &item : fs::directory_iterator(temp.path() / "store"))
        CHECK(item.path().extension() == ".lock");
    int made = 0;
    store.get("key", [&](const fs::path &) { made++; });
    CHECK(made == 1);
}

TEST_CASE("who wants one that is being made waits for it", "[snapshot]")
{
    const TempDir temp;
    std::atomic<int> made = 0, right = 0;
    std::vector<std::jthread> threads;

    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            SnapshotStore store(temp.path() / "store");
            const Snapshot snapshot = store.get("key", [&](const fs::path &directory) {
                made++;
                std::this_thread::sleep_for(std::chrono::milliseconds(50));
                write_file(directory / "state", "whole");
            });

            right += read_file(snapshot.state()) == "whole";
        });
    threads.clear();
    CHECK(made == 1);
    CHECK(right == 4);
}

TEST_CASE("the one that was not used for longest makes room, unless it is in use", "[snapshot]")
{
    const TempDir temp;
    SnapshotStore store(temp.path() / "store", 2);
    const auto make = [](const fs::path &) {};
    const auto age = [](const Snapshot &snapshot, int hours) {
        fs::last_write_time(snapshot.directory(),
                            fs::file_time_type::clock::now() - std::chrono::hours(hours));
    };

    age(store.get("old", make), 2);
    age(store.get("newer", make), 1);
    store.get("newest", make);
    CHECK(store.entries().size() == 2);
    bool made = false;
    store.get("newer", [&](const fs::path &) { made = true; });
    CHECK_FALSE(made);

    {
        const Snapshot used = store.get("newest", make);
        age(used, 3);
        store.get("one more", make);
        CHECK(fs::exists(used.directory() / "key"));
        CHECK(store.clear() == 2);
        CHECK(store.entries().size() == 1);
    }
    CHECK(store.clear() == 1);
    CHECK(store.entries().empty());
}
