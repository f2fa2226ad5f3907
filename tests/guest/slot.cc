// SPDX-License-Identifier: GPL-2.0-or-later
// A card in a slot: errors of the bus, bus mastering switched off, unplugging. What happens to
// the machine is done through QEMU's monitor (monitor.h).
//
// GMEMU_TEST_ROUNDS says how often the card is unplugged.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "device.h"
#include "monitor.h"

namespace {

using harness::Test;
namespace fs = std::filesystem;

constexpr unsigned default_rounds = 10;
constexpr size_t pages = 64;
constexpr uint32_t reset_error = GMEMU_QERR_RESET;
constexpr unsigned command_offset = 4;
constexpr uint16_t command_master = 4;

// ---- what the kernel has seen of errors

// The sum line of aer_dev_correctable, aer_dev_nonfatal, aer_dev_fatal.
uint64_t errors(const char *kind)
{
    std::ifstream in(device_directory() + "/aer_dev_" + kind);
    std::string name;
    uint64_t count = 0, total = 0;

    if (!in)
        throw harness::Skip("the kernel has no AER for this device");
    while (in >> name >> count)
        if (name.starts_with("TOTAL_ERR"))
            total = count;
    return total;
}

void inject(Monitor &monitor, const char *error)
{
    const std::string answer = monitor.command(std::string("pcie_aer_inject_error gmemu0 ") + error);

    if (!answer.starts_with("OK"))
        EXPECT_EQUAL(answer, std::string("OK"));
}

void inject(Monitor &monitor, const char *error, const char *kind)
{
    const uint64_t before = errors(kind);

    inject(monitor, error);
    EXPECT(wait_until([&] { return errors(kind) > before; }));
}

// Memory with a page on either side that nobody uses: what moves to the device moves with its
// neighbours of the same mapping, and what else this process needs shall not be lost with it.
class Island {
public:
    explicit Island(size_t pages) : all_((pages + 2) * page_size), pages_(pages)
    {
        mprotect(all_.page(0), page_size, PROT_NONE);
        mprotect(all_.page(pages + 1), page_size, PROT_NONE);
    }
    uint64_t *words() const { return all_.page(1); }
    uint64_t *page(size_t n) const { return all_.page(n + 1); }
    size_t pages() const { return pages_; }

private:
    Mapping all_;
    size_t pages_;
};

// ---- reading memory that may be lost

sigjmp_buf lost_page;

// Jumps back from the signal; nothing here is changed in between.
bool is_lost(const volatile uint64_t *address)
{
    if (sigsetjmp(lost_page, 1))
        return true;
    (void)*address;
    return false;
}

unsigned count_lost(const Island &memory)
{
    struct sigaction catcher = {}, before;
    unsigned lost = 0;

    catcher.sa_handler = [](int) { siglongjmp(lost_page, 1); };
    sigaction(SIGBUS, &catcher, &before);
    for (size_t i = 0; i < memory.pages(); i++)
        lost += is_lost(memory.page(i));
    sigaction(SIGBUS, &before, nullptr);
    return lost;
}

// A kernel that never ends runs on all harts.
struct Churn {
    explicit Churn(Accelerator &acc) : memory(pages), counter(1)
    {
        acc.start(acc.queue, "churn", churn_args{memory.words(), pages, counter.words()}, acc.device.info().cores);
        EXPECT(wait_until([&] { return __atomic_load_n(counter.words(), __ATOMIC_ACQUIRE) > 0; }));
    }
    bool goes_on() const
    {
        const uint64_t before = __atomic_load_n(memory.page(pages - 1), __ATOMIC_ACQUIRE);

        return wait_until([&] { return __atomic_load_n(memory.page(pages - 1), __ATOMIC_ACQUIRE) > before; });
    }

