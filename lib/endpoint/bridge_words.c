/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/bridge_words.c - structs as tables of fields, by one list of fields for each struct.
 *
 * A field stands in a list once: its name on the bus, its kind, where it is.  Writing and reading go through the list,
 * so what one writes the other reads.
 */
#include "lib/endpoint/bridge_words.h"
#include <stdio.h>
#include <string.h>

enum kind {
    U32,
    U64,
    I64,
    ID,   /* 16 bytes */
    TEXT, /* refused when it is too long */
    CUT,  /* cut when it is too long */
};

struct word {
    const char *name;
    enum kind kind;
    size_t offset, room;
};

#define WORD(type, field, kind)                                                                    \
    {                                                                                              \
#        field, kind, offsetof(struct type, field), sizeof(((struct type *)0)->field)              \
    }
#define COUNT_OF(words) (sizeof(words) / sizeof((words)[0]))

static const struct word ask_words[] = {
    WORD(bbi_bridge_ask, request, TEXT),    WORD(bbi_bridge_ask, host, TEXT),
    WORD(bbi_bridge_ask, name, TEXT),       WORD(bbi_bridge_ask, port, U32),
    WORD(bbi_bridge_ask, flags, U32),       WORD(bbi_bridge_ask, slow, U32),
    WORD(bbi_bridge_ask, max, U64),         WORD(bbi_bridge_ask, wait_ns, I64),
    WORD(bbi_bridge_ask, queue_bytes, U64),
};

static const struct word answer_words[] = {
    WORD(bbi_bridge_answer, code, I64),
    WORD(bbi_bridge_answer, sentence, CUT),
    WORD(bbi_bridge_answer, port, U32),
    WORD(bbi_bridge_answer, count, U64),
};

#define INFO(field, kind) WORD(bb_bridge_info, field, kind)
static const struct word info_words[] = {
    INFO(name, CUT),   INFO(box, ID),           INFO(epoch, U64),
    INFO(engine, CUT), INFO(engine_why, CUT),   INFO(security, CUT),
    INFO(pid, I64),    INFO(links, U32),        INFO(started_wall_ns, I64),
    INFO(up, U32),     INFO(memory_bytes, U64), INFO(local_lost, U64),
};

#define LINK(field, kind) WORD(bb_link_info, field, kind)
static const struct word link_words[] = {
    LINK(address, CUT),
    LINK(name, CUT),
    LINK(box, ID),
    LINK(state, U32),
    LINK(dialed, U32),
    LINK(slow, U32),
    LINK(compressed, U32),
    LINK(cipher, CUT),
    LINK(last, CUT),
    LINK(up_wall_ns, I64),
    LINK(retry_in_ns, I64),
    LINK(ups, U64),
    LINK(attempts, U64),
    LINK(sent, U64),
    LINK(received, U64),
    LINK(sent_bytes, U64),
    LINK(received_bytes, U64),
    LINK(sent_per_s, U64),
    LINK(received_per_s, U64),
    LINK(queued, U64),
    LINK(queue_bytes, U64),
    LINK(queue_max, U64),
    LINK(dropped, U64),
    LINK(lost_before, U64),
    LINK(gap_messages, U64),
    LINK(uncertain, U64),
    LINK(denied_in, U64),
    LINK(denied_out, U64),
    LINK(credit_bytes, U64),
    LINK(credit_messages, U64),
    LINK(blocked, U64),
    LINK(interests, U64),
    LINK(peer_interests, U64),
    LINK(round_trip_ns, I64),
    LINK(clock_offset_ns, I64),
    LINK(clock_error_ns, I64),
    LINK(sent_plain_bytes, U64),
    LINK(received_plain_bytes, U64),
};

#define PUT_TEXT(b, text) bb_put_string((b), (text), sizeof(text) - 1)

static const char INFO_KEY[] = "info";
static const char LINKS_KEY[] = "links";

/* ---- writing ------------------------------------------------------------------------------------ */

