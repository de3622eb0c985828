/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The congestion control d2tcp, and the test whether a socket has it.
 */
#ifndef D2TCP_CONG_H
#define D2TCP_CONG_H

#include <linux/module.h>
#include <net/tcp.h>

#ifndef MODULE
#error D2TCP is built as a module: d2tcp_is_ours() compares owners
#endif

extern struct tcp_congestion_ops d2tcp_ops;

bool d2tcp_is_fallback(const struct sock *sk);

/* For a socket under its lock, so that its operations stay and their module
 * with them. Any algorithm of this module keeps a struct d2tcp.
 */
static inline bool d2tcp_is_ours(const struct sock *sk)
{
	return inet_csk(sk)->icsk_ca_ops->owner == THIS_MODULE;
}

#endif /* D2TCP_CONG_H */
