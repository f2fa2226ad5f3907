/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results of tests: on the terminal as they come, in files at the end. */
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gmemu {

enum class Verdict { passed, failed, skipped };

struct TestResult {
    std::string name;
    Verdict verdict = Verdict::failed;
    std::string detail; /* one line for the terminal */
    std::string log;    /* of a failure, all of it */
    double seconds = 0;
};

class TestReport {
public:
    /* Logs of failures go to @directory, made when the first one comes. */
    TestReport(std::filesystem::path directory, bool ktap);

    void begin(std::string_view what); /* a progress line for something that takes long */
    void add(TestResult result);
    void pass(std::string_view name, double seconds = 0)
    {
        add({std::string(name), Verdict::passed, {}, {}, seconds});
    }

    /* The closing line "N passed, N failed, N skipped"; true when none failed. */
    bool finish();
    void write_junit(const std::filesystem::path &file) const;
    void write_json(const std::filesystem::path &file) const;
    double seconds() const; /* since it was made */

private:
    size_t count(Verdict verdict) const;
    std::string elapsed() const;
    void keep_log(const TestResult &result);

    std::filesystem::path directory_;
    bool ktap_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::vector<TestResult> results_;
};

/* The same as JSON: sums, and an object for each result. */
std::string results_json(const std::vector<TestResult> &results);

/* JUnit XML of a list of results. */
std::string junit_xml(const std::vector<TestResult> &results);

} // namespace gmemu
