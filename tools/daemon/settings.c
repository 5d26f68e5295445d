/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/daemon/settings.h"

#include "tools/daemon/words.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct daemon_settings, member)

/* In the order of the help. */
const struct daemon_key daemon_keys[] = {
    {"bus", DAEMON_WORD, AT(bus), "NAME", "the bus to link (else $BUSBAR_BUS, else \"default\")",
     false},
    {"dir", DAEMON_WORD, AT(dir), "DIR", "directory that holds the buses (else $BUSBAR_DIR)",
     false},
    {"listen", DAEMON_PLACES, AT(listen), "HOST:PORT", "others may link to us here; port 0: any",
     false},
    {"peer", DAEMON_PEERS, AT(peers), "[NAME@]HOST:PORT", "keep a link to the busbard there", true},
    {"topics", DAEMON_TOPICS, AT(topics), "PREFIX", "only topics that begin so pass, either way",
     false},
    {"engine", DAEMON_ENGINE, AT(engine), "ENGINE", "auto, io_uring or epoll", false},
    {"cert", DAEMON_PATH, AT(cert), "FILE", "certificate of this box (PEM)", false},
    {"key", DAEMON_PATH, AT(key), "FILE", "its private key (PEM, mode 0600)", false},
    {"ca", DAEMON_PATH, AT(ca), "FILE", "certificates of the CAs that we trust (PEM)", false},
    {"crl", DAEMON_PATH, AT(crl), "FILE", "what these CAs have revoked (PEM)", false},
    {"psk", DAEMON_PATH, AT(psk), "FILE", "instead: a pre-shared key, 64 hexadecimal digits",
     false},
    {"insecure", DAEMON_YES, AT(insecure), NULL, "instead: neither encrypted nor asked who it is",
     false},
    {"name", DAEMON_NAME, AT(name), "NAME",
     "of this box (else its certificate's, else the host's and four digits)", false},
    {"cluster", DAEMON_NAME, AT(cluster), "NAME", "only boxes of this cluster", false},
    {"compress", DAEMON_YES, AT(compress), NULL,
     "with LZ4, where the other side says so too; see busbard(8) before", false},
    {"rights", DAEMON_PATH, AT(rights), "FILE", "what each peer may do with which topics", false},
    {"slow", DAEMON_SLOW, AT(slow), "POLICY",
     "of a full queue: drop-oldest, drop-newest or disconnect", false},
    {"queue", DAEMON_BYTES, AT(queue_bytes), "BYTES", "that wait for one peer at most (8M)", false},
    {"ring", DAEMON_BYTES, AT(ring_bytes), "BYTES",
     "of the ring that holds what one peer sent (8M)", false},
    {"retry-max", DAEMON_SPAN, AT(retry_max_ns), "SECONDS",
     "the longest pause between two attempts to link (30)", false},
    {.name = NULL},
};
const char *const daemon_peer_keys[] = {"address", "slow", "queue", NULL};

int
daemon_wrong_set(struct daemon_wrong *wrong, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(wrong->text, sizeof(wrong->text), format, args);
    va_end(args);
    return -1;
}

const struct daemon_key *
daemon_key_find(const char *name)
{
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        if (strcmp(key->name, name) == 0) {
            return key;
        }
    }
    return NULL;
}

void
daemon_settings_init(struct daemon_settings *s)
{
    *s = (struct daemon_settings){.engine = DAEMON_UNSAID,
                                  .insecure = DAEMON_UNSAID,
                                  .compress = DAEMON_UNSAID,
                                  .slow = DAEMON_UNSAID};
}

void
daemon_settings_fini(struct daemon_settings *s)
{
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        if (key->type == DAEMON_WORD || key->type == DAEMON_NAME || key->type == DAEMON_PATH) {
            free(*(char **)(void *)((unsigned char *)s + key->offset));
        }
    }
    for (size_t i = 0; i < s->listen_count; i++) {
        free(s->listen[i].host);
    }
    for (size_t i = 0; i < s->peer_count; i++) {
        free(s->peers[i].name);
        free(s->peers[i].host);
    }
    for (size_t i = 0; i < s->topic_count; i++) {
        free(s->topics[i]);
    }
    free(s->listen);
    free(s->peers);
    free(s->topics);
    daemon_settings_init(s);
}

/* ---- lists ---- */

/* grow - room for one more; the new place, zeroed, or NULL. */
static void *
grow(void **list, size_t *count, size_t bytes)
{
    void *larger = reallocarray(*list, *count + 1, bytes);
    if (larger == NULL) {
        return NULL;
    }
    *list = larger;
    unsigned char *place = (unsigned char *)larger + *count * bytes;
    memset(place, 0, bytes);
    ++*count;
    return place;
}

