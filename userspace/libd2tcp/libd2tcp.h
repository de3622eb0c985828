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
 * The message whose first byte is written next is to be acknowledged by
 * deadline_ns on CLOCK_MONOTONIC. bytes is its length, 0 when unknown: then it
 * is all that is written until the next call. A time in the past is accepted
 * and counted as late. EINVAL: deadline_ns and bytes both 0, or the socket
 * listens. ERANGE: the message would end 2^31 bytes or more beyond what is
 * acknowledged. EOPNOTSUPP: the socket is not under d2tcp. ENOPROTOOPT: no
 * module, or not a TCP socket.
 */
int d2tcp_set_deadline(int fd, uint64_t deadline_ns, uint64_t bytes);

/* The same, timeout_ns from now: no clock to agree on, so the better choice in
 * a time namespace. 0 means already late.
 */
int d2tcp_set_timeout(int fd, uint64_t timeout_ns, uint64_t bytes);

/* Forgets every deadline of the socket. */
int d2tcp_clear(int fd);

/*
 * Without further calls, each burst that starts on the idle socket is due
 * budget_us later; 0 turns it off. Sockets accepted from a listener inherit
 * it. EINVAL: above INT_MAX.
 */
int d2tcp_set_budget(int fd, uint32_t budget_us);

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
