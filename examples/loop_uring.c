/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * examples/loop_uring.c - a subscriber in an io_uring loop.
 *
 * One poll request at a time: it completes at once when there is something already, so after each turn it is
 * asked for anew, and nothing is missed in between.
 *
 * Usage: loop_uring NAME PREFIX [PERIOD_MS]   ends with the message `end`; 77: no io_uring here
 */
#include "reader.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { ENTRIES = 8, NO_URING = 77 };

static void
ask(struct io_uring *ring, struct reader *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring); /* never full: one is open at a time */
    io_uring_prep_poll_add(sqe, r->fd, POLLIN);
    io_uring_sqe_set_data(sqe, r);
}

/* The request's result: what is readable, or -errno. */
static int
await(struct io_uring *ring)
{
    struct io_uring_cqe *cqe = NULL;
    int rc;
    do {
        rc = io_uring_wait_cqe(ring, &cqe);
    } while (rc == -EINTR);
    if (rc == 0) {
        rc = cqe->res;
        io_uring_cqe_seen(ring, cqe);
    }
    return rc;
}

/* 0, or -errno. */
static int
run(struct io_uring *ring, struct reader *r)
{
    int rc = 0;
    while (!r->is_end && rc >= 0) {
        ask(ring, r);
        rc = io_uring_submit(ring);
        rc = rc < 0 ? rc : await(ring);
        if (rc >= 0) {
            reader_take(r); /* without waiting: the ring does that */
        }
    }
    return rc < 0 ? rc : 0;
}

int
main(int argc, char **argv)
{
    struct io_uring ring;
    struct reader r;
    int rc = io_uring_queue_init(ENTRIES, &ring, 0);
    if (rc < 0) {
        fprintf(stderr, "%s: no io_uring here: %s\n", argv[0], strerror(-rc));
        return NO_URING;
    }
    int code = reader_open(&r, argc, argv);
    if (code != 0) {
        io_uring_queue_exit(&ring);
        return code;
    }
    rc = run(&ring, &r);
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(-rc));
    }
    io_uring_queue_exit(&ring); /* no request holds the descriptor any more */
    return reader_close(&r) != 0 || rc < 0;
}
