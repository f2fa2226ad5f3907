/* SPDX-License-Identifier: MIT */
/* Device modules: ELF files made by gmemu-cc, loaded into this process's memory. */
#ifndef GMEMU_LIB_MODULE_H
#define GMEMU_LIB_MODULE_H

#include <string>
#include <vector>

#include "gmemu/gmemu.h"
#include "memory.h"

struct gmemu_kernel {
    std::string name;
    uint64_t entry = 0;
    uint32_t args_size = 0;
    uint32_t stack_size = 0;
};

struct gmemu_module {
    struct Function {
        uint64_t start;
        uint64_t size;
        std::string name;
    };

    gmemu_lib::Mapping image;
    std::vector<gmemu_kernel> kernels; /* not changed after loading */
    std::vector<Function> functions;
};

namespace gmemu_lib {

/* Name of the function of any loaded module that has this address. */
bool function_at(uint64_t pc, char *name, size_t size);

} // namespace gmemu_lib

#endif
