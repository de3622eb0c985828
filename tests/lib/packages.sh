#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests the Debian packages: make deb builds them and lintian accepts them; in a guest,
# whose changes to the file system are discarded, they are installed, used and purged.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
PATH=$PATH:/usr/sbin:/sbin
debs=$PWD/build/deb

build() {
	# the committed tree, and nothing of the shell's settings
	env -u CFLAGS -u LDFLAGS make deb
	same "d2tcp-dkms d2tcp-tools libd2tcp-dev libd2tcp0 python3-d2tcp" \
		"$(find "$debs" -name '*.deb' ! -name '*dbgsym*' |
		   sed 's|.*/||; s/_.*//' | sort | paste -sd' ')"
}
t "make deb builds the packages, and lintian accepts them" build

# runs in the guest
cat >"$tmp/guest" <<'E2'
set -eu
debs=$1 module=$2 source=$3 tmp=$4
export DEBIAN_FRONTEND=noninteractive
quietly() { "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }; }
all="d2tcp-dkms python3-d2tcp d2tcp-tools libd2tcp-dev libd2tcp0"
quietly dpkg -i --force-depends "$debs"/libd2tcp0_*.deb "$debs"/libd2tcp-dev_*.deb \
	"$debs"/d2tcp-tools_*.deb "$debs"/python3-d2tcp_*.deb "$debs"/d2tcp-dkms_*.deb
quietly ldconfig
ip link set lo up
insmod "$module"
# the C example, as its first comment says
quietly gcc -o "$tmp/message" /usr/share/doc/libd2tcp-dev/examples/message.c \
	$(pkg-config --cflags --libs d2tcp)
"$tmp/message" | grep -o 'the deadline was met'
d2tcp run --budget 20ms --verbose -- /usr/bin/python3 -c \
	'import socket; print(socket.socket().getsockopt(0, 0xd201))' 2>&1 | cat
(cd / && /usr/bin/python3 -c 'import d2tcp; print(d2tcp.__file__)')
d2tcp --version
man -w d2tcp >/dev/null 2>&1 || test -e /usr/share/man/man8/d2tcp.8.gz
# a setting of the administrator survives an upgrade, and purge removes it
echo 'net.ipv4.d2tcp.default_budget_us = 7000' >>/etc/sysctl.d/60-d2tcp.conf
quietly dpkg -i --force-depends --force-confold "$debs"/d2tcp-dkms_*.deb
grep -c 7000 /etc/sysctl.d/60-d2tcp.conf
# the command of the udev rule applies it to the loaded module
command=$(sed -n 's/.*RUN+="\(.*\)"/\1/p' /usr/lib/udev/rules.d/60-d2tcp.rules)
! [ -x "${command%% *}" ] || $command
! [ -x "${command%% *}" ] || cat /proc/sys/net/ipv4/d2tcp/default_budget_us
rmmod tcp_d2tcp
dpkg -L $all | grep d2tcp | sort -u >"$tmp/files"
[ "$(wc -l <"$tmp/files")" -gt 50 ]
quietly dpkg --purge --force-depends $all
while read -r file; do
	[ ! -e "$file" ] || echo "remains: $file"
done <"$tmp/files"
[ ! -e /var/lib/dkms/d2tcp ] || echo "remains in DKMS"
E2

guest() {
	tests/lab/lab run --mem 768 -- bash "$tmp/guest" "$debs" "$D2TCP_MODULE" \
		"$PWD" /tmp >"$tmp/o"
	cat "$tmp/o"
	budget=7000
	[ -x /lib/systemd/systemd-sysctl ] || budget=
	printf '%s\n' "the deadline was met" 20000 "d2tcp run: 1 TCP sockets in 1 programs" \
		/usr/lib/python3/dist-packages/d2tcp.py "d2tcp $(cat VERSION)" 1 $budget >"$tmp/want"
	diff "$tmp/want" "$tmp/o"
}
t "installed in a guest they work, keep settings, and purge leaves nothing" guest

# apt-get needs a network and DKMS the headers of the guest's kernel, which it does not
# have, so dpkg stands for the former and the lab has the module.
page() {
	tests/lab/lab run --mem 768 --module "$D2TCP_MODULE" -- bash -c '
		set -eu
		ip link set lo up
		mkdir /tmp/bin /tmp/home
		cat >/tmp/bin/apt-get <<-END
		#!/bin/sh
		shift
		dpkg -i --force-depends "\$@" >/tmp/log 2>&1 || cat /tmp/log
		END
		chmod +x /tmp/bin/apt-get
		PATH=/tmp/bin:$PATH
		cd /tmp/home
		mkdir build
		ln -s "$1/build/deb" build/deb
		/usr/bin/python3 "$1/tests/lib/page.py" "$1/docs/first-five-minutes.md"' - \
		"$PWD" >"$tmp/o" || { cat "$tmp/o"; return 1; }
	says "17 commands" "$tmp/o"
}
t "every command of docs/first-five-minutes.md does what the page says" page

end_of_tests
