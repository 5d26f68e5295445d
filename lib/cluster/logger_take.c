/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches to files.  All batches of a poll are flushed together, and then their writers hear of them: the slower
 * the disk, the more share one flush.
 *
 * A file that fails takes nothing for a while.  What it did not take is refused, and stays with the writers.
 */
#include "lib/cluster/log_impl.h"
#include "lib/cluster/log_json.h"
#include <stdlib.h>
#include <string.h>

/* ---- who and what ------------------------------------------------------------------------------- */

static struct bbi_stream_file *
find_file(struct bb_logger *l, const char *stream)
{
    struct bbi_stream_file *file = l->files;
    while (file != NULL && strcmp(file->stream, stream) != 0) {
        file = file->next;
    }
    if (file != NULL) {
        return file;
    }
    file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return NULL;
    }
    memcpy(file->stream, stream, strlen(stream) + 1);
    if (bbi_log_file_init(&file->f, &l->place, file->stream) < 0) {
        free(file);
        return NULL;
    }
    file->next = l->files;
    l->files = file;
    return file;
}

/* The writer's place for a stream; NULL: no memory, or no number that a writer has. */
static struct bbi_logger_stream *
stream_of(struct bbi_log_writer *w, uint32_t number)
{
    if (number >= BBI_LOG_STREAMS) {
        return NULL;
    }
    if (number >= w->stream_count) {
        uint32_t count = number + 8;
        struct bbi_logger_stream *streams = realloc(w->streams, count * sizeof(*streams));
        if (streams == NULL) {
            return NULL;
        }
        memset(streams + w->stream_count, 0, (count - w->stream_count) * sizeof(*streams));
        w->streams = streams;
        w->stream_count = count;
    }
    return &w->streams[number];
}

/* A schema that came along; the same again changes nothing. */
static int
learn(struct bb_logger *l, struct bbi_logger_stream *s, const unsigned char *wire, size_t bytes)
{
    struct bbi_log_schema *schema;
    if (s->schema != NULL && s->schema->wire_bytes == bytes
        && memcmp(s->schema->wire, wire, bytes) == 0) {
        return 0;
    }
    int rc = bbi_log_schema_read(&schema, wire, bytes);
    if (rc < 0) {
        return rc;
    }
    struct bbi_stream_file *file = find_file(l, schema->stream);
    if (file == NULL) {
        bbi_log_schema_free(schema);
        return BB_ENOMEM;
    }
    bbi_log_schema_free(s->schema);
    s->schema = schema;
    s->file = file;
    return 0;
}

/* ---- a batch ------------------------------------------------------------------------------------ */

struct batch {
    struct bbi_log_head head;
    const unsigned char *body;
    const unsigned char *schema;
};

static bool
open_batch(struct batch *b, const void *data, size_t bytes)
{
    if (bytes < sizeof(b->head)) {
        return false;
    }
    memcpy(&b->head, data, sizeof(b->head));
    b->body = (const unsigned char *)data + sizeof(b->head);
    b->schema = b->body + b->head.body_bytes;
    return b->head.magic == BBI_LOG_MAGIC && b->head.kind == BBI_LOG_BATCH
           && (uint64_t)b->head.body_bytes + b->head.schema_bytes == bytes - sizeof(b->head);
}

/* One record's line into the buffer; 0 when it is there or was refused, or what the file said. */
static int
print_record(struct bb_logger *l,
             const struct bbi_logger_stream *s,
             const unsigned char *p,
             size_t left,
             size_t *used,
             bool *is_refused)
{
    struct bbi_log_file *f = &s->file->f;
    for (;;) {
        int64_t need =
            bbi_log_json(f->buf + f->len, f->cap - f->len, s->schema, p, left, l->json_flags, used);
        if (need < 0) {
            *used = need == BB_ECORRUPT ? left : *used;
            *is_refused = true;
            return 0;
        }
        if ((size_t)need <= f->cap - f->len) {
            f->len += (size_t)need;
            return 0;
        }
        int rc = bbi_log_file_room(f, (size_t)need);
        if (rc < 0) {
            return rc;
        }
    }
}

