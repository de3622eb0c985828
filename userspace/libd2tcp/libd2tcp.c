// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libd2tcp: a thin wrapper around the socket options of d2tcp.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "public.h"

static int set_struct(int fd, int option, uint64_t ns, uint64_t bytes,
		      uint32_t flags)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = ns,
		.bytes = bytes,
		.flags = flags,
	};

	return setsockopt(fd, SOL_IP, option, &dl, sizeof(dl));
}

PUBLIC int d2tcp_enable(int fd)
{
	char now[16] = "";
	socklen_t len = sizeof(now);

	/* In the fallback, selecting d2tcp again is a change of algorithm to
	 * the kernel, which clears deadlines and budget. Under d2tcp, selecting
	 * it again clears nothing, and turns a default from the sysctl into the
	 * socket's own selection, which later sysctl changes do not affect.
	 */
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, now, &len) == 0 &&
	    !strncmp(now, D2TCP_NAME "-reno", sizeof(now)))
		return 0;
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, D2TCP_NAME,
			  strlen(D2TCP_NAME));
}

PUBLIC int d2tcp_set_deadline(int fd, d2tcp_nsec deadline, d2tcp_bytes bytes)
{
	/* a struct of zeros means clear, which no caller of this intends */
	if (!deadline && !bytes) {
		errno = EINVAL;
		return -1;
	}
	/* negative times count as the earliest one */
	return set_struct(fd, D2TCP_DEADLINE, deadline < 0 ? 1 : deadline,
			  bytes, 0);
}

PUBLIC int d2tcp_set_timeout(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes)
{
	return set_struct(fd, D2TCP_DEADLINE, timeout < 0 ? 0 : timeout, bytes,
			  D2TCP_F_RELATIVE);
}

PUBLIC int d2tcp_clear(int fd)
{
	return set_struct(fd, D2TCP_DEADLINE, 0, 0, 0);
}

PUBLIC int d2tcp_expect(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes)
{
	return set_struct(fd, D2TCP_EXPECT, timeout < 0 ? 0 : timeout, bytes,
			  D2TCP_F_RELATIVE);
}

PUBLIC int d2tcp_expect_standing(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes)
{
	/* an answer cannot be due before its request */
	if (timeout < 0) {
		errno = EINVAL;
		return -1;
	}
	/* all zero ends the expectation, as a budget of 0 ends the budget */
	if (!timeout && !bytes)
		return set_struct(fd, D2TCP_EXPECT, 0, 0, 0);
	return set_struct(fd, D2TCP_EXPECT, timeout, bytes,
			  D2TCP_F_RELATIVE | D2TCP_F_STANDING);
}

PUBLIC int d2tcp_get_expect_info(int fd, struct d2tcp_expect_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(fd, SOL_IP, D2TCP_EXPECT_INFO, info, &len);
}

PUBLIC int d2tcp_set_budget(int fd, d2tcp_usec budget)
{
	int us = (int)budget;

	if (budget < 0 || budget > INT_MAX) {
		errno = EINVAL;
		return -1;
	}
	return setsockopt(fd, SOL_IP, D2TCP_BUDGET, &us, sizeof(us));
}

PUBLIC int d2tcp_get_info(int fd, struct d2tcp_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(fd, SOL_IP, D2TCP_INFO, info, &len);
}

PUBLIC const char *d2tcp_strerror(int err)
{
	const char *s;

	switch (err) {
	case 0:
		return "no error";
	case EINVAL:
		return "invalid argument: a deadline of 0 without a length, a budget below 0 or above INT_MAX microseconds, a negative timeout of a standing expectation, negative work, a negative reserve, a deadline on a listening socket, or a text that is not a budget (grpc-timeout: one to eight digits and H, M, S, m, u or n; microseconds: only digits)";
	case ERANGE:
		return "too long: a message must end less than 2^31 bytes beyond the acknowledged data, expected answers less than that beyond the received data, and a budget is at most INT64_MAX nanoseconds";
	case ENOMEM:
		return "no memory, or as many sockets of the namespace already expect answers as net.ipv4.d2tcp.expect_max permits";
	case EOPNOTSUPP:
		return "the socket does not use d2tcp: call d2tcp_enable() before connect() or listen(); or it is not a TCP socket";
	case ENOPROTOOPT:
		return "the module tcp_d2tcp is not loaded (for expected answers: is too old, or was loaded without expect=1), or this is not a TCP socket";
	case ETIMEDOUT:
		return "too little time is left: the call or the response would miss its deadline; from the network: the connection timed out";
	case ENOTCONN:
		return "the socket is not connected, or can no longer send";
	case ENOENT:
		return "the congestion control d2tcp is not available: load the module tcp_d2tcp as root";
	case EPERM:
		return "not permitted to select d2tcp: add it to net.ipv4.tcp_allowed_congestion_control";
	case E2BIG:
		return "the loaded module is older than this program and does not support all fields that it sets";
	case EBADF:
		return "not an open file descriptor";
	case ENOTSOCK:
		return "not a socket";
	default:
		s = strerrordesc_np(err);
		return s ? s : "unknown error";
	}
}

PUBLIC int d2tcp_state(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name);
	struct d2tcp_info info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len)) {
		/* the errno of sockets of other families */
		if (errno == EOPNOTSUPP)
			errno = ENOPROTOOPT;
		return -1;
	}
	if (strncmp(name, D2TCP_NAME, sizeof(name)) &&
	    strncmp(name, D2TCP_NAME "-reno", sizeof(name)))
		return D2TCP_STATE_OTHER;
	/* an MPTCP socket has the name, but not the option */
	if (d2tcp_get_info(fd, &info)) {
		if (errno == EOPNOTSUPP)
			errno = ENOPROTOOPT;
		return -1;
	}
	if (info.flags & D2TCP_INFO_FALLBACK)
		return D2TCP_STATE_NO_ECN;
	return info.flags & D2TCP_INFO_ECN ? D2TCP_STATE_AWARE :
					     D2TCP_STATE_PENDING;
}

PUBLIC const char *d2tcp_state_text(int state)
{
	switch (state) {
	case D2TCP_STATE_OTHER:
		return "the socket does not use d2tcp: call d2tcp_enable() before connect() or listen()";
	case D2TCP_STATE_PENDING:
		return "the socket uses d2tcp; whether its connection has ECN is known after the handshake";
	case D2TCP_STATE_AWARE:
		return "deadlines have an effect on this connection";
	case D2TCP_STATE_NO_ECN:
		return "the handshake negotiated no ECN, so deadlines have no effect: the peer's listener does not use d2tcp or dctcp, the SYN was lost, the path removes ECN, or d2tcp was selected after the handshake";
	default:
		return "not a state that d2tcp_state() returns";
	}
}

PUBLIC uint32_t d2tcp_version(void)
{
	return LIBD2TCP_VERSION_MAJOR << 16 | LIBD2TCP_VERSION_MINOR << 8 |
	       LIBD2TCP_VERSION_PATCH;
}
