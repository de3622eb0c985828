/* SPDX-License-Identifier: GPL-2.0 */
/* The subcommands of d2tcp. Each takes the arguments of main() and returns the
 * exit status: 0, 1 for a failure, 2 for wrong usage, 3 from doctor if it found a
 * problem and from holders if something holds the module, and from run that of the program.
 */
#ifndef COMMAND_H
#define COMMAND_H

int doctor(int argc, char **argv);
int holders(int argc, char **argv);
int run(int argc, char **argv);
int stats(int argc, char **argv);
int watch(int argc, char **argv);

#endif /* COMMAND_H */
