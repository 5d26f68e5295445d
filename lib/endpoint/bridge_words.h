/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/bridge_words.h - what programs and the busbard of their bus say to each other, as native values.
 *
 *   program ──► request on `<$>bridge/ask`, to the node `busbard`: a table of fields
 *           ◄── one reply or several, each a table of fields; `links` come some at a time, BB_REPLY_MORE between them
 *
 * Used by    lib/endpoint/bridge.c (programs), lib/link/control.c (busbard), fuzzers.
 * Versions   Fields go by name.  One that is zero or empty is left out, one that is not known is passed over: so an older
 *            `busbar` and a newer busbard understand each other.  A request that is not known is refused by its name.
 * Input      Comes from another process: all of it is checked before any of it is used.  In a request a wrong type or a
 *            text that is too long is refused by the field's name; in an answer a text that is too long is cut.
 */
#ifndef BUSBAR_LIB_ENDPOINT_BRIDGE_WORDS_H
#define BUSBAR_LIB_ENDPOINT_BRIDGE_WORDS_H

#include "busbar/bridge.h"
#include "busbar/value.h"
#include "shm/fault.h"

#define BBI_BRIDGE_NODE   "busbard" /* the name under which a bridge attaches */
#define BBI_BRIDGE_PREFIX "<$>bridge/"
#define BBI_BRIDGE_ASK    BBI_BRIDGE_PREFIX "ask"

enum {
    BBI_BRIDGE_HOST_BYTES =
        120, /* with NUL: `[HOST]:PORT` fits in an address of struct bb_link_info */
    BBI_BRIDGE_NAME_BYTES = 64, /* with NUL: of a box */
    BBI_BRIDGE_ASK_MAX = 1024,  /* bytes: bbi_bridge_ask_write() never needs more */
    BBI_BRIDGE_LINKS_EACH = 12, /* links in one reply */
    BBI_BRIDGE_ANSWER_MAX =
        48 << 10, /* bytes: bbi_bridge_answer_write() never needs more, with so many links */
};

/* ---- requests ---- */

enum bbi_bridge_ask_kind {
    BBI_ASK_NONE = 0, /* none that is known here */
    BBI_ASK_LISTEN = 1,
    BBI_ASK_UNLISTEN = 2,
    BBI_ASK_PEER = 3,
    BBI_ASK_UNPEER = 4,
    BBI_ASK_KNOWN = 5, /* are our interests known everywhere?  bb_interest_wait() */
    BBI_ASK_INFO = 6,
    BBI_ASK_LINKS = 7,
};
const char *
bbi_bridge_ask_name(enum bbi_bridge_ask_kind kind); /* as it stands in the request; NONE: "" */

struct bbi_bridge_ask {
    char request[16]; /* bbi_bridge_ask_name() */
    char host[BBI_BRIDGE_HOST_BYTES];
    char name[BBI_BRIDGE_NAME_BYTES]; /* PEER: of the other box; "": the host */
    uint32_t port;
    uint32_t flags; /* BB_PEER_... */
    uint32_t slow;  /* enum bb_slow */
    uint64_t queue_bytes;
    uint64_t max;    /* LINKS: of them at most */
    int64_t wait_ns; /* how long busbard may wait for the outcome; INT64_MAX: without bound */
};

/* bbi_bridge_ask_write - bytes, or a status of bb_build_end(). */
BB_MUST_USE int64_t bbi_bridge_ask_write(void *buf, size_t cap, const struct bbi_bridge_ask *ask);
/*
 * bbi_bridge_ask_read - *out is private to the caller and all its texts end in NUL, have no NUL before, and are no longer than
 * their room.
 *
 * Returns   the enum bbi_bridge_ask_kind (also NONE: out->request says what); BB_ECORRUPT, BB_ETYPE, BB_ERANGE,
 *           BB_ENAMETOOLONG, BB_EINVAL a field that must be there is not: f says which.
 */
BB_MUST_USE int bbi_bridge_ask_read(struct bbi_bridge_ask *out,
                                    const void *data,
                                    size_t bytes,
                                    struct bbi_fault *f);

/* bbi_bridge_address - `HOST:PORT`, `[::1]:PORT`: as people write it, and as links are named. */
const char *bbi_bridge_address(char *out, size_t cap, const char *host, uint16_t port);

/* ---- answers ---- */

struct bbi_bridge_answer {
    int64_t code;       /* a status: 0 or more is good */
    char sentence[512]; /* why not; "" */
    uint32_t port;      /* LISTEN: that it got */
    uint64_t count;     /* KNOWN: boxes; LINKS: of all links */
};

struct bbi_bridge_answer_parts {
    const struct bb_bridge_info *info; /* NULL: none */
    const struct bb_link_info *links;
    size_t link_count; /* at most BBI_BRIDGE_LINKS_EACH */
};
/* bbi_bridge_answer_write - parts may be NULL.  Bytes, or a status of bb_build_end(). */
BB_MUST_USE int64_t bbi_bridge_answer_write(void *buf,
                                            size_t cap,
                                            const struct bbi_bridge_answer *answer,
                                            const struct bbi_bridge_answer_parts *parts);

struct bbi_bridge_answer_body {
    struct bb_value info; /* p NULL: none */
    struct bb_iter links;
};
/*
 * bbi_bridge_answer_read - 0; BB_ECORRUPT, BB_ETYPE.  *body points into data.
 * bbi_bridge_info_read, bbi_bridge_link_read - *out whole, but for the size of a bb_bridge_info; link: BB_EEND after the last.
 */
BB_MUST_USE int bbi_bridge_answer_read(struct bbi_bridge_answer *out,
                                       struct bbi_bridge_answer_body *body,
                                       const void *data,
                                       size_t bytes);
BB_MUST_USE int bbi_bridge_info_read(struct bb_bridge_info *out,
                                     const struct bbi_bridge_answer_body *body);
BB_MUST_USE int bbi_bridge_link_read(struct bb_link_info *out, struct bbi_bridge_answer_body *body);

#endif
