#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A driver in place of gmemu's own, built aside from the checkout: for labs/run and
# scripts/tutorial.sh, which source this after lib.sh.
BUILD=${GMEMU_BUILD:-$GMEMU_ROOT/build}

# other_driver_sources ROOT: what a driver is built from, but for guest-driver/kernel.
other_driver_sources() {
	mkdir -p "$1/guest-driver/kernel" "$1/qemu-device"
	rsync -a --delete "$GMEMU_ROOT/scripts" "$GMEMU_ROOT/guest-kernel-patches" "$1/"
	rsync -a --delete "$GMEMU_ROOT/qemu-device/include" "$1/qemu-device/"
}

# other_driver_build ROOT WORK: the module, in WORK/build, a build directory like the other but for it.
other_driver_build() {
	local root=$1 work=$2
	[[ -x $BUILD/launcher/gmemu ]] || die "build gmemu first: ./gmemu doctor"
	rm -rf "$work/build"
	mkdir -p "$work/build"
	cp -rs "$BUILD"/{firmware,guest-driver,launcher,qemu-device} "$work/build/"
	rm -rf "$work/build/guest-driver/kernel"/gmemu*
	"$root/scripts/kernel.sh" module base "$work/gmemu.ko"
	cp "$work/gmemu.ko" "$work/build/guest-driver/kernel/gmemu.ko"
}

# other_driver_run WORK OPTION...: gmemu run, with that driver.
other_driver_run() {
	local work=$1
	shift
	GMEMU_ROOT=$GMEMU_ROOT GMEMU_BUILD=$work/build "$BUILD/launcher/gmemu" run "$@"
}
