// SPDX-License-Identifier: GPL-2.0-or-later
//
// How faults become entries of a ring: at once, or with chaos late, in another
// order, and twice.
//
// A thread that sleeps from one delayed entry to the next writes those. There is
// one with chaos only.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "chaos.h"
#include "clock.h"
#include "fault_ring.h"

namespace gmemu {

class FaultWriter {
public:
    // Where the entry of a fault is.
    struct Ticket {
        enum class State { kNone, kOnItsWay, kInRing, kDropped };
        State state = State::kNone;
        uint64_t fault = 0;  // number of the fault
        uint64_t slot = 0;   // kInRing
    };
    // The entry of a fault that was on its way has got a slot, or none. Under @lock.
    using ArrivalHook = std::function<void(const Ticket &)>;

    // @lock protects the rings; all calls are made with it held.
    FaultWriter(std::mutex &lock, const FaultRing &replayable, const Host &host, const DeviceClock &clock,
                const Chaos &chaos);
    ~FaultWriter();  // without @lock
    void set_arrival_hook(ArrivalHook hook) { arrival_hook_ = std::move(hook); }

    // Fills in timestamp, seq and valid.
    Ticket post(FaultRing &ring, gmemu_fault_entry raw);
    // For the trace: a fault that was outstanding in a state that is loaded.
    void trace_loaded(FaultRing &ring, const gmemu_fault_entry &raw, const Ticket &ticket);

    // Delayed entries come now: those that match, or all.
    template <class Predicate>
    void hurry(Predicate matches)
    {
        for (auto it = delayed_.begin(); it != delayed_.end();) {
            if (!matches(it->second.raw)) {
                ++it;
                continue;
            }
            const Delayed delayed = it->second;
            it = delayed_.erase(it);
            write(delayed);
        }
    }
    void hurry_all()
    {
        hurry([](const gmemu_fault_entry &) { return true; });
    }
    // Delayed entries never come: the ring was disabled, or the device reset.
    void forget(const FaultRing &ring);
    // With nothing delayed.
    void transfer(StateStream &stream) { stream.field(faults_); }

private:
    struct Delayed {
        FaultRing *ring = nullptr;
        gmemu_fault_entry raw{};
        uint64_t fault = 0;
        std::optional<uint64_t> slot;  // it has its place already
        bool copy = false;             // of an entry that came, or comes, by itself
    };

    void trace_begin(uint64_t fault, const gmemu_fault_entry &raw, bool loaded);
    void drop(FaultRing &ring, uint64_t fault, const gmemu_fault_entry &raw);
    void delay(ChaosStream &chaos, const Delayed &delayed);
    void write(const Delayed &delayed);
    void run();

    std::mutex &lock_;
    const FaultRing &replayable_;
    const Host &host_;
    const DeviceClock &clock_;
    ChaosStream chaos_replayable_;
    ChaosStream chaos_non_replayable_;
    ArrivalHook arrival_hook_;
    uint64_t faults_ = 0;
    std::multimap<uint64_t, Delayed> delayed_;  // by the time at which it comes, ns
    std::condition_variable wake_;
    bool exit_ = false;
    std::thread thread_;
};

}  // namespace gmemu
