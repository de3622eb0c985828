#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_doctor.sh KO - runs inside a kernel: d2tcp doctor names the cause in set-ups that
# are broken on purpose, one at a time, and finds nothing in a good one.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
ko=$1
tmp=$(mktemp -d)
PATH=$PATH:/usr/sbin:/sbin
modules=/lib/modules/$(uname -r)
four=/proc/sys/net/ipv4

# finds CHECK [TEXT]...: the doctor finds this problem and no other, and says TEXT
finds() {
	status 3 build/d2tcp doctor >"$tmp/o" 2>"$tmp/e"
	same "$1" "$(grep -v '^    ' "$tmp/o" | sed '$d' | sed 's/[:,].*//' |
		paste -sd' ')"
	shift
	for text in "$@"; do says "$text" "$tmp/o"; done
	same "" "$(cat "$tmp/e")"
}
healthy() {
	status 0 build/d2tcp doctor >"$tmp/o" 2>"$tmp/e"
	says "0 problems" "$tmp/o"
	same "" "$(cat "$tmp/e")"
}

mkdir -p "$modules/updates" "$modules/build"
: >"$modules/build/Makefile"
mount -t tmpfs run /run
mount -t tmpfs sysctl /etc/sysctl.d
for f in /usr/lib/sysctl.d /lib/sysctl.d /etc/sysctl.conf; do
	[ ! -e "$f" ] || grep -rqs d2tcp "$f" && exit 1
done

usage() {
	status 2 build/d2tcp doctor --jsn 2>"$tmp/e"
	says "takes --json, not '--jsn'" "$tmp/e"
}
t "a wrong option is refused" usage

absent() {
	finds installed "is not installed" "make install"
	mv "$modules/build/Makefile" "$modules/build/away"
	finds headers "headers are not installed" 'linux-headers-$(uname -r)'
	mv "$modules/build/away" "$modules/build/Makefile"
	mkdir -p /lib/modules/1.2.3/updates/dkms
	: >/lib/modules/1.2.3/updates/dkms/tcp_d2tcp.ko.xz
	finds kernel "was built for Linux 1.2.3, but $(uname -r) is running" "make install"
	rm -r /lib/modules/1.2.3
	mkdir -p /var/lib/dkms/d2tcp
	finds dkms "has not built it" make.log
	rmdir /var/lib/dkms/d2tcp
}
t "1 to 4: not installed, without headers, for another kernel, not built by DKMS" absent

cp "$ko" "$modules/updates"
unloaded() {
	finds loaded "installed, but not loaded" "modprobe tcp_d2tcp" modules-load.d
}
t "5: built, but not loaded" unloaded

secure() {
	mount -t tmpfs kernel /sys/kernel || return
	mkdir /sys/kernel/security
	echo "none [integrity] confidentiality" >/sys/kernel/security/lockdown
	finds signature "is not signed" "Secure Boot" "mokutil --import"
	echo "[none] integrity confidentiality" >/sys/kernel/security/lockdown
	finds loaded
	umount /sys/kernel
}
t "6: Secure Boot, and the module is not signed" secure

ip link set lo up
insmod "$ko" expect=1 || exit 1
read -r before <$four/tcp_allowed_congestion_control
unselected() {
	finds selection "nothing selects d2tcp" tcp_allowed_congestion_control
	# a route is enough
	ip route add 10.9.0.0/16 dev lo congctl d2tcp
	ip netns add red
	healthy
	ip netns del red
	ip route del 10.9.0.0/16 dev lo
}
t "7: only root may select it, and nothing else does" unselected

echo "$before d2tcp" >$four/tcp_allowed_congestion_control
t "nothing is wrong with a good set-up" healthy

twice() {
	mkdir -p "$modules/updates/dkms"
	cp "$ko" "$modules/updates/dkms"
	finds files "installed more than once" updates/dkms "remove the one"
	rm -r "$modules/updates/dkms"
}
t "8: installed in two ways" twice

# A file from other source: srcversion in it is changed, with the same length.
stale() {
	local src
	src=$(cat /sys/module/tcp_d2tcp/srcversion)
	LC_ALL=C sed "s/srcversion=$src/srcversion=000000000000000000000${src:21}/" \
		"$ko" >"$modules/updates/tcp_d2tcp.ko"
	finds reload "built from a different source" "make upgrade" "if the file is newer"
	cp "$ko" "$modules/updates"
}
t "9: the loaded module is not the one that is installed" stale

