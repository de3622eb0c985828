#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# host.sh VERB DIR [ARGUMENT]... - what bench/hosts/play.yml does on each host, as root.
# DIR holds incast, tcp_d2tcp.ko if it is to be loaded, and all that is left on the host
# until restore takes it away.
#
#	free DIR                      fail if another run uses DIR, or has left it
#	snapshot DIR                  print what a run may change
#	prepare DIR RTO_MIN_MS PEER...  change it; how to put it back is in DIR/undo
#	start DIR NAME ARGUMENT...    start incast in the background, until it is ready
#	stop DIR                      end what was started
#	load DIR OUT SEED             run the commands in DIR/load, one a line and one
#	                              for each service, all at once
#	restore DIR                   stop, put everything back, remove DIR
set -eu

verb=$1
dir=$2
shift 2

die() { echo "host.sh: $*" >&2; exit 1; }

# Modules of congestion controls; what programs choose is loaded on the way.
modules() {
	[ ! -e /proc/modules ] ||
		sed -n 's/^\(tcp_[a-z0-9]*\) .*/\1/p' /proc/modules | sort
}

undo() { printf '%s\n' "$*" >>"$dir/undo"; }

case $verb in
free)
	[ ! -e "$dir" ] || die "$dir is there: another run is on its way, or was" \
		"not put back. run.py --restore puts it back"
	;;
snapshot)
	ip route show table main | grep -v -e linkdown | sort
	echo "tcp_no_metrics_save $(cat /proc/sys/net/ipv4/tcp_no_metrics_save)"
	modules
	;;
prepare)
	: >"$dir/undo"
	rto=$1
	shift
	modules >"$dir/modules"
	# A route of its own for each peer: those of the host stay as they are.
	for peer in "$@"; do
		way=$(ip -o route get "$peer") || die "no route to $peer"
		case $way in local*) continue ;; esac
		dev=$(sed -n 's/.* dev \([^ ]*\).*/\1/p' <<<"$way")
		via=$(sed -n 's/.* via \([^ ]*\).*/\1/p' <<<"$way")
		ip route show table main "$peer/32" | grep -q . &&
			die "there is a route to $peer/32 already"
		undo ip route del "$peer/32" table main
		# shellcheck disable=SC2086 # two words or none
		ip route add "$peer/32" ${via:+via $via} dev "$dev" \
			rto_min "${rto}ms"
	done
	# metrics of one run must not reach the next
	file=/proc/sys/net/ipv4/tcp_no_metrics_save
	undo "echo $(cat $file) >$file"
	echo 1 >$file
	if [ -e "$dir/tcp_d2tcp.ko" ] && ! grep -q '^tcp_d2tcp ' /proc/modules; then
		# hosts that share a kernel share its modules
		insmod "$dir/tcp_d2tcp.ko" 2>"$dir/insmod" ||
			grep -q '^tcp_d2tcp ' /proc/modules ||
			die "$(cat "$dir/insmod")"
	fi
	;;
start)
	name=$1
	shift
	# in a session of its own, for it outlives the terminal
	setsid "$dir/incast" "$@" >"$dir/$name.out" 2>"$dir/$name.err" \
		</dev/null &
	echo $! >>"$dir/pids"
	while ! grep -q ready "$dir/$name.out"; do
		kill -0 $! 2>/dev/null || die "$name: $(cat "$dir/$name.err")"
		sleep 0.05
	done
	;;
stop)
	[ -e "$dir/pids" ] || exit 0
	while read -r pid; do
		# a number that now belongs to another program is not ours
		[ "$(readlink "/proc/$pid/exe")" = "$dir/incast" ] || continue
		kill "$pid"
		while [ -e "/proc/$pid" ]; do sleep 0.05; done
	done <"$dir/pids"
	rm "$dir/pids"
	;;
load)
	out=$1
	seed=$2
	mkdir -p "$out"
	marks() { awk '/^IpExt:/ { if (!n) n = split($0, name); else for (i = 1; i <= n;
		i++) if (name[i] == "InCEPkts") print $i }' /proc/net/netstat; }
	before=$(marks)
	# seconds of CLOCK_MONOTONIC, which does not count sleep, and uptime does; but
	# nobody sleeps here
	at=$(awk '{ printf "%.0f", ($1 + 3) * 1e9 }' /proc/uptime)
	n=0
	pids=()
	while read -r line; do
		# shellcheck disable=SC2086 # a list of arguments without blanks
		"$dir/incast" aggregate $line --start-at-ns "$at" \
			--seed $((seed + (n << 32))) --out "$out/records-$n.csv" \
			>"$out/said-$n" 2>"$out/err-$n" </dev/null &
		pids+=($!)
		n=$((n + 1))
	done <"$dir/load"
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || die "$(cat "$out/err-$i")"
	done
	printf '{"marks": %d, "kernel": "%s", "said": [%s]}\n' \
		$(($(marks) - before)) "$(uname -r)" \
		"$(paste -sd, "$out"/said-*)" >"$out/host.json"
	rm "$out"/said-* "$out"/err-*
	;;
restore)
	[ -d "$dir" ] || exit 0
	bash "$0" stop "$dir"
	if [ -e "$dir/undo" ]; then
		tac "$dir/undo" | while read -r line; do
			bash -c "$line" || echo "host.sh: '$line' failed" >&2
		done
		# connections that have just ended hold their module for a moment
		for module in $(modules | comm -23 - "$dir/modules"); do
			for _ in $(seq 100); do
				rmmod "$module" 2>/dev/null && break
				grep -q "^$module " /proc/modules || break
				sleep 0.1
			done
		done
	fi
	rm -rf "$dir"
	;;
*)
	die "unknown verb $verb"
	;;
esac
