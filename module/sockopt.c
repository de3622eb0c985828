// SPDX-License-Identifier: GPL-2.0
/*
 * The socket options of uapi/d2tcp.h, and the only file that touches user
 * memory.
 *
 * The core calls in without the socket lock, for any protocol, holding a
 * reference to this module. Arguments are checked and copied first, so that
 * nothing can fault under the lock; only then is the socket locked and its
 * congestion control checked.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/sockptr.h>
#include <linux/time_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "cong.h"
#include "flow.h"
#include "grant.h"
#include "sockopt.h"
#include "uapi/d2tcp.h"

#ifndef CONFIG_NETFILTER
#error D2TCP needs a kernel with CONFIG_NETFILTER, for its socket options
#endif

#ifndef CONFIG_MODULE_UNLOAD
#error D2TCP needs a kernel with CONFIG_MODULE_UNLOAD, to wait for callers of its options
#endif

static bool d2tcp_sockopt_is_open;	/* the module is loaded completely */

/* All bytes beyond the struct known here must be zero, so that a newer program
 * is not misunderstood. No struct is longer than a page, as in the kernel's own
 * extensible structs (copy_struct_from_user()).
 */
static int check_tail(sockptr_t arg, unsigned int known, unsigned int len)
{
	int zero;

	if (len > PAGE_SIZE)
		return -E2BIG;
	if (len <= known)
		return 0;
	zero = check_zeroed_sockptr(arg, known, len - known);
	if (zero < 0)
		return zero;
	return zero ? 0 : -E2BIG;
}

/* The value that set takes from user memory. A union of its own, because kernels that
 * zero the stack would otherwise clear a struct d2tcp_info at each call.
 */
union d2tcp_arg {
	struct d2tcp_deadline deadline;
	int budget_us;
};

/* The value that get hands to user memory. */
union d2tcp_value {
	struct d2tcp_deadline deadline;
	struct d2tcp_info info;
	struct d2tcp_expect_info expect;
	int budget_us;
};

/* Converts both forms, the int and the struct, to the struct, which may have the flags
 * @known. Inline, because the cost of setting a deadline is bounded by tests/cost.
 */
static __always_inline int copy_struct(union d2tcp_arg *val, sockptr_t arg,
				       unsigned int len, u32 known)
{
	struct d2tcp_deadline *dl = &val->deadline;
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
	if (dl->flags & ~known || dl->reserved)
		return -EINVAL;
	return 0;
}

static int copy_deadline(union d2tcp_arg *val, sockptr_t arg, unsigned int len)
{
	return copy_struct(val, arg, len, D2TCP_F_RELATIVE);
}

static int copy_expect(union d2tcp_arg *val, sockptr_t arg, unsigned int len)
{
	int err = copy_struct(val, arg, len,
			      D2TCP_F_RELATIVE | D2TCP_F_STANDING);

	/* a standing deadline counts from each request, so it must be relative */
	if (!err && val->deadline.flags == D2TCP_F_STANDING)
		err = -EINVAL;
	return err;
}

/* The time by which the caller's CLOCK_MONOTONIC is ahead of the kernel's: the offset
 * of its time namespace. The core keeps it within KTIME_MAX / 2, about 2^62 ns.
 */
static s64 caller_offset_ns(void)
{
	struct timespec64 ts = { 0 };

	timens_add_monotonic(&ts);
	return timespec64_to_ns(&ts);
}

/* A time of the caller's clock on the kernel's; one before the kernel's clock
 * started is 0, one beyond 64 bits U64_MAX.
 */
static u64 kernel_time(u64 caller_ns)
{
	s64 offset_ns = caller_offset_ns();

	if (offset_ns > 0)
		return caller_ns - min_t(u64, caller_ns, offset_ns);
	return caller_ns + min_t(u64, U64_MAX - caller_ns, -offset_ns);
}

