#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Install the Debian packages gmemu builds and runs with; only those missing.
#
#   deps.sh          install what is missing (as root, or with sudo)
#   deps.sh --list   print what gmemu needs, one package a line
#   deps.sh --check  exit code 0 if nothing is missing; print what is
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$GMEMU_ROOT/scripts/apt.sh"

PACKAGES=(
	# compilers and build tools
	g++ libc6-dev clang-19 lld-19 llvm-19 ninja-build ccache make pkg-config patch git
	# libraries of the device, the launcher and the tests
	libfmt-dev libcli11-dev nlohmann-json3-dev libdrm-dev
	# the kernel
	flex bison bc libelf-dev rsync cpio kmod xz-utils
	# the in-tree QEMU, and the headers for the plugin
	libglib2.0-dev libpixman-1-dev libcap-ng-dev libattr1-dev zlib1g-dev python3 python3-venv
	# the test of the CI recipes
	python3-yaml
	# what guests run on, and what the harts are compared with
	qemu-user e2fsprogs
	# the fuzzer of --full, and what loads its guests
	libclang-rt-19-dev stress-ng
)

# On Debian 12 these are too old in the release itself. A version is asked for
# where an older package may be installed already.
NEWER=(
	"meson 1.5"
	"catch2 3.4"
	"qemu-system-x86 1:10.0"
	"qemu-system-data 1:10.0"
	"seabios 1.16"
)

# One dpkg-query for everything: this runs at each start of gmemu.
missing_packages() {
	local -A have=()
	local name version status entry
	while IFS=' ' read -r name version status; do
		[[ $status == ii* ]] && have[$name]=$version
	done < <(dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n' \
		"${PACKAGES[@]}" "${NEWER[@]%% *}" 2>/dev/null || true)
	for name in "${PACKAGES[@]}"; do
		[[ ${have[$name]:-} ]] || echo "$name"
	done
	for entry in "${NEWER[@]}"; do
		name=${entry%% *} version=${entry#* }
		if [[ -z ${have[$name]:-} ]] || dpkg --compare-versions "${have[$name]}" lt "$version"; then
			echo "$name"
		fi
	done
}

install_packages() {
	local as_root=() plain=() newer=() name release
	if ((EUID)); then as_root=(sudo -n env); fi
	for name in "$@"; do
		if [[ " ${NEWER[*]%% *} " == *" $name "* ]]; then newer+=("$name"); else plain+=("$name"); fi
	done
	release=$DEBIAN_CODENAME
	[[ $release != bookworm ]] || release=bookworm-backports
	run_apt() {
		"${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get "${APT_OPTIONS[@]}" \
			-o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
			install -y --no-install-recommends "$@"
	}
	((${#as_root[@]})) || as_root=(env)
	((!${#plain[@]})) || run_apt "${plain[@]}"
	((!${#newer[@]})) || run_apt -t "$release" "${newer[@]}"
}

case ${1:-} in
--list)
	printf '%s\n' "${PACKAGES[@]}" "${NEWER[@]%% *}"
	exit
	;;
--check)
	missing=$(missing_packages)
	[[ -z $missing ]] || { echo "$missing"; exit 1; }
	exit
	;;
'') ;;
*)
	sed -n '4,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

mapfile -t missing < <(missing_packages)
((${#missing[@]})) || exit 0

if ((EUID)) && ! sudo -n true 2>/dev/null; then
	die "these Debian packages are missing, and installing them needs root:
       ${missing[*]}
       Run as root, or as a user who may use sudo without a password here:
           $GMEMU_ROOT/scripts/deps.sh"
fi
need_space 1 /usr
say "missing packages: ${missing[*]}"
mkdir -p "$GMEMU_LOGS"
apt_private_update
step "installing ${#missing[@]} Debian packages" "$GMEMU_LOGS/apt-install.log" install_packages "${missing[@]}"
left=$(missing_packages)
[[ -z $left ]] || die "still missing after the installation: ${left//$'\n'/ }"
