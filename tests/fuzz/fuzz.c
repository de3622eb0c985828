// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz CALLS SEED - call the socket options of d2tcp from many threads and
 * network namespaces in parallel, on sockets in every state, while the module
 * is unloaded and loaded. Runs as root inside a kernel of the lab and prints
 * one line of figures. A bug shows as a report in the kernel's log, as a module
 * that cannot be unloaded, or here as
 *
 *  - an errno that docs/abi.md does not list
 *  - an INFO that contradicts itself
 *  - a success rate below one half: the calls would reach little code
 *
 * Each round starts several processes in a network namespace each. The threads
 * of a process share its sockets. When all processes have ended, the module
 * must unload.
 */
#include "../kernel/kernel.h"
#include <linux/inet_diag.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PROCESSES	4
#define THREADS		4
#define ROUND		4000	/* operations per thread and round */
#define SLOTS		24	/* sockets of a process */
#define PORTS		2

/* Shared by all processes. */
static struct figures {
	atomic_ullong calls, good, connections, bytes, loads, unloads, forks;
	atomic_ullong error[200], odd_errno, odd_info;
} *sum;

static atomic_int slots[SLOTS];
static __thread uint64_t state;

static uint32_t rnd(uint32_t n)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 33) % n;
}

static int one_of(uint32_t chances)
{
	return rnd(chances) == 0;
}

/* Counts a call of one of our options. */
static void count_call(int ret)
{
	static const int known[] = {
		EINVAL, E2BIG, ERANGE, EOPNOTSUPP, ENOPROTOOPT, EFAULT,
		ENOMEM,
		/* another thread has closed or replaced the descriptor */
		EBADF, ENOTSOCK,
	};
	size_t i;

	sum->calls++;
	if (ret == 0) {
		sum->good++;
		return;
	}
	sum->error[errno < 200 ? errno : 0]++;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (errno == known[i])
			return;
	sum->odd_errno++;
	printf("# errno %s\n", strerrorname_np(errno));
}

/* --- operations on a socket ----------------------------------------------- */

static uint64_t odd_number(void)
{
	static const uint64_t numbers[] = {
		0, 1, 1000, 1 << 20, INT32_MAX, 1ull << 31, 1ull << 32,
		1ull << 40, 1ull << 60, 1ull << 63, UINT64_MAX,
	};

	return numbers[rnd(sizeof(numbers) / sizeof(numbers[0]))] + rnd(3) - 1;
}

static void set_a_deadline(int fd)
{
	union {
		struct d2tcp_deadline dl;
		int usec;
		char tail[64];
	} v;
	socklen_t len = sizeof(v.dl);
	void *p = &v;

	memset(&v, 0, sizeof(v));
	switch (rnd(10)) {
	case 0:
	case 1:
		v.usec = rnd(8) ? (int)rnd(50000) : (int)odd_number();
		len = sizeof(v.usec);
		break;
	case 2:			/* all zero clears */
		break;
	case 3:			/* arbitrary values */
		v.dl.deadline_ns = odd_number();
		v.dl.bytes = odd_number();
		v.dl.flags = rnd(4);
		v.dl.reserved = one_of(8);
		len = rnd(sizeof(v) + 1);
		if (one_of(4))
			v.tail[24 + rnd(40)] = 1;
		if (one_of(10))
			p = (void *)8;
		break;
	case 4:			/* absolute */
		v.dl.deadline_ns = clock_ns() + rnd(30000000);
		v.dl.bytes = rnd(100000);
		break;
	default:
		v.dl.deadline_ns = rnd(20000000);
		v.dl.bytes = rnd(3) ? rnd(60000) : 0;
		v.dl.flags = D2TCP_F_RELATIVE |
			(rnd(4) ? 0 : D2TCP_F_STANDING);
		len = rnd(8) ? len : sizeof(v);
		break;
	}
	count_call(setsockopt(fd, SOL_IP, rnd(3) ? D2TCP_DEADLINE :
			      D2TCP_EXPECT, p, len));
}

