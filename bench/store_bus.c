/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/store_bus.h"

#include "bench/bus.h"
#include <stdlib.h>

static const int64_t answer_ns =
    INT64_C(30) * 1000000000; /* a disk may be slow; then it has failed */
static const int64_t glance_ns = 1000000;
static const uint64_t quota_bytes = UINT64_C(3) << 30;

int
bench_store_bus_open(const struct bench_setup *s,
                     struct bb_endpoint *ep,
                     uint32_t role,
                     bb_store_done_cb done,
                     void *user,
                     struct bb_store **store)
{
    char path[200];
    struct bb_error error = {0};
    (void)snprintf(path, sizeof(path), "%s/store", s->is_durable ? s->disk_dir : "");
    const struct bb_store_opts opts = {.size = sizeof(opts),
                                       .name = "bench",
                                       .role = role,
                                       .path =
                                           s->is_durable && role == BB_STORE_MASTER ? path : NULL,
                                       .quota_bytes = role == BB_STORE_MASTER ? quota_bytes : 0,
                                       .timeout_ns = answer_ns,
                                       .window = s->window <= 16 ? s->window : 16,
                                       .done = done,
                                       .user = user,
                                       .error = &error};
    int rc = bb_store_open(store, ep, &opts);
    return rc < 0 ? bench_bus_complain("cannot open a store", rc, &error) : 0;
}

int
bench_store_bus_settle(struct bb_store *store)
{
    int rc = bb_store_idle(store, answer_ns);
    return rc < 0 ? bench_bus_complain("no answer from the master", rc, NULL) : 0;
}

void
bench_store_bus_key(struct bench_store_key_value *out, uint64_t number)
{
    struct bb_builder b;
    char text[BENCH_STORE_KEY_BYTES];
    bench_store_key(text, number);
    bb_build_init(&b, out->bytes, sizeof(out->bytes));
    bb_put_string(&b, text, sizeof(text));
    out->value = (struct bb_value){out->bytes, sizeof(out->bytes)};
}

int
bench_store_frame_init(struct bench_store_frame *f, unsigned max, size_t size)
{
    *f = (struct bench_store_frame){
        .max = max, .size = size, .step = 8 + BENCH_STORE_KEY_BYTES + 8 + size};
    f->cmds = calloc(max, sizeof(*f->cmds));
    f->bytes = calloc(max, f->step);
    f->value = malloc(size);
    if (f->cmds == NULL || f->bytes == NULL || f->value == NULL) {
        bench_store_frame_fini(f);
        return bench_bus_complain("cannot have a frame", BB_ENOMEM, NULL);
    }
    return 0;
}

void
bench_store_frame_fini(struct bench_store_frame *f)
{
    free(f->cmds);
    free(f->bytes);
    free(f->value);
    *f = (struct bench_store_frame){0};
}

bool
bench_store_frame_add(struct bench_store_frame *f, struct bench_store_work *w)
{
    enum { KEY = 8 + BENCH_STORE_KEY_BYTES };
    if (f->count == f->max) {
        return false;
    }
    struct bb_builder b;
    unsigned char *at = f->bytes + f->count * f->step;
    uint64_t key = w->next % w->keys;
    char text[BENCH_STORE_KEY_BYTES];
    bench_store_key(text, key);
    bench_store_fill(f->value, f->size, key, w->next / w->keys);
    bb_build_init(&b, at, f->step);
    bb_put_string(&b, text, sizeof(text));
    bb_put_string(&b, f->value, f->size);
    f->cmds[f->count++] = (struct bb_store_cmd){
        .op = w->op == BENCH_STORE_PUT ? BB_STORE_PUT : BB_STORE_PUT_UNIQUE,
        .expire_ns = f->expire_ns,
        .key = {at, KEY},
        .value = {at + KEY, 8 + f->size},
    };
    w->next++;
    return true;
}

int
bench_store_frame_send(struct bench_store_frame *f, struct bb_store *store)
{
    int64_t ticket;
    while ((ticket = bb_store_send(store, f->cmds, f->count, 0)) == BB_EAGAIN) {
        int rc = bb_store_poll(store, glance_ns);
        if (rc < 0) {
            return bench_bus_complain("cannot take answers", rc, NULL);
        }
    }
    return ticket < 0 ? bench_bus_complain("cannot send", (int)ticket, NULL) : 0;
}