/* A time of the kernel's clock, below 2^60, on the caller's. Above 0, because 0
 * says that there is no deadline.
 */
static u64 caller_time(u64 kernel_ns)
{
	return max_t(s64, (s64)kernel_ns + caller_offset_ns(), 1);
}

/* The deadline on the kernel's clock, above 0 and at most D2TCP_FARTHEST_NS
 * away.
 */
static u64 absolute(const struct d2tcp_deadline *dl, u64 now_ns)
{
	u64 farthest = now_ns + D2TCP_FARTHEST_NS;
	u64 due;

	if (dl->flags & D2TCP_F_RELATIVE)
		due = dl->deadline_ns < D2TCP_FARTHEST_NS ?
			now_ns + dl->deadline_ns : farthest;
	else
		due = kernel_time(dl->deadline_ns);
	return clamp_t(u64, due, 1, farthest);
}

static int copy_budget(union d2tcp_arg *val, sockptr_t arg, unsigned int len)
{
	const unsigned int size = sizeof(val->budget_us);
	int err;

	/* the same lengths as for a deadline */
	if (len < size || (len > size && len < sizeof(struct d2tcp_deadline)))
		return -EINVAL;
	if (copy_from_sockptr(&val->budget_us, arg, size))
		return -EFAULT;
	err = check_tail(arg, size, len);
	if (err)
		return err;
	return val->budget_us < 0 ? -EINVAL : 0;
}

