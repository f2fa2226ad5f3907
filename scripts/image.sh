#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The image of the Dockerfile: with a Docker engine, or without one by buildah, as root or
# in a user namespace. Its base is a Debian 13 made of the distribution's packages.
#
#   image.sh build [TAG]    build it, as localhost/gmemu unless TAG says otherwise
#   image.sh check [TAG]    run the demo, a program and tests in it; print its size
#   image.sh save FILE [TAG]   write it to FILE, which `docker load` reads
#   image.sh engine         print what builds and runs it here
#
# Environment: GMEMU_CACHE; GMEMU_IMAGE_BASE (an image to build on instead);
# GMEMU_IMAGE_ENGINE (docker or buildah; docker, if an engine answers `docker info`).
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$GMEMU_ROOT/scripts/apt.sh"

DIR=$GMEMU_CACHE/image
BASE=${GMEMU_IMAGE_BASE:-localhost/gmemu-base:trixie}
TAG=localhost/gmemu

ENGINE=${GMEMU_IMAGE_ENGINE:-$(if docker info >/dev/null 2>&1; then echo docker; else echo buildah; fi)}

# chroot and vfs work everywhere: in a container, without overlay mounts or cgroups.
bud() { buildah --storage-driver vfs --root "$DIR/storage" --runroot "$DIR/run" "$@"; }

