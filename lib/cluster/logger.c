/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A logger, as a part of its cluster handle: opened, told of batches, closed.
 *
 *   batch ──► taken ──► flushed ──► said        one round each poll
 *
 * What was taken is told only when it stands in the file, in the order in which it came, and a WHO is answered
 * after that: so a writer that has our answer knows of everything that we ever read from it.
 */
#include "lib/cluster/log_impl.h"
#include "lib/cluster/log_json.h"
#include "lib/endpoint/opts.h"
#include "shm/fault.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_NS      INT64_C(1000000000)
#define ROTATE_ASK_NS INT64_C(200000000) /* how late a file may be that nobody writes to */

static const char default_pattern[] = "%{stream}.%Y-%m-%d-%H-%M-%S.log";

static int logger_message(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg);

struct bb_logger *
bbi_logger_find(const struct bb_cluster *c)
{
    for (struct bbi_part *part = c->parts; part != NULL; part = part->next) {
        if (part->message == logger_message) {
            return (struct bb_logger *)part;
        }
    }
    return NULL;
}

/* ---- writers ----------------------------------------------------------------------------------- */

struct bbi_log_writer *
bbi_logger_writer(struct bb_logger *l, uint64_t id, bool is_made)
{
    for (size_t i = 0; i < l->writer_count; i++) {
        if (l->writers[i].id == id) {
            return &l->writers[i];
        }
    }
    if (!is_made) {
        return NULL;
    }
    if (l->writer_count == l->writer_cap) {
        size_t cap = l->writer_cap == 0 ? 16 : 2 * l->writer_cap;
        struct bbi_log_writer *writers = realloc(l->writers, cap * sizeof(*writers));
        if (writers == NULL) {
            return NULL;
        }
        l->writers = writers;
        l->writer_cap = cap;
    }
    l->writers[l->writer_count] = (struct bbi_log_writer){.id = id};
    return &l->writers[l->writer_count++];
}

static void
free_writer(struct bbi_log_writer *w)
{
    for (uint32_t i = 0; i < w->stream_count; i++) {
        bbi_log_schema_free(w->streams[i].schema);
    }
    free(w->streams);
    free(w->said);
}

void
bbi_logger_forget(struct bb_logger *l, uint64_t id)
{
    struct bbi_log_writer *w = bbi_logger_writer(l, id, false);
    if (w != NULL) {
        free_writer(w);
        *w = l->writers[--l->writer_count];
    }
}

/* ---- saying ------------------------------------------------------------------------------------ */

static void
send_to(struct bb_logger *l, uint64_t id, const void *data, size_t bytes)
{
    int rc = bb_send(l->pub, id, l->to_writer, l->to_writer_bytes, data, bytes, BBI_LOG_ATTR);
    (void)rc; /* a writer that is gone needs no word; one that misses it sends again */
}

static void
say_part(struct bb_logger *l, uint64_t id, const struct bbi_log_said *said, uint32_t count)
{
    struct {
        struct bbi_log_head head;
        struct bbi_log_said said[BBI_LOG_SAID_MAX];
    } m = {.head = {.magic = BBI_LOG_MAGIC, .kind = BBI_LOG_SAID, .count = count}};
    memcpy(m.said, said, count * sizeof(m.said[0]));
    send_to(l, id, &m, sizeof(m.head) + count * sizeof(m.said[0]));
}

/* What is noted for this writer.  Our own may hand us more before this returns. */
static void
say(struct bb_logger *l, struct bbi_log_writer *w, int64_t now_ns)
{
    struct bbi_lane *own = w->id == l->c->id ? bbi_lane_find(l->c) : NULL;
    const struct bbi_log_said *said = w->said;
    uint32_t count = w->said_count;
    uint64_t id = w->id;
    w->said_count = 0;
    if (own != NULL) {
        bbi_lane_said(own, id, said, count, now_ns);
        return;
    }
    for (uint32_t at = 0; at < count; at += BBI_LOG_SAID_MAX) {
        uint32_t left = count - at;
        say_part(l, id, said + at, left < BBI_LOG_SAID_MAX ? left : BBI_LOG_SAID_MAX);
    }
}

static void
say_here(struct bb_logger *l, struct bbi_log_writer *w)
{
    struct bbi_log_head head = {.magic = BBI_LOG_MAGIC, .kind = BBI_LOG_HERE, .number = w->token};
    w->is_asking = false;
    send_to(l, w->id, &head, sizeof(head));
}

