// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp with other parts of the kernel: MPTCP, and BPF programs attached to a
 * cgroup (connect, sockops and setsockopt). The programs are short and
 * therefore written as single instructions.
 */
#include "kernel.h"
#include <linux/bpf.h>
#include <sys/syscall.h>

#define MS	1000000ull

/* --- MPTCP ---------------------------------------------------------------- */

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif

/* An MPTCP socket, connected to a listener of MPTCP or, in fallback, of TCP. */
static struct pair mptcp_connected(bool fallback)
{
	static uint16_t port = 7000;
	struct pair p;

	p.listener = fallback ? tcp_socket(AF_INET, "d2tcp") :
				socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	CHECK(p.listener >= 0, "socket: %s", strerror(errno));
	if (!fallback)
		CHECK_OK(set_cc(p.listener, "d2tcp"));
	CHECK_OK(listen_on(p.listener, AF_INET, ++port));
	p.client = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	CHECK(p.client >= 0, "socket: %s", strerror(errno));
	CHECK_OK(set_cc(p.client, "d2tcp"));
	CHECK_OK(connect_to(p.client, AF_INET, port));
	p.server = accept(p.listener, NULL, NULL);
	CHECK(p.server >= 0, "accept: %s", strerror(errno));
	return p;
}

TEST(an MPTCP socket refuses deadlines and its subflows run under d2tcp)
{
	char buf[20000] = { 0 };
	struct d2tcp_info info;
	struct pair p;
	socklen_t len;
	int fallback;

	fresh_net();
	if (access("/proc/sys/net/mptcp/enabled", R_OK))
		SKIP("this kernel has no MPTCP");
	for (fallback = 0; fallback < 2; fallback++) {
		long flows = counter("D2tcpFlowsEcn");

		p = mptcp_connected(fallback);
		CHECK_ERRNO(set_deadline_int(p.client, 1000), ENOPROTOOPT);
		CHECK_ERRNO(set_deadline(p.client, MS, 10, 1), ENOPROTOOPT);
		CHECK_ERRNO(set_budget(p.client, 1000), ENOPROTOOPT);
		len = sizeof(info);
		CHECK(getsockopt(p.client, SOL_IP, D2TCP_INFO, &info, &len) < 0 ||
		      fallback, "INFO of an MPTCP socket");
		CHECK_EQ(send(p.client, buf, sizeof(buf), 0), sizeof(buf));
		CHECK_EQ(recv(p.server, buf, sizeof(buf), MSG_WAITALL),
			 sizeof(buf));
		/* both ends of the only subflow */
		CHECK_EQ(counter("D2tcpFlowsEcn"), flows + 2);
		CHECK_EQ(counter("D2tcpArmed"), 0);
		close_pair(&p);
	}
}

/* --- BPF ------------------------------------------------------------------ */

#define INSN(c, d, s, o, i)						\
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s),	\
			    .off = (o), .imm = (i) })
#define MOV(d, s)	INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i)	INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADDI(d, i)	INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LOAD(sz, d, s, o)	INSN(BPF_LDX | BPF_MEM | (sz), d, s, o, 0)
#define STOREI(sz, d, o, i)	INSN(BPF_ST | BPF_MEM | (sz), d, 0, o, i)
#define JNEI(d, i, o)	INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, o, i)
#define JGT(d, s, o)	INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, o, 0)
#define CALL(f)		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT()		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int load_program(uint32_t type, uint32_t attach,
			const struct bpf_insn *insns, uint32_t n)
{
	static char log[65536];
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach,
		.insns = (uintptr_t)insns,
		.insn_cnt = n,
		.license = (uintptr_t)"GPL",
		.log_buf = (uintptr_t)log,
		.log_size = sizeof(log),
		.log_level = 1,
	};
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0 && errno == ENOSYS)
		SKIP("this kernel has no BPF");
	CHECK(fd >= 0, "the program is refused: %s: %s", strerror(errno), log);
	return fd;
}

static int cgroup = -1;