lost() {
	echo "net.ipv4.d2tcp.default_budget_us = 20000" >/etc/sysctl.d/d2tcp.conf
	finds settings 'd2tcp.conf sets net.ipv4.d2tcp.default_budget_us to "20000", but it is "0"' \
		"sysctl --system"
	echo 20000 >$four/d2tcp/default_budget_us
	healthy
	# a file of the same name in /etc hides one of the system
	mkdir -p /run/sysctl.d
	echo "net/ipv4/d2tcp/default_budget_us=1" >/run/sysctl.d/d2tcp.conf
	echo "# net.ipv4.d2tcp.min_budget_us = 7" >>/etc/sysctl.d/d2tcp.conf
	healthy
	echo "-net.ipv4.tcp_allowed_congestion_control = reno d2tcp" \
		>/run/sysctl.d/z.conf
	healthy
	echo "$before" >$four/tcp_allowed_congestion_control
	status 3 build/d2tcp doctor >"$tmp/o"
	says "z.conf sets net.ipv4.tcp_allowed_congestion_control" "$tmp/o"
	echo "$before d2tcp" >$four/tcp_allowed_congestion_control
	echo "net.ipv4.d2tcp.no_such_us = 1" >>/run/sysctl.d/z.conf
	finds settings "no_such_us, which does not exist"
	echo "net.ipv4.tcp_allowed_congestion_control = reno" >/run/sysctl.d/zz.conf
	sed -i '/no_such/d' /run/sysctl.d/z.conf
	finds overridden "zz.conf sets net.ipv4.tcp_allowed_congestion_control to \"reno\", which replaces the line with d2tcp in /run/sysctl.d/z.conf"
	rm /run/sysctl.d/z*.conf
	if [ ! -e /usr/lib/sysctl.d/99-sysctl.conf ]; then
		cp /etc/sysctl.conf "$tmp/sysctl.conf" 2>/dev/null
		echo "net.ipv4.d2tcp.default_budget_us = 20000" >>/etc/sysctl.conf
		finds old-file "is not read at boot" "move it"
		ln -s ../sysctl.conf /etc/sysctl.d/99-sysctl.conf
		healthy
		rm /etc/sysctl.d/99-sysctl.conf /etc/sysctl.conf
		[ ! -e "$tmp/sysctl.conf" ] || cp "$tmp/sysctl.conf" /etc/sysctl.conf
	fi
	rm -f /etc/sysctl.d/d2tcp.conf /run/sysctl.d/*
	echo 0 >$four/d2tcp/default_budget_us
}
t "10 and 11: a setting of sysctl's files was lost by a reload, or is overridden" lost

units() {
	echo 20 >$four/d2tcp/default_budget_us
	finds unit "default_budget_us is 20, which is shorter than a round trip" \
		"20 ms are 20000"
	echo 20000000 >$four/d2tcp/default_budget_us
	finds unit "ten seconds or more"
	echo 20000 >$four/d2tcp/default_budget_us
	echo 30000 >$four/d2tcp/min_budget_us
	finds floor "below min_budget_us, 30000"
	# a floor may be as short as a round trip
	echo 50 >$four/d2tcp/min_budget_us
	healthy
	echo 0 >$four/d2tcp/min_budget_us
	echo 0 >$four/d2tcp/default_budget_us
}
t "12: a budget in a wrong unit, or below the minimum" units

# connect LISTENER CLIENT ACCEPTED: a connection, with these congestion controls, while
# `finds` and its arguments run
connect() {
	mkfifo "$tmp/ready" "$tmp/end"
	/usr/bin/python3 - "$1" "$2" "$3" "$tmp/ready" "$tmp/end" <<-'E2' &
	import socket, sys
	listener, client, accepted, ready, end = sys.argv[1:]
	l, c = socket.socket(), socket.socket()
	l.setsockopt(6, 13, listener.encode())
	c.setsockopt(6, 13, client.encode())
	l.bind(("127.0.0.1", 7007))
	l.listen()
	c.connect(("127.0.0.1", 7007))
	a, _ = l.accept()
	if accepted:
	    a.setsockopt(6, 13, accepted.encode())
	open(ready, "w").close()
	open(end).read()
	E2
	: <"$tmp/ready"
	shift 3
	"$@"
	: >"$tmp/end"
	wait $!
	rm "$tmp/ready" "$tmp/end"
}
late() {
	# selected on the accepted socket, of a client that does not ask for ECN
	connect cubic cubic d2tcp finds listener \
		"1 accepted connections have no ECN" "port 7007 is under cubic" \
		"select d2tcp on the listener"
	# a client that does not ask for ECN is no problem of this host
	connect d2tcp cubic "" healthy
	says "1 connections under d2tcp, 1 of them without ECN" "$tmp/o"
	connect d2tcp d2tcp "" healthy
	says "2 connections under d2tcp, 0 of them without ECN" "$tmp/o"
	connect cubic d2tcp "" finds peer "one is to 127.0.0.1:7007" \
		"convert the peer first"
}
t "13 and 14: d2tcp on accepted sockets only, and a peer without ECN" late

old() {
	local default
	default=$(cat $four/tcp_congestion_control)
	listen() { echo d2tcp >"$four/tcp_congestion_control"; "$@"; }
	connect cubic cubic "" listen finds listeners \
		"1 listeners are under another" "port 7007 (cubic)" restart
	# what the default allows stays allowed until the list is written
	echo "$default" >$four/tcp_congestion_control
	echo "$before d2tcp" >$four/tcp_allowed_congestion_control
}
t "15: a listener from before d2tcp was the default" old

# space NAME: a network namespace with a listener
space() {
	ip netns add "$1"
	ip netns exec "$1" /usr/bin/python3 -c 'import os, socket, sys
s = socket.socket()
s.listen()
open(sys.argv[1], "w").close()
os.read(os.open(sys.argv[2], os.O_RDWR), 1)' "$tmp/ready" "$tmp/end" &
	: <"$tmp/ready"
}
spaces() {
	local n default
	default=$(cat $four/tcp_congestion_control)
	mkfifo "$tmp/ready" "$tmp/end"
	space red
	# a namespace whose programs do not use d2tcp is none of its business
	healthy
	echo d2tcp >$four/tcp_congestion_control
	finds namespaces "d2tcp is the default in the initial network namespace, but not in 1 others (red)" \
		nsenter
	# a sandbox without sockets lacks nothing
	ip netns add sandbox
	ip netns exec sandbox sh -c "echo $default >$four/tcp_congestion_control"
	finds namespaces "not in 1 others"
	ip netns del sandbox
	for n in 1 2 3 4 5; do space n$n; done
	# those get the default from the initial one
	finds namespaces "not in 1 others"
	echo 20000 >$four/d2tcp/default_budget_us
	finds "namespaces budgets" "there is a default budget" "not in 5 others"
	for n in 1 2 3 4 5; do
		ip netns exec n$n sh -c "echo $default >$four/tcp_congestion_control"
	done
	finds namespaces "not in 6 others" ", ...)"
	# let the listeners end; those in other namespaces keep them alive
	exec 8<>"$tmp/end"
	printf '\n\n\n\n\n\n' >&8
	wait
	exec 8>&-
	for n in 1 2 3 4 5; do ip netns del n$n; done
	echo "$default" >$four/tcp_congestion_control
	echo "$before d2tcp" >$four/tcp_allowed_congestion_control
	echo 0 >$four/d2tcp/default_budget_us
	# its own problems are reported with its name
	ip netns exec red sh -c "echo 5 >$four/d2tcp/default_budget_us"
	finds unit "unit, namespace red: net.ipv4.d2tcp.default_budget_us is 5"
	same "unit red" "$(build/d2tcp doctor --json | /usr/bin/python3 -c '
import json, sys
(p,) = json.load(sys.stdin)["problems"]
print(p["check"], p["netns"])')"
	ip netns del red
	healthy
}
t "16: another namespace differs from the initial one" spaces

user() {
	mkdir "$tmp/bin"
	cp build/d2tcp "$tmp/bin"
	chmod -R a+rX "$tmp"
	status 0 setpriv --reuid 65534 --clear-groups "$tmp/bin/d2tcp" doctor \
		>"$tmp/o" 2>"$tmp/e"
	says "only the current network namespace" "$tmp/e"
	says "0 problems in 1 network namespaces" "$tmp/o"
}
t "other users can check their own namespace" user

end_of_tests