static int
no_memory(struct daemon_wrong *wrong)
{
    return daemon_wrong_set(wrong, "no memory");
}

static int
add_place(struct daemon_settings *s, const char *value, struct daemon_wrong *wrong)
{
    struct daemon_place place = {.port = 0};
    if (daemon_read_place(value, &place.host, &place.port, wrong) != 0) {
        return -1;
    }
    void *list = s->listen;
    struct daemon_place *added = grow(&list, &s->listen_count, sizeof(place));
    s->listen = list;
    if (added == NULL) {
        free(place.host);
        return no_memory(wrong);
    }
    *added = place;
    return 0;
}

static struct daemon_peer *
add_peer(struct daemon_settings *s, struct daemon_peer peer)
{
    void *list = s->peers;
    struct daemon_peer *added = grow(&list, &s->peer_count, sizeof(peer));
    s->peers = list;
    if (added == NULL) {
        free(peer.name);
        free(peer.host);
        return NULL;
    }
    *added = peer;
    return added;
}

struct daemon_peer *
daemon_settings_peer(struct daemon_settings *s, const char *name)
{
    struct daemon_peer peer = {.slow = DAEMON_UNSAID};
    if (name != NULL && (peer.name = strdup(name)) == NULL) {
        return NULL;
    }
    return add_peer(s, peer);
}

static int
add_topic(struct daemon_settings *s, const char *value, struct daemon_wrong *wrong)
{
    if (value[0] == '\0') {
        return daemon_wrong_set(wrong, "needs a prefix; leave topics out to let all pass");
    }
    if (bb_topic_is_reserved(value, strlen(value))) {
        return daemon_wrong_set(
            wrong, "topics with <$> are the bus's own and pass no link: \"%.80s\"", value);
    }
    char *copy = strdup(value);
    void *list = s->topics;
    char **added = copy != NULL ? grow(&list, &s->topic_count, sizeof(copy)) : NULL;
    s->topics = list;
    if (added == NULL) {
        free(copy);
        return no_memory(wrong);
    }
    *added = copy;
    return 0;
}

/* ---- single values ---- */

static int
set_text(char **place, const char *value, struct daemon_wrong *wrong)
{
    if (value[0] == '\0') {
        return daemon_wrong_set(wrong, "needs a value, and got an empty one");
    }
    *place = strdup(value);
    return *place != NULL ? 0 : no_memory(wrong);
}

static int
set_name(char **place, const char *value, struct daemon_wrong *wrong)
{
    if (strlen(value) > DAEMON_NAME_MAX) {
        return daemon_wrong_set(wrong, "is longer than %d bytes: \"%.80s\"", DAEMON_NAME_MAX,
                                value);
    }
    return set_text(place, value, wrong);
}

static int
set_path(char **place, const char *value, const char *dir, struct daemon_wrong *wrong)
{
    if (value[0] == '\0' || value[0] == '/' || dir == NULL) {
        return set_text(place, value, wrong);
    }
    return asprintf(place, "%s/%s", dir, value) >= 0 ? 0 : no_memory(wrong);
}

static int
set_choice(int *place, const char *value, const char *const *list, struct daemon_wrong *wrong)
{
    int chosen = daemon_read_choice(value, list);
    if (chosen < 0) {
        return daemon_wrong_set(wrong, "is one of %s, %s, %s, not \"%.80s\"", list[0], list[1],
                                list[2], value);
    }
    *place = chosen;
    return 0;
}

static int
set_yes(int *place, const char *value, struct daemon_wrong *wrong)
{
    static const char *const words[] = {"no", "yes", NULL};
    int chosen = daemon_read_choice(value, words);
    if (chosen < 0) {
        return daemon_wrong_set(wrong, "is yes or no, not \"%.80s\"", value);
    }
    *place = chosen;
    return 0;
}

static int
set_bytes(uint64_t *place, const char *value, struct daemon_wrong *wrong)
{
    if (daemon_read_bytes(value, place) != 0) {
        return daemon_wrong_set(
            wrong, "takes a size above zero such as 65536, 512K or 8M, not \"%.80s\"", value);
    }
    return 0;
}

static int
set_span(int64_t *place, const char *value, struct daemon_wrong *wrong)
{
    if (daemon_read_seconds(value, place) != 0) {
        return daemon_wrong_set(wrong, "takes seconds from 0.001 to 86400, not \"%.80s\"", value);
    }
    return 0;
}

