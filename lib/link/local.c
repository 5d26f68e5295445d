/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/link/local_impl.h"
#include "shm/os.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
bbi_local_say(struct bbi_local *local, const char *level, const char *format, ...)
{
    char line[512];
    va_list args;
    if (local->log == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    local->log(local->user, level, line);
}

static void *
take_memory(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void
give_memory(void *user, void *p, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(p);
}

/* ---- open, close -------------------------------------------------------------------------------------------------- */

static int
open_bus(struct bbi_local *local, struct bb_error *error)
{
    struct bb_subscriber_opts sub = {
        .size = sizeof(sub), .flags = BB_SUBSCRIBER_STATUS, .error = error};
    struct bb_publisher_opts pub = {.size = sizeof(pub), .lane = BB_LANE_ONESHOT, .error = error};
    int rc = bb_subscriber_open(&local->sub, local->ep, &sub);
    return rc < 0 ? rc : bb_publisher_open(&local->events, local->ep, &pub);
}

static int
open_tables(struct bbi_local *local)
{
    uint64_t seed[2];
    local->memory = (struct bbi_memory){.take = take_memory, .give = give_memory};
    bbi_os_random(seed, sizeof(seed));
    int rc = bbi_taken_init(&local->taken, local->sub, &local->memory, seed);
    return rc < 0 ? rc : bbi_asked_init(&local->asked, seed);
}

int
bbi_local_open(struct bbi_local **out, const struct bbi_local_opts *opts, struct bbi_fault *f)
{
    struct bb_error error = {.sentence = "no memory for the bus's side of links"};
    struct bbi_local *local = calloc(1, sizeof(*local));
    if (local == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, opts->box_name, "%s", error.sentence);
    }
    local->ep = opts->ep;
    local->hub = opts->hub;
    local->log = opts->log;
    local->user = opts->user;
    local->rights = opts->rights;
    local->ring_bytes = opts->ring_bytes != 0 ? opts->ring_bytes : LOCAL_RING_BYTES;
    local->hold_max_ns = opts->hold_max_ns != 0 ? opts->hold_max_ns : LOCAL_HOLD_NS;
    local->out = (struct bbi_link_msg){
        .origin.epoch = opts->epoch, .scope = BBI_SCOPE_LOCAL, .ttl = BBI_LINK_TTL};
    memcpy(local->out.origin.box.v, opts->box, sizeof(opts->box));
    int rc = bbi_pass_init(&local->pass, opts->topics, opts->topic_count);
    rc = rc < 0 ? rc : open_bus(local, &error);
    rc = rc < 0 ? rc : open_tables(local);
    if (rc < 0) {
        bbi_local_close(local);
        return bbi_fault_set(f, rc, opts->box_name, "%s", error.sentence);
    }
    bbi_local_look_now(local);
    *out = local;
    return 0;
}

static void
free_box(struct bbi_local *local, struct local_box *lb)
{
    bb_publisher_close(lb->pub);
    local->by_index[lb->index] = NULL;
    free(lb->view_memory);
    free(lb);
}

void
bbi_local_close(struct bbi_local *local)
{
    if (local == NULL) {
        return;
    }
    while (local->boxes != NULL) {
        struct local_box *lb = local->boxes;
        local->boxes = lb->next;
        bbi_box_set_user(lb->box, NULL);
        free_box(local, lb);
    }
    bb_publisher_close(local->events);
    bb_subscriber_close(local->sub);
    bbi_taken_fini(&local->taken);
    bbi_asked_fini(&local->asked);
    bbi_wants_fini(&local->wants);
    bbi_pass_fini(&local->pass);
    free(local);
}

/* ---- boxes -------------------------------------------------------------------------------------------------------- */

static int
new_view(const struct bbi_rights *rights,
         const char *name,
         struct bbi_rights_view **view,
         void **memory)
{
    *view = NULL;
    *memory = NULL;
    if (rights == NULL) {
        return 0;
    }
    *memory = malloc(bbi_rights_view_footprint(rights));
    if (*memory == NULL) {
        return BB_ENOMEM;
    }
    *view = bbi_rights_view_new(rights, *memory, name, false);
    return 0;
}

static uint32_t
free_index(const struct bbi_local *local)
{
    uint32_t index = 0;
    while (index < BBI_ASKED_BOXES && local->by_index[index] != NULL) {
        index++;
    }
    return index;
}

static struct local_box *
add_box(struct bbi_local *local, struct bbi_box *box)
{
    uint32_t index = free_index(local);
    struct local_box *lb = index < BBI_ASKED_BOXES ? calloc(1, sizeof(*lb)) : NULL;
    if (lb == NULL) {
        return NULL;
    }
    lb->box = box;
    lb->index = index;
    (void)snprintf(lb->name, sizeof(lb->name), "%s", bbi_box_name(box));
    if (new_view(local->rights, lb->name, &lb->view, &lb->view_memory) < 0) {
        free(lb);
        return NULL;
    }
    struct local_box **at = &local->boxes;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = lb;
    local->by_index[index] = lb;
    bbi_box_set_user(box, lb);
    bbi_local_tell_all(local, lb);
    return lb;
}

/* Views of all boxes, as rights say; the memory of each in memory[].  Old ones are still in use. */
static int
all_views(struct bbi_local *local,
          const struct bbi_rights *rights,
          struct bbi_rights_view **views,
          void **memory)
{
    int rc = 0;
    for (struct local_box *lb = local->boxes; rc == 0 && lb != NULL; lb = lb->next) {
        rc = new_view(rights, lb->name, &views[lb->index], &memory[lb->index]);
    }
    for (uint32_t i = 0; rc < 0 && i < BBI_ASKED_BOXES; i++) {
        free(memory[i]);
    }
    return rc;
}

/*
 * From now on these topics and rights count, whatever was told and taken before is mended.  pass is taken over;
 * NULL: as before.
 */
static int
change(struct bbi_local *local, struct bbi_pass *pass, struct bbi_rights *rights)
{
    struct bbi_rights_view *views[BBI_ASKED_BOXES] = {0};
    void *memory[BBI_ASKED_BOXES] = {0};
    int rc = all_views(local, rights, views, memory);
    if (rc < 0) {
        return rc;
    }
    local->rights = rights;
    bbi_local_change(local, pass, views);
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        free(lb->view_memory);
        lb->view_memory = memory[lb->index];
    }
    return 0;
}

