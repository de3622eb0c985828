#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests the metrics of d2tcp stats and the alerts on them with Prometheus's own promtool.
# Debian's package prometheus would start a server, so it is unpacked into the cache of the
# lab's kernels instead of being installed.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rules=userspace/prometheus

find_promtool() {
	local cache=${D2TCP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/d2tcp} version
	promtool=$(command -v promtool) && return
	version=$(LC_ALL=C apt-cache policy prometheus | sed -n 's/^ *Candidate: //p')
	promtool=$cache/promtool-$version/usr/bin/promtool
	[ -x "$promtool" ] && return
	mkdir "$tmp/deb"
	(cd "$tmp/deb" && apt-get -q download prometheus) >"$tmp/log" 2>&1 || {
		cat "$tmp/log"
		return 1
	}
	dpkg-deb -x "$tmp"/deb/*.deb "$tmp/deb/root"
	mkdir -p "$cache"
	mv "$tmp/deb/root" "$cache/promtool-$version"
}
find_promtool || exit 1

incidents() {
	"$promtool" check rules $rules/d2tcp.rules.yml
	"$promtool" test rules $rules/d2tcp.test.yml
}
t "made-up incidents raise the alerts that they should, and no others" incidents

metrics() {
	tests/lab/lab run --module "$D2TCP_MODULE" -- sh -c \
		"modprobe tcp_d2tcp && build/d2tcp stats --prometheus" >"$tmp/metrics"
	"$promtool" check metrics <"$tmp/metrics"
	grep -oE 'd2tcp_[a-z_]+_total' $rules/d2tcp.rules.yml | sort -u >"$tmp/names"
	[ -s "$tmp/names" ]
	while read -r name; do
		says "# TYPE $name counter" "$tmp/metrics"
	done <"$tmp/names"
}
t "Prometheus accepts the metrics, and those in the alerts exist" metrics

end_of_tests