static void set_a_budget(int fd)
{
	int usec = rnd(6) ? (int)rnd(30000) : (int)odd_number();

	count_call(setsockopt(fd, SOL_IP, D2TCP_BUDGET, &usec,
			      rnd(20) ? sizeof(usec) : rnd(40)));
}

static void check_info(const struct d2tcp_info *info, socklen_t len)
{
	if (len < sizeof(*info))
		return;
	if (info->size != sizeof(*info) || info->alpha > 1u << 20 ||
	    info->penalty > 1u << 20 || info->imminence < 64 ||
	    info->imminence > 1024 || info->outstanding > 4 ||
	    info->bytes_left > INT32_MAX ||
	    (info->outstanding > 0) != !!(info->flags & D2TCP_INFO_DEADLINE) ||
	    (info->flags & D2TCP_INFO_ECN && info->flags & D2TCP_INFO_FALLBACK)) {
		sum->odd_info++;
		printf("# alpha %u p %u d %u outstanding %u left %llu flags %#x\n",
		       info->alpha, info->penalty, info->imminence,
		       info->outstanding,
		       (unsigned long long)info->bytes_left, info->flags);
	}
}

static void check_expect_info(const struct d2tcp_expect_info *info,
			      socklen_t len)
{
	if (len < sizeof(*info))
		return;
	if (info->size != sizeof(*info) || info->outstanding > 8 ||
	    (info->bytes && info->granted > info->bytes) ||
	    info->granted > INT32_MAX ||
	    (info->outstanding > 0) != !!(info->flags & D2TCP_EXPECTING) ||
	    (info->outstanding && info->flags & D2TCP_EXPECT_RELEASED) ||
	    (info->flags & D2TCP_EXPECT_HELD &&
	     info->flags & D2TCP_EXPECT_GRANTED)) {
		sum->odd_info++;
		printf("# outstanding %u bytes %llu arrived %llu granted %llu flags %#x\n",
		       info->outstanding, (unsigned long long)info->bytes,
		       (unsigned long long)info->arrived,
		       (unsigned long long)info->granted, info->flags);
	}
}

static void get_something(int fd)
{
	static const socklen_t size[] = {
		24, 4, sizeof(struct d2tcp_info),
		sizeof(struct d2tcp_expect_info),
	};
	unsigned int what = rnd(4);
	union {
		struct d2tcp_info info;
		struct d2tcp_expect_info expect;
		char bytes[256];
	} v;
	socklen_t len = size[what];
	void *p = &v;
	int r;

	if (one_of(10))
		len = rnd(sizeof(v));
	if (one_of(60))
		len = (socklen_t)-rnd(100);
	if (one_of(60))
		p = (void *)8;
	r = getsockopt(fd, SOL_IP, (int[]){ D2TCP_DEADLINE, D2TCP_BUDGET,
					    D2TCP_INFO,
					    D2TCP_EXPECT_INFO }[what], p, &len);
	count_call(r);
	if (!r && what == 2)
		check_info(&v.info, len);
	if (!r && what == 3)
		check_expect_info(&v.expect, len);
}

static void look(int fd)
{
	union tcp_cc_info cc;
	struct tcp_info info;
	socklen_t len = sizeof(cc);

	/* .get_info, and the core's own reading of the socket */
	getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, &cc, &len);
	len = sizeof(info);
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
}

static void send_something(int fd, int file)
{
	static char buf[70000];
	ssize_t n;

	if (one_of(6)) {
		off_t at = 0;

		n = sendfile(fd, file, &at, rnd(60000));
	} else {
		n = send(fd, buf, rnd(rnd(4) ? 4000 : sizeof(buf)),
			 MSG_DONTWAIT | MSG_NOSIGNAL | (rnd(4) ? 0 : MSG_MORE));
	}
	if (n > 0)
		sum->bytes += n;
}

static void choose(int fd)
{
	static const char *const other[] = { "cubic", "reno", "dctcp" };

	set_cc(fd, rnd(4) ? "d2tcp" : other[rnd(3)]);
}

