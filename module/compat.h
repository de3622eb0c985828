/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One shim per difference between the kernels this builds for. The D2TCP_HAVE_
 * macros come from the probes in ../Kbuild, which compile; no kernel version is
 * compared anywhere.
 */
#ifndef D2TCP_COMPAT_H
#define D2TCP_COMPAT_H

#include <net/tcp.h>

/* The third argument, flags for the ACK, came with AccECN: upstream commit
 * "tcp: Pass flags to __tcp_send_ack", which is in Debian's 6.12 (its changelog
 * names it) and not in its 6.1. Zero asks for nothing special.
 */
static inline void d2tcp_send_ack(struct sock *sk, u32 rcv_nxt)
{
#if D2TCP_HAVE_SEND_ACK_FLAGS
	__tcp_send_ack(sk, rcv_nxt, 0);
#else
	__tcp_send_ack(sk, rcv_nxt);
#endif
}

#endif /* D2TCP_COMPAT_H */
