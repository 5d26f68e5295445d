/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/bridge/greet.h"

#include <stdarg.h>
#include <stdio.h>

static void
speak(struct bbi_greet *g)
{
    bbi_link_preface_write(g->out + g->out_bytes);
    g->out_bytes += BBI_LINK_PREFACE_BYTES;
    g->out_bytes += bbi_hello_write(g->out + g->out_bytes, &g->self);
}

void
bbi_greet_init(struct bbi_greet *g,
               enum bbi_link_role role,
               const struct bbi_hello *self,
               int64_t deadline_ns)
{
    memset(g, 0, sizeof(*g));
    g->role = role;
    g->self = *self;
    g->self.frame_max = BBI_LINK_FRAME_MAX;
    g->deadline_ns = deadline_ns;
    if (role == BBI_ROLE_DIALED) {
        speak(g);
    }
}

void
bbi_greet_refuse(struct bbi_greet *g, enum bbi_close_code code, const char *format, ...)
{
    va_list ap;
    if (g->state == BBI_GREET_REFUSED) {
        return;
    }
    if (g->out_bytes == 0) { /* even who is refused is told in which protocol */
        bbi_link_preface_write(g->out);
        g->out_bytes = BBI_LINK_PREFACE_BYTES;
    }
    g->state = BBI_GREET_REFUSED;
    g->close.code = (uint16_t)code;
    va_start(ap, format);
    (void)vsnprintf(g->close.sentence, sizeof(g->close.sentence), format, ap);
    va_end(ap);
    g->out_bytes += bbi_close_write(g->out + g->out_bytes, &g->close);
}

/* Takes bytes until in holds want of them; true when it does. */
static bool
fill(struct bbi_greet *g, size_t want, const unsigned char **p, size_t *left)
{
    size_t count = want - g->in_bytes < *left ? want - g->in_bytes : *left;
    (void)bbi_put_bytes(g->in + g->in_bytes, *p, count);
    g->in_bytes += (uint32_t)count;
    *p += count;
    *left -= count;
    return g->in_bytes == want;
}

static void
refuse_stranger(struct bbi_greet *g, enum bbi_link_looks looks)
{
    if (looks == BBI_LOOKS_TLS) {
        bbi_greet_refuse(
            g, BBI_CLOSE_TLS,
            "the other side speaks TLS, this side does not: give both ends keys, or neither");
    } else if (looks == BBI_LOOKS_TEXT) {
        bbi_greet_refuse(
            g, BBI_CLOSE_NOT_BUSBAR,
            "the other side speaks a protocol of text, not busbar's: is it the right port?");
    } else {
        bbi_greet_refuse(
            g, BBI_CLOSE_NOT_BUSBAR,
            "the other side does not speak busbar's link protocol: is it the right port?");
    }
}

static void
take_preface(struct bbi_greet *g)
{
    uint16_t min;
    uint16_t max;
    g->has_preface = true;
    g->in_bytes = 0;
    g->version = bbi_link_preface_version(g->in, &min, &max);
    if (g->version == 0) {
        bbi_greet_refuse(
            g, BBI_CLOSE_VERSION,
            "the other side speaks versions %u to %u of the link protocol, this side %d to %d: "
            "bring both to one release",
            min, max, BBI_LINK_VERSION_MIN, BBI_LINK_VERSION_MAX);
    } else if (g->role == BBI_ROLE_ACCEPTED) {
        speak(g);
    }
}

static void
check_peer(struct bbi_greet *g)
{
    if (bbi_link_id_compare(&g->self.node, &g->peer.node) == 0) {
        bbi_greet_refuse(g, BBI_CLOSE_SELF,
                         "this address is that of the node itself: name another box as peer");
    } else if (strcmp(g->self.cluster, g->peer.cluster) != 0) {
        bbi_greet_refuse(
            g, BBI_CLOSE_CLUSTER,
            "the other side is of cluster '%s', this side of '%s': a link joins one cluster",
            g->peer.cluster, g->self.cluster);
    } else if (g->peer.frame_max < BBI_LINK_FRAME_MAX
               || g->peer.message_max < BBI_LINK_MESSAGE_MIN) {
        bbi_greet_refuse(g, BBI_CLOSE_LIMIT,
                         "the other side takes frames of %u bytes and messages of %u; each side "
                         "must take %d and %d",
                         g->peer.frame_max, g->peer.message_max, BBI_LINK_FRAME_MAX,
                         BBI_LINK_MESSAGE_MIN);
    } else {
        g->state = BBI_GREET_KNOWN;
    }
}

