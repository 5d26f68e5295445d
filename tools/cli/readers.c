/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/readers.c - copies of filters; what a subscriber changes meanwhile is seen by the next look.
 */
#include "tools/cli/readers.h"

#include "tools/cli/listing.h"
#include "tools/cli/report.h"
#include <busbar/topic.h>
#include <stdlib.h>
#include <string.h>

struct collect {
    struct cli_reader *reader;
    int err;
};

static int
collect_prefix(const char *prefix, size_t bytes, uint32_t flags, void *user)
{
    struct collect *collect = user;
    struct cli_reader *reader = collect->reader;
    struct cli_prefix *v =
        reallocarray(reader->prefixes, reader->prefix_count + 1, sizeof(*reader->prefixes));
    char *copy = malloc(bytes + 1);

    if (v != NULL) {
        reader->prefixes = v;
    }
    if (v == NULL || copy == NULL) {
        free(copy);
        collect->err = BB_ENOMEM;
        return 1;
    }
    if (bytes > 0) {
        memcpy(copy, prefix, bytes);
    }
    copy[bytes] = '\0';
    v[reader->prefix_count++] = (struct cli_prefix){copy, bytes, flags};
    return 0;
}

/* collect_all - a subscriber that left meanwhile has no prefixes any more; that is no error. */
static int
collect_all(struct bb_look *look, struct cli_readers *out)
{
    for (size_t i = 0; i < out->count; i++) {
        struct collect collect = {.reader = &out->v[i]};
        int rc = bb_look_prefixes(look, out->v[i].info.subscriber, collect_prefix, &collect);
        rc = collect.err != 0 ? collect.err : rc;
        if (rc < 0 && rc != BB_ENOENT) {
            return rc;
        }
    }
    return 0;
}

int
cli_list_readers(const struct cli_call *call, struct bb_look *look, struct cli_readers *out)
{
    struct cli_subscribers subscribers = {NULL, 0};
    int code = cli_list_subscribers(call, look, &subscribers);

    *out = (struct cli_readers){NULL, 0};
    if (code != CLI_DONE) {
        return code;
    }
    out->v = calloc(subscribers.count + 1, sizeof(*out->v));
    int rc = out->v == NULL ? BB_ENOMEM : 0;
    if (rc == 0) {
        out->count = subscribers.count;
        for (size_t i = 0; i < out->count; i++) {
            out->v[i].info = subscribers.v[i];
        }
        rc = collect_all(look, out);
    }
    free(subscribers.v);
    if (rc < 0) {
        cli_readers_free(out);
        return cli_report(call, rc, NULL, "cannot read the subscriptions");
    }
    return CLI_DONE;
}

void
cli_readers_free(struct cli_readers *readers)
{
    for (size_t i = 0; readers->v != NULL && i < readers->count; i++) {
        for (size_t k = 0; k < readers->v[i].prefix_count; k++) {
            free(readers->v[i].prefixes[k].p);
        }
        free(readers->v[i].prefixes);
    }
    free(readers->v);
    *readers = (struct cli_readers){NULL, 0};
}

int
cli_reader_wants(const struct cli_reader *reader, const char *topic, size_t topic_bytes)
{
    for (size_t i = 0; i < reader->prefix_count; i++) {
        const struct cli_prefix *prefix = &reader->prefixes[i];
        if (bb_topic_match(prefix->p, prefix->bytes, prefix->flags, topic, topic_bytes)) {
            return 1;
        }
    }
    return 0;
}
