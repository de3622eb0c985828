#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# host.sh VERB DIR [ARGUMENT]... - the steps of bench/hosts/play.yml on one host, as root.
# DIR holds incast, tcp_d2tcp.ko if the run loads it, and all other files of the run,
# until restore removes it. It must belong to the user who runs this, and no other user
# may write to it or to its parent directory.
#
#	free DIR                      fail if DIR exists: another run uses it, or left it
#	prepare DIR RTO_MIN_MS PEER...  change the host, and record in DIR/undo how to
#	                              restore it
#	clock DIR ADDRESS:PORT        read the clock of an echo server; adds to DIR/clocks
#	start DIR NAME ARGUMENT...    start incast in the background; wait until it is ready
#	stop DIR                      end the processes that were started
#	load DIR OUT SEED             run the commands in DIR/load, one line per service,
#	                              all at once
#	sink DIR ARGUMENT...          start a sink of long flows
#	flows DIR OUT FLOW...         start long flows, each 'NUMBER ARGUMENT...'
#	flowed DIR                    wait for the flows; their output is in OUT/flow-NUMBER
#	sunk DIR OUT SECONDS ADDRESS...  wait at most SECONDS for the sink, which must
#	                              have had a flow from each ADDRESS; writes
#	                              OUT/host.json
#	name DIR RUN                  record that DIR belongs to this run
#	restore DIR [RUN]             stop, restore the host, check that it is as before, and
#	                              remove DIR. DIR stays if something could not be
#	                              restored. With RUN, skip a DIR of another run
set -eu

verb=$1
dir=$(realpath -m "$2")
shift 2

die() { echo "host.sh: $*" >&2; exit 1; }

ours() {
	[ "$(stat -c %u:%a "$dir")" = "$(id -u):700" ] ||
		die "$dir belongs to another user, or others may write there"
}

# Loaded modules of congestion controls. Selecting an algorithm may load its module.
modules() {
	[ ! -e /proc/modules ] ||
		sed -n 's/^\(tcp_[a-z0-9]*\) .*/\1/p' /proc/modules | sort
}

no_metrics=/proc/sys/net/ipv4/tcp_no_metrics_save

# All state that a run may change.
snapshot() {
	ip -4 route show table main | grep -v -e linkdown | sort
	echo "tcp_no_metrics_save $(cat $no_metrics)"
	modules
}

# Whether a process is still our incast, and not another program with its PID.
is_incast() { [ "$(readlink "/proc/$1/exe")" = "$dir/incast" ]; }

stop() {
	local pid left=0
	[ -e "$dir/pids" ] || return 0
	while read -r pid; do
		is_incast "$pid" || continue
		kill "$pid" || :
		for _ in $(seq 100); do
			is_incast "$pid" || break
			sleep 0.05
		done
		! is_incast "$pid" || { kill -KILL "$pid"; sleep 0.2; }
		! is_incast "$pid" || left=1
	done <"$dir/pids"
	[ $left = 0 ] || die "a process of $dir/incast did not end"
	rm "$dir/pids"
}

# undoes one record of DIR/undo
undo() {
	case $1 in
	route) ip route del "$2/32" table main ;;
	no_metrics) echo "$2" >$no_metrics ;;
	*) die "$dir/undo: unknown record $1" ;;
	esac
}

prepare() {
	local rto=$1 peer way now dev via
	shift
	mkdir "$dir/out"
	snapshot >"$dir/before"
	modules >"$dir/modules"
	: >"$dir/undo"
	# Add a route for each peer; the host's own routes stay as they are.
	for peer in "$@"; do
		way=$(ip -o -4 route get "$peer") || die "no route to $peer"
		case $way in local*) continue ;; esac
		dev=$(sed -n 's/.* dev \([^ ]*\).*/\1/p' <<<"$way")
		via=$(sed -n 's/.* via \([^ ]*\).*/\1/p' <<<"$way")
		ip -4 route show table main "$peer/32" | grep -q . &&
			die "there is a route to $peer/32 already"
		echo "route $peer" >>"$dir/undo"
		# shellcheck disable=SC2086 # two words or none
		ip route add "$peer/32" ${via:+via $via} dev "$dev" \
			rto_min "${rto}ms" || {
			sed -i '$d' "$dir/undo"
			die "cannot add a route to $peer like '$way'"
		}
		# policy rules and other tables may route it elsewhere
		now=$(ip -o -4 route get "$peer")
		[ "${now%% cache*}" = "${way%% cache*}" ] ||
			die "a route to $peer/32 changes the path to it"
	done
	# connections must not inherit the metrics of an earlier run
	echo "no_metrics $(cat $no_metrics)" >>"$dir/undo"
	echo 1 >$no_metrics
	if [ -e "$dir/tcp_d2tcp.ko" ] && ! modules | grep -qx tcp_d2tcp; then
		# hosts that share a kernel share its modules
		insmod "$dir/tcp_d2tcp.ko" expect=1 2>"$dir/insmod" ||
			modules | grep -qx tcp_d2tcp || die "$(cat "$dir/insmod")"
	fi
}

