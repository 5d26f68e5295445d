/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/message.c - bytes that claim to be a value or an event and are not are shown as raw bytes.
 */
#include "tools/cli/message.h"

#include "tools/cli/format.h"
#include <busbar/value.h>
#include <string.h>

/* put_sized - what a function in the manner of snprintf writes; returns a status. */
static int64_t
put_sized(struct cli_buffer *out,
          int64_t (*write)(const void *thing, char *p, size_t cap),
          const void *thing)
{
    size_t cap = 512;
    for (;;) {
        char *room = cli_buffer_room(out, cap);
        if (room == NULL) {
            return out->err;
        }
        int64_t need = write(thing, room, cap);
        if (need < 0) {
            return need;
        }
        if ((size_t)need < cap) {
            out->bytes += (size_t)need;
            return need;
        }
        cap = (size_t)need + 1; /* a view may change meanwhile: then once more */
    }
}

static int64_t
write_json(const void *thing, char *p, size_t cap)
{
    return bb_msg_json(thing, p, cap);
}

static int64_t
write_text(const void *thing, char *p, size_t cap)
{
    return bb_value_text(thing, p, cap);
}

/* put_content - the text form of a native value or event, else the bytes; into an empty buffer. */
static void
put_content(struct cli_buffer *content, const struct bb_msg *msg)
{
    int native = (msg->attr & BB_FORMAT_MASK) == BB_NATIVE;
    struct bb_event event;
    struct bb_value value;

    if (native && (msg->attr & BB_KIND_MASK) == BB_EVENT
        && bb_event_open(&event, msg->data, msg->bytes) == 0) {
        cli_buffer_put(content, event.name, event.name_bytes);
        if (put_sized(content, write_text, &event.args) >= 0) {
            return;
        }
    } else if (native && (msg->attr & BB_KIND_MASK) == BB_VALUE
               && bb_value_open(&value, msg->data, msg->bytes) == 0) {
        if (put_sized(content, write_text, &value) >= 0) {
            return;
        }
    }
    content->bytes = 0;
    cli_buffer_put(content, msg->data, msg->bytes);
}

static const char *
status_word(uint32_t kind)
{
    switch (kind) {
    case BB_STATUS_JOINED:
        return "joined";
    case BB_STATUS_LEFT:
        return "left";
    case BB_STATUS_DIED:
        return "died";
    case BB_STATUS_OVERRUN:
        return "overran us";
    case BB_STATUS_EVICTED:
        return "evicted us";
    case BB_STATUS_CORRUPT:
        return "is not readable";
    case BB_STATUS_PEER_ADDED:
        return "peer added";
    case BB_STATUS_PEER_REMOVED:
        return "peer removed";
    case BB_STATUS_PEER_LOST:
        return "peer lost";
    case BB_STATUS_PEER_UNAVAILABLE:
        return "peer unavailable";
    case BB_STATUS_GAP:
        return "gap";
    default:
        return "changed";
    }
}

/* put_link_status - `* north: peer lost: ...`; `* north: gap, 12 messages lost, 2 of them perhaps not: ...`. */
static void
put_link_status(struct cli_buffer *out, const struct bb_msg *msg)
{
    const struct bb_status *status = msg->status;
    cli_buffer_puts(out, "* ");
    cli_put_escaped(out, msg->node, strlen(msg->node), 0);
    cli_buffer_printf(out, ": %s", status_word(status->kind));
    if (status->kind == BB_STATUS_GAP) {
        cli_buffer_printf(out, ", %llu messages lost", (unsigned long long)status->count);
    }
    if (status->kind == BB_STATUS_GAP && status->uncertain > 0) {
        cli_buffer_printf(out, ", %llu of them perhaps not", (unsigned long long)status->uncertain);
    }
    cli_buffer_puts(out, ": ");
    cli_put_escaped(out, msg->data, msg->bytes, 0);
    cli_buffer_puts(out, "\n");
}

/* put_status - `* worker-1 joined (pid 12, worker)`. */
static void
put_status(struct cli_buffer *out, const struct bb_msg *msg)
{
    const struct bb_status *status = msg->status;
    if (status->kind >= BB_STATUS_PEER_ADDED && status->kind <= BB_STATUS_GAP) {
        put_link_status(out, msg);
        return;
    }
    cli_buffer_printf(out, "* %s %s (pid %lld, %s", msg->node != NULL ? msg->node : "?",
                      status_word(status->kind), (long long)status->pid,
                      bb_role_name(status->role));
    if (status->kind == BB_STATUS_OVERRUN) {
        cli_buffer_printf(out, ", %llu messages lost", (unsigned long long)status->count);
    } else if (status->kind == BB_STATUS_EVICTED) {
        cli_buffer_printf(out, ", time %llu", (unsigned long long)status->count);
    }
    cli_buffer_puts(out, ")\n");
}

void
cli_put_message(struct cli_buffer *out, const struct bb_msg *msg, enum cli_form form)
{
    struct cli_buffer content = {0};

    if (form == CLI_FORM_JSON) {
        int64_t rc = put_sized(out, write_json, msg);
        if (rc < 0 && out->err == 0) {
            out->err = (int)rc;
        }
        cli_buffer_puts(out, "\n");
        return;
    }
    if (msg->status != NULL) {
        put_status(out, msg);
        return;
    }
    put_content(&content, msg);
    if (form == CLI_FORM_DATA) {
        cli_buffer_put(out, content.p, content.bytes);
    } else {
        cli_put_escaped(out, msg->topic, msg->topic_bytes, 1);
        cli_buffer_puts(out, content.bytes > 0 ? " " : "");
        cli_put_escaped(out, content.p, content.bytes, 0);
    }
    if (content.err != 0) {
        out->err = content.err;
    }
    cli_buffer_puts(out, "\n");
    cli_buffer_free(&content);
}
