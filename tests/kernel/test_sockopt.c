// SPDX-License-Identifier: GPL-2.0
/*
 * The socket options: every row of the tables in module/uapi/d2tcp.h and
 * docs/abi.md, on IPv4 and IPv6 and in every state of a socket.
 */
#include "kernel.h"
#include <netinet/ip.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const int families[] = { AF_INET, AF_INET6 };

#define EACH_FAMILY(f)							\
	for (const int *f_ = families; f_ < families + 2 && ((f) = *f_, 1); f_++)

#define MS	1000000ull
/* A deadline met on any busy machine, because some guests run in real time. */
#define FAR_MS	60000

static int set_raw(int fd, int opt, const void *p, socklen_t len)
{
	return setsockopt(fd, SOL_IP, opt, p, len);
}

/* Calls what() on a d2tcp socket in each of its states. */
static void each_state(void (*what)(int fd))
{
	struct pair p;
	int f, fd;

	EACH_FAMILY(f) {
		fd = tcp_socket(f, "d2tcp");
		what(fd);				/* before connect */
		close(fd);
		p = connected(f, "d2tcp", "d2tcp");
		what(p.client);
		what(p.server);				/* accepted */
		close_pair(&p);
		p = connected(f, "d2tcp", "cubic");	/* fallback */
		what(p.client);
		shutdown(p.client, SHUT_WR);		/* half closed */
		what(p.client);
		disconnect(p.client);			/* CLOSE again */
		what(p.client);
		close_pair(&p);
	}
}

static void lengths(int fd)
{
	char buf[2 * 4096] = { 0 };
	const socklen_t page = sysconf(_SC_PAGESIZE);
	struct d2tcp_deadline *dl = (struct d2tcp_deadline *)buf;
	socklen_t len;

	dl->deadline_ns = clock_ns() + 50 * MS;
	dl->bytes = 1000;
	for (len = 0; len < 24; len++) {
		if (len == 4)
			continue;
		CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, buf, len), EINVAL);
	}
	for (len = 24; len < 40; len++)
		CHECK_OK(set_raw(fd, D2TCP_DEADLINE, buf, len));
	/* at most a page, as for the kernel's own extensible structs */
	CHECK_OK(set_raw(fd, D2TCP_DEADLINE, buf, page));
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, buf, page + 1), E2BIG);
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, buf, INT32_MAX), E2BIG);
	CHECK_ERRNO(set_raw(fd, D2TCP_BUDGET, buf, page + 1), E2BIG);
	for (len = 24; len < page; len += 501) {
		buf[len] = 1;
		CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, buf, page), E2BIG);
		CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, buf, len + 1), E2BIG);
		CHECK_OK(set_raw(fd, D2TCP_DEADLINE, buf, len));
		buf[len] = 0;
	}
	memset(buf, 0, sizeof(buf));
	for (len = 0; len < 24; len++)
		if (len != 4)
			CHECK_ERRNO(set_raw(fd, D2TCP_BUDGET, buf, len),
				    EINVAL);
	for (len = 24; len < 40; len++) {
		CHECK_OK(set_raw(fd, D2TCP_BUDGET, buf, len));
		buf[len - 1] = 1;
		CHECK_ERRNO(set_raw(fd, D2TCP_BUDGET, buf, len), E2BIG);
		buf[len - 1] = 0;
	}
	CHECK_OK(set_deadline_int(fd, 0));
}

TEST(lengths of 0 to 3 and 5 to 23 return EINVAL and a tail must be zero)
{
	fresh_net();
	each_state(lengths);
}

static void values(int fd)
{
	CHECK_ERRNO(set_deadline_int(fd, -1), EINVAL);
	CHECK_ERRNO(set_deadline_int(fd, INT32_MIN), EINVAL);
	CHECK_ERRNO(set_budget(fd, -1), EINVAL);
	CHECK_ERRNO(set_budget(fd, INT32_MIN), EINVAL);
	for (int bit = 1; bit < 32; bit++)
		CHECK_ERRNO(set_deadline(fd, MS, 0, 1u << bit), EINVAL);
	for (int bit = 0; bit < 32; bit++) {
		struct d2tcp_deadline dl = {
			.deadline_ns = MS, .reserved = 1u << bit,
		};

		CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, &dl, sizeof(dl)),
			    EINVAL);
	}
	CHECK_OK(set_deadline_int(fd, 1));
	CHECK_OK(set_deadline_int(fd, INT32_MAX));
	CHECK_OK(set_budget(fd, INT32_MAX));
	CHECK_EQ(get_budget(fd), INT32_MAX);
	CHECK_OK(set_budget(fd, 0));
	CHECK_EQ(get_budget(fd), 0);
	CHECK_OK(set_deadline_int(fd, 0));
}

