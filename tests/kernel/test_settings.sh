#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_settings.sh KO - runs inside a kernel: d2tcp route and d2tcp default-budget.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
ko=$1
tmp=$(mktemp -d)
d2tcp=$PWD/build/d2tcp
setting=/proc/sys/net/ipv4/d2tcp/default_budget_us
saved=/etc/sysctl.d/60-d2tcp-default-budget.conf
PATH=$PATH:/usr/sbin:/sbin
mkdir -p /etc/sysctl.d

unloaded() {
	status 1 "$d2tcp" default-budget 2>"$tmp/e"
	says "the module tcp_d2tcp is not loaded; load it with modprobe tcp_d2tcp" "$tmp/e"
	status 1 "$d2tcp" default-budget 20ms --save 2>"$tmp/e"
	says "is not loaded" "$tmp/e"
	[ ! -e $saved ]
	[ ! -e $saved.new ]
}
t "without the module default-budget says so, and saves nothing" unloaded

ip link set lo up
ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip address add 10.1.1.5/24 dev v0
ip address add fd01::5/64 dev v0 nodad
insmod "$ko" || exit 1

budget() {
	same off "$("$d2tcp" default-budget)"
	status 0 "$d2tcp" default-budget 20ms
	same 20000 "$(cat $setting)"
	same 20000us "$("$d2tcp" default-budget)"
	[ ! -e $saved ]
	status 0 "$d2tcp" default-budget 2s --save
	same 2000000us "$("$d2tcp" default-budget)"
	status 0 "$d2tcp" default-budget off
	same 0 "$(cat $setting)"
	# as at boot
	sysctl -q -p $saved
	same 2000000 "$(cat $setting)"
	status 0 "$d2tcp" default-budget off --save
	[ ! -e $saved ]
	same off "$("$d2tcp" default-budget)"
}
t "default-budget shows, sets, saves and ends the default" budget

refused() {
	local bad
	for bad in 20 0ms 3h -1ms 2200s "20ms 30ms" "20ms --save x" "--save"; do
		# shellcheck disable=SC2086 # several arguments
		status 2 "$d2tcp" default-budget $bad 2>"$tmp/e"
		[ -s "$tmp/e" ]
	done
	same 0 "$(cat $setting)"
	for bad in "" add "add 10.0.0.0/8 x" "del" "add 0.0.0.0/0" "add ::/0" \
		"add 10.0.0.1/8" "add 10.0.0.0/33" "add fd00::1/8" "add fd00::/129" \
		"add x" "add 10.0.0/8" "add 10.0.0.0/8x" "change 10.0.0.0/8"; do
		# shellcheck disable=SC2086 # several arguments
		status 2 "$d2tcp" route $bad 2>"$tmp/e"
		[ -s "$tmp/e" ]
	done
	status 2 "$d2tcp" route add 0.0.0.0/0 2>"$tmp/e"
	says "includes the Internet, where d2tcp must not be used" "$tmp/e"
	same "" "$(ip route show | grep congctl)"
}
t "wrong arguments are refused with exit status 2, and nothing changes" refused

# cc ADDRESS: the congestion control of a new connection to it
cc() {
	/usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setblocking(False)
s.connect_ex((sys.argv[1], 9))
print(s.getsockopt(6, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode())' "$1"
}

existing() {
	local before
	ip route change 10.1.1.0/24 dev v0 src 10.1.1.5 rto_min 10ms mtu lock 1400
	before=$(ip route show exact 10.1.1.0/24)
	status 0 "$d2tcp" route add 10.1.1.0/24 >"$tmp/o"
	says "route change 10.1.1.0/24 dev v0" "$tmp/o"
	same d2tcp "$(cc 10.1.1.9)"
	ip route show exact 10.1.1.0/24 >"$tmp/o"
	says "rto_min lock 10ms" "$tmp/o"
	says "mtu lock 1400" "$tmp/o"
	# again, and with another algorithm in its place
	status 0 "$d2tcp" route add 10.1.1.0/24 >"$tmp/o"
	same 1 "$(ip route show exact 10.1.1.0/24 | grep -c d2tcp)"
	status 0 "$d2tcp" route del 10.1.1.0/24 >"$tmp/o"
	same "$before" "$(ip route show exact 10.1.1.0/24)"
	[ "$(cc 10.1.1.9)" != d2tcp ]
	status 1 "$d2tcp" route del 10.1.1.0/24 2>"$tmp/e"
	says "no route to 10.1.1.0/24 has congctl d2tcp" "$tmp/e"
}
t "route changes an existing route, keeps its other attributes, and restores it" existing

other() {
	ip route change 10.1.1.0/24 dev v0 congctl lock reno
	status 0 "$d2tcp" route add 10.1.1.0/24 >"$tmp/o"
	same d2tcp "$(cc 10.1.1.9)"
	same 1 "$(ip route show exact 10.1.1.0/24 | grep -o congctl | wc -l)"
	status 0 "$d2tcp" route del 10.1.1.0/24 >"$tmp/o"
}
t "route replaces another congestion control" other

new() {
	ip route add default via 10.1.1.1
	status 0 "$d2tcp" route add 10.0.0.0/8 >"$tmp/o"
	says "route add 10.0.0.0/8 via 10.1.1.1 dev v0 proto 210 congctl d2tcp" "$tmp/o"
	same d2tcp "$(cc 10.9.9.9)"
	[ "$(cc 192.0.2.1)" != d2tcp ]
	status 0 "$d2tcp" route del 10.0.0.0/8 >"$tmp/o"
	same "" "$(ip route show exact 10.0.0.0/8)"
	ip route del default
	status 1 "$d2tcp" route add 10.0.0.0/8 2>"$tmp/e"
	says "Network is unreachable" "$tmp/e"
}
t "a prefix without a route gets one by the present next hop, until it is deleted" new

version6() {
	status 0 "$d2tcp" route add fd01::/64 >"$tmp/o"
	same d2tcp "$(cc fd01::9)"
	status 0 "$d2tcp" route del fd01::/64 >"$tmp/o"
	[ "$(cc fd01::9)" != d2tcp ]
	ip -6 route add default via fd01::1
	status 0 "$d2tcp" route add fd00::/8 >"$tmp/o"
	same d2tcp "$(cc fd77::9)"
	status 0 "$d2tcp" route del fd00::/8 >"$tmp/o"
	same "" "$(ip -6 route show exact fd00::/8)"
	ip -6 route del default
}
t "the same for IPv6" version6

several() {
	# the lab's own kernels have no multipath routes
	if ip route add 10.7.0.0/16 nexthop via 10.1.1.1 nexthop via 10.1.1.2; then
		status 1 "$d2tcp" route add 10.7.0.0/16 2>"$tmp/e"
		says "10.7.0.0/16 has several routes or next hops" "$tmp/e"
		ip route del 10.7.0.0/16
	fi
	ip route add 10.7.0.0/16 via 10.1.1.1 metric 10
	ip route add 10.7.0.0/16 via 10.1.1.2 metric 20
	status 1 "$d2tcp" route add 10.7.0.0/16 2>"$tmp/e"
	says "several routes" "$tmp/e"
	same "" "$(ip route show | grep congctl)"
}
t "several routes or next hops are refused, and left as they are" several

end_of_tests
