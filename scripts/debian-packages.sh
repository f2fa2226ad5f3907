#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Debian packages of gmemu: launcher, QEMU plugin, library, its headers, the driver as source
# for DKMS, GMEM as patches.
#
#   debian-packages.sh [DIRECTORY]   write them into DIRECTORY (packages/ in the checkout)
#
# Made of what scripts/install.sh installs, and packaging/debian; the version is that of
# meson.build. The same commit gives the same packages. They fit the Debian they are made on.
#
# Environment: GMEMU_CACHE, GMEMU_JOBS, GMEMU_BUILD as for install.sh; DEBFULLNAME and
# DEBEMAIL, the maintainer (else the last commit's author).
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
BUILD=${GMEMU_BUILD:-$GMEMU_ROOT/build-install}
TEMPLATES=$GMEMU_ROOT/packaging/debian
export LC_ALL=C.UTF-8

case ${1:-} in
-*)
	sed -n '4,14s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
out=$(realpath -m -- "${1:-$GMEMU_ROOT/packages}")

missing=()
for program in dpkg-gencontrol dpkg-shlibdeps objdump; do
	command -v "$program" >/dev/null || missing+=("$program")
done
((!${#missing[@]})) || die "to make Debian packages, install: apt install dpkg-dev"

version=$(sed -n "s/^ *version: '\([0-9.]*\)',$/\1/p" "$GMEMU_ROOT/meson.build" | head -n 1)
[[ $version ]] || die "meson.build names no version"
multiarch=$(gcc -print-multiarch)
# Without git, of a release's archive, all files have the release's time.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$GMEMU_ROOT" log -1 --format=%ct 2>/dev/null || stat -c %Y "$GMEMU_ROOT/meson.build")}
export SOURCE_DATE_EPOCH
maintainer=$(git -C "$GMEMU_ROOT" log -1 --format='%an <%ae>' 2>/dev/null || echo "gmemu <gmemu@$(hostname -f)>")
[[ ! ${DEBEMAIL:-} ]] || maintainer="${DEBFULLNAME:-gmemu} <$DEBEMAIL>"

work=$BUILD/packages
stage=$work/stage

# fill FILE: a template on standard output.
fill() {
	sed -e "s|@VERSION@|$version|g" -e "s|@MULTIARCH@|$multiarch|g" -e "s|@SONAME@|$soname|g" \
		-e "s|@MAINTAINER@|$maintainer|g" -e "s|@DATE@|$(date -u -R -d "@$SOURCE_DATE_EPOCH")|g" \
		-e "/^@MIT@$/{r $work/mit" -e "d}" "$1"
}

# The driver with the contract header in the same relative place, as its Kbuild wants it.
stage_sources() {
	local driver=$stage/usr/src/gmemu-$version patches=$stage/usr/src/gmemu-kernel-patches
	mkdir -p "$driver/guest-driver" "$driver/qemu-device" "$patches"
	cp -r "$GMEMU_ROOT/guest-driver/kernel" "$driver/guest-driver/"
	cp -r "$GMEMU_ROOT/qemu-device/include" "$driver/qemu-device/"
	fill "$TEMPLATES/dkms.conf.in" >"$driver/dkms.conf"
	cp -r "$GMEMU_ROOT/guest-kernel-patches/." "$patches/"
}

prepare() {
	local library=("$stage/usr/lib/$multiarch"/libgmemu.so.?)
	soname=${library[0]##*.}
	# The text from "Permission is" on, as a paragraph of the copyright file.
	sed -n -e '/^Permission is/,$p' "$GMEMU_ROOT/LICENSES/MIT.txt" | sed -e 's/^$/./' -e 's/^/ /' >"$work/mit"
	mkdir -p "$work/debian"
	for template in control changelog copyright; do
		fill "$TEMPLATES/$template.in" >"$work/debian/$template"
	done
	# The small QEMU has no package: Debian's has the plugin.
	rm -rf "$stage/usr/lib/$multiarch/gmemu/qemu"
	stage_sources
	find "$stage/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
	# gmemu(1) has what the commands say that run these.
	for program in demo doctor workloads; do
		ln -s gmemu.1.gz "$stage/usr/share/man/man1/gmemu-$program.1.gz"
	done
	find "$stage/usr/lib" -name '*.so*' -type f -exec chmod 644 {} +
}

# take PACKAGE TEMPLATE: move what it has out of the stage.
take() {
	local root=$work/$1 pattern path relative
	mkdir -p "$root"
	while read -r pattern; do
		# shellcheck disable=SC2206 # the pattern is to be expanded
		local paths=("$stage"/$pattern)
		for path in "${paths[@]}"; do
			[[ -e $path || -L $path ]] || die "$2.install: there is no $pattern"
			relative=${path#"$stage"/}
			mkdir -p "$root/$(dirname "$relative")"
			mv "$path" "$root/$relative"
		done
	done < <(fill "$TEMPLATES/$2.install")
}

documents() {
	local doc=$work/$1/usr/share/doc/$1
	mkdir -p "$doc"
	cp "$work/debian/copyright" "$doc/"
	gzip -9nc "$work/debian/changelog" >"$doc/changelog.gz"
	gzip -9nc "$GMEMU_ROOT/CHANGELOG.md" >"$doc/CHANGELOG.md.gz"
}

# The libraries that the package's programs need; those of gmemu itself are named in the template.
shared_libraries() {
	local root=$work/$1 files=()
	mapfile -t files < <(find "$root" -type f \( -path '*/bin/*' -o -name '*.so*' \) -exec sh -c \
		'for f; do head -c 4 "$f" | grep -q ELF && echo "$f"; done' sh {} +)
	: >"$work/debian/$1.substvars"
	((${#files[@]})) || return 0
	(cd "$work" && dpkg-shlibdeps -T"debian/$1.substvars" -l"$libraries" --ignore-missing-info \
		-xlibgmemu"$soname" "${files[@]}")
}

# control PACKAGE TEMPLATE: the directory DEBIAN.
control() {
	local root=$work/$1 script
	mkdir -p "$root/DEBIAN"
	if [[ -f $TEMPLATES/$2.lintian-overrides ]]; then
		install -D -m 644 "$TEMPLATES/$2.lintian-overrides" "$root/usr/share/lintian/overrides/$1"
	fi
	shared_libraries "$1"
	(cd "$work" && dpkg-gencontrol -p"$1" -P"$root" -T"debian/$1.substvars" -f"debian/files")
	for script in postinst prerm; do
		[[ ! -f $TEMPLATES/$2.$script.in ]] || fill "$TEMPLATES/$2.$script.in" >"$root/DEBIAN/$script"
	done
	[[ ! -f $TEMPLATES/$2.triggers ]] || cp "$TEMPLATES/$2.triggers" "$root/DEBIAN/triggers"
	[[ $2 != libgmemu ]] || echo "libgmemu $soname $1 (>= $version)" >"$root/DEBIAN/shlibs"
	(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
	chmod -R u=rwX,go=rX "$root"
	find "$root/DEBIAN" -name 'p*' -exec chmod 755 {} +
}

make_packages() {
	local package template left
	mkdir -p "$out"
	rm -f "$out"/*"_${version}_"{amd64,all}.deb
	for template in gmemu gmemu-qemu-plugin libgmemu libgmemu-dev gmemu-dkms gmemu-kernel-patches; do
		package=$template
		[[ $template != libgmemu ]] || package=libgmemu$soname
		take "$package" "$template"
		documents "$package"
	done
	left=$(find "$stage" ! -type d)
	[[ ! $left ]] || die "no package has $left"
	libraries=$work/libgmemu$soname/usr/lib/$multiarch
	for template in gmemu gmemu-qemu-plugin libgmemu libgmemu-dev gmemu-dkms gmemu-kernel-patches; do
		package=$template
		[[ $template != libgmemu ]] || package=libgmemu$soname
		control "$package" "$template"
		dpkg-deb --root-owner-group --build -Zxz "$work/$package" "$out"
	done
}

make_all() {
	prepare
	make_packages
}

rm -rf "$work"
GMEMU_BUILD=$BUILD "$GMEMU_ROOT/scripts/install.sh" --prefix /usr --destdir "$stage"
step "making packages of gmemu $version" "$GMEMU_LOGS/packages.log" make_all
say "packages: $out"
