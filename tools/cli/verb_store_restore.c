/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_restore.c - `busbar store restore STORE`: writes what `store dump` printed.
 *
 * Lines become commands, and go in batches.  A line that is refused is said with its number and counted; the exit
 * code answers whether all lines are in the store now.
 *
 * The master takes spans, and counts them from when it runs the command: which may be long after it was sent.  So
 * spans are made just before sending, and keys that came out later than their deadline are set right afterwards.
 */
#include "tools/cli/clock.h"
#include "tools/cli/convert.h"
#include "tools/cli/json_members.h"
#include "tools/cli/lines.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH_COMMANDS = 512,
    BATCH_BYTES = 4 << 20,
    FRAME_BYTES = 64 << 20,     /* the largest step that the library takes */
    LINE_MAX_BYTES = 400 << 20, /* a value of 64 MiB whose bytes are all escaped */
    MEMBERS_MAX = 8,
    READ_WAIT_MS = 30000, /* a signal ends it */
    NEAR_NS = 1000000,    /* a deadline that is met so well stays */
    ROUNDS_MAX = 16,      /* of setting deadlines right */
};

struct restore_options {
    struct cli_store_options store;
    int atomic, if_absent, keep_ttl;
};

static const struct restore_options defaults = {.store = CLI_STORE_DEFAULTS};

/* One line on its way. */
struct entry {
    struct cli_buffer key, value;
    uint64_t line;
    int has_deadline;
    int64_t deadline_ns; /* wall time */
    int64_t expire_ns;   /* a span, without a deadline */
};

struct restore {
    struct cli_store store;
    const struct restore_options *o;
    struct entry *entries;
    size_t cap, count, bytes;
    uint64_t line;
    uint64_t written, refused, expired, kept;
    int code; /* what ended it */
};

/* ---- one line -------------------------------------------------------------------------------------- */

static int
is_name(const struct cli_json_member *m, const char *name)
{
    return m->name_bytes == strlen(name) && memcmp(m->name, name, m->name_bytes) == 0;
}

static int
is_null(const struct cli_json_member *m)
{
    return m->value_bytes == 4 && memcmp(m->value, "null", 4) == 0;
}

/* read_text - a member that is read as text of this type; the error's offset counts in the line. */
static int
read_text(struct cli_buffer *native,
          const char *text,
          size_t bytes,
          int type,
          const char *line,
          struct bb_codec_error *error)
{
    int rc = cli_value_read(native, CLI_FORM_TEXT, type, text, bytes, error);
    error->offset += rc == BB_EINVAL ? (size_t)(text - line) : 0;
    return rc;
}

static int
wrong_member(const struct cli_json_member *m,
             const char *line,
             struct bb_codec_error *error,
             const char *sentence)
{
    error->offset = (size_t)(m->value - line);
    (void)snprintf(error->sentence, sizeof(error->sentence), "%.*s %s",
                   (int)(m->name_bytes < 40 ? m->name_bytes : 40), m->name, sentence);
    return BB_EINVAL;
}

/* read_expiry - expires_ns (a span; may be below zero: it has expired) or deadline (a wall time). */
static int
read_expiry(const struct cli_json_member *m,
            const char *line,
            int64_t *out_ns,
            struct bb_codec_error *error)
{
    const int is_deadline = is_name(m, "deadline");
    struct cli_buffer native = {0};
    int rc;

    if (is_deadline && (m->value_bytes < 2 || m->value[0] != '"')) {
        return wrong_member(m, line, error, "is a time in quotes, or null");
    }
    if (is_deadline) {
        rc = read_text(&native, m->value + 1, m->value_bytes - 2, BB_TIMESTAMP, line, error);
    } else {
        rc = read_text(&native, m->value, m->value_bytes, BB_INTEGER, line, error);
    }
    struct bb_value value = cli_store_value(&native);
    if (rc == 0) {
        rc = is_deadline ? bb_get_timestamp(&value, out_ns) : bb_get_integer(&value, out_ns);
    }
    cli_buffer_free(&native);
    return rc;
}

struct parsed {
    int has_key, has_value;
    int has_deadline, has_expiry;
    int64_t deadline_ns;
    int64_t span_ns; /* by expires_ns */
};