TEST(negative ints and unknown flags return EINVAL and the bounds are accepted)
{
	fresh_net();
	each_state(values);
}

static void range(int fd)
{
	const uint64_t most = INT32_MAX;

	CHECK_ERRNO(set_deadline(fd, MS, most + 1, D2TCP_F_RELATIVE), ERANGE);
	CHECK_ERRNO(set_deadline(fd, MS, 1ull << 32, 0), ERANGE);
	CHECK_ERRNO(set_deadline(fd, MS, UINT64_MAX, 0), ERANGE);
	CHECK_EQ(get_deadline(fd).bytes, 0);
	CHECK_OK(set_deadline(fd, MS, most, D2TCP_F_RELATIVE));
	CHECK_EQ(get_deadline(fd).bytes, most);
	CHECK_OK(set_deadline_int(fd, 0));
}

TEST(a message that ends beyond half of the sequence space returns ERANGE)
{
	fresh_net();
	each_state(range);
}

static void faults(int fd)
{
	char *page = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *const nowhere = (void *)8;
	socklen_t len;

	munmap(page + 4096, 4096);
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, nowhere, 4), EFAULT);
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, nowhere, 24), EFAULT);
	CHECK_ERRNO(set_raw(fd, D2TCP_BUDGET, nowhere, 4), EFAULT);
	/* the struct is readable, but not the tail that must be zero */
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, page + 4096 - 24, 32), EFAULT);
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE, page + 4096 - 23, 24), EFAULT);
	len = 24;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_DEADLINE, nowhere, &len),
		    EFAULT);
	len = 4;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_BUDGET, nowhere, &len),
		    EFAULT);
	len = 200;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_INFO, nowhere, &len), EFAULT);
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_INFO, page, nowhere), EFAULT);
	munmap(page, 4096);
}

TEST(memory that cannot be read or written returns EFAULT)
{
	fresh_net();
	each_state(faults);
}

static void no_such_option(int fd)
{
	char buf[256] = { 0 };
	socklen_t len = sizeof(buf);

	CHECK_ERRNO(set_raw(fd, D2TCP_INFO, buf, 200), ENOPROTOOPT);
	CHECK_ERRNO(set_raw(fd, D2TCP_INFO, buf, 0), ENOPROTOOPT);
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_EXPECT, buf, &len),
		    ENOPROTOOPT);
	/* the module was loaded without expect=1 */
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_EXPECT_INFO, buf, &len),
		    ENOPROTOOPT);
	CHECK_ERRNO(set_raw(fd, D2TCP_EXPECT_INFO, buf, 88), ENOPROTOOPT);
	CHECK_ERRNO(set_raw(fd, D2TCP_EXPECT_INFO + 1, buf, 24), ENOPROTOOPT);
	CHECK_ERRNO(set_raw(fd, D2TCP_DEADLINE - 1, buf, 24), ENOPROTOOPT);
}

TEST(setting INFO and getting EXPECT return ENOPROTOOPT)
{
	fresh_net();
	each_state(no_such_option);
}

