/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/local_ask.c - what boxes ask of this bus, and what this bus asks of them.
 */
#include "lib/link/local_impl.h"
#include "shm/os.h"

/* ---- what they ask of us ---- */

bool
bbi_local_may_hear(const struct local_box *lb, const char *prefix, size_t bytes)
{
    return !lb->is_muted
           && (lb->view == NULL
               || bbi_rights_may_some(lb->view, BBI_RIGHT_SUBSCRIBE, prefix, bytes));
}

static int
take_one(void *user, const char *prefix, size_t bytes, uint32_t flags)
{
    struct bbi_local *local = user;
    return bbi_taken_add(&local->taken, prefix, bytes, flags);
}

static int
leave_one(void *user, const char *prefix, size_t bytes, uint32_t flags)
{
    struct bbi_local *local = user;
    bbi_taken_remove(&local->taken, prefix, bytes, flags);
    return 0;
}

/* Another box chose the prefix, and how many there are: once, and no byte of it that a terminal would obey. */
static void
say_not_taken(struct bbi_local *local, const struct bbi_asked_node *node, int rc)
{
    char text[64];
    size_t bytes = node->bytes < sizeof(text) - 1 ? node->bytes : sizeof(text) - 1;
    for (size_t i = 0; i < bytes; i++) {
        text[i] = node->prefix[i] >= ' ' && node->prefix[i] <= '~' ? node->prefix[i] : '?';
    }
    text[bytes] = '\0';
    if (!local->was_not_taken) {
        local->was_not_taken = true;
        bbi_local_say(
            local, "error",
            "prefix '%s' that another box asks for cannot be subscribed here: %s; it gets "
            "nothing of it, and so it may be with others",
            text, bb_strerror(rc));
    }
}

static void
take_node(struct bbi_local *local, struct bbi_asked_node *node, const struct bbi_pass *pass)
{
    int rc = bbi_pass_narrow(pass, node->prefix, node->bytes, node->flags, take_one, local);
    node->is_taken = rc == 0;
    if (rc < 0) {
        say_not_taken(local, node, rc);
    }
}

static void
leave_node(struct bbi_local *local, struct bbi_asked_node *node, const struct bbi_pass *pass)
{
    (void)bbi_pass_narrow(pass, node->prefix, node->bytes, node->flags, leave_one, local);
    node->is_taken = false;
}

static bool
is_heard(const struct bbi_local *local, const struct bbi_asked_node *node)
{
    struct bbi_box_mask of = bbi_asked_of(node);
    for (const struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        if (bbi_box_mask_has(&of, lb->index) && bbi_local_may_hear(lb, node->prefix, node->bytes)) {
            return true;
        }
    }
    return false;
}

static void
retake_node(struct bbi_local *local, struct bbi_asked_node *node)
{
    bool should = is_heard(local, node);
    if (should && !node->is_taken) {
        take_node(local, node, &local->pass);
    } else if (!should && node->is_taken) {
        leave_node(local, node, &local->pass);
    }
}

void
bbi_local_retake(struct bbi_local *local)
{
    bbi_subscribe_gather(local->sub);
    for (struct bbi_asked_node *n = local->asked.first; n != NULL; n = n->next) {
        retake_node(local, n);
    }
    bbi_asked_changed(&local->asked);
    bbi_local_settle(local);
}

void
bbi_local_settle(struct bbi_local *local)
{
    int rc = bbi_subscribe_settle(local->sub);
    if (rc < 0) {
        bbi_local_say(local, "error", "what other boxes ask for cannot be subscribed here: %s",
                      bb_strerror(rc));
    }
}

