#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# install.sh check|install|uninstall WAY KDIR BUILD - install or remove the
# module; make install and make uninstall call it.
#
# WAY is copy (the module built for the kernel of KDIR), dkms (the source, which
# DKMS builds for each kernel) or no. check refuses what install could not do,
# before anything is installed. With DESTDIR set, files are only put below it.
set -eu
verb=$1
way=$2
kdir=$3
build=$4
dest=${DESTDIR-}
cd "$(dirname "$0")/.."
version=$(cat VERSION)
source=$dest/usr/src/d2tcp-$version
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' \
	"$kdir/include/generated/utsrelease.h" 2>/dev/null) || release=
release=${release:-$(uname -r)}
built=$build/module-$release/tcp_d2tcp.ko
updates=$dest/lib/modules/$release/updates

die() {
	echo "make $verb: $*" >&2
	exit 1
}

check() {
	if [ "$way" != no ] && [ -z "$dest" ] && [ "$(id -u)" != 0 ]; then
		die "installing the module needs root;" \
		    "MODULE=no installs only library and command"
	fi
	case $way in
	copy)
		[ -e "$built" ] || die "$built is missing: run make module first," \
			"or MODULE=no to install only library and command"
		[ ! -d "$source" ] || die "the module is installed with DKMS" \
			"($source): use MODULE=dkms, or make uninstall first" ;;
	dkms)
		[ -n "$dest" ] || command -v dkms >/dev/null ||
			die "dkms is missing: apt-get install dkms"
		[ ! -e "$updates/tcp_d2tcp.ko" ] ||
			die "$updates/tcp_d2tcp.ko is installed without DKMS:" \
			    "make uninstall first" ;;
	no) ;;
	*) die "MODULE=$way: there are copy, dkms, no" ;;
	esac
}

remove_dkms() {
	if [ -z "$dest" ] && command -v dkms >/dev/null &&
	   [ -n "$(dkms status "d2tcp/$version")" ]; then
		dkms remove "d2tcp/$version" --all
	fi
	rm -rf "$source"
}

install_module() {
	case $way in
	copy)
		install -D -m 644 "$built" "$updates/tcp_d2tcp.ko"
		[ -n "$dest" ] || depmod "$release" ;;
	dkms)
		remove_dkms
		mkdir -p "$source"
		cp -r Kbuild VERSION LICENSE dkms.conf module "$source"
		[ -n "$dest" ] || dkms install "d2tcp/$version" -k "$release" ;;
	esac
}

uninstall_module() {
	[ ! -d "$source" ] || remove_dkms
	[ -e "$updates/tcp_d2tcp.ko" ] || return 0
	rm -f "$updates/tcp_d2tcp.ko"
	[ -n "$dest" ] || depmod "$release"
}

case $verb in
check) verb=install; check ;;
install) install_module ;;
uninstall) uninstall_module ;;
esac
