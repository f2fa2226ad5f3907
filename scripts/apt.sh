# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A private view of the Debian archive. gmemu needs a few things the machine's
# own apt sources may not list: backports on Debian 12, and the source packages
# of qemu from Debian 13. /etc/apt is not changed for that; a second set of
# sources, on the machine's own mirror and with its own keys, lives in the cache.
#
# Sourced after lib.sh.

APT_DIR=$GMEMU_CACHE/apt
DEBIAN_CODENAME=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

APT_OPTIONS=(
	-o "Dir::Etc::sourcelist=/dev/null"
	-o "Dir::Etc::sourceparts=$APT_DIR/sources"
	-o "Dir::State::lists=$APT_DIR/lists"
	-o "Dir::Cache::pkgcache="
	-o "Dir::Cache::srcpkgcache="
	-o "APT::Sandbox::User=root"
	-o "APT::Update::Post-Invoke-Success="
	-o "APT::Update::Post-Invoke="
	-o "Acquire::Languages=none"
	-o "Acquire::Retries=3"
	-o "APT::Get::List-Cleanup=false"
	-o "quiet=1"
)

# apt_signed_by FILE:ENTRY: the keyring named by that entry of the machine's
# sources; nothing if it names none, and apt then uses the keys it trusts anyway.
# ENTRY is a line of a .list file, a stanza of a .sources file.
apt_signed_by() {
	local file=${1%:*} entry=${1##*:} key
	case $file in
	*.sources)
		key=$(awk -v n="$entry" 'BEGIN { RS = ""; FS = "\n" }
			{ gsub(/(^|\n)#[^\n]*/, "") }
			/[^ \n]/ && ++i == n { print }' "$file" |
			sed -n 's/^Signed-By:[ \t]*//p')
		;;
	*) key=$(sed -n "${entry}s/.*signed-by=\([^] ]*\).*/\1/p" "$file") ;;
	esac
	if [[ -f $key ]]; then printf '%s' "$key"; fi
}

# apt_targets: "URI|SUITE|COMPONENT|FILE:ENTRY" of each part of the archive that the machine's
# sources name. apt only knows those whose lists it has read; where it has read none, as in a
# new container, they are read into the cache.
apt_targets() {
	local list=(indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)' 'Created-By: Packages')
	local own=(-o "Dir::State::lists=$APT_DIR/system-lists" -o "APT::Sandbox::User=root" -o "Acquire::Languages=none")
	local targets
	targets=$(apt-get "${list[@]}")
	if [[ ! $targets ]]; then
		mkdir -p "$APT_DIR/system-lists/partial"
		step "reading the lists of this machine's apt sources" "$GMEMU_LOGS/apt-system.log" apt-get "${own[@]}" update
		targets=$(apt-get "${own[@]}" "${list[@]}")
	fi
	sort -u <<<"$targets"
}

apt_private_sources() {
	local uri suite component entry key found='' base_uri='' base_key=''
	rm -rf "$APT_DIR/sources"
	mkdir -p "$APT_DIR/sources" "$APT_DIR/lists/partial"
	while IFS='|' read -r uri suite component entry; do
		[[ $suite == "$DEBIAN_CODENAME" || $suite == "$DEBIAN_CODENAME"-* ]] || continue
		[[ $component == main ]] || continue
		key=$(apt_signed_by "$entry")
		found+="deb ${key:+[signed-by=$key] }$uri $suite main"$'\n'
		if [[ $suite == "$DEBIAN_CODENAME" ]]; then
			base_uri=$uri
			base_key=$key
		fi
	done < <(apt_targets)
	[[ $base_uri ]] || die "no Debian '$DEBIAN_CODENAME main' among this machine's apt sources.
       gmemu builds on Debian 12 and 13; add the distribution's archive to /etc/apt/sources.list.d."
	case $DEBIAN_CODENAME in
	bookworm)
		found+="deb ${base_key:+[signed-by=$base_key] }$base_uri bookworm-backports main"$'\n'
		;;
	trixie) ;;
	*) die "this is '$DEBIAN_CODENAME'; gmemu knows Debian 12 (bookworm) and Debian 13 (trixie)." ;;
	esac
	found+="deb-src ${base_key:+[signed-by=$base_key] }$base_uri trixie main"$'\n'
	printf '%s' "$found" | sort -u >"$APT_DIR/sources/gmemu.list"
}

# apt_private_update [MAX_AGE_MINUTES]: make the private lists, at most so old.
apt_private_update() {
	local age=${1:-720}
	if [[ -f $APT_DIR/updated && -z $(find "$APT_DIR/updated" -mmin "+$age") ]]; then
		return
	fi
	apt_private_sources
	step "reading the Debian package lists" "$GMEMU_LOGS/apt-update.log" \
		apt-get "${APT_OPTIONS[@]}" -o APT::Update::Error-Mode=any update
	touch "$APT_DIR/updated"
}

# apt_download PACKAGE...: fetch binary packages into the current directory.
apt_download() { apt-get "${APT_OPTIONS[@]}" download "$@"; }

# apt_source PACKAGE: fetch a source package, not unpacked, into the current directory.
apt_source() { apt-get "${APT_OPTIONS[@]}" -t trixie --only-source --download-only source "$@"; }