static void
note_said(struct bb_logger *l, const struct bbi_taken *t)
{
    struct bbi_log_writer *w = bbi_logger_writer(l, t->writer_id, false);
    if (w == NULL) {
        return;
    }
    if (w->said_count == w->said_cap) {
        uint32_t cap = w->said_cap == 0 ? 64 : 2 * w->said_cap;
        struct bbi_log_said *said = realloc(w->said, cap * sizeof(*said));
        if (said == NULL) {
            return; /* unsaid: it is sent again */
        }
        w->said = said;
        w->said_cap = cap;
    }
    w->said[w->said_count++] = (struct bbi_log_said){
        .number = t->number,
        .written = t->code < 0 ? 0 : t->records - t->refused,
        .refused = t->refused,
        .code = t->code,
    };
}

/* ---- settling ---------------------------------------------------------------------------------- */

static void
count(struct bb_logger *l, const struct bbi_taken *t)
{
    if (t->code < 0) {
        l->stats.refused += t->records;
    } else {
        l->stats.refused += t->refused;
        l->stats.records += t->records - t->refused;
        l->stats.batches++;
    }
}

/* These stand in the file, whatever happens to it next. */
static void
note_flushed(struct bb_logger *l, const struct bbi_stream_file *file)
{
    for (size_t i = 0; i < l->taken_count; i++) {
        l->taken[i].is_flushed = l->taken[i].is_flushed || l->taken[i].file == file;
    }
}

void
bbi_logger_flush(struct bb_logger *l, struct bbi_stream_file *file, int64_t now_ns)
{
    uint64_t before = file->f.good_bytes;
    int rc = bbi_log_file_flush(&file->f);
    if (rc < 0) {
        bbi_logger_fail(l, file, rc, now_ns);
        return;
    }
    l->stats.bytes += file->f.good_bytes - before;
    note_flushed(l, file);
    if (bbi_log_file_is_due(&file->f, l->wall_ns())) {
        rc = bbi_log_file_rotate(&file->f);
        if (rc < 0) {
            l->stats.code = rc; /* it goes on in the old one, and tries again */
        }
    }
}

static bool
is_failing(const struct bb_logger *l)
{
    for (const struct bbi_stream_file *file = l->files; file != NULL; file = file->next) {
        if (file->code < 0) {
            return true;
        }
    }
    return false;
}

static void
count_files(struct bb_logger *l)
{
    l->stats.files = l->stats.torn = 0;
    for (const struct bbi_stream_file *file = l->files; file != NULL; file = file->next) {
        l->stats.files += file->f.opened;
        l->stats.torn += file->f.torn;
    }
}

void
bbi_logger_settle(struct bb_logger *l, int64_t now_ns)
{
    if (l->is_settling) {
        return;
    }
    l->is_settling = true;
    for (struct bbi_stream_file *file = l->files; file != NULL; file = file->next) {
        bbi_logger_flush(l, file, now_ns);
    }
    for (size_t i = 0; i < l->taken_count; i++) {
        count(l, &l->taken[i]);
        note_said(l, &l->taken[i]);
    }
    l->taken_count = 0;
    if (!is_failing(l)) {
        l->stats.code = 0;
    }
    for (size_t i = 0; i < l->writer_count; i++) {
        if (l->writers[i].said_count > 0) {
            say(l, &l->writers[i], now_ns);
        }
        if (l->writers[i].is_asking) {
            say_here(l, &l->writers[i]);
        }
    }
    count_files(l);
    l->is_settling = false;
}

/* ---- what a cluster's poll brings --------------------------------------------------------------- */

static void
take_batch(struct bb_logger *l, struct bb_cluster *c, const struct bb_msg *msg, int64_t now_ns)
{
    if (msg->bytes > l->copy_cap) {
        unsigned char *copy = realloc(l->copy, msg->bytes);
        if (copy == NULL) {
            return;
        }
        l->copy = copy;
        l->copy_cap = msg->bytes;
    }
    memcpy(l->copy, msg->data, msg->bytes);
    if (bb_msg_valid(c->sub, msg) != 0) {
        bbi_logger_take(l, msg->node_id, l->copy, msg->bytes, now_ns);
    }
}

static int
logger_message(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg)
{
    struct bb_logger *l = (struct bb_logger *)part;
    struct bbi_log_head head;
    if (bbi_log_head_of(c, msg, "lane/logger/", &head) == 0) {
        return 0;
    }
    if (head.kind == BBI_LOG_BATCH) {
        take_batch(l, c, msg, bbi_os_mono_ns());
    } else if (head.kind == BBI_LOG_WHO) {
        struct bbi_log_writer *w = bbi_logger_writer(l, msg->node_id, true);
        if (w != NULL) {
            w->is_asking = true;
            w->token = head.number;
        }
    }
    return 1;
}

