// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory_insn.h"

namespace gmemu::hart {

VectorAddressing VectorMemoryInsn::addressing() const
{
    if ((bits >> 28) & 1) // mew: elements of 128 bits and more
        return VectorAddressing::kNone;
    switch ((bits >> 26) & 3) {
    case 0: break;
    case 2: return VectorAddressing::kStrided;
    default: return VectorAddressing::kIndexed;
    }
    const unsigned n = fields();
    switch (rs2()) {
    case 0x00: return VectorAddressing::kUnit;
    case 0x08:
        if (masked() || (n & (n - 1)) != 0 || (store() && width() != 0))
            return VectorAddressing::kNone;
        return VectorAddressing::kWhole;
    case 0x0b: return masked() || n != 1 || width() != 0 ? VectorAddressing::kNone : VectorAddressing::kMask;
    case 0x10: return store() ? VectorAddressing::kNone : VectorAddressing::kFaultOnlyFirst;
    default: return VectorAddressing::kNone;
    }
}

bool resolve(VectorMemoryInsn in, const VectorState &v, VectorAccess &access)
{
    const VectorAddressing addressing = in.addressing();
    const unsigned fields = in.fields();
    access.eew = in.width();
    access.group = 1;

    if (addressing == VectorAddressing::kWhole) {
        access.count = (uint64_t{fields} * v.vlenb()) >> in.width();
        return (in.vd() & (fields - 1)) == 0;
    }
    if (v.vill())
        return false;
    access.count = v.vl;
    if (addressing == VectorAddressing::kMask) {
        access.count = (v.vl + 7) / 8;
        return true;
    }

    RegisterGroup data{in.vd(), v.lmul() + static_cast<int>(in.width()) - static_cast<int>(v.sew()),
                       static_cast<int>(in.width())};
    if (addressing == VectorAddressing::kIndexed) {
        const RegisterGroup index{in.rs2(), data.emul, data.eew};
        access.eew = v.sew();
        data = RegisterGroup{in.vd(), v.lmul(), static_cast<int>(v.sew())};
        if (!index.valid() || (in.masked() && index.reg == 0))
            return false;
        if (in.store()) {
            const RegisterGroup all{in.vd(), data.emul, data.eew};
            for (unsigned f = 0; f < fields; f++)
                if (sources_clash(RegisterGroup{all.reg + f * all.size(), all.emul, all.eew}, index))
                    return false;
        } else {
            for (unsigned f = 0; f < fields; f++) {
                const RegisterGroup part{in.vd() + f * data.size(), data.emul, data.eew};
                if (fields > 1 ? part.overlaps(index) : !overlap_allowed(part, index))
                    return false;
            }
        }
    }
    access.group = data.size();
    if (!data.valid() || fields * data.size() > 8 || in.vd() + fields * data.size() > 32)
        return false;
    return !in.masked() || in.vd() != 0;
}

} // namespace gmemu::hart
