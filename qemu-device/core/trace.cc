// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core_thread.h"

namespace gmemu {

namespace {

constexpr const char *kKindNames[] = {"fault", "invalidation", "packet", "firmware"};

// What ends the array; the file is complete with it.
constexpr std::string_view kEnd = "\n]\n";

}  // namespace

std::unique_ptr<Trace> Trace::make(const char *path, const DeviceClock &clock, Host &host, uint32_t harts)
{
    if (!path || !*path)
        return nullptr;
    auto trace = std::make_unique<Trace>(path, clock, host, harts);
    host.set_trace(*trace);
    return trace;
}

Trace::Trace(std::string path, const DeviceClock &clock, const Host &host, uint32_t harts)
    : path_(std::move(path)), clock_(clock), host_(host), harts_(harts),
      reserve_(kMaxOpen + (static_cast<uint32_t>(TraceTrack::kHart) + harts) * kMaxDepth + 1),
      rows_(static_cast<uint32_t>(TraceTrack::kHart) + harts)
{
    auto refuse = [this](const char *what, int error) {
        if (fd_ >= 0)
            ::close(fd_);
        throw TraceError(fmt::format("trace={}: {}: {}", path_, what, std::strerror(error)));
    };
    // Not truncated yet: it may be another device's.
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0)
        refuse("the file cannot be opened for writing", errno);
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        refuse("another device writes to it", errno);
    struct stat status{};
    seekable_ = fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
    if (seekable_ && ftruncate(fd_, 0) != 0)
        refuse("the file cannot be emptied", errno);
    if (!put(header()))
        refuse("the file cannot be written", errno);
    events_.reserve(kCapacity);
    thread_ = start_core_thread([this] { run(); });
}

Trace::~Trace()
{
    close();
}

// -------------------------------------------------------------------- events

// With the lock held: in the file events are in the order of their times.
void Trace::add(char phase, const char *name, Args args, TraceTrack track, TraceKind kind, uint64_t id)
{
    Event &event = events_.emplace_back();
    event.phase = phase;
    event.kind = kind;
    event.track = track;
    event.name = name;
    event.id = id;
    event.time_ns = clock_.now_ns();
    for (const TraceArg &arg : args)
        if (event.count < kMaxArgs)
            event.args[event.count++] = arg;
    // The first of a batch, and when it is time to write before the batch is gathered.
    if (events_.size() == 1 || events_.size() == kCapacity / 2)
        wake_.notify_one();
}

void Trace::lose()
{
    lost_++;
}

void Trace::begin(TraceTrack track, const char *name, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    if (off_)
        return;
    Row &row = this->row(track);
    row.open++;
    if (row.lost || row.open > kMaxDepth || !has_room()) {
        row.lost++;
        lose();
        return;
    }
    add('B', name, args, track);
}

void Trace::end_locked(TraceTrack track, Args args)
{
    Row &row = this->row(track);
    if (row.open == 0)
        return;
    row.open--;
    if (row.lost)
        row.lost--;
    else
        add('E', nullptr, args, track);
}

void Trace::end(TraceTrack track, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    if (!off_)
        end_locked(track, args);
}

void Trace::end_all(TraceTrack track, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    while (!off_ && row(track).open)
        end_locked(track, args);
}

void Trace::instant(TraceTrack track, const char *name, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    if (off_)
        return;
    if (has_room())
        add('i', name, args, track);
    else
        lose();
}

void Trace::begin(TraceKind kind, uint64_t id, const char *name, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    if (off_)
        return;
    auto &open = open_[static_cast<size_t>(kind)];
    if (open_count_ == kMaxOpen || !has_room() || open.contains(id)) {
        lose();
        return;
    }
    open.emplace(id, name);
    open_count_++;
    add('b', name, args, TraceTrack::kDevice, kind, id);
}

void Trace::step(TraceKind kind, uint64_t id, const char *name, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    if (off_ || !open_[static_cast<size_t>(kind)].contains(id))
        return;
    if (has_room())
        add('n', name, args, TraceTrack::kDevice, kind, id);
    else
        lose();
}

