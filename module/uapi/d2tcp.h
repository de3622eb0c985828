/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI of tcp_d2tcp.ko: socket options at level SOL_IP, on IPv4 and IPv6
 * TCP sockets whose congestion control is "d2tcp".
 *
 * D2TCP_DEADLINE  set: struct d2tcp_deadline, or an int of microseconds from
 *                 now. Arms a deadline for the message whose first byte is the
 *                 next one written. All zero (or int 0) clears every deadline
 *                 of the socket.
 *                 get: struct d2tcp_deadline, the most urgent prefix: absolute
 *                 time and bytes left; all zero when there is none.
 * D2TCP_BUDGET    set, get: int of microseconds, 0 = off. Each burst that
 *                 starts on an idle socket is due that long after its start.
 *                 Sockets accepted from a listener inherit it.
 * D2TCP_INFO      get: struct d2tcp_info, or as much of it as fits (8 bytes at
 *                 least).
 * D2TCP_EXPECT    set: struct d2tcp_deadline. Declares the deadline and the
 *                 length (.bytes; 0: unknown, up to the next D2TCP_EXPECT) of
 *                 the answer to the next request. Set it before the request is
 *                 written, on a socket of any congestion control. With
 *                 D2TCP_F_STANDING it applies to the answer to every request,
 *                 counted from when the request leaves; accepted sockets
 *                 inherit it from their listener. All zero: no answer is
 *                 expected any more. Experimental: exists only when the module
 *                 was loaded with expect=1.
 * D2TCP_EXPECT_INFO get: struct d2tcp_expect_info, or as much of it as fits (8
 *                 bytes at least): the next expected answer, and how many bytes
 *                 of it have arrived or are granted. Exists where D2TCP_EXPECT
 *                 does.
 *
 * Errors; nothing is changed when one is returned:
 * EINVAL      negative int; for set, a length of 0 to 3 or 5 to 23; a flag that
 *             is not known; reserved not zero; STANDING without RELATIVE, or
 *             for D2TCP_DEADLINE; a deadline, or D2TCP_EXPECT without STANDING,
 *             on a listener
 * E2BIG       longer than the struct known here, and the rest is not zero, or
 *             longer than a page
 * ERANGE      the message would end 2^31 bytes or more beyond the acknowledged
 *             data, or the expected answers beyond the received data
 * EOPNOTSUPP  the socket's congestion control is not d2tcp (not D2TCP_EXPECT
 *             and D2TCP_EXPECT_INFO)
 * ENOPROTOOPT module not loaded; not a TCP socket; set of D2TCP_INFO and
 *             D2TCP_EXPECT_INFO; get of D2TCP_EXPECT
 * ENOMEM      D2TCP_EXPECT: no memory, or net.ipv4.d2tcp.expect_max sockets expect
 *             answers
 * EFAULT      memory that cannot be read or written
 */
#ifndef _UAPI_D2TCP_H
#define _UAPI_D2TCP_H

#include <linux/const.h>
#include <linux/types.h>

#define D2TCP_DEADLINE		0xD200
#define D2TCP_BUDGET		0xD201
#define D2TCP_INFO		0xD202
#define D2TCP_EXPECT		0xD203
#define D2TCP_EXPECT_INFO	0xD204

/* The name for TCP_CONGESTION and net.ipv4.tcp_congestion_control. */
#define D2TCP_NAME		"d2tcp"

/* struct d2tcp_info.abi_version: a new major breaks, a new minor adds. */
#define D2TCP_ABI_MAJOR		1
#define D2TCP_ABI_MINOR		2	/* D2TCP_F_STANDING, D2TCP_EXPECT_INFO */

/* struct d2tcp_deadline.flags */
#define D2TCP_F_RELATIVE	1u	/* deadline_ns counts from now */
#define D2TCP_F_STANDING	2u	/* D2TCP_EXPECT only, with RELATIVE: applies
					 * to the answer to every request
					 */

/* A deadline farther away counts as this far away: 2^40 ns, 18 minutes. */
#define D2TCP_FARTHEST_NS	_BITULL(40)

