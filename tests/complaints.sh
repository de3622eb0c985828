# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# complaints FILE - print the warnings and reports in a kernel log; succeeds if
# there are none. Sourced by check, smp, fuzz/run and lab/test.sh.
complaints() {
	local words='WARNING:|BUG:|Oops|general protection|Kernel panic|UBSAN:'
	words="$words|unreferenced object|refcount_t:|ref_tracker|INFO: task"
	words="$words|rcu_.*stall|possible .* detected|unregister_netdevice"
	# depmod warns about a kernel that has few modules
	! grep -v '^depmod:' "$1" | grep -nE "$words"
}
