#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_stats.sh KO - runs inside a kernel: d2tcp stats shows the counters of each
# network namespace, with a name or without, as text, as JSON and for Prometheus.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
ko=$1
tmp=$(mktemp -d)

# A connection over lo: three messages with a deadline, one of them late.
talk='
import socket
l, c = socket.socket(), socket.socket()
for s in l, c:
    s.setsockopt(6, socket.TCP_CONGESTION, b"d2tcp")
l.bind(("127.0.0.1", 7001))
l.listen()
c.connect(("127.0.0.1", 7001))
a, _ = l.accept()
for ns in 10**12, 10**12, 0:
    c.setsockopt(0, 0xd200, ns.to_bytes(8, "little") + bytes(8) +
                 (1).to_bytes(8, "little"))
    c.send(b"x")
    a.recv(1)
    a.send(b"y")
    c.recv(1)
'

refused() {
	status 1 build/d2tcp stats 2>"$tmp/e"
	says "the module tcp_d2tcp is not loaded" "$tmp/e"
	status 2 build/d2tcp stats --jsn 2>"$tmp/e"
	says "takes --json, --prometheus or --listen PORT, not '--jsn'" "$tmp/e"
	status 2 build/d2tcp stats --json --prometheus 2>"$tmp/e"
	same "" "$(build/d2tcp stats 2>/dev/null)"
}
t "without the module, or with a wrong option, it says so" refused

insmod "$ko" expect=1 || exit 1
mount -t tmpfs run /run
ip netns add blue
ip -n blue link set lo up
ip netns exec blue /usr/bin/python3 -c "$talk" || exit 1
# a namespace without a name
mkfifo "$tmp/in" "$tmp/ready"
unshare -n sh -c 'echo ready; read -r _' <"$tmp/in" >"$tmp/ready" &
exec 7>"$tmp/in"
read -r _ <"$tmp/ready"
inode=net:$(stat -Lc %i "/proc/$!/ns/net")
# a file whose namespace is gone
: >/run/netns/stale

text() {
	build/d2tcp stats >"$tmp/o"
	same "$(printf '%s\n' blue init "$inode" | sort)" \
		"$(sed -n 's/^network namespace //p' "$tmp/o" | sort)"
	sed -n '/namespace blue/,/^$/p' "$tmp/o" >"$tmp/blue"
	same "3 2 1" "$(awk '{ v[$1] = $2 } END {
		print v["D2tcpArmed"], v["D2tcpMet"], v["D2tcpMissed"] }' \
		"$tmp/blue")"
	says "messages with a deadline: 1 of 3 missed (33.3 %)" "$tmp/blue"
	says "expected answers: none" "$tmp/blue"
	sed -n '/namespace init/,/^$/p' "$tmp/o" >"$tmp/init"
	says "messages with a deadline: none" "$tmp/init"
	# the same counters as the namespace itself shows
	same "$(ip netns exec blue cat /proc/net/d2tcp)" \
		"$(grep ^D2tcp "$tmp/blue")"
}
t "the counters of each namespace are shown, and the share missed" text

json() {
	build/d2tcp stats --json >"$tmp/o"
	same "['blue', 'init', '$inode'] 3 18" "$(/usr/bin/python3 -c '
import json, sys
spaces = {n["netns"]: n["counters"] for n in json.load(sys.stdin)["namespaces"]}
print(sorted(spaces), spaces["blue"]["D2tcpArmed"], len(spaces["init"]))' \
		<"$tmp/o")"
}
t "--json is one object" json

# Each metric has a HELP, a TYPE and its samples, in this order and together.
prometheus() {
	build/d2tcp stats --prometheus >"$tmp/o"
	grep -qx 'd2tcp_missed_total{netns="blue"} 1' "$tmp/o"
	grep -qx 'd2tcp_flows_no_ecn_total{netns="init"} 0' "$tmp/o"
	grep -qx '# TYPE d2tcp_bytes_held_total counter' "$tmp/o"
	same "$(wc -l </proc/net/d2tcp)" "$(grep -c '^# HELP' "$tmp/o")"
	sed 's/^# \([A-Z]*\) \([a-z0-9_]*\) .*/\2 \1/; s/{.*/ sample/' "$tmp/o" |
		awk '{ print $2 > "'"$tmp"'/kinds"; print $1 }' | uniq -c |
		awk '{ print $1 }' | sort -u >"$tmp/each"
	same 5 "$(cat "$tmp/each")"
	same "HELP TYPE sample sample sample" "$(head -n5 "$tmp/kinds" | xargs)"
}
t "--prometheus has each metric with its samples together" prometheus

