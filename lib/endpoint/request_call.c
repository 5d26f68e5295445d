/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_call.c - one request, one reply.
 *
 * The replies come to a subscriber of the publisher's own, without prefixes: so waiting for one neither takes
 * messages from the thread's other subscribers nor keeps those waiting.
 */
#include "lib/endpoint/request_impl.h"

static int
open_caller(struct bb_publisher *pub)
{
    const struct bb_subscriber_opts o = {.size = sizeof(o), .flags = BB_SUBSCRIBER_LOOPBACK};
    return pub->caller != NULL ? 0 : bb_subscriber_open(&pub->caller, pub->ep, &o);
}

/* The first message that belongs to this request: its reply, or its end.  bb_poll() knows the deadline. */
static int
wait_for(struct bb_subscriber *caller, uint64_t id, struct bb_msg *msg, struct bb_reply_info *info)
{
    for (;;) {
        int n = bb_poll(caller, msg, 1, -1);
        if (n < 0) {
            return n;
        }
        if (n == 1 && bb_msg_reply(msg, info) == 0 && info->id == id) {
            return 0;
        }
    }
}

int
bb_call(struct bb_topic *topic,
        const void *data,
        size_t bytes,
        uint32_t attr,
        const struct bb_request_opts *opts,
        struct bb_msg *out)
{
    struct bb_request_opts o;
    struct bb_reply_info info;
    struct bb_msg msg;
    uint64_t id = 0;
    if (bbi_is_forked(topic->pub->fork_gen)) {
        return BB_EFORKED;
    }
    int rc = bbi_request_opts_take(&o, opts);
    rc = rc < 0 ? rc : open_caller(topic->pub);
    if (rc == 0) {
        struct bb_subscriber *caller = topic->pub->caller;
        o.size = sizeof(o); /* the caller's struct may be NULL, or longer than ours */
        (void)bb_release(caller);
        rc = bb_request(topic, caller, data, bytes, attr & ~(uint32_t)BB_MORE, &o, &id);
    }
    if (rc < 0) {
        return rc;
    }
    rc = wait_for(topic->pub->caller, id, &msg, &info);
    (void)bb_request_cancel(topic->pub->caller, id); /* more of them are not wanted */
    if (rc == 0 && info.is_end == 0) {
        *out = msg;
    }
    return rc < 0 ? rc : info.code;
}
