/* SPDX-License-Identifier: GPL-2.0 */
/* Between `d2tcp run` and the shim in the programs that it starts. */
#ifndef PRELOAD_H
#define PRELOAD_H

#define PRELOAD_FILE	"libd2tcp-preload.so"

/* Environment variables. The first two have microseconds, or are not set. The third
 * names the report, an inherited memfd, as descriptor:device:inode. The shim uses the
 * descriptor only if it still refers to that file.
 */
#define PRELOAD_BUDGET	"D2TCP_RUN_BUDGET_US"
#define PRELOAD_EXPECT	"D2TCP_RUN_EXPECT_US"
#define PRELOAD_REPORT	"D2TCP_RUN_REPORT"

/* The options that the shim sets; selecting d2tcp is part of the budget. */
enum preload_option { PRELOAD_SELECT, PRELOAD_SET_BUDGET, PRELOAD_SET_EXPECT,
		      PRELOAD_OPTIONS };

/* Shared by all processes of a run, and changed with atomic operations. */
struct preload_report {
	unsigned int programs;	/* programs executed that loaded the shim */
	unsigned int sockets;	/* TCP sockets */
	unsigned int not_started;	/* the program could not be executed */
	struct {
		unsigned int refused;	/* sockets */
		int error;		/* errno of the last one */
	} option[PRELOAD_OPTIONS];
};

#endif /* PRELOAD_H */
