/* SPDX-License-Identifier: MIT */
/*
 * libgmemu for C++20: owners for the objects of gmemu.h. Errors become gmemu::Error;
 * whatever is missing here is called through the C functions with get().
 */
#ifndef GMEMU_GMEMU_HPP
#define GMEMU_GMEMU_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "gmemu.h"

namespace gmemu {

class Error : public std::runtime_error {
public:
	explicit Error(int code) : std::runtime_error(gmemu_last_error()), code_(code) {}
	/* A negative errno value. */
	int code() const noexcept { return code_; }

private:
	int code_;
};

inline void check(int result)
{
	if (result < 0)
		throw Error(result);
}

class Device {
public:
	explicit Device(const char *path = nullptr)
	{
		gmemu_device *device;
		check(gmemu_open(path, &device));
		device_.reset(device);
	}
	gmemu_device *get() const noexcept { return device_.get(); }
	gmemu_info info() const
	{
		gmemu_info info;
		check(gmemu_get_info(get(), &info));
		return info;
	}
	gmemu_stats stats() const
	{
		gmemu_stats stats;
		check(gmemu_get_stats(get(), &stats));
		return stats;
	}

private:
	struct Close {
		void operator()(gmemu_device *device) const noexcept { gmemu_close(device); }
	};
	std::unique_ptr<gmemu_device, Close> device_;
};

/* The device must outlive it. */
class Context {
public:
	explicit Context(const Device &device)
	{
		gmemu_context *context;
		check(gmemu_context_create(device.get(), &context));
		context_.reset(context);
	}
	gmemu_context *get() const noexcept { return context_.get(); }

private:
	struct Destroy {
		void operator()(gmemu_context *context) const noexcept
		{
			gmemu_context_destroy(context);
		}
	};
	std::unique_ptr<gmemu_context, Destroy> context_;
};

/* The context must outlive it. */
class Signal {
public:
	explicit Signal(const Context &context, int64_t value = 1) : context_(context.get())
	{
		check(gmemu_signal_create(context_, value, &signal_));
	}
	~Signal()
	{
		if (signal_)
			gmemu_signal_destroy(context_, signal_);
	}
	Signal(Signal &&other) noexcept : context_(other.context_), signal_(other.signal_)
	{
		other.signal_ = nullptr;
	}
	Signal(const Signal &) = delete;
	Signal &operator=(const Signal &) = delete;
	gmemu_signal *get() const noexcept { return signal_; }
	int64_t load() const noexcept { return gmemu_signal_load(signal_); }
	void store(int64_t value) noexcept { gmemu_signal_store(context_, signal_, value); }

private:
	gmemu_context *context_;
	gmemu_signal *signal_ = nullptr;
};

class Module;

/* Lives as long as its module. */
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
		gmemu_module *module;
		check(gmemu_module_load_file(path.c_str(), &module));
		module_.reset(module);
	}
	explicit Module(std::span<const std::byte> image)
	{
		gmemu_module *module;
		check(gmemu_module_load(image.data(), image.size(), &module));
		module_.reset(module);
	}
	gmemu_module *get() const noexcept { return module_.get(); }
	Kernel kernel(const char *name) const
	{
		gmemu_kernel *kernel;
		check(gmemu_module_kernel(get(), name, &kernel));
		return Kernel(kernel);
	}

private:
	struct Unload {
		void operator()(gmemu_module *module) const noexcept { gmemu_module_unload(module); }
	};
	std::unique_ptr<gmemu_module, Unload> module_;
};

/* The context must outlive it. */
class Queue {
public:
	explicit Queue(const Context &context, const gmemu_queue_options &options = {})
	{
		gmemu_queue *queue;
		check(gmemu_queue_create(context.get(), &options, &queue));
		queue_.reset(queue);
	}
	gmemu_queue *get() const noexcept { return queue_.get(); }

	template <class Args>
	void launch(Kernel kernel, gmemu_dim3 grid, gmemu_dim3 workgroup, const Args &args,
		    const Signal *signal = nullptr)
	{
		static_assert(std::is_trivially_copyable_v<Args>);
		check(gmemu_launch(get(), kernel.get(), grid, workgroup, &args, sizeof(args),
				   signal ? signal->get() : nullptr));
	}
	void copy(void *dst, const void *src, size_t bytes, const Signal *signal = nullptr)
	{
		check(gmemu_copy(get(), dst, src, bytes, signal ? signal->get() : nullptr));
	}
	void fill(void *dst, uint64_t pattern, size_t bytes, const Signal *signal = nullptr)
	{
		check(gmemu_fill(get(), dst, pattern, bytes, signal ? signal->get() : nullptr));
	}
	void wait_idle(std::chrono::nanoseconds timeout = std::chrono::nanoseconds(GMEMU_FOREVER))
	{
		check(gmemu_queue_wait_idle(get(), timeout.count()));
	}
	gmemu_queue_error error() const
	{
		gmemu_queue_error error;
		check(gmemu_queue_get_error(get(), &error));
		return error;
	}

private:
	struct Destroy {
		void operator()(gmemu_queue *queue) const noexcept { gmemu_queue_destroy(queue); }
	};
	std::unique_ptr<gmemu_queue, Destroy> queue_;
};

inline std::string to_string(const gmemu_queue_error &error)
{
	std::string text(gmemu_error_string(&error, nullptr, 0), '\0');

	gmemu_error_string(&error, text.data(), text.size() + 1);
	return text;
}

} /* namespace gmemu */

#endif /* GMEMU_GMEMU_HPP */
