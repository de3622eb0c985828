# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Builds or fetches the kernels of the lab. Sourced by lab.
#
#	uml	User Mode Linux in virtual time, from linux-source-6.12
#	debug	the same with KASAN, lockdep, kmemleak, UBSAN and more, slow
#	kasan	the same checks on several CPUs, for QEMU; from the same source
#	kcsan	KCSAN, which reports data races, and lockdep; likewise
#	6.1	Debian's own kernel of that line, from its package, for QEMU
#	6.12	the same
#	testing	the same, the newest kernel of Debian testing
#
# Each has a directory in the cache. The directory's name contains a hash of
# everything that the kernel is built from. It contains
#
#	uml, debug: linux (the binary) and a tree to build modules in
#	kasan, kcsan: vmlinuz, initrd and a tree to build modules in
#	the others: vmlinuz, initrd, lib/modules/, kdir (a link to the headers)
#
# The file "built" in it has the checksums of the files that a run uses. A
# kernel whose files do not match them, or that has none, is built again.
#
# ensure_kernel NAME builds or fetches the kernel NAME unless it is in the
# cache, and sets $kernel to its directory. lab sets $here and $cache before.
# shellcheck disable=SC2154

tarball=/usr/src/linux-source-6.12.tar.xz

# make_cached DIR WHAT COMMAND...: create a directory of the cache, under a
# lock. Runs COMMAND with DIR, which is empty, as its last argument and with its
# output in DIR.log. COMMAND lists files of DIR in DIR/files; their checksums
# are stored and compared at every use.
make_cached() {
	local dir=$1 what=$2 pid log=$1.log
	shift 2
	! intact "$dir" || return 0
	mkdir -p "$cache"
	exec 9>"$dir.lock"
	flock 9
	if intact "$dir"; then
		exec 9>&-
		return 0
	fi
	[ ! -e "$dir/built" ] ||
		echo "lab kernel: $(basename "$dir") is not as it was built"
	rm -rf "$dir"
	mkdir "$dir"
	echo "lab kernel: $what $(basename "$dir"), once, some minutes"
	: >"$log"
	# In a process group of its own, so that all of its processes can be
	# ended. They inherit the lock: no other build starts here while one of
	# them lives.
	set -m
	(set -e; "$@" "$dir") >"$log" 2>&1 &
	pid=$!
	set +m
	trap 'kill -KILL -- "-$pid" 2>/dev/null; exit 130' INT TERM HUP
	watch_build "$log" "$pid" 9>&-
	if ! wait "$pid"; then
		echo "lab: $what the lab kernel failed; the end of $log:" >&2
		tail -n 30 "$log" >&2
		exit 125
	fi
	trap - INT TERM HUP
	# moved into place, so that the file exists only when it is complete
	(cd "$dir" && xargs -r sha256sum <files >built.new && mv built.new built) ||
		die "cannot read what was built in $dir"
	exec 9>&-
}

# intact DIR: does DIR exist, and do its files match their checksums?
intact() {
	[ -s "$1/built" ] &&
		(cd "$1" && sha256sum --check --status built 2>/dev/null)
}

# Shows the progress of a build, once a second on a terminal, else every 20 s.
watch_build() {
	local log=$1 pid=$2 n=0 total=1600 s=0
	while kill -0 "$pid" 2>/dev/null; do
		n=$(grep -cE '^  (CC|AR|LD|HOSTCC) ' "$log" || :)
		if [ "$n" = 0 ]; then
			:
		elif [ -t 1 ]; then
			printf '\rbuilding the lab kernel: %d of about %d ' \
				"$n" "$total"
		elif [ $((s % 20)) = 0 ]; then
			echo "building the lab kernel: $n of about $total"
		fi
		s=$((s + 1))
		sleep 1
	done
	[ ! -t 1 ] || echo
}

# --- User Mode Linux -----------------------------------------------------------

uml_configs() {
	cat "$here/uml.config"
	[ "$1" = uml ] || cat "$here/debug.config"
}

# The key of everything that the built kernel depends on: source, config,
# compiler, recipe.
uml_key() {
	local source gcc
	source=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null) ||
		die "linux-source-6.12 is not installed; run $here/packages lab"
	gcc=$(gcc -dumpfullversion) || die "gcc is not installed"
	{
		echo "$source $gcc"
		sed -n '/^build_uml()/,/^}/p' "$here/kernels.sh"
		cat "$here/uml-registers.patch"
		uml_configs "$1"
	} | sha256sum | cut -c1-12 | sed "s/^/$1-${source%%-*}-/"
}