/* Puts a new socket into a slot and closes the old one. */
static int fill(unsigned int slot)
{
	static const int family[] = { AF_INET, AF_INET6 };
	int f = family[rnd(2)], one = 1, fd, old;
	struct address a;

	fd = socket(f, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (rnd(8))
		set_cc(fd, "d2tcp");
	else
		choose(fd);
	if (one_of(3))
		set_a_deadline(fd);
	if (one_of(3))
		set_a_budget(fd);
	a = loopback(f, 7000 + rnd(PORTS));
	if (one_of(4)) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (bind(fd, &a.sa, a.len) == 0)
			listen(fd, 8);
	} else {
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one,
			   one_of(4) ? sizeof(one) : 0);
		connect(fd, &a.sa, a.len);
	}
	old = atomic_exchange(&slots[slot], fd);
	if (old >= 0)
		close(old);
	return fd;
}

static void accept_one(int fd)
{
	int child = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), old;

	if (child < 0)
		return;
	sum->connections++;
	old = atomic_exchange(&slots[rnd(SLOTS)], child);
	if (old >= 0)
		close(old);
}

static void reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void write_a_setting(void)
{
	static const struct {
		const char *path;
		unsigned int least, most;
	} s[] = {
		{ "/proc/sys/net/ipv4/d2tcp/default_budget_us", 0, 50000 },
		{ "/proc/sys/net/ipv4/d2tcp/min_budget_us", 0, 5000 },
		{ "/proc/sys/net/ipv4/d2tcp/default_expect_us", 0, 20000 },
		{ "/proc/sys/net/ipv4/d2tcp/expect_max", 0, 200 },
		{ "/proc/sys/net/ipv4/d2tcp/expect_rate_mbps", 0, 2000 },
		{ "/proc/sys/net/ipv4/d2tcp/expect_echo_ce", 0, 1 },
		{ "/sys/module/tcp_d2tcp/parameters/shift_g", 0, 10 },
		{ "/sys/module/tcp_d2tcp/parameters/alpha_on_init", 0, 1 << 20 },
		{ "/sys/module/tcp_d2tcp/parameters/d_min", 64, 256 },
		{ "/sys/module/tcp_d2tcp/parameters/d_max", 256, 1024 },
		{ "/sys/module/tcp_d2tcp/parameters/late_d", 64, 1024 },
	};
	unsigned int i = rnd(sizeof(s) / sizeof(s[0]));
	char text[16];

	snprintf(text, sizeof(text), "%u",
		 s[i].least + rnd(s[i].most - s[i].least + 1));
	write_file(s[i].path, text);
}

static void read_counters(void)
{
	char text[1024];
	int fd = open("/proc/thread-self/net/d2tcp", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, text, sizeof(text)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static void operate(int fd, int file)
{
	char drain[4096];
	pid_t pid;
	int i, n;

	switch (rnd(40)) {
	case 0 ... 9:
		set_a_deadline(fd);
		break;
	case 10 ... 11:
		set_a_budget(fd);
		break;
	case 12 ... 16:
		get_something(fd);
		break;
	case 17 ... 22:
		send_something(fd, file);
		break;
	case 23 ... 27:
		for (i = 0; i < 8 && recv(fd, drain, sizeof(drain),
					  MSG_DONTWAIT) > 0; i++)
			;
		break;
	case 28 ... 31:
		accept_one(fd);
		break;
	case 32:
		shutdown(fd, (int)rnd(3));
		break;
	case 33:
		disconnect(fd);
		connect_to(fd, rnd(2) ? AF_INET : AF_INET6, 7000 + rnd(PORTS));
		break;
	case 34:
		reset(fd);
		break;
	case 35:
		choose(fd);
		break;
	case 36:
		look(fd);
		break;
	case 37:
		if (one_of(10))
			write_a_setting();
		else
			read_counters();
		break;
	case 38:
		n = atomic_exchange(&slots[rnd(SLOTS)], -1);
		if (n >= 0)
			close(n);
		break;
	default:
		if (rnd(60))
			break;
		pid = fork();
		if (!pid) {
			/* it has copies of all sockets, closed by its exit */
			for (i = 0; i < 20; i++) {
				set_a_deadline(slots[rnd(SLOTS)]);
				send_something(slots[rnd(SLOTS)], file);
			}
			_exit(0);
		}
		sum->forks += pid > 0;
		break;
	}
}

static void *worker(void *seed)
{
	int file = memfd_create("f", MFD_CLOEXEC), fd, i;
	unsigned int slot;

	state = (uintptr_t)seed * 0x9e3779b97f4a7c15ull + 1;
	ftruncate(file, 60000);
	for (i = 0; i < ROUND; i++) {
		slot = rnd(SLOTS);
		fd = slots[slot];
		if (fd < 0 || one_of(300))
			fd = fill(slot);
		operate(fd, file);
		/* let timers and packets be processed */
		if (i % 64 == 0)
			sleep_us(50);
	}
	close(file);
	return NULL;
}

static void process(uint64_t seed)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	pthread_t t[THREADS];
	uintptr_t i;
	int fd;

	if (unshare(CLONE_NEWNET))
		_exit(1);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	write_file("/proc/sys/net/ipv4/tcp_fastopen", "1543");
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < SLOTS; i++)
		slots[i] = -1;
	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, worker,
			       (void *)(seed * THREADS + i + 1));
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	_exit(0);
}

