/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/meter.c - a merge of two sorted lists.
 */
#include "tools/cli/meter.h"

#include "tools/cli/clock.h"
#include "tools/cli/report.h"
#include <stdlib.h>

/* since - a counter that went back belongs to a new ring under an old number. */
static struct cli_delta
since(const struct cli_topic *before, const struct cli_topic *after)
{
    struct cli_delta d = {after->messages, after->payload_bytes};
    if (before != NULL && before->messages <= after->messages
        && before->payload_bytes <= after->payload_bytes) {
        d.messages -= before->messages;
        d.payload_bytes -= before->payload_bytes;
    }
    return d;
}

void
cli_topics_delta(const struct cli_topics *before,
                 const struct cli_topics *after,
                 struct cli_delta *out)
{
    size_t k = 0;
    for (size_t i = 0; i < after->count; i++) {
        const struct cli_topic *now = &after->v[i];
        while (k < before->count && cli_topic_compare(&before->v[k], now) < 0) {
            k++;
        }
        int same = k < before->count && cli_topic_compare(&before->v[k], now) == 0;
        out[i] = since(same ? &before->v[k] : NULL, now);
    }
}

int
cli_meter_start(struct cli_meter *m)
{
    int code = cli_list_topics(m->call, m->look, m->filter, &m->last);
    m->start_ns = m->last_ns = cli_mono_ns();
    return code;
}

int
cli_meter_step(struct cli_meter *m)
{
    struct cli_topics now = {0};
    int code = cli_list_topics(m->call, m->look, m->filter, &now);
    if (code != CLI_DONE) {
        return code;
    }
    int64_t now_ns = cli_mono_ns();
    struct cli_delta *delta = calloc(now.count + 1, sizeof(*delta));
    if (delta == NULL) {
        cli_topics_free(&now);
        return cli_report(m->call, BB_ENOMEM, NULL, "the rates");
    }
    cli_topics_delta(&m->last, &now, delta);
    for (size_t i = 0; i < now.count; i++) {
        m->messages += delta[i].messages;
        m->payload_bytes += delta[i].payload_bytes;
    }
    free(delta);
    cli_topics_free(&m->last);
    m->last = now;
    m->last_ns = now_ns;
    return CLI_DONE;
}

void
cli_meter_stop(struct cli_meter *m)
{
    cli_topics_free(&m->last);
}
