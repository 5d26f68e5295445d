/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a private bus goes with its process, or with the next one; nobody else's bus is touched.
 * Method: buses in a temporary directory; what a killed process leaves is a bus with the name of a process
 * that has ended and was waited for.
 */
#include "lib/endpoint/private_bus.h"
#include "tests/unit/shm/bus_dir.h"
#include <signal.h>
#include <sys/wait.h>

TestSuite(private_bus, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 30);

static int
entries(void)
{
    DIR *d = opendir(bus_dir);
    int n = 0;
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n - 2;
}

/* Attached, with a ring and cursors. */
static struct bb_endpoint *
attached(const char *bus)
{
    struct bb_endpoint *ep = NULL;
    struct bb_publisher *pub = NULL;
    struct bb_subscriber *sub = NULL;
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = bus, .name = "n"};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_ONESHOT};
    const struct bb_subscriber_opts so = {.size = sizeof(so), .wait = BB_WAIT_SLEEP};
    cr_assert_eq(bb_endpoint_open(&ep, &eo), 0);
    cr_assert_eq(bb_publisher_open(&pub, ep, &po), 0);
    cr_assert_eq(bb_subscriber_open(&sub, ep, &so), 0);
    return ep;
}

/* A child that attaches and is killed; the bus has its name. */
static void
leave_behind(char bus[BB_NAME_MAX + 1])
{
    int ready[2];
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bbi_private_bus_name(bus);
        (void)attached(bus);
        (void)!write(ready[1], bus, BB_NAME_MAX + 1);
        (void)raise(SIGKILL);
    }
    cr_assert_eq(read(ready[0], bus, BB_NAME_MAX + 1), BB_NAME_MAX + 1);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

Test(private_bus, goes_when_nobody_is_attached)
{
    char bus[BB_NAME_MAX + 1];
    bbi_private_bus_name(bus);
    int fds = count_fds();
    struct bb_endpoint *ep = attached(bus);
    cr_assert_eq(bbi_bus_remove(bus_dir, bus), BB_EBUSY);
    bb_endpoint_close(ep);
    cr_assert_eq(entries(), 1);
    cr_assert_eq(bbi_bus_remove(bus_dir, bus), 0);
    cr_assert_eq(entries(), 0);
    cr_assert_eq(bbi_bus_remove(bus_dir, bus), BB_ENOBUS);
    cr_assert_eq(count_fds(), fds);
}

Test(private_bus, of_one_who_was_killed_is_removed_by_the_next)
{
    char bus[3][BB_NAME_MAX + 1];
    for (int i = 0; i < 3; i++) {
        leave_behind(bus[i]);
    }
    cr_assert_eq(entries(), 3);
    int fds = count_fds();
    cr_assert_eq(bbi_private_bus_tidy(bus_dir), 3);
    cr_assert_eq(entries(), 0);
    cr_assert_eq(bbi_private_bus_tidy(bus_dir), 0);
    cr_assert_eq(count_fds(), fds);
}

Test(private_bus, a_removal_that_was_cut_short_is_finished)
{
    char bus[BB_NAME_MAX + 1], path[160];
    leave_behind(bus);
    (void)snprintf(path, sizeof(path), "rm -f '%s/%s'/*", bus_dir, bus);
    cr_assert_eq(system(path), 0); /* NOLINT(cert-env33-c): a path of ours */
    (void)snprintf(path, sizeof(path), "rmdir '%s/%s'/sock 2>/dev/null; true", bus_dir, bus);
    cr_assert_eq(system(path), 0); /* NOLINT(cert-env33-c) */
    cr_assert_eq(bbi_private_bus_tidy(bus_dir), 1);
    cr_assert_eq(entries(), 0);
}

Test(private_bus, what_is_not_a_dead_private_one_stays)
{
    char gone[BB_NAME_MAX + 1], ours[BB_NAME_MAX + 1], path[160];
    leave_behind(gone);
    bbi_private_bus_name(ours);
    struct bb_endpoint *ep = attached(ours);
    struct bb_endpoint *other =
        attached(gone); /* as one of another pid namespace: its lock is held */
    bb_endpoint_close(attached("default"));
    bb_endpoint_close(attached("alone-"));
    bb_endpoint_close(attached("alone-12"));
    bb_endpoint_close(attached("alone-1-zz34567890123456"));
    (void)snprintf(path, sizeof(path), "%s/alone-file", bus_dir);
    (void)close(creat(path, 0600));
    int before = entries();
    cr_assert_eq(bbi_private_bus_tidy(bus_dir), 0);
    cr_assert_eq(entries(), before);
    bb_endpoint_close(other);
    cr_assert_eq(bbi_private_bus_tidy(bus_dir), 1);
    cr_assert_eq(entries(), before - 1);
    bb_endpoint_close(ep);
}

Test(private_bus, with_somebodys_file_in_it_is_not_removed)
{
    char bus[BB_NAME_MAX + 1], path[160];
    leave_behind(bus);
    (void)snprintf(path, sizeof(path), "%s/%s/notes.txt", bus_dir, bus);
    (void)close(creat(path, 0600));
    cr_assert_eq(bbi_private_bus_tidy(bus_dir), 0);
    cr_assert_eq(access(path, F_OK), 0);
}

Test(private_bus, names_differ)
{
    char a[BB_NAME_MAX + 1], b[BB_NAME_MAX + 1];
    bbi_private_bus_name(a);
    bbi_private_bus_name(b);
    cr_assert_str_neq(a, b);
    cr_assert_eq(strncmp(a, BBI_PRIVATE_BUS, sizeof(BBI_PRIVATE_BUS) - 1), 0);
}
