// SPDX-License-Identifier: GPL-2.0-or-later
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "owner_mutex.h"

using gmemu::OwnerMutex;

TEST_CASE("who waits for an owner's mutex comes before the owner's next turn", "[mutex]")
{
    OwnerMutex mutex;
    std::atomic<bool> owned{false};
    std::thread owner;
    {
        OwnerMutex::Other other(mutex);
        owner = std::thread([&] {
            std::lock_guard lock(mutex);
            owned = true;
        });
        // Free, and not for the owner.
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        CHECK_FALSE(owned);
        other.lock();
        CHECK_FALSE(owned);
    }
    owner.join();
    CHECK(owned);
}

TEST_CASE("who gives up waiting for an owner's mutex lets the owner go on", "[mutex]")
{
    OwnerMutex mutex;
    std::thread owner;
    {
        OwnerMutex::Other other(mutex), another(mutex);
        owner = std::thread([&] { std::lock_guard lock(mutex); });
        CHECK(other.try_lock());
        CHECK_FALSE(another.try_lock());
    }
    owner.join();
}

TEST_CASE("an owner's mutex excludes all from each other, and nobody is left waiting", "[mutex][stress]")
{
    constexpr unsigned kOthers = 3, kTurns = 5000;
    OwnerMutex mutex;
    uint64_t count = 0;  // under the mutex
    std::atomic<uint64_t> entered{0};
    auto enter = [&] {
        count++;
        entered.fetch_add(1);
    };
    std::vector<std::thread> others;
    for (unsigned n = 0; n < kOthers; n++)
        others.emplace_back([&, n] {
            for (unsigned i = 0; i < kTurns; i++) {
                OwnerMutex::Other other(mutex);
                // Every third only tries, and goes away.
                if (i % 3 != n) {
                    other.lock();
                    enter();
                } else if (other.try_lock()) {
                    enter();
                }
            }
        });
    for (unsigned i = 0; i < kTurns; i++) {
        std::lock_guard lock(mutex);
        enter();
    }
    for (std::thread &other : others)
        other.join();
    CHECK(count == entered);
    CHECK(count >= kTurns + kOthers * (kTurns - kTurns / 3 - 1));
    // It is free.
    mutex.lock();
    OwnerMutex::Other late(mutex);
    CHECK_FALSE(late.try_lock());
    mutex.unlock();
    CHECK(late.try_lock());
}