    Island memory, counter;
};

void expect_works()
{
    Accelerator acc;
    Mapping memory(pages * page_size);

    acc.run("fill", gmemu_fill_args{memory.words(), 5}, pages * words_per_page, 4096);
    for (size_t i = 0; i < pages; i++)
        EXPECT_EQUAL(*memory.page(i), 5u);
}

Test corrected("a corrected error is counted, and nothing else", [] {
    KernelLog log;
    Monitor monitor;
    Accelerator acc;
    Churn churn(acc);

    inject(monitor, "RCVR", "correctable");
    EXPECT(churn.goes_on());
    EXPECT_EQUAL(acc.queue.error().code, 0u);
    expect_clean(log);
});

Test nonfatal("an error that is not fatal does not stop what runs", [] {
    KernelLog log;
    {
        Monitor monitor;
        Accelerator acc;
        Churn churn(acc);

        inject(monitor, "COMP_TIME", "nonfatal");
        EXPECT(churn.goes_on());
        EXPECT_EQUAL(acc.queue.error().code, 0u);
    }
    expect_works();
    expect_clean(log);
});

Test fatal(
    "after a fatal error the device is reset; what was in its memory is lost",
    [] {
        KernelLog log;
        const uint64_t before = device_pages_of_others();
        {
            Monitor monitor;
            Accelerator acc;
            Island in_dram(pages), at_home(pages);

            std::fill_n(at_home.words(), pages * words_per_page, 9);
            acc.run("fill", gmemu_fill_args{in_dram.words(), 7}, pages * words_per_page, 4096);
            Churn churn(acc);
            EXPECT(device_pages_in_use() >= before + pages);
            // The kernel does not count it: it asks no device whose link may be broken.
            inject(monitor, "MALF_TLP");
            EXPECT_EQUAL(failure_of(acc.queue).code, reset_error);
            // The kernel resets the link, which it gives a second.
            EXPECT(wait_until([] {
                try {
                    expect_works();
                    return true;
                } catch (const gmemu::Error &) {
                    return false;
                }
            }));
            EXPECT_EQUAL(count_lost(in_dram), pages);
            for (size_t i = 0; i < pages; i++)
                EXPECT_EQUAL(*at_home.page(i), 9u);
            // The context is good for the next life; kernels that were in the lost memory are not.
            acc.queue = gmemu::Queue(acc.context);
            acc.kernels = gmemu::Module(kernel_file("test_kernels.elf"));
            acc.standard = gmemu::Module(kernel_file("std.elf"));
            acc.run("increment", increment_args{at_home.words(), 1}, pages * words_per_page, 4096);
            EXPECT_EQUAL(*at_home.page(pages - 1), 10u);
        }
        expect_works();
        expect_clean(log);
    },
    std::chrono::seconds(120));

// ---- bus mastering

uint16_t change_command(uint16_t clear, uint16_t set)
{
    std::fstream config(device_directory() + "/config", std::ios::in | std::ios::out | std::ios::binary);
    uint16_t command = 0;

    config.seekg(command_offset);
    config.read(reinterpret_cast<char *>(&command), sizeof(command));
    const uint16_t before = command;
    command = static_cast<uint16_t>((command & ~clear) | set);
    config.seekp(command_offset);
    config.write(reinterpret_cast<const char *>(&command), sizeof(command));
    config.flush();
    EXPECT(config.good());
    return before;
}

Test master("without bus mastering the device fails, and a reset mends it", [] {
    KernelLog log;
    {
        Accelerator acc;
        Churn churn(acc);

        change_command(command_master, 0);
        sleep_ms(50);
        change_command(0, command_master);
        reset_device();
        EXPECT_EQUAL(gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience).count()),
                     -EIO);
        EXPECT(acc.queue.error().code != 0u);
    }
    expect_works();
    expect_clean(log);
});

// ---- unplugging

// "gmemu,id=gmemu0,..." as it was on QEMU's command line, without what the tests do not need.
constexpr const char *plug = "device_add gmemu,id=gmemu0,bus=gmemu-port0";

bool is_there()
{
    try {
        device_directory();
        return true;
    } catch (const harness::Skip &) {
        return false;
    }
}