int
bbi_local_reload(struct bbi_local *local, const struct bbi_local_opts *opts, struct bbi_fault *f)
{
    struct bbi_pass pass;
    int rc = bbi_pass_init(&pass, opts->topics, opts->topic_count);
    if (rc == 0) {
        rc = change(local, &pass, opts->rights);
        if (rc < 0) {
            bbi_pass_fini(&pass);
        }
    }
    return rc < 0 ? bbi_fault_set(f, rc, "topics", "no memory for other topics and rights") : 0;
}

/* It is called otherwise than before: other rights may speak of it. */
static void
rename_box(struct bbi_local *local, struct local_box *lb)
{
    if (strcmp(lb->name, bbi_box_name(lb->box)) == 0) {
        return;
    }
    (void)snprintf(lb->name, sizeof(lb->name), "%s", bbi_box_name(lb->box));
    if (local->rights == NULL) {
        return;
    }
    int rc = change(local, NULL, local->rights);
    if (rc < 0) {
        bbi_local_say(local, "error", "no memory for the rights of %s: the link ends", lb->name);
        bbi_box_end(lb->box, BBI_CLOSE_MEMORY, "no memory for its rights");
    }
}

void
bbi_local_up(struct bbi_local *local, struct bbi_box *box, bool is_resumed)
{
    struct bbi_fault f = {.sentence = "no memory, or too many boxes"};
    struct local_box *lb = bbi_box_user(box);
    bool is_new = lb == NULL;
    lb = is_new ? add_box(local, box) : lb;
    int rc = lb == NULL ? BB_ENOMEM : bbi_local_ring_open(local, lb, &f);
    if (rc < 0) {
        bbi_local_say(local, lb != NULL && lb->is_short ? "debug" : "error",
                      "%s: the link to %s ends", f.sentence, bbi_box_name(box));
        if (lb != NULL) {
            lb->is_short = true;
        }
        bbi_box_end(box, BBI_CLOSE_MEMORY, f.sentence);
        return;
    }
    rename_box(local, lb);
    lb->is_short = false;
    lb->is_up = true;
    if (lb->is_muted) {
        lb->is_muted = false;
        bbi_local_retake(local);
    }
    char text[BBI_LINK_TEXT_MAX + 1];
    (void)snprintf(text, sizeof(text), "the link to %s is up%s", lb->name,
                   is_new       ? ""
                   : is_resumed ? " again: it goes on where it was"
                                : " again and begins anew: what was published there "
                                  "meanwhile may be missing");
    struct bb_status status = {.kind = BB_STATUS_PEER_ADDED, .count = !is_resumed};
    bbi_local_event(local, lb, &status, text);
}

