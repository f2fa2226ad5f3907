// SPDX-License-Identifier: GPL-2.0-or-later
//
// A mutex that one thread takes all the time, and others now and then. Those come first: the
// owner does not take it again while one of them waits, so that they wait for one turn of the
// owner and not for as many as it likes.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace gmemu {

class OwnerMutex {
public:
    // The owner.
    void lock()
    {
        while (const uint32_t others = others_.load()) [[unlikely]]
            others_.wait(others);
        mutex_.lock();
    }
    void unlock() { mutex_.unlock(); }

    // Others: lock() or try_lock() it, as often as it takes.
    class Other {
    public:
        explicit Other(OwnerMutex &mutex) : mutex_(mutex) { mutex_.others_.fetch_add(1); }
        ~Other()
        {
            if (locked_)
                mutex_.mutex_.unlock();
            else
                withdraw();
        }
        Other(const Other &) = delete;
        Other &operator=(const Other &) = delete;

        void lock()
        {
            // The owner's turns are shorter than going to sleep is.
            for (unsigned i = 0; i < kSpins; i++)
                if (try_lock())
                    return;
            mutex_.mutex_.lock();
            locked_ = true;
            withdraw();
        }
        bool try_lock()
        {
            locked_ = mutex_.mutex_.try_lock();
            if (locked_)
                withdraw();
            return locked_;
        }
        bool locked() const { return locked_; }

    private:
        static constexpr unsigned kSpins = 500;

        // The owner waits for the mutex itself from now on.
        void withdraw()
        {
            if (mutex_.others_.fetch_sub(1) == 1)
                mutex_.others_.notify_all();
        }

        OwnerMutex &mutex_;
        bool locked_ = false;
    };

private:
    std::mutex mutex_;
    std::atomic<uint32_t> others_{0};
};

}  // namespace gmemu
