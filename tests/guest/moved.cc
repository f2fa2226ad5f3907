// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels fault without a pause while the suite of the state saves, loads and migrates the
// machine. Each round's result is compared with what the CPU makes of the same.
//
// The suite hears of each round by a virtio port, and says by it when it is enough.
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <numeric>

#include "device.h"
#include "virtio_port.h"

namespace {

using harness::Test;

constexpr const char *port_name = "gmemu.test";
constexpr size_t pages = 192;
constexpr uint32_t floats = 100'000;

class Port {
public:
    Port()
    {
        const auto node = virtio_port(port_name);

        if (!node)
            throw harness::Skip("nobody is there to save the machine; ./gmemu test --only state does");
        fd_ = open(node->c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
        EXPECT(fd_ >= 0);
    }
    ~Port() { close(fd_); }
    Port(const Port &) = delete;
    Port &operator=(const Port &) = delete;

    // Lost when the suite does not listen at the moment.
    void tell(uint64_t round)
    {
        const std::string line = "round " + std::to_string(round) + "\n";

        if (write(fd_, line.data(), line.size()) < 0)
            return;
    }
    bool is_enough()
    {
        char byte;

        return read(fd_, &byte, 1) == 1;
    }

private:
    int fd_ = -1;
};

Test moved(
    "whatever is done to the machine, kernels that fault compute the same",
    [] {
        KernelLog log;
        Port port;
        Accelerator acc;
        Mapping memory(pages * page_size);
        std::vector<float> x(floats), y(floats), same_y(floats);
        uint64_t expected = 0, round = 0;

        std::iota(x.begin(), x.end(), -3.5f);
        while (!port.is_enough()) {
            round++;
            acc.start(acc.queue, "increment", increment_args{memory.words(), round}, pages * words_per_page,
                      words_per_page);
            acc.queue.launch(acc.standard.kernel("saxpy"), {floats, 1, 1}, {4096, 1, 1},
                             gmemu_saxpy_args{x.data(), y.data(), 0.5f, 0});
            // Brings pages home in the middle, so that the harts fault on them again.
            for (size_t i = 0; i < pages; i += 7)
                EXPECT(*static_cast<const volatile uint64_t *>(memory.page(i)) >= expected);
            acc.queue.wait_idle(patience);
            EXPECT_EQUAL(acc.queue.error().code, 0u);

            expected += round;
            for (size_t i = 0; i < pages * words_per_page; i++)
                if (memory.words()[i] != expected)
                    EXPECT_EQUAL(memory.words()[i], expected);
            for (uint32_t i = 0; i < floats; i++)
                same_y[i] = std::fma(0.5f, x[i], same_y[i]);
            EXPECT(y == same_y);
            port.tell(round);
        }
        EXPECT(round > 1);
        expect_clean(log);
    },
    std::chrono::seconds(3000));

} // namespace
