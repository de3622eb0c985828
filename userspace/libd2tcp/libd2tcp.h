/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libd2tcp - deadlines for TCP sockets under d2tcp.
 *
 * Each call returns 0, or -1 with errno set and nothing changed, unless stated
 * otherwise; those that take a socket work on IPv4 and IPv6 TCP sockets in any state.
 * d2tcp_strerror() explains that errno. The library is thread-safe, keeps no
 * state and allocates nothing. It only calls setsockopt(), getsockopt() and
 * clock_gettime(), so programs in any language can do without it.
 */
#ifndef LIBD2TCP_H
#define LIBD2TCP_H

#include <stddef.h>
#include <stdint.h>
#include <d2tcp.h>		/* the kernel's side: struct d2tcp_info */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The types of the arguments name their units. Times are signed: a program may
 * pass the rest of a budget that it has overrun, and a negative rest means that
 * the deadline has passed. A deadline more than D2TCP_FARTHEST_NS (18 minutes)
 * away is capped there.
 */
typedef int64_t d2tcp_nsec;	/* nanoseconds */
typedef int64_t d2tcp_usec;	/* microseconds */
typedef uint64_t d2tcp_bytes;

#define LIBD2TCP_VERSION_MAJOR	0
#define LIBD2TCP_VERSION_MINOR	1
#define LIBD2TCP_VERSION_PATCH	0

/*
 * Selects d2tcp for the socket. Call it before connect() or, on a server, on
 * the listener before the connection arrives: the handshake negotiates ECN, and
 * a socket that is switched later runs d2tcp's Reno fallback. A socket that is
 * already under d2tcp keeps its deadlines and its budget. ENOENT: the
 * module is not loaded. EPERM: it is loaded, but this user may not select it:
 * see net.ipv4.tcp_allowed_congestion_control.
 */
int d2tcp_enable(int fd);

/*
 * Sets the deadline of the message that starts with the next byte written: all
 * of it must be acknowledged by this time on the caller's CLOCK_MONOTONIC.
 * bytes is its length; 0 means unknown, and the message is all data written
 * until the next call. A time that is negative or in the past is accepted: the
 * deadline has passed. EINVAL: deadline and bytes are both 0, or the socket is
 * listening. ERANGE: the message would end 2^31 bytes or more beyond the
 * acknowledged data. EOPNOTSUPP: the socket is not under d2tcp. ENOPROTOOPT:
 * the module is not loaded, or this is not a TCP socket.
 */
int d2tcp_set_deadline(int fd, d2tcp_nsec deadline, d2tcp_bytes bytes);

/*
 * The same with a time relative to now. 0 or less means that the deadline has
 * already passed.
 */
int d2tcp_set_timeout(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes);

/* Clears every deadline of the socket. */
int d2tcp_clear(int fd);

/*
 * Sets a standing budget: each burst that starts while the socket is idle is
 * due this long after its start, without further calls. 0 turns it off. Sockets
 * accepted from a listener inherit it. EINVAL: the budget is negative, or above
 * INT_MAX microseconds (35 minutes).
 */
int d2tcp_set_budget(int fd, d2tcp_usec budget);

/*
 * Declares that the answer to the next request has this length and is due
 * within this time; call it before the request is written. The kernel grants
 * expected answers in order of their deadlines. The socket may use any
 * congestion control. bytes = 0: the length is unknown, and the answer ends at
 * the next call. A time of 0 or less is accepted: the deadline has passed, and
 * the answer comes last. EINVAL: the socket is listening. ERANGE: the expected
 * answers would end 2^31 bytes or more beyond the received data. ENOMEM: no
 * memory, or net.ipv4.d2tcp.expect_max sockets already expect answers.
 * ENOPROTOOPT: the module is not loaded, is too old or was loaded without
 * expect=1, or this is not a TCP socket.
 */
int d2tcp_expect(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes);

/*
 * Expects an answer to every further request, due this long after the request
 * leaves; one call per socket is enough. Sockets accepted from a listener
 * inherit it. A request is data that is sent while no answer is outstanding.
 * bytes is the length of each answer; with 0 it ends where the next request
 * leaves. If timeout and bytes are both 0, all expectations are cleared.
 * d2tcp_expect() takes precedence for the answer that it declares. EINVAL: the
 * timeout is negative. ERANGE: bytes is 2^31 or more. Other errors as for
 * d2tcp_expect().
 */
int d2tcp_expect_standing(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes);

/*
 * Reads the state of the next expected answer: its length, and how many of its
 * bytes have arrived and are granted. Fields that the module does not know are
 * 0. ENOPROTOOPT: the module is not loaded, is too old or was loaded without
 * expect=1, or this is not a TCP socket.
 */
int d2tcp_get_expect_info(int fd, struct d2tcp_expect_info *info);

