#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests libd2tcp as a user gets it: installed, found by pkg-config, linked
# static and shared; its exports, its errors without the module, and the
# example.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
inc=$tmp/usr/include
lib=$tmp/usr/lib

install_files() {
	make -s install MODULE=no PREFIX=/usr DESTDIR="$tmp"
	[ -e "$inc/d2tcp.h" ]
	[ -e "$inc/libd2tcp.h" ]
	[ -e "$lib/libd2tcp.a" ]
	[ -e "$lib/libd2tcp.so" ]
	[ -e "$lib/libd2tcp.so.0" ]
	grep -qx 'Version: [0-9]*\.[0-9]*\.[0-9]*' "$lib/pkgconfig/d2tcp.pc"
}
# d2tcp.pc must have the prefix of this install, not that of an earlier build
uninstall() {
	make -s lib
	make -s install MODULE=no PREFIX=/opt/x DESTDIR="$tmp/o2"
	grep -qx 'prefix=/opt/x' "$tmp/o2/opt/x/lib/pkgconfig/d2tcp.pc"
	make -s uninstall PREFIX=/opt/x DESTDIR="$tmp/o2"
	same "" "$(find "$tmp/o2" ! -type d)"
}
t "make uninstall removes every file of make install" uninstall
t "make install installs headers, both libraries and d2tcp.pc" install_files

links() {
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/shared" \
		tests/lib/test_lib.c -L"$lib" -ld2tcp
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/static" \
		tests/lib/test_lib.c "$lib/libd2tcp.a"
	readelf -d "$tmp/shared" | grep -q 'NEEDED.*libd2tcp.so.0'
	status 1 sh -c "readelf -d '$tmp/static' | grep -q libd2tcp"
}
t "programs link with the shared and the static library" links

exports() {
	same "$(sed -n 's/^\t\t\(d2tcp_.*\);/\1/p' \
		userspace/libd2tcp/libd2tcp.map | sort | xargs)" \
		"$(nm -D --defined-only "$lib/libd2tcp.so" |
		   sed -n 's/.* T \(.*\)@@.*/\1/p' | sort | xargs)"
	# the header declares the exported functions, and no others
	same "$(grep -oE '\bd2tcp_[a-z_]+\(' userspace/libd2tcp/libd2tcp.h |
		tr -d '(' | sort -u | xargs)" \
		"$(nm -D --defined-only "$lib/libd2tcp.so" |
		   sed -n 's/.* T \(.*\)@@.*/\1/p' | sort | xargs)"
}
t "the library exports the functions of its header and no others" exports

# "int d2tcp_x(int fd);" without spaces, one per line
prototypes() {
	tr -d ' \t\n"' | tr ';' '\n' | grep '[a-z*]d2tcp_[a-z_]*(' | sort
}
manual() {
	local page
	cd "$tmp/usr/share/man"
	# groff finds the page behind an alias from here
	for page in man?/*; do
		same "" "$(groff -man -Tascii -ww "$page" 2>&1 >/dev/null)"
	done
	for page in $(nm -D --defined-only "$lib/libd2tcp.so" |
		      sed -n 's/.* T \(.*\)@@.*/\1/p'); do
		groff -man -Tascii -P-cbu "man3/$page.3" >"$tmp/page"
		says "$page(" "$tmp/page"
	done
	grep -q "\"d2tcp $(cat "$OLDPWD/VERSION")\"" man7/d2tcp.7
	# the synopses have the prototypes of the header
	same "$(gcc -fpreprocessed -dD -E -P "$inc/libd2tcp.h" |
		grep -v '^#' | prototypes)" \
		"$(sed -n 's/^\.BI\? "//p' man3/*.3 | sed 's/" *\([a-z]*\) *"\?/\1/g' |
		   prototypes)"
	cd "$OLDPWD"
}
t "each function has a manual page with the prototype of the header" manual

host() {
	LD_LIBRARY_PATH=$lib "$tmp/shared" words
	"$tmp/static" words
}
budgets() {
	LD_LIBRARY_PATH=$lib "$tmp/shared" "budgets "
	"$tmp/static" "budgets "
}
t "d2tcp_strerror has a text for every errno" host
t "budgets are parsed, printed, shortened and judged before the work" budgets

example() {
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/example" \
		userspace/examples/message.c "$lib/libd2tcp.a"
	tests/lab/lab run --module "$D2TCP_MODULE" -- sh -c \
		"modprobe tcp_d2tcp; $tmp/example" >"$tmp/o"
	says "the deadline was met" "$tmp/o"
	tests/lab/lab run -- "$tmp/example" >"$tmp/o" 2>&1 || :
	says "load the module tcp_d2tcp" "$tmp/o"
}
t "the example runs, and its error names the missing module" example

chain() {
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/chain" \
		userspace/examples/chain.c "$lib/libd2tcp.a"
	tests/lab/lab run --module "$D2TCP_MODULE" -- sh -c "modprobe tcp_d2tcp
		for us in 20000 7000 5000 1000; do
			$tmp/chain \$us && echo 'exit 0' || echo 'exit 1'
		done" >"$tmp/o"
	# each budget is shorter than the one before by the reserve of 3 ms and some
	# microseconds at most
	awk '{ if ($NF == "us") { $4 = int(($4 + 50) / 1000); $5 = "ms" }
		print }' "$tmp/o" >"$tmp/ms"
	same "service 1 has 20 ms;service 2 has 17 ms;service 3 has 14 ms;done;exit 0;$(:
		)service 1 has 7 ms;service 2 has 4 ms;service 3 has 1 ms;$(:
		)service 3: no time for the work;exit 1;$(:
		)service 1 has 5 ms;service 2 has 2 ms;service 2: no time for a call;exit 1;$(:
		)service 1 has 1 ms;service 1: no time for a call;exit 1" \
		"$(paste -sd';' "$tmp/ms")"
	status 2 "$tmp/chain" 20ms 2>"$tmp/e"
	says "MICROSECONDS, such as 20000" "$tmp/e"
}
t "a budget becomes shorter along three services, and late work is refused" chain

inside() {
	tests/lab/lab run -- "$tmp/static" without
	# loaded first, since the first call comes before d2tcp_enable(), which
	# would load it
	tests/lab/lab run --module "$D2TCP_MODULE" -- sh -c \
		"modprobe tcp_d2tcp expect=1; $tmp/static 'with the'"
}
t "its calls do what the header says, without and with the module" inside

end_of_tests
