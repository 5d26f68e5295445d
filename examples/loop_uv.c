/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * examples/loop_uv.c - a subscriber in a libuv loop.
 *
 * Usage: loop_uv NAME PREFIX [PERIOD_MS]   ends with the message `end`
 */
#include "reader.h"
#include <stdio.h>
#include <uv.h>

static void
on_readable(uv_poll_t *handle, int status, int events)
{
    struct reader *r = handle->data;
    (void)events;
    if (status < 0) {
        fprintf(stderr, "loop_uv: %s\n", uv_strerror(status));
        r->is_end = 1;
    } else {
        reader_take(r); /* without waiting: the loop does that */
    }
    if (r->is_end) {
        (void)uv_poll_stop(handle);
        uv_close((uv_handle_t *)handle, NULL); /* the loop has nothing else to do, and ends */
    }
}

int
main(int argc, char **argv)
{
    struct reader r;
    uv_loop_t loop;
    uv_poll_t handle;
    int rc = reader_open(&r, argc, argv);
    if (rc != 0) {
        return rc;
    }
    rc = uv_loop_init(&loop);
    rc = rc < 0 ? rc : uv_poll_init(&loop, &handle, r.fd);
    handle.data = &r;
    rc = rc < 0 ? rc : uv_poll_start(&handle, UV_READABLE, on_readable);
    rc = rc < 0 ? rc : uv_run(&loop, UV_RUN_DEFAULT);
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], uv_strerror(rc));
    } else {
        (void)uv_loop_close(&loop);
    }
    return reader_close(&r) != 0 || rc < 0; /* only after the loop let go of the descriptor */
}
