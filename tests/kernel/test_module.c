// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading the module, selecting d2tcp, and inheriting it. Needs a
 * kernel that has not loaded the module yet and whose modprobe finds it.
 */
#include "kernel.h"

static const int families[] = { AF_INET, AF_INET6 };

#define EACH_FAMILY(f)							\
	for (const int *f_ = families; f_ < families + 2 && ((f) = *f_, 1); f_++)

TEST(without the module every option returns ENOPROTOOPT)
{
	char buf[256];
	socklen_t len;
	int f, fd, opt;

	CHECK(!module_loaded(), "the module is loaded");
	EACH_FAMILY(f) {
		fd = tcp_socket(f, NULL);
		for (opt = D2TCP_DEADLINE; opt <= D2TCP_EXPECT_INFO; opt++) {
			len = sizeof(buf);
			CHECK_ERRNO(setsockopt(fd, SOL_IP, opt, buf, 24),
				    ENOPROTOOPT);
			CHECK_ERRNO(getsockopt(fd, SOL_IP, opt, buf, &len),
				    ENOPROTOOPT);
		}
		close(fd);
	}
}

TEST(the module does not load with a parameter outside its range)
{
	static const char *const wrong[] = {
		"shift_g=11", "alpha_on_init=1048577", "d_min=63",
		"d_min=257", "d_max=255", "d_max=1025", "late_d=63",
		"late_d=1025", "d_min=x", "d_max=-1",
	};
	char cmd[128];
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(cmd, sizeof(cmd),
			 "modprobe tcp_d2tcp %s 2>/dev/null", wrong[i]);
		CHECK(system(cmd) != 0, "%s was accepted", wrong[i]);
		CHECK(!module_loaded(), "%s loaded the module", wrong[i]);
	}
}

/* In the initial namespace, the only one that has this sysctl. */
static void allow(bool d2tcp)
{
	first_net();
	sh("sysctl -qw net.ipv4.tcp_allowed_congestion_control='reno cubic%s'",
	   d2tcp ? " d2tcp" : "");
}

TEST(the sysctl alone loads the module and selects d2tcp)
{
	int f, fd;

	sh("sysctl -qw net.ipv4.tcp_congestion_control=d2tcp");
	CHECK(module_loaded(), "not loaded");
	EACH_FAMILY(f) {
		fd = tcp_socket(f, NULL);
		CHECK(!strcmp(get_cc(fd), "d2tcp"), "%s", get_cc(fd));
		CHECK_OK(set_deadline_int(fd, 1000));
		close(fd);
	}
	sh("sysctl -qw net.ipv4.tcp_congestion_control=cubic");
	/* in the following tests other namespaces use d2tcp as default */
	allow(true);
}

TEST(a parameter refuses values outside its range and stays unchanged)
{
	static const struct {
		const char *name;
		long least, most;
	} p[] = {
		{ "shift_g", 0, 10 }, { "alpha_on_init", 0, 1048576 },
		{ "d_min", 64, 256 }, { "d_max", 256, 1024 },
		{ "late_d", 64, 1024 },
	};
	char path[128], text[32], was[16], cmd[160];
	size_t i;

	for (i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		snprintf(path, sizeof(path),
			 "/sys/module/tcp_d2tcp/parameters/%s", p[i].name);
		snprintf(cmd, sizeof(cmd), "cat %s", path);
		snprintf(was, sizeof(was), "%.12s", output(cmd));
		snprintf(text, sizeof(text), "%ld", p[i].least - 1);
		CHECK_EQ(write_file(path, text), EINVAL);
		snprintf(text, sizeof(text), "%ld", p[i].most + 1);
		CHECK(write_file(path, text) != 0, "%s %s", path, text);
		CHECK(write_file(path, "much") != 0, "%s", path);
		CHECK(!strcmp(output(cmd), was), "%s: %s", path, output(cmd));
		snprintf(text, sizeof(text), "%ld", p[i].least);
		CHECK_EQ(write_file(path, text), 0);
		snprintf(text, sizeof(text), "%ld", p[i].most);
		CHECK_EQ(write_file(path, text), 0);
		CHECK_EQ(write_file(path, was), 0);
	}
	CHECK(strstr(output("dmesg"), "d_min: a number from 64 to 256"),
	      "the kernel log does not show the allowed range");
}

/* --- inheritance from a listener ------------------------------------------ */

