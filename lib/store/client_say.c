/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/client_say.c - why nobody answers, in words: who is or was the master, where, and is it well.
 *
 * What ctl says is another process's: each word is read once, texts are copied and cut.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/store/client_impl.h"
#include "shm/os.h"
#include <string.h>

struct master_seen {
    int64_t pid;
    bool lives; /* it holds the lock */
    bool is_stopped;
    bool is_elsewhere;
    char node[BB_NAME_MAX + 1];
    char bus[256];
};

static void
copy_text(char *out, size_t cap, const char *text)
{
    size_t n = strnlen(text, cap - 1);
    memcpy(out, text, n);
    out[n] = '\0';
}

static void
look(const struct bb_store *s, struct master_seen *m)
{
    const struct bbi_store_ctl *ctl = s->dir.ctl;
    *m = (struct master_seen){0};
    if (ctl == NULL) {
        return;
    }
    m->pid = (int64_t)bbi_load_relaxed(&ctl->master_pid);
    m->lives = bbi_store_dir_is_served(&s->dir) == 1;
    copy_text(m->node, sizeof(m->node), ctl->master_node);
    copy_text(m->bus, sizeof(m->bus), ctl->bus);
    m->is_elsewhere =
        s->ep != NULL && m->bus[0] != '\0' && strcmp(m->bus, bb_endpoint_path(s->ep)) != 0;
    if (bbi_load_relaxed(&ctl->master_pidns) == bbi_os_pidns() && m->pid > 0
        && m->pid <= INT32_MAX) {
        char state = bbi_os_process_state((pid_t)m->pid);
        m->is_stopped = state == 'T' || state == 't';
    }
}

static void
say_living(const struct bb_store *s, const struct master_seen *m, struct bbi_fault *why)
{
    long long pid = m->pid;
    if (m->is_elsewhere) {
        bbi_fault_set(why, 0, s->name,
                      "store '%s' is served on another bus, %s, by %s (pid %lld): open it there",
                      s->name, m->bus, m->node, pid);
    } else if (m->is_stopped) {
        bbi_fault_set(
            why, 0, s->name,
            "store '%s': its master %s (pid %lld) is stopped and keeps the lock: continue it (kill "
            "-CONT %lld), or end it and a standby takes over",
            s->name, m->node, pid, pid);
    } else {
        bbi_fault_set(
            why, 0, s->name,
            "store '%s': its master %s (pid %lld) lives and did not answer in time: is it polled?",
            s->name, m->node, pid);
    }
}

static void
say(const struct bb_store *s, const struct master_seen *m, struct bbi_fault *why)
{
    if (s->dir.ctl == NULL) {
        bbi_fault_set(why, 0, s->name, "store '%s': no master answered on %s", s->name,
                      bb_endpoint_path(s->ep));
    } else if (m->lives) {
        say_living(s, m, why);
    } else if (m->pid != 0) {
        bbi_fault_set(
            why, 0, s->name,
            "store '%s' has no master: the last was %s (pid %lld) on %s; start one with `busbar "
            "store serve %s`",
            s->name, m->node, (long long)m->pid, m->bus, s->name);
    } else {
        bbi_fault_set(why, 0, s->name,
                      "store '%s' has no master, and had none since the box started", s->name);
    }
}

int
bbi_client_say(struct bb_store *s, int code, const char *what)
{
    struct master_seen m;
    struct bbi_fault why, whole;
    look(s, &m);
    say(s, &m, &why);
    bbi_fault_set(&whole, code, s->name, "%s; the command %s", why.sentence, what);
    bbi_fault_owner(&whole, m.pid, -1);
    return bbi_error_fill(&s->client->error, &whole);
}

const struct bb_error *
bb_store_error(const struct bb_store *s)
{
    static const struct bb_error none = {.owner_uid = -1};
    return s->client != NULL ? &s->client->error : &none;
}
