#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# build.sh KDIR OUT [MAKE-ARGUMENT...] - build tcp_d2tcp.ko for one kernel
#
# Builds in OUT/module-<kernel release>, so that modules for several kernels can
# exist side by side and the source tree stays clean. Prints the path of the
# module.
set -eu
kdir=$1
out=$2
shift 2
src=$(cd "$(dirname "$0")/.." && pwd)

if [ ! -e "$kdir/Makefile" ]; then
	{
		echo "There are no kernel headers at $kdir."
		echo "For the running kernel, on Debian:" \
		     "apt-get install linux-headers-$(uname -r)"
		echo "For another kernel: make module KDIR=<directory of its headers>"
	} >&2
	exit 1
fi
arch=
[ ! -e "$kdir/.config" ] || ! grep -q '^CONFIG_UML=y' "$kdir/.config" ||
	arch=ARCH=um
# the output of uname -r on that kernel; on Debian make kernelrelease may differ
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' \
	"$kdir/include/generated/utsrelease.h")
if [ -z "$release" ]; then
	echo "The kernel headers at $kdir name no release." >&2
	exit 1
fi
mkdir -p "$out/module-$release"
dir=$(cd "$out/module-$release" && pwd)
case $dir in
*[[:space:]]*)
	echo "The kernel's build does not support a path with a space: $dir" >&2
	exit 1 ;;
esac
# two builds for one kernel take turns
exec 9>"$dir/lock"
flock 9
cp -ru "$src/Kbuild" "$src/VERSION" "$src/module" "$dir/"
if ! make -C "$kdir" $arch M="$dir" "$@" modules 2>"$dir/errors" 9>&-; then
	# for a kernel that is too old print only this line, without make's
	# errors
	grep -xF 'D2TCP supports Linux 6.1 and later; this kernel is too old.' \
		"$dir/errors" >&2 || cat "$dir/errors" >&2
	exit 1
fi
cat "$dir/errors" >&2
echo "built $out/module-$release/tcp_d2tcp.ko"
