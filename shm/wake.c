/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/wake.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t
bit_of(uint32_t idx)
{
    return UINT64_C(1) << idx % 64;
}

int
bbi_wake_arm(struct bbi_bus *bus, uint32_t idx, enum bbi_bell_mode mode)
{
    bbi_store_relaxed(&bus->bells[idx].mode, mode);
    bbi_store_release(&bus->bells[idx].bell, BBI_BELL_SLEEPING); /* R6; before the bit */
    BBI_HOOK("wake:bell_set");
    (void)bbi_fetch_or_seq_cst(&bus->sleepers[idx / 64].v, bit_of(idx)); /* R5 */
    bbi_fence_seq_cst(); /* R5: against publishers that flush with a fence of their own */
    int rc = bbi_os_membarrier_run(); /* R5: against those that rely on ours */
    BBI_HOOK("wake:armed");
    return rc < 0 ? BB_ENOTSUP : 0;
}

int
bbi_wake_sleep(const struct bbi_bus *bus, uint32_t idx, int64_t timeout_ns)
{
    BBI_HOOK("wake:sleeping");
    return bbi_os_futex_wait(&bus->bells[idx].bell, BBI_BELL_SLEEPING,
                             timeout_ns < BBI_SLEEP_MAX_NS ? timeout_ns : BBI_SLEEP_MAX_NS);
}

void
bbi_wake_disarm(struct bbi_bus *bus, uint32_t idx)
{
    (void)bbi_exchange_seq_cst(&bus->bells[idx].bell, BBI_BELL_AWAKE); /* R6 */
    BBI_HOOK("wake:disarming");
    (void)bbi_fetch_and_seq_cst(&bus->sleepers[idx / 64].v, ~bit_of(idx)); /* R5: a hint goes */
}

static socklen_t
socket_address(struct sockaddr_un *sa, int dir_fd, uint32_t idx)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* Through the descriptor: a bus's path may be longer than an address can hold. */
    (void)snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/sock/%u", dir_fd, idx);
    return (socklen_t)sizeof(*sa);
}

/* False when we could not even try. */
static bool
knock(struct bbi_waker *waker, uint32_t idx)
{
    struct sockaddr_un sa;
    if (waker->sock_fd < 0) {
        waker->sock_fd =
            bbi_os_keep_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    }
    if (waker->sock_fd < 0) {
        return false;
    }
    socklen_t n = socket_address(&sa, waker->dir_fd, idx);
    /* A full queue means that it was told already; a missing one that it just went. */
    (void)!sendto(waker->sock_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&sa, n);
    return true;
}

static void
wake_one(struct bbi_bus *bus, struct bbi_waker *waker, uint32_t idx)
{
    uint32_t expected = BBI_BELL_NOTIFIED;
    if (bbi_load_relaxed(&bus->bells[idx].mode) != BBI_BELL_SOCKET) {
        (void)bbi_os_futex_wake(&bus->bells[idx].bell, 1);
    } else if (!knock(waker, idx)) { /* no descriptor left: let somebody else wake it */
        (void)bbi_cas_seq_cst(&bus->bells[idx].bell, &expected, BBI_BELL_SLEEPING); /* R6 */
    }
}

int
bbi_wake_ring(struct bbi_bus *bus, struct bbi_waker *waker, uint32_t idx)
{
    uint32_t expected = BBI_BELL_SLEEPING;
    if (bbi_load_relaxed(&bus->bells[idx].bell) != BBI_BELL_SLEEPING
        || !bbi_cas_seq_cst(&bus->bells[idx].bell, &expected, BBI_BELL_NOTIFIED)) { /* R6 */
        return 0;
    }
    BBI_HOOK("wake:won");
    wake_one(bus, waker, idx);
    BBI_HOOK("wake:rung");
    return 1;
}

void
bbi_wake_pass_on(struct bbi_bus *bus, struct bbi_waker *waker)
{
    int left = 2;
    for (uint32_t w = 0; w < BBI_SUB_WORDS; w++) {
        uint64_t named = bbi_load_seq_cst(&bus->pass_on[w].v); /* R6 */
        for (; named != 0 && left > 0; named &= named - 1) {
            uint64_t bit = named & -named;
            if ((bbi_fetch_and_seq_cst(&bus->pass_on[w].v, ~bit) & bit) != 0) { /* R6: ours now */
                left -= bbi_wake_ring(bus, waker, w * 64 + (uint32_t)__builtin_ctzll(bit));
            }
        }
    }
}

void
bbi_wake_surely(struct bbi_bus *bus, struct bbi_waker *waker, uint32_t idx)
{
    (void)bbi_exchange_seq_cst(&bus->bells[idx].bell, BBI_BELL_NOTIFIED); /* R6 */
    BBI_HOOK("wake:unconditional");
    wake_one(bus, waker, idx);
}

void
bbi_wake_all(struct bbi_bus *bus, struct bbi_waker *waker)
{
    for (uint32_t w = 0; w < BBI_SUB_WORDS; w++) {
        uint64_t bits = bbi_load_seq_cst(&bus->sleepers[w].v); /* R5 */
        for (; bits != 0; bits &= bits - 1) {
            bbi_wake_surely(bus, waker, w * 64 + (uint32_t)__builtin_ctzll(bits));
        }
    }
}

int
bbi_wake_socket(const struct bbi_attach *at, uint32_t idx)
{
    struct sockaddr_un sa;
    char path[32];
    int dir_fd = at->place.dir_fd;
    bbi_place_subdir(&at->place, "sock");
    (void)snprintf(path, sizeof(path), "sock/%u", idx);
    (void)unlinkat(dir_fd, path, 0); /* of the one who had this row before */
    int fd = bbi_os_keep_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0) {
        return -errno;
    }
    socklen_t n = socket_address(&sa, dir_fd, idx);
    if (bind(fd, (struct sockaddr *)&sa, n) != 0 || fchmodat(dir_fd, path, 0660, 0) != 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    BBI_HOOK("wake:socket");
    return fd;
}

void
bbi_wake_socket_remove(const struct bbi_attach *at, uint32_t idx)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "sock/%u", idx);
    (void)unlinkat(at->place.dir_fd, path, 0);
}