/* --- the module ----------------------------------------------------------- */

static bool unload(void)
{
	if (syscall(SYS_delete_module, "tcp_d2tcp", O_NONBLOCK))
		return false;
	sum->unloads++;
	return true;
}

static void load(void)
{
	if (system("modprobe tcp_d2tcp") == 0)
		sum->loads++;
}

int main(int argc, char **argv)
{
	uint64_t want, seed, started = clock_ns(), next;
	int i, alive, st, bad = 0;
	unsigned int round;

	if (argc != 3) {
		fprintf(stderr, "usage: fuzz CALLS SEED\n");
		return 2;
	}
	want = strtoull(argv[1], NULL, 10);
	seed = strtoull(argv[2], NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sum = mmap(NULL, sizeof(*sum), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* the kernel also loads the module when a socket selects d2tcp */
	if (system("mkdir -p /etc/modprobe.d && echo options tcp_d2tcp "
		   "expect=1 >/etc/modprobe.d/fuzz.conf"))
		return 1;
	load();
	next = want / 10;
	for (round = 0; !bad && sum->calls < want; round++) {
		/* unload before the processes have sockets, and below while
		 * they run
		 */
		for (i = 0; i < PROCESSES; i++) {
			if (!fork())
				process(seed * 1000003 + round * PROCESSES + i);
			if (unload())
				load();
		}
		for (alive = PROCESSES; alive;) {
			if (waitpid(-1, &st, WNOHANG) > 0) {
				alive--;
				if (st) {
					printf("# a process ended with %#x\n",
					       st);
					bad = 1;
				}
				continue;
			}
			if (unload())
				load();
			sleep_us(2000);
		}
		/* namespaces are freed with a delay, and with them their last
		 * sockets
		 */
		for (i = 0; i < 3000 && module_loaded() && !unload(); i++)
			sleep_us(10000);
		if (module_loaded()) {
			printf("# the module cannot be unloaded:\n%s",
			       output("grep d2tcp /proc/modules"));
			bad = 1;
		}
		load();
		if (sum->calls >= next) {
			fprintf(stderr, "%llu calls\n",
				(unsigned long long)sum->calls);
			next += want / 10;
		}
	}
	printf("calls %llu succeeded %llu connections %llu megabytes %llu forks %llu loads %llu unloads %llu namespaces %u guest_s %llu\n",
	       (unsigned long long)sum->calls, (unsigned long long)sum->good,
	       (unsigned long long)sum->connections,
	       (unsigned long long)sum->bytes >> 20,
	       (unsigned long long)sum->forks,
	       (unsigned long long)sum->loads,
	       (unsigned long long)sum->unloads, round * PROCESSES,
	       (unsigned long long)(clock_ns() - started) / 1000000000);
	for (i = 0; i < 200; i++)
		if (sum->error[i])
			printf("# %s %llu\n", i ? strerrorname_np(i) : "other",
			       (unsigned long long)sum->error[i]);
	if (sum->odd_errno || sum->odd_info ||
	    sum->good * 2 < sum->calls || !sum->connections || !sum->unloads)
		bad = 1;
	return bad;
}
