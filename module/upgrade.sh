#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# upgrade.sh KO HOLDERS - replace the loaded tcp_d2tcp by another build of it.
# Refused, with nothing changed, while a socket or a namespace uses it; HOLDERS is
# the command d2tcp, which lists the users. Keeps the module's parameters and the
# initial namespace's settings. Needs root.
set -eu
ko=$1
holders=$2
settings=/proc/sys/net/ipv4/d2tcp
allowed=/proc/sys/net/ipv4/tcp_allowed_congestion_control
PATH=$PATH:/usr/sbin:/sbin

die() { echo "upgrade: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root: sudo make upgrade"
[ -r "$ko" ] || die "cannot read $ko; make module builds it"
built=$(modinfo -F vermagic "$ko" 2>/dev/null | cut -d' ' -f1)
[ "$built" = "$(uname -r)" ] ||
	die "$ko is no module for $(uname -r)${built:+, but for $built}"
if [ ! -d /sys/module/tcp_d2tcp ]; then
	insmod "$ko"
	echo "loaded $ko; there was none before"
	exit 0
fi

params=
for p in /sys/module/tcp_d2tcp/parameters/*; do
	params="$params ${p##*/}=$(cat "$p")"
done
kept=
for s in "$settings"/*; do
	[ ! -e "$s" ] || kept="$kept ${s##*/}=$(cat "$s")"
done
was_allowed=$(cat $allowed)

if ! said=$(rmmod tcp_d2tcp 2>&1); then
	echo "upgrade: the loaded module is in use and stays as it is ($said):" >&2
	"$holders" holders >&2 || :
	exit 1
fi
# state that unloading discards
put() { echo "$2" >"$1" || echo "upgrade: could not restore $1 to $2" >&2; }
restore() {
	for s in $kept; do
		put "$settings/${s%%=*}" "${s#*=}"
	done
	case " $was_allowed " in
	*" d2tcp "*) put $allowed "$was_allowed" ;;
	esac
	echo "upgrade: counters, and settings of other network namespaces, start afresh"
}

# shellcheck disable=SC2086 # a list of parameters
if ! insmod "$ko" $params; then
	modprobe tcp_d2tcp $params ||
		die "neither the new module nor an installed one loads"
	restore
	die "the new module does not load; the installed one is loaded again"
fi
restore
echo "loaded $ko; for the next boot, install that file too"
