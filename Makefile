# SPDX-License-Identifier: GPL-2.0
# The commands of the project. Kbuild tells the kernel's build what to compile.

KDIR ?= /lib/modules/$(shell uname -r)/build
B := build
PREFIX ?= /usr/local
libdir ?= $(PREFIX)/lib
mandir ?= $(PREFIX)/share/man
LAB := tests/lab/lab

CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes
HOSTFLAGS = $(WARN) $(CPPFLAGS) $(CFLAGS) -Imodule/uapi -Iuserspace/libd2tcp

.PHONY: help module upgrade command lib deb incast demo bench bench-cost bench-greedy publish check fuzz lint install uninstall clean

help:
	@echo 'D2TCP: TCP that meets deadlines. Targets:'
	@echo
	@echo '  make demo     send messages with deadlines across an emulated link and show'
	@echo '                which are met; takes seconds once the lab kernel is built'
	@echo '  make bench    run the incast scenarios and print the deadline miss rates'
	@echo '                SCENARIO=name  only this scenario of bench/scenarios'
	@echo '                SET=default | full | night  (default: default)'
	@echo '                RESUME=1  continue a run that was interrupted'
	@echo '  make bench-cost  count the instructions of an ACK and of the options'
	@echo '  make bench-greedy  measure what a flow gains by lying about its deadlines'
	@echo '                CASE=n  only row n of the table (1 to 16)'
	@echo '  make publish  put the results of the last bench into docs/results/ and README.md'
	@echo '  make check    run every test; ends with "N passed, N failed"'
	@echo '                KERNEL=uml   the daily loop: on other kernels only one test'
	@echo '                ONLY=unit|lint|lib|builds|lab|kernel|fuzz|cost|bench  one part'
	@echo '                ONLY=smp     KASAN, then KCSAN, on two CPUs, CALLS=2000000 on'
	@echo '                each; takes an hour and is not part of make check'
	@echo '                ONLY=mutants  edits of the module that tests must notice;'
	@echo '                takes some minutes and is not part of it either'
	@echo '  make fuzz     fuzz the socket options from many threads, on three kernels'
	@echo '                CALLS=2000000 on each; writes build/fuzz/table.md'
	@echo '  make module   build tcp_d2tcp.ko for the running kernel'
	@echo '                KDIR=dir  for the kernel whose headers are in dir'
	@echo '  make command  build the command d2tcp: users of the module, and its counters'
	@echo '  make upgrade  replace the loaded module with the one that make module built;'
	@echo '                refused, with a list of its users, while it is in use. Needs root'
	@echo '  make lib      build libd2tcp, static and shared'
	@echo '  make incast   build the load generator, build/incast'
	@echo '  make install  install the module built for KDIR, library, headers, manual'
	@echo '                pages and the d2tcp command'
	@echo '                MODULE=copy | dkms | no  (default: copy)'
	@echo '                PREFIX=/usr/local DESTDIR=; make uninstall removes them'
	@echo '  make deb      build the Debian packages in build/deb: d2tcp-dkms, d2tcp-tools,'
	@echo '                libd2tcp0, libd2tcp-dev, python3-d2tcp'
	@echo '  make lint     run style and static checks on everything'
	@echo '  make clean    remove build/, bench/out/ and bench/out-hosts/ (lab kernels stay'
	@echo '                in the cache)'

# --- the module: built in build/, one directory per kernel --------------------

module:
	@sh module/build.sh "$(KDIR)" $(B)

# runs as root, so it builds nothing
upgrade:
	@sh module/upgrade.sh $(B)/module-$$(uname -r)/tcp_d2tcp.ko $(B)/d2tcp

# --- the d2tcp command ----------------------------------------------------------

