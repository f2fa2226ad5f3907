#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gmem-calls.sh DIRECTORY: the driver calls GMEM from gmemu_svm.c alone, and that
# file has fewer than 100 lines of code.
set -eu
cd "$1"

# C without comments and empty lines.
code() {
	gcc -fpreprocessed -dD -E -P "$1" 2>/dev/null | grep -v '^[[:space:]]*$'
}

lines=$(code gmemu_svm.c | wc -l)
echo "gmemu_svm.c: $lines lines of code"
if [ "$lines" -eq 0 ] || [ "$lines" -ge 100 ]; then
	echo "there must be fewer than 100" >&2
	exit 1
fi

status=0
for file in *.c; do
	# A test node, which is no part of what drives the device.
	case $file in gmemu_svm.c | gmemu_dmirror.c) continue ;; esac
	# gm_ret_to_errno() and the types are no calls into GMEM.
	if code "$file" | grep -nE '\b(gm_(dev|as|context)_[a-z_]+|gm_host_fault[a-z_]*|gmem_is_enabled|vm_object_lookup|hmadvise) *\('; then
		echo "$file calls GMEM; that belongs into gmemu_svm.c" >&2
		status=1
	fi
done
grep -q 'gm_dev_fault_batch(' gmemu_svm.c || { echo "gmemu_svm.c does not call GMEM?" >&2; status=1; }
exit $status
