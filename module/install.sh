#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# install.sh check|install|uninstall WAY KDIR BUILD - install or remove the
# module; make install and make uninstall call it.
#
# WAY is copy (the module built for the kernel of KDIR), dkms (the source, which
# DKMS builds for each kernel) or no. check refuses an installation that install
# could not do, before anything is installed. With DESTDIR set, files are only put
# below it.
set -eu
# depmod and dkms are in a directory that a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin
verb=$1
way=$2
kdir=$3
build=$4
dest=${DESTDIR-}
cd "$(dirname "$0")/.."
version=$(cat VERSION)
source=$dest/usr/src/d2tcp-$version

die() {
	echo "make $verb: $*" >&2
	exit 1
}

# The kernel that the module is for: that of KDIR's headers or, without headers for
# the running kernel, the running one.
find_release() {
	header=$kdir/include/generated/utsrelease.h
	release=$(uname -r)
	if [ -e "$header" ]; then
		release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$header")
	elif [ "$kdir" != "/lib/modules/$release/build" ]; then
		die "there are no kernel headers at KDIR=$kdir"
	fi
	built=$build/module-$release/tcp_d2tcp.ko
	updates=$dest/lib/modules/$release/updates
}

need_root() {
	[ -n "$dest" ] || [ "$(id -u)" = 0 ] ||
		die "the module needs root; with MODULE=no it is only for" \
		    "library and command"
}

# The versions that DKMS has registered, older ones too: "d2tcp/0.1.0" per line.
registered() {
	[ -z "$dest" ] && command -v dkms >/dev/null || return 0
	dkms status d2tcp | sed -n 's|^\(d2tcp/[^,:]*\)[,:].*|\1|p' | sort -u
}

# The kernels for which DKMS has installed a version.
kernels_of() {
	dkms status "$1" | sed -n 's|^[^,]*, \([^,]*\), .*: installed.*|\1|p'
}

check() {
	need_root
	case $way in
	copy)
		[ -e "$built" ] || die "$built is missing: run make module first," \
			"or MODULE=no to install only library and command"
		for found in "$dest"/usr/src/d2tcp-*/dkms.conf; do
			[ ! -e "$found" ] || die "the module is installed with" \
				"DKMS ($found): use MODULE=dkms, or" \
				"make uninstall first"
		done
		[ -z "$(registered)" ] || die "DKMS has $(registered):" \
			"make uninstall first" ;;
	dkms)
		[ -n "$dest" ] || command -v dkms >/dev/null ||
			die "dkms is missing: apt-get install dkms"
		for found in "$dest"/lib/modules/*/updates/tcp_d2tcp.ko; do
			[ ! -e "$found" ] || die "$found is installed without" \
				"DKMS: make uninstall first, with KDIR for" \
				"its kernel"
		done ;;
	esac
}

remove_dkms() {
	for one in $(registered); do
		dkms remove "$one" --all
	done
	rm -rf "$dest"/usr/src/d2tcp-*
}

# Installs for this kernel, and for those that had an earlier version.
install_dkms() {
	kernels=
	for one in $(registered); do
		kernels="$kernels $(kernels_of "$one")"
	done
	remove_dkms
	mkdir -p "$source"
	cp -r Kbuild VERSION LICENSE dkms.conf module "$source"
	[ -z "$dest" ] || return 0
	dkms install "d2tcp/$version" -k "$release"
	for kernel in $kernels; do
		dkms install "d2tcp/$version" -k "$kernel" ||
			echo "make install: not installed for $kernel" >&2
	done
}

install_module() {
	case $way in
	copy)
		install -D -m 644 "$built" "$updates/tcp_d2tcp.ko"
		[ -n "$dest" ] || depmod "$release" ;;
	dkms) install_dkms ;;
	esac
}

uninstall_module() {
	need_root
	if [ -n "$(registered)" ] || ls -d "$dest"/usr/src/d2tcp-* >/dev/null 2>&1
	then
		remove_dkms
	fi
	[ -e "$updates/tcp_d2tcp.ko" ] || return 0
	rm -f "$updates/tcp_d2tcp.ko"
	[ -n "$dest" ] || depmod "$release"
}

case $way in
no) exit 0 ;;
copy|dkms) find_release ;;
*) verb=install; die "MODULE=$way: there are copy, dkms, no" ;;
esac
case $verb in
check) verb=install; check ;;
install) install_module ;;
uninstall) uninstall_module ;;
esac
