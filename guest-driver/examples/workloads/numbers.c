/* SPDX-License-Identifier: MIT */
/* Convolution, k-means, n-body. */
#include "gmemu_device.h"
#include "workload_args.h"

static inline int32_t within(int32_t i, int32_t size)
{
    return i < 0 ? 0 : i < size ? i : size - 1;
}

GMEMU_KERNEL(convolve, const struct convolve_args)
{
    const int32_t reach = CONVOLVE_SIZE / 2;
    const int32_t first = (int32_t)gmemu_first(wg, 0), end = (int32_t)gmemu_end(wg, 0);

    for (int32_t y = (int32_t)gmemu_first(wg, 1); y < (int32_t)gmemu_end(wg, 1); y++) {
        float *to = args->to + (int64_t)y * args->width;

        for (int32_t x = first; x < end; x++)
            to[x] = 0;
        for (int32_t dy = -reach; dy <= reach; dy++) {
            const float *from = args->from + (int64_t)within(y + dy, args->height) * args->width;

            for (int32_t dx = -reach; dx <= reach; dx++) {
                const float weight = args->weights[(dy + reach) * CONVOLVE_SIZE + dx + reach];
                int32_t x = first;

                for (; x < end && x + dx < 0; x++)
                    to[x] = __builtin_fmaf(weight, from[0], to[x]);
                for (; x < end && x + dx < args->width; x++)
                    to[x] = __builtin_fmaf(weight, from[x + dx], to[x]);
                for (; x < end; x++)
                    to[x] = __builtin_fmaf(weight, from[args->width - 1], to[x]);
            }
        }
    }
}

GMEMU_KERNEL(kmeans, const struct kmeans_args)
{
    int64_t sums[KMEANS_CLUSTERS][KMEANS_DIMENSIONS] = {{0}};
    uint64_t sizes[KMEANS_CLUSTERS] = {0};

    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++) {
        const int32_t *point = args->points + i * KMEANS_DIMENSIONS;
        int64_t best = INT64_MAX;
        uint32_t cluster = 0;

        for (uint32_t c = 0; c < KMEANS_CLUSTERS; c++) {
            const int32_t *centre = args->centres + c * KMEANS_DIMENSIONS;
            int64_t distance = 0;

            for (uint32_t d = 0; d < KMEANS_DIMENSIONS; d++) {
                const int64_t difference = (int64_t)point[d] - centre[d];

                distance += difference * difference;
            }
            if (distance < best) {
                best = distance;
                cluster = c;
            }
        }
        args->cluster[i] = (uint8_t)cluster;
        sizes[cluster]++;
        for (uint32_t d = 0; d < KMEANS_DIMENSIONS; d++)
            sums[cluster][d] += point[d];
    }
    for (uint32_t c = 0; c < KMEANS_CLUSTERS; c++) {
        gmemu_atomic_add_relaxed(&args->sizes[c], sizes[c]);
        for (uint32_t d = 0; d < KMEANS_DIMENSIONS; d++)
            gmemu_atomic_add_relaxed(&args->sums[c * KMEANS_DIMENSIONS + d], sums[c][d]);
    }
}

GMEMU_KERNEL(nbody, const struct nbody_args)
{
    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++) {
        const struct body self = args->from[i];
        float ax = 0, ay = 0, az = 0;

        for (uint32_t j = 0; j < args->bodies; j++) {
            const struct body other = args->from[j];
            const float dx = other.x - self.x, dy = other.y - self.y, dz = other.z - self.z;
            /* Softened, so that a body does not pull itself to pieces. */
            const float square = dx * dx + dy * dy + dz * dz + 0.01f;
            const float pull = other.mass / (square * __builtin_sqrtf(square));

            ax += dx * pull;
            ay += dy * pull;
            az += dz * pull;
        }
        args->velocity[i].x += ax * args->step;
        args->velocity[i].y += ay * args->step;
        args->velocity[i].z += az * args->step;
        args->to[i].x = self.x + args->velocity[i].x * args->step;
        args->to[i].y = self.y + args->velocity[i].y * args->step;
        args->to[i].z = self.z + args->velocity[i].z * args->step;
        args->to[i].mass = self.mass;
    }
}