static void shorter_info(int fd)
{
	unsigned char full[sizeof(struct d2tcp_info)], part[256];
	socklen_t len = sizeof(full), n;

	CHECK_OK(getsockopt(fd, SOL_IP, D2TCP_INFO, full, &len));
	for (n = 0; n < 8; n++) {
		len = n;
		CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_INFO, part, &len),
			    EINVAL);
	}
	for (n = 8; n <= sizeof(part); n++) {
		const socklen_t want = n < sizeof(full) ? n : sizeof(full);

		memset(part, 0xee, sizeof(part));
		len = n;
		CHECK_OK(getsockopt(fd, SOL_IP, D2TCP_INFO, part, &len));
		CHECK_EQ(len, want);
		CHECK_EQ(((struct d2tcp_info *)part)->size, sizeof(full));
		CHECK(!memcmp(part, full, n < 12 ? n : 12),
		      "the first fields differ");
		for (; len < sizeof(part); len++)
			CHECK_EQ(part[len], 0xee);
	}
	len = (socklen_t)-1;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_INFO, part, &len), EINVAL);
	len = (socklen_t)INT32_MIN;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_DEADLINE, part, &len), EINVAL);
	len = 23;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_DEADLINE, part, &len), EINVAL);
	len = 3;
	CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_BUDGET, part, &len), EINVAL);
	CHECK_EQ(((struct d2tcp_info *)full)->abi_version, 1 << 16 | 2);
}

TEST(a shorter buffer for INFO gets a prefix of the struct)
{
	fresh_net();
	each_state(shorter_info);
}

TEST(a listener accepts a budget but no deadline)
{
	int f, fd;

	fresh_net();
	EACH_FAMILY(f) {
		fd = tcp_socket(f, "d2tcp");
		CHECK_OK(listen_on(fd, f, 5001));
		CHECK_ERRNO(set_deadline_int(fd, 1000), EINVAL);
		CHECK_ERRNO(set_deadline(fd, clock_ns(), 10, 0), EINVAL);
		CHECK_ERRNO(set_deadline(fd, MS, 0, D2TCP_F_RELATIVE), EINVAL);
		CHECK_OK(set_deadline_int(fd, 0));
		CHECK_OK(set_budget(fd, 5000));
		CHECK_EQ(get_budget(fd), 5000);
		CHECK_EQ(get_deadline(fd).deadline_ns, 0);
		close(fd);
	}
}

TEST(a socket under another algorithm returns EOPNOTSUPP)
{
	struct d2tcp_info info;
	struct pair p;
	socklen_t len;
	int f, i, *fd;

	fresh_net();
	EACH_FAMILY(f) {
		p = connected(f, "d2tcp", "cubic");
		/* switched from d2tcp while it has a deadline and a budget */
		CHECK_OK(set_deadline_int(p.client, 1000));
		CHECK_OK(set_budget(p.client, 1000));
		CHECK_OK(set_cc(p.client, "reno"));
		for (i = 0; i < 3; i++) {
			fd = i == 0 ? &p.client : i == 1 ? &p.server :
			     &p.listener;
			CHECK_ERRNO(set_deadline_int(*fd, 1000), EOPNOTSUPP);
			CHECK_ERRNO(set_deadline_int(*fd, 0), EOPNOTSUPP);
			CHECK_ERRNO(set_deadline(*fd, MS, 1, 1), EOPNOTSUPP);
			CHECK_ERRNO(set_budget(*fd, 1000), EOPNOTSUPP);
			len = sizeof(info);
			CHECK_ERRNO(getsockopt(*fd, SOL_IP, D2TCP_INFO, &info,
					       &len), EOPNOTSUPP);
			CHECK_ERRNO(getsockopt(*fd, SOL_IP, D2TCP_DEADLINE,
					       &info, &len), EOPNOTSUPP);
			CHECK_ERRNO(getsockopt(*fd, SOL_IP, D2TCP_BUDGET,
					       &info, &len), EOPNOTSUPP);
		}
		transfer(p.client, p.server, 50000);
		/* switched back: a new state, in the fallback because cubic
		 * negotiated no ECN
		 */
		CHECK_OK(set_cc(p.client, "d2tcp"));
		CHECK_EQ(get_budget(p.client), 0);
		info = get_info(p.client);
		CHECK_EQ(info.flags, D2TCP_INFO_FALLBACK);
		CHECK_OK(set_deadline_int(p.client, FAR_MS * 1000));
		transfer(p.client, p.server, 50000);
		CHECK_EQ(get_info(p.client).met, 1);
		close_pair(&p);
	}
}

