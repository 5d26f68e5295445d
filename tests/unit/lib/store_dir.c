/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: one master at a time, whatever happened to the one before; a generation counts when it is named and not
 * before; what belongs to somebody else or is damaged is refused or replaced; a bus leaves its stores alone until
 * it has no members.
 * Method: directories on the tmpfs, removed afterwards; other processes are forked children; a damaged ctl is one
 * whose bytes the test changed.
 */
#include "lib/store/dir.h"
#include "shm/os.h"

#include <busbar/inspect.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char where[64];
static char store[160];

static void
set_up(void)
{
    (void)snprintf(where, sizeof(where), "/dev/shm/bb-unit-dir-XXXXXX");
    cr_assert_not_null(mkdtemp(where));
    (void)snprintf(store, sizeof(store), "%s/s", where);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void
tear_down(void)
{
    (void)nftw(where, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(store_dir, .timeout = 60, .init = set_up, .fini = tear_down);

static void
make_it(struct bbi_store_dir *dir, bool is_memory)
{
    struct bbi_fault f = {0};
    int rc = bbi_store_dir_make(dir, store, is_memory, false, &f);
    cr_assert_eq(rc, 0, "%d %s", rc, f.sentence);
}

static mode_t
mode_of(const char *name)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", store, name);
    cr_assert_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static bool
is_there(const char *name)
{
    char path[420];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : store,
                   name[0] == '/' ? "" : "/", name);
    return lstat(path, &st) == 0;
}

static void
write_file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", store, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void
make_generation(const struct bbi_store_dir *dir, uint64_t generation)
{
    char name[64];
    cr_assert_eq(bbi_store_dir_make_gen(dir, generation, true), 0);
    (void)snprintf(name, sizeof(name), "gen-%u.new/data.mdb", (unsigned)generation);
    write_file(name, "data");
    cr_assert_eq(bbi_store_dir_switch(dir, generation), 0);
}

Test(store_dir, names)
{
    char longest[BB_NAME_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[BB_NAME_MAX + 1] = '\0';
    cr_assert(!bbi_store_name_ok(longest));
    longest[BB_NAME_MAX] = '\0';
    cr_assert(bbi_store_name_ok(longest));
    cr_assert(bbi_store_name_ok("known.hosts_2-x"));
    static const char *const bad[] = {"", ".", ".x", "a/b", "a b", "ä", NULL};
    for (int i = 0; i < 7; i++) {
        cr_assert(!bbi_store_name_ok(bad[i]));
    }
}

Test(store_dir, the_second_master_is_refused_and_told_of_the_first)
{
    struct bbi_store_dir first, second;
    struct bbi_fault f;
    make_it(&first, false);
    cr_assert_eq(bbi_store_dir_is_served(&first), 1);
    bbi_store_dir_set_master(&first, 77, "manager", "/dev/shm/x/bus");
    cr_assert_eq(bbi_store_dir_make(&second, store, false, false, &f), BB_EEXIST);
    cr_assert_eq(f.pid, getpid());
    cr_assert_not_null(strstr(f.sentence, "'manager' on bus '/dev/shm/x/bus'"));

    cr_assert_eq(bbi_store_dir_make(&second, store, false, true, &f), BB_EEXIST); /* a standby */
    cr_assert_not_null(second.ctl);
    cr_assert_eq(bbi_store_dir_lock(&second), BB_EAGAIN);
    cr_assert_eq(bbi_store_dir_is_served(&second), 1);
    struct bbi_store_master m;
    bbi_store_dir_master(&second, &m);
    cr_assert_eq(m.pid, getpid());
    cr_assert_eq(m.id, 77);
    cr_assert_eq(m.pidns, bbi_os_pidns());
    bbi_store_release(&first.ctl->version, 5);
    bbi_store_dir_close(&first);
    cr_assert_eq(bbi_store_dir_is_served(&second), 0);
    cr_assert_eq(bbi_store_dir_lock(&second), 0);
    cr_assert_eq(bbi_load_acquire(&second.ctl->version), 5); /* the same ctl goes on */
    bbi_store_dir_unlock(&second);
    cr_assert_eq(bbi_store_dir_is_served(&second), 0);
    bbi_store_dir_close(&second);
}

Test(store_dir, modes_follow_the_directory_above)
{
    struct bbi_store_dir dir;
    mode_t before = umask(077);
    make_it(&dir, false);
    cr_assert_eq(mode_of("."), 0700);
    cr_assert_eq(mode_of("lock"), 0600);
    cr_assert_eq(mode_of("ctl"), 0600);
    cr_assert_eq(dir.file_mode, 0600);
    bbi_store_dir_close(&dir);
    tear_down();
    set_up();
    cr_assert_eq(chmod(where, 02770), 0);
    make_it(&dir, false);
    cr_assert_eq(mode_of("."), 02770);
    cr_assert_eq(mode_of("lock"), 0660);
    cr_assert_eq(mode_of("ctl"), 0660);
    make_generation(&dir, 1);
    cr_assert_eq(mode_of("gen-1"), 02770);
    bbi_store_dir_close(&dir);
    (void)umask(before);
}

Test(store_dir, one_that_everybody_may_write_is_refused)
{
    struct bbi_store_dir dir;
    struct bbi_fault f;
    cr_assert_eq(mkdir(store, 0700), 0);
    cr_assert_eq(chmod(store, 0777), 0);
    cr_assert_eq(bbi_store_dir_make(&dir, store, false, false, &f), BB_ETRUST);
    cr_assert_not_null(strstr(f.sentence, store));
    cr_assert_eq(bbi_store_dir_open(&dir, store, true, &f), BB_ETRUST);
}

Test(store_dir, one_of_somebody_else_is_refused)
{
    struct bbi_store_dir dir;
    struct bbi_fault f;
    cr_assert_eq(mkdir(store, 0700), 0);
    if (chown(store, 12345, (gid_t)-1) != 0) {
        cr_skip("only root can give a directory away");
    }
    cr_assert_eq(bbi_store_dir_make(&dir, store, false, false, &f), BB_ETRUST);
    cr_assert_eq(f.uid, 12345);
    cr_assert_eq(chmod(store, 02770), 0); /* shared: its group is trusted */
    cr_assert_eq(bbi_store_dir_make(&dir, store, false, false, &f), 0);
    bbi_store_dir_close(&dir);
}

static void
edit_ctl(void (*edit)(struct bbi_store_ctl *ctl))
{
    char path[256];
    void *map;
    (void)snprintf(path, sizeof(path), "%s/ctl", store);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bbi_os_map(fd, sizeof(struct bbi_store_ctl), true, &map), 0);
    edit(map);
    bbi_os_unmap(map, sizeof(struct bbi_store_ctl));
    (void)close(fd);
}

static void
of_another_boot(struct bbi_store_ctl *ctl)
{
    ctl->ident.boot_id[3] ^= 1;
    ctl->ident.check = 0;
    bbi_segment_seal(&ctl->ident);
}

static void
damage(struct bbi_store_ctl *ctl)
{
    ctl->ident.file_bytes ^= 1;
}

static void
other_magic(struct bbi_store_ctl *ctl)
{
    ctl->magic ^= 1;
}

static void
other_layout(struct bbi_store_ctl *ctl)
{
    ctl->ident.major++;
}

static uint64_t
version_after(void (*edit)(struct bbi_store_ctl *ctl))
{
    struct bbi_store_dir dir;
    make_it(&dir, false);
    bbi_store_release(&dir.ctl->version, 9);
    bbi_store_dir_close(&dir);
    if (edit != NULL) {
        edit_ctl(edit);
    }
    make_it(&dir, false);
    uint64_t version = bbi_load_acquire(&dir.ctl->version);
    bbi_store_dir_close(&dir);
    return version;
}

Test(store_dir, a_ctl_that_does_not_serve_is_replaced)
{
    char path[256];
    struct bbi_store_dir dir;
    struct bbi_fault f;
    cr_assert_eq(version_after(NULL), 9);
    cr_assert_eq(version_after(damage), 0);
    cr_assert_eq(version_after(other_magic), 0);
    cr_assert_eq(version_after(of_another_boot), 0);
    (void)snprintf(path, sizeof(path), "%s/ctl", store);
    cr_assert_eq(truncate(path, 100), 0);
    cr_assert_eq(version_after(NULL), 9); /* first replaced, then kept */
    cr_assert_eq(unlink(path), 0);
    make_it(&dir, false);
    bbi_store_dir_close(&dir);
    edit_ctl(other_layout);
    cr_assert_eq(bbi_store_dir_make(&dir, store, false, false, &f), BB_EVERSION);
    cr_assert_not_null(strstr(f.sentence, store));
    cr_assert_eq(bbi_store_dir_open(&dir, store, false, &f), BB_EVERSION);
}

Test(store_dir, memory_of_another_boot_is_void)
{
    struct bbi_store_dir dir;
    uint64_t generation;
    make_it(&dir, true);
    make_generation(&dir, 3);
    bbi_store_dir_close(&dir);
    edit_ctl(of_another_boot);
    make_it(&dir, false); /* on a disk it stays */
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), 0);
    cr_assert_eq(generation, 3);
    bbi_store_dir_close(&dir);
    edit_ctl(of_another_boot);
    make_it(&dir, true);
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), BB_ENOENT);
    cr_assert(!is_there("gen-3"));
    bbi_store_dir_close(&dir);
}

