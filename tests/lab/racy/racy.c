// SPDX-License-Identifier: GPL-2.0
/*
 * Two threads add to one plain int, a data race that KCSAN must report. Loading
 * returns when both are done. tests/smp loads this module to test KCSAN.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>

static unsigned int ms = 3000;
module_param(ms, uint, 0);

static int shared;
static DECLARE_COMPLETION(done1);
static DECLARE_COMPLETION(done2);

static int racy_thread(void *done)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);

	while (time_before(jiffies, end)) {
		shared++;
		barrier();
		cond_resched();
	}
	complete(done);
	return 0;
}

static int __init racy_load(void)
{
	struct task_struct *t1 = kthread_run(racy_thread, &done1, "racy1");
	struct task_struct *t2;

	if (IS_ERR(t1))
		return PTR_ERR(t1);
	t2 = kthread_run(racy_thread, &done2, "racy2");
	if (!IS_ERR(t2))
		wait_for_completion(&done2);
	wait_for_completion(&done1);
	pr_info("racy: %d\n", READ_ONCE(shared));
	return 0;
}

static void __exit racy_unload(void)
{
}

module_init(racy_load);
module_exit(racy_unload);
MODULE_DESCRIPTION("Executes a data race, to test that KCSAN reports it");
MODULE_LICENSE("GPL");
