/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A bus is its owner's (0700) or a group's (2770), and nobody else's; who is refused is told whose it is.
 * Method  As root: children that become two unprivileged users in one group, and a third outside it.
 */
#include "busbar/inspect.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    UID_A = 61001,
    UID_B = 61002,
    UID_C = 61003,
    GID = 61010,
    MAX_MSG = 100,
    MESSAGES = 500,
    READY = 1,
    DONE = 2,
    GO = 1,
    QUIT = 2
};
static char base[128];
static char squatted[64]; /* removed at the end, whatever happened */

static void
init(void)
{
    bbt_bus_new();
    if (geteuid() == 0) {
        cr_assert_eq(chmod(bbt_dir(), 0777 | S_ISVTX), 0);
        (void)snprintf(base, sizeof(base), "%s/shared", bbt_dir());
    }
}

static void
fini(void)
{
    if (squatted[0] != '\0') {
        (void)rmdir(squatted);
    }
    bbt_bus_end();
}

static void
become(struct bbt_side *side, uid_t uid, bool in_group)
{
    gid_t group = GID;
    BBT_CHECK(side,
              setgroups(in_group ? 1 : 0, &group) == 0 && setgid(uid) == 0 && setuid(uid) == 0,
              "cannot become user %u: %s", (unsigned)uid, strerror(errno));
    BBT_CHECK(side, setuid(0) != 0, "still root");
}

static int
attach(const char *dir,
       const char *group,
       const char *name,
       struct bb_endpoint **ep,
       struct bb_error *err)
{
    *err = (struct bb_error){0};
    return bb_endpoint_open(ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                           .dir = dir,
                                                           .bus = BBT_BUS,
                                                           .name = name,
                                                           .group = group,
                                                           .error = err});
}

struct user {
    uid_t uid;
    bool in_group;
    const char *group;
    uint32_t writer, other;
};

/* Publishes, and reads the other's messages reliably; through the descriptor, so that the socket is tried too. */
static void
be_member(struct bbt_side *side, const void *arg)
{
    const struct user *u = arg;
    struct bb_error err;
    struct bb_endpoint *ep;
    char name[16];
    const struct bb_publisher_opts o = {.policy = BB_POLICY_BLOCK_FAIL, .block_ns = 10000000000};
    (void)umask(0077);
    become(side, u->uid, u->in_group);
    (void)snprintf(name, sizeof(name), "user-%u", (unsigned)u->uid);
    int rc = attach(base, u->group, name, &ep, &err);
    BBT_CHECK(side, rc == 0, "attach: %d %s", rc, err.sentence);
    struct bb_subscriber *sub =
        bbt_subscriber(side, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS);
    BBT_CHECK(side, bb_fd(sub) >= 0, "bb_fd");
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, u->writer);
    side->reader.max = MAX_MSG;
    bbt_at(side, READY);
    (void)bbt_wait_go(side, GO, 30000);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        BBT_CHECK(side, bbt_send(topic, u->writer, seq, MAX_MSG, 0) == 0, "publish");
    }
    while (bbt_reader_got(&side->reader, u->other) < MESSAGES) {
        (void)bbt_take(side, sub, 1000000000);
    }
    bbt_at(side, DONE);
    while (bbi_load_acquire(&side->go) < QUIT) {
        (void)bbt_take(side, sub, 50000000);
    }
    bbt_balance(side, sub);
    bb_endpoint_close(ep);
}

/* What a user who has no right to it is told. */
static void
be_stranger(struct bbt_side *side, const void *arg)
{
    const struct user *u = arg;
    struct bb_error err;
    struct bb_endpoint *ep;
    struct bb_look *look;
    char owner[16];
    become(side, u->uid, u->in_group);
    (void)snprintf(owner, sizeof(owner), "user %d", UID_A);
    int rc = attach(base, NULL, "stranger", &ep, &err);
    BBT_CHECK(side, rc == BB_EACCES, "attach: %d %s", rc, err.sentence);
    BBT_CHECK(side, err.owner_uid == UID_A && strstr(err.sentence, owner) != NULL,
              "its owner %ld: %s", (long)err.owner_uid, err.sentence);
    err = (struct bb_error){0};
    rc = bb_look_open(&look, &(struct bb_look_opts){.size = sizeof(struct bb_look_opts),
                                                    .dir = base,
                                                    .bus = BBT_BUS,
                                                    .error = &err});
    BBT_CHECK(side, rc == BB_EACCES && err.owner_uid == UID_A, "look: %d %s", rc, err.sentence);
}

static mode_t
mode_of(const char *file, gid_t *gid)
{
    char path[300];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/" BBT_BUS "/%s", base, file);
    cr_assert_eq(stat(path, &st), 0, "%s: %s", path, strerror(errno));
    *gid = st.st_gid;
    return st.st_mode & 07777;
}

static void
check_modes(void)
{
    char path[300];
    gid_t gid;
    (void)snprintf(path, sizeof(path), "%s/" BBT_BUS, base);
    cr_assert_eq(mode_of(".", &gid), 02770);
    cr_assert_eq(gid, GID);
    cr_assert_eq(mode_of("lock", &gid), 0660);
    cr_assert_eq(mode_of("bus.ctl", &gid), 0660);
    DIR *dir = opendir(path);
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, "pub-", 4) == 0 || strncmp(e->d_name, "sub-", 4) == 0) {
            cr_assert_eq(mode_of(e->d_name, &gid), 0640, "%s", e->d_name);
            cr_assert_eq(gid, GID, "%s", e->d_name);
        }
    }
    (void)closedir(dir);
}

