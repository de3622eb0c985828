#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the lab itself: the results of a run, its isolation from the host,
# its repeatability, and the end of guests that do not end by themselves.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/complaints.sh
lab=tests/lab/lab
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/runs"
export TMPDIR=$tmp/runs

# copy_kernel NAME CACHE: copy the files that a run needs into another cache
copy_kernel() {
	local from to file
	from=$($lab kdir "$1")
	to=$2/$(basename "$from")
	for file in built $(cut -c67- "$from/built"); do
		mkdir -p "$(dirname "$to/$file")"
		cp "$from/$file" "$to/$file"
	done
	echo "$to"
}

exit_status() {
	status 0 $lab run -- true
	status 7 $lab run -- sh -c 'exit 7'
	status 143 $lab run -- sh -c 'kill -TERM $$'
}
t "a run has the command's exit status, or 128 plus its signal" exit_status

output() {
	$lab run -- sh -c 'echo out; echo err >&2' >"$tmp/o" 2>"$tmp/e"
	same out "$(cat "$tmp/o")"
	same err "$(cat "$tmp/e")"
	same "$(printf 'a b\nc  d')" \
		"$($lab run -- printf '%s\n' 'a b' 'c  d')"
}
t "output and arguments are passed unchanged" output

files() {
	mkdir "$tmp/in"
	echo before >"$tmp/in/old"
	$lab run --out "$tmp/in" -- sh -c \
		"cat $tmp/in/old && echo new >$tmp/in/new && echo x >$PWD/lab-was-here && cat $PWD/lab-was-here"
	same new "$(cat "$tmp/in/new")"
	[ ! -e lab-was-here ]
	same "$PWD" "$($lab run -- pwd)"
}
t "a run writes the output directory and not the host's root" files

virtual_time() {
	# an hour of sleep takes exactly 3600 s on the guest's clock
	same 3600 "$($lab run --limit 9999 -- sh -c \
		'a=$(date +%s); sleep 3600; b=$(date +%s); echo $((b - a))')"
}
t "a sleep takes exactly its time on the guest's clock" virtual_time

repeats() {
	local what='head -c 32 /dev/urandom | od -An -tx1 | tr -d "\n"; date +%s.%N'
	$lab run --seed 5 -- sh -c "$what" >"$tmp/a"
	$lab run --seed 5 -- sh -c "$what" >"$tmp/b"
	$lab run --seed 6 -- sh -c "$what" >"$tmp/c"
	cmp "$tmp/a" "$tmp/b"
	status 1 cmp -s "$tmp/a" "$tmp/c"
}
t "the same seed gives the same run, and another seed another" repeats

other_cache() {
	# a relative path with a space in it
	copy_kernel uml "$tmp/a cache"
	D2TCP_CACHE=$(realpath --relative-to=. "$tmp/a cache") $lab run --seed 5 \
		-- sh -c 'head -c 8 /dev/urandom | od -An -tx1' >"$tmp/a"
	$lab run --seed 5 -- sh -c 'head -c 8 /dev/urandom | od -An -tx1' \
		>"$tmp/b"
	cmp "$tmp/a" "$tmp/b"
}
t "a run does not depend on the path of the cache" other_cache

side_by_side() {
	local i pids=
	for i in 1 2 3 4; do
		$lab run -- sh -c "sleep $i; echo $i" >"$tmp/side$i" &
		pids="$pids $!"
	done
	for i in $pids; do wait "$i"; done
	same "1 2 3 4" "$(cat "$tmp"/side[1234] | xargs)"
}
t "several guests run in parallel" side_by_side

limit() {
	status 124 $lab run --limit 5 -- sleep 100 2>"$tmp/e"
	says "ended after 5 virtual seconds" "$tmp/e"
}
t "a command that exceeds --limit is ended" limit

stuck() {
	# the program waits for the clock, which waits for the program
	LAB_SPIN_S=5 status 125 $lab run -- sh -c 'while :; do :; done' \
		2>"$tmp/e"
	says "made no progress" "$tmp/e"
	says "the guest's console" "$tmp/e"
}
t "a guest without progress is ended and its console shown" stuck

