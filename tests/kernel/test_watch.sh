#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_watch.sh KO - runs inside a kernel: d2tcp watch shows the flows with deadlines and
# with expected answers, of all processes and network namespaces.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
ko=$1
tmp=$(mktemp -d)

usage() {
	status 1 build/d2tcp watch 2>"$tmp/e"
	says "the module tcp_d2tcp is not loaded" "$tmp/e"
	for bad in 0 -1 x ""; do
		status 2 build/d2tcp watch --count "$bad" 2>"$tmp/e"
		says "--count: a whole number from 1, not '$bad'" "$tmp/e"
	done
	status 2 build/d2tcp watch --interval 5 2>"$tmp/e"
	says "a whole number with a unit, us, ms or s" "$tmp/e"
	status 2 build/d2tcp watch --count 2>"$tmp/e"
	says "--count takes a value" "$tmp/e"
	status 2 build/d2tcp watch --every 2>"$tmp/e"
	says "unknown option '--every'" "$tmp/e"
}
t "wrong usage is refused, and the message says what is allowed" usage

insmod "$ko" expect=1 || exit 1
mount -t tmpfs run /run
ip link set lo up
ip netns add blue
ip -n blue link set lo up

none() {
	build/d2tcp watch --count 1 >"$tmp/o"
	says "no flows with deadlines or expected answers" "$tmp/o"
	same '{"flows": []}' "$(build/d2tcp watch --count 1 --json)"
}
t "without flows it says so" none

# Four connections: one with a message due in ten minutes, one whose message is late, one that
# expects an answer, and one without deadlines.
cat >"$tmp/flows.py" <<'E2'
import socket
import struct
import sys

kept = []


def pair(port, cong):
    l, c = socket.socket(), socket.socket()
    for s in l, c:
        s.setsockopt(6, socket.TCP_CONGESTION, cong)
    l.bind(("127.0.0.1", port))
    l.listen()
    c.connect(("127.0.0.1", port))
    a, _ = l.accept()
    kept.extend((l, c, a))
    return c, a


def deadline(ns, length, flags=1):
    return struct.pack("QQII", ns, length, flags, 0)


c, a = pair(7001, b"d2tcp")
c.setsockopt(0, 0xd200, deadline(600 * 10**9, 1000))
c.send(b"x")
a.recv(1)
c, a = pair(7002, b"d2tcp")
c.setsockopt(0, 0xd200, deadline(0, 5))
c.send(b"x")
a.recv(1)
c, a = pair(7003, b"cubic")
c.setsockopt(0, 0xd203, deadline(900 * 10**9, 2000))
c.send(b"x")
a.recv(1)
a.send(b"y")
c.recv(1)
pair(7004, b"d2tcp")
open(sys.argv[1], "w").close()
open(sys.argv[2]).read()
E2
mkfifo "$tmp/ready" "$tmp/end"
ip netns exec blue /usr/bin/python3 "$tmp/flows.py" "$tmp/ready" "$tmp/end" &
flows=$!
: <"$tmp/ready"

text() {
	build/d2tcp watch --count 1 >"$tmp/o"
	# the most urgent first, and the connection without deadlines not at all
	same "127.0.0.1:7002 127.0.0.1:7001 127.0.0.1:7003" \
		"$(awk '$1 ~ /^[0-9]+$/ { print $4 }' "$tmp/o" | paste -sd' ')"
	same "python3" "$(awk '$1 ~ /^[0-9]+$/ { print $2 }' "$tmp/o" | sort -u)"
	same "aware,aware,expects" \
		"$(awk '$1 ~ /^[0-9]+$/ { print $5 }' "$tmp/o" | paste -sd,)"
	# late by some time; ten minutes; and fifteen in the other group of columns
	awk '/:7002/ { exit !($9 <= 0 && $10 == 0 && $12 == "-") }' "$tmp/o"
	awk '/:7001/ { exit !($9 > 500000 && $9 <= 600000 && $12 == "-") }' "$tmp/o"
	awk '/:7003/ { exit !($6 == "-" && $9 == "-" && $12 > 800000 && $12 <= 900000) }' \
		"$tmp/o"
	build/d2tcp watch --count 1 --all >"$tmp/o"
	# both ends of the connections under d2tcp, and that one
	same 7 "$(grep -c "python3" "$tmp/o")"
	says ":7004" "$tmp/o"
}
t "flows of another namespace are shown, the most urgent first" text

machine() {
	build/d2tcp watch --count 2 --interval 10ms --json >"$tmp/o"
	same 2 "$(wc -l <"$tmp/o")"
	same "[(7001, 'aware', 1, 999, False), (7002, 'aware', 1, 4, True)] (1, 2000, 1, True)" \
		"$(tail -n1 "$tmp/o" | /usr/bin/python3 -c '
import json, sys
flows = {int(f["peer"].split(":")[1]): f for f in json.load(sys.stdin)["flows"]}
print([(p, f["state"], f["outstanding"], f["bytes_left"], f["time_left_ns"] < 0)
       for p, f in sorted(flows.items()) if p < 7003],
      (lambda e: (e["outstanding"], e["bytes"], e["arrived"],
                  e["time_left_ns"] > 8e11))(flows[7003]["expected"]))')"
}
t "--json has one object per line" machine

user() {
	mkdir "$tmp/bin"
	cp build/d2tcp "$tmp/bin"
	chmod -R a+rX "$tmp"
	status 0 setpriv --reuid 65534 --clear-groups "$tmp/bin/d2tcp" watch \
		--count 1 >"$tmp/o" 2>"$tmp/e"
	says "no flows with deadlines or expected answers among this user's processes" "$tmp/o"
	same "" "$(cat "$tmp/e")"
}
t "other users see their own processes" user

: >"$tmp/end"
wait $flows
end_of_tests
