#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test_run.sh KO - runs inside a kernel: d2tcp run sets budgets and expectations on
# the sockets of programs that know nothing of them, and says where it could not.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
ko=$1
tmp=$(mktemp -d)
run=build/d2tcp
py=/usr/bin/python3

# options FD: the congestion control, budget and standing expectation of a socket
cat >"$tmp/options.py" <<'E2'
import socket
import struct


def options(s):
    name = s.getsockopt(6, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    try:
        budget = s.getsockopt(0, 0xd201)
    except OSError:
        budget = "-"
    try:
        info = s.getsockopt(0, 0xd204, 80)
        standing = struct.unpack("Q", info[48:56])[0]
    except OSError:
        standing = "-"
    return "%s %s %s" % (name, budget, standing)
E2
# a server and its client in one program
cat >"$tmp/pair.py" <<'E2'
import socket
from options import options
l, c = socket.socket(), socket.socket(socket.AF_INET)
l.bind(("127.0.0.1", 0))
l.listen()
c.connect(l.getsockname())
a, _ = l.accept()
# an accepted socket inherits its expectation when it sends
a.send(b"x")
c.recv(1)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for s in l, c, a:
    print(options(s))
E2
export PYTHONPATH=$tmp PYTHONDONTWRITEBYTECODE=1

usage() {
	status 2 $run run 2>"$tmp/e"
	says "--budget, --expect or both are required" "$tmp/e"
	status 2 $run run --budget 20ms 2>"$tmp/e"
	says "no program given" "$tmp/e"
	status 2 $run run --budgets 20ms true 2>"$tmp/e"
	says "unknown option '--budgets'" "$tmp/e"
	status 2 $run run --budget 2>"$tmp/e"
	says "d2tcp run: --budget takes a time" "$tmp/e"
	for bad in 20 ms 20m 20min -5ms "" 1.5ms "20 ms"; do
		status 2 $run run --budget "$bad" true 2>"$tmp/e"
		says "--budget: a whole number with a unit, us, ms or s, as in 20ms; not '$bad'" "$tmp/e"
	done
	for bad in 0us 0s 2148s 99999999999999999999us 2147483648us; do
		status 2 $run run --expect "$bad" true 2>"$tmp/e"
		says "--expect: from 1us to 2147s, not '$bad'" "$tmp/e"
	done
	status 127 $run run --budget 1ms "$tmp/none" 2>"$tmp/e"
	same "d2tcp run: $tmp/none: No such file or directory" "$(cat "$tmp/e")"
}
t "wrong usage is refused, and the message says what is allowed" usage

absent() {
	echo 'import socket; s = socket.socket(); print(s.getsockopt(6, 13, 16)[:5])' \
		>"$tmp/one.py"
	status 0 $run run --budget 20ms -- $py "$tmp/one.py" >"$tmp/o" 2>"$tmp/e"
	says "1 of 1 TCP sockets have no deadlines: the module tcp_d2tcp is not loaded" "$tmp/e"
	# the program works all the same
	[ "$(cat "$tmp/o")" != "b'd2tcp'" ]
	status 0 $run run --expect 20ms -- $py "$tmp/one.py" >"$tmp/o" 2>"$tmp/e"
	says "was loaded without expect=1" "$tmp/e"
}
t "without the module the program runs, and the reason is given" absent

ip link set lo up
insmod "$ko" expect=1 || exit 1

sockets() {
	$run run --budget 20ms -- $py "$tmp/pair.py" >"$tmp/o" 2>"$tmp/e"
	# the accepted socket inherits
	same "d2tcp 20000 0,d2tcp 20000 0,d2tcp 20000 0" "$(paste -sd, "$tmp/o")"
	same "" "$(cat "$tmp/e")"
	$run run --expect 3s -- $py "$tmp/pair.py" >"$tmp/o"
	other=$(cat /proc/sys/net/ipv4/tcp_congestion_control)
	same "$other - 3000000000,$other - 3000000000,$other - 3000000000" \
		"$(paste -sd, "$tmp/o")"
	$run run --budget 500us --expect 30ms --verbose -- $py "$tmp/pair.py" \
		>"$tmp/o" 2>"$tmp/e"
	same "d2tcp 500 30000000" "$(sort -u "$tmp/o")"
	same "d2tcp run: 2 TCP sockets in 1 programs" "$(cat "$tmp/e")"
}
t "each TCP socket of the program has the options" sockets

# A failed connect clears them, and a listener may come from another process.
again() {
	cat >"$tmp/again.py" <<-'E2'
	import os, socket, sys
	from options import options
	if len(sys.argv) == 1:
	    l = socket.socket()
	    l.bind(("127.0.0.1", 7002))
	    c = socket.socket()
	    try:
	        c.connect(("127.0.0.1", 7003))
	    except OSError:
	        pass
	    l.listen()
	    c.connect(("127.0.0.1", 7002))
	    print(options(c))
	    # its own choice stays
	    o = socket.socket()
	    o.setsockopt(6, socket.TCP_CONGESTION, b"reno")
	    o.connect(("127.0.0.1", 7002))
	    print(options(o))
	else:
	    l = socket.socket(fileno=int(sys.argv[1]))
	    l.listen()
	    print(options(l))
	E2
	$run run --budget 20ms -- $py "$tmp/again.py" >"$tmp/o"
	same "d2tcp 20000 0,reno - 0" "$(paste -sd, "$tmp/o")"
	cat >"$tmp/activate.py" <<-'E2'
	import os, socket, sys
	s = socket.socket()
	s.bind(("127.0.0.1", 0))
	os.set_inheritable(s.fileno(), True)
	os.execvp(sys.argv[1], sys.argv[1:] + [str(s.fileno())])
	E2
	$py "$tmp/activate.py" $run run --budget 20ms -- $py "$tmp/again.py" \
		>"$tmp/o" 2>"$tmp/e"
	same "d2tcp 20000 0" "$(cat "$tmp/o")"
	same "" "$(cat "$tmp/e")"
}
t "also after a failed connect, and a listener that it was given" again

preloaded() {
	printf 'int d2tcp_test;\n' >"$tmp/other.c"
	gcc -shared -fPIC -o "$tmp/other.so" "$tmp/other.c"
	LD_PRELOAD=$tmp/other.so $run run --budget 1ms -- sh -c \
		'echo "$LD_PRELOAD"; cat /proc/self/maps' >"$tmp/o" 2>/dev/null
	same "$PWD/build/libd2tcp-preload.so:$tmp/other.so" "$(head -n1 "$tmp/o")"
	says "$tmp/other.so" "$tmp/o"
}
t "a library that was preloaded already stays" preloaded

nothing() {
	$run run --budget 1ms -- true 2>"$tmp/e"
	says "true has no deadlines: it opened no TCP socket" "$tmp/e"
	printf 'int main(void) { return 3; }\n' >"$tmp/static.c"
	gcc -static -o "$tmp/static" "$tmp/static.c"
	status 3 $run run --budget 1ms -- "$tmp/static" 2>"$tmp/e"
	says "static has no deadlines: it did not load the shim" "$tmp/e"
	says "linked statically" "$tmp/e"
	# another user, who may not select it
	mkdir "$tmp/bin"
	cp build/d2tcp build/libd2tcp-preload.so "$tmp/bin"
	chmod -R a+rX "$tmp"
	setpriv --reuid 65534 --clear-groups "$tmp/bin/d2tcp" run --budget 1ms -- \
		$py "$tmp/pair.py" >"$tmp/o" 2>"$tmp/e"
	says "2 of 2 TCP sockets have no deadlines: this user may not select d2tcp" "$tmp/e"
	says tcp_allowed_congestion_control "$tmp/e"
}
t "a program without deadlines is reported, with the reason" nothing

ends() {
	status 7 $run run --budget 1ms -- sh -c 'exit 7' 2>/dev/null
	status 137 $run run --budget 1ms -- sh -c 'kill -9 $$' 2>/dev/null
	mkfifo "$tmp/ready"
	$run run --budget 1ms -- sh -c 'trap "exit 9" TERM; echo >"$1"; while :; do sleep 0.01; done' \
		- "$tmp/ready" 2>/dev/null &
	read -r _ <"$tmp/ready"
	kill $!
	status 9 wait $!
}
t "the exit status is the program's, and SIGTERM reaches it" ends

end_of_tests
