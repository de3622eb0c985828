#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_upgrade.sh KO - runs inside a kernel: replace the loaded module by
# another build. The upgrade is refused while the module is in use, and lists
# its users.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
ko=$1
tmp=$(mktemp -d)
ip link set lo up

upgrade() {
	sh module/upgrade.sh "$ko" build/d2tcp
}

# A process that has sockets in the state named by its argument, until its
# standard input ends.
hold='
import socket, sys
s = socket.socket()
s.setsockopt(6, socket.TCP_CONGESTION, b"d2tcp")
s.bind(("127.0.0.1", 7001))
if sys.argv[1] != "unconnected":
    s.listen()
    c = socket.socket()
    c.setsockopt(6, socket.TCP_CONGESTION, b"d2tcp")
    c.connect(("127.0.0.1", 7001))
    if sys.argv[1] == "accepted":
        a, _ = s.accept()
    else:
        import time; time.sleep(0.1)
print("ready", flush=True)
sys.stdin.read()
'
held_by() {
	mkfifo "$tmp/in" "$tmp/ready"
	/usr/bin/python3 -c "$hold" "$1" <"$tmp/in" >"$tmp/ready" &
	pid=$!
	exec 7>"$tmp/in"
	read -r _ <"$tmp/ready"
}
let_go() {
	exec 7>&-
	wait "$pid"
	rm "$tmp/in" "$tmp/ready"
}

# As make install, for the running kernel: no headers, so uname -r names it.
installed() {
	local kdir
	kdir=/lib/modules/$(uname -r)/build
	status 1 sh module/install.sh check copy /nowhere build 2>"$tmp/e"
	says "there are no kernel headers at KDIR=/nowhere" "$tmp/e"
	sh module/install.sh check copy "$kdir" build
	sh module/install.sh install copy "$kdir" build
	modprobe tcp_d2tcp
	same "/lib/modules/$(uname -r)/updates/tcp_d2tcp.ko" \
		"$(modinfo -n tcp_d2tcp)"
	rmmod tcp_d2tcp
	sh module/install.sh uninstall no "$kdir" build
	[ -e "/lib/modules/$(uname -r)/updates/tcp_d2tcp.ko" ]
	sh module/install.sh uninstall copy "$kdir" build
	status 1 modprobe tcp_d2tcp
}
t "the module can be loaded by its name from make install to uninstall" installed

none() {
	status 1 build/d2tcp holders 2>"$tmp/e"
	says "not loaded" "$tmp/e"
	upgrade >"$tmp/o"
	says "there was none before" "$tmp/o"
	build/d2tcp holders >"$tmp/o"
	says "nothing holds tcp_d2tcp" "$tmp/o"
}
t "an upgrade loads a module that is not loaded, and nothing holds it" none

refused() {
	echo 5 >/sys/module/tcp_d2tcp/parameters/shift_g
	status 1 upgrade 2>"$tmp/e"
	says "in use and stays as it is" "$tmp/e"
	grep -qE "^process $pid \(python3\), descriptor [0-9]+: 127.0.0.1:7001 to -, (closed|listening)$" "$tmp/e"
	same "$2" "$(grep -c "^process $pid " "$tmp/e")"
	if [ "$1" = queued ]; then
		says "1 more not visible in /proc" "$tmp/e"
	else
		same 0 "$(grep -c ' more not visible in' "$tmp/e")"
	fi
	status 3 build/d2tcp holders >"$tmp/o"
	same "$(tail -n +2 "$tmp/e")" "$(cat "$tmp/o")"
	# the loaded module is unchanged
	same 5 "$(cat /sys/module/tcp_d2tcp/parameters/shift_g)"
}

# holding STATE COUNT: an upgrade while a process has COUNT sockets
holding() {
	local status=0
	held_by "$1"
	# not in a condition, where set -e has no effect
	(set -e; refused "$@") &
	wait $! || status=$?
	let_go
	return $status
}
t "an upgrade is refused for an unconnected socket" holding unconnected 1
t "an upgrade is refused for a listener and a connection" holding accepted 3
t "an upgrade is refused for a connection not yet accepted" holding queued 2

