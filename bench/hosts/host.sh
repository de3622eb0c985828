#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# host.sh VERB DIR [ARGUMENT]... - what bench/hosts/play.yml does on each host, as root.
# DIR holds incast, tcp_d2tcp.ko if it is to be loaded, and all that is left on the host
# until restore takes it away. It belongs to who runs this, and nobody else may write
# there or where it is.
#
#	free DIR                      fail if another run uses DIR, or has left it
#	prepare DIR RTO_MIN_MS PEER...  change the host; how to put it back is in DIR/undo
#	clock DIR ADDRESS:PORT        read the clock of an echo; adds to DIR/clocks
#	start DIR NAME ARGUMENT...    start incast in the background, until it is ready
#	stop DIR                      end what was started
#	load DIR OUT SEED             run the commands in DIR/load, one a line and one
#	                              for each service, all at once
#	sink DIR ARGUMENT...          start a sink of long flows
#	flows DIR OUT FLOW...         start long flows, each 'NUMBER ARGUMENT...'
#	flowed DIR                    wait for them; what each says is in OUT/flow-NUMBER
#	sunk DIR OUT SECONDS ADDRESS...  wait so long for the sink, which must have
#	                              had a flow from each; leaves OUT/host.json
#	name DIR RUN                  DIR is of this run
#	restore DIR [RUN]             stop, put everything back, look whether it is, and
#	                              remove DIR; if something is left, DIR stays. What
#	                              is not of RUN, if it is given, is left alone
set -eu

verb=$1
dir=$(realpath -m "$2")
shift 2

die() { echo "host.sh: $*" >&2; exit 1; }

ours() {
	[ "$(stat -c %u:%a "$dir")" = "$(id -u):700" ] ||
		die "$dir belongs to somebody else, or others may write there"
}

# Modules of congestion controls; what programs choose is loaded on the way.
modules() {
	[ ! -e /proc/modules ] ||
		sed -n 's/^\(tcp_[a-z0-9]*\) .*/\1/p' /proc/modules | sort
}

no_metrics=/proc/sys/net/ipv4/tcp_no_metrics_save

# All that a run may change.
snapshot() {
	ip -4 route show table main | grep -v -e linkdown | sort
	echo "tcp_no_metrics_save $(cat $no_metrics)"
	modules
}

# Ours, and not another program that has the number now.
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
	[ $left = 0 ] || die "a process of $dir/incast does not end"
	rm "$dir/pids"
}

# one record of DIR/undo
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
	# A route of its own for each peer: those of the host stay as they are.
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
		# rules and other tables may lead elsewhere
		now=$(ip -o -4 route get "$peer")
		[ "${now%% cache*}" = "${way%% cache*}" ] ||
			die "a route to $peer/32 changes the way to it"
	done
	# metrics of one run must not reach the next
	echo "no_metrics $(cat $no_metrics)" >>"$dir/undo"
	echo 1 >$no_metrics
	if [ -e "$dir/tcp_d2tcp.ko" ] && ! modules | grep -qx tcp_d2tcp; then
		# hosts that share a kernel share its modules
		insmod "$dir/tcp_d2tcp.ko" 2>"$dir/insmod" ||
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
		[ $failed = 0 ] || die "something of $dir/undo is left"
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

# Runs incast in the background, until it is ready.
start() {
	local name=$1
	shift
	# what an earlier one of this name said is not an answer
	: >"$dir/$name.out"
	# in a session of its own, for it outlives the terminal
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
	# what cannot connect says so at once, and the sink need not wait for it
	sleep 1
	while read -r _ number; do
		[ ! -s "$dir/flow-$number.err" ] ||
			die "flow $number: $(cat "$dir/flow-$number.err")"
	done <"$dir/flows"
}

# until PID SECONDS: wait for the end of a program of ours
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
		until_end "$pid" 10 || die "flow $number does not end"
		[ ! -s "$dir/flow-$number.err" ] ||
			die "flow $number: $(cat "$dir/flow-$number.err")"
	done <"$dir/flows"
}

sunk() {
	local out=$1 seconds=$2 came
	shift 2
	mkdir -p "$out"
	until_end "$(cat "$dir/sink")" "$seconds" ||
		die "the sink does not end within $seconds s"
	[ ! -s "$dir/sink.err" ] || die "sink: $(cat "$dir/sink.err")"
	came=$(grep -v ready "$dir/sink.out" | cut -d' ' -f1 | xargs)
	[ "$came" = "$*" ] || die "flows came from '$came', not from '$*'"
	printf '{"bytes": [%s], "marks": %d, "kernel": "%s"}\n' \
		"$(sed -n 's/^[0-9.]* //p' "$dir/sink.out" | paste -sd,)" \
		$(($(marks) - $(cat "$dir/marks"))) "$(uname -r)" \
		>"$out/host.json"
}

# Packets that arrived with CE, of the network namespace.
marks() {
	awk '/^IpExt:/ { if (!n) n = split($0, name); else for (i = 1; i <= n; i++)
		if (name[i] == "InCEPkts") print $i }' /proc/net/netstat
}

case $verb in
free)
	[ ! -e "$dir" ] || die "$dir is there: another run is on its way, or was" \
		"not put back. run.py --restore puts it back"
	exit ;;
restore)
	[ -e "$dir" ] || exit 0
	# of somebody else's run, or of an earlier one
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