# Compiles in the final directory, because a build tree cannot be moved.
build_uml() {
	local flavour=$1 dir=$2 jobs line missing=
	jobs=$(nproc)
	tar -C "$dir" -xf "$tarball" --strip-components=1
	cd "$dir"
	# The registers that XSAVE keeps of a thread must fit: 11008 bytes on CPUs
	# with AMX, where 6.12 has room for 2696 and panics at boot. Upstream asks
	# the CPU since 6.13 ("um: switch to regset API and depend on XSTATE").
	sed -i 's/\(HOST_FP_SIZE, \)2696)/\112288)/' arch/x86/um/user-offsets.c
	patch -p1 <"$here/uml-registers.patch"
	uml_configs "$flavour" >lab.config
	# The release names the recipe, so that insmod refuses a module that was
	# built for a kernel of another recipe.
	echo "CONFIG_LOCALVERSION=\"-d2tcp-$flavour-${dir##*-}\"" >>lab.config
	make ARCH=um KCONFIG_ALLCONFIG="$dir/lab.config" allnoconfig
	while read -r line; do
		case $line in ''|\#*) continue ;; esac
		grep -qxF "$line" .config || missing="$missing $line"
	done < lab.config
	if [ -n "$missing" ]; then
		echo "these lines of the config did not survive:$missing"
		return 1
	fi
	# The same bytes whenever and wherever it is built.
	make ARCH=um -j "$jobs" KBUILD_BUILD_TIMESTAMP=2020-01-01 \
		KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab linux modules
	# Module builds need headers, scripts and Module.symvers, no more.
	find . -mindepth 1 -maxdepth 1 -type d ! -name arch ! -name include \
		! -name scripts -exec rm -rf {} +
	find arch -mindepth 1 -maxdepth 1 -type d ! -name um ! -name x86 \
		-exec rm -rf {} +
	find arch include -name '*.o' -delete
	rm -f vmlinux vmlinux.o vmlinux.a
	strip linux
	# longs; a kernel that asks the CPU has no such constant
	sed -n 's/^#define HOST_FP_SIZE \([0-9]*\).*/\1/p' \
		include/generated/user_constants.h |
		awk '{ print 8 * $1 }' >xstate_bytes
	printf '%s\n' linux xstate_bytes .config Module.symvers \
		include/generated/utsrelease.h >files
}

# --- the lab's own kernels for QEMU ------------------------------------------------

smp_configs() {
	# the options that are not specific to User Mode Linux
	grep -vE '^CONFIG_(UML_|HOSTFS|STDERR_CONSOLE|NULL_CHAN|KERNEL_STACK)' \
		"$here/uml.config"
	cat "$here/smp.config" "$here/$1.config"
}

smp_key() {
	local source gcc
	source=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null) ||
		die "linux-source-6.12 is not installed; run $here/packages lab"
	gcc=$(gcc -dumpfullversion) || die "gcc is not installed"
	{
		echo "$source $gcc"
		sed -n '/^build_smp()/,/^}/p' "$here/kernels.sh"
		smp_configs "$1"
	} | sha256sum | cut -c1-12 | sed "s/^/$1-${source%%-*}-/"
}

build_smp() {
	local flavour=$1 dir=$2 line missing=
	tar -C "$dir" -xf "$tarball" --strip-components=1
	cd "$dir"
	smp_configs "$flavour" >lab.config
	echo "CONFIG_LOCALVERSION=\"-d2tcp-$flavour-${dir##*-}\"" >>lab.config
	make ARCH=x86_64 KCONFIG_ALLCONFIG="$dir/lab.config" allnoconfig
	while read -r line; do
		case $line in ''|\#*) continue ;; esac
		grep -qxF "$line" .config || missing="$missing $line"
	done < lab.config
	if [ -n "$missing" ]; then
		echo "these lines of the config did not survive:$missing"
		return 1
	fi
	make ARCH=x86_64 -j "$(nproc)" KBUILD_BUILD_TIMESTAMP=2020-01-01 \
		KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab bzImage modules
	cp arch/x86/boot/bzImage vmlinuz
	# The first file system has the places to mount on; its list of modules,
	# which tells the guest that it is in QEMU, is empty.
	mkdir -p first/modules
	: >first/modules/list
	(cd first && mkdir host scratch run out dev &&
	 find . | LC_ALL=C sort | cpio -o -H newc --quiet) >initrd
	# As for User Mode Linux, and what looks at the objects of a module.
	find . -mindepth 1 -maxdepth 1 -type d ! -name arch ! -name include \
		! -name scripts ! -name tools -exec rm -rf {} +
	find arch -mindepth 1 -maxdepth 1 -type d ! -name x86 -exec rm -rf {} +
	find tools -mindepth 1 -maxdepth 1 -type d ! -name objtool \
		-exec rm -rf {} +
	find arch include -name '*.o' -delete
	rm -rf arch/x86/boot vmlinux vmlinux.o vmlinux.a
	printf '%s\n' vmlinuz initrd .config Module.symvers \
		include/generated/utsrelease.h >files
}