SHIM := userspace/d2tcp/preload.c
COMMAND := $(filter-out $(SHIM),$(wildcard userspace/d2tcp/*.c))

command: $(B)/d2tcp $(B)/libd2tcp-preload.so

$(B)/d2tcp: $(COMMAND) $(wildcard userspace/d2tcp/*.h) \
		userspace/libd2tcp/libd2tcp.h module/uapi/d2tcp.h
	@mkdir -p $(B)
	$(CC) $(HOSTFLAGS) $(LDFLAGS) -o $@ $(COMMAND)

$(B)/libd2tcp-preload.so: $(SHIM) userspace/d2tcp/preload.h module/uapi/d2tcp.h
	@mkdir -p $(B)
	$(CC) $(HOSTFLAGS) -fPIC -fvisibility=hidden -shared -Wl,-z,defs \
		$(LDFLAGS) -o $@ $(SHIM) -ldl

# --- libd2tcp -----------------------------------------------------------------

VERSION := $(shell cat VERSION)
SO := libd2tcp.so.0
LIBSRC := $(wildcard userspace/libd2tcp/*.c)
LIBOBJ := $(patsubst userspace/libd2tcp/%.c,$(B)/lib/%.o,$(LIBSRC))
LIBDEP := $(wildcard userspace/libd2tcp/*.h) module/uapi/d2tcp.h Makefile

lib: $(B)/libd2tcp.a $(B)/libd2tcp.so $(B)/d2tcp.pc

$(B)/lib/%.o: userspace/libd2tcp/%.c $(LIBDEP)
	@mkdir -p $(B)/lib
	$(CC) $(HOSTFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<

$(B)/libd2tcp.a: $(LIBOBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/libd2tcp.so: $(LIBOBJ) userspace/libd2tcp/libd2tcp.map
	$(CC) $(HOSTFLAGS) -shared -Wl,-soname,$(SO) -Wl,-z,defs \
		-Wl,--version-script,userspace/libd2tcp/libd2tcp.map \
		$(LDFLAGS) -o $(B)/$(SO) $(LIBOBJ)
	ln -sf $(SO) $@

# always rebuilt, because PREFIX may have changed
.PHONY: $(B)/d2tcp.pc
$(B)/d2tcp.pc: userspace/libd2tcp/d2tcp.pc.in $(LIBDEP)
	@mkdir -p $(B)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(libdir)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

PAGES := $(wildcard userspace/libd2tcp/man/*.[37] userspace/d2tcp/man/*.8)

# copy: the built module; dkms: its source, built by DKMS; no: no module
MODULE ?= copy
module_files = sh module/install.sh $(1) '$(MODULE)' '$(KDIR)' $(B)

# where files go; every one that install puts is in FILES
bin = $(DESTDIR)$(PREFIX)/bin
inc = $(DESTDIR)$(PREFIX)/include
lib = $(DESTDIR)$(libdir)
# private to the command, which finds it from its own place
shim = $(DESTDIR)$(PREFIX)/lib/d2tcp
data = $(DESTDIR)$(PREFIX)/share/d2tcp
completions = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
page_file = $(DESTDIR)$(mandir)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))
FILES = $(bin)/d2tcp $(inc)/d2tcp.h $(inc)/libd2tcp.h $(lib)/libd2tcp.a \
	$(lib)/$(SO) $(lib)/libd2tcp.so $(lib)/pkgconfig/d2tcp.pc \
	$(shim)/libd2tcp-preload.so $(data)/d2tcp.rules.yml $(completions)/d2tcp \
	$(foreach page,$(PAGES),$(call page_file,$(page)))

install: lib command
	@DESTDIR='$(DESTDIR)' $(call module_files,check)
	install -d $(sort $(dir $(FILES)))
	install -m 755 $(B)/d2tcp $(bin)
	install -m 644 module/uapi/d2tcp.h userspace/libd2tcp/libd2tcp.h $(inc)
	install -m 644 $(B)/libd2tcp.a $(lib)
	install -m 755 $(B)/$(SO) $(lib)
	ln -sf $(SO) $(lib)/libd2tcp.so
	install -m 644 $(B)/d2tcp.pc $(lib)/pkgconfig
	install -m 755 $(B)/libd2tcp-preload.so $(shim)
	install -m 644 userspace/prometheus/d2tcp.rules.yml $(data)
	install -m 644 userspace/d2tcp/completion.bash $(completions)/d2tcp
	$(foreach page,$(PAGES),sed 's|@VERSION@|$(VERSION)|' $(page) \
		> $(call page_file,$(page)) && chmod 644 $(call page_file,$(page)) &&) :
	DESTDIR='$(DESTDIR)' $(call module_files,install)
	[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || PATH=$$PATH:/sbin ldconfig

uninstall:
	DESTDIR='$(DESTDIR)' $(call module_files,uninstall)
	rm -f $(FILES)
	rmdir $(shim) $(data) 2>/dev/null || true

# --- Debian packages ------------------------------------------------------------

# built from the committed tree, in build/deb
deb:
	@tests/lab/packages deb
	rm -rf $(B)/deb
	mkdir -p $(B)/deb/d2tcp-$(VERSION)
	git archive HEAD | tar -x -C $(B)/deb/d2tcp-$(VERSION)
	cd $(B)/deb/d2tcp-$(VERSION) && dpkg-buildpackage -us -uc -b
	@# the project has no public address yet
	lintian --allow-root --fail-on error,warning --suppress-tags \
		bogus-mail-host,bogus-mail-host-in-debian-changelog $(B)/deb/*.changes
	@rm -rf $(B)/deb/d2tcp-$(VERSION)
	@ls $(B)/deb/*.deb

# --- the load generator -------------------------------------------------------

INCAST := $(wildcard bench/incast/*.c)

incast: $(B)/incast

$(B)/incast: $(INCAST) $(wildcard bench/incast/*.h) $(B)/libd2tcp.a
	$(CC) $(HOSTFLAGS) -o $@ $(INCAST) $(B)/libd2tcp.a -pthread -lm

# --- demo, benchmarks and tests -----------------------------------------------

SET ?= default

# prepares what every target that boots the lab's kernel needs
lab_ready = tests/lab/packages bench && $(LAB) build && \
	$(MAKE) --no-print-directory -s incast && \
	$(MAKE) --no-print-directory -s module KDIR="$$($(LAB) kdir)"
lab_module = $(CURDIR)/$(B)/module-$$($(LAB) release)/tcp_d2tcp.ko

demo:
	@$(lab_ready)
	@$(LAB) run --module "$(lab_module)" -- /usr/bin/python3 bench/demo.py

bench:
	@/usr/bin/python3 bench/scenario.py '$(SET)' '$(SCENARIO)'
	@$(lab_ready)
	@/usr/bin/python3 bench/run.py --set '$(SET)' --scenario '$(SCENARIO)' \
		$(if $(RESUME),--resume)

bench-cost:
	@tests/lab/packages check
	@bench/cost/run

bench-greedy:
	@$(lab_ready)
	@/usr/bin/python3 bench/greedy/greedy.py run \
		"$(lab_module)" '$(CASE)'

publish:
	@/usr/bin/python3 bench/run.py --publish --set '$(SET)' \
		--scenario '$(SCENARIO)'

check:
	@KERNEL='$(KERNEL)' CALLS='$(CALLS)' tests/check $(ONLY)

CALLS ?= 2000000

fuzz:
	@tests/lab/packages builds
	@tests/fuzz/run $(CALLS)

lint:
	@tests/lab/packages check
	@tests/lint

clean:
	rm -rf $(B) bench/out bench/out-hosts
