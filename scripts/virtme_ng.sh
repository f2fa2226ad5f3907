#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The recipe for virtme-ng in docs/user-guide.md.
#
#   virtme_ng.sh recipe   print it
#   virtme_ng.sh check    run it, with Debian's virtme-ng: the one of this machine, or else
#                         Debian 13's, unpacked in the cache. Exit code 77: something is missing
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$GMEMU_ROOT/scripts/apt.sh"
PAGE=$GMEMU_ROOT/docs/user-guide.md
DIR=$GMEMU_CACHE/virtme-ng
# What the recipe's program says at its end.
EXPECTED="the device works on malloc'd memory"

# The block of commands below the heading.
recipe() {
	awk '
		/^#+ / { inside = $0 ~ /virtme-ng/ }
		inside && /^    / { print substr($0, 5) }' "$PAGE"
}

# Debian 12 has none: with lists of their own the other packages of Debian 13 stay out of sight.
fetch() {
	rm -rf "$DIR" "$DIR.new"
	mkdir -p "$DIR.new/sources" "$DIR.new/lists/partial"
	cd "$DIR.new"
	sed -n 's/^deb-src\(.* trixie main\)$/deb\1/p' "$APT_DIR/sources/gmemu.list" >sources/trixie.list
	APT_OPTIONS+=(-o "Dir::Etc::sourceparts=$PWD/sources" -o "Dir::State::lists=$PWD/lists")
	apt-get "${APT_OPTIONS[@]}" -o APT::Update::Error-Mode=any update
	apt_download virtme-ng
	dpkg-deb -x virtme-ng_*.deb root
	rm -rf lists
	mv "$DIR.new" "$DIR"
}

skip() {
	say "$*"
	exit 77
}

check() {
	local output=$GMEMU_LOGS/virtme-ng.log module rc=0
	# Its init waits for udev to name the ports that a program's output comes by.
	[[ -x /lib/systemd/systemd-udevd || -x /usr/lib/systemd/systemd-udevd ]] || skip "udev is not installed (apt install udev)"
	if ! command -v vng >/dev/null; then
		for module in argcomplete requests; do
			/usr/bin/python3 -c "import $module" 2>/dev/null ||
				skip "python3-$module is not installed (apt install python3-$module)"
		done
		if [[ ! -x $DIR/root/usr/bin/vng ]]; then
			apt_private_update 720
			step "fetching virtme-ng" "$GMEMU_LOGS/virtme-ng-fetch.log" fetch
		fi
		PATH=$DIR/root/usr/bin:$PATH
		export PYTHONPATH=$DIR/root/usr/lib/python3/dist-packages
	fi
	# A python that is not the system's lacks its modules.
	PATH=/usr/bin:$PATH
	cd "$GMEMU_ROOT"
	export GMEMU_NO_BUILD=1
	# By a pipe: virtme-ng opens its standard output anew, which would begin a file again.
	timeout 300 bash -euc "$(recipe)" </dev/null 2>&1 | cat >"$output" || rc=$?
	if ((rc)) || ! grep -qF "$EXPECTED" "$output"; then
		tail -n 40 "$output" >&2
		die "the recipe for virtme-ng does not work (exit code $rc); the whole log: $output"
	fi
	grep -F "$EXPECTED" "$output"
}

mkdir -p "$GMEMU_LOGS"
case ${1:-} in
recipe) recipe ;;
check) check ;;
*) sed -n '4,8s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
