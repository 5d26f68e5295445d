/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/write.c - what store.h offers to change a store: at once on its master, else as a frame.
 *
 * A master that still has frames open from before it was one sends the next one the same way, so that a handle's
 * commands run in the order of its calls.
 */
#include "lib/store/client_impl.h"
#include "lib/store/poll_impl.h"
#include "shm/os.h"

static int
check(const struct bb_store *s, const struct bb_store_cmd *cmds, size_t count, uint32_t flags)
{
    if (bbi_store_is_forked(s)) {
        return BB_EFORKED;
    }
    if (s->ep == NULL) {
        return bbi_store_no_bus(s);
    }
    bool is_wrong = cmds == NULL || count == 0 || count > UINT32_MAX
                    || (flags & ~(uint32_t)BB_STORE_ATOMIC) != 0;
    return is_wrong ? BB_EINVAL : 0;
}

/* The deadline that stays as it is has a word of its own on the wire, not in the interface. */
static bool
keeps_deadline(const struct bb_store_cmd *cmds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cmds[i].expire_ns == BBI_EXPIRE_KEEP) {
            return true;
        }
    }
    return false;
}

int
bb_store_run(struct bb_store *s,
             const struct bb_store_cmd *cmds,
             size_t count,
             uint32_t flags,
             struct bb_store_result *results)
{
    return cmds != NULL && keeps_deadline(cmds, count)
               ? BB_EINVAL
               : bbi_store_run(s, cmds, count, flags, results);
}

int
bbi_store_run(struct bb_store *s,
              const struct bb_store_cmd *cmds,
              size_t count,
              uint32_t flags,
              struct bb_store_result *results)
{
    int rc = check(s, cmds, count, flags);
    if (rc < 0 || results == NULL) {
        return rc < 0 ? rc : BB_EINVAL;
    }
    if (s->master != NULL && bbi_client_is_idle(s)) {
        return bbi_master_run(s, cmds, count, flags, results);
    }
    rc = bbi_client_run(s, BBI_FRAME_COMMANDS, cmds, count, flags, results);
    bbi_poll_arm(s);
    return rc;
}

int64_t
bb_store_send(struct bb_store *s, const struct bb_store_cmd *cmds, size_t count, uint32_t flags)
{
    int rc = check(s, cmds, count, flags);
    rc = rc == 0 && keeps_deadline(cmds, count) ? BB_EINVAL : rc;
    if (rc < 0) {
        return rc;
    }
    int64_t ticket = bbi_client_send(s, BBI_FRAME_COMMANDS, cmds, count, flags);
    bbi_poll_arm(s);
    return ticket;
}

int
bb_store_idle(struct bb_store *s, int64_t timeout_ns)
{
    if (bbi_store_is_forked(s)) {
        return BB_EFORKED;
    }
    int64_t until = bbi_until_ns(timeout_ns);
    while (!bbi_client_is_idle(s)) {
        int64_t now = bbi_os_mono_ns();
        int rc = bb_store_poll(s, until == INT64_MAX ? -1 : until > now ? until - now : 0);
        if (rc < 0) {
            return rc;
        }
        if (now >= until && !bbi_client_is_idle(s)) {
            return BB_ETIMEDOUT;
        }
    }
    return 0;
}

/* ---- one command ---- */

static int
run_one(struct bb_store *s, const struct bb_store_cmd *cmd, struct bb_store_result *out)
{
    struct bb_store_result unwanted;
    return bb_store_run(s, cmd, 1, 0, out != NULL ? out : &unwanted);
}

static const struct bb_value NO_VALUE = {NULL, 0};

static struct bb_store_cmd
command(uint32_t op, const struct bb_value *key, const struct bb_value *value, int64_t expire_ns)
{
    return (struct bb_store_cmd){.op = op,
                                 .expire_ns = expire_ns,
                                 .key = key != NULL ? *key : NO_VALUE,
                                 .value = value != NULL ? *value : NO_VALUE};
}

int
bb_store_put(struct bb_store *s,
             const struct bb_value *key,
             const struct bb_value *value,
             int64_t expire_ns,
             struct bb_store_result *out)
{
    struct bb_store_cmd cmd = command(BB_STORE_PUT, key, value, expire_ns);
    return run_one(s, &cmd, out);
}

int
bb_store_put_unique(struct bb_store *s,
                    const struct bb_value *key,
                    const struct bb_value *value,
                    int64_t expire_ns,
                    struct bb_store_result *out)
{
    struct bb_store_cmd cmd = command(BB_STORE_PUT_UNIQUE, key, value, expire_ns);
    return run_one(s, &cmd, out);
}

int
bb_store_erase(struct bb_store *s, const struct bb_value *key, struct bb_store_result *out)
{
    struct bb_store_cmd cmd = command(BB_STORE_ERASE, key, NULL, 0);
    return run_one(s, &cmd, out);
}

int
bb_store_increment(struct bb_store *s,
                   const struct bb_value *key,
                   const struct bb_value *amount,
                   int64_t expire_ns,
                   struct bb_store_result *out)
{
    struct bb_store_cmd cmd = command(BB_STORE_INCREMENT, key, amount, expire_ns);
    return run_one(s, &cmd, out);
}
