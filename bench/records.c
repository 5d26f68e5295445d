/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/records.c - reads just enough JSON: the values of a flat object, strings without their quotes,
 * everything else as it is written.  A line that is no object is one field.
 */
#include "bench/records.h"

#include "bench/shuffle.h"
#include <busbar/busbar.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIELDS_MAX = 256 }; /* of one line; more are left out */
static const size_t text_max = (size_t)512 << 20;

uint64_t
bench_text_sum(const char *text, size_t bytes)
{
    uint64_t sum = bytes, word;
    for (; bytes >= sizeof(word); bytes -= sizeof(word), text += sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        sum += word;
    }
    for (; bytes > 0; bytes--, text++) {
        sum += (uint64_t)(unsigned char)*text << (8 * (bytes - 1));
    }
    return sum;
}

void
bench_record_event(struct bb_builder *b,
                   const struct bench_records *r,
                   const struct bench_record *record,
                   uint64_t word)
{
    bb_event_begin(b, r->name, strlen(r->name));
    bb_put_count(b, word);
    bb_put_count(b, record->sum);
    for (uint32_t i = 0; i < record->field_count; i++) {
        bb_put_string(b, record->fields[i].text, record->fields[i].bytes);
    }
    bb_event_end(b);
}

/* ---- lines ------------------------------------------------------------------------------------- */

/* The end of the string that begins at p, on its closing quote; end if it has none. */
static const char *
string_end(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++) {
        p += *p == '\\' && p + 1 < end;
    }
    return p;
}

/* The end of the value that begins at p: a comma or brace that is not inside it. */
static const char *
value_end(const char *p, const char *end)
{
    int depth = 0;
    for (; p < end; p++) {
        if (*p == '"') {
            p = string_end(p, end);
        } else if (*p == '[' || *p == '{') {
            depth++;
        } else if (depth == 0 && (*p == ',' || *p == '}')) {
            return p;
        } else if (*p == ']' || *p == '}') {
            depth--;
        }
    }
    return end;
}

static void
take_name(struct bench_records *r, const char *key, size_t key_bytes, const struct bench_field *f)
{
    if (r->name[0] == '\0' && key_bytes == 5 && memcmp(key, "_path", 5) == 0 && f->bytes > 0
        && f->bytes < sizeof(r->name)) {
        memcpy(r->name, f->text, f->bytes);
        r->name[f->bytes] = '\0';
    }
}

/* Returns how many fields the line has, or 0 if it is no object. */
static uint32_t
parse_line(struct bench_records *r, const char *p, const char *end, struct bench_field *fields)
{
    uint32_t count = 0;
    if (p >= end || *p++ != '{') {
        return 0;
    }
    while (p < end && *p == '"' && count < FIELDS_MAX) {
        const char *key = p + 1, *key_end = string_end(p, end);
        p = key_end + 1;
        if (p >= end || *p++ != ':') {
            return 0;
        }
        const char *stop = value_end(p, end);
        bool is_string = stop - p >= 2 && *p == '"' && stop[-1] == '"';
        struct bench_field f = {.text = p + is_string,
                                .bytes = (uint32_t)(stop - p - (is_string ? 2 : 0))};
        take_name(r, key, (size_t)(key_end - key), &f);
        fields[count++] = f;
        p = stop + 1;
    }
    return count;
}

static size_t
count_lines(const char *text, size_t bytes)
{
    size_t n = 1;
    for (const char *p = text; (p = memchr(p, '\n', bytes - (size_t)(p - text))) != NULL; p++) {
        n++;
    }
    return n;
}

/* How large each event becomes; done once the name is known. */
static int
measure_all(struct bench_records *r)
{
    uint64_t total = 0;
    if (r->name[0] == '\0') {
        (void)snprintf(r->name, sizeof(r->name), "record");
    }
    for (size_t i = 0; i < r->count; i++) {
        struct bb_builder b;
        bb_build_init(&b, NULL, 0);
        bench_record_event(&b, r, &r->records[i], 0);
        if (bb_build_end(&b) != BB_EMSGSIZE || b.need_bytes > UINT32_MAX) {
            (void)fprintf(stderr, "busbar-bench: line %zu of the log does not fit into an event.\n",
                          i + 1);
            return -1;
        }
        r->records[i].event_bytes = (uint32_t)b.need_bytes;
        total += b.need_bytes;
    }
    r->mean_bytes = (size_t)(total / r->count + 7) / 8 * 8;
    return 0;
}

/* The fields of the line that begins at *p, which moves to the next one; 0 if it is empty. */
static uint32_t
next_line(struct bench_records *r, const char **p, const char *end, struct bench_field *fields)
{
    const char *start = *p;
    const char *stop = memchr(start, '\n', (size_t)(end - start));
    stop = stop != NULL ? stop : end;
    *p = stop + 1;
    uint32_t count = parse_line(r, start, stop, fields);
    if (count == 0 && stop > start) {
        fields[0] = (struct bench_field){.text = start, .bytes = (uint32_t)(stop - start)};
        count = 1;
    }
    return count;
}

static void
keep(struct bench_records *r, struct bench_field *fields, uint32_t count)
{
    struct bench_record *record = &r->records[r->count++];
    *record = (struct bench_record){.fields = fields, .field_count = count};
    for (uint32_t i = 0; i < count; i++) {
        record->sum += bench_text_sum(fields[i].text, fields[i].bytes);
    }
}

