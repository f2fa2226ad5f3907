// SPDX-License-Identifier: GPL-2.0-or-later
// Planted driver bugs: the device's contract checker names them. The driver leaves out one
// step on purpose (module parameters test_skip_inval, test_skip_replay). Needs check=log.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "device.h"

namespace {

using harness::Test;

constexpr const char *parameters = "/sys/module/gmemu/parameters/";

struct Check {
    uint64_t count, code, reports;
};

// The driver's debugfs file of the first accelerator that has one.
Check read_check()
{
    const std::filesystem::path root = "/sys/kernel/debug/accel";
    std::map<std::string, uint64_t> values;

    if (std::filesystem::exists(root))
        for (const auto &entry : std::filesystem::directory_iterator(root)) {
            std::ifstream in(entry.path() / "check");
            std::string key, value;
            while (in >> key >> value)
                values[key] = std::strtoull(value.c_str(), nullptr, 0);
            if (!values.empty())
                break;
        }
    if (!values.count("check_count"))
        throw harness::Skip("no file `check` of the driver in debugfs");
    if (values["check_mode"] == GMEMU_CHECK_OFF)
        throw harness::Skip("the device was started with check=off");
    return {values["check_count"], values["check_code"], values["check_reports"]};
}

// The driver has taken the report out of the checker's ring, and tells people.
void expect_told(KernelLog &log, const std::string &text)
{
    EXPECT(wait_until([&] { return log.says("contract violation " + text); }, std::chrono::seconds(10)));
    EXPECT(read_check().reports > 0);
}

void plant(const char *parameter) { write_text(std::string(parameters) + parameter, "1"); }

bool planted_and_gone(const char *parameter)
{
    return read_number(std::string(parameters) + parameter) == 0u;
}

Test no_bug("without a planted bug the checker is silent", [] {
    const Check before = read_check();
    {
        Accelerator acc;
        Mapping memory(64 * page_size);
        for (unsigned round = 0; round < 10; round++) {
            acc.run("increment", increment_args{memory.words(), 1}, 64 * words_per_page, 4096);
            EXPECT_EQUAL(*memory.page(round), round + 1u);
            EXPECT_EQUAL(madvise(memory.page(40), 20 * page_size, MADV_DONTNEED), 0);
        }
        sleep_ms(3000);
    }
    EXPECT_EQUAL(read_check().count, before.count);
});

Test skipped_invalidation("a skipped TLB invalidation is caught", [] {
    const Check before = read_check();
    KernelLog log;
    Accelerator acc;
    Mapping memory(16 * page_size);
    uint64_t seen = 0;

    acc.run("increment", increment_args{memory.words(), 1}, 16 * words_per_page, 512);
    plant("test_skip_inval");
    // The CPU takes the pages back; the device is not told.
    for (size_t page = 0; page < memory.pages(); page++)
        *memory.page(page) += 1;
    EXPECT(planted_and_gone("test_skip_inval"));
    acc.run("load_at", access_args{memory.words(), &seen, 0});
    EXPECT(wait_until([&] { return read_check().count > before.count; }, std::chrono::seconds(10)));
    // Perhaps GMEMU_CHK_COPY_RACE at once, as pages are copied home that harts can write; this when it has lasted.
    expect_told(log, "GMEMU_CHK_STALE_TLB: a TLB invalidation is missing (undefined; context ");
});

Test skipped_replay("a skipped replay is caught", [] {
    const Check before = read_check();
    KernelLog log;
    Accelerator acc;
    uint64_t word = 0;

    acc.run("store_at", access_args{&word, nullptr, 1});
    plant("test_skip_replay");
    Mapping memory(page_size);
    acc.start(acc.queue, "store_at", access_args{memory.words(), nullptr, 5});
    EXPECT(wait_until([&] { return read_check().count > before.count; }, std::chrono::seconds(20)));
    EXPECT_EQUAL(read_check().code, uint64_t{GMEMU_CHK_LOST_REPLAY});
    expect_told(log, "GMEMU_CHK_LOST_REPLAY: ");
    EXPECT(planted_and_gone("test_skip_replay"));
    EXPECT_EQUAL(__atomic_load_n(memory.words(), __ATOMIC_ACQUIRE), 0u);
});

} // namespace
