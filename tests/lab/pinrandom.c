// SPDX-License-Identifier: GPL-2.0
/*
 * pinrandom - preloaded into the User Mode Linux binary, whose only source of
 * randomness is getrandom(). This one gives the same bytes for the same
 * LAB_SEED.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static uint64_t state;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014.
 */
static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

__attribute__((constructor)) static void seed(void)
{
	const char *s = getenv("LAB_SEED");

	state = s ? strtoull(s, NULL, 0) : 1;
}

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	size_t done, n;
	uint64_t r;

	(void)flags;
	for (done = 0; done < len; done += n) {
		r = next();
		n = len - done < sizeof(r) ? len - done : sizeof(r);
		memcpy((char *)buf + done, &r, n);
	}
	return len;
}