/* Reads the state of the flow. Fields that the module does not know are 0. */
int d2tcp_get_info(int fd, struct d2tcp_info *info);

/*
 * The states of a socket. A connection is deadline-aware only in D2TCP_STATE_AWARE.
 * In D2TCP_STATE_NO_ECN all calls succeed, but deadlines do not affect the window.
 */
enum {
	D2TCP_STATE_OTHER,	/* another congestion control */
	D2TCP_STATE_PENDING,	/* d2tcp; no handshake yet, or listening */
	D2TCP_STATE_AWARE,	/* d2tcp with ECN */
	D2TCP_STATE_NO_ECN,	/* d2tcp's Reno fallback, without ECN */
};

/*
 * Returns the state of the socket. Check it once a connection is established:
 * no call above fails because the peer has no ECN. ENOPROTOOPT: not a TCP
 * socket.
 */
int d2tcp_state(int fd);

/*
 * Explains a result of d2tcp_state(): what it means, and what to do about it. The
 * text is never NULL and must not be freed.
 */
const char *d2tcp_state_text(int state);

/*
 * Budgets that travel with requests. A request carries the time that its caller
 * has left; the service turns it into a deadline on its own clock when the
 * request arrives, sets the deadline of its response, and passes on the time
 * left, less a reserve for the way back, with the calls that it makes. The
 * clocks of the hosts need not agree. The time that the request travelled is
 * not counted.
 */
#define D2TCP_BUDGET_SIZE	24	/* of the texts below, with the final zero */

/*
 * Parse and print the value of gRPC's header grpc-timeout: one to eight digits
 * and a unit, H, M, S, m, u or n (hours, minutes, seconds, milli-, micro- and
 * nanoseconds). Printing rounds down, so that no budget grows on its way; a
 * budget of 0 or less is "0n". Parsing takes length characters, which need no
 * terminating zero, and caps the budget at INT64_MAX. EINVAL: not such a value.
 */
int d2tcp_parse_grpc_timeout(const char *text, size_t length,
			     d2tcp_nsec *budget);
int d2tcp_print_grpc_timeout(d2tcp_nsec budget, char text[D2TCP_BUDGET_SIZE]);

/*
 * The same for a header with a number of microseconds in decimal digits, without
 * sign or unit. ERANGE: more than INT64_MAX nanoseconds.
 */
int d2tcp_parse_usec(const char *text, size_t length, d2tcp_nsec *budget);
int d2tcp_print_usec(d2tcp_nsec budget, char text[D2TCP_BUDGET_SIZE]);

/*
 * Sets *deadline to the time on CLOCK_MONOTONIC at which a budget that starts now
 * ends, INT64_MAX at most. Call it when the request arrives.
 */
int d2tcp_start_budget(d2tcp_nsec budget, d2tcp_nsec *deadline);

/*
 * Sets *budget to the time left until the deadline, less a reserve, for a call
 * to another service. The reserve is the time that this service needs once that
 * call has returned: its own work and its response's way back. ETIMEDOUT: no
 * time is left, and the call should not be made. EINVAL: the reserve is
 * negative.
 */
int d2tcp_child_budget(d2tcp_nsec deadline, d2tcp_nsec reserve,
		       d2tcp_nsec *budget);

/*
 * Can a response meet its deadline? Call it before the work starts. It succeeds
 * if, after that much work, a response of so many bytes, behind the bytes that
 * the socket still has to send, can be acknowledged by the deadline at the
 * present congestion window and round trip of the connection. The estimate
 * leaves out losses, the growth of the window, its restart after a pause, and
 * the receiver's window. Without a measured round trip only the work counts.
 * ETIMEDOUT: the response would miss its deadline. EINVAL: the work is
 * negative. ENOTCONN: the socket is not connected. ENOPROTOOPT: not a TCP
 * socket.
 */
int d2tcp_check_time(int fd, d2tcp_nsec deadline, d2tcp_nsec work,
		     d2tcp_bytes response);

/*
 * For many streams on one connection, as in HTTP/2: sets the deadline of the
 * data written from now on to the earliest of n deadlines, one per outstanding
 * stream. Entries of 0 are free. Deadlines that have passed count only if all
 * have. Call it when a stream starts or ends, before its data is written; each
 * call starts a message. If all entries are free, data already written keeps
 * its deadline, and a deadline for which no data was written is cleared. Errors
 * as for d2tcp_set_deadline().
 */
int d2tcp_set_earliest(int fd, const d2tcp_nsec *deadlines, size_t n);

/* Explains an errno of the calls above. The result is never NULL and must not
 * be freed. For an errno that none of them sets it is the text of strerror(),
 * or "unknown error" if the system does not know it.
 */
const char *d2tcp_strerror(int err);

/* The version of the linked library: major << 16 | minor << 8 | patch. */
uint32_t d2tcp_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBD2TCP_H */
