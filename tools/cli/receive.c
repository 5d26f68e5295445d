/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/receive.c - one batch at a time: format, check that views were whole, write, flush, release.
 *
 * Output is flushed after each batch, so a line never waits for the next message.  Waits are cut into
 * slices of a second: a signal ends a wait, but one may come just before it begins.
 */
#include "tools/cli/receive.h"

#include "tools/cli/clock.h"
#include "tools/cli/output.h"
#include "tools/cli/read.h"
#include "tools/cli/report.h"
#include <stdio.h>
#include <string.h>

enum { BATCH_MAX = 64 };

int
cli_start_parse(const char *text, struct cli_start *out)
{
    uint64_t count;
    if (strcmp(text, "now") == 0) {
        *out = (struct cli_start){BB_START_NOW, 0};
    } else if (strcmp(text, "oldest") == 0) {
        *out = (struct cli_start){BB_START_OLDEST, 0};
    } else if (cli_read_count(text, &count) == 0 && count <= UINT32_MAX) {
        *out = (struct cli_start){BB_START_LAST, (uint32_t)count};
    } else {
        return BB_EINVAL;
    }
    return 0;
}

int
cli_print_batch(struct bb_subscriber *sub, const struct bb_msg *msgs, size_t n, enum cli_form form)
{
    struct cli_buffer line = {0};
    int printed = 0;

    for (size_t i = 0; i < n && line.err == 0; i++) {
        line.bytes = 0;
        cli_put_message(&line, &msgs[i], form);
        if (msgs[i].status == NULL) {
            if (!bb_msg_valid(sub, &msgs[i])) {
                continue; /* overwritten while it was formatted: bb_release() counts it as lost */
            }
            printed++;
        }
        if (line.err == 0) {
            fwrite(line.p, 1, line.bytes, stdout);
        }
    }
    int rc = line.err != 0 ? line.err : printed;
    cli_buffer_free(&line);
    return rc;
}

void
cli_say_losses(const struct bb_subscriber *sub)
{
    struct bb_subscriber_stats stats = {.size = sizeof(stats)};
    bb_subscriber_stats(sub, &stats);
    if (stats.lost > 0) {
        cli_say("%llu messages = %llu delivered + %llu filtered + %llu lost",
                (unsigned long long)stats.messages, (unsigned long long)stats.delivered,
                (unsigned long long)stats.filtered, (unsigned long long)stats.lost);
    }
    if (stats.evicted > 0) {
        cli_say("publishers gave us up %llu times, for being too slow",
                (unsigned long long)stats.evicted);
    }
    if (stats.unreadable > 0) {
        cli_say("%llu rings are not readable (not well formed, or of another layout)",
                (unsigned long long)stats.unreadable);
    }
}

/* batch_size - never more than are still wanted: what is polled counts as delivered. */
static size_t
batch_size(const struct cli_receive *r, uint64_t seen)
{
    uint64_t left = r->count == 0 ? BATCH_MAX : r->count - seen;
    return left < BATCH_MAX ? (size_t)left : BATCH_MAX;
}

/* step - one poll; how many messages came, BB_EEND after the last, or a status.  *got: anything at all. */
static int
step(const struct cli_receive *r, uint64_t seen, int64_t deadline_ns, int *got)
{
    struct bb_msg msgs[BATCH_MAX];
    int n = bb_poll(r->sub, msgs, batch_size(r, seen), cli_left_ns(deadline_ns, CLI_SLICE_NS));
    if (n < 0) {
        return n;
    }
    *got = n;
    int printed = cli_print_batch(r->sub, msgs, (size_t)n, r->form);
    bb_release(r->sub);
    return printed;
}

static int
end_code(const struct cli_receive *r, uint64_t seen, int timed_out)
{
    if (timed_out && seen < r->count) {
        cli_say("time ran out: %llu of %llu messages came", (unsigned long long)seen,
                (unsigned long long)r->count);
        return CLI_TIME;
    }
    return CLI_DONE;
}

int
cli_receive(const struct cli_receive *r)
{
    int64_t deadline_ns = cli_deadline(r->wait_ns);
    uint64_t seen = 0;
    int timed_out = 0;
    int status = 0;

    while (status == 0 && !cli_stopped() && (r->count == 0 || seen < r->count)) {
        int got = 0;
        int n = step(r, seen, deadline_ns, &got);
        status = n < 0 ? n : 0;
        seen += n > 0 ? (uint64_t)n : 0;
        if (cli_output_flush() != 0 || (got == 0 && cli_output_is_gone())) {
            break;
        }
        if (got == 0 && status == 0 && cli_left_ns(deadline_ns, 1) == 0) {
            timed_out = 1;
            break;
        }
    }
    if (!r->quiet) {
        cli_say_losses(r->sub);
    }
    if (status < 0 && status != BB_EEND) {
        return cli_report(r->call, status, NULL, "cannot read from the bus");
    }
    return end_code(r, seen, timed_out);
}