static void check_child(const struct pair *p, const char *cc, int budget)
{
	struct d2tcp_info info;

	CHECK(!strcmp(get_cc(p->server), cc), "%s", get_cc(p->server));
	if (strcmp(cc, "d2tcp")) {
		CHECK_ERRNO(set_deadline_int(p->server, 1000), EOPNOTSUPP);
		return;
	}
	CHECK_EQ(get_budget(p->server), budget);
	info = get_info(p->server);
	CHECK(info.flags & D2TCP_INFO_ECN, "flags %#x", info.flags);
	CHECK_EQ(info.outstanding, 0);
	CHECK_EQ(info.alpha, 1 << 20);
	CHECK_EQ(info.met + info.missed + info.armed_late + info.cleared, 0);
}

/* A listener whose budget is set before or after listen(), or at both times,
 * and a connection to it.
 */
static struct pair child_of(int f, const char *cc, int before, int after)
{
	static uint16_t port = 6000;
	struct pair p;

	p.listener = tcp_socket(f, cc);
	if (before) {
		CHECK_OK(set_budget(p.listener, before));
		/* a listener sends no message, so this must be dropped */
		CHECK_OK(set_deadline_int(p.listener, 5000));
	}
	CHECK_OK(listen_on(p.listener, f, ++port));
	if (after)
		CHECK_OK(set_budget(p.listener, after));
	p.client = tcp_socket(f, "d2tcp");
	CHECK_OK(connect_to(p.client, f, port));
	p.server = accept(p.listener, NULL, NULL);
	CHECK(p.server >= 0, "accept: %s", strerror(errno));
	return p;
}

TEST(a child inherits d2tcp and the budget of a listener that selected it)
{
	struct pair p;
	int f;

	EACH_FAMILY(f) {
		fresh_net();
		p = child_of(f, "d2tcp", 0, 0);
		check_child(&p, "d2tcp", 0);
		close_pair(&p);
		p = child_of(f, "d2tcp", 7000, 0);
		check_child(&p, "d2tcp", 7000);
		close_pair(&p);
		p = child_of(f, "d2tcp", 7000, 8000);
		check_child(&p, "d2tcp", 8000);
		close_pair(&p);
	}
}

TEST(a child inherits d2tcp and the budget of a listener with a sysctl default)
{
	struct pair p;
	int f;

	EACH_FAMILY(f) {
		fresh_net();
		sysctl_net("tcp_congestion_control", "d2tcp");
		p = child_of(f, NULL, 0, 0);
		check_child(&p, "d2tcp", 0);
		close_pair(&p);
		p = child_of(f, NULL, 7000, 0);
		check_child(&p, "d2tcp", 7000);
		close_pair(&p);
		p = child_of(f, NULL, 0, 8000);
		check_child(&p, "d2tcp", 8000);
		/* and keeps both when the sysctl changes */
		sysctl_net("tcp_congestion_control", "cubic");
		check_child(&p, "d2tcp", 8000);
		close_pair(&p);
	}
}

TEST(a child inherits d2tcp and the budget with SYN cookies)
{
	struct pair p;
	int f;

	EACH_FAMILY(f) {
		fresh_net();
		sysctl_net("tcp_syncookies", "2");
		p = child_of(f, "d2tcp", 7000, 0);
		/* timestamps are on; without them a cookie would lose ECN */
		check_child(&p, "d2tcp", 7000);
		close_pair(&p);
	}
}

static void route_wants(const char *cc)
{
	sh("ip route replace local 127.0.0.1 dev lo table local proto kernel "
	   "scope host src 127.0.0.1 congctl %s", cc);
}

TEST(a child gets d2tcp from a route that names it)
{
	struct pair p;

	fresh_net();
	route_wants("d2tcp");
	p = child_of(AF_INET, "cubic", 0, 0);
	CHECK(!strcmp(get_cc(p.server), "d2tcp"), "%s", get_cc(p.server));
	CHECK_EQ(get_budget(p.server), 0);
	CHECK_EQ(get_info(p.server).outstanding, 0);
	/* the route enables ECN, which the listener alone would not */
	CHECK_EQ(get_info(p.server).flags, D2TCP_INFO_ECN);
	close_pair(&p);
	/* the budget of a listener under d2tcp is inherited with a route too */
	p = child_of(AF_INET, "d2tcp", 7000, 0);
	check_child(&p, "d2tcp", 7000);
	close_pair(&p);
}

