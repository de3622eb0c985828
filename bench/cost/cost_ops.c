// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the instructions of a congestion control's callbacks. For make
 * bench-cost, in a guest whose time stamp counter counts instructions; of no
 * use elsewhere, and not part of D2TCP.
 *
 * Writing a socket's file descriptor to /proc/cost_ops gives that socket a copy
 * of its operations with a counter around each callback; -1 restores the
 * original, and -2 also clears the counts. Reading shows calls and instructions
 * of each callback, minus the overhead of the counter, which is measured with
 * an empty callback.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <net/tcp.h>

enum { IN_ACK, CONG_AVOID, SSTHRESH, CWND_EVENT, SET_STATE, EMPTY, CALLBACKS };

static const char *const names[CALLBACKS] = {
	"in_ack_event", "cong_avoid", "ssthresh", "cwnd_event", "set_state",
	"empty",
};

static struct {
	u64 calls, cycles;
} count[CALLBACKS];

static const struct tcp_congestion_ops *orig;
static struct tcp_congestion_ops wrap;
static struct socket *wrapped;

/* Serialised by the lock of the wrapped socket, of which there is one. */
#define COUNT(what, call)						\
	do {								\
		u64 before_ = rdtsc();					\
									\
		call;							\
		count[what].cycles += rdtsc() - before_;		\
		count[what].calls++;					\
	} while (0)

static void nothing(struct sock *sk, u32 flags)
{
}

static void (*volatile empty)(struct sock *sk, u32 flags) = nothing;

static void in_ack_event(struct sock *sk, u32 flags)
{
	COUNT(EMPTY, empty(sk, flags));
	COUNT(IN_ACK, orig->in_ack_event(sk, flags));
}

static void cong_avoid(struct sock *sk, u32 ack, u32 acked)
{
	COUNT(CONG_AVOID, orig->cong_avoid(sk, ack, acked));
}

static u32 ssthresh(struct sock *sk)
{
	u32 result;

	COUNT(SSTHRESH, result = orig->ssthresh(sk));
	return result;
}

static void cwnd_event(struct sock *sk, enum tcp_ca_event event)
{
	COUNT(CWND_EVENT, orig->cwnd_event(sk, event));
}

static void set_state(struct sock *sk, u8 state)
{
	COUNT(SET_STATE, orig->set_state(sk, state));
}

static void unwrap(void)
{
	struct sock *sk = wrapped->sk;

	lock_sock(sk);
	WRITE_ONCE(inet_csk(sk)->icsk_ca_ops, orig);
	release_sock(sk);
	sockfd_put(wrapped);
	wrapped = NULL;
}

static int wrap_socket(int fd)
{
	struct sock *sk;
	int err;

	wrapped = sockfd_lookup(fd, &err);
	if (!wrapped)
		return err;
	sk = wrapped->sk;
	lock_sock(sk);
	orig = inet_csk(sk)->icsk_ca_ops;
	wrap = *orig;
	wrap.in_ack_event = in_ack_event;
	wrap.cong_avoid = cong_avoid;
	wrap.ssthresh = ssthresh;
	wrap.cwnd_event = cwnd_event;
	if (wrap.set_state)
		wrap.set_state = set_state;
	WRITE_ONCE(inet_csk(sk)->icsk_ca_ops, &wrap);
	release_sock(sk);
	return 0;
}

static ssize_t cost_write(struct file *file, const char __user *buf, size_t len,
			  loff_t *pos)
{
	int err, fd;

	err = kstrtoint_from_user(buf, len, 10, &fd);
	if (err)
		return err;
	if (wrapped)
		unwrap();
	if (fd == -2)
		memset(count, 0, sizeof(count));
	if (fd >= 0)
		err = wrap_socket(fd);
	return err ?: len;
}

static int cost_show(struct seq_file *seq, void *unused)
{
	u64 each = 0;
	int i;

	if (count[EMPTY].calls)
		each = count[EMPTY].cycles / count[EMPTY].calls;
	for (i = 0; i < EMPTY; i++)
		seq_printf(seq, "%s %llu %llu\n", names[i], count[i].calls,
			   count[i].cycles - each * count[i].calls);
	return 0;
}

static int cost_open(struct inode *inode, struct file *file)
{
	return single_open(file, cost_show, NULL);
}

static const struct proc_ops cost_proc_ops = {
	.proc_open	= cost_open,
	.proc_read	= seq_read,
	.proc_write	= cost_write,
	.proc_release	= single_release,
};

static int __init cost_load(void)
{
	return proc_create("cost_ops", 0600, NULL, &cost_proc_ops) ? 0 : -ENOMEM;
}

static void __exit cost_unload(void)
{
	remove_proc_entry("cost_ops", NULL);
	if (wrapped)
		unwrap();
}

module_init(cost_load);
module_exit(cost_unload);

MODULE_DESCRIPTION("Instructions of a congestion control's callbacks");
MODULE_LICENSE("GPL");
