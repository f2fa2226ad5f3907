/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is KVM usable? /dev/kvm may open, and guests still never come up. */
#pragma once

#include <filesystem>
#include <string>

namespace gmemu {

struct KvmVerdict {
    bool usable = false;
    std::string reason; /* why not, or what was seen */
};

/*
 * Runs a small guest program on /dev/kvm, in a process that a timer ends. The verdict
 * is kept in @cache for as long as the host is up.
 */
KvmVerdict probe_kvm(const std::filesystem::path &cache);

} // namespace gmemu
