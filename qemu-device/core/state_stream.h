// SPDX-License-Identifier: GPL-2.0-or-later
//
// The device's state as a byte stream, for snapshots and migration.
//
// A stream is a header and named sections, each with a version and its length:
//
//     magic "GMEMUSAV", u32 format
//     section: u8 length of the name (0: the end), name, u16 version, u64 length, payload
//
// All numbers are little endian. One function per class, transfer(StateStream &),
// both saves and loads, so that the two cannot differ. A stream to be loaded may
// come from anywhere: fields are checked as they are read, the first error sticks
// and is what error() says, and what is read after it leaves its target alone.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "types.h"

namespace gmemu {

class StateStream {
public:
    static constexpr uint32_t kFormat = 1;

    StateStream();                                           // saves
    explicit StateStream(std::span<const std::byte> stream); // loads

    bool loading() const { return loading_; }
    bool ok() const { return error_.empty(); }
    const std::string &error() const { return error_; }
    void fail(std::string why);  // while loading: the stream is not acceptable

    // Calls @body for the section @name. @version: what is written, and the newest that can
    // be loaded; body finds that of the stream in version().
    template <class Body>
    void section(std::string_view name, uint16_t version, Body &&body)
    {
        if (begin(name, version)) {
            body();
            end();
        }
    }
    // The same for state that a stream of an earlier gmemu lacks: it stays as after a reset then.
    template <class Body>
    void later_section(std::string_view name, uint16_t version, Body &&body)
    {
        if (!loading_ || has(name))
            section(name, version, body);
    }
    uint16_t version() const { return version_; }

    // After the last section. Loading: nothing must be left over.
    void finish();
    std::vector<std::byte> take() { return std::move(out_); }

    // Fields. @max: larger values are refused while loading; @name is for the message.
    void field(bool &value);
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    void field(T &value)
    {
        uint64_t raw = static_cast<std::make_unsigned_t<T>>(value);
        if (number(raw, sizeof(T)))
            value = static_cast<T>(raw);
    }
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    void field(T &value, std::type_identity_t<T> max, const char *name)
    {
        T read = value;
        field(read);
        if (loading_ && ok() && read > max)
            too_large(name, read, max);
        if (ok())
            value = read;
    }
    template <class T>
        requires std::is_enum_v<T>
    void field(T &value, std::type_identity_t<T> max, const char *name)
    {
        auto read = static_cast<uint32_t>(value);
        field(read, static_cast<uint32_t>(max), name);
        if (ok())
            value = static_cast<T>(read);
    }
    template <class Tag, class T>
    void field(Strong<Tag, T> &value)
    {
        field(value.value);
    }
    template <class T, class... Limits>
    void field(std::atomic<T> &value, Limits... limits)
    {
        T copy = value.load();
        field(copy, limits...);
        if (loading_ && ok())
            value.store(copy);
    }
    template <class T, size_t N>
    void field(std::array<T, N> &values)
    {
        for (T &value : values)
            field(value);
    }
    void bytes(std::span<std::byte> bytes);
    void text(std::string &value, size_t max_length, const char *name);

    // While loading: fails unless @good.
    void require(bool good, const char *what)
    {
        if (loading_ && ok() && !good)
            fail(what);
    }

private:
    struct Section {
        std::string_view name;
        uint16_t version = 0;
        std::span<const std::byte> payload;
        bool used = false;
    };

    void index(std::span<const std::byte> stream);
    bool has(std::string_view name) const;
    bool begin(std::string_view name, uint16_t version);
    void end();
    bool number(uint64_t &value, size_t size);  // false: @value is as it was
    void too_large(const char *name, uint64_t value, uint64_t max);
    void append(uint64_t value, size_t size);

    const bool loading_;
    std::string error_;
    std::string section_;
    uint16_t version_ = 0;
    std::vector<std::byte> out_;
    size_t length_at_ = 0;  // saving: where the length of the section goes
    std::vector<Section> sections_;
    std::span<const std::byte> in_;  // loading: what is left of the section
};

}  // namespace gmemu
