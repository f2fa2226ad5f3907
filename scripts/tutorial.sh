#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The driver of docs/tutorial.md, which is the code of that page and nothing else.
#
#   tutorial.sh code                print it
#   tutorial.sh build               build it for the base kernel
#   tutorial.sh run [OPTION...] -- PROGRAM...
#                                   gmemu run, with it in place of gmemu's own driver
#   tutorial.sh check               build it, run the basic guest tests with it
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
. "$here/lib.sh"
. "$here/other_driver.sh"
PAGE=$GMEMU_ROOT/docs/tutorial.md
WORK=$BUILD/tutorial
# What the page promises, of sections that have to do with memory, and of all.
MEMORY_LINES=300 ALL_LINES=800
# Programs of tests/guest; of those that test more than this driver has, what is asked of it.
TESTS=(launch coherence address_space faults oversubscription)

# code [HEADINGS]: the page's blocks of C, all or those below headings that match.
code() {
	awk -v wanted="${1:-.}" '
		/^## / { inside = $0 ~ wanted }
		/^```c$/ { if (inside) { block = 1; print "" } next }
		/^```$/ { block = 0; next }
		block { print }' "$PAGE" | sed 1d
}

# Without blank lines and comments that have a line for themselves.
count() { grep -vc -e '^[[:space:]]*$' -e '^[[:space:]]*//' -e '^[[:space:]]*/\*.*\*/$'; }

check_length() {
	local memory all
	memory=$(code 'page table|TLB|Copies|Faults' | count)
	all=$(code | count)
	say "the driver has $all lines of code, $memory for memory management"
	((memory < MEMORY_LINES && all < ALL_LINES)) ||
		die "docs/tutorial.md promises less than $MEMORY_LINES lines for memory management and $ALL_LINES in all"
}

build() {
	local root=$WORK/root driver=$WORK/root/guest-driver/kernel
	other_driver_sources "$root"
	rsync -a --delete "$GMEMU_ROOT/guest-driver/kernel/uapi" "$driver/"
	grep -e '^#' -e '^ccflags' "$GMEMU_ROOT/guest-driver/kernel/Kbuild" >"$driver/Kbuild"
	echo 'obj-m += gmemu.o' >>"$driver/Kbuild"
	code >"$driver/gmemu.c"
	other_driver_build "$root" "$WORK"
}

run() { other_driver_run "$WORK" "$@"; }

check() {
	local name out bad=0
	check_length
	build
	for name in "${TESTS[@]}"; do
		out=$(run --no-artifacts --timeout 180 -- "$BUILD/tests/guest/guest-$name" </dev/null 2>&1) || bad=1
		grep -e '^ok' -e '^not ok' -e '^# .*\.cc:' <<<"$out" | sed "s/^/$name: /" || {
			printf '%s\n' "$out" >&2
			die "guest-$name tells nothing"
		}
		[[ $out != *"contract violation"* ]] || {
			grep "contract violation" <<<"$out" >&2
			die "the contract checker blames the driver"
		}
	done
	((!bad)) || die "the driver of docs/tutorial.md does not pass the guest tests"
}

case ${1:-} in
code) code ;;
build) build ;;
run) shift && build && run "$@" ;;
check) check ;;
*) sed -n '4,11s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
