#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU's own generic fuzzer on the whole device, glue and core: BARs, PCI configuration, DMA.
#
#   generic.sh DIRECTORY SECONDS
#
# Builds QEMU and the core with clang, ASan and UBSan (the first time 15 minutes of work for
# two cores) and runs it in DIRECTORY. A finding is left as DIRECTORY/crash-*.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
. "$here/sanitized.sh"
work=${1:?usage: generic.sh DIRECTORY SECONDS}
seconds=${2:?usage: generic.sh DIRECTORY SECONDS}
mkdir -p "$work/corpus"
cd "$work"

compile_sanitized "$PWD/obj"
rm -f libgmemu_core.a
ar qcs libgmemu_core.a obj/*.o
"$here/../../scripts/qemu.sh" fuzz "$PWD/libgmemu_core.a"
fuzzer=$("$here/../../scripts/qemu.sh" dir fuzz)/qemu-fuzz-x86_64

for coherent in off on; do
	echo "== coherent=$coherent"
	# What QEMU leaks itself when it ends is not the question here.
	ASAN_OPTIONS=detect_leaks=0 \
		QEMU_FUZZ_ARGS="-L /usr/share/seabios -L /usr/share/qemu -machine q35 -nodefaults -m 64M -device gmemu,cores=2,dram=16M,check=off,peer=$coherent,coherent=$coherent" \
		QEMU_FUZZ_OBJECTS='gmemu*' QEMU_FUZZ_TIMEOUT=20000 \
		"$fuzzer" --fuzz-target=generic-fuzz -max_total_time=$((seconds / 2)) -max_len=4096 -len_control=0 \
		-timeout=60 -rss_limit_mb=6000 -print_final_stats=1 corpus
done
