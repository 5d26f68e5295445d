/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bb_msg_json(): one JSON object for a message or a status, on one line.
 *
 *   {"t":RFC 3339,"topic":S,"node":S,"seq":N,"lost":N,"kind":S, and one of
 *       "event":S,"args":[JSON v1, ...][,"meta":[JSON v1, ...]]}    a native event
 *       "value":JSON v1}                                            a native value
 *       "data":S} or "base64":S}                                    anything else; base64 if not UTF-8
 *   Before these, of a message for somebody: "request":N or "reply":N, its number at who asks, or "direct":true
 *   "box":S stands behind "node" of a message that came over a link: it was published on that box.
 *   {"t":RFC 3339,"status":S,"node":S,"role":S,"pid":N,"count":N}
 *   {"t":RFC 3339,"status":S,"node":S,"text":S}                     what happened to a link; a gap also has
 *       "count":N,"uncertain":N,"bytes":N or null,"reasons":[S, ...]
 *
 * The payload may be a view that changes meanwhile: what is not well formed to the end is taken back, and
 * printed as data.
 */
#include "lib/value/text.h"
#include <busbar/endpoint.h>
#include <busbar/request.h>

static void
put_key(struct bbi_out *out, const char *key)
{
    bbi_out_str(out, ",\"");
    bbi_out_str(out, key);
    bbi_out_str(out, "\":");
}

static void
put_string(struct bbi_out *out, const char *key, const void *s, size_t bytes)
{
    put_key(out, key);
    bbi_out_quoted(out, s, bytes);
}

static void
put_name(struct bbi_out *out, const char *key, const char *name)
{
    put_string(out, key, name, name == NULL ? 0 : strlen(name));
}

static void
put_number(struct bbi_out *out, const char *key, uint64_t v)
{
    put_key(out, key);
    bbi_out_u64(out, v);
}

static void
put_time(struct bbi_out *out, int64_t wall_ns)
{
    int64_t s = wall_ns / 1000000000 - (wall_ns % 1000000000 < 0);
    int64_t ns = wall_ns % 1000000000;
    bbi_out_str(out, "{\"t\":\"");
    bbi_out_date(out, s);
    bbi_out_str(out, ".");
    bbi_out_digits(out, (uint64_t)(ns < 0 ? ns + 1000000000 : ns), 9);
    bbi_out_str(out, "Z\"");
}

static const char *
kind_name(uint32_t attr)
{
    static const char *const names[] = {"raw", "value", "event", "store", "control"};
    uint32_t kind = attr & BB_KIND_MASK;
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

static const char *
status_name(uint32_t kind)
{
    static const char *const names[] = {
        "unknown",   "joined",           "left",    "died",       "overrun",
        "evicted",   "corrupt",          "replies", "peer added", "peer removed",
        "peer lost", "peer unavailable", "gap",
    };
    return names[kind < sizeof(names) / sizeof(names[0]) ? kind : 0];
}

/* ---- payloads ---------------------------------------------------------------------------------- */

static bool
is_utf8(const unsigned char *p, size_t bytes)
{
    while (bytes > 0) {
        size_t step = bbi_utf8_bytes(p, bytes);
        if (step == 0) {
            return false;
        }
        p += step;
        bytes -= step;
    }
    return true;
}

static void
put_base64(struct bbi_out *out, const unsigned char *p, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        size_t n = bytes - i < 3 ? bytes - i : 3;
        uint32_t bits =
            (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        char four[4] = {
            digits[bits >> 18],
            digits[bits >> 12 & 63],
            n > 1 ? digits[bits >> 6 & 63] : '=',
            n > 2 ? digits[bits & 63] : '=',
        };
        bbi_out_bytes(out, four, sizeof(four));
    }
}

static void
put_data(struct bbi_out *out, const struct bb_msg *msg)
{
    if (is_utf8(msg->data, msg->bytes)) {
        put_string(out, "data", msg->data, msg->bytes);
        return;
    }
    put_key(out, "base64");
    bbi_out_str(out, "\"");
    put_base64(out, msg->data, msg->bytes);
    bbi_out_str(out, "\"");
}

/* The elements of a vector as an array. */
static int
put_list(struct bbi_out *out, const char *key, const struct bb_value *list)
{
    struct bb_iter it;
    struct bb_value v;
    const char *separator = "";
    int64_t count = bb_iter_open(&it, list);
    int rc = count < 0 ? (int)count : 0;
    put_key(out, key);
    bbi_out_str(out, "[");
    while (rc == 0 && (rc = bb_iter_next(&it, &v)) == 0) {
        bbi_out_str(out, separator);
        rc = bbi_json_value(out, &v);
        separator = ",";
    }
    bbi_out_str(out, "]");
    return rc == BB_EEND ? 0 : rc;
}

static int
put_event(struct bbi_out *out, const struct bb_msg *msg)
{
    struct bb_event ev;
    int rc = bb_event_open(&ev, msg->data, msg->bytes);
    if (rc < 0) {
        return rc;
    }
    put_string(out, "event", ev.name, ev.name_bytes);
    rc = put_list(out, "args", &ev.args);
    return rc < 0 || ev.metadata.p == NULL ? rc : put_list(out, "meta", &ev.metadata);
}

static int
put_value(struct bbi_out *out, const struct bb_msg *msg)
{
    struct bb_value v;
    int rc = bb_value_open(&v, msg->data, msg->bytes);
    if (rc < 0) {
        return rc;
    }
    put_key(out, "value");
    return bbi_json_value(out, &v);
}

static void
put_payload(struct bbi_out *out, const struct bb_msg *msg)
{
    size_t len = out->len;
    int rc = BB_ETYPE;
    switch (msg->attr & (BB_KIND_MASK | BB_FORMAT_MASK)) {
    case BB_EVENT | BB_NATIVE:
        rc = put_event(out, msg);
        break;
    case BB_VALUE | BB_NATIVE:
        rc = put_value(out, msg);
        break;
    default:
        break;
    }
    if (rc < 0) {
        out->len = len;
        put_data(out, msg);
    }
}

/* ---- links --------------------------------------------------------------------------------------- */

/* Why messages are missing; bits that have no name here are left out. */
static void
put_reasons(struct bbi_out *out, uint32_t reasons)
{
    static const char *const names[] = {"overrun", "oldest", "newest", "slow",
                                        "restart", "size",   "rights"};
    const char *separator = "";
    put_key(out, "reasons");
    bbi_out_str(out, "[");
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((reasons >> i & 1) != 0) {
            bbi_out_str(out, separator);
            bbi_out_quoted(out, names[i], strlen(names[i]));
            separator = ",";
        }
    }
    bbi_out_str(out, "]");
}