static int
read_member(struct entry *entry,
            struct parsed *parsed,
            const struct cli_json_member *m,
            const char *line,
            struct bb_codec_error *error)
{
    int *has = is_name(m, "key")          ? &parsed->has_key
               : is_name(m, "value")      ? &parsed->has_value
               : is_name(m, "deadline")   ? &parsed->has_deadline
               : is_name(m, "expires_ns") ? &parsed->has_expiry
                                          : NULL;
    if (is_name(m, "version")) {
        return 0; /* of the store that it was in */
    }
    if (has == NULL) {
        return wrong_member(m, line, error, "is no member of a dumped key");
    }
    if (*has) {
        return wrong_member(m, line, error, "stands there twice");
    }
    if (has == &parsed->has_deadline || has == &parsed->has_expiry) {
        if (is_null(m)) {
            return 0;
        }
        *has = 1;
        return read_expiry(
            m, line, has == &parsed->has_deadline ? &parsed->deadline_ns : &parsed->span_ns, error);
    }
    *has = 1;
    struct cli_buffer *native = has == &parsed->has_key ? &entry->key : &entry->value;
    int rc = cli_value_read(native, CLI_FORM_JSON, BB_TYPE_ANY, m->value, m->value_bytes, error);
    error->offset += rc == BB_EINVAL ? (size_t)(m->value - line) : 0;
    return rc;
}

/* read_line - 1 it is in the entry; 0 it has expired; BB_EINVAL and why. */
static int
read_line(const struct restore *r,
          struct entry *entry,
          const char *line,
          size_t bytes,
          struct bb_codec_error *error)
{
    struct cli_json_member members[MEMBERS_MAX];
    struct parsed parsed = {0};
    int n = cli_json_members(line, bytes, members, MEMBERS_MAX, error);
    int rc = n < 0 ? n : 0;

    for (int i = 0; i < n && rc == 0; i++) {
        rc = read_member(entry, &parsed, &members[i], line, error);
    }
    if (rc == 0 && (!parsed.has_key || !parsed.has_value)) {
        error->offset = 0;
        (void)snprintf(error->sentence, sizeof(error->sentence), "the %s is missing",
                       parsed.has_key ? "value" : "key");
        rc = BB_EINVAL;
    }
    if (rc < 0) {
        return rc;
    }
    entry->has_deadline = parsed.has_deadline && !(r->o->keep_ttl && parsed.has_expiry);
    entry->deadline_ns = parsed.deadline_ns;
    entry->expire_ns = parsed.has_expiry ? parsed.span_ns : 0;
    return entry->has_deadline ? entry->deadline_ns > cli_wall_ns()
                               : !parsed.has_expiry || entry->expire_ns > 0;
}

/* ---- batches --------------------------------------------------------------------------------------- */

static void
say_entry(const struct restore *r, const struct entry *entry, int status)
{
    char text[CLI_KEY_BYTES];
    struct bb_value key = cli_store_value(&entry->key);
    cli_say("restore: line %" PRIu64 ": the store \"%.80s\" refused %s: %s", entry->line,
            r->store.name, cli_store_short(text, &key), bb_strerror(status));
}

/* count_result - one command's answer.  What was undone with another is counted, and the other one said. */
static void
count_result(struct restore *r, const struct entry *entry, int status)
{
    if (status == 0) {
        r->written++;
        return;
    }
    if (status == BB_EEXIST) {
        r->kept++;
        return;
    }
    r->refused++;
    if (status == BB_ECANCELED || r->code != CLI_DONE) {
        return;
    }
    say_entry(r, entry, status);
    if (status == BB_ENOSPC) { /* the next ones would not fare better */
        r->code = cli_store_report(&r->store, status, "cannot restore");
    }
}

/* What is sent at once. */
struct batch {
    struct entry *of; /* of each command; the buffers are the restore's */
    struct bb_store_cmd *cmds;
    struct bb_store_result *results;
    uint64_t *versions; /* of what we wrote; 0: not ours any more */
    size_t count;
};

