// SPDX-License-Identifier: GPL-2.0
/*
 * Are the flags right after a cmpxchg16b that follows a failed one, on a CPU that
 * offers it? QEMU 7.2 computes them from what the failed one left, not from the
 * instruction before, so that what happened to be in a register ends up in them.
 * Linux 6.12 allocates with cmpxchg16b and tries again when an interrupt came in
 * between. With the trap or the direction flag set by chance it then crashed, a few
 * times in a hundred boots. With -cpu max of QEMU 7.2 this prints 0x3ffc6342, on a
 * real CPU 0x242.
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
	 * between them has only the flags of 0x3ffc6310: none; ZF comes from
	 * the second.
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
	/* ZF; bit 1 and IF are always set */
	return (flags & SIX) != 0x40 || flags & ~(SIX | 0x202UL);
}
