# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What every script of scripts/ shares: where things are, how progress is
# shown, how a failing step is reported. Sourced, never run.

GMEMU_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
GMEMU_CACHE=${GMEMU_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set; set it, or GMEMU_CACHE}/.cache}/gmemu}
GMEMU_LOGS=$GMEMU_CACHE/logs
GMEMU_JOBS=${GMEMU_JOBS:-$(nproc)}
export GMEMU_CACHE

# ccache is what makes a second checkout quick. It gets its own directory, so
# that neither its size limit nor its settings meet those of the user.
export CCACHE_DIR=$GMEMU_CACHE/ccache
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}
# Look headers up in the dependencies a compiler writes: a miss then costs no second preprocessing.
export CCACHE_DEPEND=1

say()  { printf 'gmemu: %s\n' "$*" >&2; }
warn() { printf 'gmemu: warning: %s\n' "$*" >&2; }
die()  { printf 'gmemu: error: %s\n' "$*" >&2; exit 1; }

# step NAME LOG COMMAND...: run a command with its output in LOG. What it prints
# on file descriptor 3 is progress for people. On failure: which step, the end
# of the log, and where all of it is.
step() {
	local name=$1 log=$2 start=$SECONDS rc=0
	shift 2
	mkdir -p "$(dirname "$log")"
	say "$name ..."
	# Not "cmd || rc=$?": that would switch -e off inside the step.
	set +e
	(
		set -e
		"$@"
	) 3>&2 >"$log" 2>&1
	rc=$?
	set -e
	if ((rc)); then
		printf 'gmemu: error: %s failed (exit code %d). The last lines:\n' "$name" "$rc" >&2
		tail -n 25 "$log" | sed -e 's/^/    | /' -e '$a\' >&2
		printf 'gmemu: the whole log: %s\n' "$log" >&2
		need_space 1 "$GMEMU_CACHE"
		exit "$rc"
	fi
	say "$name: done in $((SECONDS - start)) s"
}

# need_space GIB DIRECTORY: stop before a full disk turns into a strange error.
need_space() {
	local want=$1 dir=$2 have
	while [[ ! -d $dir ]]; do dir=$(dirname "$dir"); done
	have=$(df --output=avail -k "$dir" | tail -n 1)
	((have >= want * 1024 * 1024)) && return
	die "$dir has only $((have / 1024)) MiB free and this step needs about $want GiB.
       Free some space, or set GMEMU_CACHE to a directory on a bigger disk."
}

# hash_of PATH...: one hash over the names and contents of files and directories.
hash_of() {
	local p
	for p in "$@"; do
		if [[ -d $p ]]; then
			(cd "$p" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum)
		elif [[ -e $p ]]; then
			sha256sum <"$p"
		fi
	done | sha256sum | cut -c1-32
}

# Only one process works on a cache directory at a time; the others wait and say so.
cache_lock() {
	mkdir -p "$GMEMU_CACHE/locks"
	exec 9>"$GMEMU_CACHE/locks/$1"
	flock -n 9 || {
		say "another gmemu is building the $1; waiting for it ..."
		flock 9
	}
}

cache_unlock() { exec 9>&-; }

# counted TOTAL WHAT: copy standard input to standard output and show on file
# descriptor 3 how far a build has come; TOTAL is an estimate.
counted() {
	local total=$1 what=$2 n=0 last=$SECONDS line
	while IFS= read -r line; do
		printf '%s\n' "$line"
		n=$((n + 1))
		if ((SECONDS - last >= 10)); then
			last=$SECONDS
			((n < total)) || total=$n
			printf 'gmemu:   %s: %d of about %d steps (%d%%)\n' "$what" "$n" "$total" $((n * 100 / total)) >&3
		fi
	done
}

# ninja_progress: as counted, for ninja, which counts by itself. It prints "[n/m] what"; every
# ten seconds one of these lines goes to the user.
ninja_progress() {
	local line last=$SECONDS
	while IFS= read -r line; do
		printf '%s\n' "$line"
		if ((SECONDS - last >= 10)) && [[ $line == \[* ]]; then
			last=$SECONDS
			printf 'gmemu:   %.100s\n' "$line" >&3
		fi
	done
}
