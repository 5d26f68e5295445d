/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flags over file, and the whole as the library takes it.  Copies, for a reload merges the same flags with another file.
 */
#include "tools/daemon/settings.h"

#include <stdlib.h>
#include <string.h>

/* copy_text - over when it is said, else base; 0 or -1. */
static int
copy_text(char **out, const char *base, const char *over)
{
    const char *from = over != NULL ? over : base;
    *out = from != NULL ? strdup(from) : NULL;
    return from == NULL || *out != NULL ? 0 : -1;
}

static int
copy_places(struct daemon_settings *out, const struct daemon_settings *from)
{
    out->listen = calloc(from->listen_count + 1, sizeof(*out->listen));
    for (size_t i = 0; out->listen != NULL && i < from->listen_count; i++) {
        out->listen_count++;
        out->listen[i].port = from->listen[i].port;
        if ((out->listen[i].host = strdup(from->listen[i].host)) == NULL) {
            return -1;
        }
    }
    return out->listen != NULL ? 0 : -1;
}

static int
copy_peers(struct daemon_settings *out, const struct daemon_settings *from)
{
    for (size_t i = 0; i < from->peer_count; i++) {
        const struct daemon_peer *peer = &from->peers[i];
        struct daemon_peer *added = daemon_settings_peer(out, peer->name);
        if (added == NULL || copy_text(&added->host, peer->host, NULL) != 0) {
            return -1;
        }
        added->port = peer->port;
        added->slow = peer->slow;
        added->queue_bytes = peer->queue_bytes;
    }
    return 0;
}

static int
copy_topics(struct daemon_settings *out, const struct daemon_settings *from)
{
    out->topics = calloc(from->topic_count + 1, sizeof(*out->topics));
    for (size_t i = 0; out->topics != NULL && i < from->topic_count; i++) {
        if ((out->topics[i] = strdup(from->topics[i])) == NULL) {
            return -1;
        }
        out->topic_count++;
    }
    return out->topics != NULL ? 0 : -1;
}

static int
merge_key(struct daemon_settings *out,
          const struct daemon_key *key,
          const struct daemon_settings *file,
          const struct daemon_settings *flags)
{
    void *to = (unsigned char *)out + key->offset;
    const void *base = (const unsigned char *)file + key->offset;
    const void *over = (const unsigned char *)flags + key->offset;
    switch (key->type) {
    case DAEMON_WORD:
    case DAEMON_NAME:
    case DAEMON_PATH:
        return copy_text(to, *(char *const *)base, *(char *const *)over);
    case DAEMON_ENGINE:
    case DAEMON_SLOW:
    case DAEMON_YES:
        memcpy(to, *(const int *)over != DAEMON_UNSAID ? over : base, sizeof(int));
        return 0;
    case DAEMON_BYTES:
        memcpy(to, *(const uint64_t *)over != 0 ? over : base, sizeof(uint64_t));
        return 0;
    case DAEMON_SPAN:
        memcpy(to, *(const int64_t *)over != 0 ? over : base, sizeof(int64_t));
        return 0;
    case DAEMON_PLACES:
        return copy_places(out, flags->listen_count > 0 ? flags : file);
    case DAEMON_PEERS:
        return copy_peers(out, flags->peer_count > 0 ? flags : file);
    case DAEMON_TOPICS:
        return copy_topics(out, flags->topic_count > 0 ? flags : file);
    }
    return -1;
}

static void
drop(char **text)
{
    free(*text);
    *text = NULL;
}

/* choose_security - the file's other kind goes, when flags name one. */
static void
choose_security(struct daemon_settings *out, const struct daemon_settings *flags)
{
    bool has_cert = flags->cert != NULL || flags->key != NULL || flags->ca != NULL;
    bool has_psk = flags->psk != NULL;
    bool is_insecure = flags->insecure == 1;
    if ((has_psk || is_insecure) && !has_cert) {
        drop(&out->cert);
        drop(&out->key);
        drop(&out->ca);
        if (flags->crl == NULL) {
            drop(&out->crl);
        }
    }
    if ((has_cert || is_insecure) && !has_psk) {
        drop(&out->psk);
    }
    if ((has_cert || has_psk) && !is_insecure) {
        out->insecure = DAEMON_UNSAID;
    }
}

int
daemon_settings_merge(struct daemon_settings *out,
                      const struct daemon_settings *file,
                      const struct daemon_settings *flags)
{
    daemon_settings_init(out);
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        if (merge_key(out, key, file, flags) != 0) {
            daemon_settings_fini(out);
            return -1;
        }
    }
    choose_security(out, flags);
    return 0;
}

/* ---- for the library ---- */

static void
make_lists(struct daemon_opts *out, const struct daemon_settings *s)
{
    for (size_t i = 0; i < s->listen_count; i++) {
        out->listen[i] =
            (struct bbi_daemon_place){.host = s->listen[i].host, .port = s->listen[i].port};
    }
    for (size_t i = 0; i < s->peer_count; i++) {
        const struct daemon_peer *peer = &s->peers[i];
        int slow = peer->slow != DAEMON_UNSAID ? peer->slow : s->slow;
        out->peers[i] = (struct bbi_daemon_peer){
            .host = peer->host,
            .port = peer->port,
            .name = peer->name,
            .slow = slow != DAEMON_UNSAID ? (uint32_t)slow : (uint32_t)BB_SLOW_DROP_OLDEST,
            .queue_bytes = peer->queue_bytes,
        };
    }
}

int
daemon_opts_make(struct daemon_opts *out, const struct daemon_settings *s)
{
    *out = (struct daemon_opts){
        .listen = calloc(s->listen_count + 1, sizeof(*out->listen)),
        .peers = calloc(s->peer_count + 1, sizeof(*out->peers)),
        .opts =
            {
                .dir = s->dir,
                .bus = s->bus,
                .name = s->name,
                .cluster = s->cluster,
                .engine = s->engine != DAEMON_UNSAID ? (uint32_t)s->engine : 0,
                .listen_count = s->listen_count,
                .peer_count = s->peer_count,
                .topics = (const char *const *)s->topics,
                .topic_count = s->topic_count,
                .cert = s->cert,
                .key = s->key,
                .ca = s->ca,
                .crl = s->crl,
                .psk = s->psk,
                .is_insecure = s->insecure == 1,
                .is_compressing = s->compress == 1,
                .rights = s->rights,
                .slow = s->slow != DAEMON_UNSAID ? (uint32_t)s->slow : BB_SLOW_DROP_OLDEST,
                .queue_bytes = s->queue_bytes,
                .ring_bytes = s->ring_bytes,
                .retry_max_ns = s->retry_max_ns,
            },
    };
    if (out->listen == NULL || out->peers == NULL) {
        daemon_opts_free(out);
        return -1;
    }
    make_lists(out, s);
    out->opts.listen = out->listen;
    out->opts.peers = out->peers;
    return 0;
}

void
daemon_opts_free(struct daemon_opts *opts)
{
    free(opts->listen);
    free(opts->peers);
    *opts = (struct daemon_opts){.listen = NULL};
}