/* All records; how many were refused, or what the file said. */
static int64_t
print_all(struct bb_logger *l, const struct bbi_logger_stream *s, const struct batch *b)
{
    size_t at = 0;
    uint32_t printed = 0;
    for (uint32_t i = 0; i < b->head.count && at < b->head.body_bytes; i++) {
        size_t used = b->head.body_bytes - at;
        bool is_refused = false;
        int rc = print_record(l, s, b->body + at, b->head.body_bytes - at, &used, &is_refused);
        if (rc < 0) {
            return rc;
        }
        at += used;
        printed += is_refused ? 0 : 1;
    }
    return (int64_t)b->head.count - printed;
}

static struct bbi_taken *
note(struct bb_logger *l, uint64_t writer_id, const struct batch *b)
{
    if (l->taken_count == l->taken_cap) {
        size_t cap = l->taken_cap == 0 ? 64 : 2 * l->taken_cap;
        struct bbi_taken *taken = realloc(l->taken, cap * sizeof(*taken));
        if (taken == NULL) {
            return NULL; /* never here: its writer sends it again */
        }
        l->taken = taken;
        l->taken_cap = cap;
    }
    struct bbi_taken *t = &l->taken[l->taken_count++];
    *t = (struct bbi_taken){
        .writer_id = writer_id, .number = b->head.number, .records = b->head.count};
    return t;
}

void
bbi_logger_fail(struct bb_logger *l, struct bbi_stream_file *file, int code, int64_t now_ns)
{
    bbi_log_file_undo(&file->f);
    file->code = code;
    file->rest_ns = now_ns + l->retry_ns;
    l->stats.code = code;
    for (size_t i = 0; i < l->taken_count; i++) {
        struct bbi_taken *t = &l->taken[i];
        if (t->file == file && !t->is_flushed && t->code == 0) {
            t->code = code;
        }
    }
}

static int
ready(struct bb_logger *l, struct bbi_stream_file *file, int64_t now_ns)
{
    if (file->code < 0 && now_ns < file->rest_ns) {
        return file->code;
    }
    int rc = bbi_log_file_open(&file->f, l->wall_ns());
    if (rc < 0) {
        bbi_logger_fail(l, file, rc, now_ns);
    }
    return rc;
}

/* Prints a batch whose file is open.  The buffer may be written out meanwhile, so only a failure undoes it all. */
static void
print_batch(struct bb_logger *l,
            const struct bbi_logger_stream *s,
            const struct batch *b,
            struct bbi_taken *t,
            int64_t now_ns)
{
    int64_t refused = print_all(l, s, b);
    t->file = s->file;
    if (refused < 0) {
        bbi_logger_fail(l, s->file, (int)refused, now_ns);
        return;
    }
    t->refused = (uint32_t)refused;
    s->file->code = 0;
    if (bbi_log_file_is_due(&s->file->f, l->wall_ns())) {
        bbi_logger_flush(l, s->file, now_ns);
    }
}

static void
take(struct bb_logger *l, struct bbi_log_writer *w, const struct batch *b, int64_t now_ns)
{
    struct bbi_logger_stream *s = stream_of(w, b->head.stream);
    int rc = s == NULL ? BB_ENOMEM : 0;
    if (rc == 0 && b->head.schema_bytes > 0) {
        rc = learn(l, s, b->schema, b->head.schema_bytes);
    }
    struct bbi_taken *t = note(l, w->id, b);
    if (t == NULL) {
        return;
    }
    if (rc == BB_ENOMEM) {
        t->code = rc;
        return;
    }
    if (rc < 0 || s->schema == NULL) { /* no logger could ever print it */
        t->refused = b->head.count;
        return;
    }
    rc = ready(l, s->file, now_ns);
    if (rc < 0) {
        t->code = rc;
        t->file = s->file;
        return;
    }
    print_batch(l, s, b, t, now_ns);
}

void
bbi_logger_take(
    struct bb_logger *l, uint64_t writer_id, const void *data, size_t bytes, int64_t now_ns)
{
    struct batch b;
    struct bbi_log_writer *w = bbi_logger_writer(l, writer_id, true);
    if (w != NULL && open_batch(&b, data, bytes)) {
        take(l, w, &b, now_ns);
    }
}
