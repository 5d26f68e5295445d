/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/client_say.c - why nobody answers, in words: who is or was the master, where, and is it well.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/store/client_impl.h"
#include "shm/os.h"
#include <string.h>

struct master_seen {
    struct bbi_store_master who;
    bool lives; /* it holds the lock */
    bool is_stopped;
    bool is_elsewhere;
};

static void
look(const struct bb_store *s, struct master_seen *m)
{
    *m = (struct master_seen){.lives = false};
    if (s->dir.ctl == NULL) {
        return;
    }
    bbi_store_dir_master(&s->dir, &m->who);
    m->lives = bbi_store_dir_is_served(&s->dir) == 1;
    m->is_elsewhere = m->who.bus[0] != '\0' && strcmp(m->who.bus, bb_endpoint_path(s->ep)) != 0;
    if (m->who.pidns == bbi_os_pidns() && m->who.pid > 0 && m->who.pid <= INT32_MAX) {
        char state = bbi_os_process_state((pid_t)m->who.pid);
        m->is_stopped = state == 'T' || state == 't';
    }
}

static void
say_living(const struct bb_store *s, const struct master_seen *m, struct bbi_fault *why)
{
    long long pid = m->who.pid;
    if (m->is_elsewhere) {
        bbi_fault_set(why, 0, s->name,
                      "store '%s' is served on another bus, %s, by %s (pid %lld): open it there",
                      s->name, m->who.bus, m->who.node, pid);
    } else if (m->is_stopped) {
        bbi_fault_set(
            why, 0, s->name,
            "store '%s': its master %s (pid %lld) is stopped and keeps the lock: continue it (kill "
            "-CONT %lld), or end it and a standby takes over",
            s->name, m->who.node, pid, pid);
    } else {
        bbi_fault_set(
            why, 0, s->name,
            "store '%s': its master %s (pid %lld) lives and did not answer in time: is it polled?",
            s->name, m->who.node, pid);
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
    } else if (m->who.pid != 0) {
        bbi_fault_set(
            why, 0, s->name,
            "store '%s' has no master: the last was %s (pid %lld) on %s; start one with `busbar "
            "store serve %s%s%s`",
            s->name, m->who.node, (long long)m->who.pid, m->who.bus, s->name,
            s->dir.is_memory ? "" : " --path ", s->dir.is_memory ? "" : s->dir.path);
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
    bbi_fault_owner(&whole, m.who.pid, -1);
    return bbi_error_fill(&s->client->error, &whole);
}

const struct bb_error *
bb_store_error(const struct bb_store *s)
{
    static const struct bb_error none = {.owner_uid = -1};
    return s->ended.code != 0 ? &s->ended : s->client != NULL ? &s->client->error : &none;
}
