/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol between aggregator and worker, little-endian. The response to a
 * request is .size bytes on the same connection, in the order of the requests,
 * and begins with struct response.
 */
#ifndef INCAST_WIRE_H
#define INCAST_WIRE_H

#include <endian.h>
#include <stdint.h>

#define WIRE_MAGIC	0x69636173u
#define WIRE_ENDLESS	1u		/* flags: send until the peer closes */

struct request {			/* 40 bytes */
	uint32_t magic;
	uint32_t flags;
	uint64_t id;			/* of the attempt; echoed */
	uint64_t sent_ns;		/* the aggregator's CLOCK_MONOTONIC */
	uint64_t deadline_ns;		/* after sent_ns; 0: none */
	uint32_t size;
	uint32_t think_us;		/* wait before the response */
};

struct response {			/* 16 bytes, then the rest of .size */
	uint64_t id;
	uint32_t size;
	uint32_t magic;
};

#define WIRE_MIN_SIZE	((uint32_t)sizeof(struct response))

/*
 * Priority classes by the time left, most urgent first: CS5, CS4, CS3, CS2. All
 * other traffic has no class.
 */
#define WIRE_CLASSES	4
#define WIRE_TOS(class)	((5 - (class)) << 5)

#endif /* INCAST_WIRE_H */
