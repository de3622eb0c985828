/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The administrator's settings per network namespace, net.ipv4.d2tcp.*.
 */
#ifndef D2TCP_SYSCTL_H
#define D2TCP_SYSCTL_H

#include <net/sock.h>
#include "compat.h"

u32 d2tcp_default_budget_us(const struct sock *sk);
u32 d2tcp_min_budget_us(const struct sock *sk);
int d2tcp_host_only(D2TCP_CTL_TABLE *table, int write, void *buffer,
		    size_t *lenp, loff_t *ppos);
int d2tcp_sysctl_register(void);
void d2tcp_sysctl_unregister(void);

#endif /* D2TCP_SYSCTL_H */