void
bbi_local_interest(struct bbi_local *local,
                   struct bbi_box *box,
                   const struct bbi_interest *interest)
{
    struct local_box *lb = bbi_box_user(box);
    if (lb == NULL || bb_topic_is_reserved(interest->prefix, interest->prefix_bytes)) {
        return; /* reserved topics never leave a bus */
    }
    bbi_subscribe_gather(local->sub);
    if (interest->is_removed) {
        struct bbi_asked_node *node = bbi_asked_remove(&local->asked, lb->index, interest);
        if (node != NULL) {
            struct bbi_box_mask of = bbi_asked_of(node);
            retake_node(local, node);
            if (bbi_box_mask_is_empty(&of)) {
                bbi_asked_drop(&local->asked, node);
            }
        }
        return;
    }
    struct bbi_asked_node *node = bbi_asked_add(&local->asked, lb->index, interest);
    if (node == NULL) {
        bbi_local_say(local, "error", "no memory for what %s asks for: it gets less", lb->name);
        return;
    }
    retake_node(local, node);
}

/* ---- what we ask of them ---- */

static bool
may_tell(const struct bbi_rights_view *view, const struct bbi_interest *item)
{
    return view == NULL
           || bbi_rights_may_some(view, BBI_RIGHT_PUBLISH, item->prefix, item->prefix_bytes);
}

static void
tell(struct bbi_local *local, struct local_box *lb, const struct bbi_interest *item)
{
    struct bbi_session *session = bbi_box_session(lb->box);
    if (item->is_removed) {
        int rc = bbi_session_interest_remove(session, item);
        (void)rc; /* BB_ENOENT: there was no room for it */
        return;
    }
    int rc = bbi_session_interest_add(session, item);
    if (rc < 0) {
        lb->is_full = true;
        if (!local->was_full) {
            local->was_full = true;
            bbi_local_say(local, "warning",
                          "not all prefixes that are subscribed here can be told to %s (%s): what "
                          "matches only the others does not come; subscribe fewer, shorter ones",
                          lb->name, bb_strerror(rc));
        }
    }
}

static void
tell_change(void *user, const struct bbi_interest *change)
{
    struct bbi_local *local = user;
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        if (may_tell(lb->view, change)) {
            tell(local, lb, change);
        }
    }
}

void
bbi_local_tell_all(struct bbi_local *local, struct local_box *lb)
{
    for (size_t i = 0; i < local->wants.count; i++) {
        if (may_tell(lb->view, &local->wants.items[i])) {
            tell(local, lb, &local->wants.items[i]);
        }
    }
}

/* There was no room for some; perhaps there is now.  What is there already is counted twice, and once again taken off. */
static void
tell_rest(struct bbi_local *local, struct local_box *lb)
{
    struct bbi_session *session = bbi_box_session(lb->box);
    lb->is_full = false;
    for (size_t i = 0; !lb->is_full && i < local->wants.count; i++) {
        struct bbi_interest *item = &local->wants.items[i];
        int rc = may_tell(lb->view, item) ? bbi_session_interest_add(session, item) : 1;
        lb->is_full = rc < 0;
        rc = rc == 0 ? bbi_session_interest_remove(session, item) : rc;
        (void)rc;
    }
}

static void
look(struct bbi_local *local)
{
    struct bbi_wants now = {0};
    uint64_t epoch = bbi_audience_epoch(local->ep); /* before: what changes meanwhile is seen */
    int rc = bbi_wants_look(&now, local->ep, &local->pass);
    if (rc < 0) {
        bbi_wants_fini(&now);
        local->must_look = true;
        return;
    }
    local->must_look = false;
    local->looked_epoch = epoch;
    if (now.is_cut && !local->was_cut) {
        local->was_cut = true;
        bbi_local_say(local, "warning",
                      "more than %d prefixes are subscribed on this bus: the rest is not told to "
                      "other boxes; subscribe fewer, shorter ones",
                      BBI_WANTS_MAX);
    }
    struct bbi_wants before = local->wants;
    local->wants = now;
    bbi_wants_diff(&before, &now, tell_change, local);
    bbi_wants_fini(&before);
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        if (lb->is_full) {
            tell_rest(local, lb);
        }
    }
}