Test(permissions, a_groups_bus, .init = init, .fini = bbt_bus_end, .timeout = 60)
{
    static const struct user a = {UID_A, true, "61010", 1, 2}, b = {UID_B, true, NULL, 2, 1},
                             c = {UID_C, false, NULL, 0, 0};
    struct bbt_child ca, cb, cc;
    if (geteuid() != 0) {
        cr_skip_test("needs root, to become two users");
    }
    bbt_fork(&ca, "user a", be_member, &a);
    bbt_wait_at(&ca, READY, 10000);
    bbt_fork(&cb, "user b", be_member, &b);
    bbt_wait_at(&cb, READY, 10000);
    check_modes();
    bbt_order(&ca, GO);
    bbt_order(&cb, GO);
    bbt_wait_at(&ca, DONE, 10000);
    bbt_wait_at(&cb, DONE, 10000);
    bbt_fork(&cc, "stranger", be_stranger, &c);
    bbt_wait_end(&cc, 5000);
    /* One is killed: the other, another user, is told and tidies up its files. */
    bbt_signal(&cb, SIGKILL);
    bbt_wait_kill(&cb, 5000);
    BBT_UNTIL(bbt_reader_told(&ca.side->reader, "user-61002", BB_STATUS_DIED) == 1, 5000, "died");
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/" BBT_BUS "/dead", base);
    BBT_UNTIL(access(path, F_OK) == 0, 5000, "the dead user's ring is not in %s", path);
    bbt_order(&ca, QUIT);
    bbt_wait_end(&ca, 5000);
    cr_assert_eq(ca.side->stats.lost, 0);
}

static void
make_private(struct bbt_side *side, const void *arg)
{
    const struct user *u = arg;
    struct bb_error err;
    struct bb_endpoint *ep;
    become(side, u->uid, true);
    int rc = attach(base, NULL, "owner", &ep, &err);
    BBT_CHECK(side, rc == 0, "attach: %d %s", rc, err.sentence);
    bbt_at(side, READY);
    (void)bbt_wait_go(side, GO, 30000);
    bb_endpoint_close(ep);
}

Test(permissions, a_private_bus, .init = init, .fini = bbt_bus_end, .timeout = 30)
{
    static const struct user a = {.uid = UID_A}, b = {.uid = UID_B, .in_group = true};
    struct bbt_child ca, cb;
    gid_t gid;
    if (geteuid() != 0) {
        cr_skip_test("needs root, to become two users");
    }
    bbt_fork(&ca, "owner", make_private, &a);
    bbt_wait_at(&ca, READY, 5000);
    cr_assert_eq(mode_of(".", &gid), 0700);
    bbt_fork(&cb, "stranger", be_stranger, &b);
    bbt_wait_end(&cb, 5000);
    bbt_order(&ca, GO);
    bbt_wait_end(&ca, 5000);
}

/* The directory that is the default for us is somebody else's. */
static void
find_squatted(struct bbt_side *side, const void *arg)
{
    const struct user *u = arg;
    struct bb_error err;
    struct bb_endpoint *ep;
    become(side, u->uid, false);
    (void)unsetenv("BUSBAR_DIR");
    int rc = attach(NULL, NULL, "me", &ep, &err);
    BBT_CHECK(side, rc == BB_ETRUST, "attach: %d %s", rc, err.sentence);
    BBT_CHECK(side, err.owner_uid == UID_B, "owner %ld: %s", (long)err.owner_uid, err.sentence);
    BBT_CHECK(side, strstr(err.sentence, "BUSBAR_DIR") != NULL, "what to do: %s", err.sentence);
}

Test(permissions, a_squatted_default_directory, .init = init, .fini = fini, .timeout = 30)
{
    struct user u = {.uid = (uid_t)(200000 + getpid() % 100000)};
    struct bbt_child c;
    char path[64];
    if (geteuid() != 0) {
        cr_skip_test("needs root, to become another user");
    }
    (void)snprintf(path, sizeof(path), "/dev/shm/busbar-%u", (unsigned)u.uid);
    cr_assert_eq(mkdir(path, 0755), 0, "%s: %s", path, strerror(errno));
    cr_assert_eq(chmod(path, 0755), 0);
    cr_assert_eq(chown(path, UID_B, GID), 0);
    bbt_fork(&c, "victim of a squatter", find_squatted, &u);
    (void)snprintf(squatted, sizeof(squatted), "%s", path);
    bbt_wait_end(&c, 5000);
}

Test(permissions,
     a_directory_that_everybody_may_write,
     .init = bbt_bus_new,
     .fini = bbt_bus_end,
     .timeout = 30)
{
    struct bb_error err;
    struct bb_endpoint *ep;
    cr_assert_eq(chmod(bbt_dir(), 0777), 0);
    cr_assert_eq(attach(bbt_dir(), NULL, "me", &ep, &err), BB_ETRUST, "%s", err.sentence);
    cr_assert_not_null(strstr(err.sentence, "o-w"), "what to do: %s", err.sentence);
}