static bool
is_zero(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool
is_text(const struct word *w)
{
    return w->kind == TEXT || w->kind == CUT;
}

static void
put_word(struct bb_builder *b, const struct word *w, const unsigned char *at)
{
    uint32_t u32;
    uint64_t u64;
    int64_t i64;
    switch (w->kind) {
    case U32:
        memcpy(&u32, at, sizeof(u32));
        bb_put_count(b, u32);
        break;
    case U64:
        memcpy(&u64, at, sizeof(u64));
        bb_put_count(b, u64);
        break;
    case I64:
        memcpy(&i64, at, sizeof(i64));
        bb_put_integer(b, i64);
        break;
    case ID:
        bb_put_string(b, (const char *)at, w->room);
        break;
    case TEXT:
    case CUT:
        bb_put_string(b, (const char *)at, strnlen((const char *)at, w->room));
        break;
    }
}

static void
put_words(struct bb_builder *b, const struct word *words, size_t count, const void *from)
{
    for (size_t i = 0; i < count; i++) {
        const struct word *w = &words[i];
        const unsigned char *at = (const unsigned char *)from + w->offset;
        if (!is_zero(at, is_text(w) ? 1 : w->room)) {
            bb_put_string(b, w->name, strlen(w->name));
            put_word(b, w, at);
        }
    }
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int
read_number(const struct word *w, const struct bb_value *v, unsigned char *at)
{
    uint64_t u64 = 0;
    int64_t i64 = 0;
    int rc = w->kind == I64 ? bb_get_integer(v, &i64) : bb_get_count(v, &u64);
    if (rc < 0) {
        return rc;
    }
    uint32_t u32 = (uint32_t)u64;
    if (w->kind == U32 && u64 > UINT32_MAX) {
        return BB_ERANGE;
    }
    const void *from = w->kind == I64 ? (const void *)&i64 : w->kind == U64 ? (void *)&u64 : &u32;
    memcpy(at, from, w->room);
    return 0;
}

static int
read_text(const struct word *w, const struct bb_value *v, unsigned char *at)
{
    const char *s;
    size_t bytes;
    int rc = bb_get_string(v, &s, &bytes);
    if (rc < 0) {
        return rc;
    }
    if (w->kind == ID) {
        if (bytes == w->room) {
            memcpy(at, s, bytes);
        }
        return bytes == w->room ? 0 : BB_ETYPE;
    }
    if (w->kind == TEXT && memchr(s, '\0', bytes) != NULL) {
        return BB_EINVAL;
    }
    if (bytes >= w->room) {
        if (w->kind == TEXT) {
            return BB_ENAMETOOLONG;
        }
        bytes = w->room - 1;
    }
    memcpy(at, s, bytes);
    at[bytes] = '\0';
    return 0;
}

static bool
is_named(const char *name, const char *key, size_t key_bytes)
{
    return strlen(name) == key_bytes && memcmp(name, key, key_bytes) == 0;
}

static int
say(struct bbi_fault *f, int rc, const char *field)
{
    const char *why = rc == BB_ERANGE         ? "is too large"
                      : rc == BB_ENAMETOOLONG ? "is too long"
                      : rc == BB_EINVAL       ? "holds a byte that no text has"
                                              : "is of another type";
    return bbi_fault_set(f, rc, field, "the field \"%s\" of the request %s", field, why);
}

/* One field; of a name that is not known: nothing. */
static int
read_word(const struct word *words,
          size_t count,
          void *out,
          const char *key,
          size_t key_bytes,
          const struct bb_value *v,
          struct bbi_fault *f)
{
    for (size_t i = 0; i < count; i++) {
        const struct word *w = &words[i];
        if (is_named(w->name, key, key_bytes)) {
            unsigned char *at = (unsigned char *)out + w->offset;
            bool is_number = w->kind == U32 || w->kind == U64 || w->kind == I64;
            int rc = is_number ? read_number(w, v, at) : read_text(w, v, at);
            return rc < 0 ? say(f, rc, w->name) : 0;
        }
    }
    return 0;
}

/* All fields of a table that bb_value_check() found good; out is all zeros.  body: what is no field but a part. */
static int
read_words(const struct word *words,
           size_t count,
           void *out,
           const struct bb_value *table,
           struct bbi_bridge_answer_body *body,
           struct bbi_fault *f)
{
    struct bb_iter it;
    struct bb_value key, v;
    const char *s;
    size_t bytes;
    if (bb_value_type(table) != BB_TABLE) {
        return bbi_fault_set(f, BB_ETYPE, "", "what was asked is no table of fields");
    }
    int64_t n = bb_iter_open(&it, table);
    int rc = n < 0 ? (int)n : 0;
    while (rc == 0 && bb_iter_next(&it, &key) == 0 && bb_iter_next(&it, &v) == 0) {
        if (bb_get_string(&key, &s, &bytes) < 0) {
            continue; /* a key of another type is one that is not known */
        }
        if (body != NULL && is_named(INFO_KEY, s, bytes)) {
            body->info = v;
        } else if (body != NULL && is_named(LINKS_KEY, s, bytes)) {
            rc = bb_value_type(&v) != BB_VECTOR       ? BB_ETYPE
                 : bb_iter_open(&body->links, &v) < 0 ? BB_ECORRUPT
                                                      : 0;
        } else {
            rc = read_word(words, count, out, s, bytes, &v, f);
        }
    }
    return rc;
}

static int
open_table(struct bb_value *out, const void *data, size_t bytes)
{
    int rc = bb_value_open(out, data, bytes);
    return rc < 0 ? rc : bb_value_check(out);
}

/* ---- requests ----------------------------------------------------------------------------------- */

static const char *const ask_names[] = {"",       "listen", "unlisten", "peer",
                                        "unpeer", "known",  "info",     "links"};

const char *
bbi_bridge_ask_name(enum bbi_bridge_ask_kind kind)
{
    return (size_t)kind < COUNT_OF(ask_names) ? ask_names[kind] : "";
}

int64_t
bbi_bridge_ask_write(void *buf, size_t cap, const struct bbi_bridge_ask *ask)
{
    struct bb_builder b;
    bb_build_init(&b, buf, cap);
    bb_put_table_begin(&b);
    put_words(&b, ask_words, COUNT_OF(ask_words), ask);
    bb_put_end(&b);
    return bb_build_end(&b);
}

static bool
needs_host(int kind)
{
    return kind >= BBI_ASK_LISTEN && kind <= BBI_ASK_UNPEER;
}

int
bbi_bridge_ask_read(struct bbi_bridge_ask *out, const void *data, size_t bytes, struct bbi_fault *f)
{
    struct bb_value table;
    memset(out, 0, sizeof(*out));
    int rc = open_table(&table, data, bytes);
    if (rc < 0) {
        return bbi_fault_set(f, rc, "", "what was asked is no well-formed value");
    }
    rc = read_words(ask_words, COUNT_OF(ask_words), out, &table, NULL, f);
    if (rc < 0) {
        return rc;
    }
    int kind = COUNT_OF(ask_names) - 1;
    while (kind > BBI_ASK_NONE && strcmp(out->request, ask_names[kind]) != 0) {
        kind--;
    }
    if (needs_host(kind) && out->host[0] == '\0') {
        return bbi_fault_set(f, BB_EINVAL, "host", "the request \"%s\" names no host",
                             out->request);
    }
    if (needs_host(kind)
        && (out->port > UINT16_MAX || (out->port == 0 && kind != BBI_ASK_LISTEN))) {
        return bbi_fault_set(f, BB_EINVAL, "port", "%u is no port of a host; one is 1 to 65535",
                             out->port);
    }
    return kind;
}

const char *
bbi_bridge_address(char *out, size_t cap, const char *host, uint16_t port)
{
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    (void)snprintf(out, cap, is_v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    return out;
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void
put_table(struct bb_builder *b, const struct word *words, size_t count, const void *from)
{
    bb_put_table_begin(b);
    put_words(b, words, count, from);
    bb_put_end(b);
}

static void
put_parts(struct bb_builder *b, const struct bbi_bridge_answer_parts *parts)
{
    if (parts->info != NULL) {
        PUT_TEXT(b, INFO_KEY);
        put_table(b, info_words, COUNT_OF(info_words), parts->info);
    }
    if (parts->link_count > 0) {
        PUT_TEXT(b, LINKS_KEY);
        bb_put_vector_begin(b);
        for (size_t i = 0; i < parts->link_count; i++) {
            put_table(b, link_words, COUNT_OF(link_words), &parts->links[i]);
        }
        bb_put_end(b);
    }
}

int64_t
bbi_bridge_answer_write(void *buf,
                        size_t cap,
                        const struct bbi_bridge_answer *answer,
                        const struct bbi_bridge_answer_parts *parts)
{
    struct bb_builder b;
    bb_build_init(&b, buf, cap);
    bb_put_table_begin(&b);
    put_words(&b, answer_words, COUNT_OF(answer_words), answer);
    if (parts != NULL) {
        put_parts(&b, parts);
    }
    bb_put_end(&b);
    return bb_build_end(&b);
}

int
bbi_bridge_answer_read(struct bbi_bridge_answer *out,
                       struct bbi_bridge_answer_body *body,
                       const void *data,
                       size_t bytes)
{
    struct bb_value table;
    memset(out, 0, sizeof(*out));
    memset(body, 0, sizeof(*body));
    int rc = open_table(&table, data, bytes);
    rc = rc < 0 ? rc : read_words(answer_words, COUNT_OF(answer_words), out, &table, body, NULL);
    return rc == 0 && (out->code > INT32_MAX || out->code < INT32_MIN) ? BB_ECORRUPT : rc;
}

int
bbi_bridge_info_read(struct bb_bridge_info *out, const struct bbi_bridge_answer_body *body)
{
    size_t size = out->size;
    memset(out, 0, sizeof(*out));
    out->size = size;
    return body->info.p == NULL
               ? BB_ENOENT
               : read_words(info_words, COUNT_OF(info_words), out, &body->info, NULL, NULL);
}

int
bbi_bridge_link_read(struct bb_link_info *out, struct bbi_bridge_answer_body *body)
{
    struct bb_value v;
    if (body->links.left == 0) {
        return BB_EEND;
    }
    memset(out, 0, sizeof(*out));
    int rc = bb_iter_next(&body->links, &v);
    return rc < 0 ? rc : read_words(link_words, COUNT_OF(link_words), out, &v, NULL, NULL);
}
