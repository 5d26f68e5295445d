/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * examples/reader.c - a subscriber that prints.
 */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AT_ONCE = 64
}; /* messages for each time that the loop calls: others in the loop have their turn */

static int
print(const struct bb_msg *msg, void *user)
{
    static const char *const kinds[] = {"?",       "joined",  "left",   "died",
                                        "overrun", "evicted", "corrupt"};
    struct reader *r = user;
    if (msg->status != NULL) {
        uint32_t kind = msg->status->kind;
        printf("* %s %s\n", msg->node, kinds[kind < sizeof(kinds) / sizeof(kinds[0]) ? kind : 0]);
        return 0;
    }
    printf("%.*s %.*s\n", (int)msg->topic_bytes, msg->topic, (int)msg->bytes,
           (const char *)msg->data);
    r->is_end = msg->bytes == 3 && memcmp(msg->data, "end", 3) == 0;
    return r->is_end; /* what comes behind it is not wanted any more */
}

int
reader_open(struct reader *r, int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s NAME PREFIX [PERIOD_MS]\n", argv[0]);
        return 2;
    }
    int64_t period_ms = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    const char *prefix = argv[2];
    struct bb_error error = {0};
    const struct bb_endpoint_opts eo = {.size = sizeof(eo), .name = argv[1], .error = &error};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so),
        .flags = BB_SUBSCRIBER_STATUS,
        .wait = period_ms > 0 ? BB_WAIT_PERIODIC : BB_WAIT_HYBRID,
        .period_ns = period_ms * 1000000,
        .prefixes = &prefix,
        .prefix_count = 1,
        .error = &error,
    };
    *r = (struct reader){.fd = -1};
    int rc = bb_endpoint_open(&r->ep, &eo);
    rc = rc < 0 ? rc : bb_subscriber_open(&r->sub, r->ep, &so);
    r->fd = rc < 0 ? rc : bb_fd(r->sub);
    if (r->fd < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], rc < 0 ? error.sentence : bb_strerror(r->fd));
        bb_endpoint_close(r->ep);
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    return 0;
}

void
reader_take(struct reader *r)
{
    /* Up to AT_ONCE.  When there are more the descriptor stays readable, and the loop calls again. */
    int n = bb_dispatch(r->sub, AT_ONCE, 0, print, r);
    if (n < 0) {
        r->rc = n;
        r->is_end = 1;
    }
}

int
reader_close(struct reader *r)
{
    if (r->rc < 0) {
        fprintf(stderr, "reading failed: %s\n", bb_strerror(r->rc));
    }
    bb_endpoint_close(r->ep); /* and with it the subscriber and the descriptor */
    return r->rc < 0;
}
