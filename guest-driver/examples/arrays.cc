// SPDX-License-Identifier: MIT
// saxpy and sgemm on arrays from malloc, bit for bit as the CPU computes them.
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "part.h"

namespace {

struct Free {
    void operator()(float *p) const { std::free(p); }
};

// Plain malloc, which is the point of the demo.
class Array {
public:
    explicit Array(size_t n) : data_(static_cast<float *>(std::malloc(n * sizeof(float)))), n_(n)
    {
        if (!data_)
            throw std::bad_alloc();
    }
    float *data() const { return data_.get(); }
    float &operator[](size_t i) const { return data_.get()[i]; }
    size_t size() const { return n_; }

private:
    std::unique_ptr<float, Free> data_;
    size_t n_;
};

// Numbers with many significant bits, the same on every run.
void fill_numbers(const Array &array, uint32_t seed)
{
    for (size_t i = 0; i < array.size(); i++) {
        seed = seed * 1664525u + 1013904223u;
        array[i] = static_cast<float>(static_cast<int32_t>(seed)) / 65536.0f;
    }
}

size_t count_differences(const Array &got, const std::vector<float> &expected)
{
    size_t differences = 0;

    for (size_t i = 0; i < expected.size(); i++)
        differences += got[i] != expected[i];
    return differences;
}

} // namespace

bool run_saxpy(Session &session, std::string &detail)
{
    constexpr uint32_t n = 1 << 20;
    constexpr float a = 1.5f;
    const Array x(n), y(n);
    std::vector<float> expected(n);

    fill_numbers(x, 1);
    fill_numbers(y, 2);
    for (uint32_t i = 0; i < n; i++)
        expected[i] = std::fma(a, x[i], y[i]);

    session.queue.launch(session.kernels.kernel("saxpy"), {n, 1, 1}, {16384, 1, 1},
                         gmemu_saxpy_args{x.data(), y.data(), a, 0});
    session.queue.wait_idle(patience);

    detail = std::to_string(n) + " elements";
    return count_differences(y, expected) == 0;
}

bool run_sgemm(Session &session, std::string &detail)
{
    constexpr uint32_t m = 160, n = 192, k = 128;
    const Array a(m * k), b(k * n), c(m * n);
    std::vector<float> expected(m * n);

    fill_numbers(a, 3);
    fill_numbers(b, 4);
    for (uint32_t row = 0; row < m; row++)
        for (uint32_t col = 0; col < n; col++) {
            float sum = 0;
            for (uint32_t i = 0; i < k; i++)
                sum = std::fma(a[row * k + i], b[i * n + col], sum);
            expected[row * n + col] = sum;
        }

    session.queue.launch(session.kernels.kernel("sgemm"), {n, m, 1}, {n, 8, 1},
                         gmemu_sgemm_args{a.data(), b.data(), c.data(), k, k, n, n, 1.0f, 0.0f});
    session.queue.wait_idle(patience);

    detail = std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k);
    return count_differences(c, expected) == 0;
}
