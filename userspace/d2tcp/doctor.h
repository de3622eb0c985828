/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of `d2tcp doctor`, and how they report. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

/* A problem: a name for programs, where it is, what is wrong, and what to do. */
struct finding {
	char check[32];
	char netns[96];		/* empty: the whole host */
	char problem[400];
	char action[400];
};

/* The facts about a network namespace that the checks collect. */
struct net_state {
	char name[96];
	unsigned int sockets;		/* listening or established */
	unsigned int connections;	/* established, under d2tcp */
	unsigned int fallback;		/* of them, without ECN */
	bool is_default;		/* d2tcp is the default */
	bool budget;			/* there is a default budget */
};

/* Adds a problem; @problem is a printf() format. */
__attribute__((format(printf, 4, 5)))
void found(const char *check, const char *netns, const char *action,
	   const char *problem, ...);
void found_copy(const struct finding *finding);

/* Adds the problems of the module's files, and of the loaded module if @loaded. */
void check_module(bool loaded);

/* Adds the settings in sysctl's files that are not in force in this namespace. */
void check_settings(void);

/* Reads the first line of a file; returns whether it could be read. */
bool read_line(const char *path, char *text, size_t size);

/* Is this word in the text? */
bool has_word(const char *text, const char *word);

/* Does a route of this network namespace select d2tcp? */
bool has_route(void);

/* Adds the problems of the namespace that the process is in, and fills in *state. */
void check_network(const char *name, struct net_state *state);

#endif /* DOCTOR_H */
