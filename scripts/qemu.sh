#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU from Debian's source package, for the two ways the device gets into it.
#
#   qemu.sh source           unpack the source
#   qemu.sh headers          configure as Debian does and generate the headers, to
#                            compile the plugin for Debian's own QEMU     qemu/headers
#   qemu.sh intree CORE.a    a small QEMU with the device linked in       qemu/build
#   qemu.sh fuzz CORE.a      the same as a fuzzer, with ASan and UBSan    qemu/fuzz
#   qemu.sh dir [src|headers|build|fuzz]     print where it is
#   qemu.sh fresh headers    exit code 0 if they need no making
#
# Paths are fixed, so that ccache hits; relinking takes seconds when only the
# core has changed.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$GMEMU_ROOT/scripts/apt.sh"

DIR=$GMEMU_CACHE/qemu
SRC=$DIR/src
GLUE=$GMEMU_ROOT/qemu-device
# Interpreters of the system: a Python of the user's own may lack what QEMU needs.
SYSTEM_PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Only names and layouts matter here: what a PCI device sees of QEMU is the same
# for all of these as in Debian's build, which has everything on.
HEADER_OPTIONS=(
	--target-list=x86_64-softmmu --without-default-features
	--enable-system --disable-user --enable-tcg --enable-kvm
	--enable-plugins --enable-modules --enable-virtfs --enable-attr --enable-cap-ng --enable-pixman
	--disable-docs --disable-tools --disable-guest-agent
	--disable-install-blobs --disable-download --disable-werror
)

INTREE_OPTIONS=(
	--target-list=x86_64-softmmu --without-default-features --without-default-devices
	--enable-system --disable-user --enable-tcg --enable-kvm
	--enable-virtfs --enable-attr --enable-cap-ng
	--disable-docs --disable-tools --disable-guest-agent
	--disable-install-blobs --disable-download --disable-werror
)

# With sanitizers and coverage, by clang; the rest as above.
FUZZ_OPTIONS=(
	"${INTREE_OPTIONS[@]}"
	--enable-fuzzing --enable-asan --enable-ubsan --cc='ccache clang-19' --cxx='ccache clang++-19'
)

fetch() {
	rm -rf "$DIR/download"
	mkdir -p "$DIR/download"
	cd "$DIR/download"
	apt_source qemu
}

