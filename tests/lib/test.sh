#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# libd2tcp as a user gets it: installed, found, linked both ways; what it
# exports, what it says without the module, and its example in the lab.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
inc=$tmp/usr/include
lib=$tmp/usr/lib

install_files() {
	make -s install PREFIX=/usr DESTDIR="$tmp"
	[ -e "$inc/d2tcp.h" ]
	[ -e "$inc/libd2tcp.h" ]
	[ -e "$lib/libd2tcp.a" ]
	[ -e "$lib/libd2tcp.so" ]
	[ -e "$lib/libd2tcp.so.0" ]
	grep -qx 'Version: [0-9]*\.[0-9]*\.[0-9]*' "$lib/pkgconfig/d2tcp.pc"
}
# the prefix of pkg-config is that of the install, whatever was built before
uninstall() {
	make -s lib
	make -s install PREFIX=/opt/x DESTDIR="$tmp/o2"
	grep -qx 'prefix=/opt/x' "$tmp/o2/opt/x/lib/pkgconfig/d2tcp.pc"
	make -s uninstall PREFIX=/opt/x DESTDIR="$tmp/o2"
	same "" "$(find "$tmp/o2" ! -type d)"
}
t "make uninstall takes away what make install has put" uninstall
t "make install puts header, both libraries and d2tcp.pc in place" install_files

links() {
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/shared" \
		tests/lib/test_lib.c -L"$lib" -ld2tcp
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/static" \
		tests/lib/test_lib.c "$lib/libd2tcp.a"
	readelf -d "$tmp/shared" | grep -q 'NEEDED.*libd2tcp.so.0'
	status 1 sh -c "readelf -d '$tmp/static' | grep -q libd2tcp"
}
t "programs link with it, shared and static" links

exports() {
	same "$(sed -n 's/^\t\t\(d2tcp_.*\);/\1/p' \
		userspace/libd2tcp/libd2tcp.map | sort | xargs)" \
		"$(nm -D --defined-only "$lib/libd2tcp.so" |
		   sed -n 's/.* T \(.*\)@@.*/\1/p' | sort | xargs)"
	# what the header declares is what is exported
	same "$(grep -oE '\bd2tcp_[a-z_]+\(' userspace/libd2tcp/libd2tcp.h |
		tr -d '(' | sort -u | xargs)" \
		"$(nm -D --defined-only "$lib/libd2tcp.so" |
		   sed -n 's/.* T \(.*\)@@.*/\1/p' | sort | xargs)"
}
t "it exports what the header declares and nothing else" exports

host() {
	LD_LIBRARY_PATH=$lib "$tmp/shared" words
	"$tmp/static" words
}
t "every errno has words of its own" host

example() {
	gcc -Wall -Wextra -Werror -I"$inc" -o "$tmp/example" \
		userspace/examples/message.c "$lib/libd2tcp.a"
	tests/lab/lab run --module "$D2TCP_MODULE" -- sh -c \
		"modprobe tcp_d2tcp; $tmp/example" >"$tmp/o"
	says "the message arrived in time" "$tmp/o"
	tests/lab/lab run -- "$tmp/example" >"$tmp/o" 2>&1 || :
	says "load the module tcp_d2tcp" "$tmp/o"
}
t "the example runs, and says it when the module is missing" example

inside() {
	tests/lab/lab run -- "$tmp/static" without
	# choosing d2tcp loads the module
	tests/lab/lab run --module "$D2TCP_MODULE" -- sh -c \
		"modprobe tcp_d2tcp; $tmp/static 'with the'"
}
t "its calls do what the header says, without the module and with it" inside

end_of_tests