void Trace::end(TraceKind kind, uint64_t id, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    auto &open = open_[static_cast<size_t>(kind)];
    const auto it = open.find(id);
    if (off_ || it == open.end())
        return;
    add('e', it->second, args, TraceTrack::kDevice, kind, id);
    open.erase(it);
    open_count_--;
}

void Trace::end_if(TraceKind kind, const std::function<bool(uint64_t)> &matches, Args args)
{
    if (off_.load(std::memory_order_relaxed))
        return;
    std::lock_guard lock(mutex_);
    auto &open = open_[static_cast<size_t>(kind)];
    for (auto it = open.begin(); !off_ && it != open.end();) {
        if (!matches(it->first)) {
            ++it;
            continue;
        }
        add('e', it->second, args, TraceTrack::kDevice, kind, it->first);
        it = open.erase(it);
        open_count_--;
    }
}

void Trace::end_all(TraceKind kind, Args args)
{
    end_if(kind, [](uint64_t) { return true; }, args);
}

void Trace::end_all_locked(Args args)
{
    for (uint32_t track = 0; track < rows_.size(); track++)
        while (rows_[track].open)
            end_locked(static_cast<TraceTrack>(track), args);
    for (size_t kind = 0; kind < kKinds; kind++) {
        for (const auto &[id, name] : open_[kind])
            add('e', name, args, TraceTrack::kDevice, static_cast<TraceKind>(kind), id);
        open_[kind].clear();
    }
    open_count_ = 0;
}

void Trace::clock_set()
{
    std::lock_guard lock(mutex_);
    clock_set_ = true;
    if (!off_ && has_room())
        add('i', "the clock was set", {}, TraceTrack::kDevice);
}

size_t Trace::buffered()
{
    std::lock_guard lock(mutex_);
    return events_.size();
}

uint64_t Trace::lost()
{
    std::lock_guard lock(mutex_);
    return lost_;
}

// ---------------------------------------------------------------------- text

// How the clocks of the trace and of the host are related.
std::string Trace::clock_event() const
{
    const uint64_t time = clock_.now_ns();
    const uint64_t host = host_.clock_ns();
    return fmt::format(R"({{"name":"gmemu_clock","ph":"M","pid":1,"tid":1,"args":{{"timestamp_ns":{},"host_ns":{}}}}})", time,
                       host);
}

std::string Trace::header() const
{
    std::string text = "[\n";
    text += R"({"name":"process_name","ph":"M","pid":1,"args":{"name":"gmemu"}},)";
    auto track = [&](TraceTrack track, const std::string &name) {
        const auto tid = static_cast<uint32_t>(track);
        text += fmt::format("\n"
                            R"({{"name":"thread_name","ph":"M","pid":1,"tid":{0},"args":{{"name":"{1}"}}}},)"
                            "\n"
                            R"({{"name":"thread_sort_index","ph":"M","pid":1,"tid":{0},"args":{{"sort_index":{0}}}}},)",
                            tid, name);
    };
    track(TraceTrack::kDevice, "device");
    track(TraceTrack::kInterrupts, "interrupts");
    track(TraceTrack::kCopyEngine, "copy engine");
    for (uint32_t hart = 0; hart < harts_; hart++)
        track(trace_track(HartIndex(hart)), fmt::format("hart {}", hart));
    text += "\n" + clock_event();
    return text;
}

void Trace::append(std::string &text, const Event &event)
{
    auto out = std::back_inserter(text);
    fmt::format_to(out, R"(,{}{{"ph":"{}","ts":{}.{:03},"pid":1,"tid":{})", '\n', event.phase, event.time_ns / 1000,
                   event.time_ns % 1000, static_cast<uint32_t>(event.track));
    if (event.name)
        fmt::format_to(out, R"(,"name":"{}")", event.name);
    if (event.phase == 'b' || event.phase == 'n' || event.phase == 'e')
        fmt::format_to(out, R"(,"cat":"{}","id":"0x{:x}")", kKindNames[static_cast<size_t>(event.kind)], event.id);
    else if (event.phase == 'i')
        text += R"(,"s":"t")";
    if (event.count) {
        text += R"(,"args":{)";
        for (unsigned i = 0; i < event.count; i++) {
            const TraceArg &arg = event.args[i];
            if (i)
                text += ',';
            switch (arg.as) {
            case TraceArg::As::kNumber: fmt::format_to(out, R"("{}":{})", arg.name, arg.value); break;
            case TraceArg::As::kHex: fmt::format_to(out, R"("{}":"0x{:x}")", arg.name, arg.value); break;
            case TraceArg::As::kText: fmt::format_to(out, R"("{}":"{}")", arg.name, arg.string); break;
            }
        }
        text += '}';
    }
    text += '}';
}

