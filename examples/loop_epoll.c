/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * examples/loop_epoll.c - a subscriber in an epoll loop.
 *
 * Usage: loop_epoll NAME PREFIX [PERIOD_MS]   ends with the message `end`
 */
#include "reader.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 16 }; /* of whatever else is in the loop */

/* 0, or an errno. */
static int
run(int set, struct reader *r)
{
    struct epoll_event events[EVENTS];
    while (!r->is_end) {
        int n = epoll_wait(set, events, EVENTS, -1);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == r) {
                reader_take(r); /* without waiting: the loop does that */
            }
        }
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct reader r;
    int rc = reader_open(&r, argc, argv);
    if (rc != 0) {
        return rc;
    }
    /* Level-triggered.  With EPOLLET one would dispatch until fewer than asked for came. */
    struct epoll_event wanted = {.events = EPOLLIN, .data = {.ptr = &r}};
    int set = epoll_create1(EPOLL_CLOEXEC);
    rc = set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, r.fd, &wanted) < 0 ? errno : run(set, &r);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(rc));
    }
    if (set >= 0) {
        (void)epoll_ctl(set, EPOLL_CTL_DEL, r.fd, NULL);
        (void)close(set);
    }
    return reader_close(&r) != 0 || rc != 0;
}
