// SPDX-License-Identifier: GPL-2.0-or-later
// The frame of a guest test program: named tests, each in a process of its own with a time
// limit, reported as KTAP.
#pragma once

#include <chrono>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace harness {

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// Thrown when what a test needs is not there; it counts as skipped, with the reason.
struct Skip : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Test {
    Test(const char *name, std::function<void()> body, std::chrono::seconds limit = std::chrono::seconds(60));
};

// A line of diagnostics.
void note(const std::string &text);

template <class T> std::string show(const T &value)
{
    std::ostringstream out;

    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        out << +value << " (0x" << std::hex << +value << ")";
    else
        out << value;
    return out.str();
}

[[noreturn]] void fail(const char *file, int line, const std::string &text);

template <class A, class B>
void expect_equal(const A &got, const B &want, const char *text, const char *file, int line)
{
    if (!(got == want))
        fail(file, line, std::string(text) + ": got " + show(got) + ", want " + show(want));
}

} // namespace harness

#define EXPECT(condition) ((condition) ? (void)0 : harness::fail(__FILE__, __LINE__, #condition))
#define EXPECT_EQUAL(got, want) harness::expect_equal((got), (want), #got " == " #want, __FILE__, __LINE__)
