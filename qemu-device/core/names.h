// SPDX-License-Identifier: GPL-2.0-or-later
//
// What people call the values of the contract.
#pragma once

#include <cstddef>
#include <iterator>

#include "types.h"

namespace gmemu {

namespace detail {

// Numbers may come from anywhere.
template <size_t N>
constexpr const char *name_in(const char *const (&names)[N], size_t number)
{
    return number < N ? names[number] : "?";
}

}  // namespace detail

constexpr const char *name_of_access(size_t access)
{
    constexpr const char *names[] = {"read", "write", "fetch", "atomic", "prefetch"};
    static_assert(std::size(names) == GMEMU_ACCESS_PREFETCH + 1);
    return detail::name_in(names, access);
}

constexpr const char *name_of_fault(size_t type)
{
    constexpr const char *names[] = {"not mapped",       "no table",  "no context",       "beyond the limit",
                                     "read only",        "write only", "not executable", "no atomics",
                                     "reserved bit",     "no memory", "poison"};
    static_assert(std::size(names) == GMEMU_PERF_FAULT_TYPES);
    return detail::name_in(names, type);
}

constexpr const char *name_of_engine(size_t engine)
{
    constexpr const char *names[] = {"hart", "queue processor", "blit"};
    static_assert(std::size(names) == GMEMU_ENGINE_BLIT + 1);
    return detail::name_in(names, engine);
}

constexpr const char *name_of_reason(size_t reason)
{
    constexpr const char *names[] = {"none", "unmapped", "permission", "out of memory", "data lost", "killed", "not replayable"};
    static_assert(std::size(names) == GMEMU_REASON_NONREPLAYABLE + 1);
    return detail::name_in(names, reason);
}

constexpr const char *name_of_cause(size_t cause)
{
    constexpr const char *names[] = {"none", "exit", "fault", "illegal", "misaligned", "breakpoint", "abort", "killed"};
    static_assert(std::size(names) == GMEMU_HCAUSE_KILLED + 1);
    return detail::name_in(names, cause);
}

constexpr const char *name_of_vector(size_t vector)
{
    constexpr const char *names[] = {"fault", "error", "completion", "mailbox", "access"};
    static_assert(std::size(names) == GMEMU_NUM_VECTORS);
    return detail::name_in(names, vector);
}

}  // namespace gmemu