/* After its last message: nobody is there to be told. */
static void
logger_change(struct bbi_part *part, struct bb_cluster *c, const struct bbi_node_change *change)
{
    (void)c;
    if (change->kind == BB_STATUS_NODE_DOWN) {
        bbi_logger_forget((struct bb_logger *)part, change->node->id);
    }
}

static int64_t
logger_tick(struct bbi_part *part, struct bb_cluster *c, int64_t now_ns)
{
    struct bb_logger *l = (struct bb_logger *)part;
    int64_t wall_ns = l->wall_ns(), next_ns = INT64_MAX;
    (void)c;
    bbi_logger_settle(l, now_ns);
    for (const struct bbi_stream_file *file = l->files; file != NULL; file = file->next) {
        if (file->f.fd >= 0 && file->f.rotate_wall_ns != INT64_MAX) {
            int64_t left = file->f.rotate_wall_ns - wall_ns;
            int64_t then = now_ns + (left > 0 ? left : ROTATE_ASK_NS);
            next_ns = then < next_ns ? then : next_ns;
        }
    }
    return l->taken_count > 0 ? now_ns : next_ns; /* our own writer handed us more */
}

/* ---- opening and closing ------------------------------------------------------------------------ */

static void
free_all(struct bb_logger *l)
{
    while (l->files != NULL) {
        struct bbi_stream_file *file = l->files;
        l->files = file->next;
        bbi_log_file_fini(&file->f);
        free(file);
    }
    for (size_t i = 0; i < l->writer_count; i++) {
        free_writer(&l->writers[i]);
    }
    bb_publisher_close(l->pub);
    if (l->place.dir_fd >= 0) {
        (void)close(l->place.dir_fd);
    }
    free(l->writers);
    free(l->taken);
    free(l->copy);
    free(l->dir);
    free(l->pattern);
    free(l);
}

static void
logger_leave(struct bbi_part *part, struct bb_cluster *c)
{
    (void)c;
    bb_logger_close((struct bb_logger *)part);
}

static int
refuse(const struct bb_logger_opts *o, int code, const char *thing, const char *what)
{
    struct bbi_fault f = {.uid = -1};
    (void)bbi_fault_set(&f, code, thing, "logger of \"%.200s\": %s", thing, what);
    return bbi_error_fill(o->error, &f);
}

/* What % may stand before: strftime's letters, itself, and our three words. */
static bool
knows_all(const char *pattern)
{
    static const char *const words[] = {"{stream}", "{node}", "{n}"};
    for (const char *p = strchr(pattern, '%'); p != NULL; p = strchr(p, '%')) {
        bool is_word = false;
        p++;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !is_word; i++) {
            is_word = strncmp(p, words[i], strlen(words[i])) == 0;
        }
        if (!is_word
            && (*p == '\0' || strchr("%aAbBcCdDeFgGhHIjmMnprRsStTuUVwWxXyYzZ", *p) == NULL)) {
            return false;
        }
        p++;
    }
    return true;
}

/* A name that it gives now is one that it gives later too, up to the digits. */
static int
check_pattern(const struct bb_logger *l, const struct bb_logger_opts *o)
{
    char name[256];
    if (!knows_all(l->place.pattern)) {
        return refuse(o, BB_EINVAL, o->pattern,
                      "in the pattern % stands before a letter of strftime, %{stream}, %{node} or "
                      "%{n}; %% is itself");
    }
    if (bbi_log_name(name, sizeof(name), l->place.pattern, "stream", l->place.node, 1, l->wall_ns())
            == 0
        && strcmp(name, "stream.log") != 0) {
        return 0;
    }
    return refuse(o, BB_EINVAL, o->pattern,
                  "the pattern must give a name below the directory, not hidden, not longer than "
                  "200 bytes, and another one than that of the file that is written, STREAM.log");
}

static int
open_dir(struct bb_logger *l, const struct bb_logger_opts *o)
{
    if (mkdir(o->dir, 0755) != 0 && errno != EEXIST) {
        int code = -errno;
        return refuse(o, code, o->dir,
                      code == BB_ENOENT ? "the directory above it is not there: make it first"
                                        : bbi_errno_text(errno));
    }
    l->place.dir_fd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->place.dir_fd < 0) {
        int code = -errno;
        return refuse(o, code, o->dir, bbi_errno_text(errno));
    }
    if (faccessat(l->place.dir_fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        int code = -errno;
        return refuse(o, code, o->dir, "files cannot be made there; choose another directory");
    }
    return 0;
}

