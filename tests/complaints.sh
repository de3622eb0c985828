# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# complaints FILE - prints what the kernel's log has of warnings and reports, and
# is true if there is none. Sourced by check and fuzz/run.
complaints() {
	local words='WARNING:|BUG:|Oops|general protection|Kernel panic|UBSAN:'
	words="$words|unreferenced object|refcount_t:|ref_tracker|INFO: task"
	words="$words|rcu_.*stall|possible .* detected|unregister_netdevice"
	# depmod's own words about a kernel that has few modules
	! grep -v '^depmod:' "$1" | grep -nE "$words"
}