static void
put_link_status(struct bbi_out *out, const struct bb_msg *msg)
{
    const struct bb_status *status = msg->status;
    if (status->kind == BB_STATUS_PEER_ADDED) {
        put_key(out, "resumed");
        bbi_out_str(out, status->count == 0 ? "true" : "false");
    } else if (status->kind == BB_STATUS_GAP) {
        put_number(out, "count", status->count);
        put_number(out, "uncertain", status->uncertain);
        if (status->bytes != UINT64_MAX) {
            put_number(out, "bytes", status->bytes);
        } else {
            put_key(out, "bytes");
            bbi_out_str(out, "null");
        }
        put_reasons(out, status->reasons);
    }
    put_string(out, "text", msg->data, msg->bytes);
}

static void
put_box(struct bbi_out *out, const struct bb_msg *msg)
{
    struct bb_origin origin = {.size = sizeof(origin)};
    if (bb_msg_origin(msg, &origin) == 0) {
        put_name(out, "box", origin.box_name);
    }
}

/* ---- the object -------------------------------------------------------------------------------- */

static void
put_status(struct bbi_out *out, const struct bb_msg *msg)
{
    const struct bb_status *status = msg->status;
    put_name(out, "status", status_name(status->kind));
    put_name(out, "node", msg->node);
    if (status->kind >= BB_STATUS_PEER_ADDED && status->kind <= BB_STATUS_GAP) {
        put_link_status(out, msg);
        return;
    }
    put_name(out, "role", bb_role_name(status->role));
    put_key(out, "pid");
    bbi_out_i64(out, status->pid);
    put_number(out, "count", status->count);
}

static void
put_address(struct bbi_out *out, const struct bb_msg *msg)
{
    struct bb_request_info request;
    struct bb_reply_info reply;
    if (bb_msg_request(msg, &request) == 0) {
        put_number(out, "request", request.id);
    } else if (bb_msg_reply(msg, &reply) == 0) {
        put_number(out, "reply", reply.id);
    } else if (bb_msg_is_direct(msg)) {
        put_key(out, "direct");
        bbi_out_str(out, "true");
    }
}

static void
put_message(struct bbi_out *out, const struct bb_msg *msg)
{
    put_string(out, "topic", msg->topic, msg->topic_bytes);
    put_name(out, "node", msg->node);
    put_box(out, msg);
    put_number(out, "seq", msg->seq);
    put_number(out, "lost", msg->lost);
    put_name(out, "kind", kind_name(msg->attr));
    put_address(out, msg);
    put_payload(out, msg);
}

int64_t
bb_msg_json(const struct bb_msg *msg, char *out, size_t cap)
{
    struct bbi_out text;
    bbi_out_init(&text, out, cap);
    put_time(&text, msg->wall_ns);
    if (msg->status != NULL) {
        put_status(&text, msg);
    } else {
        put_message(&text, msg);
    }
    bbi_out_str(&text, "}");
    return bbi_out_finish(&text);
}
