// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading the module while programs call socket options, and
 * loads that fail. Called as `test_reload TCP_D2TCP.KO OTHER.KO D2TCP`: the
 * second module is from other/, D2TCP is the command.
 */
#include "kernel.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *module, *other, *command;

/* Unloads both modules, which a failed test may have left loaded. */
static void start_over(void)
{
	first_net();
	sh("rmmod tcp_d2tcp 2>/dev/null; rmmod other 2>/dev/null; true");
}

/* --- callers of options, from threads of their own ------------------------ */

static volatile bool stop;
static volatile unsigned long calls, refused;

static void *ask_other(void *arg)
{
	int fd = tcp_socket(AF_INET, "cubic");
	char buf[64];
	socklen_t len;

	(void)arg;
	while (!stop) {
		len = sizeof(buf);
		if (getsockopt(fd, SOL_IP, 0xE100, buf, &len))
			refused++;
		calls++;
		/* so that virtual time advances */
		sleep_us(1);
	}
	close(fd);
	return NULL;
}

TEST(reloading the module does not refuse the options of other modules)
{
	pthread_t caller;
	int i;

	start_over();
	sh("insmod %s options=1", other);
	stop = false;
	calls = 0;
	refused = 0;
	CHECK(!pthread_create(&caller, NULL, ask_other, NULL), "no thread");
	while (!calls)
		sleep_us(1000);
	for (i = 0; i < 10; i++) {
		sh("insmod %s", module);
		sleep_us(1000);
		sh("rmmod tcp_d2tcp");
	}
	stop = true;
	pthread_join(caller, NULL);
	sh("rmmod other");
	printf("# %lu calls, %lu refused\n", calls, refused);
	CHECK(calls > 100, "%lu calls", calls);
	/* At most one per unload: no module can close the moment between the
	 * core's decision to unload and the module's first step. When the
	 * options stayed registered during a grace period there were hundreds.
	 */
	CHECK(refused <= 10, "%lu refused", refused);
}

/* --- a caller in a page fault --------------------------------------------- */

/* A page whose first reader waits until give_page(). */
static char *waiting_page(int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *page;

	*uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (*uffd < 0)
		SKIP("this kernel has no userfaultfd");
	CHECK_OK(ioctl(*uffd, UFFDIO_API, &api));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED, "mmap: %s", strerror(errno));
	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	CHECK_OK(ioctl(*uffd, UFFDIO_REGISTER, &reg));
	return page;
}

static void give_page(int uffd, char *page)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)page, .len = 4096 },
	};

	CHECK_OK(ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
}

/* Has a thread touched the page? */
static bool touched(int uffd)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&pfd, 1, 0) > 0 && read(uffd, &msg, sizeof(msg)) > 0;
}

static void *set_from(void *page)
{
	int fd = tcp_socket(AF_INET, "cubic");

	/* until a call enters the option, or the test stops */
	while (!stop && setsockopt(fd, SOL_IP, D2TCP_DEADLINE, page, 24) &&
	       errno == ENOPROTOOPT)
		calls++;
	close(fd);
	return NULL;
}

/* Loads the module by the system call, which is faster than running insmod. */
static void load_fails(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC), err;

	CHECK(fd >= 0, "%s: %s", module, strerror(errno));
	err = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	/* EEXIST for a name that is taken; newer kernels return EBUSY */
	CHECK(err == EEXIST || err == EBUSY, "%s", strerrorname_np(err));
}

/* The last step of a load fails while another CPU calls the options. */
TEST(a load that fails in its last step does not crash a caller of the options)
{
	unsigned int i, inside = 0;
	pthread_t caller;
	char *page;
	int uffd;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("needs a second CPU for the caller");
	page = waiting_page(&uffd);
	start_over();
	sh("insmod %s name=1", other);
	stop = false;
	calls = 0;
	CHECK(!pthread_create(&caller, NULL, set_from, page), "no thread");
	for (i = 0; i < 60 && !inside; i++) {
		load_fails();
		inside += touched(uffd);
	}
	/* a caller inside the option must return to its program */
	stop = true;
	give_page(uffd, page);
	pthread_join(caller, NULL);
	sh("rmmod other");
	close(uffd);
	munmap(page, 4096);
	printf("# %u loads, %lu calls, %u got inside\n", i, calls, inside);
	CHECK(calls > 100, "%lu calls", calls);
	CHECK(!module_loaded(), "the module is loaded");
	CHECK(strstr(output("dmesg | tail -n 60"), "Oops") == NULL &&
	      strstr(output("dmesg | tail -n 60"), "BUG") == NULL,
	      "the kernel log has a report");
	/* the failed loads leave nothing behind */
	sh("insmod %s && rmmod tcp_d2tcp", module);
}

TEST(the load fails with a message if an option number is taken)
{
	struct pair p;

	start_over();
	sh("insmod %s numbers=1", other);
	load_fails();
	CHECK(strstr(output("dmesg | tail -n 5"),
		     "socket options 0xd200 to 0xd204 are taken"), "%s",
	      output("dmesg | tail -n 5"));
	/* it fails before d2tcp can be selected */
	fresh_net();
	p = connected(AF_INET, NULL, NULL);
	CHECK_ERRNO(set_cc(p.client, "d2tcp"), ENOENT);
	close_pair(&p);
	first_net();
	sh("rmmod other; insmod %s && rmmod tcp_d2tcp", module);
}

static void *set_once(void *page)
{
	int fd = tcp_socket(AF_INET, "cubic");
	sigset_t all;

	/* With a signal pending (SIGCHLD of the test's commands) a thread does
	 * not sleep in the fault but retries it all the time.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	CHECK_ERRNO(setsockopt(fd, SOL_IP, D2TCP_DEADLINE, page, 24),
		    EOPNOTSUPP);
	close(fd);
	return NULL;
}

TEST(d2tcp holders lists a thread that sleeps inside an option)
{
	char cmd[300], want[64];
	pthread_t caller;
	const char *said;
	char *page;
	int uffd, i;

	page = waiting_page(&uffd);
	if (access("/proc/self/syscall", R_OK))
		SKIP("this kernel does not show a thread's system call");
	start_over();
	sh("insmod %s", module);
	CHECK(!pthread_create(&caller, NULL, set_once, page), "no thread");
	for (i = 0; i < 1000 && !touched(uffd); i++)
		sleep_us(1000);
	CHECK(i < 1000, "the caller is not inside");
	CHECK(system("rmmod tcp_d2tcp 2>/dev/null") != 0, "it unloads");
	snprintf(cmd, sizeof(cmd), "%s holders 2>&1", command);
	said = output(cmd);
	snprintf(want, sizeof(want), "in socket option 0xd200");
	CHECK(strstr(said, "thread ") && strstr(said, want) &&
	      strstr(said, "(test_reload)"), "%s", said);
	CHECK(!strstr(said, "more not visible in /proc"), "%s", said);
	give_page(uffd, page);
	pthread_join(caller, NULL);
	CHECK(strstr(output(cmd), "nothing holds tcp_d2tcp"), "%s",
	      output(cmd));
	sh("rmmod tcp_d2tcp");
	close(uffd);
	munmap(page, 4096);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: test_reload TCP_D2TCP.KO OTHER.KO D2TCP [TEST]\n");
		return 2;
	}
	module = argv[1];
	other = argv[2];
	command = argv[3];
	first_net();
	return run_tests(argc - 3, argv + 3);
}