// ---------------------------------------------------------------------- file

// Goes where the closing bracket is; false, with errno: it does not.
bool Trace::put(const std::string &text)
{
    // What cannot be taken back is not closed before the end.
    const std::string closed = seekable_ ? text + std::string(kEnd) : text;
    size_t done = 0;
    while (done < closed.size()) {
        const char *from = closed.data() + done;
        const size_t left = closed.size() - done;
        const ssize_t written = seekable_ ? pwrite(fd_, from, left, static_cast<off_t>(end_ + done)) : ::write(fd_, from, left);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0)
            done += static_cast<size_t>(written);
    }
    end_ += text.size();
    return true;
}

bool Trace::write_text(const std::string &text)
{
    if (put(text))
        return true;
    fail(errno);
    return false;
}

bool Trace::write_events(const std::vector<Event> &events)
{
    std::string text;
    for (const Event &event : events) {
        append(text, event);
        if (text.size() < kPiece)
            continue;
        if (!write_text(text))
            return false;
        text.clear();
    }
    return text.empty() || write_text(text);
}

// The file ends with what the last write that was complete has left.
void Trace::fail(int error)
{
    failed_ = off_ = true;
    if (seekable_ && ftruncate(fd_, static_cast<off_t>(end_)) == 0)
        (void)!pwrite(fd_, kEnd.data(), kEnd.size(), static_cast<off_t>(end_));
    host_.log(GMEMU_LOG_WARNING,
              fmt::format("gmemu: trace={}: {}: the trace ends here, the device goes on", path_, std::strerror(error)));
}

void Trace::run()
{
    HostThreadScope registered(host_, "gmemu-trace");
    std::vector<Event> batch;
    batch.reserve(kCapacity);
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return !events_.empty() || hurry_ || exit_; });
        wake_.wait_for(lock, kGather, [this] { return hurry_ || exit_ || events_.size() >= kCapacity / 2; });
        hurry_ = false;
        const bool last = exit_;
        if (lost_ != lost_told_ && has_room()) {
            add('i', "left out", {TraceArg::number("events", lost_ - lost_told_)}, TraceTrack::kDevice);
            lost_told_ = lost_;
        }
        batch.clear();
        batch.swap(events_);
        const bool clock_set = std::exchange(clock_set_, false);
        const uint64_t turn = ++turn_;
        lock.unlock();
        if (!failed_ && write_events(batch) && clock_set)
            write_text(",\n" + clock_event());
        lock.lock();
        done_ = turn;
        if (failed_)
            events_.clear();
        written_.notify_all();
        if (last)
            return;
    }
}

void Trace::flush()
{
    std::unique_lock lock(mutex_);
    // What is being written now does not have it all.
    const uint64_t turn = turn_ + 1;
    hurry_ = true;
    wake_.notify_one();
    written_.wait(lock, [&] { return done_ >= turn || exit_; });
}

void Trace::close()
{
    {
        std::lock_guard lock(mutex_);
        if (exit_)
            return;
        if (!off_)
            end_all_locked({TraceArg::text("result", "the trace ends")});
        off_ = true;
        exit_ = true;
        wake_.notify_one();
    }
    thread_.join();
    if (!failed_ && !seekable_)
        (void)!::write(fd_, kEnd.data(), kEnd.size());
    ::close(fd_);
    fd_ = -1;
    if (lost_)
        host_.log(GMEMU_LOG_WARNING, fmt::format("gmemu: trace={}: {} events are left out: they came faster than the file "
                                                 "could be written",
                                                 path_, lost_));
}

}  // namespace gmemu