gone() {
	# power off by reboot(2), which leaves no process to write the status
	status 125 $lab run -- perl -e \
		'syscall(169, 0xfee1dead, 672274793, 0x4321fedc, 0)' 2>"$tmp/e"
	says "stopped without a result" "$tmp/e"
	says "Kernel command line" "$tmp/e"
}
t "a guest that powers off is reported and its console shown" gone

# A kernel with too little space for the registers stands in for one that lacks
# the space for AMX.
registers() {
	local kernel
	# the kernel has space for AMX, and for the registers of this CPU
	[ "$(cat "$($lab kdir)/xstate_bytes")" -ge 11008 ]
	gcc -O2 -o "$tmp/xstate" tests/lab/xstate.c
	[ "$("$tmp/xstate")" -ge 576 ]
	[ "$("$tmp/xstate")" -le "$(cat "$($lab kdir)/xstate_bytes")" ]
	kernel=$(copy_kernel uml "$tmp/small cache")
	echo 512 >"$kernel/xstate_bytes"
	(cd "$kernel" && cut -c67- built | xargs sha256sum >new && mv new built)
	D2TCP_CACHE="$tmp/small cache" status 125 $lab run --console \
		"$tmp/no-console" -- true 2>"$tmp/e"
	grep -qE "^lab: this CPU keeps [0-9]+ bytes of registers per thread \(XSAVE\), and the lab kernel has room for 512:" "$tmp/e"
	same 1 "$(wc -l <"$tmp/e")"
	# the kernel was not booted
	[ ! -e "$tmp/no-console" ]
}
t "a CPU with too many registers for the kernel is refused" registers

# A cached kernel that was changed by hand must be built again. A tar that does
# nothing shows that the build starts.
other_recipe() {
	local kernel
	mkdir -p "$tmp/bin"
	printf '#!/bin/sh\nexit 0\n' >"$tmp/bin/tar"
	chmod +x "$tmp/bin/tar"
	kernel=$(copy_kernel uml "$tmp/mended")
	D2TCP_CACHE=$tmp/mended $lab run -- true
	echo >>"$kernel/linux"
	PATH=$tmp/bin:$PATH D2TCP_CACHE=$tmp/mended status 125 $lab run -- true \
		>"$tmp/o" 2>&1
	says "$(basename "$kernel") is not as it was built" "$tmp/o"
	says "lab kernel: building $(basename "$kernel")" "$tmp/o"
	# the same for a kernel without checksums
	kernel=$(copy_kernel uml "$tmp/silent")
	: >"$kernel/built"
	PATH=$tmp/bin:$PATH D2TCP_CACHE=$tmp/silent status 125 $lab run -- true \
		>"$tmp/o" 2>&1
	says "lab kernel: building $(basename "$kernel")" "$tmp/o"
	# the kernel's release contains its recipe's key
	same "$($lab release)" "$($lab run -- uname -r)"
	says "$(basename "$($lab kdir)" | sed 's/.*-//')" <($lab release)
}
t "a cached kernel that differs from its checksums is built again" other_recipe

other_module() {
	local release
	release=$($lab release)
	mkdir -p "$tmp/other"
	sed "s/${release##*-} /000000000000 /" \
		"build/module-$release/tcp_d2tcp.ko" >"$tmp/other/tcp_d2tcp.ko"
	status 2 $lab run --module "$tmp/other/tcp_d2tcp.ko" -- true 2>"$tmp/e"
	says "was built for ${release%-*}-000000000000, and the kernel 'uml' is $release; build it with make module KDIR=" "$tmp/e"
	# the kernel itself refuses it too
	status 1 $lab run -- insmod "$tmp/other/tcp_d2tcp.ko" 2>"$tmp/e"
	says "Invalid module format" "$tmp/e"
}
t "a module built for another kernel is refused" other_module

