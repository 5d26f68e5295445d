/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `busbard --check` and `busbard --probe` ask for: the very functions that a start calls, and nothing left behind.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/link/keys.h"
#include "lib/link/policy.h"
#include "shm/place.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
check_certificates(const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    const struct bbi_link_id no_id = {{0}}; /* a box with a certificate has a name without it */
    char name[BBI_LINK_NAME_MAX + 1];
    struct bbi_tls_ctx *ctx = NULL;
    struct bbi_tls_opts tls = {.node = name,
                               .cert_path = opts->cert,
                               .key_path = opts->key,
                               .ca_path = opts->ca,
                               .crl_path = opts->crl};
    int rc = bbi_link_own_name(opts, &no_id, name, f);
    rc = rc != 0 ? rc : bbi_tls_ctx_open(&ctx, &tls, f);
    if (rc == 0) {
        bbi_tls_ctx_close(ctx);
    }
    return rc;
}

/* check_user_key - it is read when it is there, and never made. */
static int
check_user_key(struct bbi_daemon_plan *plan, const char *dir, struct bbi_fault *f)
{
    char place[BBI_PATH_BYTES];
    struct bbi_tls_key key;
    if (dir == NULL) {
        (void)bbi_place_dir(place, sizeof(place));
        dir = place;
    }
    (void)snprintf(plan->key_path, sizeof(plan->key_path), "%s/.key", dir);
    plan->is_key_to_make = access(plan->key_path, F_OK) != 0 && errno == ENOENT;
    if (plan->is_key_to_make) {
        return 0;
    }
    int rc = bbi_key_file_user(dir, key.bytes, f);
    explicit_bzero(key.bytes, sizeof(key.bytes));
    return rc < 0 ? rc : 0;
}

/* check_places - that nobody else can reach what is only for this user. */
static int
check_places(const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < opts->listen_count; i++) {
        rc = bbi_hub_may_listen(BBI_SECURITY_USER_KEY, opts->listen[i].host, f);
    }
    return rc;
}

static int
check_keys(struct bbi_daemon_plan *plan,
           enum bbi_security security,
           const struct bbi_daemon_opts *opts,
           struct bbi_fault *f)
{
    struct bbi_link_keys keys;
    int rc = 0;
    switch (security) {
    case BBI_SECURITY_CERT:
        return check_certificates(opts, f);
    case BBI_SECURITY_KEY:
        rc = bbi_link_keys_load(&keys, opts, f);
        bbi_link_keys_wipe(&keys);
        return rc;
    case BBI_SECURITY_USER_KEY:
        rc = check_places(opts, f);
        return rc != 0 ? rc : check_user_key(plan, opts->dir, f);
    case BBI_SECURITY_NONE:
        break;
    }
    return rc;
}

static int
check_policies(const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    int rc = bbi_policy_check("queue", opts->slow, opts->queue_bytes, f);
    for (size_t i = 0; rc == 0 && i < opts->peer_count; i++) {
        const struct bbi_daemon_peer *peer = &opts->peers[i];
        rc = bbi_policy_check(peer->name != NULL ? peer->name : peer->host, peer->slow,
                              peer->queue_bytes, f);
    }
    return rc;
}

int
bbi_daemon_check(struct bbi_daemon_plan *out, const struct bbi_daemon_opts *opts)
{
    struct bbi_fault f = {.code = 0};
    struct bbi_daemon_plan plan = {.rules = 0};
    struct bbi_rights *rights = NULL;
    int rc = check_policies(opts, &f);
    rc = rc != 0 ? rc : bbi_link_security(opts, &f);
    if (rc >= 0) {
        enum bbi_security security = (enum bbi_security)rc;
        plan.security = bbi_security_name(security);
        rc = check_keys(&plan, security, opts, &f);
    }
    if (rc == 0) {
        rc = bbi_link_rights_load(&rights, opts->rights, &f);
    }
    if (rc != 0) {
        return bbi_error_set(opts->error, &f);
    }
    plan.rules = rights != NULL ? bbi_rights_count(rights) : 0;
    free(rights);
    *out = plan;
    return 0;
}

uint32_t
bbi_daemon_probe(char *why, size_t cap)
{
    return (uint32_t)bbi_net_probe(why, cap);
}
