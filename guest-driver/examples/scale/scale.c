/* SPDX-License-Identifier: MIT */
/* Runs on the device. */
#include "gmemu_device.h"

struct scale_args {
    float *data;
    float factor;
};

GMEMU_KERNEL(scale, const struct scale_args)
{
    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++)
        args->data[i] *= args->factor;
}
