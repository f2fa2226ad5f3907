/* SPDX-License-Identifier: MIT */
/* The layers of a small transformer. */
#include "gmemu_device.h"
#include "workload_args.h"

GMEMU_KERNEL(matvec, const struct matvec_args)
{
    for (uint64_t row = gmemu_first(wg, 0); row < gmemu_end(wg, 0); row++) {
        const float *weights = args->weights + row * args->columns;
        float sums[8] = {0}, sum;

        /* Eight sums, so that the loop can be vectorised without changing what is computed. */
        for (uint32_t c = 0; c < args->columns; c += 8)
            for (uint32_t k = 0; k < 8; k++)
                sums[k] = __builtin_fmaf(weights[c + k], args->in[c + k], sums[k]);
        sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
        if (args->add)
            sum += args->add[row];
        args->out[row] = args->relu && sum < 0 ? 0 : sum;
    }
}

GMEMU_KERNEL(attention, const struct attention_args)
{
    const uint32_t size = args->width / args->heads;

    for (uint64_t head = gmemu_first(wg, 0); head < gmemu_end(wg, 0); head++) {
        const float *query = args->query + head * size;
        float *scores = args->scores + head * args->positions, *out = args->out + head * size;
        float best = -1e30f, total = 0;

        for (uint32_t p = 0; p <= args->position; p++) {
            const float *key = args->keys + p * args->width + head * size;
            float score = 0;

            for (uint32_t i = 0; i < size; i++)
                score += query[i] * key[i];
            scores[p] = score / __builtin_sqrtf((float)size);
            best = scores[p] > best ? scores[p] : best;
        }
        for (uint32_t p = 0; p <= args->position; p++) {
            scores[p] = exp_negative(scores[p] - best);
            total += scores[p];
        }
        for (uint32_t i = 0; i < size; i++)
            out[i] = 0;
        for (uint32_t p = 0; p <= args->position; p++) {
            const float *value = args->values + p * args->width + head * size;

            for (uint32_t i = 0; i < size; i++)
                out[i] += scores[p] / total * value[i];
        }
    }
}

GMEMU_KERNEL(normalise, const struct normalise_args)
{
    float square = 0;

    for (uint32_t i = 0; i < args->width; i++)
        square += args->in[i] * args->in[i];
    for (uint32_t i = 0; i < args->width; i++)
        args->out[i] = args->in[i] / __builtin_sqrtf(square / (float)args->width + 1e-6f);
}
