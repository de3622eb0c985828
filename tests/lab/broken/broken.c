// SPDX-License-Identifier: GPL-2.0
/*
 * A module that executes one bug when it is loaded; the parameter what selects
 * the bug. tests/lab/test.sh and tests/smp load it to check that the kernel
 * reports it.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

static char *what = "nothing";
module_param(what, charp, 0);

static DEFINE_SPINLOCK(spin);
static DEFINE_MUTEX(a);
static DEFINE_MUTEX(b);

/* Not inlined, so that the compiler knows nothing about the memory. */
static noinline char *some_memory(size_t n)
{
	return kmalloc(n, GFP_KERNEL);
}

static int __init broken_load(void)
{
	volatile int shift = 40;
	char *memory = some_memory(16);

	if (!memory)
		return -ENOMEM;
	if (!strcmp(what, "overrun"))
		((volatile char *)memory)[16] = 1;
	if (!strcmp(what, "panic"))
		panic("broken on purpose");
	if (!strcmp(what, "shift"))
		memory[0] = (char)(1 << shift);
	if (!strcmp(what, "sleep")) {
		spin_lock(&spin);
		msleep(1);
		spin_unlock(&spin);
	}
	/* allowed only where the thread cannot move to another CPU */
	if (!strcmp(what, "cpu"))
		pr_info("on CPU %d\n", smp_processor_id());
	if (!strcmp(what, "locks")) {
		mutex_lock(&a);
		mutex_lock(&b);
		mutex_unlock(&b);
		mutex_unlock(&a);
		mutex_lock(&b);
		mutex_lock(&a);
		mutex_unlock(&a);
		mutex_unlock(&b);
	}
	if (strcmp(what, "leak"))
		kfree(memory);
	if (!strcmp(what, "use"))
		((volatile char *)memory)[0] = 1;
	return 0;
}

static void __exit broken_unload(void)
{
}

module_init(broken_load);
module_exit(broken_unload);
MODULE_DESCRIPTION("Executes a bug, to test that the kernel reports it");
MODULE_LICENSE("GPL");