namespace() {
	echo "reno cubic d2tcp" >/proc/sys/net/ipv4/tcp_allowed_congestion_control
	ip netns add blue
	ip netns exec blue sysctl -qw net.ipv4.tcp_congestion_control=d2tcp
	status 1 upgrade 2>"$tmp/e"
	says "network namespace /run/netns/blue: net.ipv4.tcp_congestion_control is d2tcp" \
		"$tmp/e"
	same 0 "$(grep -c ' more not visible in' "$tmp/e")"
	ip netns del blue
}
t "an upgrade is refused while d2tcp is a namespace's default" namespace

kept() {
	echo 7 >/sys/module/tcp_d2tcp/parameters/shift_g
	echo 300 >/sys/module/tcp_d2tcp/parameters/late_d
	echo 30000 >/proc/sys/net/ipv4/d2tcp/default_budget_us
	echo 2000 >/proc/sys/net/ipv4/d2tcp/min_budget_us
	echo "reno cubic d2tcp" >/proc/sys/net/ipv4/tcp_allowed_congestion_control
	# sockets and the namespace of earlier tests are freed with a delay
	for _ in $(seq 100); do
		! upgrade >"$tmp/o" 2>"$tmp/e" || break
		sleep 0.1
	done
	says "loaded $ko" "$tmp/o"
	same "7 300" "$(cd /sys/module/tcp_d2tcp/parameters; cat shift_g late_d | xargs)"
	same "30000 2000" "$(cd /proc/sys/net/ipv4/d2tcp
		cat default_budget_us min_budget_us | xargs)"
	grep -qw d2tcp /proc/sys/net/ipv4/tcp_allowed_congestion_control
}
t "an upgrade keeps parameters and settings" kept

kept_of_the_receiver() {
	rmmod tcp_d2tcp
	insmod "$ko" expect=1
	echo 40000 >/proc/sys/net/ipv4/d2tcp/default_expect_us
	echo 77 >/proc/sys/net/ipv4/d2tcp/expect_max
	echo 940 >/proc/sys/net/ipv4/d2tcp/expect_rate_mbps
	echo 1 >/proc/sys/net/ipv4/d2tcp/expect_echo_ce
	echo 7 >/sys/module/tcp_d2tcp/parameters/shift_g
	upgrade >"$tmp/o" 2>"$tmp/e"
	same Y "$(cat /sys/module/tcp_d2tcp/parameters/expect)"
	same "40000 77 940 1" "$(cd /proc/sys/net/ipv4/d2tcp
		cat default_expect_us expect_max expect_rate_mbps \
			expect_echo_ce | xargs)"
	same "" "$(cat "$tmp/e")"
}
t "an upgrade keeps the settings of expected answers" kept_of_the_receiver

wrong() {
	status 1 sh module/upgrade.sh /nowhere/tcp_d2tcp.ko build/d2tcp 2>"$tmp/e"
	says "cannot read /nowhere/tcp_d2tcp.ko" "$tmp/e"
	printf 'vermagic=1.2.3 SMP\0' >"$tmp/tcp_d2tcp.ko"
	status 1 sh module/upgrade.sh "$tmp/tcp_d2tcp.ko" build/d2tcp 2>"$tmp/e"
	says "is no module for" "$tmp/e"
	grep -q "^7$" /sys/module/tcp_d2tcp/parameters/shift_g
}
t "a missing module, or one for another kernel, changes nothing" wrong

guarded() {
	# with pidfd_getfd() forbidden, holders must report that it could not
	# inspect the sockets, instead of no sockets
	held_by unconnected
	echo 3 >/proc/sys/kernel/yama/ptrace_scope
	status 3 build/d2tcp holders >"$tmp/o"
	let_go
	says "could not be inspected" "$tmp/o"
}
# not every kernel has Yama
[ ! -e /proc/sys/kernel/yama/ptrace_scope ] ||
	t "sockets that cannot be inspected are reported" guarded

user() {
	status 1 setpriv --reuid 65534 sh module/upgrade.sh "$ko" build/d2tcp \
		2>"$tmp/e"
	says "upgrade: needs root: sudo make upgrade" "$tmp/e"
	status 1 setpriv --reuid 65534 build/d2tcp holders 2>"$tmp/e"
	says "needs root" "$tmp/e"
	status 2 build/d2tcp holder 2>"$tmp/e"
	says "unknown command 'holder'" "$tmp/e"
}
t "without root, or with an unknown command, the error says so" user

rm -rf "$tmp"
end_of_tests
