// SPDX-License-Identifier: GPL-2.0-or-later
//
// JSON as text, written from front to back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace gmemu {

class JsonText {
public:
    // Without a key in an array, and for the outermost.
    void begin_object(const char *key = nullptr) { begin(key, '{', '}'); }
    void begin_array(const char *key = nullptr) { begin(key, '[', ']'); }
    void end()
    {
        text_ += closers_.back();
        closers_.pop_back();
        first_ = false;
    }

    void number(const char *key, uint64_t value)
    {
        name(key);
        text_ += std::to_string(value);
    }
    // Addresses, as strings: JSON readers may take numbers for floating-point ones.
    void hex(const char *key, uint64_t value)
    {
        name(key);
        text_ += fmt::format("\"{:#x}\"", value);
    }
    void boolean(const char *key, bool value)
    {
        name(key);
        text_ += value ? "true" : "false";
    }
    // @value has no character that JSON escapes.
    void text(const char *key, std::string_view value)
    {
        name(key);
        text_ += '"';
        text_ += value;
        text_ += '"';
    }

    size_t size() const { return text_.size(); }
    std::string take() { return std::move(text_); }

private:
    void begin(const char *key, char open, char close)
    {
        name(key);
        text_ += open;
        closers_.push_back(close);
        first_ = true;
    }
    void name(const char *key)
    {
        if (!first_)
            text_ += ',';
        first_ = false;
        if (key)
            text_ += fmt::format("\"{}\":", key);
    }

    std::string text_;
    std::vector<char> closers_;
    bool first_ = true;
};

}  // namespace gmemu
