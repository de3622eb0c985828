/* SPDX-License-Identifier: GPL-2.0 */
/* The subcommands of d2tcp. Each takes the arguments of main() and returns the
 * exit status: 0, 1 for a failure, 2 for wrong usage, and 3 from holders if
 * something holds the module.
 */
#ifndef COMMAND_H
#define COMMAND_H

int holders(int argc, char **argv);
int stats(int argc, char **argv);

#endif /* COMMAND_H */