void
bbi_local_down(struct bbi_local *local,
               struct bbi_box *box,
               enum bbi_down why,
               const char *sentence)
{
    struct local_box *lb = bbi_box_user(box);
    if (lb == NULL || !lb->is_up) {
        return;
    }
    lb->is_up = false;
    lb->down_ns = bbi_os_mono_ns();
    if (lb->is_held) {
        lb->is_held = false;
        bbi_session_hold(bbi_box_session(box), false);
    }
    if (why == BBI_DOWN_REMOVED) {
        lb->is_muted = true; /* who takes a link down does not want a queue for it */
        bbi_local_retake(local);
    }
    char text[BBI_LINK_TEXT_MAX + 1];
    (void)snprintf(text, sizeof(text), "the link to %s %s: %s", lb->name,
                   why == BBI_DOWN_REMOVED ? "was taken down" : "is lost", sentence);
    struct bb_status status = {.kind = why == BBI_DOWN_REMOVED ? BB_STATUS_PEER_REMOVED
                                                               : BB_STATUS_PEER_LOST};
    bbi_local_event(local, lb, &status, text);
}

void
bbi_local_unavailable(struct bbi_local *local, const char *address, const char *sentence)
{
    struct bbi_link_event event = {.status.kind = BB_STATUS_PEER_UNAVAILABLE,
                                   .box_name = address,
                                   .box_name_bytes = strnlen(address, BBI_ORIGIN_NAME_MAX),
                                   .text = sentence,
                                   .text_bytes = strnlen(sentence, BBI_LINK_TEXT_MAX)};
    int rc = bbi_publish_link_event(local->events, &event);
    if (rc < 0) {
        bbi_local_say(local, "error", "a status of %s could not be published: %s", address,
                      bb_strerror(rc));
    }
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

int
bbi_local_fd(struct bbi_local *local)
{
    return bb_fd(local->sub);
}

/* The ring of a link that has long been down goes, once everybody who insists has read it. */
static int64_t
close_idle(struct local_box *lb, int64_t mono_ns)
{
    if (lb->is_up || lb->pub == NULL) {
        return INT64_MAX;
    }
    if (mono_ns - lb->down_ns < LOCAL_IDLE_NS) {
        return lb->down_ns + LOCAL_IDLE_NS;
    }
    if (bb_headroom(lb->pub) < 4 * (uint64_t)bb_publisher_max(lb->pub)) {
        return mono_ns + LOCAL_IDLE_NS;
    }
    bb_publisher_close(lb->pub);
    lb->pub = NULL;
    lb->has_topic = false;
    return INT64_MAX;
}

int64_t
bbi_local_turn(struct bbi_local *local, int64_t mono_ns)
{
    int64_t next = bbi_local_look(local, mono_ns);
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        next = bbi_min_i64(next, bbi_local_room(local, lb, mono_ns));
        next = bbi_min_i64(next, close_idle(lb, mono_ns));
    }
    return next;
}

void
bbi_local_link(const struct bbi_local *local, const struct bbi_box *box, struct bb_link_info *out)
{
    const struct local_box *lb = bbi_box_user(box);
    (void)local;
    if (lb != NULL) {
        out->denied_in = lb->denied_in;
        out->denied_out = lb->denied_out;
        out->lost_before = lb->lost_before;
    }
}
