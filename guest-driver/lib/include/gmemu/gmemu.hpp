/* SPDX-License-Identifier: MIT */
/*
 * libgmemu for C++20: owners of the C objects, exceptions for its errors.
 *
 *	gmemu::Device device;
 *	gmemu::Context context(device);
 *	gmemu::Queue queue(context);
 *	gmemu::Module module("std.elf");
 *
 *	queue.launch(module.kernel("saxpy"), {n}, {1024}, saxpy_args{n, 2.0f, x.data(), y.data()});
 *	queue.wait_idle();
 *
 * As in C: destroy in the reverse order of creation, which the order of declarations does.
 */
#ifndef GMEMU_GMEMU_HPP
#define GMEMU_GMEMU_HPP

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "gmemu.h"

namespace gmemu {

/* what() is gmemu_last_error(), code() the negative errno value. */
class Error : public std::runtime_error {
public:
    explicit Error(int error) : std::runtime_error(gmemu_last_error()), code_(error) {}
    int code() const noexcept { return code_; }

private:
    int code_;
};

inline void check(int result)
{
    if (result < 0)
        throw Error(result);
}

/* Work-items in up to three dimensions. */
using Dim3 = gmemu_dim3;

/* Negative: wait for ever. */
using Timeout = std::chrono::nanoseconds;
inline constexpr Timeout forever{GMEMU_FOREVER};

namespace detail {
template <auto destroy> struct Destroy {
    template <class T> void operator()(T *object) const noexcept { destroy(object); }
};
template <class T, auto destroy> using Owner = std::unique_ptr<T, Destroy<destroy>>;
} // namespace detail

class Device {
public:
    /* path: of the node; nullptr: the first there is. */
    explicit Device(const char *path = nullptr)
    {
        gmemu_device *device = nullptr;
        check(gmemu_open(path, &device));
        device_.reset(device);
    }
    gmemu_device *get() const noexcept { return device_.get(); }

    gmemu_info info() const
    {
        gmemu_info info{};
        check(gmemu_get_info(get(), &info));
        return info;
    }
    gmemu_stats stats() const
    {
        gmemu_stats stats{};
        check(gmemu_get_stats(get(), &stats));
        return stats;
    }
    /* Those of the device, or of one hart; see gmemu_get_counters(). */
    gmemu_counters counters(uint32_t hart = GMEMU_ALL_HARTS) const
    {
        gmemu_counters counters{};
        check(gmemu_get_counters(get(), hart, &counters));
        return counters;
    }

private:
    detail::Owner<gmemu_device, gmemu_close> device_;
};

class Context {
public:
    explicit Context(const Device &device, gmemu_context_mode mode = GMEMU_CONTEXT_MIGRATE)
    {
        gmemu_context *context = nullptr;
        check(gmemu_context_create_mode(device.get(), mode, &context));
        context_.reset(context);
    }
    gmemu_context *get() const noexcept { return context_.get(); }
    /* Where memory should be; see gmemu_advise(). */
    template <class T> void advise(std::span<T> range, gmemu_advice advice) const
    {
        check(gmemu_advise(context_.get(), range.data(), range.size_bytes(), advice));
    }

private:
    detail::Owner<gmemu_context, gmemu_context_destroy> context_;
};

class Signal {
public:
    explicit Signal(const Context &context, int64_t value = 1) : context_(context.get())
    {
        check(gmemu_signal_create(context_, value, &signal_));
    }
    Signal(Signal &&other) noexcept : context_(other.context_), signal_(std::exchange(other.signal_, nullptr))
    {}
    Signal(const Signal &) = delete;
    Signal &operator=(const Signal &) = delete;
    ~Signal() { gmemu_signal_destroy(context_, signal_); }

