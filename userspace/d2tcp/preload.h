/* SPDX-License-Identifier: GPL-2.0 */
/* Between `d2tcp run` and the shim in the programs that it starts. */
#ifndef PRELOAD_H
#define PRELOAD_H

#define PRELOAD_FILE	"libd2tcp-preload.so"

/* The environment: microseconds, or not set; and the path of a file that is a
 * struct preload_report.
 */
#define PRELOAD_BUDGET	"D2TCP_RUN_BUDGET_US"
#define PRELOAD_EXPECT	"D2TCP_RUN_EXPECT_US"
#define PRELOAD_REPORT	"D2TCP_RUN_REPORT"

/* Shared by all processes of a run, and changed with atomic operations. */
struct preload_report {
	unsigned int programs;	/* that loaded the shim, by exec */
	unsigned int sockets;	/* TCP sockets */
	unsigned int failed;	/* of them, those that an option was refused on */
	int error;		/* the errno of the last refusal */
	unsigned int option;	/* the option: one of those below */
};

enum { PRELOAD_CONGESTION = 1, PRELOAD_SET_BUDGET, PRELOAD_SET_EXPECT };

#endif /* PRELOAD_H */