/* is_said - has this key, which is no list, a value? */
static bool
is_said(const struct daemon_settings *s, const struct daemon_key *key)
{
    const void *place = (const unsigned char *)s + key->offset;
    switch (key->type) {
    case DAEMON_WORD:
    case DAEMON_NAME:
    case DAEMON_PATH:
        return *(char *const *)place != NULL;
    case DAEMON_ENGINE:
    case DAEMON_SLOW:
    case DAEMON_YES:
        return *(const int *)place != DAEMON_UNSAID;
    case DAEMON_BYTES:
        return *(const uint64_t *)place != 0;
    case DAEMON_SPAN:
        return *(const int64_t *)place != 0;
    case DAEMON_PLACES:
    case DAEMON_PEERS:
    case DAEMON_TOPICS:
        break;
    }
    return false;
}

int
daemon_settings_set(struct daemon_settings *s,
                    const struct daemon_key *key,
                    const char *value,
                    const char *dir,
                    struct daemon_wrong *wrong)
{
    void *place = (unsigned char *)s + key->offset;
    struct daemon_peer peer;
    if (is_said(s, key)) {
        return daemon_wrong_set(wrong, "is given twice");
    }
    switch (key->type) {
    case DAEMON_WORD:
        return set_text(place, value, wrong);
    case DAEMON_NAME:
        return set_name(place, value, wrong);
    case DAEMON_PATH:
        return set_path(place, value, dir, wrong);
    case DAEMON_ENGINE:
        return set_choice(place, value, daemon_engines, wrong);
    case DAEMON_SLOW:
        return set_choice(place, value, daemon_slows, wrong);
    case DAEMON_YES:
        return set_yes(place, value, wrong);
    case DAEMON_BYTES:
        return set_bytes(place, value, wrong);
    case DAEMON_SPAN:
        return set_span(place, value, wrong);
    case DAEMON_PLACES:
        return add_place(s, value, wrong);
    case DAEMON_PEERS:
        if (daemon_read_peer(value, &peer, wrong) != 0) {
            return -1;
        }
        return add_peer(s, peer) != NULL ? 0 : no_memory(wrong);
    case DAEMON_TOPICS:
        return add_topic(s, value, wrong);
    }
    return -1;
}

static int
set_address(struct daemon_peer *peer, const char *value, struct daemon_wrong *wrong)
{
    struct daemon_peer read;
    if (strchr(value, '@') != NULL) {
        return daemon_wrong_set(wrong, "is HOST:PORT, the name stands in [peer NAME]: \"%.80s\"",
                                value);
    }
    if (daemon_read_peer(value, &read, wrong) != 0) {
        return -1;
    }
    peer->host = read.host;
    peer->port = read.port;
    return 0;
}

int
daemon_peer_set(struct daemon_peer *peer,
                const char *key,
                const char *value,
                struct daemon_wrong *wrong)
{
    int which = daemon_read_choice(key, daemon_peer_keys);
    bool is_twice = (which == 0 && peer->host != NULL)
                    || (which == 1 && peer->slow != DAEMON_UNSAID)
                    || (which == 2 && peer->queue_bytes != 0);
    if (is_twice) {
        return daemon_wrong_set(wrong, "is given twice");
    }
    switch (which) {
    case 0:
        return set_address(peer, value, wrong);
    case 1:
        return set_choice(&peer->slow, value, daemon_slows, wrong);
    case 2:
        return set_bytes(&peer->queue_bytes, value, wrong);
    default:
        return daemon_wrong_set(wrong, "is no key of a peer");
    }
}

int
daemon_settings_check(const struct daemon_settings *s, struct daemon_wrong *wrong)
{
    char text[DAEMON_PLACE_BYTES];
    for (size_t i = 0; i < s->listen_count; i++) {
        const struct daemon_place *a = &s->listen[i];
        for (size_t k = 0; a->port != 0 && k < i; k++) {
            if (a->port == s->listen[k].port && strcmp(a->host, s->listen[k].host) == 0) {
                return daemon_wrong_set(wrong, "listen: %s is given twice",
                                        daemon_place_text(a->host, a->port, text));
            }
        }
    }
    for (size_t i = 0; i < s->peer_count; i++) {
        const struct daemon_peer *a = &s->peers[i];
        for (size_t k = 0; a->host != NULL && k < i; k++) {
            if (s->peers[k].host != NULL && a->port == s->peers[k].port
                && strcmp(a->host, s->peers[k].host) == 0) {
                return daemon_wrong_set(wrong, "peer: %s is given twice",
                                        daemon_place_text(a->host, a->port, text));
            }
        }
    }
    return 0;
}
