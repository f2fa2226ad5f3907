// SPDX-License-Identifier: MIT
// Convolution, k-means, n-body, and a matrix product larger than small devices.
#include <algorithm>

#include "gmemu_std_kernels.h"
#include "workload.h"

std::string run_convolution(Machine &machine)
{
    constexpr int32_t width = 2048, height = 1200, reach = CONVOLVE_SIZE / 2;
    Numbers numbers(17);
    std::vector<float> from(static_cast<size_t>(width) * height), to(from.size()), expected(from.size());
    convolve_args args{from.data(), to.data(), width, height, {}};

    for (float &pixel : from)
        pixel = numbers.real();
    for (float &weight : args.weights)
        weight = numbers.real();
    machine.start("convolve", {width, height, 1}, {width, 32, 1}, args);
    machine.wait();

    for (int32_t y = 0; y < height; y++)
        for (int32_t dy = -reach; dy <= reach; dy++) {
            const float *row = &from[static_cast<size_t>(std::clamp(y + dy, 0, height - 1)) * width];
            for (int32_t dx = -reach; dx <= reach; dx++) {
                const float weight = args.weights[(dy + reach) * CONVOLVE_SIZE + dx + reach];
                for (int32_t x = 0; x < width; x++)
                    expected[static_cast<size_t>(y) * width + x] += weight * row[std::clamp(x + dx, 0, width - 1)];
            }
        }
    expect_near("pixel", to, expected, 1e-4f);
    return std::to_string(width) + " x " + std::to_string(height) + " pixels, 5 x 5 weights";
}

std::string run_kmeans(Machine &machine)
{
    constexpr uint32_t points = 5 << 16, rounds = 3, values = KMEANS_CLUSTERS * KMEANS_DIMENSIONS;
    Numbers numbers(19);
    std::vector<int32_t> coordinates(static_cast<size_t>(points) * KMEANS_DIMENSIONS), centres(values);
    std::vector<uint8_t> cluster(points), expected_cluster(points);

    for (int32_t &value : coordinates)
        value = static_cast<int32_t>(numbers.below(2'000'001)) - 1'000'000;
    std::copy_n(coordinates.begin(), values, centres.begin());
    std::vector<int32_t> expected = centres;

    const auto move = [](std::vector<int32_t> &to, const std::vector<int64_t> &sums, const std::vector<uint64_t> &sizes) {
        for (uint32_t i = 0; i < values; i++)
            if (const auto size = static_cast<int64_t>(sizes[i / KMEANS_DIMENSIONS]))
                to[i] = static_cast<int32_t>(sums[i] / size);
    };
    for (uint32_t round = 0; round < rounds; round++) {
        std::vector<int64_t> sums(values);
        std::vector<uint64_t> sizes(KMEANS_CLUSTERS);

        machine.start("kmeans", points, 4096,
                      kmeans_args{coordinates.data(), centres.data(), cluster.data(), sums.data(), sizes.data()});
        machine.wait();
        move(centres, sums, sizes);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        std::vector<int64_t> sums(values);
        std::vector<uint64_t> sizes(KMEANS_CLUSTERS);

        for (uint32_t p = 0; p < points; p++) {
            const int32_t *point = &coordinates[static_cast<size_t>(p) * KMEANS_DIMENSIONS];
            int64_t best = INT64_MAX;

            for (uint32_t c = 0; c < KMEANS_CLUSTERS; c++) {
                int64_t distance = 0;
                for (uint32_t d = 0; d < KMEANS_DIMENSIONS; d++) {
                    const int64_t difference = int64_t{point[d]} - expected[c * KMEANS_DIMENSIONS + d];
                    distance += difference * difference;
                }
                if (distance < best) {
                    best = distance;
                    expected_cluster[p] = static_cast<uint8_t>(c);
                }
            }
            sizes[expected_cluster[p]]++;
            for (uint32_t d = 0; d < KMEANS_DIMENSIONS; d++)
                sums[expected_cluster[p] * KMEANS_DIMENSIONS + d] += point[d];
        }
        move(expected, sums, sizes);
    }
    expect_equal<uint8_t>("cluster of point", cluster, expected_cluster);
    expect_equal<int32_t>("coordinate of a centre", centres, expected);
    return std::to_string(points) + " points, " + std::to_string(KMEANS_CLUSTERS) + " clusters, " +
           std::to_string(rounds) + " rounds";
}