static void attach(int program, uint32_t type, bool on)
{
	union bpf_attr attr = { 0 };

	if (cgroup < 0)
		cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	attr.target_fd = cgroup;
	attr.attach_bpf_fd = program;
	attr.attach_type = type;
	if (bpf(on ? BPF_PROG_ATTACH : BPF_PROG_DETACH, &attr) &&
	    errno == EINVAL)
		SKIP("this kernel has no BPF for cgroups");
}

/* bpf_setsockopt() of `size` bytes at r10 - 8; the context is in r6. */
#define SET_OPTION(level, option, size)					\
	MOV(1, 6),							\
	MOVI(2, level),							\
	MOVI(3, option),						\
	MOV(4, 10),							\
	ADDI(4, -8),							\
	MOVI(5, size),							\
	CALL(BPF_FUNC_setsockopt)

#define D2TCP_AT_R10							\
	STOREI(BPF_W, 10, -8, 'd' | '2' << 8 | 't' << 16 | 'c' << 24),	\
	STOREI(BPF_W, 10, -4, 'p')

/* A sockops program that sets an option in one of its callbacks. */
#define SOCKOPS(op, level, option, size)				\
	LOAD(BPF_W, 2, 6, 0),						\
	JNEI(2, op, 7),							\
	SET_OPTION(level, option, size),				\
	MOVI(0, 1),							\
	EXIT()

#define LENGTH(insns)	(sizeof(insns) / sizeof((insns)[0]))

/* A connection made while a program is attached. */
static struct pair connected_under(const struct bpf_insn *insns, uint32_t n,
				   uint32_t type, uint32_t at,
				   const char *client_cc, const char *server_cc)
{
	int program = load_program(type, at, insns, n);
	struct pair p;

	attach(program, at, true);
	p = connected(AF_INET, client_cc, server_cc);
	attach(program, at, false);
	close(program);
	return p;
}

static void is_deadline_aware(const struct pair *p)
{
	CHECK(!strcmp(get_cc(p->client), "d2tcp"), "%s", get_cc(p->client));
	CHECK_EQ(get_info(p->client).flags, D2TCP_INFO_ECN);
	CHECK_EQ(get_info(p->server).flags, D2TCP_INFO_ECN);
	CHECK_OK(set_deadline(p->client, 5000 * MS, 1000, D2TCP_F_RELATIVE));
	transfer(p->client, p->server, 1000);
	CHECK_EQ(get_info(p->client).met, 1);
}

TEST(a BPF program at connect selects d2tcp in time for ECN)
{
	const struct bpf_insn insns[] = {
		MOV(6, 1),
		D2TCP_AT_R10,
		SET_OPTION(IPPROTO_TCP, TCP_CONGESTION, 5),
		MOVI(0, 1),
		EXIT(),
	};
	struct pair p;

	fresh_net();
	p = connected_under(insns, LENGTH(insns), BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
			    BPF_CGROUP_INET4_CONNECT, "cubic", "d2tcp");
	is_deadline_aware(&p);
	close_pair(&p);
}

TEST(a sockops program selects d2tcp for a listener)
{
	const struct bpf_insn insns[] = {
		MOV(6, 1),
		D2TCP_AT_R10,
		SOCKOPS(BPF_SOCK_OPS_TCP_LISTEN_CB, IPPROTO_TCP,
			TCP_CONGESTION, 5),
	};
	struct pair p;

	fresh_net();
	p = connected_under(insns, LENGTH(insns), BPF_PROG_TYPE_SOCK_OPS,
			    BPF_CGROUP_SOCK_OPS, "d2tcp", "cubic");
	is_deadline_aware(&p);
	close_pair(&p);
}

/* The socket is in SYN_SENT by then, and the core does not call .init again
 * when ECN is negotiated. The kernel's dctcp is in its fallback then too.
 */
TEST(a sockops program that selects d2tcp in SYN_SENT is too late for ECN)
{
	const struct bpf_insn insns[] = {
		MOV(6, 1),
		D2TCP_AT_R10,
		SOCKOPS(BPF_SOCK_OPS_TCP_CONNECT_CB, IPPROTO_TCP,
			TCP_CONGESTION, 5),
	};
	struct pair p;

	fresh_net();
	p = connected_under(insns, LENGTH(insns), BPF_PROG_TYPE_SOCK_OPS,
			    BPF_CGROUP_SOCK_OPS, "cubic", "d2tcp");
	CHECK_EQ(get_info(p.client).flags, D2TCP_INFO_FALLBACK);
	CHECK_OK(set_deadline(p.client, 5000 * MS, 1000, D2TCP_F_RELATIVE));
	transfer(p.client, p.server, 1000);
	CHECK_EQ(get_info(p.client).met, 1);
	close_pair(&p);
}

