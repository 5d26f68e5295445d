/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A writer's streams.  A record is checked and copied once, into the batch that is open; the batch keeps it until
 * a logger has said that it stands in a file.
 */
#include "lib/cluster/log_impl.h"
#include "lib/endpoint/opts.h"
#include "shm/fault.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

#define BATCH_NS     INT64_C(1000000000)
#define UNSAID_BYTES (UINT64_C(64) << 20)
#define CLOSE_NAP_NS INT64_C(10000000)

enum { BATCH_RECORDS = 400, FIRST_BATCH_BYTES = 16 * 1024 };

/* ---- opening ----------------------------------------------------------------------------------- */

static int
refuse(const struct bb_log_opts *o, int code, const char *what)
{
    struct bbi_fault f = {.uid = -1};
    (void)bbi_fault_set(&f, code, o->stream == NULL ? "" : o->stream, "log stream \"%.64s\": %s",
                        o->stream == NULL ? "" : o->stream, what);
    return bbi_error_fill(o->error, &f);
}

static int
make_log(struct bb_log **out, struct bbi_lane *lane, const struct bb_log_opts *o)
{
    const char *why = NULL;
    struct bb_log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return refuse(o, BB_ENOMEM, "out of memory");
    }
    int rc = bbi_log_schema_new(&log->schema, o->stream, o->fields, o->field_count, &why);
    if (rc < 0) {
        free(log);
        return refuse(o, rc,
                      why != NULL         ? why
                      : rc == BB_EMSGSIZE ? "its fields' names have more than 32 KiB: shorten them"
                                          : bb_strerror(rc));
    }
    log->lane = lane;
    log->batch_records = o->batch_records != 0 ? o->batch_records : BATCH_RECORDS;
    log->batch_ns = o->batch_ns > 0 ? o->batch_ns : BATCH_NS;
    log->most_bytes = o->unsaid_bytes != 0 ? o->unsaid_bytes : UNSAID_BYTES;
    *out = log;
    return 0;
}

static bool
is_open(const struct bbi_lane *lane, const char *stream)
{
    for (const struct bb_log *log = lane->logs; log != NULL; log = log->next) {
        if (stream != NULL && strcmp(log->schema->stream, stream) == 0) {
            return true;
        }
    }
    return false;
}

