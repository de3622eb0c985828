// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading, and the module's parameters.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <net/tcp.h>
#include "cong.h"
#include "flow.h"
#include "grant.h"
#include "law.h"
#include "params.h"
#include "sockopt.h"
#include "stats.h"
#include "sysctl.h"

unsigned int d2tcp_shift_g __read_mostly = 4;
unsigned int d2tcp_alpha_on_init __read_mostly = LAW_ONE;
unsigned int d2tcp_d_min __read_mostly = LAW_D_ONE / 2;
unsigned int d2tcp_d_max __read_mostly = LAW_D_ONE * 2;
unsigned int d2tcp_late_d __read_mostly = LAW_D_ONE;

struct d2tcp_param {
	unsigned int *value;
	unsigned int least, most;
};

/* A value outside its range is refused, not clamped. */
static int d2tcp_param_set(const char *val, const struct kernel_param *kp)
{
	const struct d2tcp_param *param = kp->arg;
	unsigned int value;
	int err;

	err = kstrtouint(val, 0, &value);
	if (!err && (value < param->least || value > param->most))
		err = -EINVAL;
	if (err) {
		/* a value written through sysfs ends with a newline */
		pr_err("%s: a number from %u to %u, not '%.*s'\n", kp->name,
		       param->least, param->most,
		       (int)min_t(size_t, strcspn(val, "\n"), 32), val);
		return err;
	}
	/* flows read it at any time */
	WRITE_ONCE(*param->value, value);
	return 0;
}

static int d2tcp_param_get(char *buf, const struct kernel_param *kp)
{
	const struct d2tcp_param *param = kp->arg;

	return sysfs_emit(buf, "%u\n", READ_ONCE(*param->value));
}

static const struct kernel_param_ops d2tcp_param_ops = {
	.set = d2tcp_param_set,
	.get = d2tcp_param_get,
};

static struct d2tcp_param shift_g = { &d2tcp_shift_g, 0, LAW_G_MOST };
module_param_cb(shift_g, &d2tcp_param_ops, &shift_g, 0644);
MODULE_PARM_DESC(shift_g, "gain of alpha, g = 2^-shift_g: 0 to 10 (4)");

static struct d2tcp_param alpha_on_init = { &d2tcp_alpha_on_init, 0, LAW_ONE };
module_param_cb(alpha_on_init, &d2tcp_param_ops, &alpha_on_init, 0644);
MODULE_PARM_DESC(alpha_on_init,
		 "alpha of a new connection in 2^-20: 0 to 1048576 (1048576)");

static struct d2tcp_param d_min = { &d2tcp_d_min, LAW_D_LEAST, LAW_D_ONE };
module_param_cb(d_min, &d2tcp_param_ops, &d_min, 0644);
MODULE_PARM_DESC(d_min, "minimum of d in 2^-8: 64 to 256 (128)");

static struct d2tcp_param d_max = { &d2tcp_d_max, LAW_D_ONE, LAW_D_MOST };
module_param_cb(d_max, &d2tcp_param_ops, &d_max, 0644);
MODULE_PARM_DESC(d_max, "maximum of d in 2^-8: 256 to 1024 (512)");

static struct d2tcp_param late_d = { &d2tcp_late_d, LAW_D_LEAST, LAW_D_MOST };
module_param_cb(late_d, &d2tcp_param_ops, &late_d, 0644);
MODULE_PARM_DESC(late_d, "d after a missed deadline in 2^-8: 64 to 1024 (256)");

/* Sockets can select d2tcp as soon as the congestion control is registered, so
 * counters and settings are registered before it. No step may fail afterwards:
 * a failed load would free this code under a socket that uses it. Claiming the
 * option numbers can fail, because another module may own them, so it comes
 * before too; the options accept calls only when everything else is ready.
 */
static int __init d2tcp_load(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct d2tcp) > ICSK_CA_PRIV_SIZE);

	err = d2tcp_stats_register();
	if (err)
		return err;
	err = d2tcp_sysctl_register();
	if (err)
		goto no_sysctl;
	err = d2tcp_grant_register();
	if (err)
		goto no_grant;
	err = d2tcp_sockopt_claim();
	if (err)
		goto no_sockopt;
	err = tcp_register_congestion_control(&d2tcp_ops);
	if (err)
		goto no_cong;
	d2tcp_sockopt_open();
	return 0;

no_cong:
	d2tcp_sockopt_abandon();
no_sockopt:
	d2tcp_grant_unregister();
no_grant:
	d2tcp_sysctl_unregister();
no_sysctl:
	d2tcp_stats_unregister();
	return err;
}

/* Options go first: while they are still registered and the module is
 * unloading, the core refuses the options of every module registered behind
 * them. That leaves the moment between the core's decision and this call. The
 * next step waits for an RCU grace period, during which they must no longer be
 * registered.
 */
static void __exit d2tcp_unload(void)
{
	d2tcp_sockopt_unregister();
	tcp_unregister_congestion_control(&d2tcp_ops);
	d2tcp_grant_unregister();
	d2tcp_sysctl_unregister();
	d2tcp_stats_unregister();
}

module_init(d2tcp_load);
module_exit(d2tcp_unload);

MODULE_AUTHOR("The D2TCP maintainers");
MODULE_DESCRIPTION("Deadline-Aware Datacenter TCP (D2TCP)");
MODULE_LICENSE("GPL");
MODULE_VERSION(D2TCP_VERSION);
