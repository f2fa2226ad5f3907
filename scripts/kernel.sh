#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest kernel: Debian's linux-source-6.12 with GMEM in it, built in the cache.
#
#   kernel.sh source    unpack the source and bring GMEM into it
#   kernel.sh build     ... and build the kernel the guests run     kernel/base
#   kernel.sh debug     ... and the one with KASAN, lockdep, ...    kernel/debug
#   kernel.sh mm        ... and the one for the kernel's mm tests   kernel/mm
#   kernel.sh unpatched ... and the same without GMEM               kernel/unpatched
#   kernel.sh module NAME FILE.ko   build gmemu.ko for kernel NAME into FILE.ko
#   kernel.sh config NAME   only configure
#   kernel.sh dir NAME|src  print where a kernel is built, or its source
#   kernel.sh fresh NAME    exit code 0 if that kernel needs no building
#
# NAME is base, debug, mm or unpatched.
#
# A kernel directory is a complete kbuild output: vmlinux, modules, and what
# `make -C DIR M=...` needs for an external module. Paths are fixed, so
# that ccache and kbuild make a rebuild short; a hash over everything that goes
# in makes it nothing at all when there is nothing to do.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$GMEMU_ROOT/scripts/apt.sh"

SERIES=6.12
DIR=$GMEMU_CACHE/kernel
SRC=$DIR/src
GKP=$GMEMU_ROOT/guest-kernel-patches

# The build must not differ from one run to the next: no time, no user, no host.
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
export KBUILD_BUILD_USER=gmemu KBUILD_BUILD_HOST=gmemu

# The fragments of a kernel's configuration.
fragments() {
	echo "$GKP/config/base.config"
	case $1 in
	base) ;;
	unpatched) echo "$GKP/config/mm.config" ;;
	*) echo "$GKP/config/$1.config" ;;
	esac
}

# Its source: unpatched is as Debian has it.
source_of() { if [[ $1 == unpatched ]]; then echo "$DIR/src-unpatched"; else echo "$SRC"; fi; }

kernel_inputs() {
	local inputs
	mapfile -t inputs < <(fragments "$1")
	[[ $1 == unpatched ]] || inputs=("$GKP/files" "$GKP/patches" "${inputs[@]}")
	{
		hash_of "${inputs[@]}"
		cat "$SRC/.gmemu-version" 2>/dev/null || true
		gcc -dumpfullversion
	} | sha256sum | cut -c1-32
}

kernel_fresh() {
	local out=$DIR/$1
	[[ -f $out/vmlinux && -f $out/.gmemu-stamp ]] || return 1
	[[ $(<"$out/.gmemu-stamp") == "$(kernel_inputs "$1")" ]]
}

fetch() {
	rm -rf "$DIR/download"
	mkdir -p "$DIR/download"
	cd "$DIR/download"
	apt_download "linux-source-$SERIES"
}

# Two directories nothing here compiles are left out: half of the files by size.
unpack() {
	local deb=("$DIR"/download/linux-source-*.deb) version
	version=$(dpkg-deb -f "${deb[0]}" Version)
	rm -rf "$SRC" "$DIR/src.new" "$DIR/src-unpatched" "$DIR/pristine" "$DIR/touched"
	mkdir -p "$DIR/src.new"
	dpkg-deb --fsys-tarfile "${deb[0]}" |
		tar -xO "./usr/src/linux-source-$SERIES.tar.xz" |
		xz -dc -T0 |
		tar -x --strip-components=1 -C "$DIR/src.new" \
			--exclude='*/drivers/gpu/drm/amd/include/asic_reg' \
			--exclude='*/boot/dts'
	echo "$version" >"$DIR/src.new/.gmemu-version"
	# Unpacked files are as old as the package, so kbuild would not see that they
	# are others than those an object was compiled from.
	if [[ $(cat "$DIR/version" 2>/dev/null) != "$version" ]]; then rm -rf "$DIR"/{base,debug,mm,unpatched}; fi
	echo "$version" >"$DIR/version"
	mv "$DIR/src.new" "$SRC"
	rm -rf "$DIR/download"
}

