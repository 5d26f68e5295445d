/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/settings.h - what a bridge should be, as flags and file say it, by one table of keys.
 *
 * Used by    options (each flag is a key), config (each line of [bridge] is a key), main.
 * Owner      The struct owns its texts and lists: daemon_settings_fini().
 * Unsaid     NULL, 0, or DAEMON_UNSAID: a merge looks at that, and the library has the defaults.
 */
#ifndef BUSBAR_TOOLS_DAEMON_SETTINGS_H
#define BUSBAR_TOOLS_DAEMON_SETTINGS_H

#include "lib/link/daemon.h"
#include <stddef.h>

enum { DAEMON_UNSAID = -1, DAEMON_NAME_MAX = 63 /* bytes of a box's name */ };

/* What is wrong, in words; the caller says where. */
struct daemon_wrong {
    char text[512];
};
/* daemon_wrong_set - fills it and returns -1, so that a mistake is one line. */
__attribute__((format(printf, 2, 3))) int
daemon_wrong_set(struct daemon_wrong *wrong, const char *format, ...);

struct daemon_peer {
    char *name; /* NULL: the host */
    char *host; /* NULL: it is not dialed */
    uint16_t port;
    int slow; /* enum bb_slow or DAEMON_UNSAID */
    uint64_t queue_bytes;
};

struct daemon_place {
    char *host;
    uint16_t port;
};

struct daemon_settings {
    char *dir, *bus, *name, *cluster;
    char *cert, *key, *ca, *crl, *psk, *rights; /* paths */
    int engine;                                 /* 0 auto, 1 io_uring, 2 epoll, DAEMON_UNSAID */
    int insecure;                               /* 0, 1, DAEMON_UNSAID */
    int compress;                               /* 0, 1, DAEMON_UNSAID */
    int slow;                                   /* of peers that do not say theirs */
    uint64_t queue_bytes, ring_bytes;
    int64_t retry_max_ns;
    struct daemon_place *listen;
    size_t listen_count;
    struct daemon_peer *peers;
    size_t peer_count;
    char **topics;
    size_t topic_count;
};

enum daemon_type {
    DAEMON_WORD,   /* char *, not empty */
    DAEMON_NAME,   /* the same, at most DAEMON_NAME_MAX bytes */
    DAEMON_PATH,   /* char *; in a file, relative to that file's directory */
    DAEMON_ENGINE, /* int */
    DAEMON_SLOW,   /* int */
    DAEMON_YES,    /* int; a flag without a value */
    DAEMON_BYTES,  /* uint64_t, above zero */
    DAEMON_SPAN,   /* int64_t nanoseconds, above zero; written in seconds */
    DAEMON_PLACES, /* listen */
    DAEMON_PEERS,  /* peers */
    DAEMON_TOPICS, /* topics */
};

struct daemon_key {
    const char *name; /* NULL ends the table */
    enum daemon_type type;
    size_t offset;
    const char *arg; /* what the help calls its value */
    const char *help;
    bool is_flag_only;
};
extern const struct daemon_key daemon_keys[];

/* daemon_key_find - by name; NULL. */
const struct daemon_key *daemon_key_find(const char *name);

void daemon_settings_init(struct daemon_settings *s); /* nothing is said */
void daemon_settings_fini(struct daemon_settings *s);

/*
 * daemon_settings_set - one value of one key.  A list takes one more; what is no list and said already is refused.
 *
 * dir       a relative path begins here; NULL: paths stay as they are.
 * Returns   0; -1 with what is wrong.
 */
int daemon_settings_set(struct daemon_settings *s,
                        const struct daemon_key *key,
                        const char *value,
                        const char *dir,
                        struct daemon_wrong *wrong);

/* Keys of one peer: address, slow, queue. */
extern const char *const daemon_peer_keys[]; /* NULL ends it */
int daemon_peer_set(struct daemon_peer *peer,
                    const char *key,
                    const char *value,
                    struct daemon_wrong *wrong);
/* daemon_settings_peer - a new one of this name (NULL: not named), last in the list; NULL: no memory. */
struct daemon_peer *daemon_settings_peer(struct daemon_settings *s, const char *name);

/* daemon_settings_check - what only the whole can be wrong about: a place or a peer that stands there twice. */
int daemon_settings_check(const struct daemon_settings *s, struct daemon_wrong *wrong);

/*
 * daemon_settings_merge - *out (to be fini'd) is `file` with what `flags` say over it.  A list of flags takes the place of
 * the file's.  A kind of security that flags name takes the place of the file's other kind.
 *
 * Returns   0; -1 no memory.
 */
int daemon_settings_merge(struct daemon_settings *out,
                          const struct daemon_settings *file,
                          const struct daemon_settings *flags);

/* What the library takes; it points into the settings. */
struct daemon_opts {
    struct bbi_daemon_opts opts;
    struct bbi_daemon_place *listen;
    struct bbi_daemon_peer *peers;
};
/* daemon_opts_make - 0; -1 no memory.  daemon_opts_free(). */
int daemon_opts_make(struct daemon_opts *out, const struct daemon_settings *s);
void daemon_opts_free(struct daemon_opts *opts);

#endif