/* fill_batch - with spans as they are now; what has expired meanwhile is left out. */
static void
fill_batch(struct restore *r, struct batch *b)
{
    const int64_t now_ns = cli_wall_ns();
    for (size_t i = 0; i < r->count; i++) {
        const struct entry *entry = &r->entries[i];
        if (entry->has_deadline && entry->deadline_ns <= now_ns) {
            r->expired++;
            continue;
        }
        b->of[b->count] = *entry;
        b->cmds[b->count++] = (struct bb_store_cmd){
            .op = r->o->if_absent ? BB_STORE_PUT_UNIQUE : BB_STORE_PUT,
            .expire_ns = entry->has_deadline ? entry->deadline_ns - now_ns : entry->expire_ns,
            .key = cli_store_value(&entry->key),
            .value = cli_store_value(&entry->value),
        };
    }
}

/* send_batch - 0, or a status when none of it was answered. */
static int
send_batch(const struct restore *r, struct batch *b, uint32_t flags)
{
    memset(b->results, 0, b->count * sizeof(*b->results));
    int rc = bb_store_run(r->store.s, b->cmds, b->count, flags, b->results);
    for (size_t i = 0; i < b->count; i++) {
        if (b->results[i].code != 0) {
            return 0;
        }
    }
    return rc;
}

/* is_late - it is in the store as we wrote it, and would be after its deadline. */
static int
is_late(const struct restore *r, const struct entry *entry, uint64_t version)
{
    const struct bb_value key = cli_store_value(&entry->key);
    struct bb_store_item item;
    int64_t until_ns;
    if (!entry->has_deadline || version == 0 || bb_store_get_item(r->store.s, &key, &item) < 0
        || item.version != version) {
        return 0;
    }
    return item.expires_ns == BB_STORE_NEVER
           || __builtin_add_overflow(cli_wall_ns(), item.expires_ns, &until_ns)
           || until_ns - entry->deadline_ns > NEAR_NS;
}

/* take_late - makes of the batch one of what is late.  Only if nobody else has written it since. */
static void
take_late(struct restore *r, struct batch *b)
{
    size_t count = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct entry *entry = &b->of[i];
        const uint64_t version = b->versions[i];
        if (is_late(r, entry, version)) {
            b->of[count] = *entry;
            b->versions[count] = version;
            b->cmds[count++] = (struct bb_store_cmd){
                .op = BB_STORE_PUT_IF,
                .if_version = version,
                .key = cli_store_value(&entry->key),
                .value = cli_store_value(&entry->value),
            };
        }
    }
    b->count = count;
    const int64_t now_ns = cli_wall_ns();
    for (size_t i = 0; i < count; i++) {
        const int64_t left_ns = b->of[i].deadline_ns - now_ns;
        b->cmds[i].expire_ns = left_ns > 0 ? left_ns : 1; /* over: gone with the command */
    }
}

/* count_gone - those whose deadline was over before they were set right. */
static void
count_gone(struct restore *r, const struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const int is_gone = b->versions[i] != 0 && b->cmds[i].expire_ns == 1;
        r->written -= (uint64_t)is_gone;
        r->expired += (uint64_t)is_gone;
    }
}

/* set_right - the keys that the master wrote later than we sent them. */
static void
set_right(struct restore *r, struct batch *b, int64_t sent_ns)
{
    for (int round = 0; round < ROUNDS_MAX && cli_wall_ns() - sent_ns > NEAR_NS; round++) {
        take_late(r, b);
        if (b->count == 0) {
            return;
        }
        sent_ns = cli_wall_ns();
        int rc = send_batch(r, b, 0);
        if (rc < 0) {
            cli_say("restore: %zu keys from line %" PRIu64 " on may outlive their deadline",
                    b->count, b->of[0].line);
            r->code = cli_store_report_unsent(&r->store, rc, "cannot restore");
            return;
        }
        for (size_t i = 0; i < b->count; i++) {
            b->versions[i] = b->results[i].code == 0 ? b->results[i].version : 0;
        }
        count_gone(r, b);
    }
}