# Bring SRC from whatever GMEM it has to the one of this checkout, touching only
# files whose content changes: kbuild rebuilds by time stamps. The first time a
# file is touched, its original is kept in pristine/.
overlay() {
	local stage=$DIR/stage patches=() p f
	local -A want=()
	shopt -s nullglob
	patches=("$GKP"/patches/*.patch)
	shopt -u nullglob
	rm -rf "$stage"
	mkdir -p "$stage" "$DIR/pristine"
	touch "$DIR/touched"

	for p in "${patches[@]}"; do
		while IFS= read -r f; do want[$f]=1; done < <(
			sed -n -e 's,^--- a/\([^\t]*\).*,\1,p' -e 's,^+++ b/\([^\t]*\).*,\1,p' "$p")
	done
	if [[ -d $GKP/files ]]; then
		while IFS= read -r f; do want[$f]=1; done < <(cd "$GKP/files" && find . -type f -printf '%P\n')
	fi

	for f in "${!want[@]}"; do
		if ! grep -qxF -- "$f" "$DIR/touched"; then
			if [[ -f $SRC/$f ]]; then
				install -D -p -m 644 "$SRC/$f" "$DIR/pristine/$f"
			fi
			echo "$f" >>"$DIR/touched"
		fi
	done
	cp -a "$DIR/pristine/." "$stage/"
	for p in "${patches[@]}"; do
		(cd "$stage" && patch --batch --forward --no-backup-if-mismatch -p1 -i "$p") ||
			die "$(basename "$p") does not apply to Linux $(<"$SRC/.gmemu-version")"
	done
	if [[ -d $GKP/files ]]; then cp -a "$GKP/files/." "$stage/"; fi
	while IFS= read -r f; do
		if [[ ! -e $stage/$f ]]; then rm -f -- "$SRC/$f"; fi
	done <"$DIR/touched"
	# Not --times: a file that changes gets the present time, whatever its source has.
	rsync --recursive --perms --checksum "$stage/" "$SRC/"
	rm -rf "$stage"
}

# The source without GMEM. It is made once.
unpatched_source() {
	local dir=$DIR/src-unpatched file
	rm -rf "$dir" "$dir.new"
	rsync --archive --exclude=/tools/testing/ --exclude=/.gmemu-version "$SRC/" "$dir.new/"
	while IFS= read -r file; do rm -f -- "$dir.new/$file"; done <"$DIR/touched"
	# A directory that only GMEM has.
	find "$dir.new/mm" -type d -empty -delete
	cp -a "$DIR/pristine/." "$dir.new/"
	cp "$SRC/.gmemu-version" "$dir.new/"
	mv "$dir.new" "$dir"
}

source_tree() {
	mkdir -p "$GMEMU_CACHE/locks"
	{
		flock 7
		prepare_source
		[[ ${1:-} != unpatched || -f $DIR/src-unpatched/.gmemu-version ]] ||
			step "copying the kernel source without GMEM" "$GMEMU_LOGS/kernel-unpatched-source.log" unpatched_source
	} 7>"$GMEMU_CACHE/locks/kernel source"
}

prepare_source() {
	if [[ ! -f $SRC/.gmemu-version ]]; then
		need_space 5 "$GMEMU_CACHE"
		apt_private_update
		step "fetching the kernel source (150 MB)" "$GMEMU_LOGS/kernel-fetch.log" fetch
		step "unpacking the kernel source" "$GMEMU_LOGS/kernel-unpack.log" unpack
	fi
	# Quiet unless it fails: this runs before every build.
	local rc=0
	set +e
	(
		set -e
		overlay
	) >"$GMEMU_LOGS/kernel-overlay.log" 2>&1
	rc=$?
	set -e
	if ((rc)); then
		tail -n 25 "$GMEMU_LOGS/kernel-overlay.log" >&2
		die "GMEM does not go into the kernel source; see above"
	fi
}

# kbuild drops a line it cannot honour without a word. That must not go unseen,
# but for a symbol this tree does not have: GMEM's own while it is not there yet.
check_config() {
	local config=$1 fragment=$2 source=$3 line symbol bad=0
	while IFS= read -r line; do
		symbol=${line%%=*}
		case $line in
		*=n) ! grep -q "^$symbol=" "$config" && continue ;;
		*) grep -qxF -- "$line" "$config" && continue ;;
		esac
		grep -rqE --include='Kconfig*' "^[[:space:]]*(menu)?config[[:space:]]+${symbol#CONFIG_}\$" "$source" || {
			echo "not in this kernel, ignored: $line"
			continue
		}
		echo "did not take: $line"
		bad=1
	done < <(awk -F= '/^CONFIG_/ { v[$1] = $0 } END { for (k in v) print v[k] }' "$fragment")
	return $bad
}

configure() {
	local name=$1 out=$DIR/$1 fragment=$DIR/$1.config source files
	source=$(source_of "$name")
	mapfile -t files < <(fragments "$name")
	mkdir -p "$out"
	cat "${files[@]}" >"$fragment"
	[[ $name != unpatched ]] || sed -i '/^CONFIG_\(TEST_\)\?GMEM/d' "$fragment"
	# allnoconfig writes .config anew, and kbuild compares contents: no needless rebuild.
	make -s -C "$source" O="$out" KCONFIG_ALLCONFIG="$fragment" allnoconfig
	check_config "$out/.config" "$fragment" "$source" ||
		die "a line of guest-kernel-patches/config did not take (see the log); a dependency is missing"
	config_inputs "$name" >"$out/.gmemu-config"
}

# Configuring takes seconds, and most changes are to C files.
config_inputs() {
	local kconfig=() files
	mapfile -t files < <(fragments "$1")
	if [[ $1 != unpatched && -d $GKP/files ]]; then
		mapfile -t kconfig < <(find "$GKP/files" -name 'Kconfig*' | LC_ALL=C sort)
		kconfig+=("$GKP/patches")
	fi
	hash_of "${files[@]}" "${kconfig[@]}"
}

config_fresh() {
	[[ -f $DIR/$1/.config && -f $DIR/$1/.gmemu-config && $(<"$DIR/$1/.gmemu-config") == "$(config_inputs "$1")" ]]
}

compile() {
	local out=$DIR/$1
	# No bzImage: QEMU starts vmlinux itself, by its PVH entry.
	make -C "$(source_of "$1")" O="$out" CC='ccache gcc' -j"$GMEMU_JOBS" vmlinux modules 2>&1 |
		counted 1850 kernel
}

build() {
	local name=$1 out=$DIR/$1 stamp
	if [[ -f $SRC/.gmemu-version ]] && kernel_fresh "$name"; then return; fi
	# The source is locked only while it changes: a long build of one kernel does
	# not hold up the other.
	cache_lock "$name kernel"
	source_tree "$name"
	if kernel_fresh "$name"; then
		cache_unlock
		return
	fi
	rm -f "$out/.gmemu-stamp"
	stamp=$(kernel_inputs "$name")
	[[ -d $out ]] || need_space 4 "$GMEMU_CACHE"
	config_fresh "$name" ||
		step "configuring the $name kernel" "$GMEMU_LOGS/kernel-$name-config.log" configure "$name"
	[[ -f $out/vmlinux ]] || say "the first build of the $name kernel takes about 10 minutes on 2 cores"
	step "building the $name kernel" "$GMEMU_LOGS/kernel-$name-build.log" compile "$name"
	# Who edits meanwhile gets another build next time.
	if [[ $(kernel_inputs "$name") == "$stamp" ]]; then echo "$stamp" >"$out/.gmemu-stamp"; fi
	cache_unlock
}

# kbuild puts its output beside a module's sources. So they are copied, with the
# contract header in the same relative place, and the checkout stays clean.
make_module() {
	local kernel=$1 work=$2
	mkdir -p "$work/src/guest-driver/kernel" "$work/src/qemu-device/include"
	rsync --recursive --links --checksum --exclude='.*' "$GMEMU_ROOT/guest-driver/kernel/" "$work/src/guest-driver/kernel/"
	rsync --recursive --checksum "$GMEMU_ROOT/qemu-device/include/" "$work/src/qemu-device/include/"
	make -C "$kernel" M="$work/src/guest-driver/kernel" CC='ccache gcc' -j"$GMEMU_JOBS" modules
	cp "$work/src/guest-driver/kernel/gmemu.ko" "$3"
}

module() {
	local name=$1 file=$2 work stamp
	mkdir -p "$file.build"
	work=$(realpath "$file.build")
	build "$name"
	stamp=$(hash_of "$GMEMU_ROOT/guest-driver/kernel" "$GMEMU_ROOT/qemu-device/include" "$DIR/$name/.gmemu-stamp")
	if [[ -f $file && -f $work/.stamp && $(<"$work/.stamp") == "$stamp" ]]; then return; fi
	rm -f "$work/.stamp"
	step "building the driver for the $name kernel" "$GMEMU_LOGS/driver-$name.log" make_module "$DIR/$name" "$work" "$file"
	echo "$stamp" >"$work/.stamp"
}

mkdir -p "$GMEMU_LOGS"
case ${1:-} in
source) source_tree ;;
config)
	cache_lock "${2:-base} kernel"
	source_tree "${2:-base}"
	step "configuring the ${2:-base} kernel" "$GMEMU_LOGS/kernel-${2:-base}-config.log" configure "${2:-base}"
	;;
build) build base ;;
debug | mm | unpatched) build "$1" ;;
module) module "${2:?base, debug or mm}" "${3:?a file name}" ;;
dir) echo "$DIR/${2:-base}" ;;
fresh) kernel_fresh "${2:-base}" ;;
*)
	sed -n '4,17s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
