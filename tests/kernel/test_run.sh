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
run=$PWD/build/d2tcp
py=/usr/bin/python3

# run_to_end FILE ARGUMENT...: d2tcp run, until the process that reports has ended too;
# its messages go to FILE
run_to_end() {
	local to=$1
	shift
	{ "$run" run "$@" 2>&1 >&9 9>&- | cat >"$to"; } 9>&1
	return "${PIPESTATUS[0]}"
}

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
	status 2 "$run" run 2>"$tmp/e"
	says "--budget, --expect or both are required" "$tmp/e"
	status 2 "$run" run --budget 20ms 2>"$tmp/e"
	says "no program given" "$tmp/e"
	status 2 "$run" run --budgets 20ms true 2>"$tmp/e"
	says "unknown option '--budgets'" "$tmp/e"
	status 2 "$run" run --budget 2>"$tmp/e"
	says "d2tcp run: --budget takes a time" "$tmp/e"
	for bad in 20 ms 20m 20min -5ms "" 1.5ms "20 ms"; do
		status 2 "$run" run --budget "$bad" true 2>"$tmp/e"
		says "--budget: a whole number with a unit, us, ms or s, as in 20ms; not '$bad'" "$tmp/e"
	done
	for bad in 0us 0s 2148s 99999999999999999999us 2147483648us; do
		status 2 "$run" run --expect "$bad" true 2>"$tmp/e"
		says "--expect: from 1us to 2147s, not '$bad'" "$tmp/e"
	done
	status 127 run_to_end "$tmp/e" --budget 1ms "$tmp/none"
	same "d2tcp run: $tmp/none: No such file or directory" "$(cat "$tmp/e")"
}
t "wrong usage is refused, and the message says what is allowed" usage

absent() {
	echo 'import socket; s = socket.socket(); s.listen(); print(s.getsockopt(6, 13, 16)[:5])' \
		>"$tmp/one.py"
	status 0 run_to_end "$tmp/e" --budget 20ms -- $py "$tmp/one.py" >"$tmp/o"
	says "1 of 1 TCP sockets have no budget: the module tcp_d2tcp is not loaded" "$tmp/e"
	# the program works all the same
	[ "$(cat "$tmp/o")" != "b'd2tcp'" ]
	status 0 run_to_end "$tmp/e" --budget=20ms --expect=20ms -- \
		$py "$tmp/one.py" >"$tmp/o"
	says "1 of 1 TCP sockets have no budget: the module" "$tmp/e"
	says "1 of 1 TCP sockets have no expectation: the module tcp_d2tcp is not loaded, is too old or was loaded without expect=1" "$tmp/e"
}
t "without the module the program runs, and the reason is given" absent

ip link set lo up
insmod "$ko" expect=1 || exit 1

sockets() {
	run_to_end "$tmp/e" --budget 20ms -- $py "$tmp/pair.py" >"$tmp/o"
	# the accepted socket inherits
	same "d2tcp 20000 0,d2tcp 20000 0,d2tcp 20000 0" "$(paste -sd, "$tmp/o")"
	same "" "$(cat "$tmp/e")"
	"$run" run --expect 3s -- $py "$tmp/pair.py" >"$tmp/o"
	other=$(cat /proc/sys/net/ipv4/tcp_congestion_control)
	same "$other - 3000000000,$other - 3000000000,$other - 3000000000" \
		"$(paste -sd, "$tmp/o")"
	run_to_end "$tmp/e" --budget 500us --expect 30ms --verbose -- \
		$py "$tmp/pair.py" >"$tmp/o"
	same "d2tcp 500 30000000" "$(sort -u "$tmp/o")"
	same "d2tcp run: 2 TCP sockets in 1 programs" "$(cat "$tmp/e")"
}
t "each TCP socket of the program has the options" sockets

# A connection that expects before its SYN advertises no window until its first request.
greeting() {
	cat >"$tmp/greeting.py" <<-'E2'
	import socket, time
	l = socket.create_server(("127.0.0.1", 0))
	c = socket.create_connection(l.getsockname())
	a = l.accept()[0]
	a.send(b"220 ready")
	start = time.monotonic()
	c.recv(9)
	print("at once" if time.monotonic() - start < 0.1 else "late")
	E2
	"$run" run --expect 3s -- $py "$tmp/greeting.py" >"$tmp/o"
	same "at once" "$(cat "$tmp/o")"
}
t "a server that speaks first need not wait" greeting

# A failed connect clears them; what the program chose itself stays.
again() {
	cat >"$tmp/again.py" <<-'E2'
	import socket
	from options import options
	l = socket.socket()
	l.setsockopt(6, socket.TCP_CONGESTION, b"reno")
	l.bind(("127.0.0.1", 7002))
	c = socket.socket()
	try:
	    c.connect(("127.0.0.1", 7003))
	except OSError:
	    pass
	l.listen()
	c.connect(("127.0.0.1", 7002))
	o = socket.socket()
	o.setsockopt(6, socket.TCP_CONGESTION, b"reno")
	o.connect(("127.0.0.1", 7002))
	b = socket.socket()
	b.setsockopt(0, 0xd201, 5000)
	b.connect(("127.0.0.1", 7002))
	for s in l, c, o, b:
	    print(options(s))
	E2
	"$run" run --budget 20ms -- $py "$tmp/again.py" >"$tmp/o"
	same "reno - 0,d2tcp-reno 20000 0,reno - 0,d2tcp-reno 5000 0" "$(paste -sd, "$tmp/o")"
}
t "also after a failed connect, but not what the program chose itself" again

