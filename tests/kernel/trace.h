/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads the module's tracepoints through tracefs.
 */
#ifndef TRACE_H
#define TRACE_H

#include "kernel.h"

static FILE *trace_pipe;

/* Enables an event of d2tcp; the first call opens trace_pipe. */
static inline void trace_on(const char *event)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path),
		 "/sys/kernel/tracing/events/d2tcp/%s/enable", event);
	CHECK_EQ(write_file(path, "1"), 0);
	if (trace_pipe)
		return;
	fd = open("/sys/kernel/tracing/trace_pipe", O_RDONLY | O_NONBLOCK);
	CHECK(fd >= 0, "trace_pipe: %s", strerror(errno));
	trace_pipe = fdopen(fd, "r");
}

static inline void trace_off(const char *event)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/kernel/tracing/events/d2tcp/%s/enable", event);
	CHECK_EQ(write_file(path, "0"), 0);
}

/* The fields of the next line of an event, or NULL. */
static inline const char *trace_next(const char *event)
{
	static char line[512];
	char name[64];
	const char *s;

	snprintf(name, sizeof(name), ": %s: ", event);
	clearerr(trace_pipe);
	while (fgets(line, sizeof(line), trace_pipe)) {
		s = strstr(line, name);
		if (s)
			return s + strlen(name);
	}
	return NULL;
}

/* The number in one of those fields. */
static inline long long trace_field(const char *fields, const char *field)
{
	char name[64];
	const char *s;

	snprintf(name, sizeof(name), " %s=", field);
	s = strstr(fields, name);
	CHECK(s, "no %s in %s", field, fields);
	return strtoll(s + strlen(name), NULL, 10);
}

#endif /* TRACE_H */