TEST(a connection with ECN that returns to d2tcp still has ECN)
{
	struct pair p;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	CHECK_OK(set_cc(p.client, "cubic"));
	CHECK_OK(set_cc(p.client, "d2tcp"));
	CHECK_EQ(get_info(p.client).flags, D2TCP_INFO_ECN);
	CHECK_EQ(get_info(p.client).alpha, 1 << 20);
	close_pair(&p);
}

TEST(a socket that is not TCP returns ENOPROTOOPT)
{
	static const struct {
		int family, type, protocol, err;
	} s[] = {
		{ AF_INET, SOCK_DGRAM, 0, ENOPROTOOPT },
		{ AF_INET6, SOCK_DGRAM, 0, ENOPROTOOPT },
		{ AF_INET, SOCK_RAW, IPPROTO_TCP, ENOPROTOOPT },
		{ AF_INET6, SOCK_RAW, IPPROTO_TCP, ENOPROTOOPT },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP, ENOPROTOOPT },
		/* refused by the core before it calls the module */
		{ AF_UNIX, SOCK_STREAM, 0, EOPNOTSUPP },
	};
	char buf[256] = { 0 };
	socklen_t len;
	size_t i;
	int fd;

	fresh_net();
	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		fd = socket(s[i].family, s[i].type, s[i].protocol);
		CHECK(fd >= 0, "socket: %s", strerror(errno));
		CHECK_ERRNO(set_deadline_int(fd, 1000), s[i].err);
		CHECK_ERRNO(set_deadline(fd, MS, 0, 1), s[i].err);
		CHECK_ERRNO(set_budget(fd, 1000), s[i].err);
		len = sizeof(buf);
		CHECK_ERRNO(getsockopt(fd, SOL_IP, D2TCP_INFO, buf, &len),
			    s[i].err);
		close(fd);
	}
}

/* --- the effects of a failed and of a successful call --------------------- */

static void unchanged_by_errors(int fd)
{
	const uint64_t due = clock_ns() + 50 * MS;
	struct d2tcp_deadline dl;
	struct d2tcp_info info;

	CHECK_OK(set_deadline(fd, due, 12345, 0));
	CHECK_OK(set_budget(fd, 7777));
	info = get_info(fd);
	set_deadline_int(fd, -1);
	set_deadline(fd, MS, 0, 2);
	set_deadline(fd, MS, UINT64_MAX, 1);
	set_raw(fd, D2TCP_DEADLINE, &due, 8);
	set_raw(fd, D2TCP_DEADLINE, (void *)8, 24);
	set_raw(fd, D2TCP_INFO, &due, 8);
	set_budget(fd, -5);
	dl = get_deadline(fd);
	CHECK_EQ(dl.deadline_ns, due);
	CHECK_EQ(dl.bytes, 12345);
	CHECK_EQ(dl.flags, 0);
	CHECK_EQ(dl.reserved, 0);
	CHECK_EQ(get_budget(fd), 7777);
	CHECK_EQ(get_info(fd).cleared, info.cleared);
	CHECK_EQ(get_info(fd).outstanding, info.outstanding);
	CHECK_OK(set_deadline_int(fd, 0));
	CHECK_OK(set_budget(fd, 0));
}

TEST(a call that returns an error changes nothing)
{
	fresh_net();
	each_state(unchanged_by_errors);
}

static void clearing(int fd)
{
	struct d2tcp_deadline dl = { 0 };
	uint64_t cleared;

	CHECK_OK(set_deadline_int(fd, FAR_MS * 1000));
	cleared = get_info(fd).cleared;
	CHECK(get_info(fd).flags & D2TCP_INFO_DEADLINE, "not armed");
	CHECK_OK(set_raw(fd, D2TCP_DEADLINE, &dl, sizeof(dl)));
	CHECK(!(get_info(fd).flags & D2TCP_INFO_DEADLINE), "armed");
	CHECK_EQ(get_info(fd).cleared, cleared + 1);
	CHECK_OK(set_deadline_int(fd, FAR_MS * 1000));
	CHECK_OK(set_deadline_int(fd, 0));
	dl = get_deadline(fd);
	CHECK_EQ(dl.deadline_ns, 0);
	CHECK_EQ(dl.bytes, 0);
	CHECK_EQ(get_info(fd).cleared, cleared + 2);
	CHECK_EQ(get_info(fd).outstanding, 0);
}

