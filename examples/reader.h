/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * examples/reader.h - what the loop_*.c share: a subscriber, and printing what it has.  The loops are theirs.
 */
#ifndef BUSBAR_EXAMPLES_READER_H
#define BUSBAR_EXAMPLES_READER_H

#include <busbar/busbar.h>

struct reader {
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    int fd;     /* for the loop: rules in busbar/endpoint.h at bb_fd() */
    int is_end; /* the message `end` came, or something failed */
    int rc;     /* 0, or why it failed */
};

/*
 * reader_open - by the arguments NAME PREFIX [PERIOD_MS]; with a period publishers never knock, and the
 * descriptor is readable that often.  Returns 0, or prints why not and returns the program's exit code.
 */
int reader_open(struct reader *r, int argc, char **argv);

/* reader_take - the descriptor is readable: one dispatch without waiting, each message or status a line. */
void reader_take(struct reader *r);

/* reader_close - after the loop let go of the descriptor.  Returns the program's exit code. */
int reader_close(struct reader *r);

#endif
