// SPDX-License-Identifier: GPL-2.0
/*
 * The receiver's side of a network namespace; see grant_net.h.
 */
#include <net/netns/generic.h>
#include "grant_net.h"
#include "link.h"

#define GRANT_MOST	65536		/* expecting sockets of a namespace */

static unsigned int grant_net_id __read_mostly;
static DEFINE_MUTEX(grant_hook_mutex);
static const struct nf_hook_ops *grant_hooks;
static unsigned int grant_hook_count;

struct grant_net *grant_net_of(const struct net *net)
{
	return net_generic(net, grant_net_id);
}

/**
 * grant_net_hook() - look at the packets that leave a namespace
 * @net: the namespace
 *
 * The hooks stay: removing hooks drops the packets that wait in queues of
 * netfilter.
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

/* One socket more that may expect, if the bound permits. */
bool grant_net_enter(struct grant_net *gn)
{
	if (atomic_inc_return(&gn->socks) <= GRANT_MOST)
		return true;
	atomic_dec(&gn->socks);
	return false;
}

void grant_net_leave(struct grant_net *gn)
{
	atomic_dec(&gn->socks);
}

static int __net_init grant_net_init(struct net *net)
{
	struct grant_net *gn = grant_net_of(net);

	spin_lock_init(&gn->lock);
	INIT_LIST_HEAD(&gn->listeners);
	return 0;
}

/* No socket of the namespace is left: each held a reference to it. */
static void __net_exit grant_net_exit(struct net *net)
{
	struct grant_net *gn = grant_net_of(net);

	if (gn->hooked)
		nf_unregister_net_hooks(net, grant_hooks, grant_hook_count);
	d2tcp_link_exit(net);
}

static struct pernet_operations grant_net_ops = {
	.init	= grant_net_init,
	.exit	= grant_net_exit,
	.id	= &grant_net_id,
	.size	= sizeof(struct grant_net),
};

/**
 * grant_net_register() - when the module is loaded
 * @hooks: of each namespace in which sockets may expect
 * @n: how many
 *
 * Return: 0, or an error of the core.
 */
int grant_net_register(const struct nf_hook_ops *hooks, unsigned int n)
{
	grant_hooks = hooks;
	grant_hook_count = n;
	return register_pernet_subsys(&grant_net_ops);
}

void grant_net_unregister(void)
{
	unregister_pernet_subsys(&grant_net_ops);
}