/* run_batch - r->code is set when nothing more can be written. */
static void
run_batch(struct restore *r, struct batch *b)
{
    fill_batch(r, b);
    const int64_t sent_ns = cli_wall_ns();
    if (b->count == 0) {
        return;
    }
    int rc = send_batch(r, b, r->o->atomic ? BB_STORE_ATOMIC : 0);
    if (rc < 0) {
        cli_say("restore: lines %" PRIu64 " to %" PRIu64 " were not answered", b->of[0].line,
                b->of[b->count - 1].line);
        r->code = cli_store_report_unsent(&r->store, rc, "cannot restore");
        return;
    }
    for (size_t i = 0; i < b->count; i++) {
        b->versions[i] = b->results[i].code == 0 ? b->results[i].version : 0;
        count_result(r, &b->of[i], b->results[i].code);
    }
    if (r->code == CLI_DONE) {
        set_right(r, b, sent_ns);
    }
}

static void
flush_batch(struct restore *r)
{
    if (r->count == 0) {
        return;
    }
    struct batch b = {
        .of = calloc(r->count, sizeof(*b.of)),
        .cmds = calloc(r->count, sizeof(*b.cmds)),
        .results = calloc(r->count, sizeof(*b.results)),
        .versions = calloc(r->count, sizeof(*b.versions)),
    };
    if (b.of == NULL || b.cmds == NULL || b.results == NULL || b.versions == NULL) {
        r->code = cli_report(r->store.call, BB_ENOMEM, NULL, "the batch");
    } else {
        run_batch(r, &b);
    }
    free(b.of);
    free(b.cmds);
    free(b.results);
    free(b.versions);
    r->count = 0;
    r->bytes = 0;
}

/* next_entry - room for one more, with the buffers of an earlier batch; NULL after it was said. */
static struct entry *
next_entry(struct restore *r)
{
    if (r->count == r->cap) {
        size_t cap = r->cap > 0 ? 2 * r->cap : BATCH_COMMANDS;
        struct entry *entries = realloc(r->entries, cap * sizeof(*entries));
        if (entries == NULL) {
            r->code = cli_report(r->store.call, BB_ENOMEM, NULL, "the lines");
            return NULL;
        }
        memset(entries + r->cap, 0, (cap - r->cap) * sizeof(*entries));
        r->entries = entries;
        r->cap = cap;
    }
    return &r->entries[r->count];
}

static int
is_blank(const char *line, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            return 0;
        }
    }
    return 1;
}

static void
take_line(struct restore *r, const char *line, size_t bytes)
{
    struct bb_codec_error error = {0};
    struct entry *entry = next_entry(r);
    r->line++;
    if (entry == NULL || is_blank(line, bytes)) {
        return;
    }
    entry->line = r->line;
    int rc = read_line(r, entry, line, bytes, &error);
    if (rc == BB_EINVAL) {
        cli_say("restore: line %" PRIu64 ": column %zu: %s", r->line, error.offset + 1,
                error.sentence);
        r->refused++;
        return;
    }
    if (rc < 0) {
        r->code = cli_report(r->store.call, rc, NULL, "cannot read a line");
        return;
    }
    if (rc == 0) {
        r->expired++;
        return;
    }
    r->count++;
    r->bytes += entry->key.bytes + entry->value.bytes;
    if (r->o->atomic && r->bytes > FRAME_BYTES) {
        cli_say("restore: --atomic takes at most 64 MiB, and that is over with line %" PRIu64
                "; nothing was restored",
                r->line);
        r->code = CLI_RESOURCE;
    } else if (!r->o->atomic && (r->count == BATCH_COMMANDS || r->bytes >= BATCH_BYTES)) {
        flush_batch(r);
    }
}

/* ---- all lines ------------------------------------------------------------------------------------- */

/* Lines that were too long stand before the one that has just been found. */
static void
count_too_long(struct restore *r, const struct cli_lines *lines, uint64_t *seen)
{
    for (; *seen < lines->too_long; (*seen)++) {
        r->line++;
        r->refused++;
        cli_say("restore: line %" PRIu64 ": a line has at most %d MiB", r->line,
                LINE_MAX_BYTES >> 20);
    }
}

static int
read_lines(struct restore *r)
{
    struct cli_lines lines;
    const char *line;
    size_t bytes;
    uint64_t too_long = 0;
    int rc = cli_lines_init(&lines, STDIN_FILENO, LINE_MAX_BYTES);

    while (rc == 0 && r->code == CLI_DONE && !cli_stopped()) {
        int is_there = cli_lines_next(&lines, &line, &bytes);
        count_too_long(r, &lines, &too_long);
        if (is_there) {
            take_line(r, line, bytes);
        } else if (lines.at_end) {
            break;
        } else {
            rc = cli_lines_read(&lines, READ_WAIT_MS);
        }
    }
    cli_lines_fini(&lines);
    return rc;
}

