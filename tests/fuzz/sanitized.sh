# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The device core as fuzzers want it: clang, ASan, UBSan, coverage. Sourced.

core=$here/../../qemu-device/core

# compile_sanitized DIRECTORY FILE...: objects of the core and of FILEs in DIRECTORY.
compile_sanitized() {
	local out=$1
	shift
	mkdir -p "$out"
	rm -f "$out"/*.o
	printf '%s\n' "$core"/*.cc "$core"/hart/*.cc "$core"/hart/vector/*.cc "$@" |
		OUT=$out xargs -P "${GMEMU_JOBS:-$(nproc)}" -I{} bash -c 'compile_one {} || exit 255'
}

# No vptr check: its runtime is C++, and QEMU is linked as C.
export FLAGS="-std=c++20 -D_GNU_SOURCE -O1 -g1 -fPIC -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -I$core -I$core/../include -w"
compile_one() {
	local object=$OUT/$(basename "$(dirname "$1")")-$(basename "$1" .cc) isa
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
export -f compile_one