struct d2tcp_deadline {
	__u64 deadline_ns;	/* the caller's CLOCK_MONOTONIC; or, with
				 * RELATIVE, from now
				 */
	__u64 bytes;		/* message length; 0: unknown */
	__u32 flags;
	__u32 reserved;		/* zero */
};

/* struct d2tcp_info.flags */
#define D2TCP_INFO_ECN		1u	/* connected with ECN: the law is on */
#define D2TCP_INFO_FALLBACK	2u	/* connected without ECN: Reno */
#define D2TCP_INFO_DEADLINE	4u	/* at least one message is armed */
#define D2TCP_INFO_LATE		8u	/* the most urgent one is late */
#define D2TCP_INFO_BUDGET	16u	/* a standing budget is in force */
#define D2TCP_INFO_FEASIBLE	32u	/* finish_ns is within time_left_ns, and a
					 * round trip was measured
					 */

struct d2tcp_info {		/* grows at its tail only */
	__u32 size;		/* of the kernel's struct, in bytes */
	__u32 abi_version;	/* major << 16 | minor */
	__u32 flags;		/* D2TCP_INFO_* */
	__u32 alpha;		/* 2^-20: share of packets marked, smoothed;
				 * this and penalty are 0 in the fallback
				 */
	__u32 imminence;	/* 2^-8: d, the urgency now */
	__u32 penalty;		/* 2^-20: p = alpha^d */
	__u32 cwnd;		/* 2^-8 packets */
	__u32 mss;		/* bytes */
	__u32 srtt_us;
	__u32 budget_us;	/* in force: its own, or the namespace's */
	__u32 outstanding;	/* messages armed and not settled */
	__u32 merged;		/* messages merged; stays at 65535 */
	__u64 bytes_left;	/* of the most urgent prefix */
	__s64 time_left_ns;	/* negative: late by */
	__u64 finish_ns;	/* time the prefix still needs at this rate */
	__u64 met;		/* messages acknowledged in time */
	__u64 missed;		/* messages acknowledged later */
	__u64 armed_late;	/* already late when armed */
	__u64 cleared;		/* cleared or replaced; stays at 65535 */
};

/* struct d2tcp_expect_info.flags */
#define D2TCP_EXPECTING		1u	/* at least one answer is outstanding */
#define D2TCP_EXPECT_HELD	2u	/* some bytes of the next answer are not
					 * granted yet
					 */
#define D2TCP_EXPECT_GRANTED	4u	/* all of the next answer may be sent; not
					 * set where its length is unknown
					 */
#define D2TCP_EXPECT_RELEASED	8u	/* the window is TCP's own: no answer was
					 * expected yet, or the socket was
					 * released
					 */
#define D2TCP_EXPECT_STANDING	16u	/* a standing expectation is in force */
#define D2TCP_EXPECT_FEASIBLE	32u	/* the next answer can be in time at the
					 * measured rate, if the answers before
					 * it are no longer than declared
					 */

struct d2tcp_expect_info {	/* grows at its tail only */
	__u32 size;		/* of the kernel's struct, in bytes */
	__u32 abi_version;	/* major << 16 | minor */
	__u32 flags;
	__u32 outstanding;	/* answers expected and not complete; 8 at most */
	__u64 bytes;		/* of the next answer; 0: unknown */
	__u64 arrived;		/* bytes of it that have arrived */
	__u64 granted;		/* bytes of it that have arrived or may be sent */
	__s64 time_left_ns;	/* negative: late by */
	__u64 standing_ns;	/* of the standing expectation in force: its own,
				 * or the namespace's
				 */
	__u64 met;		/* answers complete in time */
	__u64 missed;		/* answers complete later */
	__u64 released;		/* releases after 200 ms without expected data */
	__u32 rate;		/* of the link, bytes per ms; 0: not measured */
	__u32 rtt_us;		/* shortest of the link; 0: not measured */
};

#endif /* _UAPI_D2TCP_H */