Test(store_dir, generations_count_when_they_are_named)
{
    struct bbi_store_dir dir;
    uint64_t generation = 0;
    char path[320];
    make_it(&dir, false);
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), BB_ENOENT);
    make_generation(&dir, 1);
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), 0);
    cr_assert_eq(generation, 1);
    cr_assert_eq(bbi_store_dir_make_gen(&dir, 2, true), 0);
    cr_assert_eq(bbi_store_dir_make_gen(&dir, 2, true), BB_EEXIST);
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), 0);
    cr_assert_eq(generation, 1);
    write_file("gen-2.new/data.mdb", "two");
    write_file("gen-2.new/lock.mdb", "two");
    cr_assert_eq(bbi_store_dir_switch(&dir, 2), 0);
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), 0);
    cr_assert_eq(generation, 2);
    bbi_store_dir_gen_path(&dir, 2, false, path);
    cr_assert(is_there(path));
    cr_assert_eq(bbi_store_dir_make_gen(&dir, 3, true), 0);
    write_file("ctl.new", "x");
    cr_assert(is_there("gen-1"));
    bbi_store_dir_tidy(&dir, 2);
    cr_assert(!is_there("gen-1"));
    cr_assert(!is_there("gen-3.new"));
    cr_assert(!is_there("ctl.new"));
    cr_assert(is_there("gen-2/data.mdb"));
    cr_assert(is_there("ctl"));
    bbi_store_dir_close(&dir);
}