# --- Debian's own kernels --------------------------------------------------------

# The Debian suite whose package lists are used; empty for the host's own.
suite=
testing=$cache/apt-testing

# apt COMMAND...: run apt-get or apt-cache with the lists of $suite. The lists
# of testing are in the cache, so that this needs no root and does not change
# the host's apt.
apt() {
	local command=$1
	shift
	[ "$suite" = testing ] || { "$command" "$@"; return; }
	"$command" -o Dir::Etc::SourceList="$testing/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null \
		-o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$testing" -o Dir::State::Lists="$testing/lists" \
		-o Dir::State::Status="$testing/status" \
		-o Dir::Cache="$testing/cache" -o Acquire::Languages=none \
		-o APT::Sandbox::User= "$@"
}

# Fetches the lists of testing, once a day. The mirror is the host's own; its
# keyring has the keys of testing too.
ensure_testing() {
	local mirror
	[ -z "$(find "$testing/fresh" -mtime -1 2>/dev/null)" ] || return 0
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' \
		'Created-By: Packages' 'Component: main' |
		awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')
	[ -n "$mirror" ] || die "apt knows no mirror of Debian: run apt-get update"
	mkdir -p "$testing/lists/partial" "$testing/cache/archives/partial"
	: >"$testing/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$mirror testing main" >"$testing/sources.list"
	suite=testing apt apt-get -q update >"$testing/log" 2>&1 || {
		tail -n 20 "$testing/log" >&2
		die "the lists of Debian testing cannot be fetched"
	}
	touch "$testing/fresh"
}

# Lists the packages of a kernel line that apt knows, oldest first.
line_packages() {
	local kind=$1 line=$2 suffix=$3 pattern
	case $line in
	6.1) pattern='6\.1\.0-[0-9]+' ;;
	6.12) pattern='6\.12\.[0-9]+[+]deb[0-9]+' ;;
	testing) pattern='[0-9]+\.[0-9]+\.[0-9]+[+]deb[0-9]+' ;;
	esac
	apt apt-cache search -n "^linux-$kind-$pattern-amd64$suffix\$" \
		2>/dev/null | cut -d' ' -f1 | sort -V
}

# version PACKAGE: print the version that apt would download
version() {
	apt apt-cache show --no-all-versions "$1" | sed -n 's/^Version: //p'
}

# Packages are unpacked instead of installed: that needs no root, changes
# nothing on the host, and allows any number of versions side by side.
unpack() {
	local dir=$1 package
	shift
	mkdir "$dir/debs"
	chmod 755 "$dir/debs"
	(cd "$dir/debs" && apt apt-get -q download "$@")
	for package in "$dir"/debs/*.deb; do
		dpkg-deb -x "$package" "$dir/root"
	done
	rm -rf "$dir/debs"
}

# Adapts testing's headers to an older host. The tools run with testing's C
# library, the compiler is that of Debian 12, and the options that it does not
# support are removed from the configuration. Without vmlinux no BTF is
# generated; the host's pahole is too old for it.
fit_to_host() {
	local dir=$1 release=$2 libs=$1/libc/usr/lib/x86_64-linux-gnu tool config
	local lacks='MIN_FUNCTION_ALIGNMENT|COUNTED_BY|COUNTED_BY_PTR|ASSUME'
	lacks="CC_HAS_($lacks|MULTIDIMENSIONAL_NONSTRING)"
	mv "$dir/root" "$dir/headers"
	unpack "$dir" libc6 libelf1t64 zlib1g libzstd1
	mv "$dir/root" "$dir/libc"
	mv "$dir/headers" "$dir/root"
	find "$dir/root/usr/lib" -type f -perm /111 | while read -r tool; do
		[ "$(head -c 4 "$tool" | tail -c 3)" = ELF ] || continue
		mv "$tool" "$tool.elf"
		printf '#!/bin/sh\nexec "%s" --argv0 "$0" --library-path "%s" "%s" "$@"\n' \
			"$libs/ld-linux-x86-64.so.2" "$libs" "$tool.elf" >"$tool"
		chmod 755 "$tool"
	done
	config=$dir/root/usr/src/linux-headers-$release
	rm -f "$config/vmlinux"
	sed -i -E "/^CONFIG_$lacks=/d;s/^(CONFIG_GCC_VERSION=).*/\1120200/" \
		"$config/include/config/auto.conf"
	sed -i -E "/^#define CONFIG_$lacks /d;s/^(#define CONFIG_GCC_VERSION ).*/\1120200/" \
		"$config/include/generated/autoconf.h"
	sed -i 's/^CC = .*/CC = gcc-12/' "$config/.kernelvariables"
}

