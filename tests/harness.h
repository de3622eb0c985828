/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small test harness, for tests on the host and inside a kernel.
 *
 *	TEST(the behaviour it shows) { CHECK(a == b, "a %d", a); }
 *	int main(int argc, char **argv) { return run_tests(argc, argv); }
 *
 * Prints TAP: a line per test, then the plan, which is therefore missing from
 * the output of a program that dies early. A test stops at its first failed
 * CHECK. With an argument, only tests whose name contains it run. SKIP("why")
 * ends a test that does not apply to this kernel. With TEST_PART=I/N in the
 * environment, tests that go through many seeds or cases run one in N of them:
 * in_part().
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

static struct test *first_test, **last_test = &first_test;
static jmp_buf test_end;
static unsigned long checks;
static const char *skipped = "";

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)

/* Tests run in the order of their definition. */
#define TEST(name) TEST_(#name, CAT(test_, __LINE__))
#define TEST_(text, id)							\
	static void id(void);						\
	__attribute__((constructor)) static void CAT(id, _add)(void)	\
	{								\
		static struct test t = { text, id, NULL };		\
									\
		*last_test = &t;					\
		last_test = &t.next;					\
	}								\
	static void id(void)

__attribute__((format(printf, 4, 5), unused))
static void check_failed(const char *file, int line, const char *what,
			 const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: %s: ", file, line, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	longjmp(test_end, 1);
}

#define SKIP(why)							\
	do {								\
		skipped = (why);					\
		longjmp(test_end, 2);					\
	} while (0)

#define CHECK(cond, ...)						\
	do {								\
		checks++;						\
		if (!(cond))						\
			check_failed(__FILE__, __LINE__, #cond,		\
				     __VA_ARGS__);			\
	} while (0)

#define CHECK_EQ(a, b)							\
	do {								\
		long long a_ = (long long)(a), b_ = (long long)(b);	\
									\
		checks++;						\
		if (a_ != b_)						\
			check_failed(__FILE__, __LINE__, #a " == " #b,	\
				     "%lld, not %lld", a_, b_);		\
	} while (0)

/* Whether case n of many belongs to the part of them that this program runs.
 * tests/check gives each kernel another part.
 */
__attribute__((unused)) static bool in_part(unsigned int n)
{
	const char *text = getenv("TEST_PART");
	unsigned int part, parts;
	char end;

	if (!text)
		return true;
	if (sscanf(text, "%u/%u%c", &part, &parts, &end) != 2 || !part ||
	    part > parts) {
		fprintf(stderr, "TEST_PART=%s: it is I/N, I from 1 to N\n",
			text);
		exit(2);
	}
	return n % parts == part - 1;
}

static int run_tests(int argc, char **argv)
{
	/* volatile: they must keep their values across longjmp() */
	volatile unsigned int n = 0, bad = 0;
	volatile unsigned long before;
	struct test *volatile t;
	volatile int end;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (t = first_test; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		before = checks;
		n++;
		end = setjmp(test_end);
		if (!end)
			t->run();
		if (end == 2) {
			printf("ok %u - %s # SKIP %s\n", n, t->name, skipped);
			continue;
		}
		if (!end && checks == before) {
			/* a test without a CHECK shows nothing, so it fails */
			printf("# nothing was checked\n");
			end = 1;
		}
		printf("%sok %u - %s\n", end ? "not " : "", n, t->name);
		bad += !!end;
	}
	printf("1..%u\n", n);
	return bad || !n;
}

#endif /* HARNESS_H */