int64_t
bbi_local_look(struct bbi_local *local, int64_t mono_ns)
{
    if (mono_ns - local->looked_ns >= LOCAL_LOOK_NS) {
        local->looked_ns = mono_ns;
        if (local->must_look || bbi_audience_epoch(local->ep) != local->looked_epoch) {
            look(local);
        }
    }
    return local->looked_ns + LOCAL_LOOK_NS;
}

void
bbi_local_look_now(struct bbi_local *local)
{
    local->looked_ns = bbi_os_mono_ns();
    look(local);
}

/* ---- other topics, other rights ---- */

/* Before, this was told to it with that view; now it is this. */
static void
retell(struct bbi_local *local,
       struct local_box *lb,
       const struct bbi_wants *before,
       const struct bbi_rights_view *old)
{
    const struct bbi_wants *now = &local->wants;
    for (size_t i = 0; i < now->count; i++) {
        struct bbi_interest item = now->items[i];
        if (may_tell(lb->view, &item) && !(may_tell(old, &item) && bbi_wants_has(before, &item))) {
            tell(local, lb, &item);
        }
    }
    for (size_t i = 0; i < before->count; i++) {
        struct bbi_interest item = before->items[i];
        if (may_tell(old, &item) && !(may_tell(lb->view, &item) && bbi_wants_has(now, &item))) {
            item.is_removed = true;
            tell(local, lb, &item);
        }
    }
}

/* What was subscribed is subscribed as the new topics say before it goes, and all of it holds at once. */
static void
retake_all(struct bbi_local *local, const struct bbi_pass *old)
{
    bbi_subscribe_gather(local->sub);
    for (struct bbi_asked_node *n = local->asked.first; n != NULL; n = n->next) {
        bool was_taken = n->is_taken;
        n->is_taken = false;
        if (is_heard(local, n)) {
            take_node(local, n, &local->pass);
        }
        if (was_taken) {
            bool is_taken = n->is_taken;
            leave_node(local, n, old);
            n->is_taken = is_taken;
        }
    }
    bbi_asked_changed(&local->asked);
    bbi_local_settle(local);
}

struct hearer {
    const struct bbi_local *local;
    struct local_box *lb;
};

static bool
may_have(void *user, const char *topic, size_t bytes)
{
    const struct hearer *h = user;
    return bbi_pass_topic(&h->local->pass, topic, bytes)
           && (h->lb->view == NULL
               || bbi_rights_may(h->lb->view, BBI_RIGHT_SUBSCRIBE, topic, bytes));
}

/* What was queued for it when it might have more: a link that was down for hours must not bring that now. */
static void
recheck(struct bbi_local *local, struct local_box *lb)
{
    struct hearer hearer = {.local = local, .lb = lb};
    if (bbi_session_recheck(bbi_box_session(lb->box), may_have, &hearer)) {
        bbi_local_say(
            local, "notice",
            "messages queued for %s were dropped: it may no longer have some of them, and "
            "is told how many",
            lb->name);
    }
}

void
bbi_local_change(struct bbi_local *local, struct bbi_pass *pass, struct bbi_rights_view **views)
{
    struct bbi_rights_view *old[BBI_ASKED_BOXES] = {0};
    struct bbi_pass old_pass = local->pass;
    struct bbi_wants before = local->wants;
    struct bbi_wants now = {0};
    local->pass = pass != NULL ? *pass : local->pass;
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        old[lb->index] = lb->view;
        lb->view = views[lb->index];
        lb->has_topic = false;
    }
    retake_all(local, &old_pass);
    int rc = bbi_wants_look(&now, local->ep, &local->pass);
    if (rc < 0) { /* as far as it is known: nobody is told what went, and the next look mends it */
        bbi_wants_fini(&now);
        local->must_look = true;
    } else {
        local->wants = now;
    }
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        retell(local, lb, &before, old[lb->index]);
        recheck(local, lb);
    }
    if (rc == 0) {
        bbi_wants_fini(&before);
    }
    if (pass != NULL) {
        bbi_pass_fini(&old_pass);
    }
}
