/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The receiver's side of a network namespace: its hooks, the number of expecting
 * sockets, listeners whose children inherit, and the administrator's settings.
 */
#ifndef D2TCP_GRANT_NET_H
#define D2TCP_GRANT_NET_H

#include <linux/netfilter.h>
#include <net/net_namespace.h>

struct grant_net {
	atomic_t socks;			/* with state, counted towards max */
	bool hooked;
	spinlock_t lock;		/* of the list and of the values inherited */
	struct list_head listeners;	/* and sockets that may become one */
	/* settings: written at any time, read with READ_ONCE() */
	unsigned int default_us;	/* standing expectation; 0: none */
	unsigned int max;		/* of socks: expect_max */
	unsigned int rate_mbps;		/* of each link; 0: measured */
	unsigned int echo_ce;		/* echo all marks */

	struct net *net;
	struct ctl_table_header *header;
	struct ctl_table *table;
};

struct grant_net *grant_net_of(const struct net *net);
int grant_net_hook(struct net *net);
bool grant_net_enter(struct grant_net *gn);
void grant_net_leave(struct grant_net *gn);
int grant_net_register(const struct nf_hook_ops *hooks, unsigned int n);
void grant_net_unregister(void);

#endif /* D2TCP_GRANT_NET_H */