Test(store_dir, a_link_to_anything_else_is_damage)
{
    struct bbi_store_dir dir;
    uint64_t generation;
    static const char *const bad[] = {"gen-0",  "gen-",   "gen-1.new", "gen-01",
                                      "gen-1x", "../etc", "gen-1/",    "gen-99999999999999999999"};
    make_it(&dir, false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(symlinkat(bad[i], dir.fd, "current"), 0);
        cr_assert_eq(bbi_store_dir_current(&dir, &generation), BB_ECORRUPT, "%s", bad[i]);
        cr_assert_eq(unlinkat(dir.fd, "current", 0), 0);
    }
    write_file("current", "gen-1");
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), BB_ECORRUPT);
    bbi_store_dir_close(&dir);
}

Test(store_dir, what_is_set_aside_is_kept_whole)
{
    struct bbi_store_dir dir;
    uint64_t generation;
    char aside[320], again[320], inside[340];
    make_it(&dir, false);
    make_generation(&dir, 4);
    cr_assert_eq(bbi_store_dir_set_aside(&dir, 0, aside), 0);
    cr_assert_eq(bbi_store_dir_current(&dir, &generation), BB_ENOENT);
    (void)snprintf(inside, sizeof(inside), "%s/gen-4/data.mdb", aside);
    cr_assert(is_there(inside));
    make_generation(&dir, 4);
    cr_assert_eq(bbi_store_dir_set_aside(&dir, 0, again), 0); /* in the same second */
    cr_assert_str_neq(aside, again);
    bbi_store_dir_tidy(&dir, 1);
    cr_assert(is_there(inside));
    bbi_store_dir_close(&dir);
}

