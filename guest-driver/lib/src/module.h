/* SPDX-License-Identifier: MIT */
/* Device modules: ELF files made by gmemu-cc, loaded into this process's memory. */
#ifndef GMEMU_LIB_MODULE_H
#define GMEMU_LIB_MODULE_H

#include <string>
#include <vector>

#include "gmemu/gmemu.h"
#include "memory.h"

/* A kernel has code for any device, for devices with vectors, or both. */
struct gmemu_kernel {
    struct Code {
        uint64_t entry = 0; /* 0: none */
        uint32_t stack_size = 0;
    };

    std::string name;
    uint32_t args_size = 0;
    Code plain;
    Code vector;

    /* What to run on a device; its entry is 0 if there is nothing. */
    const Code &code_for(bool has_vectors) const { return has_vectors && vector.entry ? vector : plain; }
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