static int
set_up(struct bb_logger *l, const struct bb_logger_opts *o)
{
    l->pattern = strdup(o->pattern != NULL ? o->pattern : default_pattern);
    if (l->pattern == NULL) {
        return refuse(o, BB_ENOMEM, o->dir, "out of memory");
    }
    l->place.node = l->c->name;
    l->place.pattern = l->pattern;
    l->place.rotate_bytes = o->rotate_bytes;
    l->place.rotate_ns = o->rotate_ns > 0 ? o->rotate_ns : 0;
    l->place.is_synced = (o->flags & BB_LOGGER_SYNC) != 0;
    l->json_flags = (o->flags & BB_LOGGER_ISO) != 0 ? BBI_LOG_JSON_ISO : 0;
    l->retry_ns = o->retry_ns > 0 ? o->retry_ns : RETRY_NS;
    l->wall_ns = bbi_os_wall_ns;
    int rc = check_pattern(l, o);
    return rc < 0 ? rc : open_dir(l, o);
}

static int
say_to_all(struct bb_logger *l, uint32_t kind)
{
    struct bbi_log_head head = {.magic = BBI_LOG_MAGIC, .kind = kind};
    return bb_publish_to(l->pub, l->to_writer, l->to_writer_bytes, &head, sizeof(head),
                         BBI_LOG_ATTR);
}

/* Heard from now on; then everybody is told. */
static int
begin(struct bb_logger *l, const struct bb_logger_opts *o)
{
    struct bb_cluster *c = l->c;
    int to = bbi_cluster_topic(c, "lane/", "writer/", "", l->to_writer, sizeof(l->to_writer));
    int from = bbi_cluster_topic(c, "lane/", "logger/", "", l->to_logger, sizeof(l->to_logger));
    if (to < 0 || from < 0) {
        return to < 0 ? to : from;
    }
    struct bb_publisher_opts opts = {.size = sizeof(opts),
                                     .lane = BB_LANE_CONTROL,
                                     .policy = BB_POLICY_EVICT,
                                     .error = o->error};
    l->to_writer_bytes = (size_t)to;
    l->to_logger_bytes = (size_t)from;
    int rc = bb_subscribe(c->sub, l->to_logger, l->to_logger_bytes, 0);
    rc = rc < 0 ? rc : bb_publisher_open(&l->pub, c->ep, &opts);
    return rc < 0 ? rc : say_to_all(l, BBI_LOG_HERE);
}

int
bb_logger_open(struct bb_logger **out, struct bb_cluster *c, const struct bb_logger_opts *opts)
{
    struct bb_logger_opts o;
    int rc = BBI_OPTS_TAKE(struct bb_logger_opts, &o, opts);
    if (rc < 0) {
        return rc;
    }
    if (o.dir == NULL || o.dir[0] == '\0') {
        return refuse(&o, BB_EINVAL, "", "no directory for the files: set dir");
    }
    if ((o.flags & ~(uint32_t)(BB_LOGGER_SYNC | BB_LOGGER_ISO)) != 0) {
        return refuse(&o, BB_ENOTSUP, o.dir, "flags that this libbusbar does not know");
    }
    if (bbi_logger_find(c) != NULL) {
        return refuse(&o, BB_EEXIST, o.dir, "this cluster handle has a logger already: close it");
    }
    struct bb_logger *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return refuse(&o, BB_ENOMEM, o.dir, "out of memory");
    }
    l->c = c;
    l->place.dir_fd = -1;
    rc = set_up(l, &o);
    rc = rc < 0 ? rc : begin(l, &o);
    if (rc < 0) {
        free_all(l);
        return rc;
    }
    l->part.message = logger_message;
    l->part.change = logger_change;
    l->part.tick = logger_tick;
    l->part.leave = logger_leave;
    bbi_cluster_add_part(c, &l->part);
    *out = l;
    return 0;
}

/* What is still in the rings is nobody's: its writers hear that, after everything that was read is said. */
void
bb_logger_close(struct bb_logger *logger)
{
    if (logger == NULL) {
        return;
    }
    struct bb_cluster *c = logger->c;
    struct bbi_lane *own = bbi_lane_find(c);
    int rc = bb_unsubscribe(c->sub, logger->to_logger, logger->to_logger_bytes, 0);
    bbi_part_remove(c, &logger->part);
    bbi_logger_settle(logger, bbi_os_mono_ns());
    rc = rc < 0 ? rc : say_to_all(logger, BBI_LOG_GONE);
    (void)rc; /* who misses it learns that the node is down */
    if (own != NULL) {
        bbi_lane_gone(own, c->id);
    }
    free_all(logger);
}

void
bb_logger_stats(const struct bb_logger *logger, struct bb_logger_stats *out)
{
    bbi_stats_give(out, &logger->stats, sizeof(logger->stats));
}