# The unpacking of dpkg-source -x, which would need all of dpkg-dev.
unpack() {
	local version patch
	version=$(sed -n 's/^Version: //p' "$DIR"/download/qemu_*.dsc | head -n 1)
	[[ $version == *:10.0.* ]] || die "Debian's qemu source package is $version, gmemu works with 10.0"
	rm -rf "$SRC" "$DIR/src.new"
	mkdir -p "$DIR/src.new"
	cd "$DIR/src.new"
	tar -xf "$DIR"/download/qemu_*.orig.tar.xz --strip-components=1
	tar -xf "$DIR"/download/qemu_*.debian.tar.xz
	while read -r patch _; do
		[[ -z $patch || $patch == \#* ]] || patch --batch --forward -s -p1 -i "debian/patches/$patch"
	done <debian/patches/series
	echo "$version" >.gmemu-version
	mv "$DIR/src.new" "$SRC"
	rm -rf "$DIR/download"
}

source_tree() {
	[[ ! -f $SRC/.gmemu-version ]] || return 0
	need_space 2 "$GMEMU_CACHE"
	apt_private_update
	step "fetching the QEMU source (40 MB)" "$GMEMU_LOGS/qemu-fetch.log" fetch
	step "unpacking the QEMU source" "$GMEMU_LOGS/qemu-unpack.log" unpack
}

# run_configure DIRECTORY OPTION...
run_configure() {
	local out=$1
	shift
	rm -rf "$out"
	mkdir -p "$out"
	cd "$out"
	PATH=$SYSTEM_PATH "$SRC/configure" --python=/usr/bin/python3 --cc='ccache gcc' --cxx='ccache g++' "$@"
}

hash_words() { printf '%s\n' "$@" | sha256sum | cut -c1-32; }

headers_stamp() { hash_words "$(cat "$SRC/.gmemu-version" 2>/dev/null)" "${HEADER_OPTIONS[@]}"; }

headers_fresh() {
	[[ -f $DIR/headers/.gmemu-stamp && $(<"$DIR/headers/.gmemu-stamp") == "$(headers_stamp)" ]]
}

make_headers() {
	local targets
	run_configure "$DIR/headers" "${HEADER_OPTIONS[@]}"
	mapfile -t targets < <(ninja -t targets all | sed -n 's/^\(.*\.h\): .*/\1/p' | grep -vE '^(tests|qga|target)/')
	ninja -j"$GMEMU_JOBS" "${targets[@]}"
}

headers() {
	headers_fresh && return
	cache_lock qemu
	source_tree
	headers_fresh && return
	step "making QEMU's headers" "$GMEMU_LOGS/qemu-headers.log" make_headers
	headers_stamp >"$DIR/headers/.gmemu-stamp"
}

# extend FILE: QEMU's own FILE with standard input after it.
extend() {
	[[ -f $1.orig ]] || cp "$1" "$1.orig"
	cat "$1.orig" - >"$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# amend PATCH FILE: QEMU's own FILE with the patch applied; touched only when that changes it.
amend() {
	[[ -f $2.orig ]] || cp "$2" "$2.orig"
	cp "$2.orig" "$2.new"
	patch --batch --forward -s --no-backup-if-mismatch "$2.new" "$1" ||
		die "$1 does not apply to QEMU $(<"$SRC/.gmemu-version")"
	if cmp -s "$2.new" "$2"; then rm "$2.new"; else mv "$2.new" "$2"; fi
}

# The device becomes a part of hw/misc, with trace events of its own: three files go there, copied when they
# differ (ninja rebuilds by time stamps, and the next copy may be of another
# checkout), and the core comes as the library meson has built.
plant() {
	local misc=$SRC/hw/misc
	mkdir -p "$misc/gmemu"
	rsync --checksum "$GLUE/qemu/gmemu-pci.c" "$GLUE/core/gmemu_core.h" "$GLUE/include/gmemu_regs.h" "$misc/gmemu/"
	extend "$misc/Kconfig" <<-'END'

		config GMEMU
		    bool
		    default y if PCI_DEVICES
		    depends on PCI && MSI_NONBROKEN
	END
	extend "$misc/meson.build" <<-'END'

		gmemu_core = declare_dependency(
		  include_directories: include_directories('gmemu'),
		  link_args: [get_option('prefix') / 'lib/libgmemu_core.a', '-lfmt', '-lstdc++'])
		system_ss.add(when: 'CONFIG_GMEMU', if_true: [files('gmemu/gmemu-pci.c'), gmemu_core])
	END
	extend "$misc/trace-events" <"$GLUE/qemu/trace-events"
	amend "$GLUE/qemu/patches/0001-intel_iommu-report-faults-of-DMA-without-the-BQL.patch" \
		"$SRC/hw/i386/intel_iommu.c"
	# The few devices of a machine without default devices.
	touch "$SRC/configs/devices/x86_64-softmmu/gmemu.mak.orig"
	extend "$SRC/configs/devices/x86_64-softmmu/gmemu.mak" <<-'END'
		CONFIG_PCI_DEVICES=n
		CONFIG_I440FX=y
		CONFIG_Q35=y
		CONFIG_PCIE_PORT=y
		CONFIG_VTD=y
		CONFIG_VIRTIO_PCI=y
		CONFIG_VIRTIO_9P=y
		CONFIG_VIRTIO_BLK=y
		CONFIG_VIRTIO_RNG=y
		CONFIG_VIRTIO_SERIAL=y
		CONFIG_TEST_DEVICES=y
		CONFIG_EDU=y
		CONFIG_GMEMU=y
	END
}

# What follows is for the two builds with the device in them, "build" and "fuzz".
options_of() {
	case $1 in
	build) printf '%s\n' "${INTREE_OPTIONS[@]}" ;;
	fuzz) printf '%s\n' "${FUZZ_OPTIONS[@]}" ;;
	esac
}
program_of() { if [[ $1 == fuzz ]]; then echo qemu-fuzz-x86_64; else echo qemu-system-x86_64; fi; }
prefix_of() { if [[ $1 == fuzz ]]; then echo "$DIR/fuzz-prefix"; else echo "$DIR/prefix"; fi; }

configure_stamp() {
	local options
	mapfile -t options < <(options_of "$1")
	hash_words "$(cat "$SRC/.gmemu-version")" "${options[@]}"
}

# All that decides what the finished program is.
built_stamp() {
	hash_words "$(configure_stamp "$1")" "$(declare -f plant)" \
		"$(hash_of "$2" "$GLUE/qemu/gmemu-pci.c" "$GLUE/qemu/patches" "$GLUE/qemu/trace-events" "$GLUE/core/gmemu_core.h" "$GLUE/include/gmemu_regs.h")"
}

built_fresh() {
	[[ -x $DIR/$1/$(program_of "$1") && -f $DIR/$1/.gmemu-built && -f $SRC/.gmemu-version ]] &&
		[[ $(<"$DIR/$1/.gmemu-built") == "$(built_stamp "$1" "$2")" ]]
}

configure_device() {
	local options
	mapfile -t options < <(options_of "$1")
	plant
	run_configure "$DIR/$1" "${options[@]}" --with-devices-x86_64=gmemu --prefix="$(prefix_of "$1")"
}

ninja_device() {
	cd "$DIR/$1"
	ninja -j"$GMEMU_JOBS" "$(program_of "$1")" | ninja_progress
}

# Meson makes thin archives, which only name their members; this one travels.
copy_archive() {
	local from=$1 to=$2
	rm -f "$to.new"
	if [[ $(head -c 7 "$from") == '!<thin>' ]]; then
		(cd "$(dirname "$from")" && ar -t "$(basename "$from")" | xargs ar qcsD "$to.new")
	else
		cp "$from" "$to.new"
	fi
	# A change of date relinks; so only when the content is another.
	if cmp -s "$to.new" "$to"; then rm "$to.new"; else mv "$to.new" "$to"; fi
}

# with_device build|fuzz CORE.a
with_device() {
	local which=$1 core=$2 lib
	lib=$(prefix_of "$which")/lib/libgmemu_core.a
	[[ -f $core ]] || die "$core does not exist; it is the library meson builds as gmemu_core"
	core=$(realpath "$core")
	cache_lock qemu
	mkdir -p "$(dirname "$lib")"
	copy_archive "$core" "$lib"
	if built_fresh "$which" "$lib"; then return; fi
	source_tree
	if [[ ! -f $DIR/$which/build.ninja || ! -f $DIR/$which/.gmemu-stamp || $(<"$DIR/$which/.gmemu-stamp") != "$(configure_stamp "$which")" ]]; then
		step "configuring QEMU with the device" "$GMEMU_LOGS/qemu-$which-configure.log" configure_device "$which"
		configure_stamp "$which" >"$DIR/$which/.gmemu-stamp"
	fi
	plant
	[[ -f $DIR/$which/$(program_of "$which") ]] || say "the first build of QEMU takes about 8 minutes on 2 cores"
	rm -f "$DIR/$which/.gmemu-built"
	step "building QEMU with the device" "$GMEMU_LOGS/qemu-$which-build.log" ninja_device "$which"
	built_stamp "$which" "$lib" >"$DIR/$which/.gmemu-built"
}

mkdir -p "$GMEMU_LOGS"
case ${1:-} in
source)
	cache_lock qemu
	source_tree
	;;
headers) headers ;;
intree) with_device build "${2:?usage: qemu.sh intree CORE.a}" ;;
fuzz) with_device fuzz "${2:?usage: qemu.sh fuzz CORE.a}" ;;
dir) echo "$DIR/${2:-build}" ;;
fresh) headers_fresh ;;
*)
	sed -n '4,13s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