static void
take_frame(struct bbi_greet *g, const struct bbi_link_frame *frame)
{
    if (frame->type == BBI_LINK_CLOSE && bbi_close_read(frame, &g->close)) {
        g->state = BBI_GREET_REFUSED;
        g->is_remote = true;
        g->out_done = g->out_bytes; /* nobody reads it any more */
    } else if (frame->type != BBI_LINK_HELLO) {
        bbi_greet_refuse(g, BBI_CLOSE_PROTOCOL, "the first frame is of type %u, not HELLO",
                         frame->type);
    } else if (!bbi_hello_read(frame, &g->peer)) {
        bbi_greet_refuse(g, BBI_CLOSE_PROTOCOL, "HELLO is not well formed");
    } else {
        check_peer(g);
    }
}

/* What in holds begins a frame: true when there is no more to do with it now. */
static bool
try_frame(struct bbi_greet *g, uint32_t *want)
{
    struct bbi_link_frame frame;
    switch (bbi_link_frame_read(g->in, g->in_bytes, sizeof(g->in), &frame, want)) {
    case BBI_LINK_READ_MORE:
        return false;
    case BBI_LINK_READ_OK:
        take_frame(g, &frame);
        break;
    case BBI_LINK_READ_LENGTH:
        bbi_greet_refuse(g, BBI_CLOSE_LIMIT,
                         "HELLO is longer than %d bytes or shorter than a header",
                         BBI_LINK_HELLO_MAX);
        break;
    case BBI_LINK_READ_CHECK:
        bbi_greet_refuse(g, BBI_CLOSE_CHECKSUM,
                         "HELLO was changed on the way: its checksum is wrong");
        break;
    }
    return true;
}

static void
receive_frame(struct bbi_greet *g, const unsigned char **p, size_t *left)
{
    uint32_t want = BBI_LINK_HEADER_BYTES;
    if (g->in_bytes >= want) {
        (void)try_frame(g, &want); /* its length was seen before */
    }
    while (fill(g, want, p, left)) {
        if (try_frame(g, &want)) {
            return;
        }
    }
}

static void
receive_preface(struct bbi_greet *g, const unsigned char **p, size_t *left)
{
    bool is_whole = fill(g, BBI_LINK_PREFACE_BYTES, p, left);
    enum bbi_link_looks looks = bbi_link_looks(g->in, g->in_bytes);
    if (looks > BBI_LOOKS_BUSBAR) {
        refuse_stranger(g, looks);
    } else if (is_whole) {
        take_preface(g);
    }
}

size_t
bbi_greet_receive(struct bbi_greet *g, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    size_t left = bytes;
    if (g->state == BBI_GREET_REFUSED) {
        return bytes; /* whatever it still says */
    }
    if (!g->has_preface && left > 0) {
        receive_preface(g, &p, &left);
    }
    if (g->has_preface && g->state == BBI_GREET_WAITING && left > 0) {
        receive_frame(g, &p, &left);
    }
    return bytes - left;
}

size_t
bbi_greet_output(const struct bbi_greet *g, const void **out)
{
    *out = g->out + g->out_done;
    return g->out_bytes - g->out_done;
}

void
bbi_greet_sent(struct bbi_greet *g, size_t bytes)
{
    BBI_ASSERT(bytes <= g->out_bytes - g->out_done);
    g->out_done += (uint32_t)bytes;
}

void
bbi_greet_tick(struct bbi_greet *g, int64_t mono_ns)
{
    if (g->state == BBI_GREET_WAITING && mono_ns >= g->deadline_ns) {
        bbi_greet_refuse(
            g, BBI_CLOSE_HANDSHAKE,
            "the other side did not say who it is in time: is a busbard listening there?");
    }
}
