// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp route: put the connections over a route under d2tcp, and back. The kernel keeps
 * the congestion control of a route as its attribute congctl, which `ip route change`
 * replaces together with all other attributes, so the whole route is repeated.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "program.h"

static const char usage[] =
	"usage: d2tcp route add PREFIX\n"
	"       d2tcp route del PREFIX\n"
	"PREFIX is a network of the data centre, such as 10.0.0.0/8 or fd00::/8.\n";

#define TOKENS		64
/* The protocol of routes that this command has added (see rt_protos of iproute2). */
#define PROTOCOL	"210"

struct prefix {
	const char *text;
	char first[INET6_ADDRSTRLEN];	/* its first address */
	bool v6;
};

struct words {
	const char *word[TOKENS + 8];	/* with room for what is appended */
	int n;
};

static int wrong(const char *format, const char *text)
{
	fprintf(stderr, "d2tcp route: ");
	fprintf(stderr, format, text);
	fprintf(stderr, "\n%s", usage);
	return 2;
}

static bool any_bit_set(const unsigned char *address, int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		if (address[i / 8] >> (7 - i % 8) & 1)
			return true;
	return false;
}

/* Returns 0, or 2 after a message. */
static int read_prefix(const char *text, struct prefix *p)
{
	unsigned char address[16];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char *end;
	long length;
	int bits;

	p->text = text;
	p->v6 = strchr(text, ':');
	bits = p->v6 ? 128 : 32;
	if (n >= sizeof(p->first))
		return wrong("'%s' is no prefix", text);
	memcpy(p->first, text, n);
	p->first[n] = 0;
	length = slash ? strtol(slash + 1, &end, 10) : bits;
	if (inet_pton(p->v6 ? AF_INET6 : AF_INET, p->first, address) != 1 ||
	    (slash && (end == slash + 1 || *end)) || length < 0 || length > bits)
		return wrong("'%s' is no prefix", text);
	if (!length)
		return wrong("'%s' includes the Internet, where d2tcp must not be used",
			     text);
	if (any_bit_set(address, length, bits))
		return wrong("'%s' has bits beyond its length", text);
	return 0;
}

/* Reads lines of `ip route` about the prefix. Returns 0, or 1 after a message. */
static int ask_ip(const struct prefix *p, const char *what, const char *how,
		  const char *of, char *text, size_t size)
{
	const char *const argv[] = { "ip", p->v6 ? "-6" : "-4", "route", what,
				     how, of, NULL };

	return program_read(argv, text, size) ? 1 : 0;
}

/* Splits a line of `ip route show`, without its congestion control and without states
 * that `ip route change` does not take. Returns whether it is a single route.
 */
static bool split(char *line, struct words *w, bool *ours, bool *added)
{
	static const char *const states[] = {
		"linkdown", "dead", "offload", "trap", "rt_offload", "rt_trap",
		"rt_offload_failed", "pervasive",
	};
	const char *word, *last = "";
	bool skip, value = false;
	char *rest;
	size_t i;

	*ours = false;
	*added = strstr(line, " proto " PROTOCOL " ");
	for (word = strtok_r(line, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest)) {
		if (!strcmp(word, "nexthop") || w->n == TOKENS)
			return false;
		skip = value;
		*ours |= value && !strcmp(word, "d2tcp");
		/* "congctl NAME" or "congctl lock NAME" */
		value = !strcmp(word, "congctl") || (value && !strcmp(word, "lock"));
		for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
			skip |= !strcmp(word, states[i]);
		/* `ip` prints "rto_min lock" and takes it without "lock", which it
		 * implies
		 */
		skip |= !strcmp(last, "rto_min") && !strcmp(word, "lock");
		last = word;
		if (!skip && !value)
			w->word[w->n++] = word;
	}
	return true;
}

static void append(struct words *w, const char *word)
{
	w->word[w->n++] = word;
}

/* Runs `ip route` and prints the command. Returns the exit status. */
static int apply(const struct prefix *p, const char *verb, const struct words *w)
{
	const char *argv[TOKENS + 16] = { "ip", p->v6 ? "-6" : "-4", "route", verb };
	char output[256];
	int i, n = 4;

	for (i = 0; i < w->n; i++)
		argv[n++] = w->word[i];
	argv[n] = NULL;
	if (program_read(argv, output, sizeof(output))) {
		fprintf(stderr, "d2tcp route: nothing was changed; changing routes needs root, and congctl d2tcp the module tcp_d2tcp\n");
		return 1;
	}
	for (i = 0; i < n; i++)
		printf("%s%s", argv[i], i + 1 < n ? " " : "\n");
	return 0;
}

/* The next hop that the prefix has by another route, such as the default route. */
static int next_hop(const struct prefix *p, char *text, size_t size,
		    struct words *w)
{
	char *word, *rest;
	bool take = false;

	if (ask_ip(p, "get", p->first, NULL, text, size))
		return 1;
	append(w, p->text);
	for (word = strtok_r(text, " \n", &rest); word && w->n < TOKENS;
	     word = strtok_r(NULL, " \n", &rest)) {
		if (take)
			append(w, word);
		take = !take && (!strcmp(word, "via") || !strcmp(word, "dev"));
		if (take)
			append(w, word);
	}
	append(w, "proto");
	append(w, PROTOCOL);
	return 0;
}

static int change(const struct prefix *p, bool add)
{
	char text[4096], hop[4096];
	struct words w = { .n = 0 };
	bool ours = false, added = false;
	char *end;

	if (ask_ip(p, "show", "exact", p->text, text, sizeof(text)))
		return 1;
	end = strchr(text, '\n');
	if ((end && end[1]) || !split(text, &w, &ours, &added)) {
		fprintf(stderr, "d2tcp route: %s has several routes or next hops; append 'congctl d2tcp' to each with ip route change\n",
			p->text);
		return 1;
	}
	if (!add && !ours) {
		fprintf(stderr, "d2tcp route: no route to %s has congctl d2tcp\n",
			p->text);
		return 1;
	}
	if (!add && added)
		return apply(p, "del", &w);
	if (add && !w.n) {
		if (next_hop(p, hop, sizeof(hop), &w))
			return 1;
		append(&w, "congctl");
		append(&w, "d2tcp");
		return apply(p, "add", &w);
	}
	if (add) {
		append(&w, "congctl");
		append(&w, "d2tcp");
	}
	return apply(p, "change", &w);
}

int route(int argc, char **argv)
{
	struct prefix p;
	bool add = argc > 1 && !strcmp(argv[1], "add");

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc < 2 || (!add && strcmp(argv[1], "del")))
		return wrong("%s", "add or del is required");
	if (argc != 3)
		return wrong("%s", "one PREFIX is required");
	if (read_prefix(argv[2], &p))
		return 2;
	return change(&p, add);
}
