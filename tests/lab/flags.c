// SPDX-License-Identifier: GPL-2.0
/*
 * Tests whether a cmpxchg16b that follows a failed one leaves the right flags,
 * on a CPU that offers it. QEMU 7.2 computes them from the state that the
 * failed one left instead of from the instruction in between, so that stale
 * register contents end up in them. Linux 6.12 allocates with cmpxchg16b and
 * retries if an interrupt came in between. If the stale contents set the trap
 * or the direction flag it crashed, in a few of a hundred boots. With -cpu max
 * of QEMU 7.2 this prints 0x3ffc6342, on a real CPU 0x242.
 */
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>

#define SIX	0x8d5		/* the flags that arithmetic sets: OF ... CF */

static _Alignas(16) uint64_t pair[2];

int main(void)
{
	uint64_t flags, rax = 5, rdx = 7, sum = 0x10, pattern = 0x3ffc6300;
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_CMPXCHG16B)) {
		puts("not offered");
		return 0;
	}
	/*
	 * The first fails and loads rdx:rax, so the second succeeds. The sum
	 * between them is 0x3ffc6310, which sets no flag; the second sets ZF.
	 */
	asm volatile("cmpxchg16b %[pair]\n\t"
		     "jne 1f\n"
		     "1:\taddq %[pattern], %[sum]\n\t"
		     "cmpxchg16b %[pair]\n\t"
		     "pushfq\n\t"
		     "popq %[flags]"
		     : [pair] "+m" (pair), [flags] "=r" (flags), "+a" (rax),
		       "+d" (rdx), [sum] "+r" (sum)
		     : [pattern] "r" (pattern), "b" (1UL), "c" (2UL)
		     : "cc", "memory");
	printf("flags %#jx\n", (uintmax_t)flags);
	/* of the six only ZF may be set; bit 1 and IF always are */
	return (flags & SIX) != 0x40 || flags & ~(SIX | 0x202UL);
}