restore() {
	local module failed=0 record
	stop
	if [ -e "$dir/undo" ]; then
		while read -r record; do
			# shellcheck disable=SC2086 # two words
			if undo $record; then sed -i '$d' "$dir/undo"; else failed=1; fi
		done < <(tac "$dir/undo")
		for module in $(modules | comm -23 - "$dir/modules"); do
			# connections that have just ended hold their module for
			# a moment
			for _ in $(seq 100); do
				rmmod "$module" 2>"$dir/rmmod" && break
				modules | grep -qx "$module" || break
				sleep 0.1
			done
		done
		[ $failed = 0 ] || die "not every change in $dir/undo could be undone"
		snapshot | diff "$dir/before" - >&2 ||
			die "the host is not as it was: see above"
	fi
	rm -rf "$dir"
}

load() {
	local out=$1 seed=$2 n=0 i before line pids=()
	mkdir -p "$out"
	before=$(marks)
	while read -r line; do
		# shellcheck disable=SC2086 # a list of arguments without blanks
		"$dir/incast" aggregate $line --start-in-ms 3000 \
			--seed $((seed + (n << 32))) --out "$out/records-$n.csv" \
			>"$out/said-$n" 2>"$out/err-$n" </dev/null &
		pids+=($!)
		echo $! >>"$dir/pids"
		n=$((n + 1))
	done <"$dir/load"
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || die "$(cat "$out/err-$i")"
	done
	{
		printf '{"marks": %d, "kernel": "%s", "said": [' \
			$(($(marks) - before)) "$(uname -r)"
		for i in "${!pids[@]}"; do
			[ "$i" = 0 ] || printf ', '
			cat "$out/said-$i"
		done
		echo ']}'
	} >"$out/host.json"
	rm "$out"/said-* "$out"/err-*
}

# Starts incast in the background, and waits until it is ready.
start() {
	local name=$1
	shift
	# drop the output of an earlier process of this name
	: >"$dir/$name.out"
	# in a session of its own, because it outlives the terminal
	setsid "$dir/incast" "$@" >"$dir/$name.out" 2>"$dir/$name.err" \
		</dev/null &
	echo $! >>"$dir/pids"
	while ! grep -q ready "$dir/$name.out"; do
		kill -0 $! 2>/dev/null || die "$name: $(cat "$dir/$name.err")"
		sleep 0.05
	done
}

sink() {
	marks >"$dir/marks"
	start sink sink "$@"
	echo $! >"$dir/sink"
}

flows() {
	local out=$1 flow number
	shift
	mkdir -p "$out"
	: >"$dir/flows"
	for flow in "$@"; do
		number=${flow%% *}
		# shellcheck disable=SC2086 # a list of arguments without blanks
		setsid "$dir/incast" flow ${flow#* } >"$out/flow-$number" \
			2>"$dir/flow-$number.err" </dev/null &
		echo $! >>"$dir/pids"
		echo "$! $number" >>"$dir/flows"
	done
	# a flow that cannot connect fails at once: do not wait for the sink to fail
	sleep 1
	while read -r _ number; do
		[ ! -s "$dir/flow-$number.err" ] ||
			die "flow $number: $(cat "$dir/flow-$number.err")"
	done <"$dir/flows"
}

# until_end PID SECONDS: waits for a process of ours to end
until_end() {
	local _
	for _ in $(seq $(($2 * 10))); do
		is_incast "$1" || return 0
		sleep 0.1
	done
	return 1
}

flowed() {
	local pid number
	while read -r pid number; do
		until_end "$pid" 10 || die "flow $number did not end"
		[ ! -s "$dir/flow-$number.err" ] ||
			die "flow $number: $(cat "$dir/flow-$number.err")"
	done <"$dir/flows"
}

sunk() {
	local out=$1 seconds=$2 came
	shift 2
	mkdir -p "$out"
	until_end "$(cat "$dir/sink")" "$seconds" ||
		die "the sink did not end within $seconds s"
	[ ! -s "$dir/sink.err" ] || die "sink: $(cat "$dir/sink.err")"
	came=$(grep -v ready "$dir/sink.out" | cut -d' ' -f1 | xargs)
	[ "$came" = "$*" ] || die "flows came from '$came', not from '$*'"
	printf '{"bytes": [%s], "marks": %d, "kernel": "%s"}\n' \
		"$(sed -n 's/^[0-9.]* //p' "$dir/sink.out" | paste -sd,)" \
		$(($(marks) - $(cat "$dir/marks"))) "$(uname -r)" \
		>"$out/host.json"
}

# Packets that the network namespace received with CE.
marks() {
	awk '/^IpExt:/ { if (!n) n = split($0, name); else for (i = 1; i <= n; i++)
		if (name[i] == "InCEPkts") print $i }' /proc/net/netstat
}

case $verb in
free)
	[ ! -e "$dir" ] || die "$dir exists: another run is in progress, or was" \
		"not restored. run.py --restore restores the host"
	exit ;;
restore)
	[ -e "$dir" ] || exit 0
	# DIR may belong to another run
	[ $# = 0 ] || [ "$1" = "$(cat "$dir/run" 2>/dev/null)" ] || exit 0 ;;
esac
ours
case $verb in
name) echo "$1" >"$dir/run" ;;
prepare) prepare "$@" ;;
clock)
	"$dir/incast" clock --to "$1" --count 100 | tee -a "$dir/clocks" ;;
start) start "$@" ;;
stop) stop ;;
load) load "$@" ;;
sink) sink "$@" ;;
flows) flows "$@" ;;
flowed) flowed ;;
sunk) sunk "$@" ;;
restore) restore ;;
*) die "unknown verb $verb" ;;
esac