Test(store_dir, who_looks_needs_no_ctl_and_a_clone_does)
{
    struct bbi_store_dir dir;
    struct bbi_fault f;
    cr_assert_eq(bbi_store_dir_open(&dir, store, true, &f), BB_ENOENT);
    make_it(&dir, false);
    make_generation(&dir, 6);
    bbi_store_dir_close(&dir);
    cr_assert_eq(bbi_store_dir_open(&dir, store, false, &f), 0);
    cr_assert(!dir.is_private);
    bbi_store_dir_close(&dir);
    edit_ctl(of_another_boot);
    cr_assert_eq(bbi_store_dir_open(&dir, store, false, &f), BB_ENOENT);
    cr_assert_not_null(strstr(f.sentence, "start its master"));
    cr_assert_eq(bbi_store_dir_open(&dir, store, true, &f), 0);
    cr_assert(dir.is_private);
    cr_assert_eq(bbi_load_acquire(&dir.ctl->generation), 6);
    bbi_store_dir_close(&dir);
}

/* ---- fork, death --------------------------------------------------------------------------------- */

/* A child that is master; with_child: it forks one more that stands still.  Says when it is so far. */
static pid_t
master_process(bool with_child, pid_t *grandchild)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct bbi_store_dir dir;
        pid_t second = 0;
        if (bbi_store_dir_make(&dir, store, false, false, NULL) < 0) {
            _exit(1);
        }
        bbi_store_dir_set_master(&dir, 1, "child", "bus");
        if (with_child) {
            second = fork();
        }
        if ((!with_child || second > 0)
            && write(fds[1], &second, sizeof(second)) != (ssize_t)sizeof(second)) {
            _exit(1);
        }
        for (;;) {
            (void)pause();
        }
    }
    cr_assert_gt(pid, 0);
    cr_assert_eq(read(fds[0], grandchild, sizeof(*grandchild)), (ssize_t)sizeof(*grandchild));
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid;
}

Test(store_dir, a_dead_masters_child_does_not_keep_its_lock)
{
    struct bbi_store_dir dir;
    struct bbi_fault f;
    pid_t grandchild;
    pid_t pid = master_process(true, &grandchild);
    cr_assert_eq(bbi_store_dir_make(&dir, store, false, true, &f), BB_EEXIST);
    cr_assert_eq(f.pid, pid);
    (void)kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    int rc = BB_EAGAIN; /* the grandchild may not have run yet: it lets go when it does */
    for (int tries = 0; rc == BB_EAGAIN && tries < 10000; tries++) {
        rc = bbi_store_dir_lock(&dir);
        (void)bbi_os_sleep_ns(1000000);
    }
    cr_assert_eq(rc, 0);
    cr_assert_eq(kill(grandchild, 0), 0);
    (void)kill(grandchild, SIGKILL);
    bbi_store_dir_close(&dir);
}

Test(store_dir, a_stopped_master_keeps_its_lock)
{
    struct bbi_store_dir dir;
    struct bbi_fault f;
    pid_t none;
    pid_t pid = master_process(false, &none);
    cr_assert_eq(kill(pid, SIGSTOP), 0);
    cr_assert_eq(bbi_store_dir_make(&dir, store, false, true, &f), BB_EEXIST);
    cr_assert_eq(bbi_store_dir_lock(&dir), BB_EAGAIN);
    (void)kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert_eq(bbi_store_dir_lock(&dir), 0);
    bbi_store_dir_close(&dir);
}

