/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Something is off: the doctor, the kernel's log and the library each say what. */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

struct Expectation {
    std::vector<std::string> doctor; /* gmemu-doctor, which also shows what libgmemu says */
    std::vector<std::string> kernel;
};

std::string missing_text(const std::vector<std::string> &texts, const std::string &where, const char *who)
{
    for (const std::string &text : texts)
        if (where.find(text) == where.npos)
            return fmt::format("{} does not say '{}'", who, text);
    return {};
}

TestGroup negative(const Paths &paths, const TestOptions &options, const std::string &name,
                   const std::vector<std::string> &boot_options, const Expectation &expectation)
{
    const std::string doctor = paths.guest_doctor().string();

    return {{name}, [=](const auto &, TestReport &report) {
                BootRequest request;

                request.options = boot_options;
                request.program = {doctor};
                const Boot boot = boot_guest(options, request);
                std::string problem = missing_text(expectation.doctor, boot.out, "the doctor");
                if (problem.empty())
                    problem = missing_text(expectation.kernel, boot.console, "the kernel");
                if (problem.empty() && boot.code != 1)
                    problem = fmt::format("exit code {} instead of 1", boot.code);
                report.add(verdict_of(name, boot, problem));
            }};
}

/* A firmware file that is wrong in one way. */
TestGroup wrong_firmware(const Paths &paths, const TestOptions &options, const std::string &name, size_t byte,
                         const std::string &kernel_says)
{
    return {{name}, [=](const auto &names, TestReport &report) {
                const TempDir temp;
                const auto file = temp.path() / "firmware";
                std::string image = read_file(paths.firmware());

                image.at(byte) = static_cast<char>(image.at(byte) ^ 0x5a);
                write_file(file, image);
                negative(
                    paths, options, name, {"--firmware", file.string()},
                    {{"OFF   the firmware is not running", "firmware_class.path="}, {"gmemu", kernel_says}})
                    .run(names, report);
            }};
}

} // namespace

std::vector<TestGroup> negative_suites(const Paths &paths, const TestOptions &options)
{
    constexpr size_t kContractMajor = 18, kPayload = 200;

    return {
        negative(paths, options, "negative/GMEM is off", {"--no-gmem"},
                 {{"OFF   GMEM is off", "boot with gmem=on"}, {"GMEM is off", "boot with gmem=on"}}),
        negative(paths, options, "negative/no device", {"--no-device"},
                 {{"OFF   there is no gmemu device", "-device gmemu", "libgmemu: no gmemu device"}, {}}),
        negative(paths, options, "negative/no firmware", {"--firmware", "none"},
                 {{"OFF   the firmware is not running"}, {"no firmware: cannot load gmemu/gmemu-fw.bin"}}),
        wrong_firmware(paths, options, "negative/damaged firmware", kPayload, "damaged"),
        wrong_firmware(paths, options, "negative/firmware for another contract", kContractMajor,
                       "is for hardware contract"),
    };
}

} // namespace gmemu