TEST(a struct of zeros and the int 0 clear every deadline)
{
	fresh_net();
	each_state(clearing);
}

static void times(int fd)
{
	uint64_t before, after, late;

	/* relative, as int and as struct: counted from the time of the call */
	before = clock_ns();
	CHECK_OK(set_deadline_int(fd, 5000));
	after = clock_ns();
	CHECK(get_deadline(fd).deadline_ns >= before + 5 * MS &&
	      get_deadline(fd).deadline_ns <= after + 5 * MS, "not from now");
	before = clock_ns();
	CHECK_OK(set_deadline(fd, 7 * MS, 10, D2TCP_F_RELATIVE));
	after = clock_ns();
	CHECK(get_deadline(fd).deadline_ns >= before + 7 * MS &&
	      get_deadline(fd).deadline_ns <= after + 7 * MS, "not from now");
	/* too far away: capped at the bound in each form */
	for (int i = 0; i < 4; i++) {
		before = clock_ns();
		CHECK_OK(set_deadline(fd, i & 1 ? UINT64_MAX :
				      before + D2TCP_FARTHEST_NS + 1000 * MS,
				      10, i & 2 ? D2TCP_F_RELATIVE : 0));
		after = clock_ns();
		CHECK(get_deadline(fd).deadline_ns >=
		      before + D2TCP_FARTHEST_NS &&
		      get_deadline(fd).deadline_ns <=
		      after + D2TCP_FARTHEST_NS, "not at the bound");
	}
	/* in the past: accepted as late, and counted */
	late = get_info(fd).armed_late;
	CHECK_OK(set_deadline(fd, 0, 0, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(fd).armed_late, ++late);
	CHECK_OK(set_deadline(fd, 0, 100, 0));
	CHECK_EQ(get_info(fd).armed_late, ++late);
	CHECK_OK(set_deadline(fd, clock_ns() - 3 * MS, 100, 0));
	CHECK_EQ(get_info(fd).armed_late, ++late);
	CHECK(get_info(fd).flags & D2TCP_INFO_LATE, "not late");
	CHECK(get_info(fd).time_left_ns <= -3 * (int64_t)MS, "left %lld",
	      (long long)get_info(fd).time_left_ns);
	CHECK_EQ(get_deadline(fd).bytes, 100);
	CHECK_OK(set_deadline_int(fd, 0));
}

TEST(deadlines are stored as given and capped at the farthest)
{
	/* so that the clock of a kernel just booted has a past */
	sleep_us(100000);
	fresh_net();
	each_state(times);
}

TEST(a message acknowledged by its deadline is met and a later one is missed)
{
	struct d2tcp_info info;
	struct pair p;
	int f, i;

	fresh_net();
	EACH_FAMILY(f) {
		for (i = 0; i < 2; i++) {
			p = connected(f, "d2tcp", i ? "cubic" : "d2tcp");
			CHECK_OK(set_deadline(p.client, FAR_MS * MS, 100000,
					      D2TCP_F_RELATIVE));
			CHECK_EQ(get_info(p.client).outstanding, 1);
			transfer(p.client, p.server, 100000);
			info = get_info(p.client);
			CHECK_EQ(info.outstanding, 0);
			CHECK_EQ(info.met, 1);
			CHECK_EQ(info.missed, 0);
			CHECK_OK(set_deadline(p.client, 0, 5000,
					      D2TCP_F_RELATIVE));
			transfer(p.client, p.server, 5000);
			/* unknown length */
			CHECK_OK(set_deadline_int(p.client, FAR_MS * 1000));
			transfer(p.client, p.server, 1);
			info = get_info(p.client);
			CHECK_EQ(info.met, 2);
			CHECK_EQ(info.missed, 1);
			CHECK_EQ(info.outstanding, 0);
			CHECK_EQ(info.flags, i ? D2TCP_INFO_FALLBACK :
				 D2TCP_INFO_ECN);
			close_pair(&p);
		}
	}
}

TEST(a deadline set before connect applies to the first message)
{
	struct d2tcp_info info;
	int f, l, c, s;

	fresh_net();
	EACH_FAMILY(f) {
		l = tcp_socket(f, "d2tcp");
		CHECK_OK(listen_on(l, f, 5002));
		c = tcp_socket(f, "d2tcp");
		CHECK_OK(set_budget(c, 4000000));
		CHECK_OK(set_deadline(c, FAR_MS * MS, 3000, D2TCP_F_RELATIVE));
		CHECK_OK(connect_to(c, f, 5002));
		s = accept(l, NULL, NULL);
		info = get_info(c);
		CHECK_EQ(info.outstanding, 1);
		CHECK_EQ(info.bytes_left, 3000);
		CHECK_EQ(info.budget_us, 4000000);
		transfer(c, s, 2999);
		CHECK_EQ(get_info(c).outstanding, 1);
		CHECK_EQ(get_info(c).bytes_left, 1);
		transfer(c, s, 1);
		CHECK_EQ(get_info(c).outstanding, 0);
		CHECK_EQ(get_info(c).met, 1);
		close(c);
		close(s);
		close(l);
	}
}

TEST(data sent with the SYN is part of the message)
{
	static const struct {
		uint64_t bytes;		/* length; 0: unknown */
		size_t with_syn, after;
	} m[] = { { 3000, 1000, 2000 }, { 0, 500, 0 }, { 0, 500, 700 },
		  { 800, 800, 0 } };
	struct address a;
	struct d2tcp_info info;
	char buf[4096] = { 0 };
	int l, c, s, qlen = 5;
	size_t i;

	fresh_net();
	/* Fast Open for every connection, without cookies */
	sysctl_net("tcp_fastopen", "1543");
	l = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(listen_on(l, AF_INET, 5005));
	CHECK_OK(setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &qlen, sizeof(qlen)));
	a = loopback(AF_INET, 5005);
	for (i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
		c = tcp_socket(AF_INET, "d2tcp");
		CHECK_OK(set_deadline(c, FAR_MS * MS, m[i].bytes,
				      D2TCP_F_RELATIVE));
		CHECK_EQ(sendto(c, buf, m[i].with_syn, MSG_FASTOPEN, &a.sa,
				a.len), (ssize_t)m[i].with_syn);
		s = accept(l, NULL, NULL);
		CHECK_EQ(recv(s, buf, m[i].with_syn, MSG_WAITALL),
			 (ssize_t)m[i].with_syn);
		CHECK(tcp_info(c).tcpi_options & TCPI_OPT_SYN_DATA,
		      "the SYN carried no data");
		all_acked(c);
		info = get_info(c);
		CHECK_EQ(info.met, !m[i].after || !m[i].bytes);
		if (m[i].after && m[i].bytes) {
			CHECK_EQ(info.bytes_left, m[i].after);
			transfer(c, s, m[i].after);
		}
		CHECK_EQ(get_info(c).met, 1);
		CHECK_EQ(get_info(c).outstanding, 0);
		close(c);
		close(s);
	}
	close(l);
}

