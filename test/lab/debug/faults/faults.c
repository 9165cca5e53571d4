// SPDX-License-Identifier: GPL-2.0
/*
 * Deliberate bugs that the lab's debug kernel has to find. The parameter fault names the one that happens, while the module loads.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>

/* Of what is allocated, in bytes. */
#define SIZE 64

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "what happens: none, or one of the bugs");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(lock);
static void __rcu *pointer;

static void use_after_free(void)
{
	char *memory = kmalloc(SIZE, GFP_KERNEL);

	kfree(memory);
	/* Else the compiler sees the bug, here and below. */
	OPTIMIZER_HIDE_VAR(memory);
	if (memory)
		WRITE_ONCE(memory[8], 1);
}

static void out_of_bounds(void)
{
	char *memory = kmalloc(SIZE, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
	if (memory)
		WRITE_ONCE(memory[SIZE], 1);
	kfree(memory);
}

static void double_free(void)
{
	char *memory = kmalloc(SIZE, GFP_KERNEL);

	kfree(memory);
	OPTIMIZER_HIDE_VAR(memory);
	kfree(memory);
}

static void stack(void)
{
	char buffer[SIZE];
	char *memory = buffer;

	OPTIMIZER_HIDE_VAR(memory);
	WRITE_ONCE(memory[SIZE], 1);
}

/* No deadlock, but one that two tasks could run into. */
static void lock_order(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/* A softirq could want it while a task on the same processor has it. */
static void irq_lock(void)
{
	spin_lock(&lock);
	spin_unlock(&lock);
	local_bh_disable();
	lockdep_softirq_enter();
	spin_lock(&lock);
	spin_unlock(&lock);
	lockdep_softirq_exit();
	local_bh_enable();
}

static void rcu(void)
{
	if (rcu_dereference(pointer))
		pr_info("there is none\n");
}

static void sleep_in_atomic(void)
{
	spin_lock(&lock);
	kfree(kmalloc(SIZE, GFP_KERNEL));
	spin_unlock(&lock);
}

static void leak(void)
{
	char *memory = kmalloc(SIZE, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
}

static void refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static void expired(struct timer_list *timer)
{
}

static void timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, expired, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
}

static const struct {
	const char *name;
	void (*happens)(void);
} faults[] = {
	{ "use_after_free", use_after_free },
	{ "out_of_bounds", out_of_bounds },
	{ "double_free", double_free },
	{ "stack", stack },
	{ "lock_order", lock_order },
	{ "irq_lock", irq_lock },
	{ "rcu", rcu },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "leak", leak },
	{ "refcount", refcount },
	{ "timer", timer },
};

static int __init faults_init(void)
{
	size_t n;

	for (n = 0; n < ARRAY_SIZE(faults); n++) {
		if (strcmp(fault, faults[n].name) == 0) {
			faults[n].happens();
			return 0;
		}
	}
	return strcmp(fault, "none") == 0 ? 0 : -EINVAL;
}

static void __exit faults_exit(void)
{
}

module_init(faults_init);
module_exit(faults_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The EKHO authors");
MODULE_DESCRIPTION("Deliberate bugs for the lab's debug kernel");
