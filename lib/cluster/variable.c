/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/variable.c - the table of a node's variables, and what it answers.
 *
 * An answer is built into a buffer that grows: show is called again when the first buffer was too small, so
 * it should put the same twice.
 */
#include "lib/cluster/services.h"
#include "shm/os.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_BYTES = 4096, TRIES = 4 };

/* ---- the table ---------------------------------------------------------------------------------- */

const struct bbi_variable *
bbi_variables_find(const struct bbi_variables *v, const char *name, size_t bytes)
{
    for (const struct bbi_variable *var = v->first; var != NULL; var = var->next) {
        if (strlen(var->name) == bytes && memcmp(var->name, name, bytes) == 0) {
            return var;
        }
    }
    return NULL;
}

int
bbi_variables_add(
    struct bbi_variables *v, const char *name, bb_show_cb show, bb_set_cb set, void *user)
{
    size_t bytes = name != NULL ? strlen(name) : 0;
    if (bytes == 0 || show == NULL) {
        return BB_EINVAL;
    }
    if (bytes > BBI_VARIABLE_NAME_MAX) {
        return BB_ENAMETOOLONG;
    }
    if (bbi_variables_find(v, name, bytes) != NULL) {
        return BB_EEXIST;
    }
    struct bbi_variable *var = calloc(1, sizeof(*var) + bytes + 1);
    if (var == NULL) {
        return BB_ENOMEM;
    }
    *var = (struct bbi_variable){.next = v->first, .show = show, .set = set, .user = user};
    memcpy(var->name, name, bytes + 1);
    v->first = var;
    return 0;
}

void
bbi_variables_drop(struct bbi_variables *v, const char *name)
{
    for (struct bbi_variable **at = &v->first; *at != NULL; at = &(*at)->next) {
        if (strcmp((*at)->name, name) == 0) {
            struct bbi_variable *var = *at;
            *at = var->next;
            free(var);
            return;
        }
    }
}

void
bbi_variables_fini(struct bbi_variables *v)
{
    while (v->first != NULL) {
        struct bbi_variable *next = v->first->next;
        free(v->first);
        v->first = next;
    }
    free(v->buf);
    *v = (struct bbi_variables){.first = NULL};
}

int
bb_cluster_variable(
    struct bb_cluster *c, const char *name, bb_show_cb show, bb_set_cb set, void *user)
{
    return bbi_variables_add(&c->services->variables, name, show, set, user);
}

/* ---- an answer ---------------------------------------------------------------------------------- */

static int say(char sentence[BBI_SENTENCE_BYTES], int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int
say(char sentence[BBI_SENTENCE_BYTES], int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, BBI_SENTENCE_BYTES, format, args);
    va_end(args);
    return code;
}

static int
reserve(struct bbi_variables *v, size_t bytes)
{
    if (bytes <= v->buf_bytes) {
        return 0;
    }
    unsigned char *buf = realloc(v->buf, bytes);
    if (buf == NULL) {
        return BB_ENOMEM;
    }
    v->buf = buf;
    v->buf_bytes = bytes;
    return 0;
}

static int64_t
build(struct bbi_variables *v, const struct bbi_variable *var, size_t most_bytes, size_t *need)
{
    int64_t bytes = reserve(v, FIRST_BYTES);
    for (int i = 0; i < TRIES && bytes == 0; i++) {
        struct bb_builder b;
        bb_build_init(&b, v->buf, v->buf_bytes);
        var->show(&b, var->user);
        bytes = bb_build_end(&b);
        *need = b.need_bytes;
        if (*need > most_bytes) {
            return BB_EMSGSIZE;
        }
        if (bytes == BB_EMSGSIZE) {
            bytes = reserve(v, b.need_bytes);
        } else if (bytes == 0) {
            return BB_EINVAL; /* it put nothing */
        }
    }
    return bytes;
}

/* One value and nothing behind it. */
static bool
is_one_value(const struct bb_value *v, size_t bytes)
{
    return bbi_align_up(v->bytes, 8) >= bytes;
}

