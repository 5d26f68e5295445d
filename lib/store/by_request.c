/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/by_request.c - reading without mapping: the master is asked, and its answer read where it lies.
 *
 * All that one call asks for is of one state.  What it gives is valid until the next call with the handle.
 */
#include "lib/store/read_impl.h"
#include <stdlib.h>

enum { ASKED_AT_ONCE = 64 };

/* An item as command.h tells it: key, value, version, what is left. */
static int
take_item(struct bb_iter *it, struct bb_store_item *out)
{
    struct bb_store_item item;
    int rc = bb_iter_next(it, &item.key);
    rc = rc < 0 ? rc : bb_iter_next(it, &item.value);
    rc = rc < 0 ? rc : bb_next_count(it, &item.version);
    rc = rc < 0 ? rc : bb_next_integer(it, &item.expires_ns);
    if (rc == 0) {
        *out = item;
    }
    return rc == 0 ? 0 : BB_ECORRUPT;
}

static int
item_of(const struct bb_store_result *result, struct bb_store_item *out)
{
    struct bb_iter it;
    if (result->code < 0 || result->value.p == NULL) {
        return result->code < 0 ? result->code : BB_ENOENT;
    }
    return bb_iter_open(&it, &result->value) == 4 ? take_item(&it, out) : BB_ECORRUPT;
}

static int
ask(struct bb_store *s, const struct bb_value *keys, size_t count, struct bb_store_result *results)
{
    struct bb_store_cmd few[ASKED_AT_ONCE] = {0};
    struct bb_store_cmd *cmds = count <= ASKED_AT_ONCE ? few : malloc(count * sizeof(*cmds));
    if (cmds == NULL) {
        return BB_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        cmds[i] = (struct bb_store_cmd){.op = BBI_READ_ITEM, .key = keys[i]};
    }
    int rc = bbi_client_run(s, BBI_FRAME_READ, cmds, count, 0, results);
    if (cmds != few) {
        free(cmds);
    }
    return rc;
}

int
bbi_ask_item(struct bb_store *s, const struct bb_value *key, struct bb_store_item *out)
{
    struct bb_store_result result = {0};
    int rc = ask(s, key, 1, &result);
    return rc < 0 ? rc : item_of(&result, out);
}

int64_t
bbi_ask_many(struct bb_store *s,
             const struct bb_value *keys,
             size_t count,
             struct bb_store_item *out)
{
    struct bb_store_result *results = calloc(count, sizeof(*results));
    int64_t found = 0;
    if (results == NULL) {
        return BB_ENOMEM;
    }
    int rc = ask(s, keys, count, results);
    rc = rc == BB_ENOENT ? 0 : rc; /* one of them is not there; all are answered */
    for (size_t i = 0; i < count && rc == 0; i++) {
        out[i] = (struct bb_store_item){.expires_ns = BB_STORE_NEVER};
        rc = item_of(&results[i], &out[i]);
        found += rc == 0;
        rc = rc == BB_ENOENT ? 0 : rc;
    }
    free(results);
    return rc < 0 ? rc : found;
}

int64_t
bbi_ask_scan(struct bb_store *s,
             const struct bb_value *prefix,
             const struct bb_value *after,
             struct bb_store_item *items,
             size_t max)
{
    struct bb_store_cmd cmd = {.op = BBI_READ_SCAN, .if_version = max};
    struct bb_store_result result = {0};
    struct bb_iter it;
    if (max == 0) {
        return 0;
    }
    cmd.key = prefix != NULL ? *prefix : cmd.key;
    cmd.index = after != NULL ? *after : cmd.index;
    int rc = bbi_client_run(s, BBI_FRAME_READ, &cmd, 1, 0, &result);
    rc = rc < 0 ? rc : result.code;
    if (rc < 0) {
        return rc;
    }
    int64_t values = result.value.p != NULL ? bb_iter_open(&it, &result.value) : 0;
    if (values < 0 || values % 4 != 0 || (uint64_t)values / 4 > max) {
        return BB_ECORRUPT;
    }
    for (int64_t i = 0; i < values / 4 && rc == 0; i++) {
        rc = take_item(&it, &items[i]);
    }
    return rc < 0 ? rc : values / 4;
}

int64_t
bbi_ask_count(struct bb_store *s, const struct bb_value *prefix)
{
    struct bb_store_cmd cmd = {.op = BBI_READ_COUNT};
    struct bb_store_result result = {0};
    uint64_t n;
    cmd.key = prefix != NULL ? *prefix : cmd.key;
    int rc = bbi_client_run(s, BBI_FRAME_READ, &cmd, 1, 0, &result);
    rc = rc < 0 ? rc : result.code;
    if (rc < 0) {
        return rc;
    }
    return bb_get_count(&result.value, &n) == 0 && n <= INT64_MAX ? (int64_t)n : BB_ECORRUPT;
}