# Listeners of another process, as of systemd: bound, or listening already. The program
# keeps its process id, by which systemd knows it.
activated() {
	cat >"$tmp/activate.py" <<-'E2'
	import os, socket, sys
	s = socket.socket()
	s.bind(("127.0.0.1", 0))
	if sys.argv[1] == "listening":
	    s.listen()
	os.set_inheritable(s.fileno(), True)
	os.execvp(sys.argv[2], sys.argv[2:] + [str(s.fileno()), str(os.getpid())])
	E2
	cat >"$tmp/server.py" <<-'E2'
	import os, socket, sys
	from options import options
	l = socket.socket(fileno=int(sys.argv[1]))
	if not l.getsockopt(1, socket.SO_ACCEPTCONN):
	    l.listen()
	l.setblocking(False)
	try:
	    l.accept()
	except BlockingIOError:
	    pass
	print(options(l), int(sys.argv[2]) == os.getpid())
	E2
	for state in bound listening; do
		{ $py "$tmp/activate.py" $state "$run" run --budget 20ms --expect 1s \
			-- $py "$tmp/server.py" 2>&1 >&9 9>&- | cat >"$tmp/e"
		} 9>"$tmp/o"
		same "d2tcp 20000 1000000000 True" "$(cat "$tmp/o")"
		same "" "$(cat "$tmp/e")"
	done
}
t "also a listener of another process" activated

preloaded() {
	printf 'int d2tcp_test;\n' >"$tmp/other.c"
	gcc -shared -fPIC -o "$tmp/other.so" "$tmp/other.c"
	LD_PRELOAD=$tmp/other.so "$run" run --budget 1ms -- sh -c \
		'echo "$LD_PRELOAD"; cat /proc/self/maps' >"$tmp/o" 2>/dev/null
	same "$PWD/build/libd2tcp-preload.so:$tmp/other.so" "$(head -n1 "$tmp/o")"
	says "$tmp/other.so" "$tmp/o"
}
t "a library that was preloaded already stays" preloaded

nothing() {
	run_to_end "$tmp/e" --budget 1ms -- true
	says "no TCP socket of true was seen" "$tmp/e"
	printf 'int main(void) { return 3; }\n' >"$tmp/static.c"
	gcc -static -o "$tmp/static" "$tmp/static.c"
	status 3 run_to_end "$tmp/e" --budget 1ms -- "$tmp/static"
	says "static has no deadlines: it did not load libd2tcp-preload.so" "$tmp/e"
	says "linked statically" "$tmp/e"
	# another user, who may not select it
	mkdir "$tmp/bin"
	cp build/d2tcp build/libd2tcp-preload.so "$tmp/bin"
	chmod -R a+rX "$tmp"
	run=$tmp/bin/d2tcp
	run_to_end "$tmp/e" --budget 1ms --expect 1s -- setpriv --reuid 65534 \
		--clear-groups $py "$tmp/pair.py" >"$tmp/o"
	says "2 of 2 TCP sockets have no budget: this user may not select d2tcp" "$tmp/e"
	says tcp_allowed_congestion_control "$tmp/e"
	same 1 "$(wc -l <"$tmp/e")"
	# the other option does not depend on it
	same "1000000000" "$(cut -d' ' -f3 "$tmp/o" | sort -u)"
}
t "a program without deadlines is reported, with the reason" nothing

# The descriptor of the report must be that file, or the shim leaves it alone.
foreign() {
	printf 'some data of its own, longer than the report' >"$tmp/data"
	cp "$tmp/data" "$tmp/copy"
	for report in 5 5:0:0 "5:$(stat -c %d "$tmp"):1" x ""; do
		LD_PRELOAD=$PWD/build/libd2tcp-preload.so D2TCP_RUN_BUDGET_US=5 \
			D2TCP_RUN_REPORT=$report true 5<>"$tmp/data"
		cmp "$tmp/data" "$tmp/copy"
	done
}
t "the shim does not write into files other than the report" foreign

ends() {
	status 7 "$run" run --budget 1ms -- sh -c 'exit 7' 2>/dev/null
	status 137 sh -c '$0 run --budget 1ms -- sh -c "kill -9 \$\$" 2>/dev/null' "$run"
	for signal in INT QUIT TERM; do
		# a child of this shell ignores SIGINT and SIGQUIT unless told not to
		$py -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$run" run --budget 1ms -- $py -c 'import os, signal, sys
def end(*_):
    sys.exit(9)
signal.signal(getattr(signal, "SIG" + sys.argv[1]), end)
os.write(1, b"\n")
while True:
    signal.pause()' $signal >"$tmp/fifo" 2>/dev/null &
		read -r _ <"$tmp/fifo"
		kill -$signal $!
		status 9 wait $!
	done
}
mkfifo "$tmp/fifo"
t "the exit status is the program's, and signals reach it" ends

end_of_tests
