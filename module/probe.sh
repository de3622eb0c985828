#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# probe.sh NAME COMPILER... - find which of two forms of an interface a kernel has
#
# Compiles both forms of probe NAME with the kernel's own compiler and flags
# and prints -DD2TCP_HAVE_<NAME>=1 for the new form, =0 for the old one. When
# neither compiles, the kernel has a third form, or the tree is not ready: prints
# nothing on stdout and the compiler's messages on stderr, so that the build stops
# instead of guessing.
#
# NEEDED lists interfaces without shims. If they do not compile, a kernel that
# also lacks register_net_sysctl_sz() (6.6) is reported as too old, any other as
# unsupported.
name=$1
shift

too_old=
case $name in
NEEDED)
	new='void f(struct sock *sk, sockptr_t p);
	     void f(struct sock *sk, sockptr_t p)
	     { if (sk_is_tcp(sk) && check_zeroed_sockptr(p, 0, 1) > 0)
		tcp_snd_cwnd_set(tcp_sk(sk), tcp_snd_cwnd(tcp_sk(sk))); }'
	later='void f(struct net *n, struct ctl_table *t);
	       void f(struct net *n, struct ctl_table *t)
	       { register_net_sysctl_sz(n, "p", t, 1); }'
	too_old='D2TCP supports Linux 6.1 and later; this kernel is too old.'
	include='#include <linux/sockptr.h>
		 #include <net/net_namespace.h>
		 #include <net/tcp.h>' ;;
SEND_ACK_FLAGS)
	new='void f(struct sock *sk); void f(struct sock *sk)
	     { __tcp_send_ack(sk, 0, 0); }'
	old='void f(struct sock *sk); void f(struct sock *sk)
	     { __tcp_send_ack(sk, 0); }'
	include='#include <net/tcp.h>' ;;
SYSCTL_SIZE)
	new='void f(struct net *n, struct ctl_table *t);
	     void f(struct net *n, struct ctl_table *t)
	     { register_net_sysctl_sz(n, "p", t, 1); }'
	old='void f(struct net *n, struct ctl_table *t);
	     void f(struct net *n, struct ctl_table *t)
	     { struct ctl_table_header *(*r)(struct net *, const char *,
					     struct ctl_table *) =
		register_net_sysctl; r(n, "p", t); }'
	include='#include <net/net_namespace.h>' ;;
SYSCTL_CONST)
	new='void f(struct ctl_table *t); void f(struct ctl_table *t)
	     { int (*h)(const struct ctl_table *, int, void *, size_t *,
			loff_t *) = proc_dointvec; t->proc_handler = h; }'
	old='void f(struct ctl_table *t); void f(struct ctl_table *t)
	     { int (*h)(struct ctl_table *, int, void *, size_t *,
			loff_t *) = proc_dointvec; t->proc_handler = h; }'
	include='#include <linux/sysctl.h>' ;;
ECN_MODE)
	new='bool f(struct tcp_sock *tp); bool f(struct tcp_sock *tp)
	     { return tcp_ecn_mode_any(tp); }'
	old='bool f(struct tcp_sock *tp); bool f(struct tcp_sock *tp)
	     { return tp->ecn_flags & TCP_ECN_OK; }'
	include='#include <net/tcp.h>' ;;
HRTIMER_SETUP)
	new='void f(struct hrtimer *t, enum hrtimer_restart (*h)(struct hrtimer *));
	     void f(struct hrtimer *t, enum hrtimer_restart (*h)(struct hrtimer *))
	     { hrtimer_setup(t, h, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT); }'
	old='void f(struct hrtimer *t); void f(struct hrtimer *t)
	     { hrtimer_init(t, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT); }'
	include='#include <linux/hrtimer.h>' ;;
TX_START)
	new='void f(struct tcp_congestion_ops *o, void (*h)(struct sock *));
	     void f(struct tcp_congestion_ops *o, void (*h)(struct sock *))
	     { o->cwnd_event_tx_start = h; }'
	# The event is declared everywhere. Where no callback is between these two,
	# the core still sends it.
	old='void f(struct tcp_congestion_ops *o, struct sock *sk);
	     void f(struct tcp_congestion_ops *o, struct sock *sk)
	     { _Static_assert(offsetof(struct tcp_congestion_ops, in_ack_event)
			      == offsetofend(struct tcp_congestion_ops,
					     cwnd_event), "");
	       o->cwnd_event(sk, CA_EVENT_TX_START); }'
	include='#include <net/tcp.h>' ;;
*)
	echo "probe.sh: no probe is called '$name'" >&2
	exit 1 ;;
esac

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
compiles() {
	printf '%s\n%s\n' "$include" "$1" >"$dir/probe.c"
	shift
	"$@" -fsyntax-only "$dir/probe.c" 2>"$dir/$form"
}
form=new
if compiles "$new" "$@"; then
	echo "-DD2TCP_HAVE_$name=1"
	exit 0
fi
if [ -n "$too_old" ]; then
	form=old
	if ! compiles '' "$@"; then
		echo "The kernel's headers do not compile:" >&2
		cat "$dir/old" >&2
		exit 1
	fi
	form=later
	if compiles "$later" "$@"; then
		echo "This kernel is not supported:" >&2
		cat "$dir/new" >&2
	else
		echo "$too_old" >&2
	fi
	exit 1
fi
form=old
if compiles "$old" "$@"; then
	echo "-DD2TCP_HAVE_$name=0"
	exit 0
fi
{
	echo "probe.sh: $name: neither form compiles. The new one:"
	cat "$dir/new"
	echo "The old one:"
	cat "$dir/old"
} >&2
exit 1
