// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels with vectors, on a device that has them and on one that has not.
#include <cerrno>
#include <cmath>
#include <numeric>

#include "device.h"

namespace {

using harness::Test;

bool has_vectors(const Accelerator &acc) { return acc.device.info().caps & GMEMU_CAP_VECTOR; }

Test chosen("of a kernel's two codes the one that suits the device runs", [] {
    Accelerator acc;
    uint64_t bits = 1;

    acc.run("vector_bits", stack_args{&bits});
    EXPECT_EQUAL(bits, uint64_t{acc.device.info().vlen});
    EXPECT_EQUAL(bits != 0, has_vectors(acc));
});

Test refused("a kernel that needs vectors is refused by a device without", [] {
    Accelerator acc;
    uint64_t result = 0;
    int error = 0;

    try {
        acc.run("vectors_only", stack_args{&result});
    } catch (const gmemu::Error &e) {
        error = e.code();
    }
    EXPECT_EQUAL(error, has_vectors(acc) ? 0 : -ENOTSUP);
    EXPECT_EQUAL(result, uint64_t{has_vectors(acc)});
});

Test saxpy("saxpy over memory that the device has not seen", [] {
    Accelerator acc;
    constexpr uint32_t n = 300'000;
    std::vector<float> x(n), y(n), expected(n);

    std::iota(x.begin(), x.end(), 1.0f);
    std::iota(y.begin(), y.end(), -7.5f);
    for (uint32_t i = 0; i < n; i++)
        expected[i] = std::fma(0.37f, x[i], y[i]);
    acc.queue.launch(acc.standard.kernel("saxpy"), {n, 1, 1}, {8192, 1, 1},
                     gmemu_saxpy_args{x.data(), y.data(), 0.37f, 0});
    acc.queue.wait_idle(patience);
    EXPECT_EQUAL(y == expected, true);
});

} // namespace