Test(store_dir, a_child_has_nothing_open)
{
    struct bbi_store_dir dir;
    make_it(&dir, false);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = dir.lock_fd < 0 && dir.fd < 0 && !dir.is_held && dir.ctl == NULL;
        bbi_store_dir_close(&dir);
        _exit(ok ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_eq(bbi_store_dir_is_served(&dir), 1);
    bbi_store_dir_close(&dir);
}

/* ---- on a bus ------------------------------------------------------------------------------------ */

Test(store_dir, a_bus_knows_stores_by_name)
{
    struct bbi_store_dir dir, memory;
    struct bbi_fault f;
    char found[256];
    char other[96], below[160];
    make_it(&dir, false);
    (void)snprintf(other, sizeof(other), "%s/other", where);
    cr_assert_eq(bbi_store_dir_find(where, "hosts", found), BB_ENOENT);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", store, &f), 0);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", store, &f), 0);
    cr_assert_eq(bbi_store_dir_find(where, "hosts", found), 0);
    cr_assert_str_eq(found, store);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", other, &f), BB_EEXIST);
    cr_assert_not_null(strstr(f.sentence, store));
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", NULL, &f), BB_EEXIST);
    bbi_store_dir_close(&dir);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", other, &f),
                 0); /* nobody serves the old one */
    cr_assert_eq(bbi_store_dir_find(where, "hosts", found), 0);
    cr_assert_str_eq(found, other);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", NULL, &f), 0);
    cr_assert_eq(bbi_store_dir_find(where, "hosts", found), BB_ENOENT);
    (void)snprintf(below, sizeof(below), "%s/stores/hosts", where);
    cr_assert_eq(bbi_store_dir_make(&memory, below, true, false, &f), 0);
    bbi_store_dir_close(&memory);
    cr_assert_eq(bbi_store_dir_find(where, "hosts", found), 0);
    cr_assert_str_eq(found, below);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", other, &f), BB_EEXIST);
    cr_assert_eq(bbi_store_dir_announce(where, "hosts", NULL, &f), 0);
}

struct seen {
    int count, removed;
    uint64_t bytes;
};

static int
see(const struct bb_gc_item *item, void *user)
{
    struct seen *seen = user;
    if (strncmp(item->file, "stores/", 7) == 0) {
        seen->count++;
        seen->removed += item->removed != 0;
        seen->bytes += item->bytes;
    }
    return 0;
}

static struct seen
collect(uint32_t flags)
{
    struct seen seen = {0};
    const struct bb_gc_opts o = {
        .size = sizeof(o), .dir = where, .bus = "b", .flags = flags, .cb = see, .user = &seen};
    cr_assert_geq(bb_gc(&o), 0);
    return seen;
}

static struct bb_endpoint *
attach(void)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = where, .bus = "b"};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

Test(store_dir, a_bus_without_members_gives_its_stores_up)
{
    struct bbi_store_dir memory, disk;
    struct bbi_fault f;
    char bus[96], below[160];
    struct bb_endpoint *ep = attach();
    (void)snprintf(bus, sizeof(bus), "%s/b", where);
    (void)snprintf(below, sizeof(below), "%s/stores/mem", bus);
    make_it(&disk, false);
    make_generation(&disk, 1);
    bbi_store_dir_close(&disk);
    cr_assert_eq(bbi_store_dir_announce(bus, "disk", store, &f), 0);
    cr_assert_eq(bbi_store_dir_make(&memory, below, true, false, &f), 0);
    (void)snprintf(store, sizeof(store), "%s", below); /* for make_generation() */
    make_generation(&memory, 1);
    bbi_store_dir_close(&memory);

    cr_assert_eq(collect(0).count, 0); /* somebody is attached */
    bb_endpoint_close(ep);
    bb_endpoint_close(attach()); /* a new generation of the bus leaves them, too */
    cr_assert(is_there("gen-1/data.mdb"));

    struct seen seen = collect(BB_GC_DRY_RUN);
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.removed, 0);
    cr_assert_geq(seen.bytes, sizeof(struct bbi_store_ctl));
    cr_assert(is_there("gen-1/data.mdb"));

    pid_t none;
    pid_t pid = master_process(false, &none); /* on another bus */
    seen = collect(0);
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.removed, 1); /* the link */
    cr_assert(is_there("gen-1/data.mdb"));
    (void)kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    seen = collect(0);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.removed, 1);
    cr_assert(!is_there(below));
    (void)snprintf(below, sizeof(below), "%s/stores", bus);
    cr_assert(!is_there(below));
    (void)snprintf(below, sizeof(below), "%s/s/gen-1/data.mdb", where);
    cr_assert(is_there(below)); /* what the link named */
}
