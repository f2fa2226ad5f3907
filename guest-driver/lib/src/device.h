/* SPDX-License-Identifier: MIT */
#ifndef GMEMU_LIB_DEVICE_H
#define GMEMU_LIB_DEVICE_H

#include <memory>
#include <mutex>
#include <vector>

#include "gmemu/gmemu.h"
#include "gmemu_regs.h"
#include "memory.h"

struct gmemu_device {
    gmemu_lib::Fd fd;
    gmemu_info info{};
};

struct gmemu_context {
    gmemu_device *device = nullptr;
    uint32_t id = 0;

    std::mutex lock; /* protects what follows */
    std::vector<gmemu_lib::Mapping> signal_pages;
    std::vector<gmemu_signal *> free_signals;
    std::vector<gmemu_queue *> queues;
};

namespace gmemu_lib {

/* ioctl() that goes on after an interruption, and gives a negative errno. */
int device_ioctl(const gmemu_device &device, unsigned long request, void *args);
/* The same, once. */
int device_ioctl_once(const gmemu_device &device, unsigned long request, void *args);
/* Why the device gave -ENODEV. */
int fail_no_device(gmemu_device &device);

} // namespace gmemu_lib

#endif