int
bb_log_open(struct bb_log **out, struct bb_cluster *c, const struct bb_log_opts *opts)
{
    struct bb_log_opts o;
    struct bbi_lane *lane;
    int rc = BBI_OPTS_TAKE(struct bb_log_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    if (o.flags != 0) {
        return refuse(&o, BB_ENOTSUP, "flags that this libbusbar does not know: leave them 0");
    }
    rc = bbi_lane_get(c, &lane, o.error);
    if (rc < 0) {
        return rc;
    }
    if (is_open(lane, o.stream)) {
        return refuse(&o, BB_EEXIST, "this cluster handle has it open already: use that one");
    }
    if (lane->next_stream == BBI_LOG_STREAMS) {
        return refuse(&o, BB_EFULL, "65536 streams were opened by this cluster handle");
    }
    rc = make_log(out, lane, &o);
    if (rc == 0) {
        (*out)->stream = lane->next_stream++;
        (*out)->next = lane->logs;
        lane->logs = *out;
    }
    return rc;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static struct bbi_batch *
new_batch(struct bb_log *log)
{
    struct bbi_batch *batch = log->spare;
    log->spare = NULL;
    if (batch == NULL) {
        batch = calloc(1, sizeof(*batch));
    }
    if (batch != NULL) {
        batch->log = log;
        batch->records = 0;
        batch->sends = 0;
        batch->bytes = sizeof(struct bbi_log_head);
    }
    return batch;
}

/* Room for so many bytes more, and for the schema behind them. */
static bool
make_room(struct bbi_batch *batch, size_t bytes)
{
    size_t need = batch->bytes + bytes + batch->log->schema->wire_bytes;
    if (batch->data != NULL && need <= batch->cap) {
        return true;
    }
    size_t cap = batch->cap != 0 ? batch->cap : FIRST_BATCH_BYTES;
    while (cap < need) {
        cap *= 2;
    }
    unsigned char *data = realloc(batch->data, cap);
    if (data == NULL) {
        return false;
    }
    batch->data = data;
    batch->cap = cap;
    return true;
}

/* The batch that takes so many bytes; NULL: no memory. */
static struct bbi_batch *
batch_for(struct bb_log *log, size_t bytes)
{
    if (log->open != NULL && log->open->bytes + bytes > BBI_LOG_BATCH_MAX) {
        int64_t now_ns = bbi_os_mono_ns();
        bbi_batch_end(log);
        bbi_lane_pump(log->lane, now_ns);
    }
    if (log->open == NULL) {
        log->open = new_batch(log);
        log->due_ns = bbi_os_mono_ns() + log->batch_ns;
    }
    return log->open != NULL && make_room(log->open, bytes) ? log->open : NULL;
}

int
bb_log_write(struct bb_log *log, const void *record, size_t bytes)
{
    int64_t whole = bbi_log_schema_check(log->schema, record, bytes);
    if (whole < 0) {
        return (int)whole;
    }
    size_t size = (size_t)whole;
    if (size + sizeof(struct bbi_log_head) + log->schema->wire_bytes > log->lane->message_max) {
        return BB_EMSGSIZE;
    }
    log->stats.records++;
    struct bbi_batch *batch =
        log->unsaid_bytes + size <= log->most_bytes ? batch_for(log, size) : NULL;
    if (batch == NULL) {
        log->stats.lost++;
        return 0;
    }
    memcpy(batch->data + batch->bytes, record, size);
    batch->bytes += size;
    log->unsaid_bytes += size;
    log->stats.unsaid++;
    if (++batch->records >= log->batch_records) {
        bbi_batch_end(log);
        bbi_lane_pump(log->lane, bbi_os_mono_ns());
    }
    return 0;
}

int
bb_log_flush(struct bb_log *log)
{
    bbi_batch_end(log);
    bbi_lane_pump(log->lane, bbi_os_mono_ns());
    return 0;
}

/* ---- closing ----------------------------------------------------------------------------------- */

/* Messages for the application that came while we waited: it gets them with its next poll. */
static int
poll_and_keep(struct bb_cluster *c, struct bbi_items *kept)
{
    enum { AT_ONCE = 64 };
    struct bb_msg msgs[AT_ONCE];
    int n = bb_cluster_poll(c, msgs, AT_ONCE, CLOSE_NAP_NS);
    for (int i = 0; i < n; i++) {
        struct bbi_item *item = calloc(1, sizeof(*item));
        if (item == NULL || (item->copy = bbi_msg_copy(&msgs[i], &item->msg)) == NULL) {
            free(item);
            return BB_ENOMEM;
        }
        bbi_items_add(kept, item);
    }
    return n;
}

/* Half of the time is for the loggers that have it; what they left unsaid then goes to others. */
static int
wait_for_word(struct bb_log *log, int64_t timeout_ns, struct bbi_items *kept)
{
    int64_t from_ns = bbi_os_mono_ns(), now_ns = from_ns;
    bool is_moved = false;
    while (log->stats.unsaid > 0 && (timeout_ns < 0 || now_ns - from_ns < timeout_ns)) {
        int rc = poll_and_keep(log->lane->c, kept);
        if (rc < 0) {
            return rc;
        }
        now_ns = bbi_os_mono_ns();
        if (!is_moved && timeout_ns >= 0 && now_ns - from_ns > timeout_ns / 2) {
            is_moved = true;
            bbi_lane_move(log->lane, now_ns);
        }
    }
    return 0;
}

/* Before everything that is ready already. */
static void
give_back(struct bb_cluster *c, struct bbi_items *kept)
{
    if (kept->first != NULL) {
        *kept->end = c->ready.first;
        c->ready.end = c->ready.first != NULL ? c->ready.end : kept->end;
        c->ready.first = kept->first;
    }
}

static void
unlink_log(struct bb_log *log)
{
    struct bb_log **at = &log->lane->logs;
    while (*at != log) {
        at = &(*at)->next;
    }
    *at = log->next;
}

int
bb_log_close(struct bb_log *log, int64_t timeout_ns)
{
    if (log == NULL) {
        return 0;
    }
    struct bbi_items kept;
    bbi_items_init(&kept);
    int rc = bb_log_flush(log);
    if (timeout_ns != 0) {
        rc = wait_for_word(log, timeout_ns, &kept);
        give_back(log->lane->c, &kept);
    }
    uint64_t left = bbi_lane_forget(log->lane, log);
    unlink_log(log);
    bbi_batch_drop(log->open);
    bbi_batch_drop(log->spare);
    bbi_log_schema_free(log->schema);
    free(log);
    return rc < 0 ? rc : left > 0 ? BB_ETIMEDOUT : 0;
}

void
bb_log_stats(const struct bb_log *log, struct bb_log_stats *out)
{
    bbi_stats_give(out, &log->stats, sizeof(log->stats));
}
