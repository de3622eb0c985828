// SPDX-License-Identifier: GPL-2.0
/*
 * The receiver's side of a network namespace; see grant_net.h. Its settings:
 *
 * net.ipv4.d2tcp.default_expect_us	the standing expectation, of unknown
 *					length, of outgoing connections whose
 *					program sets none; 0 (the default): off
 *
 * net.ipv4.d2tcp.expect_max		max number of expecting sockets; 0: none. A
 *					new namespace inherits its creator's value.
 *					Writing needs CAP_NET_ADMIN on the host,
 *					because it limits the root of a container
 *					too.
 * net.ipv4.d2tcp.expect_rate_mbps	the rate of each link over which answers
 *					arrive; 0 (the default): measured
 * net.ipv4.d2tcp.expect_echo_ce	1: echo all marks to the senders; 0 (the
 *					default): not those that the limit on
 *					bytes in flight answers
 *
 * docs/receiver.md describes them. They exist while D2TCP_EXPECT does.
 */
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/netns/generic.h>
#include "compat.h"
#include "grant_net.h"
#include "link.h"
#include "sysctl.h"

/* expect_max of a namespace: initial value and maximum. A socket takes 512 bytes. */
#define GRANT_MAX	65536
#define GRANT_MAX_MAX	1048576
/* The fastest link, 10 Tbit/s: at 125 bytes/ms per Mbit/s it is below 2^31 bytes/ms. */
#define GRANT_RATE_MAX	10000000

static unsigned int grant_net_id __read_mostly;
static DEFINE_MUTEX(grant_hook_mutex);
static const struct nf_hook_ops *grant_hooks;
static unsigned int grant_hook_count;
static bool grant_everywhere;		/* every namespace has its settings */

struct grant_net *grant_net_of(const struct net *net)
{
	return net_generic(net, grant_net_id);
}

/**
 * grant_net_hook() - register the hooks for packets that leave a namespace
 * @net: the namespace
 *
 * The hooks stay registered, because unregistering them drops the packets that wait
 * in queues of netfilter.
 *
 * Return: 0, or an error of the core.
 */
int grant_net_hook(struct net *net)
{
	struct grant_net *gn = grant_net_of(net);
	int err = 0;

	mutex_lock(&grant_hook_mutex);
	if (!gn->hooked)
		err = nf_register_net_hooks(net, grant_hooks, grant_hook_count);
	if (!err)
		gn->hooked = true;
	mutex_unlock(&grant_hook_mutex);
	return err;
}

/* Counts one more expecting socket; false at the bound. */
bool grant_net_enter(struct grant_net *gn)
{
	if (atomic_inc_return(&gn->socks) <= READ_ONCE(gn->max))
		return true;
	atomic_dec(&gn->socks);
	return false;
}

void grant_net_leave(struct grant_net *gn)
{
	atomic_dec(&gn->socks);
}

/* The first value other than 0 registers the hooks, which then see every connection
 * open.
 */
static int set_default(D2TCP_CTL_TABLE *table, int write, void *buffer,
		       size_t *lenp, loff_t *ppos)
{
	struct grant_net *gn = container_of(table->data, struct grant_net,
					    default_us);
	int err = proc_douintvec_minmax(table, write, buffer, lenp, ppos);

	if (!err && write && READ_ONCE(gn->default_us)) {
		err = grant_net_hook(gn->net);
		if (err)
			WRITE_ONCE(gn->default_us, 0);
	}
	return err;
}

static const unsigned int grant_max_max = GRANT_MAX_MAX;
static const unsigned int grant_rate_max = GRANT_RATE_MAX;

/* Kernels before 6.6 find the end of the table by its empty last entry. */
static const struct ctl_table grant_table[] = {
	{
		.procname	= "default_expect_us",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= set_default,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_INT_MAX,
	},
	{
		.procname	= "expect_max",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= d2tcp_host_only,
		.extra1		= SYSCTL_ZERO,
		.extra2		= (void *)&grant_max_max,
	},
	{
		.procname	= "expect_rate_mbps",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= (void *)&grant_rate_max,
	},
	{
		.procname	= "expect_echo_ce",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_ONE,
	},
	{ }
};

static int __net_init grant_net_init(struct net *net)
{
	struct grant_net *gn = grant_net_of(net);
	const struct net *creator = current->nsproxy->net_ns;

	gn->net = net;
	/* while the module loads, existing namespaces get the initial value */
	gn->max = READ_ONCE(grant_everywhere) ?
		  READ_ONCE(grant_net_of(creator)->max) : GRANT_MAX;
	spin_lock_init(&gn->lock);
	INIT_LIST_HEAD(&gn->listeners);
	gn->table = kmemdup(grant_table, sizeof(grant_table), GFP_KERNEL);
	if (!gn->table)
		return -ENOMEM;
	gn->table[0].data = &gn->default_us;
	gn->table[1].data = &gn->max;
	gn->table[2].data = &gn->rate_mbps;
	gn->table[3].data = &gn->echo_ce;
	gn->header = d2tcp_register_sysctl(net, "net/ipv4/d2tcp", gn->table,
					   ARRAY_SIZE(grant_table) - 1);
	if (!gn->header) {
		kfree(gn->table);
		return -ENOMEM;
	}
	return 0;
}

/* The core waits for RCU before grant_net_exit(): packets may be in the hooks. The
 * settings are removed first, since writing them could register the hooks again.
 */
static void __net_exit grant_net_pre_exit(struct net *net)
{
	struct grant_net *gn = grant_net_of(net);

	unregister_net_sysctl_table(gn->header);
	if (gn->hooked)
		nf_unregister_net_hooks(net, grant_hooks, grant_hook_count);
}

/* No socket of the namespace is left, since each holds a reference to it. */
static void __net_exit grant_net_exit(struct net *net)
{
	kfree(grant_net_of(net)->table);
	d2tcp_link_exit(net);
}

static struct pernet_operations grant_net_ops = {
	.init	= grant_net_init,
	.pre_exit = grant_net_pre_exit,
	.exit	= grant_net_exit,
	.id	= &grant_net_id,
	.size	= sizeof(struct grant_net),
};

/**
 * grant_net_register() - set up the receiver's side of all namespaces
 * @hooks: hooks of each namespace in which sockets expect answers
 * @n: number of hooks
 *
 * Return: 0, or an error of the core.
 */
int grant_net_register(const struct nf_hook_ops *hooks, unsigned int n)
{
	int err;

	grant_hooks = hooks;
	grant_hook_count = n;
	err = register_pernet_subsys(&grant_net_ops);
	/* a namespace created before this starts with GRANT_MAX */
	if (!err)
		WRITE_ONCE(grant_everywhere, true);
	return err;
}

void grant_net_unregister(void)
{
	unregister_pernet_subsys(&grant_net_ops);
}
