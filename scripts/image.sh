#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The image of the Dockerfile without a Docker engine: with buildah, as root or in a
# user namespace, from a Debian 13 base made of the distribution's packages.
#
#   image.sh build [TAG]    build it, as localhost/gmemu unless TAG says otherwise
#   image.sh check [TAG]    run the demo, a program and tests in it; print its size
#   image.sh save FILE [TAG]   write it to FILE, which `docker load` reads
#
# Environment: GMEMU_CACHE; GMEMU_IMAGE_BASE (an image to build on instead).
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$GMEMU_ROOT/scripts/apt.sh"

DIR=$GMEMU_CACHE/image
BASE=${GMEMU_IMAGE_BASE:-localhost/gmemu-base:trixie}
TAG=localhost/gmemu

# chroot and vfs work everywhere: in a container, without overlay mounts or cgroups.
bud() { buildah --storage-driver vfs --root "$DIR/storage" --runroot "$DIR/run" "$@"; }

need_programs() {
	local program missing=()
	for program in "$@"; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	((!${#missing[@]})) || die "to build the image without Docker, install: apt install ${missing[*]}"
}

# Debian 13 from this machine's own mirror, with the keys of its own sources.
make_base() {
	local archive key
	read -r archive key < <(
		apt_targets |
			while IFS='|' read -r uri suite component entry; do
				[[ $suite == "$DEBIAN_CODENAME" && $component == main ]] || continue
				echo "$uri" "$(apt_signed_by "$entry")"
			done | sort -u | head -n 1
	)
	[[ $archive ]] || die "no Debian '$DEBIAN_CODENAME main' among this machine's apt sources"
	rm -f "$DIR/base.tar"
	mmdebstrap --variant=minbase --include=ca-certificates \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		${key:+--keyring="$key"} trixie "$DIR/base.tar" "$archive"
}

import_base() {
	local container
	container=$(bud from scratch)
	bud add "$container" "$DIR/base.tar" /
	bud config --cmd /bin/bash "$container"
	bud commit --rm "$container" "$BASE"
	rm -f "$DIR/base.tar"
}

build_image() {
	bud build --isolation chroot --layers --build-arg "BASE=$BASE" --tag "$TAG" \
		--file "$GMEMU_ROOT/Dockerfile" "$GMEMU_ROOT" 2>&1 | counted 400 image
}

build() {
	local start=$SECONDS
	need_programs buildah mmdebstrap
	need_space 12 "$GMEMU_CACHE"
	mkdir -p "$DIR"
	cache_lock image
	if ! bud inspect --type image "$BASE" >/dev/null 2>&1; then
		[[ -z ${GMEMU_IMAGE_BASE:-} ]] || die "there is no image $BASE here"
		step "making a Debian 13 base" "$GMEMU_LOGS/image-base.log" make_base
		step "importing the base" "$GMEMU_LOGS/image-import.log" import_base
	fi
	step "building the image $TAG" "$GMEMU_LOGS/image-build.log" build_image
	say "$TAG: $(size_of) MB, built in $((SECONDS - start)) s"
}

# Of what is in it, in units of 10^6 bytes, as `docker images` shows it.
size_of() {
	local container mount
	container=$(bud from --pull-never "$TAG")
	mount=$(bud mount "$container")
	du -s --apparent-size --block-size=1 "$mount" | awk '{ printf "%.0f", $1 / 1e6 }'
	bud rm "$container" >/dev/null
}

check() {
	local container size work user=1000:1000
	need_programs buildah
	container=$(bud from --pull-never "$TAG")
	work=$(mktemp -d)
	# shellcheck disable=SC2064 # what they are now
	trap "rm -rf '$work'; buildah --storage-driver vfs --root '$DIR/storage' --runroot '$DIR/run' rm '$container' >/dev/null" EXIT
	inside() { bud run --isolation chroot --user "$user" -v "$work:/src" --workingdir /src "$container" -- "$@" </dev/null; }

	size=$(size_of)
	say "$TAG: $size MB"
	((size < 250)) || die "$TAG has $size MB; it should stay below 250"
	printf '#include <stdio.h>\nint main(void)\n{\n\tputs("it runs");\n\treturn 7;\n}\n' >"$work/prog.c"
	gcc -static -o "$work/prog" "$work/prog.c"
	chmod -R a+rX "$work"
	say "the demo:"
	inside gmemu demo || die "the demo fails in the image"
	say "a program of the user's:"
	local rc=0
	inside gmemu run -- ./prog || rc=$?
	((rc == 7)) || die "a program that ends with 7 ended with $rc in the image"
	say "tests:"
	inside gmemu test --only guest/faults --only guest/coherence || die "tests fail in the image"
}

command=${1:-}
shift || true
mkdir -p "$GMEMU_LOGS"
case $command in
build | check)
	TAG=${1:-$TAG}
	"$command"
	;;
save)
	TAG=${2:-$TAG}
	bud push "$TAG" "docker-archive:${1:?a file name}:$TAG"
	;;
*)
	sed -n '4,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
