// SPDX-License-Identifier: GPL-2.0-or-later
#include "tlb_client.h"

#include <algorithm>

namespace gmemu {

void TlbSpace::note_code(const TlbMeta &meta)
{
    if (code_anywhere)
        return;
    auto same = [&](const CodePage &page) { return page.va == meta.va; };
    if (std::any_of(code_pages.begin(), code_pages.end(), same))
        return;
    if (code_pages.size() == kMaxCodePages)
        code_anywhere = true;
    else
        code_pages.push_back({meta.va, meta.level});
}

bool TlbSpace::holds_code(const TlbMatch &match) const
{
    const bool any = code_anywhere || !code_pages.empty();
    switch (match.kind) {
    case TlbMatch::Kind::kEverything:
    case TlbMatch::Kind::kBus:
        return any;
    case TlbMatch::Kind::kAll:
        return any && !bare;
    case TlbMatch::Kind::kContext:
        return any && !bare && ctx == match.ctx;
    case TlbMatch::Kind::kRange:
        if (bare || ctx != match.ctx)
            return false;
        return code_anywhere || std::any_of(code_pages.begin(), code_pages.end(), [&](const CodePage &page) {
                   return match.covers(page.va, page.level);
               });
    }
    return any;
}

}  // namespace gmemu