TEST(a standing budget arms each burst that starts on an idle socket)
{
	struct d2tcp_info info;
	struct pair p;
	int f, i;

	fresh_net();
	EACH_FAMILY(f) {
		p = connected(f, "d2tcp", "d2tcp");
		transfer(p.client, p.server, 1000);
		CHECK_EQ(get_info(p.client).met, 0);
		CHECK_OK(set_budget(p.client, FAR_MS * 1000));
		CHECK(get_info(p.client).flags & D2TCP_INFO_BUDGET, "no budget");
		for (i = 1; i <= 5; i++) {
			transfer(p.client, p.server, 20000 * i);
			info = get_info(p.client);
			CHECK_EQ(info.met, i);
			CHECK_EQ(info.outstanding, 0);
		}
		/* a deadline for one message does not change the budget */
		CHECK_OK(set_deadline(p.client, 0, 100, D2TCP_F_RELATIVE));
		transfer(p.client, p.server, 100);
		CHECK_EQ(get_info(p.client).missed, 1);
		CHECK_EQ(get_info(p.client).met, 5);
		transfer(p.client, p.server, 100);
		CHECK_EQ(get_info(p.client).met, 6);
		CHECK_OK(set_budget(p.client, 0));
		transfer(p.client, p.server, 100);
		CHECK_EQ(get_info(p.client).met, 6);
		close_pair(&p);
	}
}

