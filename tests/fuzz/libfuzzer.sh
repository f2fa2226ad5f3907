#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Look for inputs that break the device core:
#
#   libfuzzer.sh DIRECTORY SECONDS
#
# Builds the fuzz target with clang, libFuzzer, ASan and UBSan in DIRECTORY and runs it
# there. A finding is left as DIRECTORY/crash-*; mend the bug and add the file to
# tests/fuzz/corpus. What was learnt stays in DIRECTORY/corpus for the next time.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
. "$here/sanitized.sh"
work=${1:?usage: libfuzzer.sh DIRECTORY SECONDS}
seconds=${2:?usage: libfuzzer.sh DIRECTORY SECONDS}
mkdir -p "$work/corpus"
cd "$work"

compile_sanitized "$PWD/obj" "$here/fuzz_core.cc"
clang++-19 -fsanitize=fuzzer,address,undefined obj/*.o -lfmt -o fuzz-core
# Threads end with the process in the middle of things when an input is interrupted: no leak check.
ASAN_OPTIONS=detect_leaks=0 ./fuzz-core -max_total_time="$seconds" -max_len=2048 -len_control=0 \
	-timeout=30 -rss_limit_mb=4000 -print_final_stats=1 corpus "$here/corpus"
