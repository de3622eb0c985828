// SPDX-License-Identifier: GPL-2.0
/*
 * The socket options of uapi/d2tcp.h, and the only file that touches user
 * memory.
 *
 * The core calls in without the socket lock, for any protocol, holding a
 * reference to this module. Arguments are checked and copied first, so that
 * nothing can fault under the lock; only then is the socket locked and its
 * congestion control looked at.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/sched/signal.h>
#include <linux/sockptr.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "cong.h"
#include "sockopt.h"
#include "uapi/d2tcp.h"

#ifndef CONFIG_NETFILTER
#error D2TCP needs a kernel with CONFIG_NETFILTER, for its socket options
#endif

/* Everything of a longer struct that this version does not know must be zero,
 * so that no newer program is misunderstood.
 */
static int check_tail(sockptr_t arg, unsigned int known, unsigned int len)
{
	unsigned int at, n;
	int zero;

	for (at = known; at < len; at += n) {
		n = min_t(unsigned int, len - at, PAGE_SIZE);
		zero = check_zeroed_sockptr(arg, at, n);
		if (zero < 0)
			return zero;
		if (!zero)
			return -E2BIG;
		/* len is the caller's to choose, up to 2 GiB */
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Brings both forms, the int and the struct, to the struct. */
static int copy_deadline(struct d2tcp_deadline *dl, sockptr_t arg,
			 unsigned int len)
{
	int err, usec;

	memset(dl, 0, sizeof(*dl));
	if (len == sizeof(usec)) {
		if (copy_from_sockptr(&usec, arg, sizeof(usec)))
			return -EFAULT;
		if (usec < 0)
			return -EINVAL;
		if (usec) {
			dl->deadline_ns = (u64)usec * NSEC_PER_USEC;
			dl->flags = D2TCP_F_RELATIVE;
		}
		return 0;
	}
	if (len < sizeof(*dl))
		return -EINVAL;
	if (copy_from_sockptr(dl, arg, sizeof(*dl)))
		return -EFAULT;
	err = check_tail(arg, sizeof(*dl), len);
	if (err)
		return err;
	if (dl->flags & ~D2TCP_F_RELATIVE || dl->reserved)
		return -EINVAL;
	return 0;
}

/* Absolute, above 0, and no farther away than D2TCP_FARTHEST_NS. */
static u64 absolute(const struct d2tcp_deadline *dl, u64 now_ns)
{
	u64 farthest = now_ns + D2TCP_FARTHEST_NS;
	u64 due = dl->deadline_ns;

	if (dl->flags & D2TCP_F_RELATIVE)
		due = due < D2TCP_FARTHEST_NS ? now_ns + due : farthest;
	return clamp_t(u64, due, 1, farthest);
}

static int copy_budget(int *budget_us, sockptr_t arg, unsigned int len)
{
	int err;

	/* the same lengths as for a deadline */
	if (len < sizeof(*budget_us) ||
	    (len > sizeof(*budget_us) && len < sizeof(struct d2tcp_deadline)))
		return -EINVAL;
	if (copy_from_sockptr(budget_us, arg, sizeof(*budget_us)))
		return -EFAULT;
	err = check_tail(arg, sizeof(*budget_us), len);
	if (err)
		return err;
	return *budget_us < 0 ? -EINVAL : 0;
}

static int set_deadline(struct sock *sk, const struct d2tcp_deadline *dl)
{
	bool clear = !dl->deadline_ns && !dl->bytes && !dl->flags;
	u64 now_ns = ktime_get_ns();

	if (clear) {
		d2tcp_clear(sk);
		return 0;
	}
	if (sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	return d2tcp_arm(sk, absolute(dl, now_ns), dl->bytes, now_ns);
}

static int set_budget(struct sock *sk, u32 budget_us)
{
	struct d2tcp *ca = d2tcp_open(sk);

	ca->budget_us = budget_us;
	ca->budget_told = 1;
	/* Without this bit the sockets accepted from a listener whose d2tcp
	 * comes from the sysctl start afresh, and what it was told would be
	 * lost: a budget, or that the namespace's default is not wanted.
	 */
	if ((1 << sk->sk_state) & (TCPF_LISTEN | TCPF_CLOSE))
		inet_csk(sk)->icsk_ca_setsockopt = 1;
	return 0;
}

static int d2tcp_set(struct sock *sk, int optname, sockptr_t arg,
		     unsigned int len)
{
	struct d2tcp_deadline dl;
	int budget_us, err;

	if (!sk_is_tcp(sk))
		return -ENOPROTOOPT;

	switch (optname) {
	case D2TCP_DEADLINE:
		err = copy_deadline(&dl, arg, len);
		break;
	case D2TCP_BUDGET:
		err = copy_budget(&budget_us, arg, len);
		break;
	default:
		return -ENOPROTOOPT;
	}
	if (err)
		return err;

	lock_sock(sk);
	if (!d2tcp_is_ours(sk))
		err = -EOPNOTSUPP;
	else if (optname == D2TCP_DEADLINE)
		err = set_deadline(sk, &dl);
	else
		err = set_budget(sk, budget_us);
	release_sock(sk);
	return err;
}

static void get_deadline(const struct sock *sk, struct d2tcp_deadline *dl)
{
	struct d2tcp_view view;

	memset(dl, 0, sizeof(*dl));
	d2tcp_look(sk, ktime_get_ns(), &view);
	dl->deadline_ns = view.prefix.due_ns;
	dl->bytes = view.prefix.bytes;
}

static void get_info(struct sock *sk, struct d2tcp_info *info)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const struct d2tcp *ca = d2tcp_open(sk);
	struct d2tcp_view view;

	memset(info, 0, sizeof(*info));
	d2tcp_look(sk, ktime_get_ns(), &view);
	info->size = sizeof(*info);
	info->abi_version = D2TCP_ABI_MAJOR << 16 | D2TCP_ABI_MINOR;
	if (d2tcp_is_fallback(sk))
		info->flags |= D2TCP_INFO_FALLBACK;
	else if (ca->mark == D2TCP_LIVE)
		info->flags |= D2TCP_INFO_ECN;
	if (view.armed)
		info->flags |= D2TCP_INFO_DEADLINE;
	if (view.late)
		info->flags |= D2TCP_INFO_LATE;
	info->budget_us = d2tcp_budget_us(sk);
	if (info->budget_us)
		info->flags |= D2TCP_INFO_BUDGET;
	if (view.armed && !view.late &&
	    view.finish_ns <= (u64)view.prefix.left_ns)
		info->flags |= D2TCP_INFO_FEASIBLE;
	info->alpha = ca->alpha;
	info->imminence = view.d;
	info->penalty = view.p;
	info->cwnd = min_t(u64, view.window, U32_MAX);
	info->mss = tp->mss_cache;
	info->srtt_us = tp->srtt_us >> 3;
	info->outstanding = deadline_count(&ca->ring);
	info->merged = ca->ring.merged;
	info->bytes_left = view.prefix.bytes;
	info->time_left_ns = view.prefix.left_ns;
	info->finish_ns = view.finish_ns;
	info->met = ca->met;
	info->missed = ca->missed;
	info->armed_late = ca->armed_late;
	info->cleared = ca->ring.cleared;
}

/* *len comes from the caller and may be negative. */
static int d2tcp_get(struct sock *sk, int optname, void __user *arg, int *len)
{
	union {
		struct d2tcp_deadline dl;
		struct d2tcp_info info;
		int budget_us;
	} val;
	int least, size;

	if (!sk_is_tcp(sk))
		return -ENOPROTOOPT;

	switch (optname) {
	case D2TCP_DEADLINE:
		size = sizeof(val.dl);
		least = size;
		break;
	case D2TCP_BUDGET:
		size = sizeof(val.budget_us);
		least = size;
		break;
	case D2TCP_INFO:
		size = sizeof(val.info);
		/* size and abi_version: enough to ask again */
		least = offsetofend(struct d2tcp_info, abi_version);
		break;
	default:
		return -ENOPROTOOPT;
	}
	if (*len < least)
		return -EINVAL;

	lock_sock(sk);
	if (!d2tcp_is_ours(sk)) {
		release_sock(sk);
		return -EOPNOTSUPP;
	}
	if (optname == D2TCP_DEADLINE)
		get_deadline(sk, &val.dl);
	else if (optname == D2TCP_BUDGET)
		val.budget_us = d2tcp_open(sk)->budget_us;
	else
		get_info(sk, &val.info);
	release_sock(sk);

	*len = min(*len, size);
	if (copy_to_user(arg, &val, *len))
		return -EFAULT;
	return 0;
}

/* SOL_IP on an IPv6 socket arrives here too. */
static struct nf_sockopt_ops d2tcp_sockopts = {
	.pf		= PF_INET,
	.set_optmin	= D2TCP_DEADLINE,
	.set_optmax	= D2TCP_EXPECT + 1,
	.set		= d2tcp_set,
	.get_optmin	= D2TCP_DEADLINE,
	.get_optmax	= D2TCP_EXPECT + 1,
	.get		= d2tcp_get,
	.owner		= THIS_MODULE,
};

int d2tcp_sockopt_register(void)
{
	int err = nf_register_sockopt(&d2tcp_sockopts);

	if (err)
		pr_err("socket options %#x to %#x are taken by another module\n",
		       D2TCP_DEADLINE, D2TCP_EXPECT);
	return err;
}

void d2tcp_sockopt_unregister(void)
{
	nf_unregister_sockopt(&d2tcp_sockopts);
}
