/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What frames of the handshake and of control hold.  HELLO and WELCOME are parts, each u16 tag, u16 bytes, value:
 * a later version adds parts that this one skips.
 */
#include "lib/bridge/frame.h"

enum tag {
    TAG_NODE = 1,
    TAG_EPOCH = 2,
    TAG_CLUSTER = 3,
    TAG_NAME = 4,
    TAG_FEATURES = 5,
    TAG_FRAME_MAX = 6,
    TAG_MESSAGE_MAX = 7,
    TAG_TIME = 8,
    TAG_RECEIVED = 16,
    TAG_STREAM = 17,
    TAG_CREDIT = 18,
    TAGS = 32, /* ours; a bit for each that was seen */
};

static unsigned char *
put_part(unsigned char *p, enum tag tag, const void *value, size_t bytes)
{
    p = bbi_put_le16(p, (uint16_t)tag);
    p = bbi_put_le16(p, (uint16_t)bytes);
    return bbi_put_bytes(p, value, bytes);
}

static unsigned char *
put_part64(unsigned char *p, enum tag tag, uint64_t a)
{
    unsigned char value[8];
    (void)bbi_put_le64(value, a);
    return put_part(p, tag, value, sizeof(value));
}

static unsigned char *
put_part_pair(unsigned char *p, enum tag tag, uint64_t a, uint64_t b)
{
    unsigned char value[16];
    (void)bbi_put_le64(bbi_put_le64(value, a), b);
    return put_part(p, tag, value, sizeof(value));
}

static uint32_t
seal(unsigned char *out, const unsigned char *end, enum bbi_link_type type, uint8_t flags)
{
    uint32_t length = (uint32_t)(end - out);
    bbi_link_frame_seal(out, length, (uint8_t)type, flags, 0);
    return length;
}

/* ---- HELLO --------------------------------------------------------------------------------------------- */

uint32_t
bbi_hello_write(unsigned char *out, const struct bbi_hello *hello)
{
    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    p = put_part(p, TAG_NODE, hello->node.v, sizeof(hello->node.v));
    p = put_part64(p, TAG_EPOCH, hello->epoch);
    p = put_part(p, TAG_CLUSTER, hello->cluster, strnlen(hello->cluster, BBI_LINK_NAME_MAX));
    p = put_part(p, TAG_NAME, hello->name, strnlen(hello->name, BBI_LINK_NAME_MAX));
    p = put_part64(p, TAG_FEATURES, hello->features);
    p = put_part64(p, TAG_FRAME_MAX, hello->frame_max);
    p = put_part64(p, TAG_MESSAGE_MAX, hello->message_max);
    p = put_part_pair(p, TAG_TIME, (uint64_t)hello->time.mono_ns, (uint64_t)hello->time.wall_ns);
    return seal(out, p, BBI_LINK_HELLO, BBI_LINK_CRITICAL);
}

/* Names are shown to people and compared: printable ASCII only, else it is no name. */
static bool
take_name(struct bbi_wire *w, char out[BBI_LINK_NAME_MAX + 1])
{
    size_t bytes = w->left;
    const unsigned char *p = bbi_wire_bytes(w, bytes);
    if (bytes > BBI_LINK_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] <= ' ' || p[i] > '~') {
            return false;
        }
        out[i] = (char)p[i];
    }
    out[bytes] = '\0';
    return true;
}