TEST(a child gets another algorithm from a route that names it)
{
	struct pair p;

	fresh_net();
	route_wants("reno");
	p = child_of(AF_INET, "d2tcp", 7000, 0);
	check_child(&p, "reno", 0);
	transfer(p.server, p.client, 100000);
	close_pair(&p);
}

TEST(cdg finds nothing to free in a socket that a route takes from d2tcp)
{
	int fd, s;

	fresh_net();
	route_wants("cdg");
	fd = tcp_socket(AF_INET, "cubic");
	CHECK_OK(listen_on(fd, AF_INET, 5900));
	for (int i = 0; i < 50; i++) {
		int c = tcp_socket(AF_INET, "d2tcp");

		CHECK_OK(set_deadline(c, 5000000, 100000, D2TCP_F_RELATIVE));
		CHECK_OK(set_budget(c, 12345));
		CHECK_OK(connect_to(c, AF_INET, 5900));
		CHECK(!strcmp(get_cc(c), "cdg"), "%s", get_cc(c));
		s = accept(fd, NULL, NULL);
		transfer(c, s, 10000);
		close(c);
		close(s);
		/* refused: cdg is released without having been initialised */
		c = tcp_socket(AF_INET, "d2tcp");
		CHECK_OK(set_deadline(c, 5000000, 100000, D2TCP_F_RELATIVE));
		CHECK_OK(set_budget(c, 12345));
		CHECK_ERRNO(connect_to(c, AF_INET, 5901), ECONNREFUSED);
		close(c);
	}
	close(fd);
}

/* --- unloading ------------------------------------------------------------ */

static int rmmod(void)
{
	return system("rmmod tcp_d2tcp 2>/dev/null");
}

TEST(the module cannot be unloaded while a socket or a namespace uses it)
{
	struct pair p;
	int fd;

	fresh_net();
	fd = tcp_socket(AF_INET, "d2tcp");
	CHECK(rmmod() != 0, "unloaded under an unconnected socket");
	close(fd);
	p = connected(AF_INET6, "d2tcp", "d2tcp");
	CHECK_OK(set_deadline_int(p.client, 1000));
	CHECK(rmmod() != 0, "unloaded under a connection");
	transfer(p.client, p.server, 100000);
	close_pair(&p);
	/* a namespace whose default is d2tcp holds the module too */
	sysctl_net("tcp_congestion_control", "d2tcp");
	CHECK(rmmod() != 0, "unloaded under a sysctl");
	sysctl_net("tcp_congestion_control", "cubic");
}

TEST(the module unloads and loads again repeatedly)
{
	const char *log;
	int i;

	first_net();
	/* sockets in TIME_WAIT hold no reference; closing ones do briefly */
	for (i = 0; i < 100 && rmmod(); i++)
		sleep_us(100000);
	CHECK(!module_loaded(), "still loaded");
	for (i = 0; i < 20; i++) {
		sh("modprobe tcp_d2tcp");
		CHECK_EQ(rmmod(), 0);
	}
	sh("modprobe tcp_d2tcp");
	log = output("dmesg");
	CHECK(!strstr(log, "WARNING:") && !strstr(log, "BUG:") &&
	      !strstr(log, "Oops"), "%s", log);
}

/* --- permission to select d2tcp ---------------------------------------------
 *
 * These tests are last, because on 6.1 each refusal leaks a reference to the
 * module, which then cannot be unloaded.
 */

static int as_nobody(int fd)
{
	/* changes the effective user for this call only */
	int err = 0;

	CHECK_OK(seteuid(65534));
	if (set_cc(fd, "d2tcp"))
		err = errno;
	CHECK_OK(seteuid(0));
	return err;
}

TEST(an unprivileged user may select d2tcp only if the sysctl allows it)
{
	int fd;

	allow(false);
	fd = tcp_socket(AF_INET, NULL);
	CHECK_EQ(as_nobody(fd), EPERM);
	CHECK(!strcmp(get_cc(fd), "cubic"), "%s", get_cc(fd));
	allow(true);
	CHECK_EQ(as_nobody(fd), 0);
	CHECK(!strcmp(get_cc(fd), "d2tcp"), "%s", get_cc(fd));
	close(fd);
	allow(false);
}

TEST(another namespace may use d2tcp as default only if the sysctl allows it)
{
	const char *const path = "/proc/sys/net/ipv4/tcp_congestion_control";

	allow(false);
	fresh_net();
	CHECK_EQ(write_file(path, "d2tcp"), EPERM);
	allow(true);
	fresh_net();
	CHECK_EQ(write_file(path, "d2tcp"), 0);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