crashed() {
	cp -r tests/lab/broken "$tmp/crash"
	make -C "$($lab kdir)" ARCH=um "M=$tmp/crash" modules
	status 125 $lab run -- insmod "$tmp/crash/broken.ko" what=panic 2>"$tmp/e"
	# the first line names the cause, and the console follows
	says "lab: the guest crashed: Kernel panic - not syncing: broken on purpose; the end of the guest's console:" \
		<(head -n 1 "$tmp/e")
	says "broken_load" "$tmp/e"
}
t "the report of a panic starts with its cause" crashed

bad_calls() {
	status 2 $lab run 2>"$tmp/e"
	says "no command" "$tmp/e"
	status 2 $lab run --sed 1 -- true 2>"$tmp/e"
	says "unknown option '--sed'" "$tmp/e"
	status 2 $lab run --seed x -- true 2>"$tmp/e"
	says "whole number, not 'x'" "$tmp/e"
	status 2 $lab run --module nowhere/tcp_d2tcp.ko -- true 2>"$tmp/e"
	says "cannot read 'nowhere/tcp_d2tcp.ko'" "$tmp/e"
	status 2 $lab run --out "$tmp/a,b" -- true 2>"$tmp/e"
	says "comma" "$tmp/e"
	status 2 $lab frobnicate 2>"$tmp/e"
	says "usage: lab build" "$tmp/e"
}
t "wrong usage is reported with the reason" bad_calls

failed_build() {
	# with a tar that unpacks nothing make finds no kernel source
	mkdir "$tmp/cache"
	PATH=$tmp/bin:$PATH D2TCP_CACHE=$tmp/cache status 125 $lab build \
		>"$tmp/o" 2>"$tmp/e"
	says "building the lab kernel failed; the end of" "$tmp/e"
	says "can't read arch/x86/um/user-offsets.c" "$tmp/e"
	# the next attempt starts from scratch
	PATH=$tmp/bin:$PATH D2TCP_CACHE=$tmp/cache status 125 $lab kdir \
		>"$tmp/o" 2>"$tmp/e"
	says "building the lab kernel failed" "$tmp/e"
}
t "a failed build shows the end of its log" failed_build

ended_build() {
	# a tar that does not return
	mkdir -p "$tmp/slow" "$tmp/cache2"
	printf '#!/bin/sh\nexec sleep 98765\n' >"$tmp/slow/tar"
	chmod +x "$tmp/slow/tar"
	PATH=$tmp/slow:$PATH D2TCP_CACHE=$tmp/cache2 $lab build >/dev/null 2>&1 &
	local pid=$! n=0
	until pgrep -f 'sleep 98765' >/dev/null; do
		n=$((n + 1))
		[ $n -lt 600 ]
		sleep 0.1
	done
	kill "$pid"
	wait "$pid" || :
	n=0
	while pgrep -f 'sleep 98765' >/dev/null; do
		n=$((n + 1))
		[ $n -lt 600 ]
		sleep 0.1
	done
}
t "an interrupted build leaves no process behind" ended_build

