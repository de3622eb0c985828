/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of incast. flows.c has flow and sink; linkcheck.c has clock, ping,
 * train and receive.
 */
#ifndef INCAST_PARTS_H
#define INCAST_PARTS_H

int worker_main(int argc, char **argv);
int aggregate_main(int argc, char **argv);
int flow_main(int argc, char **argv);
int sink_main(int argc, char **argv);
int clock_main(int argc, char **argv);
int ping_main(int argc, char **argv);
int train_main(int argc, char **argv);
int receive_main(int argc, char **argv);

#endif /* INCAST_PARTS_H */
