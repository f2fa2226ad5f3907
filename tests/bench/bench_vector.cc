// SPDX-License-Identifier: GPL-2.0-or-later
//
// The standard kernels on one hart, without and with vectors, in CPU time: how many times
// faster are vectors? Both codes come from the same module and work on the same data.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <time.h>

#include "../diff/flat_port.h"
#include "cpu.h"
#include "gmemu_regs.h"
#include "gmemu_std_kernels.h"
#include "module.h"

namespace {

using namespace gmemu::hart;

constexpr unsigned kRounds = 20;

// A hart with one work-group of x by y items; memory is this process's, at its own addresses.
class GroupPort : public FlatPort {
public:
    GroupPort(std::vector<Region> regions, uint32_t x, uint32_t y) : FlatPort(std::move(regions)), items_{x, y, 1} {}

    bool csr_read(uint32_t csr, uint64_t &value)
    {
        value = 0;
        if (csr >= GMEMU_CSR_WG_SIZE_X && csr <= GMEMU_CSR_WG_SIZE_Z)
            value = items_[csr - GMEMU_CSR_WG_SIZE_X];
        else if (csr >= GMEMU_CSR_GRID_X && csr <= GMEMU_CSR_GRID_Z)
            value = items_[csr - GMEMU_CSR_GRID_X];
        else if (csr == GMEMU_CSR_NUM_HARTS)
            value = 1;
        return true;
    }

private:
    std::array<uint32_t, 3> items_;
};

double cpu_seconds()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Whole pages of their own.
template <class T> class Array {
public:
    explicit Array(size_t n) : bytes_((n * sizeof(T) + kPageSize - 1) & ~kPageOffset), n_(n)
    {
        data_.reset(static_cast<T *>(std::aligned_alloc(kPageSize, bytes_)));
        if (!data_)
            throw std::bad_alloc();
        std::memset(data_.get(), 0, bytes_);
    }
    T *data() const { return data_.get(); }
    T *begin() const { return data_.get(); }
    T *end() const { return data_.get() + n_; }
    FlatPort::Region region() const
    {
        return {reinterpret_cast<uint64_t>(data_.get()), bytes_, reinterpret_cast<std::byte *>(data_.get())};
    }

private:
    struct Free {
        void operator()(T *p) const { std::free(p); }
    };
    size_t bytes_;
    size_t n_;
    std::unique_ptr<T[], Free> data_;
};

class Bench {
public:
    Bench(const char *modules, unsigned vlen) : vlen_(vlen)
    {
        if (gmemu_module_load_file(modules, &module_) != 0)
            throw std::runtime_error(gmemu_last_error());
    }
    ~Bench() { gmemu_module_unload(module_); }

    // Prints elements (of sgemm multiply-adds) a second of both, and the ratio.
    template <class Args>
    void row(const char *name, const Args &args, std::vector<FlatPort::Region> data, uint32_t x, uint32_t y,
             double work)
    {
        gmemu_kernel *kernel = nullptr;
        if (gmemu_module_kernel(module_, name, &kernel) != 0)
            throw std::runtime_error(gmemu_last_error());
        Array<Args> arguments(1);
        *arguments.data() = args;
        data.push_back(arguments.region());
        data.push_back(stack_.region());
        data.push_back({module_->image.va(), module_->image.size(), module_->image.data()});
        const auto at = reinterpret_cast<uint64_t>(arguments.data());
        double plain = 1e9;
        double vector = 1e9;
        for (unsigned i = 0; i < kRounds; i++) {
            plain = std::min(plain, time(kernel->plain.entry, at, data, x, y));
            vector = std::min(vector, time(kernel->vector.entry, at, data, x, y));
        }
        std::printf("scalar_%s_g_per_s %.4f\nvector_%s_g_per_s %.4f\nvector_%s_times %.2f\n", name, work / plain / 1e9, name,
                    work / vector / 1e9, name, plain / vector);
        std::fflush(stdout);
    }

private:
    double time(uint64_t entry, uint64_t args, const std::vector<FlatPort::Region> &data, uint32_t x, uint32_t y)
    {
        GroupPort port(data, x, y);
        Cpu<GroupPort> cpu(port, 0, vlen_);
        cpu.reset(entry);
        cpu.state().x[2] = reinterpret_cast<uint64_t>(stack_.end());
        cpu.state().x[10] = args;
        const double start = cpu_seconds();
        const Stop stop = cpu.run();
        const double seconds = cpu_seconds() - start;
        if (stop.reason != StopReason::kEcall)
            throw std::runtime_error("the kernel stopped for reason " + std::to_string(static_cast<int>(stop.reason)));
        return seconds;
    }

    const unsigned vlen_;
    gmemu_module *module_ = nullptr;
    Array<std::byte> stack_{16 * kPageSize};
};

int run(const char *modules, unsigned vlen)
{
    Bench bench(modules, vlen);
    // It fits into the caches of a core: the host's memory, which others use as well, is not
    // what is to be measured.
    constexpr uint32_t n = 1 << 17;
    constexpr uint32_t rows = 32, columns = 1024, depth = 128;
    Array<float> x(n), y(n), c(rows * columns);
    Array<uint64_t> words(n / 2), copy(n / 2), sum(1);

    std::iota(x.begin(), x.end(), 1.0f);
    std::iota(y.begin(), y.end(), 0.5f);
    std::iota(words.begin(), words.end(), 7);
    bench.row("saxpy", gmemu_saxpy_args{x.data(), y.data(), 1e-9f, 0}, {x.region(), y.region()}, n, 1, n);
    bench.row("sgemm",
              gmemu_sgemm_args{x.data(), y.data(), c.data(), depth, depth, columns, columns, 1e-6f, 0},
              {x.region(), y.region(), c.region()}, columns, rows, double{rows} * columns * depth);
    bench.row("copy", gmemu_copy_args{copy.data(), words.data()}, {copy.region(), words.region()}, n / 2, 1, n / 2);
    bench.row("fill", gmemu_fill_args{copy.data(), 3}, {copy.region()}, n / 2, 1, n / 2);
    bench.row("reduce_add", gmemu_reduce_args{words.data(), sum.data()}, {words.region(), sum.region()}, n / 2, 1,
              n / 2);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    const char *modules = "firmware/std.elf";
    unsigned vlen = 1024;

    for (int i = 1; i < argc; i++) {
        const std::string_view arg = argv[i];

        if (arg == "--kernels" && i + 1 < argc) {
            modules = argv[++i];
        } else if (arg == "--vlen" && i + 1 < argc) {
            vlen = static_cast<unsigned>(std::atoi(argv[++i]));
        } else {
            std::fprintf(stderr, "usage: bench-vector [--vlen BITS] [--kernels std.elf]\n");
            return 2;
        }
    }
    if (vlen == 0 || !valid_vlen(vlen)) {
        std::fprintf(stderr, "bench-vector: --vlen must be a power of two from %u to %u\n", kMinVlen, kMaxVlen);
        return 2;
    }
    try {
        return run(modules, vlen);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "bench-vector: %s\n", e.what());
        return 1;
    }
}