int
bench_records_parse(struct bench_records *r, size_t text_bytes)
{
    static struct bench_field scratch[FIELDS_MAX];
    const char *end = r->text + text_bytes;
    size_t room = FIELDS_MAX, used = 0;
    for (const char *p = r->text; p < end;) {
        room += next_line(r, &p, end, scratch);
    }
    r->fields = calloc(room, sizeof(*r->fields));
    r->records = calloc(count_lines(r->text, text_bytes), sizeof(*r->records));
    if (r->fields == NULL || r->records == NULL) {
        perror("busbar-bench: the log");
        return -1;
    }
    for (const char *p = r->text; p < end;) {
        struct bench_field *fields = r->fields + used;
        uint32_t count = next_line(r, &p, end, fields);
        if (count > 0) {
            keep(r, fields, count);
            used += count;
        }
    }
    if (r->count == 0) {
        (void)fputs("busbar-bench: the log has no lines.\n", stderr);
        return -1;
    }
    return measure_all(r);
}

/* ---- files ------------------------------------------------------------------------------------- */

static int
read_all(FILE *f, struct bench_records *r, size_t *bytes)
{
    size_t cap = 1 << 20;
    *bytes = 0;
    r->text = malloc(cap);
    while (r->text != NULL) {
        size_t got = fread(r->text + *bytes, 1, cap - *bytes, f);
        *bytes += got;
        if (got == 0) {
            return ferror(f) ? -1 : 0;
        }
        if (*bytes == cap) {
            cap *= 2;
            char *more = cap <= text_max ? realloc(r->text, cap) : NULL;
            if (more == NULL) {
                (void)fprintf(stderr, "busbar-bench: the log is larger than %zu bytes.\n", cap / 2);
                return -1;
            }
            r->text = more;
        }
    }
    return -1;
}

/* gzip's output, without a shell between. */
static FILE *
open_gzip(const char *path, pid_t *child)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return NULL;
    }
    *child = fork();
    if (*child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execlp("gzip", "gzip", "-dc", "--", path, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    if (*child < 0) {
        (void)close(ends[0]);
        return NULL;
    }
    return fdopen(ends[0], "re");
}

int
bench_records_load(struct bench_records *r, const char *path)
{
    size_t length = strlen(path), bytes = 0;
    pid_t child = 0;
    int status = 0;
    memset(r, 0, sizeof(*r));
    bool is_packed = length > 3 && strcmp(path + length - 3, ".gz") == 0;
    FILE *f = is_packed ? open_gzip(path, &child) : fopen(path, "re");
    int rc = f != NULL ? read_all(f, r, &bytes) : -1;
    if (f != NULL) {
        (void)fclose(f);
    }
    if (child > 0) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    if (rc < 0 || status != 0) {
        (void)fprintf(stderr, "busbar-bench: cannot read %s: %s.\n", path,
                      status != 0 ? "gzip failed" : strerror(errno));
        bench_records_free(r);
        return -1;
    }
    rc = bench_records_parse(r, bytes);
    if (rc < 0) {
        bench_records_free(r);
    }
    return rc;
}

void
bench_records_free(struct bench_records *r)
{
    free(r->records);
    free(r->fields);
    free(r->text);
    memset(r, 0, sizeof(*r));
}

/* ---- made ones --------------------------------------------------------------------------------- */

static void
make_line(FILE *out, uint64_t *x, unsigned i)
{
    static const char *const types[] = {"A", "AAAA", "PTR", "SRV", "TXT"};
    static const char *const hosts[] = {"www",     "mail",      "ntp",
                                        "updates", "telemetry", "a.very.deep.name"};
    uint64_t a = bench_random(x), b = bench_random(x);
    (void)fprintf(
        out,
        "{\"_path\":\"dns\",\"ts\":\"2024-01-01T%02u:%02u:%02u.%06uZ\",\"uid\":\"C%016llx\","
        "\"id.orig_h\":\"10.%u.%u.%u\",\"id.orig_p\":%u,\"id.resp_h\":\"10.0.0.53\","
        "\"id.resp_p\":53,\"proto\":\"udp\",\"trans_id\":%u,\"query\":\"%s.example%u.org\","
        "\"qtype_name\":\"%s\",\"rcode_name\":\"NOERROR\",\"AA\":false,\"RD\":true,",
        i / 3600 % 24, i / 60 % 60, i % 60, (unsigned)(a % 1000000), (unsigned long long)b,
        (unsigned)(a >> 20 & 255), (unsigned)(a >> 28 & 255), (unsigned)(a >> 36 & 255),
        (unsigned)(1024 + b % 60000), (unsigned)(a >> 44 & 65535), hosts[(b >> 16) % 6],
        (unsigned)(b >> 24 & 1023), types[a >> 60 & 3]);
    (void)fputs("\"answers\":[", out);
    for (unsigned j = 0; j < (b >> 40) % 6; j++) {
        (void)fprintf(out, "%s\"192.0.2.%u\"", j > 0 ? "," : "", (unsigned)(b >> (8 * j) & 255));
    }
    (void)fputs("],\"rejected\":false}\n", out);
}

int
bench_records_make(struct bench_records *r)
{
    size_t bytes = 0;
    uint64_t x = BENCH_RANDOM_SEED;
    memset(r, 0, sizeof(*r));
    FILE *f = open_memstream(&r->text, &bytes);
    for (unsigned i = 0; f != NULL && i < 20000; i++) {
        make_line(f, &x, i);
    }
    if (f == NULL || fclose(f) != 0) {
        perror("busbar-bench: cannot make records");
        return -1;
    }
    int rc = bench_records_parse(r, bytes);
    if (rc < 0) {
        bench_records_free(r);
    }
    return rc;
}
