# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The file `series` says how patches and overlay files become commits. An entry
# begins at the left margin, and is one of
#
#   patch NAME.patch            patches/NAME.patch, with the message it carries
#   files SUBJECT               files of the overlay, named by indented lines with
#       PATH                    "+ PATH"; indented lines with "| " before those
#                               are the body of the commit message
#
# "+ DIRECTORY/" takes what of the directory no earlier entry took. What no entry
# names goes into a last commit, so that nothing is ever left out.
#
# Sourced after lib.sh.

SERIES_DIR=$GMEMU_ROOT/guest-kernel-patches

# git_as_someone TREE ARG...: git, with an identity even where none is configured.
git_as_someone() {
	local tree=$1 id=()
	shift
	git -C "$tree" config user.email >/dev/null || id=(-c user.name=gmemu -c user.email=gmemu@localhost)
	git -C "$tree" "${id[@]}" "$@"
}

git_commit() { git_as_someone "$1" commit -q -s -m "$2"; }

# commit_files TREE SUBJECT BODY PATH...
commit_files() {
	local tree=$1 message=$2 body=$3 path file list=()
	shift 3
	for path in "$@"; do
		while IFS= read -r file; do
			if [[ ${SERIES_TAKEN[$file]:-} ]]; then continue; fi
			SERIES_TAKEN[$file]=1
			install -D -m 644 "$SERIES_DIR/files/$file" "$tree/$file"
			list+=("$file")
		done < <(cd "$SERIES_DIR/files" && find "${path%/}" -type f | LC_ALL=C sort)
	done
	((${#list[@]})) || die "series: '$message' names no file that is left: $*"
	git -C "$tree" add -f -- "${list[@]}"
	# A mailing list has 75 columns, the file has a margin.
	if [[ $body ]]; then message+=$'\n\n'$(fmt -w 72 <<<"$body"); fi
	git_commit "$tree" "$message"
}

apply_series() {
	local tree=$1 line kind='' subject='' body='' paths=() file
	declare -gA SERIES_TAKEN=()
	local -A patched=()
	flush() {
		if [[ $kind == files ]]; then commit_files "$tree" "$subject" "$body" "${paths[@]}"; fi
		kind='' body='' paths=()
	}
	if [[ -f $SERIES_DIR/series ]]; then
		while IFS= read -r line || [[ $line ]]; do
			case $line in
			'' | \#*) ;;
			'patch '*)
				flush
				file=${line#patch }
				patched[$file]=1
				apply_patch "$tree" "$SERIES_DIR/patches/$file"
				;;
			'files '*)
				flush
				kind=files subject=${line#files }
				;;
			*'+ '*) paths+=("${line#*+ }") ;;
			*'|'*)
				line=${line#*|}
				body+=${line# }$'\n'
				;;
			*) die "series: cannot read this line: $line" ;;
			esac
		done <"$SERIES_DIR/series"
		flush
	fi
	for file in "$SERIES_DIR"/patches/*.patch; do
		[[ -f $file && ! ${patched[$(basename "$file")]:-} ]] || continue
		apply_patch "$tree" "$file"
	done
	if [[ -d $SERIES_DIR/files ]]; then
		paths=()
		while IFS= read -r file; do
			[[ ${SERIES_TAKEN[$file]:-} ]] || paths+=("$file")
		done < <(cd "$SERIES_DIR/files" && find . -type f -printf '%P\n')
		((!${#paths[@]})) || commit_files "$tree" "mm/gmem: files the series does not name" "" "${paths[@]}"
	fi
}

apply_patch() {
	git_as_someone "$1" am -q "$2" ||
		die "$(basename "$2") does not apply; the tree stands in the middle of git am: $1"
}
