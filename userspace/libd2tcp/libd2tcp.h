/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libd2tcp - deadlines for TCP sockets under d2tcp.
 *
 * Each call works on a TCP socket of either family, in any state unless said
 * otherwise, and returns 0, or -1 with errno set and nothing changed.
 * d2tcp_strerror() puts that errno into words. Thread-safe; no state, no
 * allocation; nothing beyond setsockopt() and getsockopt(), so programs in any
 * language can do without it.
 */
#ifndef LIBD2TCP_H
#define LIBD2TCP_H

#include <stdint.h>
#include <d2tcp.h>		/* the kernel's side: struct d2tcp_info */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The types of the arguments say their units. Times are signed: what is left of a
 * budget that is used up is negative, and means late. A time
 * farther away than D2TCP_FARTHEST_NS, 18 minutes, is held at that bound.
 */
typedef int64_t d2tcp_nsec;	/* nanoseconds */
typedef int64_t d2tcp_usec;	/* microseconds */
typedef uint64_t d2tcp_bytes;

#define LIBD2TCP_VERSION_MAJOR	0
#define LIBD2TCP_VERSION_MINOR	1
#define LIBD2TCP_VERSION_PATCH	0

/*
 * Chooses d2tcp for the socket. Do it before connect() or, on a server, on the
 * listener before the connection arrives: ECN is settled by the handshake, and
 * a socket that is switched later runs d2tcp's Reno fallback. Loses nothing that
 * was set on a socket that is under d2tcp already.
 * ENOENT: the module is not loaded. EPERM: it is, but this user may not choose
 * it: see net.ipv4.tcp_allowed_congestion_control.
 */
int d2tcp_enable(int fd);

/*
 * The message whose first byte is written next must be acknowledged by this time
 * of the caller's CLOCK_MONOTONIC. bytes is its length, 0 when unknown: then it
 * is all that is written until the next call. A time in the past, or a negative
 * one, is accepted and counted as late. EINVAL: deadline and bytes are both 0, or
 * the socket listens. ERANGE: the message would end 2^31 bytes or more beyond
 * what is acknowledged. EOPNOTSUPP: the socket is not under d2tcp. ENOPROTOOPT:
 * the module is not loaded, or this is not a TCP socket.
 */
int d2tcp_set_deadline(int fd, d2tcp_nsec deadline, d2tcp_bytes bytes);

/*
 * The same, with the time that is left from now on. 0 or less means that the
 * message is late already.
 */
int d2tcp_set_timeout(int fd, d2tcp_nsec timeout, d2tcp_bytes bytes);

/* Forgets every deadline of the socket. */
int d2tcp_clear(int fd);

/*
 * Without further calls, each burst that starts on the idle socket is due that
 * long after its start; 0 turns it off. Sockets accepted from a listener inherit
 * it. EINVAL: negative, or above INT_MAX microseconds (35 minutes).
 */
int d2tcp_set_budget(int fd, d2tcp_usec budget);

/* What the flow is doing. Fields that the kernel does not know are 0. */
int d2tcp_get_info(int fd, struct d2tcp_info *info);

/* In words what an errno of the calls above means; never NULL, not to be
 * freed. For an errno that none of them sets: what strerror() says, or, if that
 * is unknown, "unknown error".
 */
const char *d2tcp_strerror(int err);

/* Version of the library linked: major << 16 | minor << 8 | patch. */
uint32_t d2tcp_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBD2TCP_H */
