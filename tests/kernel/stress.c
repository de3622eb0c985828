// SPDX-License-Identifier: GPL-2.0
/*
 * stress SECONDS - run the module's code that does not take the socket lock
 * (TCP_CC_INFO and ss, settings, parameters, counters) in parallel with the
 * code that does, on connections that carry messages and change their
 * congestion control. For a kernel that reports data races (kcsan): the fuzzer
 * makes too few reads without the lock to find them.
 */
#include "kernel.h"
#include <linux/inet_diag.h>
#include <pthread.h>

static volatile int client, server;
static volatile bool stop;

static void *write_messages(void *arg)
{
	static char buf[8000];
	unsigned int n = 0;

	(void)arg;
	while (!stop) {
		set_deadline(client, 2000000, n++ % 2 ? sizeof(buf) : 0,
			     D2TCP_F_RELATIVE);
		if (send(client, buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			break;
	}
	return NULL;
}

static void *read_all(void *arg)
{
	static char buf[20000];

	(void)arg;
	while (!stop && recv(server, buf, sizeof(buf), 0) > 0)
		;
	return NULL;
}

static void *read_info(void *arg)
{
	union tcp_cc_info info;
	struct d2tcp_info own;
	socklen_t len;

	(void)arg;
	while (!stop) {
		len = sizeof(info);
		getsockopt(client, IPPROTO_TCP, TCP_CC_INFO, &info, &len);
		len = sizeof(info);
		getsockopt(server, IPPROTO_TCP, TCP_CC_INFO, &info, &len);
		len = sizeof(own);
		getsockopt(client, SOL_IP, D2TCP_INFO, &own, &len);
	}
	return NULL;
}

static void *change_settings(void *arg)
{
	static const struct {
		const char *path;
		unsigned int least, most;
	} s[] = {
		{ "/proc/sys/net/ipv4/d2tcp/default_budget_us", 0, 5000 },
		{ "/proc/sys/net/ipv4/d2tcp/min_budget_us", 0, 5000 },
		{ "/sys/module/tcp_d2tcp/parameters/shift_g", 0, 10 },
		{ "/sys/module/tcp_d2tcp/parameters/d_max", 256, 1024 },
		{ "/sys/module/tcp_d2tcp/parameters/d_min", 64, 256 },
		{ "/sys/module/tcp_d2tcp/parameters/late_d", 64, 1024 },
		{ "/sys/module/tcp_d2tcp/parameters/alpha_on_init", 0, 1 << 20 },
	};
	unsigned int i, n = 0;
	char text[32], counters[1000];
	int fd;

	(void)arg;
	while (!stop) {
		i = n++ % (sizeof(s) / sizeof(s[0]));
		snprintf(text, sizeof(text), "%u", s[i].least + n * 977 %
			 (s[i].most - s[i].least + 1));
		write_file(s[i].path, text);
		fd = open("/proc/net/d2tcp", O_RDONLY);
		while (fd >= 0 && read(fd, counters, sizeof(counters)) > 0)
			;
		close(fd);
	}
	return NULL;
}

static void *ask_diag(void *arg)
{
	(void)arg;
	while (!stop)
		CHECK(!system("ss -tin >/dev/null"), "ss");
	return NULL;
}

static void *switch_control(void *arg)
{
	unsigned int n = 0;

	(void)arg;
	while (!stop) {
		sleep_us(2000);
		set_cc(client, n++ % 2 ? "d2tcp" : "cubic");
	}
	return NULL;
}

/* One connection for five seconds. Every third round also changes its
 * congestion control.
 */
static void one_round(unsigned int n)
{
	static void *(*const what[])(void *) = {
		write_messages, read_all, read_info, change_settings,
		read_info, ask_diag, switch_control,
	};
	const unsigned int threads = n % 3 == 2 ? 7 : 6;
	pthread_t thread[7];
	struct pair p;
	unsigned int i;

	p = connected(n % 2 ? AF_INET6 : AF_INET, "d2tcp", "d2tcp");
	client = p.client;
	server = p.server;
	stop = false;
	for (i = 0; i < threads; i++)
		CHECK(!pthread_create(&thread[i], NULL, what[i], NULL),
		      "no thread");
	sleep_us(5000000);
	stop = true;
	shutdown(client, SHUT_RDWR);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	close_pair(&p);
}

static unsigned int seconds;

TEST(code without the socket lock runs in parallel with code that holds it)
{
	uint64_t end = clock_ns() + seconds * 1000000000ull;
	unsigned int n = 0;

	while (clock_ns() < end)
		one_round(n++);
	printf("# %u connections, %ld messages\n", n, counter("D2tcpArmed"));
	CHECK(counter("D2tcpArmed") > 100, "%ld", counter("D2tcpArmed"));
}

int main(int argc, char **argv)
{
	seconds = argc > 1 ? atoi(argv[1]) : 0;
	if (!seconds) {
		fprintf(stderr, "usage: stress SECONDS\n");
		return 2;
	}
	if (system("modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	return run_tests(1, argv);
}
