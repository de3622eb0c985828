// SPDX-License-Identifier: GPL-2.0
/*
 * A second module for the tests of tcp_d2tcp. Its parameters select what it
 * registers:
 *
 *	options=1	the option 0xE100 at SOL_IP; get succeeds without data
 *	numbers=1	one of the option numbers of tcp_d2tcp
 *	name=1		a congestion control named "d2tcp"
 */
#include <linux/module.h>
#include <linux/netfilter.h>
#include <net/tcp.h>

static bool options, numbers, name;
module_param(options, bool, 0444);
module_param(numbers, bool, 0444);
module_param(name, bool, 0444);

static int other_get(struct sock *sk, int optname, void __user *arg, int *len)
{
	*len = 0;
	return 0;
}

static struct nf_sockopt_ops own = {
	.pf		= PF_INET,
	.get_optmin	= 0xE100,
	.get_optmax	= 0xE101,
	.get		= other_get,
	.owner		= THIS_MODULE,
};

static struct nf_sockopt_ops taken = {
	.pf		= PF_INET,
	.get_optmin	= 0xD203,
	.get_optmax	= 0xD204,
	.get		= other_get,
	.owner		= THIS_MODULE,
};

static struct tcp_congestion_ops namesake = {
	.ssthresh	= tcp_reno_ssthresh,
	.cong_avoid	= tcp_reno_cong_avoid,
	.undo_cwnd	= tcp_reno_undo_cwnd,
	.owner		= THIS_MODULE,
	.name		= "d2tcp",
};

static int __init other_load(void)
{
	if (options)
		return nf_register_sockopt(&own);
	if (numbers)
		return nf_register_sockopt(&taken);
	if (name)
		return tcp_register_congestion_control(&namesake);
	return -EINVAL;
}

static void __exit other_unload(void)
{
	if (options)
		nf_unregister_sockopt(&own);
	else if (numbers)
		nf_unregister_sockopt(&taken);
	else
		tcp_unregister_congestion_control(&namesake);
}

module_init(other_load);
module_exit(other_unload);

MODULE_DESCRIPTION("Registers names and numbers of tcp_d2tcp, for its tests");
MODULE_LICENSE("GPL");