std::string run_nbody(Machine &machine)
{
    constexpr uint32_t bodies = 768, steps = 4;
    constexpr float step = 0.01f;
    Numbers numbers(23);
    std::vector<body> from(bodies), to(bodies), velocity(bodies);

    for (body &b : from)
        b = {numbers.real(), numbers.real(), numbers.real(), 1.0f / bodies};
    std::vector<body> now = from, next(bodies), speed(bodies);
    for (uint32_t i = 0; i < steps; i++) {
        machine.start("nbody", bodies, 32, nbody_args{from.data(), to.data(), velocity.data(), bodies, step});
        machine.wait();
        std::swap(from, to);
    }
    for (uint32_t s = 0; s < steps; s++) {
        for (uint32_t i = 0; i < bodies; i++) {
            float ax = 0, ay = 0, az = 0;
            for (const body &other : now) {
                const float dx = other.x - now[i].x, dy = other.y - now[i].y, dz = other.z - now[i].z;
                const float square = dx * dx + dy * dy + dz * dz + 0.01f;
                const float pull = other.mass / (square * std::sqrt(square));
                ax += dx * pull;
                ay += dy * pull;
                az += dz * pull;
            }
            speed[i].x += ax * step;
            speed[i].y += ay * step;
            speed[i].z += az * step;
            next[i] = {now[i].x + speed[i].x * step, now[i].y + speed[i].y * step, now[i].z + speed[i].z * step,
                       now[i].mass};
        }
        std::swap(now, next);
    }
    const auto numbers_of = [](const std::vector<body> &b) { return std::span<const float>(&b[0].x, 4 * b.size()); };
    expect_near("coordinate", numbers_of(from), numbers_of(now), 1e-4f);
    return std::to_string(bodies) + " bodies, " + std::to_string(steps) + " steps";
}

// Whole numbers as floats: exact, whatever the order. The product is checked with a vector:
// C v = A (B v), for a v that no error is likely to hide behind.
std::string run_sgemm(Machine &machine)
{
    constexpr uint32_t m = 96, k = 64, n = 32768;
    Numbers numbers(29);
    const gmemu::Module standard(standard_kernels());
    std::vector<float> a(m * k), b(static_cast<size_t>(k) * n), c(static_cast<size_t>(m) * n);
    std::vector<double> v(n), bv(k), expected(m), got(m);

    for (float &value : a)
        value = static_cast<float>(numbers.below(9)) - 4;
    for (float &value : b)
        value = static_cast<float>(numbers.below(9)) - 4;
    for (double &value : v)
        value = 1 + numbers.below(1 << 20);

    const gmemu_sgemm_args args{a.data(), b.data(), c.data(), k, k, n, n, 1.0f, 0.0f};
    machine.queue.launch(standard.kernel("sgemm"), {n, m, 1}, {1024, m, 1}, args);
    machine.wait();

    for (uint32_t i = 0; i < k; i++)
        for (uint32_t j = 0; j < n; j++)
            bv[i] += static_cast<double>(b[static_cast<size_t>(i) * n + j]) * v[j];
    for (uint32_t i = 0; i < m; i++) {
        for (uint32_t j = 0; j < k; j++)
            expected[i] += static_cast<double>(a[i * k + j]) * bv[j];
        for (uint32_t j = 0; j < n; j++)
            got[i] += static_cast<double>(c[static_cast<size_t>(i) * n + j]) * v[j];
    }
    expect_equal<double>("row", got, expected);
    return std::to_string(m) + " x " + std::to_string(k) + " x " + std::to_string(n) + ", " +
           std::to_string((a.size() + b.size() + c.size()) * sizeof(float) >> 20) + " MiB";
}