need_programs() {
	local program missing=()
	for program in "$@"; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	((!${#missing[@]})) || die "to build the image, install: apt install ${missing[*]}"
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

# What differs from engine to engine: to import a base, to build, to run something in an image.

buildah_has() { bud inspect --type image "$1" >/dev/null 2>&1; }

buildah_import() {
	local container
	container=$(bud from scratch)
	bud add "$container" "$DIR/base.tar" /
	bud config --cmd /bin/bash "$container"
	bud commit --rm "$container" "$BASE"
}

# Here and below: TAG DIRECTORY OPTION...
buildah_build() { bud build --isolation chroot --layers --tag "$1" "${@:3}" "$2"; }

buildah_size() {
	local container mount
	container=$(bud from --pull-never "$1")
	mount=$(bud mount "$container")
	du -s --apparent-size --block-size=1 "$mount" | cut -f 1
	bud rm "$container" >/dev/null
}

buildah_inside() {
	local rc=0
	[[ $CONTAINER ]] || CONTAINER=$(bud from --pull-never "$TAG")
	bud run --isolation chroot --user 1000:1000 -v "$work:/src" --workingdir /src "$CONTAINER" -- gmemu "$@" || rc=$?
	return $rc
}

docker_has() { docker image inspect "$1" >/dev/null 2>&1; }

docker_import() { docker import --change 'CMD ["/bin/bash"]' "$DIR/base.tar" "$BASE"; }

# An engine may have been started without a network for containers.
docker_build() {
	local network=()
	docker network inspect bridge >/dev/null 2>&1 || network=(--network=host)
	docker build "${network[@]}" --tag "$1" "${@:3}" "$2"
}

docker_size() { docker image inspect --format '{{.Size}}' "$1"; }

# Nobody in particular, who may do nothing in particular, with nothing to write to but /src.
UNPRIVILEGED=(--user 1000:1000 --cap-drop ALL --security-opt no-new-privileges --network none --read-only)

docker_inside() {
	local more=()
	[[ $1 != test ]] || more=(--tmpfs /tmp)
	docker run --rm --interactive "${UNPRIVILEGED[@]}" "${more[@]}" -v "$work:/src" -w /src "$TAG" "$@"
}

build() {
	local start=$SECONDS
	need_programs "$ENGINE" mmdebstrap
	# Without overlay mounts each layer is a whole copy.
	[[ $ENGINE == docker ]] || need_space 24 "$GMEMU_CACHE"
	mkdir -p "$DIR"
	cache_lock image
	if ! "${ENGINE}_has" "$BASE"; then
		[[ -z ${GMEMU_IMAGE_BASE:-} ]] || die "there is no image $BASE here"
		step "making a Debian 13 base" "$GMEMU_LOGS/image-base.log" make_base
		step "importing the base" "$GMEMU_LOGS/image-import.log" "${ENGINE}_import"
		rm -f "$DIR/base.tar"
	fi
	build_image() { "${ENGINE}_build" "$TAG" "$GMEMU_ROOT" --build-arg "BASE=$BASE" 2>&1 | counted 400 image; }
	step "building the image $TAG with $ENGINE" "$GMEMU_LOGS/image-build.log" build_image
	say "$TAG: $(size_of "$TAG") MB, built in $((SECONDS - start)) s"
}

# In units of 10^6 bytes, as `docker images` shows it.
size_of() { "${ENGINE}_size" "$1" | awk '{ printf "%.0f", $1 / 1e6 }'; }

inside() { "${ENGINE}_inside" "$@"; }

# A project's own image, and a guest that runs while it is made.
check_base() {
	mkdir "$work/ci"
	cp "$work/prog" "$work/ci/"
	printf 'FROM %s\nCOPY prog /usr/local/bin/prog\nRUN gmemu run -- sh -c "prog; test \\$? = 7" </dev/null\n' "$TAG" \
		>"$work/ci/Dockerfile"
	"${ENGINE}_build" "$TAG-ci" "$work/ci" --no-cache || die "the image is no base of another one"
	MADE+=("$TAG-ci")
}

# A container that is stopped ends soon, with the guest, by the signal.
check_stop() {
	local name=gmemu-check-$$ start rc
	docker run --detach --name "$name" "${UNPRIVILEGED[@]}" "$@" "$TAG" run -- sh -c 'echo ready; exec sleep 600' >/dev/null
	start=$SECONDS
	until docker logs "$name" 2>/dev/null | grep -q ready; do
		((SECONDS - start < 120)) || die "a container with a guest does not start"
		sleep 0.5
	done
	start=$SECONDS
	docker stop --time 60 "$name" >/dev/null
	start=$((SECONDS - start))
	rc=$(docker inspect --format '{{.State.ExitCode}}' "$name")
	docker rm "$name" >/dev/null
	say "docker stop: after $start s, exit code $rc"
	((rc == 143 && start < 20)) || die "docker stop took $start s and the container ended with $rc; it should be 143, soon"
}

clean_up() {
	local made
	[[ ! $CONTAINER ]] || bud rm "$CONTAINER" >/dev/null
	for made in "${MADE[@]}"; do
		if [[ $ENGINE == docker ]]; then docker rmi "$made"; else bud rmi "$made"; fi >/dev/null
	done
	rm -rf "$work"
}

check() {
	local size rc=0 out
	CONTAINER='' MADE=() work=$(mktemp -d)
	need_programs "$ENGINE"
	"${ENGINE}_has" "$TAG" || die "there is no image $TAG here"
	trap clean_up EXIT
	size=$(size_of "$TAG")
	say "$TAG: $size MB, in $ENGINE"
	((size < 250)) || die "$TAG has $size MB; it should stay below 250"
	cat >"$work/prog.c" <<-'END'
		#include <stdio.h>
		int main(void)
		{
			for (int c; (c = getchar()) != EOF;)
				putchar(c);
			puts("it runs");
			return 7;
		}
	END
	gcc -static -o "$work/prog" "$work/prog.c"
	chmod -R a+rX "$work"
	say "the demo:"
	inside demo </dev/null || die "the demo fails in the image"
	say "a program of the user's:"
	out=$(echo "from a pipe" | inside run -- ./prog) || rc=$?
	echo "$out"
	((rc == 7)) || die "a program that ends with 7 ended with $rc in the image"
	[[ $out == "from a pipe"$'\n'"it runs" ]] || die "a program in the image has not read its pipe"
	say "tests:"
	inside test --only guest/faults --only guest/coherence </dev/null || die "tests fail in the image"
	say "an image made from it:"
	check_base
	if [[ $ENGINE == docker ]]; then
		check_stop
		check_stop --init
	fi
}

command=${1:-}
shift || true
mkdir -p "$GMEMU_LOGS"
[[ $ENGINE == docker || $ENGINE == buildah ]] || die "GMEMU_IMAGE_ENGINE is docker or buildah, not $ENGINE"
case $command in
build | check)
	TAG=${1:-$TAG}
	"$command"
	;;
save)
	TAG=${2:-$TAG}
	if [[ $ENGINE == docker ]]; then
		docker save --output "${1:?a file name}" "$TAG"
	else
		bud push "$TAG" "docker-archive:${1:?a file name}:$TAG"
	fi
	;;
engine) echo "$ENGINE" ;;
*)
	sed -n '4,14s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
