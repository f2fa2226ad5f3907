/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's kernel does, from the guest's init to `gmemu run --trace`: lines of text on the
 * port kPortTrace. All times are the guest's CLOCK_MONOTONIC in nanoseconds, but DEVICE_NS.
 *
 *   event TEXT                                 as trace_pipe has it, with trace_clock "mono"
 *   clock GMEM_DEV BEFORE AFTER DEVICE_NS      a look at a device's clock, and when that was
 *   pages PID BEFORE AFTER COMMAND             what /proc/PID/gmem_pages then had, if it has
 *   area START END NAME                        changed: a VMA, its name in /proc/PID/maps,
 *   run START END PLACE [devN]...              its pages,
 *   end                                        and the end of it
 *   gone PID TIME                              a process that had pages has ended
 *
 * GMEM_DEV is what GMEM's events call dev.
 */
#pragma once

namespace gmemu::trace_protocol {

inline constexpr char kEvent[] = "event";
inline constexpr char kClock[] = "clock";
inline constexpr char kPages[] = "pages";
inline constexpr char kArea[] = "area";
inline constexpr char kRun[] = "run";
inline constexpr char kEnd[] = "end";
inline constexpr char kGone[] = "gone";

} // namespace gmemu::trace_protocol
