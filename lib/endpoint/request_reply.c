/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_reply.c - the responder's side.
 */
#include "lib/endpoint/request_impl.h"
#include "shm/os.h"

/* Gone as far as the table of subscribers says: no system call for one that lives. */
static bool
is_gone(const struct bb_publisher *pub, const struct bbi_address *a)
{
    struct bbi_row row;
    return !bbi_row_read(&pub->ep->at.bus->subs[a->sub_index], &row) || row.key != a->sub_key
           || row.state != BBI_ENTRY_ACTIVE;
}

static int
refuse(struct bb_publisher *pub, int status)
{
    pub->unheard++;
    return status;
}

static int
reply(struct bb_publisher *pub, const struct bb_request_info *to, struct bbi_addressed *msg)
{
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    msg->to.kind = BBI_TO_REPLY;
    msg->to.id = to->id;
    msg->to.to_node = to->node_id;
    msg->to.sub_key = to->opaque[0];
    msg->to.asked_key = to->opaque[1];
    msg->to.sub_index = (uint32_t)to->opaque[2];
    msg->to.asked_index = (uint32_t)(to->opaque[2] >> 32);
    if (msg->to.sub_index >= BBI_SUBS || (msg->data == NULL && msg->bytes > 0)) {
        return BB_EINVAL;
    }
    if (is_gone(pub, &msg->to)) {
        return refuse(pub, BB_EPEERGONE);
    }
    if (to->deadline_ns != INT64_MAX && bbi_os_mono_ns() >= to->deadline_ns) {
        return refuse(pub, BB_ETIMEDOUT);
    }
    msg->topic = "";
    msg->attr |= BB_REPLY;
    return bbi_address_write(pub, msg);
}

int
bb_reply(struct bb_publisher *pub,
         const struct bb_request_info *to,
         const void *data,
         size_t bytes,
         uint32_t attr)
{
    struct bbi_addressed msg = {.data = data, .bytes = bytes, .attr = attr};
    msg.to.flags = (attr & BB_REPLY_MORE) != 0 ? BBI_REPLY_HAS_MORE : 0;
    return reply(pub, to, &msg);
}

int
bb_reply_error(struct bb_publisher *pub,
               const struct bb_request_info *to,
               int code,
               const char *sentence)
{
    if (code >= 0 || sentence == NULL) {
        return BB_EINVAL;
    }
    struct bbi_addressed msg = {.data = sentence, .bytes = strlen(sentence), .attr = BB_RAW};
    msg.to.flags = BBI_REPLY_IS_ERROR;
    msg.to.code = code;
    return reply(pub, to, &msg);
}