static int set_deadline(struct sock *sk, const union d2tcp_arg *val)
{
	const struct d2tcp_deadline *dl = &val->deadline;
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

static int set_budget(struct sock *sk, const union d2tcp_arg *val)
{
	struct d2tcp *ca = d2tcp_open(sk);

	ca->budget_us = val->budget_us;
	ca->budget_told = 1;
	/* Without this bit a socket accepted from a listener whose d2tcp comes
	 * from the sysctl starts afresh, and would lose the listener's setting:
	 * a budget, or that the namespace's default does not apply.
	 */
	if ((1 << sk->sk_state) & (TCPF_LISTEN | TCPF_CLOSE))
		inet_csk(sk)->icsk_ca_setsockopt = 1;
	return 0;
}

static int set_expect(struct sock *sk, const union d2tcp_arg *val)
{
	const struct d2tcp_deadline *dl = &val->deadline;

	if (!dl->deadline_ns && !dl->bytes && !dl->flags) {
		d2tcp_grant_stop(sk);
		return 0;
	}
	if (dl->bytes > S32_MAX)
		return -ERANGE;
	if (dl->flags & D2TCP_F_STANDING)
		return d2tcp_grant_stand(sk, min_t(u64, dl->deadline_ns,
						   D2TCP_FARTHEST_NS),
					 dl->bytes);
	return d2tcp_grant_expect(sk, absolute(dl, ktime_get_ns()), dl->bytes);
}

static void get_deadline(struct sock *sk, union d2tcp_value *val)
{
	struct d2tcp_deadline *dl = &val->deadline;
	struct d2tcp_view view;

	memset(dl, 0, sizeof(*dl));
	d2tcp_look(sk, ktime_get_ns(), &view);
	if (!view.prefix.due_ns)
		return;
	dl->deadline_ns = caller_time(view.prefix.due_ns);
	dl->bytes = view.prefix.bytes;
}

static void get_budget(struct sock *sk, union d2tcp_value *val)
{
	val->budget_us = d2tcp_open(sk)->budget_us;
}

static u32 info_flags(const struct sock *sk, const struct d2tcp *ca,
		      const struct d2tcp_view *view, u32 budget_us)
{
	u32 flags = 0;

	if (d2tcp_is_fallback(sk))
		flags |= D2TCP_INFO_FALLBACK;
	else if (d2tcp_live(ca))
		flags |= D2TCP_INFO_ECN;
	if (view->armed)
		flags |= D2TCP_INFO_DEADLINE;
	if (view->late)
		flags |= D2TCP_INFO_LATE;
	if (budget_us)
		flags |= D2TCP_INFO_BUDGET;
	/* without a round trip there is no estimate */
	if (view->armed && !view->late && tcp_sk(sk)->srtt_us &&
	    view->finish_ns <= (u64)view->prefix.left_ns)
		flags |= D2TCP_INFO_FEASIBLE;
	return flags;
}

static void get_info(struct sock *sk, union d2tcp_value *val)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const struct d2tcp *ca = d2tcp_open(sk);
	struct d2tcp_info *info = &val->info;
	struct d2tcp_view view;

	memset(info, 0, sizeof(*info));
	d2tcp_look(sk, ktime_get_ns(), &view);
	info->size = sizeof(*info);
	info->abi_version = D2TCP_ABI_MAJOR << 16 | D2TCP_ABI_MINOR;
	info->budget_us = d2tcp_budget_us(sk);
	info->flags = info_flags(sk, ca, &view, info->budget_us);
	/* Reno has no use for either */
	if (!d2tcp_is_fallback(sk)) {
		info->alpha = ca->alpha;
		info->penalty = view.p;
	}
	info->imminence = view.d;
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

static void get_expect_info(struct sock *sk, union d2tcp_value *val)
{
	struct d2tcp_expect_info *info = &val->expect;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->abi_version = D2TCP_ABI_MAJOR << 16 | D2TCP_ABI_MINOR;
	d2tcp_grant_look(sk, info);
}

/* An option. Its value is taken from user memory by copy() before the socket is
 * locked; set() and get() have the lock. An option without set() or without
 * get() does not exist in that direction.
 */
struct d2tcp_option {
	int number;
	int size;		/* bytes that get returns */
	int least;		/* shortest buffer that get accepts */
	int (*copy)(union d2tcp_arg *val, sockptr_t arg, unsigned int len);
	int (*set)(struct sock *sk, const union d2tcp_arg *val);
	void (*get)(struct sock *sk, union d2tcp_value *val);
	int (*prepare)(struct sock *sk);	/* before set, without lock */
	bool any_algorithm;	/* else the socket's must be of this module */
	bool (*exists)(void);	/* else always */
};

static const struct d2tcp_option d2tcp_options[] = {
	{
		.number = D2TCP_DEADLINE,
		.size	= sizeof(struct d2tcp_deadline),
		.least	= sizeof(struct d2tcp_deadline),
		.copy	= copy_deadline,
		.set	= set_deadline,
		.get	= get_deadline,
	}, {
		.number = D2TCP_BUDGET,
		.size	= sizeof(int),
		.least	= sizeof(int),
		.copy	= copy_budget,
		.set	= set_budget,
		.get	= get_budget,
	}, {
		.number = D2TCP_INFO,
		.size	= sizeof(struct d2tcp_info),
		/* size and abi_version: enough to ask again */
		.least	= offsetofend(struct d2tcp_info, abi_version),
		.get	= get_info,
	}, {
		.number = D2TCP_EXPECT,
		.copy	= copy_expect,
		.prepare = d2tcp_grant_prepare,
		.set	= set_expect,
		.any_algorithm = true,
		.exists	= d2tcp_grant_is_on,
	}, {
		.number = D2TCP_EXPECT_INFO,
		.size	= sizeof(struct d2tcp_expect_info),
		.least	= offsetofend(struct d2tcp_expect_info, abi_version),
		.get	= get_expect_info,
		.any_algorithm = true,
		.exists	= d2tcp_grant_is_on,
	},
};

/* Is the module loaded completely, and is this a TCP socket? */
static bool for_us(const struct sock *sk)
{
	/* pairs with d2tcp_sockopt_open(): a caller that sees the options open also
	 * sees everything that they use
	 */
	return smp_load_acquire(&d2tcp_sockopt_is_open) && sk_is_tcp(sk);
}

static const struct d2tcp_option *find_option(int optname)
{
	const struct d2tcp_option *option;
	int i;

	for (i = 0; i < ARRAY_SIZE(d2tcp_options); i++) {
		option = &d2tcp_options[i];
		if (option->number == optname)
			return !option->exists || option->exists() ? option : NULL;
	}
	return NULL;
}

/* with the socket locked */
static bool takes(const struct d2tcp_option *option, const struct sock *sk)
{
	return option->any_algorithm || d2tcp_is_ours(sk);
}

static int d2tcp_set(struct sock *sk, int optname, sockptr_t arg,
		     unsigned int len)
{
	const struct d2tcp_option *option = find_option(optname);
	union d2tcp_arg val;
	int err;

	if (!for_us(sk) || !option || !option->set)
		return -ENOPROTOOPT;
	err = option->copy(&val, arg, len);
	if (!err && option->prepare)
		err = option->prepare(sk);
	if (err)
		return err;

	lock_sock(sk);
	err = takes(option, sk) ? option->set(sk, &val) : -EOPNOTSUPP;
	release_sock(sk);
	return err;
}

/* *len comes from the caller and may be negative. */
static int d2tcp_get(struct sock *sk, int optname, void __user *arg, int *len)
{
	const struct d2tcp_option *option = find_option(optname);
	union d2tcp_value val;
	int err = 0;

	if (!for_us(sk) || !option || !option->get)
		return -ENOPROTOOPT;
	if (*len < option->least)
		return -EINVAL;

	lock_sock(sk);
	if (takes(option, sk))
		option->get(sk, &val);
	else
		err = -EOPNOTSUPP;
	release_sock(sk);
	if (err)
		return err;

	*len = min(*len, option->size);
	if (copy_to_user(arg, &val, *len))
		return -EFAULT;
	return 0;
}

/* SOL_IP on an IPv6 socket arrives here too. */
static struct nf_sockopt_ops d2tcp_sockopts = {
	.pf		= PF_INET,
	.set_optmin	= D2TCP_DEADLINE,
	.set_optmax	= D2TCP_EXPECT_INFO + 1,
	.set		= d2tcp_set,
	.get_optmin	= D2TCP_DEADLINE,
	.get_optmax	= D2TCP_EXPECT_INFO + 1,
	.get		= d2tcp_get,
	.owner		= THIS_MODULE,
};

/**
 * d2tcp_sockopt_claim() - own the numbers of the options, still refusing calls
 *
 * Return: 0, or -EBUSY when another module owns one of them.
 */
int d2tcp_sockopt_claim(void)
{
	int err = nf_register_sockopt(&d2tcp_sockopts);

	if (err)
		pr_err("socket options %#x to %#x are taken by another module\n",
		       D2TCP_DEADLINE, D2TCP_EXPECT_INFO);
	return err;
}

/**
 * d2tcp_sockopt_open() - accept calls: everything that they use is ready
 */
void d2tcp_sockopt_open(void)
{
	/* pairs with for_us() */
	smp_store_release(&d2tcp_sockopt_is_open, true);
}

/**
 * d2tcp_sockopt_abandon() - give the numbers back, the load having failed
 *
 * The core frees the text of a module whose load failed without looking at its
 * references. A caller that was refused may still be returning from here, so wait
 * until only the reference of the loader is left. Callers return at once, because
 * none of them touches user memory or a lock. A tracepoint to which root
 * attaches in these moments keeps it waiting, which is better than freeing the
 * tracepoint.
 */
void d2tcp_sockopt_abandon(void)
{
	nf_unregister_sockopt(&d2tcp_sockopts);
	while (module_refcount(THIS_MODULE) > 1)
		usleep_range(1000, 2000);
}

void d2tcp_sockopt_unregister(void)
{
	nf_unregister_sockopt(&d2tcp_sockopts);
}
