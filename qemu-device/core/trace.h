// SPDX-License-Identifier: GPL-2.0-or-later
//
// The device trace: what happens when, in a file that Perfetto and chrome://tracing
// open. docs/device.md tells what is in it.
//
// Whoever has something to tell calls begin() and so on; a thread turns that into
// JSON and writes it. Callers never wait for the file. What they are ahead of it by is
// bounded: when there is no room a span is left out as a whole, its end with its
// begin, and how many were is written once there is room again. The end of a span whose
// begin is in the trace always has room. So what is in the file is in pairs.
//
// After each write the file is a complete JSON array, whose closing bracket the next
// write takes back.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "host.h"

namespace gmemu {

class TraceError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Rows of spans that lie within each other.
enum class TraceTrack : uint32_t {
    kDevice = 1,
    kInterrupts = 2,
    kCopyEngine = 3,
    kHart = 16,  // the first
};
inline TraceTrack trace_track(HartIndex hart)
{
    return static_cast<TraceTrack>(static_cast<uint32_t>(TraceTrack::kHart) + hart.value);
}

// Spans that overlap, each with a number of its own.
enum class TraceKind { kFault, kInvalidation, kPacket, kFirmware };

struct TraceArg {
    enum class As : uint8_t { kNumber, kHex, kText };

    static constexpr TraceArg number(const char *name, uint64_t value) { return {name, value, nullptr, As::kNumber}; }
    static constexpr TraceArg hex(const char *name, uint64_t value) { return {name, value, nullptr, As::kHex}; }
    // @text stays for ever, as names do; neither has characters that JSON escapes.
    static constexpr TraceArg text(const char *name, const char *text) { return {name, 0, text, As::kText}; }

    const char *name = nullptr;
    uint64_t value = 0;
    const char *string = nullptr;
    As as = As::kNumber;
};

class Trace {
public:
    using Args = std::initializer_list<TraceArg>;
    static constexpr size_t kMaxArgs = 8;

    // A trace of the device whose clock it is; none without a path. Throws TraceError
    // when the file cannot be written. @host must outlive it and gets to know it.
    static std::unique_ptr<Trace> make(const char *path, const DeviceClock &clock, Host &host, uint32_t harts);

    Trace(std::string path, const DeviceClock &clock, const Host &host, uint32_t harts);
    ~Trace();
    Trace(const Trace &) = delete;
    Trace &operator=(const Trace &) = delete;

    // All from any thread, with any lock held.
    void begin(TraceTrack track, const char *name, Args args = {});
    void end(TraceTrack track, Args args = {});      // of the last one there
    void end_all(TraceTrack track, Args args = {});
    void instant(TraceTrack track, const char *name, Args args = {});

    void begin(TraceKind kind, uint64_t id, const char *name, Args args = {});
    // Of a span that has begun and not ended; otherwise nothing.
    void step(TraceKind kind, uint64_t id, const char *name, Args args = {});
    void end(TraceKind kind, uint64_t id, Args args = {});
    void end_all(TraceKind kind, Args args = {});
    void end_if(TraceKind kind, const std::function<bool(uint64_t id)> &matches, Args args = {});

    // The device's clock was set: times before and after cannot be compared.
    void clock_set();

    // Returns when all that was told before is in the file, if that can be written.
    void flush();
    // Ends all spans and closes the file. What comes later is not traced.
    void close();

    // For tests.
    static constexpr size_t capacity() { return kCapacity; }
    size_t buffered();
    uint64_t lost();

private:
    static constexpr size_t kKinds = 4;
    static constexpr size_t kCapacity = 16384;  // events that wait to be written
    static constexpr size_t kMaxOpen = 4096;    // spans of a kind of TraceKind, all together
    static constexpr size_t kMaxDepth = 8;      // of a track
    static constexpr auto kGather = std::chrono::milliseconds(50);
    static constexpr size_t kPiece = 256 << 10;  // bytes of JSON in one write

    struct Event {
        char phase = 0;
        uint8_t count = 0;
        TraceKind kind{};
        TraceTrack track = TraceTrack::kDevice;
        const char *name = nullptr;  // nullptr: needs none
        uint64_t id = 0;
        uint64_t time_ns = 0;
        std::array<TraceArg, kMaxArgs> args;
    };
    struct Row {
        uint32_t open = 0;
        uint32_t lost = 0;  // of these the innermost are not in the trace
    };

    bool has_room() const { return events_.size() < kCapacity - reserve_; }
    void add(char phase, const char *name, Args args, TraceTrack track, TraceKind kind = {}, uint64_t id = 0);
    void lose();
    Row &row(TraceTrack track) { return rows_[static_cast<uint32_t>(track)]; }
    void end_locked(TraceTrack track, Args args);
    void end_all_locked(Args args);
    std::string header() const;
    std::string clock_event() const;
    static void append(std::string &text, const Event &event);
    void run();
    bool write_events(const std::vector<Event> &events);
    bool write_text(const std::string &text);  // after what there is
    bool put(const std::string &text);
    void fail(int error);

    const std::string path_;
    const DeviceClock &clock_;
    const Host &host_;
    const uint32_t harts_;
    const size_t reserve_;  // room for the ends of all spans that can be open

    int fd_ = -1;
    bool seekable_ = false;
    uint64_t end_ = 0;     // where the closing bracket is
    bool failed_ = false;  // of the thread

    std::atomic<bool> off_{false};  // nothing is traced any more
    std::mutex mutex_;              // below
    std::condition_variable wake_;
    std::condition_variable written_;
    std::vector<Event> events_;
    std::vector<Row> rows_;
    std::array<std::unordered_map<uint64_t, const char *>, kKinds> open_;
    size_t open_count_ = 0;
    uint64_t lost_ = 0;
    uint64_t lost_told_ = 0;
    uint64_t turn_ = 0;  // batches taken by the thread
    uint64_t done_ = 0;  // and written
    bool hurry_ = false;
    bool exit_ = false;
    bool clock_set_ = false;
    std::thread thread_;
};

}  // namespace gmemu