void plug_in(Monitor &monitor)
{
    // QEMU may need a moment more than the guest.
    EXPECT(wait_until([&] { return monitor.command("info qtree").find("dev: gmemu,") == std::string::npos; }));
    monitor.silent(plug);
    EXPECT(wait_until(is_there));
    EXPECT(wait_until([] {
        try {
            expect_works();
            return true;
        } catch (const gmemu::Error &) {
            return false;
        }
    }));
}

// A card that is pulled out. For QEMU that is a slot whose power and indicator are switched off:
// it takes the card away at once. The kernel, which would ask the driver first, only learns of it
// when the port has power again and may interrupt.
void pull_out()
{
    constexpr unsigned first_capability = 0x34, express = 0x10, slot_control = 0x18;
    constexpr uint16_t power_off = 0x400, indicator_off = 0x300, interrupt = 0x20;
    const fs::path port = fs::path(fs::canonical(device_directory())).parent_path();
    std::fstream config(port / "config", std::ios::in | std::ios::out | std::ios::binary);
    const auto read8 = [&](unsigned at) {
        config.seekg(at);
        return static_cast<unsigned>(static_cast<unsigned char>(config.get()));
    };
    unsigned capability = read8(first_capability);

    while (capability && read8(capability) != express)
        capability = read8(capability + 1);
    EXPECT(capability != 0);
    uint16_t control = 0;
    config.seekg(capability + slot_control);
    config.read(reinterpret_cast<char *>(&control), sizeof(control));
    EXPECT(!(control & power_off));
    for (const uint16_t value : {static_cast<uint16_t>((control | power_off | indicator_off) & ~interrupt), control}) {
        config.seekp(capability + slot_control);
        config.write(reinterpret_cast<const char *>(&value), sizeof(value));
        config.flush();
    }
    EXPECT(config.good());
}

// The kernel leaves a slot without power for a second. A card, and the button QEMU presses for
// it, that come before are taken for two events: on, and off again. Asked to switch it off, the kernel
// says how far it is.
void expect_empty_slot(KernelLog &log)
{
    EXPECT(wait_until([&] {
        std::ofstream("/sys/bus/pci/slots/1/power") << "0" << std::endl;
        return log.says("Already disabled");
    }));
}

Test surprise(
    "pulled out in the middle of a kernel: what was in its memory is lost, nothing else",
    [] {
        KernelLog log;
        Monitor monitor;
        {
            Accelerator acc;
            Island in_dram(pages), at_home(pages);

            std::fill_n(at_home.words(), pages * words_per_page, 9);
            acc.run("fill", gmemu_fill_args{in_dram.words(), 7}, pages * words_per_page, 4096);
            Churn churn(acc);
            pull_out();
            EXPECT(wait_until([] { return !is_there(); }));
            EXPECT(gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience).count()) < 0);
            EXPECT_EQUAL(count_lost(in_dram), pages);
            for (size_t i = 0; i < pages; i++)
                EXPECT_EQUAL(*at_home.page(i), 9u);
        }
        expect_empty_slot(log);
        plug_in(monitor);
        expect_clean(log);
    },
    std::chrono::seconds(120));

Test unplug(
    "unplugged in the middle of a kernel, and plugged in again",
    [] {
        KernelLog log;
        Monitor monitor;
        const unsigned total = rounds(default_rounds);

        for (unsigned round = 0; round < total; round++) {
            {
                Accelerator acc;
                Mapping kept(pages * page_size);

                acc.run("fill", gmemu_fill_args{kept.words(), 7}, pages * words_per_page, 4096);
                Churn churn(acc);
                usleep(round * 373 % 7000); // at another moment each time
                monitor.silent("device_del gmemu0");
                EXPECT(wait_until([] { return !is_there(); }));
                // It was asked to go, so the driver could bring home what it had.
                for (size_t i = 0; i < pages; i++)
                    EXPECT_EQUAL(*kept.page(i), 7u);
                EXPECT(*churn.memory.page(0) > 0);
                EXPECT(gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience).count()) <
                       0);
            }
            plug_in(monitor);
        }
        expect_clean(log);
    },
    std::chrono::seconds(3000));

} // namespace