# Unpacks the headers packages of a release like 6.1.0-56-amd64.
unpack_headers() {
	local release=$1 dir=$2 base=${1%-amd64} kbuild makefile
	kbuild=linux-kbuild-$base
	case $release in 6.1.*) kbuild=linux-kbuild-6.1 ;; esac
	unpack "$dir" "linux-headers-$release" "linux-headers-$base-common" \
		"$kbuild"
	[ "$suite" != testing ] || fit_to_host "$dir" "$release"
	makefile=$dir/root/usr/src/linux-headers-$release/Makefile
	sed -i "s|/usr/src/|$dir/root/usr/src/|" "$makefile"
	grep -qF "include $dir/root/usr/src/" "$makefile"
	printf '%s\n' "${makefile#"$dir"/}" \
		"root/usr/src/linux-headers-$release/Module.symvers" >"$dir/files"
}

# ensure_headers RELEASE: fetch the headers, and set $headers to their directory
ensure_headers() {
	local release=$1 v
	v=$(version "linux-headers-$release")
	[ -n "$v" ] || die "apt knows no linux-headers-$release"
	headers=$cache/headers-$release-$({
		echo "$v"
		sed -n '/^unpack()/,/^}/p;/^unpack_headers()/,/^}/p
			/^fit_to_host()/,/^}/p' "$here/kernels.sh"
	} | sha256sum | cut -c1-12)
	make_cached "$headers" "fetching" unpack_headers "$release"
	headers=$headers/root/usr/src/linux-headers-$release
}

# The modules that a guest must load before it can mount its root, in this
# order.
boot_modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev
	virtio_pci netfs fscache 9pnet 9pnet_virtio 9p overlay"

# Collects the image, the network modules, and a first file system with the
# modules needed to mount the real one.
build_stock() {
	local release=$1 dir=$2 name file modules
	modules=$dir/lib/modules/$release
	if [ "$suite" = testing ]; then
		# what was one package is three
		unpack "$dir" "linux-binary-$release" "linux-base-$release" \
			"linux-modules-$release"
		mv "$dir/root/usr/lib" "$dir/root/lib"
		mv "$dir/root/lib/modules/$release/vmlinuz" "$dir/vmlinuz"
	else
		unpack "$dir" "linux-image-$release-unsigned"
		mv "$dir/root/boot/vmlinuz-$release" "$dir/vmlinuz"
	fi
	mkdir -p "$modules/kernel" "$dir/first/modules"
	(cd "$dir/root/lib/modules/$release" &&
	 cp modules.builtin modules.builtin.modinfo modules.order "$modules"
	 # those that there are
	 cp -r --parents kernel/net/ipv4 kernel/net/ipv6 kernel/net/sched \
		kernel/net/tls kernel/net/bridge kernel/net/llc \
		kernel/net/802 kernel/net/netfilter kernel/net/dns_resolver \
		kernel/lib kernel/crypto kernel/drivers/net/tun.ko* \
		kernel/drivers/net/veth.ko* kernel/drivers/net/dummy.ko* \
		kernel/drivers/net/vrf.ko* \
		kernel/net/core kernel/net/mptcp "$modules" 2>/dev/null || :)
	/sbin/depmod -b "$dir" "$release"
	for name in $boot_modules; do
		file=$(find "$dir/root/lib/modules" -name "$name.ko*")
		# some are part of the one or the other kernel
		[ -n "$file" ] || continue
		case $file in
		*.xz) xz -dc "$file" >"$dir/first/modules/$name.ko" ;;
		*) cp "$file" "$dir/first/modules/$name.ko" ;;
		esac
		echo "$name.ko" >>"$dir/first/modules/list"
	done
	grep -q 9pnet_virtio "$dir/first/modules/list"
	rm -rf "$dir/root"
	(cd "$dir/first" && mkdir -p host scratch run out dev &&
	 find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$dir/initrd"
	rm -rf "$dir/first"
	echo "$release" >"$dir/release"
	(cd "$dir" && printf '%s\n' release vmlinuz initrd \
		"lib/modules/$release/modules.dep") >"$dir/files"
}

