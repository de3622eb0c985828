// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading, and the module's parameters.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <net/tcp.h>
#include "cong.h"
#include "law.h"
#include "params.h"
#include "sockopt.h"

unsigned int d2tcp_shift_g __read_mostly = 4;
unsigned int d2tcp_alpha_on_init __read_mostly = LAW_ONE;
unsigned int d2tcp_d_min __read_mostly = LAW_D_ONE / 2;
unsigned int d2tcp_d_max __read_mostly = LAW_D_ONE * 2;
unsigned int d2tcp_late_d __read_mostly = LAW_D_ONE;

/* A value outside its range is refused, not bent into it. */
#define D2TCP_PARAM(name, least, most, desc)				\
static int name##_set(const char *val, const struct kernel_param *kp)	\
{									\
	int err = param_set_uint_minmax(val, kp, least, most);		\
									\
	if (err)							\
		pr_err("%s: a number from %u to %u, not '%.32s'\n",	\
		       #name, least, most, val);			\
	return err;							\
}									\
static const struct kernel_param_ops name##_ops = {			\
	.set = name##_set,						\
	.get = param_get_uint,						\
};									\
module_param_cb(name, &name##_ops, &d2tcp_##name, 0644);		\
MODULE_PARM_DESC(name, desc)

D2TCP_PARAM(shift_g, 0U, (unsigned int)LAW_G_MOST,
	    "gain of alpha, g = 2^-shift_g: 0 to 10 (4)");
D2TCP_PARAM(alpha_on_init, 0U, LAW_ONE,
	    "alpha of a new connection in 2^-20: 0 to 1048576 (1048576, 1.0)");
D2TCP_PARAM(d_min, LAW_D_LEAST, LAW_D_ONE,
	    "least urgency d in 2^-8: 64 to 256 (128, 0.5)");
D2TCP_PARAM(d_max, LAW_D_ONE, LAW_D_MOST,
	    "greatest urgency d in 2^-8: 256 to 1024 (512, 2.0)");
D2TCP_PARAM(late_d, LAW_D_LEAST, LAW_D_MOST,
	    "d after a missed deadline in 2^-8: 64 to 1024 (256, 1.0)");

static int __init d2tcp_load(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct d2tcp) > ICSK_CA_PRIV_SIZE);

	err = d2tcp_sockopt_register();
	if (err)
		return err;
	err = tcp_register_congestion_control(&d2tcp_ops);
	if (err)
		d2tcp_sockopt_unregister();
	return err;
}

static void __exit d2tcp_unload(void)
{
	tcp_unregister_congestion_control(&d2tcp_ops);
	d2tcp_sockopt_unregister();
}

module_init(d2tcp_load);
module_exit(d2tcp_unload);

MODULE_AUTHOR("The D2TCP maintainers");
MODULE_DESCRIPTION("Deadline-Aware Datacenter TCP (D2TCP)");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