static uint32_t
take_limit(struct bbi_wire *w)
{
    uint64_t v = bbi_wire_u64(w);
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* One part into *out; false when it is not as long as it must be. */
static bool
take_hello_part(struct bbi_hello *out, uint16_t tag, struct bbi_wire *w)
{
    switch (tag) {
    case TAG_NODE: {
        const unsigned char *id = bbi_wire_bytes(w, sizeof(out->node.v));
        if (id != NULL) {
            memcpy(out->node.v, id, sizeof(out->node.v));
        }
        break;
    }
    case TAG_EPOCH:
        out->epoch = bbi_wire_u64(w);
        break;
    case TAG_CLUSTER:
        return take_name(w, out->cluster);
    case TAG_NAME:
        return take_name(w, out->name);
    case TAG_FEATURES:
        out->features = bbi_wire_u64(w);
        break;
    case TAG_FRAME_MAX:
        out->frame_max = take_limit(w);
        break;
    case TAG_MESSAGE_MAX:
        out->message_max = take_limit(w);
        break;
    case TAG_TIME:
        out->time.mono_ns = (int64_t)bbi_wire_u64(w);
        out->time.wall_ns = (int64_t)bbi_wire_u64(w);
        break;
    default:
        return true;
    }
    return !w->is_short && w->left == 0;
}

/* The next part; false at the end or when it is not whole (w->is_short), or was there already. */
static bool
next_part(struct bbi_wire *w, uint16_t *tag, struct bbi_wire *value, uint32_t *seen)
{
    if (w->left == 0 || w->is_short) {
        return false;
    }
    *tag = bbi_wire_u16(w);
    uint16_t bytes = bbi_wire_u16(w);
    *value = (struct bbi_wire){.p = bbi_wire_bytes(w, bytes), .left = bytes};
    if (*tag < TAGS) {
        w->is_short |= (*seen >> *tag & 1) != 0;
        *seen |= UINT32_C(1) << *tag;
    }
    return !w->is_short;
}

static bool
has_parts(uint32_t seen, uint32_t wanted)
{
    return (seen & wanted) == wanted;
}

bool
bbi_hello_read(const struct bbi_link_frame *frame, struct bbi_hello *out)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    struct bbi_wire value;
    uint32_t seen = 0;
    uint16_t tag;
    memset(out, 0, sizeof(*out));
    while (next_part(&w, &tag, &value, &seen)) {
        if (!take_hello_part(out, tag, &value)) {
            return false;
        }
    }
    return !w.is_short && out->epoch != 0
           && has_parts(seen, 1u << TAG_NODE | 1u << TAG_EPOCH | 1u << TAG_FRAME_MAX
                                  | 1u << TAG_MESSAGE_MAX);
}

/* ---- WELCOME ------------------------------------------------------------------------------------------- */

uint32_t
bbi_welcome_write(unsigned char *out, const struct bbi_welcome *welcome)
{
    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    p = put_part_pair(p, TAG_RECEIVED, welcome->received_epoch, welcome->received);
    p = put_part_pair(p, TAG_STREAM, welcome->first, welcome->next);
    p = put_part_pair(p, TAG_CREDIT, welcome->credit_bytes, welcome->credit_messages);
    return seal(out, p, BBI_LINK_WELCOME, BBI_LINK_CRITICAL);
}

static bool
take_pair(struct bbi_wire *w, uint64_t *a, uint64_t *b)
{
    *a = bbi_wire_u64(w);
    *b = bbi_wire_u64(w);
    return !w->is_short && w->left == 0;
}

static bool
take_welcome_part(struct bbi_welcome *out, uint16_t tag, struct bbi_wire *w)
{
    switch (tag) {
    case TAG_RECEIVED:
        return take_pair(w, &out->received_epoch, &out->received);
    case TAG_STREAM:
        return take_pair(w, &out->first, &out->next);
    case TAG_CREDIT:
        return take_pair(w, &out->credit_bytes, &out->credit_messages);
    default:
        return true;
    }
}

bool
bbi_welcome_read(const struct bbi_link_frame *frame, struct bbi_welcome *out)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    struct bbi_wire value;
    uint32_t seen = 0;
    uint16_t tag;
    memset(out, 0, sizeof(*out));
    while (next_part(&w, &tag, &value, &seen)) {
        if (!take_welcome_part(out, tag, &value)) {
            return false;
        }
    }
    return !w.is_short && has_parts(seen, 1u << TAG_RECEIVED | 1u << TAG_STREAM | 1u << TAG_CREDIT)
           && out->first >= 1 && out->next >= out->first && out->next <= BBI_LINK_NUMBER_MAX
           && out->received <= BBI_LINK_NUMBER_MAX;
}

/* ---- CLOSE --------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t code;
    bool retry;
    const char *text;
} closes[] = {
#define BBI_CLOSE_ROW(name, value, retry, text) {name, (retry) != 0, text},
    BBI_CLOSE_LIST(BBI_CLOSE_ROW)
#undef BBI_CLOSE_ROW
};

/* Its row; the number of rows when there is none. */
static size_t
close_row(uint32_t code)
{
    size_t i = 0;
    while (i < sizeof(closes) / sizeof(closes[0]) && closes[i].code != code) {
        i++;
    }
    return i;
}

const char *
bbi_close_text(uint32_t code)
{
    size_t i = close_row(code);
    return i < sizeof(closes) / sizeof(closes[0]) ? closes[i].text
                                                  : "a reason that this version does not know";
}