/* bpf_setsockopt() supports only a fixed list of options. */
TEST(a sockops program cannot set a budget)
{
	const struct bpf_insn insns[] = {
		MOV(6, 1),
		STOREI(BPF_W, 10, -8, 5000),
		STOREI(BPF_W, 10, -4, 0),
		SOCKOPS(BPF_SOCK_OPS_TCP_CONNECT_CB, SOL_IP, D2TCP_BUDGET, 4),
	};
	struct pair p;

	fresh_net();
	p = connected_under(insns, LENGTH(insns), BPF_PROG_TYPE_SOCK_OPS,
			    BPF_CGROUP_SOCK_OPS, "d2tcp", "d2tcp");
	CHECK_EQ(get_budget(p.client), 0);
	CHECK_EQ(get_info(p.client).flags, D2TCP_INFO_ECN);
	close_pair(&p);
}

TEST(a setsockopt program sees each option and may change it)
{
	/* struct bpf_sockopt: optval at 8, optval_end at 16, optname at 28.
	 * Even for an option that the program leaves alone, the kernel passes
	 * the value on in kernel memory.
	 */
	const struct bpf_insn insns[] = {
		LOAD(BPF_W, 2, 1, 28),
		JNEI(2, D2TCP_BUDGET, 9),
		LOAD(BPF_DW, 2, 1, 8),
		LOAD(BPF_DW, 3, 1, 16),
		MOV(4, 2),
		ADDI(4, 4),
		JGT(4, 3, 4),
		/* 4242 in bytes: unaligned stores do not work everywhere */
		STOREI(BPF_B, 2, 0, 0x92),
		STOREI(BPF_B, 2, 1, 0x10),
		STOREI(BPF_B, 2, 2, 0),
		STOREI(BPF_B, 2, 3, 0),
		MOVI(0, 1),
		EXIT(),
	};
	struct {
		struct d2tcp_deadline dl;
		char tail[8];
	} longer = { .dl = { .deadline_ns = 5000 * MS, .bytes = 777,
			     .flags = D2TCP_F_RELATIVE } };
	struct d2tcp_info info;
	struct pair p;
	int program;

	fresh_net();
	program = load_program(BPF_PROG_TYPE_CGROUP_SOCKOPT,
			       BPF_CGROUP_SETSOCKOPT, insns,
			       LENGTH(insns));
	p = connected(AF_INET, "d2tcp", "d2tcp");
	attach(program, BPF_CGROUP_SETSOCKOPT, true);
	CHECK_OK(set_budget(p.client, 1000));
	CHECK_EQ(get_budget(p.client), 4242);
	/* both forms of a deadline, and the check of the tail */
	CHECK_OK(set_deadline_int(p.client, 5000000));
	CHECK_EQ(get_info(p.client).outstanding, 1);
	CHECK_OK(setsockopt(p.client, SOL_IP, D2TCP_DEADLINE, &longer,
			    sizeof(longer)));
	info = get_info(p.client);
	CHECK_EQ(info.bytes_left, 777);
	longer.tail[3] = 1;
	CHECK_ERRNO(setsockopt(p.client, SOL_IP, D2TCP_DEADLINE, &longer,
			       sizeof(longer)), E2BIG);
	CHECK_ERRNO(set_deadline_int(p.client, -1), EINVAL);
	CHECK_EQ(get_info(p.client).bytes_left, 777);
	attach(program, BPF_CGROUP_SETSOCKOPT, false);
	CHECK_OK(set_budget(p.client, 1000));
	CHECK_EQ(get_budget(p.client), 1000);
	close_pair(&p);
	close(program);
}

int main(int argc, char **argv)
{
	if (system("modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	return run_tests(argc, argv);
}
