/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the guest's console and QEMU's messages for signs of trouble. */
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gmemu {

/* Splits a byte stream into lines. */
class LineSplitter {
public:
    template <class Consumer> void feed(std::string_view bytes, Consumer &&consume)
    {
        rest_ += bytes;
        size_t start = 0;
        for (size_t end; (end = rest_.find('\n', start)) != rest_.npos; start = end + 1) {
            std::string_view line(rest_.data() + start, end - start);

            if (line.ends_with('\r'))
                line.remove_suffix(1);
            consume(line);
        }
        rest_.erase(0, start);
    }
    const std::string &rest() const { return rest_; }

private:
    std::string rest_;
};

/* "Kernel panic - not syncing" and its reason. */
bool is_panic_line(std::string_view line);

/*
 * A kernel report that means a bug, whether the machine lives on or not: BUG, WARNING,
 * KASAN, lockdep, hung task, ...
 */
bool is_kernel_report_line(std::string_view line);

/* All such lines of a console log. */
std::vector<std::string> kernel_reports(std::string_view log);

/* QEMU's message that the device has failed for good. */
bool is_device_fatal_line(std::string_view line);

/* The device's contract checker found a violation. */
bool is_contract_violation_line(std::string_view line);

} // namespace gmemu