bool
bbi_close_retry(uint32_t code)
{
    size_t i = close_row(code);
    return i == sizeof(closes) / sizeof(closes[0]) || closes[i].retry;
}

uint32_t
bbi_close_write(unsigned char *out, const struct bbi_close *close)
{
    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    size_t bytes = strnlen(close->sentence, BBI_LINK_SENTENCE_MAX);
    p = bbi_put_le16(p, close->code);
    p = bbi_put_le16(p, (uint16_t)bytes);
    p = bbi_put_bytes(p, close->sentence, bytes);
    return seal(out, p, BBI_LINK_CLOSE, BBI_LINK_CRITICAL);
}

bool
bbi_close_read(const struct bbi_link_frame *frame, struct bbi_close *out)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    out->code = bbi_wire_u16(&w);
    size_t bytes = bbi_wire_u16(&w);
    const unsigned char *p = bbi_wire_bytes(&w, bytes);
    if (p == NULL || bytes > BBI_LINK_SENTENCE_MAX) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        out->sentence[i] = p[i] >= ' ' && p[i] <= '~' ? (char)p[i] : '?';
    }
    out->sentence[bytes] = '\0';
    return true;
}

/* ---- PING, PONG, CREDIT ---------------------------------------------------------------------------------- */

uint32_t
bbi_ping_write(unsigned char *out, const void *echo, size_t bytes)
{
    BBI_ASSERT(bytes <= BBI_LINK_ECHO_MAX);
    return seal(out, bbi_put_bytes(out + BBI_LINK_HEADER_BYTES, echo, bytes), BBI_LINK_PING, 0);
}

uint32_t
bbi_pong_write(unsigned char *out, const struct bbi_pong *pong)
{
    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    p = bbi_put_le64(p, (uint64_t)pong->time.mono_ns);
    p = bbi_put_le64(p, (uint64_t)pong->time.wall_ns);
    p = bbi_put_bytes(p, pong->echo, pong->echo_bytes);
    return seal(out, p, BBI_LINK_PONG, 0);
}

bool
bbi_pong_read(const struct bbi_link_frame *frame, struct bbi_pong *out)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    out->time.mono_ns = (int64_t)bbi_wire_u64(&w);
    out->time.wall_ns = (int64_t)bbi_wire_u64(&w);
    out->echo = w.p;
    out->echo_bytes = (uint16_t)w.left;
    return !w.is_short && w.left <= BBI_LINK_ECHO_MAX;
}

uint32_t
bbi_credit_write(unsigned char *out, const struct bbi_credit *credit)
{
    unsigned char *p = out + BBI_LINK_HEADER_BYTES;
    p = bbi_put_le64(p, credit->bytes);
    p = bbi_put_le64(p, credit->messages);
    p = bbi_put_le64(p, credit->received);
    return seal(out, p, BBI_LINK_CREDIT, BBI_LINK_CRITICAL);
}

bool
bbi_credit_read(const struct bbi_link_frame *frame, struct bbi_credit *out)
{
    struct bbi_wire w = {.p = frame->body, .left = frame->body_bytes};
    out->bytes = bbi_wire_u64(&w);
    out->messages = bbi_wire_u64(&w);
    out->received = bbi_wire_u64(&w);
    return !w.is_short;
}

/* ---- INTEREST ------------------------------------------------------------------------------------------ */

unsigned char *
bbi_interest_write(unsigned char *p, const struct bbi_interest *interest)
{
    p = bbi_put_u8(p, interest->is_removed);
    p = bbi_put_u8(p, interest->flags);
    p = bbi_put_u8(p, interest->scope);
    p = bbi_put_u8(p, 0);
    p = bbi_put_le16(p, (uint16_t)interest->prefix_bytes);
    return bbi_put_bytes(p, interest->prefix, interest->prefix_bytes);
}

int
bbi_interest_next(struct bbi_wire *w, struct bbi_interest *out)
{
    if (w->left == 0) {
        return 0;
    }
    uint8_t is_removed = bbi_wire_u8(w);
    out->flags = bbi_wire_u8(w);
    out->scope = bbi_wire_u8(w);
    (void)bbi_wire_u8(w);
    out->prefix_bytes = bbi_wire_u16(w);
    out->prefix = (const char *)bbi_wire_bytes(w, out->prefix_bytes);
    out->is_removed = is_removed == 1;
    return w->is_short || is_removed > 1 || out->flags > 1 || out->scope > BBI_SCOPE_GLOBAL ? -1
                                                                                            : 1;
}