static int
show(struct bbi_variables *v,
     const struct bbi_variable *var,
     size_t most_bytes,
     struct bb_value *out,
     char *sentence)
{
    size_t need = 0;
    struct bb_value value;
    int64_t bytes = build(v, var, most_bytes, &need);
    if (bytes == BB_EMSGSIZE) {
        return say(sentence, BB_EMSGSIZE,
                   "variable '%.60s' takes %zu bytes and a message of this node %zu: open the "
                   "cluster with a larger data ring",
                   var->name, need, most_bytes);
    }
    if (bytes > 0 && bb_value_open(&value, v->buf, (size_t)bytes) == 0
        && is_one_value(&value, (size_t)bytes)) {
        *out = value;
        return 0;
    }
    return bytes < 0 && bytes != BB_EINVAL
               ? say(sentence, (int)bytes, "variable '%.60s': %s", var->name,
                     bb_strerror((int)bytes))
               : say(sentence, BB_EINVAL, "variable '%.60s' did not show one whole value",
                     var->name);
}

static int
set(const struct bbi_variable *var, const struct bb_value *value, char *sentence)
{
    if (var->set == NULL) {
        return say(sentence, BB_ENOTSUP, "variable '%.60s' can be read and not set", var->name);
    }
    if (bb_value_check(value) < 0) {
        return say(sentence, BB_ECORRUPT, "the new value of '%.60s' is not well formed", var->name);
    }
    int rc = var->set(value, var->user);
    return rc >= 0 ? 0
                   : say(sentence, rc, "variable '%.60s' does not take this value: %s", var->name,
                         bb_strerror(rc));
}

int
bbi_variables_answer(struct bbi_variables *v,
                     const char *name,
                     size_t name_bytes,
                     const struct bb_value *value,
                     size_t most_bytes,
                     struct bb_value *out,
                     char sentence[BBI_SENTENCE_BYTES])
{
    const struct bbi_variable *var = bbi_variables_find(v, name, name_bytes);
    sentence[0] = '\0';
    if (var == NULL) {
        return say(sentence, BB_ENOENT, "there is no variable '%.*s' here",
                   (int)(name_bytes < 60 ? name_bytes : 60), name);
    }
    int rc = value != NULL ? set(var, value, sentence) : 0;
    return rc < 0 ? rc : show(v, var, most_bytes, out, sentence);
}

/* ---- a request ---------------------------------------------------------------------------------- */

/* The event of a question: its name, and the value if there is one. */
static int
read_question(
    const void *data, size_t bytes, const char **name, size_t *name_bytes, struct bb_value *value)
{
    struct bb_event ev;
    struct bb_iter it;
    int rc = bb_event_open(&ev, data, bytes);
    if (rc < 0) {
        return rc;
    }
    bool is_ours = ev.name_bytes == sizeof(BBI_VARIABLE_SERVICE) - 1
                   && memcmp(ev.name, BBI_VARIABLE_SERVICE, ev.name_bytes) == 0;
    uint32_t args = bb_event_args(&it, &ev);
    if (!is_ours || args < 1 || args > 2) {
        return BB_ETYPE;
    }
    rc = bb_next_string(&it, name, name_bytes);
    *value = (struct bb_value){.p = NULL};
    return rc == 0 && args == 2 ? bb_iter_next(&it, value) : rc;
}

static void
answer(struct bb_cluster *c, const struct bb_request_info *to, const void *data, size_t bytes)
{
    char sentence[BBI_SENTENCE_BYTES];
    const char *name = NULL;
    size_t name_bytes = 0;
    struct bb_value value = {.p = NULL}, out = {.p = NULL};
    struct bb_publisher *pub = c->control;
    int rc = read_question(data, bytes, &name, &name_bytes, &value);
    if (rc < 0) {
        (void)!bb_reply_error(pub, to, rc,
                              "a question about a variable is one name, and perhaps a value");
        return;
    }
    rc = bbi_variables_answer(&c->services->variables, name, name_bytes,
                              value.p != NULL ? &value : NULL, bb_publisher_max(c->data), &out,
                              sentence);
    if (rc < 0) {
        (void)!bb_reply_error(pub, to, rc, sentence);
        return;
    }
    /* An address and a topic's room go with a reply: what the smaller ring cannot take goes with the other. */
    rc = bb_reply(pub, to, out.p, out.bytes, BB_VALUE | BB_NATIVE);
    if (rc == BB_EMSGSIZE) {
        rc = bb_reply(c->data, to, out.p, out.bytes, BB_VALUE | BB_NATIVE);
    }
    if (rc == BB_EMSGSIZE) {
        (void)snprintf(sentence, sizeof(sentence),
                       "variable '%.*s' takes %zu bytes, more than a message of this node: open "
                       "the cluster with a larger data ring",
                       (int)(name_bytes < 60 ? name_bytes : 60), name, out.bytes);
        (void)!bb_reply_error(pub, to, rc, sentence);
    }
}

