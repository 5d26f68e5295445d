/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/link/policy.h"

#include "lib/link/box.h"
#include "lib/link/dial.h"
#include <string.h>

int
bbi_policy_check(const char *whose, uint32_t slow, uint64_t queue_bytes, struct bbi_fault *f)
{
    if (queue_bytes != 0 && (queue_bytes < BBI_QUEUE_BYTES_MIN || queue_bytes > SIZE_MAX / 2)) {
        return bbi_fault_set(f, BB_EINVAL, whose, "a queue has at least %d bytes, not %llu",
                             BBI_QUEUE_BYTES_MIN, (unsigned long long)queue_bytes);
    }
    if (slow > BBI_SLOW_DISCONNECT) {
        return bbi_fault_set(f, BB_EINVAL, whose, "%u is no policy for a slow peer",
                             (unsigned)slow);
    }
    return 0;
}

static const struct bbi_hub_policy *
find_policy(const struct bbi_hub *hub, const char *name)
{
    for (size_t i = 0; i < hub->policy_count; i++) {
        if (strcmp(hub->policies[i].name, name) == 0) {
            return &hub->policies[i];
        }
    }
    return NULL;
}

void
bbi_policy_apply(struct bbi_box *box, const char *name)
{
    const struct bbi_hub *hub = box->hub;
    const struct bbi_dial *d = bbi_dial_of_box(box);
    const struct bbi_hub_policy *p = find_policy(hub, name);
    size_t all_bytes = hub->opts.session.queue_bytes;
    if (d != NULL) {
        bbi_box_tune(box, d->slow, d->queue_bytes);
    } else if (p != NULL) {
        bbi_box_tune(box, p->slow, p->queue_bytes != 0 ? p->queue_bytes : all_bytes);
    } else {
        bbi_box_tune(box, hub->opts.session.policy, all_bytes);
    }
}

void
bbi_policies_free(struct bbi_hub *hub)
{
    if (hub->policies != NULL) {
        bbi_hub_give(hub, hub->policies, hub->policy_count * sizeof(*hub->policies));
    }
    hub->policies = NULL;
    hub->policy_count = 0;
}

static int
check_policies(const struct bbi_hub_policy *list, size_t count, struct bbi_fault *f)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = bbi_policy_check(list[i].name, list[i].slow, list[i].queue_bytes, f);
    }
    return rc;
}

int
bbi_hub_policies(struct bbi_hub *hub,
                 const struct bbi_hub_policy *list,
                 size_t count,
                 const struct bbi_hub_policy *others,
                 struct bbi_fault *f)
{
    struct bbi_hub_policy *copy = NULL;
    int rc = bbi_policy_check(hub->opts.self.name, others->slow, others->queue_bytes, f);
    rc = rc != 0 ? rc : check_policies(list, count, f);
    if (rc == 0 && count > 0 && (copy = bbi_hub_take(hub, count * sizeof(*copy))) == NULL) {
        rc = bbi_fault_set(f, BB_ENOMEM, hub->opts.self.name, "no memory for %zu peers", count);
    }
    if (rc != 0) {
        return rc;
    }
    bbi_policies_free(hub);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = list[i];
    }
    hub->policies = copy;
    hub->policy_count = count;
    hub->opts.session.policy = others->slow;
    hub->opts.session.queue_bytes = others->queue_bytes;
    for (struct bbi_box *box = hub->boxes; box != NULL; box = box->next) {
        bbi_policy_apply(box, box->hello.name);
    }
    return 0;
}

int
bbi_hub_retune(struct bbi_hub *hub,
               const char *host,
               uint16_t port,
               const struct bbi_hub_policy *policy,
               struct bbi_fault *f)
{
    struct bbi_dial *d = bbi_dial_find(hub, host, port);
    int rc = bbi_policy_check(host, policy->slow, policy->queue_bytes, f);
    if (rc != 0 || d == NULL) {
        return rc != 0 ? rc : BB_ENOENT;
    }
    d->slow = policy->slow;
    d->queue_bytes = policy->queue_bytes != 0 ? policy->queue_bytes : hub->opts.session.queue_bytes;
    if (d->box != NULL) {
        bbi_policy_apply(d->box, d->box->hello.name);
    }
    return 0;
}
