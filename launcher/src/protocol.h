/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the launcher and the guest's init say to each other.
 *
 * Standard streams travel as plain bytes on virtio-serial ports of their own.
 * Everything else is a line of text on the control port:
 *
 *   guest to host                        host to guest
 *     start MS INIT MODULES                eof BYTES     stdin ends after BYTES
 *                      program starts
 *     exit CODE OUT ERR                    size ROWS COLS  of the terminal
 *     log TEXT         for --verbose       signal NUMBER to the program
 *     fail TEXT        init gives up       config BYTES  and then so many bytes
 *     ready            waits for "config"
 *
 * MS, INIT and MODULES are milliseconds of the guest's clock: now, when init began, and when the
 * modules were loaded.
 *
 * Byte counts end a stream exactly: neither side depends on when the other port's
 * hangup is noticed.
 *
 * The guest's configuration is the file kConfigPath in the initramfs: strings
 * "key=value", each ended by NUL, so that arguments may hold any byte. Where that says
 * "deferred", init gets ready, and what is to be run comes later, in the same form: a
 * guest that was saved in between learns it only when it is loaded.
 */
#pragma once

namespace gmemu::protocol {

inline constexpr char kPortControl[] = "gmemu.control";
inline constexpr char kPortStdin[] = "gmemu.stdin";
inline constexpr char kPortStdout[] = "gmemu.stdout";
inline constexpr char kPortStderr[] = "gmemu.stderr";

inline constexpr char kPortAttach[] = "gmemu.attach"; /* attach_protocol.h */
inline constexpr char kPortTrace[] = "gmemu.trace";   /* trace_protocol.h */

inline constexpr char kTagRoot[] = "gmemu-root";
/* Of a directory of the host: a number follows. */
inline constexpr char kTagShare[] = "gmemu-share";

inline constexpr char kConfigPath[] = "/gmemu/config";
/* The root of the program, which is filled by the initramfs or mounted. */
inline constexpr char kProgramRoot[] = "/gmemu/root";
inline constexpr char kModuleDir[] = "/gmemu/modules";
inline constexpr char kFirmwareDir[] = "/gmemu/firmware";

/* Keys of the configuration. */
inline constexpr char kKeyArg[] = "arg"; /* repeated, in order */
inline constexpr char kKeyEnv[] = "env"; /* repeated, NAME=VALUE */
inline constexpr char kKeyCwd[] = "cwd";
inline constexpr char kKeyShare[] = "share";   /* repeated: "MODE TAG PATH"; MODE is rw, ro, overlay */
inline constexpr char kKeyModule[] = "module"; /* repeated: "FILE PARAMETERS" */
inline constexpr char kKeyStandalone[] = "standalone"; /* "1": kProgramRoot is filled, nothing of the host is mounted */
inline constexpr char kKeyPty[] = "pty";       /* "1": the program gets a terminal */
inline constexpr char kKeyTrace[] = "trace";   /* "1": what the kernel does is told on kPortTrace */

inline constexpr char kKeyDeferred[] = "deferred"; /* "1": more comes on the control port */
inline constexpr char kKeyTime[] = "time";         /* "SECONDS.NANOSECONDS": it is that late now */
inline constexpr char kKeyEntropy[] = "entropy";   /* bytes nobody else has */

/* Exit codes of a program that could not be started, as a shell has them. */
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitSignalBase = 128;

} // namespace gmemu::protocol
