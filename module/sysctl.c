// SPDX-License-Identifier: GPL-2.0
/*
 * The administrator's settings per network namespace:
 *
 * net.ipv4.d2tcp.default_budget_us	the budget of every d2tcp socket on which
 *					none was set; 0 (the default): off
 * net.ipv4.d2tcp.min_budget_us		floor of the time left when urgency is
 *					computed; 0: none. The value of the
 *					initial namespace is a floor for all,
 *					and a new namespace inherits its
 *					creator's value. Writing needs
 *					CAP_NET_ADMIN on the host, because it
 *					limits the root of a container too.
 *
 * docs/abi.md describes both.
 */
#include <linux/capability.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "compat.h"
#include "sysctl.h"

#ifndef CONFIG_SYSCTL
#error D2TCP needs a kernel with CONFIG_SYSCTL, for its settings
#endif

struct d2tcp_settings {
	unsigned int default_budget_us;
	unsigned int min_budget_us;
	struct ctl_table_header *header;
	struct ctl_table *table;
};

static unsigned int d2tcp_settings_id __read_mostly;
static bool d2tcp_settings_everywhere;	/* every namespace has them */

static struct d2tcp_settings *d2tcp_settings(const struct net *net)
{
	return net_generic(net, d2tcp_settings_id);
}

/* READ_ONCE: both may be written at any time. */
u32 d2tcp_default_budget_us(const struct sock *sk)
{
	return READ_ONCE(d2tcp_settings(sock_net(sk))->default_budget_us);
}

u32 d2tcp_min_budget_us(const struct sock *sk)
{
	return max(READ_ONCE(d2tcp_settings(sock_net(sk))->min_budget_us),
		   READ_ONCE(d2tcp_settings(&init_net)->min_budget_us));
}

/* The core would also let the root of the namespace's user namespace write. */
int d2tcp_host_only(D2TCP_CTL_TABLE *table, int write, void *buffer,
		    size_t *lenp, loff_t *ppos)
{
	if (write && !capable(CAP_NET_ADMIN))
		return -EPERM;
	return proc_douintvec_minmax(table, write, buffer, lenp, ppos);
}

/* Budgets are ints in the socket option, so INT_MAX bounds them here too.
 * Kernels before 6.6 find the end of the table by its empty last entry.
 */
static const struct ctl_table d2tcp_table[] = {
	{
		.procname	= "default_budget_us",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_INT_MAX,
	},
	{
		.procname	= "min_budget_us",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= d2tcp_host_only,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_INT_MAX,
	},
	{ }
};

static int __net_init d2tcp_settings_init(struct net *net)
{
	struct d2tcp_settings *set = d2tcp_settings(net);
	const struct net *creator = current->nsproxy->net_ns;

	/* While the module loads, existing namespaces get their settings in
	 * turn, and the current process's may not have them yet.
	 */
	if (READ_ONCE(d2tcp_settings_everywhere))
		set->min_budget_us =
			READ_ONCE(d2tcp_settings(creator)->min_budget_us);
	set->table = kmemdup(d2tcp_table, sizeof(d2tcp_table), GFP_KERNEL);
	if (!set->table)
		return -ENOMEM;
	set->table[0].data = &set->default_budget_us;
	set->table[1].data = &set->min_budget_us;
	set->header = d2tcp_register_sysctl(net, "net/ipv4/d2tcp", set->table,
					    ARRAY_SIZE(d2tcp_table) - 1);
	if (!set->header) {
		kfree(set->table);
		return -ENOMEM;
	}
	return 0;
}

static void __net_exit d2tcp_settings_exit(struct net *net)
{
	struct d2tcp_settings *set = d2tcp_settings(net);

	unregister_net_sysctl_table(set->header);
	kfree(set->table);
}

/* Sockets may read the settings until the core frees them, after every .exit.
 */
static struct pernet_operations d2tcp_settings_ops = {
	.init	= d2tcp_settings_init,
	.exit	= d2tcp_settings_exit,
	.id	= &d2tcp_settings_id,
	.size	= sizeof(struct d2tcp_settings),
};

int d2tcp_sysctl_register(void)
{
	int err = register_pernet_subsys(&d2tcp_settings_ops);

	/* a namespace created before this starts without a floor of its own */
	if (!err)
		WRITE_ONCE(d2tcp_settings_everywhere, true);
	return err;
}

void d2tcp_sysctl_unregister(void)
{
	unregister_pernet_subsys(&d2tcp_settings_ops);
}
