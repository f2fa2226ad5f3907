#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build all that is needed to run gmemu without its sources, and install it: launcher,
# library, gmemu-cc, device kernels, firmware, guest kernel with the driver, the device
# as a plugin for Debian's QEMU and a small QEMU that has it built in.
#
#   install.sh [--prefix DIR] [--destdir DIR] [--tests]
#
#   --prefix DIR    where it will be used; /usr/local
#   --destdir DIR   put DIR before the prefix, to make a package or an image
#   --tests         with the programs `gmemu test` runs in guests
#
# Environment: GMEMU_CACHE, GMEMU_JOBS, as for gmemu; GMEMU_BUILD (build-install/ in
# the checkout).
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
BUILD=${GMEMU_BUILD:-$GMEMU_ROOT/build-install}

prefix=/usr/local destdir='' tests=false
while (($#)); do
	case $1 in
	--prefix | --destdir)
		[[ ${2:-} == /* ]] || die "$1 needs an absolute directory"
		declare "${1#--}=$2"
		shift
		;;
	--tests) tests=true ;;
	*)
		sed -n '4,16s/^# \{0,1\}//p' "$0" >&2
		[[ $1 == -h || $1 == --help ]] && exit
		die "unknown argument $1"
		;;
	esac
	shift
done

target=$destdir$prefix

meson_setup() {
	export CC=${CC:-ccache gcc} CXX=${CXX:-ccache g++}
	# Where Debian's linker looks. By itself Meson finds that only with dpkg-dev installed.
	meson setup --prefix "$prefix" --libdir "lib/$(gcc -print-multiarch)" --buildtype release -Dplugin=enabled -Dinstall_guest_tests=$tests "$@" "$BUILD" "$GMEMU_ROOT"
}

compile() { ninja -C "$BUILD" -j"$GMEMU_JOBS" "$@" | ninja_progress; }

meson_install() {
	DESTDIR=$destdir meson install -C "$BUILD" --no-rebuild --strip
}

# The guest's kernel: what boots, what can be loaded, and how it was configured.
install_kernel() {
	local kernel from=$GMEMU_CACHE/kernel/base object module
	kernel=$1/kernel/base
	mkdir -p "$kernel"
	install -m 644 "$from/vmlinux" "$from/.config" "$from/modules.order" "$kernel/"
	strip --strip-debug "$kernel/vmlinux"
	while read -r object; do
		module=${object%.o}.ko
		install -D -m 644 "$from/$module" "$kernel/$module"
	done <"$from/modules.order"
	install -m 644 "$BUILD/guest-driver/kernel/gmemu.ko" "$kernel/gmemu.ko"
}

# Of QEMU's firmware blobs the few that start a kernel.
install_qemu() {
	local name dir
	mkdir -p "$1/qemu/data"
	install -s -m 755 "$GMEMU_CACHE/qemu/build/qemu-system-x86_64" "$1/qemu/"
	for name in bios-256k.bin pvh.bin linuxboot_dma.bin kvmvapic.bin; do
		for dir in /usr/share/seabios /usr/share/qemu; do
			if [[ -f $dir/$name ]]; then
				install -m 644 "$dir/$name" "$1/qemu/data/"
				continue 2
			fi
		done
		die "QEMU's $name is not there; the package qemu-system-data or seabios is incomplete"
	done
}

install_all() {
	local parts
	meson_install
	parts=$(dirname "$(find "$target/lib" -path '*/gmemu/guest-init' -print -quit)")
	[[ $parts != . ]] || die "meson did not install the guest's init below $target/lib"
	install_kernel "$parts"
	install_qemu "$parts"
	[[ $destdir || $EUID -ne 0 ]] || ldconfig
}

mkdir -p "$GMEMU_LOGS"
"$GMEMU_ROOT/scripts/deps.sh"
need_space 6 "$GMEMU_CACHE"
"$GMEMU_ROOT/scripts/qemu.sh" headers
if [[ -f $BUILD/build.ninja ]]; then
	step "configuring" "$GMEMU_LOGS/install-setup.log" meson_setup --reconfigure
else
	step "configuring" "$GMEMU_LOGS/install-setup.log" meson_setup
fi
# One of the tests is compiled with a header of the kernel's own selftests.
! $tests || "$GMEMU_ROOT/scripts/kernel.sh" source
step "building the device, the firmware, the library and the launcher" "$GMEMU_LOGS/install-build.log" compile all
"$GMEMU_ROOT/scripts/kernel.sh" module base "$BUILD/guest-driver/kernel/gmemu.ko"
"$GMEMU_ROOT/scripts/qemu.sh" intree "$BUILD/qemu-device/core/libgmemu_core.a"
mkdir -p "$target" 2>/dev/null && [[ -w $target ]] ||
	die "cannot write to $target: run as root, or choose another --prefix or --destdir"
step "installing to $target" "$GMEMU_LOGS/install.log" install_all
say "installed: $target/bin/gmemu demo"