/* say_sums - the exit code. */
static int
say_sums(const struct restore *r)
{
    if (r->o->atomic && r->written == 0 && (r->refused > 0 || r->code != CLI_DONE)) {
        cli_say("restore: nothing was restored, as --atomic wants all lines or none");
    } else {
        cli_say("restore: %" PRIu64 " keys are in the store \"%.80s\" now", r->written,
                r->store.name);
    }
    if (r->kept > 0) {
        cli_say("restore: %" PRIu64 " keys were there already, and stayed as they were", r->kept);
    }
    if (r->expired > 0) {
        cli_say("restore: %" PRIu64 " keys had expired since they were dumped", r->expired);
    }
    if (r->refused > 0) {
        cli_say("restore: %" PRIu64 " of %" PRIu64 " lines were refused", r->refused, r->line);
    }
    if (r->code == CLI_DONE && cli_stopped()) {
        cli_say("restore: interrupted after line %" PRIu64, r->line);
        return CLI_NO;
    }
    return r->code != CLI_DONE ? r->code : r->refused > 0 ? CLI_NO : CLI_DONE;
}

static void
restore_all(struct restore *r)
{
    int rc = read_lines(r);
    if (rc < 0) {
        r->code = cli_report(r->store.call, rc, NULL, "cannot read standard input");
    }
    int may_flush = r->code == CLI_DONE && !(r->o->atomic && (r->refused > 0 || cli_stopped()));
    if (may_flush) {
        flush_batch(r);
    }
}

static int
run(const struct cli_call *call, const void *options)
{
    struct restore r = {.o = options};
    int code = cli_store_args(&r.store, call, &r.o->store, 0);
    if (code != CLI_DONE) {
        return code;
    }
    cli_signals_catch();
    code = cli_store_attach(&r.store);
    if (code == CLI_DONE) {
        restore_all(&r);
        code = say_sums(&r);
    }
    cli_store_close(&r.store);
    for (size_t i = 0; i < r.cap; i++) {
        cli_buffer_free(&r.entries[i].key);
        cli_buffer_free(&r.entries[i].value);
    }
    free(r.entries);
    return code;
}

static const struct cli_option options[] = {
    {.name = "atomic",
     .type = CLI_FLAG,
     .offset = offsetof(struct restore_options, atomic),
     .help = "all lines or none, in one step; at most 64 MiB"},
    {.name = "if-absent",
     .type = CLI_FLAG,
     .offset = offsetof(struct restore_options, if_absent),
     .help = "keys that are there stay as they are"},
    {.name = "keep-ttl",
     .type = CLI_FLAG,
     .offset = offsetof(struct restore_options, keep_ttl),
     .help = "keys live as long from now as they had left then"},
    CLI_STORE_WAIT,
    {.name = NULL},
};

const struct cli_verb cli_verb_store_restore = {
    .noun = "store",
    .name = "restore",
    .line = "write what `store dump` printed, from standard input",
    .usage = "[OPTION]... STORE",
    .text = "A line has key and value as JSON v1; deadline (a wall time), expires_ns (a span)\n"
            "and version may be there, and nothing else.  Keys expire at their deadline, and\n"
            "those whose deadline is over are left out, and counted.  A master that was late\n"
            "to write them has made them live longer by that: they are set right (to 1 ms)\n"
            "as soon as it answers, unless somebody else wrote them since; when it does not\n"
            "answer in time, they may stay so.  Versions count anew.\n"
            "Keys that the dump has not stay in the store.\n"
            "\n"
            "A line that is refused is said with its number; the others are restored, in\n"
            "steps of 512, and the exit code is 1.  With --atomic nothing is restored then.\n"
            "How many keys were written is said on standard error.",
    .examples = "busbar store restore hosts <hosts.ndjson\n"
                "busbar store dump old | busbar store restore new --if-absent\n",
    .options = options,
    .options_bytes = sizeof(struct restore_options),
    .defaults = &defaults,
    .max_args = 1,
    .run = run,
};
