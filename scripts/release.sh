#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The source archive of a release, the same bit for bit wherever it is made:
#
#   release.sh [DIRECTORY]   write gmemu-VERSION.tar.gz and its .sha256 into
#                            DIRECTORY (release/ in the checkout)
#
# VERSION is that of meson.build; CHANGELOG.md must have it, and all must be committed.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
-*)
	sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
out=${1:-$GMEMU_ROOT/release}

cd "$GMEMU_ROOT"
git rev-parse -q --verify HEAD >/dev/null 2>&1 || die "$GMEMU_ROOT is not a git checkout; a release is made of commits"
[[ -z $(git status --porcelain --untracked-files=no) ]] || die "there are changes that are not committed; see git status"
version=$(sed -n "s/^ *version: '\([0-9.]*\)',$/\1/p" meson.build | head -n 1)
[[ $version ]] || die "meson.build names no version"
grep -q "^## $version\b" CHANGELOG.md || die "CHANGELOG.md has no section for $version"

mkdir -p "$out"
archive=gmemu-$version.tar.gz
# git's own archives have the commit's time and no user; gzip -n adds neither name nor time.
git -c tar.umask=0022 archive --format=tar --prefix="gmemu-$version/" HEAD | gzip -9n >"$out/$archive.new"
mv "$out/$archive.new" "$out/$archive"
(cd "$out" && sha256sum "$archive" >"$archive.sha256")
say "$out/$archive: commit $(git rev-parse --short HEAD), $(stat -c %s "$out/$archive") bytes"
