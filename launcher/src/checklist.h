/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a doctor says: one line for each thing, with a remedy where one is needed. */
#pragma once

#include <cstdio>
#include <string>

namespace gmemu {

class Checklist {
public:
    void ok(const std::string &text) { std::printf("ok    %s\n", text.c_str()); }
    /* Worth knowing, nothing is wrong. */
    void note(const std::string &text) { std::printf("note  %s\n", text.c_str()); }
    void off(const std::string &text, const std::string &remedy)
    {
        std::printf("OFF   %s\n      -> %s\n", text.c_str(), remedy.c_str());
        wrong_++;
    }
    bool check(bool good, const std::string &text, const std::string &problem, const std::string &remedy)
    {
        if (good)
            ok(text);
        else
            off(problem, remedy);
        return good;
    }
    unsigned wrong() const { return wrong_; }

private:
    unsigned wrong_ = 0;
};

} // namespace gmemu
