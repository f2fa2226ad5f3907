/* SPDX-License-Identifier: MIT */
/* Runs on the CPU: the README's example, whole. */
#include <cstdio>
#include <filesystem>
#include <vector>

#include <gmemu/gmemu.hpp>

struct scale_args {
    float *data;
    float factor;
};

int main()
try {
    /* scale.elf lies beside this program. */
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    gmemu::Device device;
    gmemu::Context context(device); /* this process's address space, shared with the device */
    gmemu::Queue queue(context);
    gmemu::Module module(here / "scale.elf");
    std::vector<float> data(1'000'000, 1.0f);

    queue.launch(module.kernel("scale"), {1'000'000, 1, 1}, {16384, 1, 1}, scale_args{data.data(), 2.0f});
    queue.wait_idle();
    for (float value : data) {
        if (value != 2.0f) {
            std::fprintf(stderr, "wrong result: %f\n", value);
            return 1;
        }
    }
    std::puts("1000000 floats doubled by the device, in place");
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
