#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_tracing.sh KO - runs inside a stock kernel: executes the trace-cmd and
# bpftrace commands of docs/tracing.md as they are written there.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
tmp=$(mktemp -d)
doc=$PWD/docs/tracing.md
insmod "$1" || exit 1
ip link set lo up

# Sends thirty messages on one connection; every third misses its deadline.
cat >"$tmp/program" <<'END'
import socket
server = socket.socket()
server.setsockopt(6, socket.TCP_CONGESTION, b"d2tcp")
server.bind(("127.0.0.1", 5002))
server.listen()
client = socket.socket()
client.setsockopt(6, socket.TCP_CONGESTION, b"d2tcp")
client.connect(("127.0.0.1", 5002))
peer, _ = server.accept()
for i in range(30):
    client.setsockopt(0, 0xD200, 60000000 if i % 3 else 1)
    client.sendall(b"x" * 30000)
    got = 0
    while got < 30000:
        got += len(peer.recv(65536))
END

# from_doc WORDS PROGRAM: print the command in docs/tracing.md that starts with
# WORDS, with ./program replaced by PROGRAM
from_doc() {
	local line
	line=$(sed -n "s/^    # \($1 .*\)/\1/p" "$doc")
	[ -n "$line" ]
	printf '%s\n' "${line//.\/program/$2}"
}

trace_cmd() {
	cd "$tmp"
	from_doc "trace-cmd record" "/usr/bin/python3 $tmp/program" >c
	bash -e c
	from_doc "trace-cmd report" "" >c
	bash -e c >o
	# the last message may not be acknowledged yet when the trace ends
	[ "$(grep -c 'd2tcp_arm: .* left=60000000000 bytes=0 ' o)" = 20 ]
	[ "$(grep -c 'd2tcp_settle: .* late=[1-9][0-9]* ' o)" -ge 9 ]
	grep -q 'd2tcp_settle: .* saddr=::ffff:127.0.0.1 .* late=-[0-9]* end=' o
}
t "the trace-cmd commands of docs/tracing.md work" trace_cmd

bpf() {
	cd "$tmp"
	from_doc "bpftrace -e" "'/usr/bin/python3 $tmp/program'" >c
	bash -e c >o
	grep -qE '^@settled\[0\]: (19|20)$' o
	grep -qE '^@settled\[1\]: (9|10)$' o
	grep -q '^@late_us' o
}
t "the bpftrace command of docs/tracing.md works" bpf

rm -rf "$tmp"
end_of_tests