void
bbi_variables_take(struct bb_cluster *c, const struct bb_msg *msg)
{
    struct bb_request_info to;
    if (bb_msg_request(msg, &to) < 0) {
        return;
    }
    /* Who asked has said that there was no answer: a value that is set after that would surprise him. */
    if (to.deadline_ns != INT64_MAX && bbi_os_mono_ns() >= to.deadline_ns) {
        return;
    }
    void *copy = malloc(msg->bytes > 0 ? msg->bytes : 1); /* shared memory is input: read it once */
    if (copy == NULL) {
        (void)!bb_reply_error(c->control, &to, BB_ENOMEM, "this node is out of memory");
        return;
    }
    memcpy(copy, msg->data, msg->bytes);
    if (bb_msg_valid(c->sub, msg)) {
        answer(c, &to, copy, msg->bytes);
    }
    free(copy);
}

/* ---- what every node has ------------------------------------------------------------------------ */

static void
show_node(struct bb_builder *b, void *user)
{
    const char *name = bb_endpoint_name(((struct bb_cluster *)user)->ep);
    bb_put_string(b, name, strlen(name));
}

static void
show_role(struct bb_builder *b, void *user)
{
    const char *name = bb_role_name(((struct bb_cluster *)user)->role);
    bb_put_string(b, name, strlen(name));
}

static void
show_pid(struct bb_builder *b, void *user)
{
    (void)user;
    bb_put_count(b, (uint64_t)getpid());
}

static void
show_epoch(struct bb_builder *b, void *user)
{
    bb_put_count(b, bb_cluster_epoch(user));
}

static struct bb_subscriber_stats
stats_of(void *user)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(((struct bb_cluster *)user)->sub, &st);
    return st;
}

static void
show_lost(struct bb_builder *b, void *user)
{
    bb_put_count(b, stats_of(user).lost);
}

static void
put_pair(struct bb_builder *b, const char *name, uint64_t n)
{
    bb_put_string(b, name, strlen(name));
    bb_put_count(b, n);
}

static void
show_heard(struct bb_builder *b, void *user)
{
    struct bb_subscriber_stats st = stats_of(user);
    bb_put_table_begin(b);
    put_pair(b, "messages", st.messages);
    put_pair(b, "delivered", st.delivered);
    put_pair(b, "filtered", st.filtered);
    put_pair(b, "lost", st.lost);
    put_pair(b, "evicted", st.evicted);
    bb_put_end(b);
}

static void
show_relayed(struct bb_builder *b, void *user)
{
    const struct bbi_relayed *r = &((struct bb_cluster *)user)->services->relayed;
    bb_put_table_begin(b);
    put_pair(b, "done", r->done);
    put_pair(b, "refused", r->refused);
    bb_put_end(b);
}

static void
show_variables(struct bb_builder *b, void *user)
{
    const struct bb_cluster *c = user;
    bb_put_set_begin(b);
    for (const struct bbi_variable *v = c->services->variables.first; v != NULL; v = v->next) {
        bb_put_string(b, v->name, strlen(v->name));
    }
    bb_put_end(b);
}

int
bbi_variables_standard(struct bb_cluster *c)
{
    static const struct {
        const char *name;
        bb_show_cb show;
    } STANDARD[] = {
        {"busbar::node", show_node},       {"busbar::role", show_role},
        {"busbar::pid", show_pid},         {"busbar::epoch", show_epoch},
        {"busbar::lost", show_lost},       {"busbar::heard", show_heard},
        {"busbar::relayed", show_relayed}, {"busbar::variables", show_variables},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(STANDARD) / sizeof(STANDARD[0]); i++) {
        rc = bb_cluster_variable(c, STANDARD[i].name, STANDARD[i].show, NULL, c);
    }
    return rc;
}
