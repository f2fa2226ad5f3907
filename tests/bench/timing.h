/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace bench {

inline double now_us()
{
    using namespace std::chrono;

    return duration<double, std::micro>(steady_clock::now().time_since_epoch()).count();
}

/* The best of several rounds: the machine is shared with others. */
class Best {
public:
    void add(double value) { value_ = std::min(value_, value); }
    double value() const { return value_; }

private:
    double value_ = std::numeric_limits<double>::infinity();
};

} // namespace bench
