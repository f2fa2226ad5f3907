// SPDX-License-Identifier: GPL-2.0-or-later
// The standard kernels with and without vectors: what they compute is the same, bit for bit.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "device_rig.h"
#include "gmemu_std_kernels.h"

namespace {

// 0: the code without vectors.
struct VectorDevice : Device {
    explicit VectorDevice(uint32_t vlen) : Device(2, Mode::plain, vlen) {}
    float *floats(size_t n)
    {
        auto *p = allocate_array<float>(n);
        std::generate(p, p + n, [&] { return std::uniform_real_distribution<float>(-2, 2)(random); });
        return p;
    }
    uint64_t *words(size_t n)
    {
        auto *p = allocate_array<uint64_t>(n);
        std::generate(p, p + n, [&] { return random(); });
        return p;
    }
    std::mt19937_64 random{42};
};

} // namespace

TEST_CASE("saxpy", "[core][vector]")
{
    VectorDevice d(GENERATE(0u, 128u, 1024u, 65536u));
    Rig::Queue queue(d, 0);
    constexpr uint32_t n = 10'007;
    const float *x = d.floats(n);
    float *y = d.floats(n);
    std::vector<float> expected(n);

    for (uint32_t i = 0; i < n; i++)
        expected[i] = std::fma(-1.7f, x[i], y[i]);
    queue.launch(d.standard.at("saxpy"), gmemu_saxpy_args{d.on_device(x), d.on_device(y), -1.7f, 0}, n, 1001);
    REQUIRE(queue.wait());
    CHECK(std::memcmp(y, expected.data(), n * sizeof(float)) == 0);
}

TEST_CASE("sgemm", "[core][vector]")
{
    VectorDevice d(GENERATE(0u, 128u, 1024u));
    Rig::Queue queue(d, 0);
    // Odd everywhere; rows of the matrices are longer than what is used of them.
    constexpr uint32_t m = 13, n = 301, k = 17, lda = 19, ldb = 307, ldc = 303;
    const float beta = GENERATE(0.0f, 0.5f);
    const float *a = d.floats(m * lda);
    const float *b = d.floats(k * ldb);
    float *c = d.floats(m * ldc);
    std::vector<float> expected(c, c + m * ldc);

    for (uint32_t row = 0; row < m; row++)
        for (uint32_t col = 0; col < n; col++) {
            float sum = 0;
            for (uint32_t i = 0; i < k; i++)
                sum = std::fma(a[row * lda + i], b[i * ldb + col], sum);
            float &out = expected[row * ldc + col];
            out = beta == 0 ? 1.25f * sum : std::fma(1.25f, sum, beta * out);
        }
    const gmemu_sgemm_args args{d.on_device(a), d.on_device(b), d.on_device(c), k, lda, ldb, ldc, 1.25f, beta};
    queue.launch(d.standard.at("sgemm"), args, n, 270, m, 5);
    REQUIRE(queue.wait());
    CHECK(std::memcmp(c, expected.data(), expected.size() * sizeof(float)) == 0);
}

TEST_CASE("copy, fill and reductions", "[core][vector]")
{
    VectorDevice d(GENERATE(0u, 128u, 1024u));
    Rig::Queue queue(d, 0);
    constexpr uint32_t n = 5'003;
    const uint64_t *source = d.words(n);
    uint64_t *copied = d.words(n + 1);
    uint64_t *filled = d.words(n + 1);
    const uint64_t behind[] = {copied[n], filled[n]};
    auto *sum = d.allocate_array<uint64_t>(2);

    sum[0] = 99;
    queue.launch(d.standard.at("copy"), gmemu_copy_args{d.on_device(copied), d.on_device(source)}, n, 777);
    queue.launch(d.standard.at("fill"), gmemu_fill_args{d.on_device(filled), 0x1122334455667788}, n, 777);
    queue.launch(d.standard.at("reduce_add"), gmemu_reduce_args{d.on_device(source), d.on_device(sum)}, n, 777);
    queue.launch(d.standard.at("reduce_max"), gmemu_reduce_args{d.on_device(source), d.on_device(sum + 1)}, n, 777);
    REQUIRE(queue.wait());
    CHECK(std::memcmp(copied, source, n * sizeof(uint64_t)) == 0);
    CHECK(std::count(filled, filled + n, 0x1122334455667788) == n);
    CHECK(copied[n] == behind[0]);
    CHECK(filled[n] == behind[1]);
    CHECK(sum[0] == std::accumulate(source, source + n, uint64_t{99}));
    CHECK(sum[1] == *std::max_element(source, source + n));
    CHECK(d.violations() == 0);
}

TEST_CASE("histogram, as the compiler makes vectors of it", "[core][vector]")
{
    VectorDevice d(GENERATE(0u, 256u));
    Rig::Queue queue(d, 0);
    constexpr uint32_t n = 20'000;
    auto *bytes = reinterpret_cast<uint8_t *>(d.words(n / 8));
    auto *bins = d.allocate_array<uint32_t>(256);
    uint32_t expected[256] = {};

    for (uint32_t i = 0; i < n; i++)
        expected[bytes[i]]++;
    queue.launch(d.standard.at("histogram"), gmemu_histogram_args{d.on_device(bytes), d.on_device(bins)}, n, 3'333);
    REQUIRE(queue.wait());
    CHECK(std::memcmp(bins, expected, sizeof(expected)) == 0);
}
