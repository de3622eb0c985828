/* SPDX-License-Identifier: GPL-2.0 */
/* The subcommands of d2tcp: as main(), 0, 1 for failure, 2 for a bad call, 3 for
 * "yes, somebody does" (holders).
 */
#ifndef COMMAND_H
#define COMMAND_H

int holders(int argc, char **argv);

#endif /* COMMAND_H */
