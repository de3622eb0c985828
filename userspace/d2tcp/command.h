/* SPDX-License-Identifier: GPL-2.0 */
/* The subcommands of d2tcp. Each takes the arguments of main() and returns the
 * exit status: 0, 1 for a failure, 2 for wrong usage. doctor returns 3 if it
 * found a problem, holders 3 if the module has users. run becomes the program,
 * and returns only if that could not be started.
 */
#ifndef COMMAND_H
#define COMMAND_H

int default_budget(int argc, char **argv);
int disable(int argc, char **argv);
int doctor(int argc, char **argv);
int enable(int argc, char **argv);
int holders(int argc, char **argv);
int route(int argc, char **argv);
int run(int argc, char **argv);
int stats(int argc, char **argv);
int watch(int argc, char **argv);

#endif /* COMMAND_H */
