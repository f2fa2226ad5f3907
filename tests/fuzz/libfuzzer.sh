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
core=$here/../../qemu-device/core
work=${1:?usage: libfuzzer.sh DIRECTORY SECONDS}
seconds=${2:?usage: libfuzzer.sh DIRECTORY SECONDS}
mkdir -p "$work/obj" "$work/corpus"
cd "$work"

export FLAGS="-std=c++20 -D_GNU_SOURCE -O1 -g1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I$core -I$core/../include -w"
compile() {
	local object=obj/$(basename "$(dirname "$1")")-$(basename "$1" .cc) isa
	case $1 in
	# Once for each generation of SIMD, as core/hart/meson.build does.
	*/vector/int_kernels.cc | */vector/fp_kernels.cc)
		ccache clang++-19 $FLAGS -DGMEMU_VECTOR_ISA=base -c "$1" -o "$object-base.o"
		for isa in 3 4; do
			ccache clang++-19 $FLAGS -DGMEMU_VECTOR_ISA=v$isa -march=x86-64-v$isa -c "$1" -o "$object-v$isa.o"
		done
		;;
	*) ccache clang++-19 $FLAGS -c "$1" -o "$object.o" ;;
	esac
}
export -f compile
rm -f obj/*.o
printf '%s\n' "$core"/*.cc "$core"/hart/*.cc "$core"/hart/vector/*.cc "$here/fuzz_core.cc" |
	xargs -P "${GMEMU_JOBS:-$(nproc)}" -I{} bash -c 'compile {} || exit 255'
clang++-19 -fsanitize=fuzzer,address,undefined obj/*.o -lfmt -o fuzz-core
# Threads end with the process in the middle of things when an input is interrupted: no leak check.
ASAN_OPTIONS=detect_leaks=0 ./fuzz-core -max_total_time="$seconds" -max_len=2048 -len_control=0 \
	-timeout=30 -rss_limit_mb=4000 -print_final_stats=1 corpus "$here/corpus"