scrape() {
	/usr/bin/python3 - "$1" "$2" <<-'E2'
	import http.client, sys
	c = http.client.HTTPConnection("127.0.0.1", 9101, timeout=60)
	c.request(sys.argv[1], sys.argv[2])
	r = c.getresponse()
	print(r.status, r.headers["Content-Type"])
	print(r.read().decode(), end="")
	E2
}

# OpenMetrics names the family, without _total, in HELP and TYPE, and ends with EOF.
listening() {
	local silent
	build/d2tcp stats --listen 9101 &
	echo $! >"$tmp/server"
	until scrape GET /metrics >"$tmp/o" 2>"$tmp/e"; do sleep 0.1; done
	same "200 application/openmetrics-text; version=1.0.0; charset=utf-8" \
		"$(head -n 1 "$tmp/o")"
	grep -qx '# TYPE d2tcp_missed counter' "$tmp/o"
	grep -qx 'd2tcp_missed_total{netns="blue"} 1' "$tmp/o"
	same "# EOF" "$(tail -n 1 "$tmp/o")"
	# the same samples as for node_exporter
	same "$(build/d2tcp stats --prometheus | grep -v '^#')" \
		"$(sed 1d "$tmp/o" | grep -v '^#')"
	scrape GET "/metrics?name=x" >"$tmp/o"
	says "200 application/openmetrics-text" "$tmp/o"
	same "404 text/plain" "$(scrape GET /metricsx | head -n 1)"
	same "405 text/plain" "$(scrape POST /metrics | head -n 1)"
	# a client that sends nothing does not keep others waiting for long
	exec {silent}<>/dev/tcp/127.0.0.1/9101
	same 200 "$(scrape GET /metrics | head -c 3)"
	exec {silent}>&-
	status 1 build/d2tcp stats --listen 127.0.0.1:9101 2>"$tmp/e"
	says "127.0.0.1:9101: Address already in use" "$tmp/e"
	for bad in 0 65536 x 1x :1 1.2.3.4.5:6 ::1:4 "[::1]" host:80; do
		status 2 build/d2tcp stats --listen "$bad" 2>"$tmp/e"
		says "takes PORT, ADDRESS:PORT or [IPV6]:PORT" "$tmp/e"
	done
	status 2 build/d2tcp stats --listen 2>"$tmp/e"
}
t "--listen serves OpenMetrics" listening
kill "$(cat "$tmp/server")"

# One counter of a namespace that a user other than root is in.
unprivileged() {
	cp build/d2tcp "$tmp/d2tcp"
	chmod 755 "$tmp" "$tmp/d2tcp"
	setpriv --reuid 65534 "$tmp/d2tcp" stats >"$tmp/o" 2>"$tmp/e"
	says "only the current network namespace" "$tmp/e"
	same "network namespace own" "$(grep '^network' "$tmp/o")"
	says D2tcpArmed "$tmp/o"
	# as root without the capability
	setpriv --bounding-set -sys_admin "$tmp/d2tcp" stats >"$tmp/o" 2>"$tmp/e"
	says "only the current network namespace" "$tmp/e"
	same "network namespace own" "$(grep '^network' "$tmp/o")"
}
# a name of two lines, a quote and a backslash, and one that has another meaning
named() {
	local odd=$'a\nb"c\\d'
	unshare -n sh -c ': >"$1"; mount --bind /proc/self/ns/net "$1"' - \
		"/run/netns/$odd"
	ip netns add init
	build/d2tcp stats --prometheus >"$tmp/o"
	grep -qxF 'd2tcp_met_total{netns="a\nb\"c\\d"} 0' "$tmp/o"
	grep -qxF 'd2tcp_met_total{netns="/run/netns/init"} 0' "$tmp/o"
	grep -qxF 'd2tcp_met_total{netns="init"} 0' "$tmp/o"
	same "$odd" "$(build/d2tcp stats --json | /usr/bin/python3 -c '
import json, sys
print(next(n["netns"] for n in json.load(sys.stdin)["namespaces"]
           if n["netns"].startswith("a")))')"
}
t "names of namespaces are escaped, and unique" named
t "other users see their own namespace" unprivileged

full() {
	status 1 sh -c 'build/d2tcp stats >/dev/full' 2>"$tmp/e"
	says "No space left" "$tmp/e"
}
t "a full disk is an error" full

exec 7>&-
wait
end_of_tests