    gmemu_signal *get() const noexcept { return signal_; }
    int64_t load() const noexcept { return gmemu_signal_load(signal_); }
    void store(int64_t value) noexcept { gmemu_signal_store(context_, signal_, value); }
    /* Device time in which the last packet that completed to it ran. */
    std::chrono::nanoseconds duration() const
    {
        uint64_t start = 0;
        uint64_t end = 0;
        gmemu_signal_times(signal_, &start, &end);
        return std::chrono::nanoseconds(end - start);
    }

private:
    gmemu_context *context_;
    gmemu_signal *signal_ = nullptr;
};

/* A kernel of a module, valid as long as that is. */
class Kernel {
public:
    explicit Kernel(const gmemu_kernel *kernel) noexcept : kernel_(kernel) {}
    const gmemu_kernel *get() const noexcept { return kernel_; }
    const char *name() const noexcept { return gmemu_kernel_name(kernel_); }

private:
    const gmemu_kernel *kernel_;
};

class Module {
public:
    explicit Module(const std::string &path)
    {
        gmemu_module *module = nullptr;
        check(gmemu_module_load_file(path.c_str(), &module));
        module_.reset(module);
    }
    explicit Module(std::span<const std::byte> image)
    {
        gmemu_module *module = nullptr;
        check(gmemu_module_load(image.data(), image.size(), &module));
        module_.reset(module);
    }
    gmemu_module *get() const noexcept { return module_.get(); }
    Kernel kernel(const std::string &name) const
    {
        gmemu_kernel *kernel = nullptr;
        check(gmemu_module_kernel(get(), name.c_str(), &kernel));
        return Kernel(kernel);
    }

private:
    detail::Owner<gmemu_module, gmemu_module_unload> module_;
};

class Queue {
public:
    explicit Queue(const Context &context, const gmemu_queue_options &options = {})
    {
        gmemu_queue *queue = nullptr;
        check(gmemu_queue_create(context.get(), &options, &queue));
        queue_.reset(queue);
    }
    gmemu_queue *get() const noexcept { return queue_.get(); }

    template <class Args>
    void launch(const Kernel &kernel, Dim3 grid, Dim3 workgroup, const Args &args,
                const Signal *signal = nullptr)
    {
        static_assert(std::is_trivially_copyable_v<Args>, "the device gets the bytes of args");
        check(gmemu_launch(get(), kernel.get(), grid, workgroup, &args, sizeof(args), of(signal)));
    }
    void copy(void *dst, const void *src, size_t bytes, const Signal *signal = nullptr)
    {
        check(gmemu_copy(get(), dst, src, bytes, of(signal)));
    }
    void fill(void *dst, uint64_t pattern, size_t bytes, const Signal *signal = nullptr)
    {
        check(gmemu_fill(get(), dst, pattern, bytes, of(signal)));
    }
    /* Later packets wait until the signals are 0. */
    void barrier(std::span<gmemu_signal *const> signals = {}, const Signal *signal = nullptr,
                 unsigned int mode = GMEMU_BARRIER_ALL)
    {
        check(gmemu_barrier(get(), mode, signals.data(), static_cast<unsigned int>(signals.size()),
                            of(signal)));
    }

    /* Throws Error with code -ETIME if the time is over. */
    void wait_idle(Timeout timeout = forever)
    {
        retry(timeout, [&](int64_t left) { return gmemu_queue_wait_idle(get(), left); });
    }
    void wait(const Signal &signal, gmemu_condition condition, int64_t value, Timeout timeout = forever)
    {
        retry(timeout,
              [&](int64_t left) { return gmemu_signal_wait(get(), signal.get(), condition, value, left); });
    }
    /* Until the signal is 0 or less. */
    void wait(const Signal &signal, Timeout timeout = forever) { wait(signal, GMEMU_LT, 1, timeout); }

    /* Its code is 0 while the queue is in order. */
    gmemu_queue_error error() const
    {
        gmemu_queue_error error{};
        check(gmemu_queue_get_error(get(), &error));
        return error;
    }

private:
    static gmemu_signal *of(const Signal *signal) { return signal ? signal->get() : nullptr; }

    /* A signal handler ends a wait, which then goes on with what is left of the time. */
    template <class Wait> static void retry(Timeout timeout, Wait wait)
    {
        const auto start = std::chrono::steady_clock::now();
        Timeout left = timeout;

        for (;;) {
            const int result = wait(left.count());
            if (result != -EINTR)
                return check(result);
            if (timeout >= Timeout::zero())
                left = std::max(Timeout::zero(), timeout - std::chrono::duration_cast<Timeout>(
                                                               std::chrono::steady_clock::now() - start));
        }
    }

    detail::Owner<gmemu_queue, gmemu_queue_destroy> queue_;
};

inline std::string to_string(const gmemu_queue_error &error)
{
    std::string text(gmemu_error_string(&error, nullptr, 0) + 1, '\0');
    gmemu_error_string(&error, text.data(), text.size());
    text.pop_back();
    return text;
}

} // namespace gmemu

#endif /* GMEMU_GMEMU_HPP */
