// SPDX-License-Identifier: GPL-2.0-or-later
#include "state_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace gmemu {

namespace {

constexpr std::string_view kMagic = "GMEMUSAV";
constexpr size_t kLengthBytes = 8;  // local DRAM is one section

// Takes numbers and names off the front of a span.
class Cursor {
public:
    explicit Cursor(std::span<const std::byte> bytes) : left_(bytes) {}
    bool number(uint64_t &value, size_t size)
    {
        std::span<const std::byte> bytes;
        if (!take(bytes, size))
            return false;
        value = 0;
        for (size_t i = size; i-- > 0;)
            value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
        return true;
    }
    bool take(std::span<const std::byte> &bytes, size_t size)
    {
        if (size > left_.size())
            return false;
        bytes = left_.first(size);
        left_ = left_.subspan(size);
        return true;
    }
    std::span<const std::byte> left() const { return left_; }

private:
    std::span<const std::byte> left_;
};

std::string_view as_text(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

// A name from a stream, for a message.
std::string printable(std::string_view name)
{
    std::string text(name);
    std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
}

}  // namespace

StateStream::StateStream() : loading_(false)
{
    for (char c : kMagic)
        out_.push_back(static_cast<std::byte>(c));
    append(kFormat, 4);
}

StateStream::StateStream(std::span<const std::byte> stream) : loading_(true)
{
    index(stream);
}

void StateStream::fail(std::string why)
{
    if (error_.empty())
        error_ = std::move(why);
}

void StateStream::append(uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out_.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void StateStream::index(std::span<const std::byte> stream)
{
    Cursor cursor(stream);
    std::span<const std::byte> magic;
    if (!cursor.take(magic, kMagic.size()) || as_text(magic) != kMagic)
        return fail("this is no saved state of a gmemu device");
    uint64_t format = 0;
    if (!cursor.number(format, 4))
        return fail("the saved state is cut off in its header");
    if (format != kFormat)
        return fail(fmt::format("the saved state has format {}, this gmemu reads format {}", format, kFormat));
    for (;;) {
        uint64_t name_length = 0;
        uint64_t version = 0;
        uint64_t length = 0;
        std::span<const std::byte> name;
        Section section;
        if (!cursor.number(name_length, 1))
            return fail("the saved state is cut off: its end mark is missing");
        if (name_length == 0)
            break;
        if (!cursor.take(name, name_length) || !cursor.number(version, 2) || !cursor.number(length, kLengthBytes) ||
            !cursor.take(section.payload, length))
            return fail(fmt::format("the saved state is cut off in section '{}'", printable(as_text(name))));
        section.name = as_text(name);
        section.version = static_cast<uint16_t>(version);
        if (has(section.name))
            return fail(fmt::format("the saved state has section '{}' twice", printable(section.name)));
        sections_.push_back(section);
    }
    if (!cursor.left().empty())
        fail(fmt::format("{} bytes follow the end of the saved state", cursor.left().size()));
}

bool StateStream::has(std::string_view name) const
{
    return std::ranges::any_of(sections_, [&](const Section &section) { return section.name == name; });
}

bool StateStream::begin(std::string_view name, uint16_t version)
{
    section_ = name;
    version_ = version;
    if (!loading_) {
        append(name.size(), 1);
        for (char c : name)
            out_.push_back(static_cast<std::byte>(c));
        append(version, 2);
        length_at_ = out_.size();
        append(0, kLengthBytes);
        return true;
    }
    if (!ok())
        return false;
    const auto found = std::ranges::find_if(sections_, [&](const Section &s) { return s.name == name; });
    if (found == sections_.end()) {
        fail(fmt::format("the saved state has no section '{}': it is from an earlier gmemu, or damaged", name));
        return false;
    }
    if (found->version == 0 || found->version > version) {
        fail(fmt::format("section '{}' of the saved state has version {}, this gmemu reads up to {}", name,
                         found->version, version));
        return false;
    }
    found->used = true;
    version_ = found->version;
    in_ = found->payload;
    return true;
}

void StateStream::end()
{
    if (!loading_) {
        const uint64_t length = out_.size() - length_at_ - kLengthBytes;
        for (size_t i = 0; i < kLengthBytes; i++)
            out_[length_at_ + i] = static_cast<std::byte>(length >> (8 * i));
        return;
    }
    if (ok() && !in_.empty())
        fail(fmt::format("section '{}' of the saved state is {} bytes too long", section_, in_.size()));
}

void StateStream::finish()
{
    if (!loading_) {
        append(0, 1);
        return;
    }
    for (const Section &section : sections_)
        if (ok() && !section.used)
            fail(fmt::format("the saved state has a section '{}' that this device does not know", printable(section.name)));
}

bool StateStream::number(uint64_t &value, size_t size)
{
    if (!loading_) {
        append(value, size);
        return false;
    }
    if (!ok())
        return false;
    Cursor cursor(in_);
    if (!cursor.number(value, size)) {
        fail(fmt::format("section '{}' of the saved state is too short", section_));
        return false;
    }
    in_ = cursor.left();
    return true;
}

void StateStream::field(bool &value)
{
    uint64_t raw = value;
    if (!number(raw, 1))
        return;
    if (raw > 1)
        too_large("a flag", raw, 1);
    else
        value = raw != 0;
}

void StateStream::bytes(std::span<std::byte> bytes)
{
    if (!loading_) {
        out_.insert(out_.end(), bytes.begin(), bytes.end());
        return;
    }
    if (!ok())
        return;
    if (bytes.size() > in_.size())
        return fail(fmt::format("section '{}' of the saved state is too short", section_));
    std::memcpy(bytes.data(), in_.data(), bytes.size());
    in_ = in_.subspan(bytes.size());
}

void StateStream::text(std::string &value, size_t max_length, const char *name)
{
    auto length = static_cast<uint32_t>(value.size());
    field(length, static_cast<uint32_t>(max_length), name);
    if (!ok())
        return;
    if (loading_)
        value.assign(length, '\0');
    bytes(std::as_writable_bytes(std::span(value)));
}

void StateStream::too_large(const char *name, uint64_t value, uint64_t max)
{
    fail(fmt::format("section '{}' of the saved state is damaged: {} is {:#x}, at most {:#x} is possible", section_, name,
                     value, max));
}

}  // namespace gmemu