unprivileged() {
	local user=$tmp/user
	[ "$(id -u)" = 0 ] || { $lab run -- true; return; }
	# a copy of lab and kernel that an unprivileged user may read
	mkdir -p "$user/lab"
	cp tests/lab/* "$user/lab/" 2>/dev/null || :
	copy_kernel uml "$user/cache"
	chmod 755 "$tmp"
	chown -R 65534:65534 "$user"
	cd "$user" || return
	same "0 65534" "$(TMPDIR=/tmp setpriv --reuid 65534 --regid 65534 --clear-groups \
		env HOME="$user" D2TCP_CACHE="$user/cache" lab/lab run --out \
		"$user/out" -- sh -c 'id -u; touch out/x; stat -c %u out/x' |
		xargs)"
	same 65534 "$(stat -c %u out/x)"
}
t "a run needs no root on the host" unprivileged

# --- the other kernels, unless KERNEL=uml -------------------------------------

stock() {
	local k=$1
	status 7 $lab run --kernel "$k" --out "$tmp/out$k" -- sh -c \
		"uname -r; nproc; touch $tmp/out$k/x; echo y >lab-was-here; exit 7" \
		>"$tmp/o"
	same "$(basename "$($lab kdir "$k")" | sed 's/^linux-headers-//')" \
		"$(head -n 1 "$tmp/o")"
	same "$2" "$(sed -n 2p "$tmp/o")"
	[ -e "$tmp/out$k/x" ]
	[ ! -e lab-was-here ]
	# an hour of sleep is an hour on the guest's clock
	$lab run --kernel "$k" --limit 9999 -- sh -c \
		'a=$(date +%s); sleep 3600; b=$(date +%s); echo $((b - a))' \
		>"$tmp/o"
	[ "$(cat "$tmp/o")" -ge 3600 ] && [ "$(cat "$tmp/o")" -le 3610 ]
}
smp() {
	same 2 "$($lab run --kernel 6.1 --real-time --cpus 2 -- nproc)"
	same 3 "$($lab run --kernel 6.12 --cpus 3 -- nproc)"
	status 2 $lab run --kernel 6.1 --cpus 2 -- true 2>"$tmp/e"
	says "use --real-time" "$tmp/e"
	status 2 $lab run --kernel 5.10 -- true 2>"$tmp/e"
	says "there are uml, debug, kasan, kcsan, 6.1, 6.12, testing" "$tmp/e"
}

# A kernel that patches its code on one CPU must not crash another that runs it.
patching() {
	cat >"$tmp/patching" <<-'END'
	while :; do :; done &
	for i in $(seq 1000); do
		echo $((i % 2)) >/proc/sys/kernel/sched_schedstats || exit
	done
	kill $!
	echo patched
	END
	same patched "$($lab run --kernel 6.12 --real-time --cpus 2 -- \
		bash "$tmp/patching")"
}

# The flags after a cmpxchg16b must be right on every CPU that offers it.
flags() {
	gcc -O2 -Wall -Wextra -static -o "$tmp/flags" tests/lab/flags.c || return
	"$tmp/flags"
	same "not offered" "$($lab run --kernel 6.1 -- "$tmp/flags")"
	# on KVM it is the host's CPU
	$lab run --kernel 6.1 --real-time -- "$tmp/flags"
}

# reported BUG TEXT: load the module with this bug; the kernel must report TEXT
reported() {
	$lab run --kernel debug --console "$tmp/console" -- \
		insmod "$tmp/broken/broken.ko" "what=$1" || :
	if [ "$1" = nothing ]; then
		complaints "$tmp/console"
		return
	fi
	status 1 complaints "$tmp/console" >"$tmp/o"
	says "$2" "$tmp/o"
}
debugging() {
	mkdir "$tmp/broken"
	cp tests/lab/broken/* "$tmp/broken"
	make -C "$($lab kdir debug)" ARCH=um "M=$tmp/broken" modules
	reported nothing
	reported overrun "BUG: KASAN: slab-out-of-bounds"
	reported use "BUG: KASAN: slab-use-after-free"
	reported leak "unreferenced object"
	reported sleep "BUG: scheduling while atomic"
	reported locks "possible circular locking"
	reported shift "UBSAN: shift-out-of-bounds"
}
# uml-registers.patch writes them only when they changed
vectors() {
	gcc -O1 -Wall -Wextra -Werror -mgeneral-regs-only -o "$tmp/registers" \
		tests/lab/registers.c -pthread
	"$tmp/registers"
	same "1200 rounds,1200 rounds" "$($lab run -- "$tmp/registers" | paste -sd,)"
}
t "a process keeps its vector registers" vectors

if [ "${KERNEL-}" != uml ]; then
	t "Debian's 6.1 runs a command in virtual time" stock 6.1 1
	t "Debian's 6.12 runs a command in virtual time on two CPUs" \
		stock 6.12 2
	t "Debian testing's runs a command in virtual time" stock testing 2
	t "a guest has the number of CPUs in --cpus" smp
	t "a kernel that patches its own code runs on emulated CPUs" patching
	t "the emulated CPU does not offer its faulty cmpxchg16b" flags
	t "the debug kernel reports each bug of a broken module" debugging
fi

leftovers() {
	# every run above has removed its directory
	same "" "$(ls "$TMPDIR")"
}
t "no run leaves files behind" leftovers

end_of_tests