ensure_stock() {
	local line=$1 image release v suffix=-unsigned
	if [ "$line" = testing ]; then
		suite=testing
		suffix=
		ensure_testing
	fi
	image=$(line_packages image "$line" "$suffix" | tail -n 1)
	[ -n "$image" ] || die "apt knows no kernel of the line $line:" \
		"run apt-get update"
	release=${image#linux-image-}
	release=${release%-unsigned}
	v=$(version "$image")
	kernel=$cache/stock-$release-$({
		echo "$v $boot_modules"
		sed -n '/^unpack()/,/^}/p;/^build_stock()/,/^}/p' \
			"$here/kernels.sh"
	} | sha256sum | cut -c1-12)
	make_cached "$kernel" "fetching" build_stock "$release"
	ensure_headers "$release"
	ln -sfn "$headers" "$kernel/kdir"
	suite=
}

# --- source trees to build modules in, which are not booted -------------------

# The arguments of make for clang, arm (32-bit) and s390 (big-endian).
tree_make() {
	case $1 in
	clang) echo "ARCH=x86_64 LLVM=1" ;;
	arm) echo "ARCH=arm CROSS_COMPILE=arm-linux-gnueabihf-" ;;
	s390) echo "ARCH=s390 CROSS_COMPILE=s390x-linux-gnu-" ;;
	*) bad "there is no tree '$1'; there are clang, arm, s390" ;;
	esac
}

build_tree() {
	local name=$1 dir=$2 arch args config=defconfig
	args=$(tree_make "$name")
	arch=${args%% *}
	arch=${arch#ARCH=}
	[ "$arch" != arm ] || config=multi_v7_defconfig
	tar -C "$dir" -xf "$tarball" --strip-components=1
	cd "$dir"
	# shellcheck disable=SC2086 # arguments of make
	make $args $config
	# what the module needs and not every default has
	scripts/config -e NETFILTER -e FTRACE -e ENABLE_DEFAULT_TRACERS -e IPV6
	# shellcheck disable=SC2086
	make $args olddefconfig
	# shellcheck disable=SC2086
	make $args -j "$(nproc)" modules_prepare
	[ "$arch" != x86_64 ] || arch=x86
	find . -mindepth 1 -maxdepth 1 -type d ! -name arch ! -name include \
		! -name scripts ! -name tools -exec rm -rf {} +
	find arch -mindepth 1 -maxdepth 1 -type d ! -name "$arch" -exec rm -rf {} +
	find tools -mindepth 1 -maxdepth 1 -type d ! -name objtool \
		-exec rm -rf {} +
	printf '%s\n' .config Makefile >files
}

ensure_tree() {
	local key
	[ -r "$tarball" ] || die "$tarball is missing; run $here/packages builds"
	key=$({
		tree_make "$1"
		sed -n '/^build_tree()/,/^}/p' "$here/kernels.sh"
		dpkg-query -W -f '${Version}' linux-source-6.12
	} | sha256sum | cut -c1-12)
	tree=$cache/tree-$1-$key
	make_cached "$tree" "preparing" build_tree "$1"
}

ensure_kernel() {
	case $1 in
	uml|debug)
		[ -r "$tarball" ] ||
			die "$tarball is missing; run $here/packages lab"
		kernel=$cache/$(uml_key "$1")
		make_cached "$kernel" "building" build_uml "$1" ;;
	kasan|kcsan)
		[ -r "$tarball" ] ||
			die "$tarball is missing; run $here/packages lab"
		kernel=$cache/$(smp_key "$1")
		make_cached "$kernel" "building" build_smp "$1" ;;
	6.1|6.12|testing) ensure_stock "$1" ;;
	*) bad "there is no kernel '$1'; there are uml, debug, kasan, kcsan," \
		"6.1, 6.12, testing" ;;
	esac
}

kernel_dir() {
	case $1 in
	uml|debug|kasan|kcsan) echo "$kernel" ;;
	*) readlink "$kernel/kdir" ;;
	esac
}

# kernel_release NAME: print the kernel's release, as uname -r does
kernel_release() {
	sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' \
		"$(kernel_dir "$1")/include/generated/utsrelease.h"
}