TEST(a failed connect clears deadline and budget and a retry has ECN)
{
	struct d2tcp_info info;
	int f, l, c, s;

	fresh_net();
	EACH_FAMILY(f) {
		c = tcp_socket(f, "d2tcp");
		CHECK_OK(set_deadline(c, FAR_MS * MS, 3000, D2TCP_F_RELATIVE));
		CHECK_OK(set_budget(c, 5000));
		CHECK_ERRNO(connect_to(c, f, 5003), ECONNREFUSED);
		CHECK_EQ(get_deadline(c).deadline_ns, 0);
		CHECK_EQ(get_budget(c), 0);
		l = tcp_socket(f, "d2tcp");
		CHECK_OK(listen_on(l, f, 5003));
		CHECK_OK(set_deadline(c, FAR_MS * MS, 3000, D2TCP_F_RELATIVE));
		CHECK_OK(connect_to(c, f, 5003));
		s = accept(l, NULL, NULL);
		info = get_info(c);
		CHECK_EQ(info.flags, D2TCP_INFO_ECN | D2TCP_INFO_DEADLINE |
			 (info.flags & D2TCP_INFO_FEASIBLE));
		transfer(c, s, 3000);
		CHECK_EQ(get_info(c).met, 1);
		close(c);
		close(s);
		close(l);
	}
}

TEST(a socket that was in the fallback has ECN on its next connection)
{
	struct pair p;
	int f, l, s;

	fresh_net();
	EACH_FAMILY(f) {
		p = connected(f, "d2tcp", "cubic");
		CHECK_EQ(get_info(p.client).flags, D2TCP_INFO_FALLBACK);
		CHECK(!strcmp(get_cc(p.client), "d2tcp-reno"), "%s",
		      get_cc(p.client));
		CHECK_OK(set_deadline_int(p.client, 1000));
		CHECK_OK(disconnect(p.client));
		CHECK(!strcmp(get_cc(p.client), "d2tcp"), "%s",
		      get_cc(p.client));
		CHECK_EQ(get_info(p.client).outstanding, 0);
		l = tcp_socket(f, "d2tcp");
		CHECK_OK(listen_on(l, f, 5004));
		CHECK_OK(connect_to(p.client, f, 5004));
		s = accept(l, NULL, NULL);
		CHECK_EQ(get_info(p.client).flags, D2TCP_INFO_ECN);
		transfer(p.client, s, 10000);
		close(s);
		close(l);
		close_pair(&p);
	}
}

TEST(ss shows alpha and the fallback)
{
	struct pair p;
	const char *text;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	transfer(p.client, p.server, 10000);
	text = output("ss -tin");
	CHECK(strstr(text, "d2tcp"), "%s", text);
	CHECK(strstr(text, "alpha:1024") || strstr(text, "alpha:960"), "%s",
	      text);
	close_pair(&p);
	p = connected(AF_INET, "d2tcp", "cubic");
	text = output("ss -tin");
	CHECK(strstr(text, "dctcp:fallback_mode"), "%s", text);
	close_pair(&p);
}

TEST(several processes may set and get options in parallel)
{
	struct pair p;
	int i;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	for (i = 0; i < 4; i++)
		if (fork() == 0) {
			for (int n = 0; n < 2000; n++) {
				set_deadline(p.client, n * 1000, n % 3 * 500,
					     D2TCP_F_RELATIVE);
				if (n % 7 == 0)
					set_deadline_int(p.client, 0);
				send(p.client, "x", 1, MSG_DONTWAIT);
				get_info(p.client);
			}
			_exit(0);
		}
	for (i = 0; i < 4; i++) {
		char drain[4096];
		int st = 1;

		while (waitpid(-1, &st, WNOHANG) == 0) {
			recv(p.server, drain, sizeof(drain), MSG_DONTWAIT);
			sleep_us(100);
		}
		CHECK_EQ(st, 0);
	}
	CHECK_OK(set_deadline_int(p.client, 0));
	CHECK_EQ(get_info(p.client).outstanding, 0);
	close_pair(&p);
}

int main(int argc, char **argv)
{
	if (system("modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	return run_tests(argc, argv);
}
