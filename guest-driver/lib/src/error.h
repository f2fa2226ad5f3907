/* SPDX-License-Identifier: MIT */
/* How the library reports: a negative errno, and words for gmemu_last_error(). */
#ifndef GMEMU_LIB_ERROR_H
#define GMEMU_LIB_ERROR_H

#include "gmemu/gmemu.h"

namespace gmemu_lib {

/* Remember the text for this thread and give error back, which is negative. */
[[gnu::format(printf, 2, 3)]] int fail(int error, const char *format, ...);

} // namespace gmemu_lib

#endif
