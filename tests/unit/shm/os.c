/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the system calls do what the layers above rely on: locks belong to descriptions and vanish with
 * them, futexes work between mappings, files are allocated to the last byte and nameless until linked.
 * Method: two descriptions in one process, a fork, a private temporary directory.
 */
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

TestSuite(os, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 30);

static int
open_lock_file(int flags)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/lock", bus_dir);
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    return fd;
}

/* ---- locks ---- */

Test(os, a_byte_is_held_by_one_description)
{
    int a = open_lock_file(O_RDWR), b = open_lock_file(O_RDWR), probe = open_lock_file(O_RDONLY);
    cr_assert_eq(bbi_os_lock_test(probe, 1000), 0);
    cr_assert_eq(bbi_os_lock_try(a, 1000, true), 0);
    cr_assert_eq(bbi_os_lock_try(b, 1000, true), BB_EAGAIN);
    cr_assert_eq(bbi_os_lock_try(b, 1000, false), BB_EAGAIN);
    cr_assert_eq(bbi_os_lock_try(b, 1001, true), 0, "the next byte is another lock");
    cr_assert_eq(bbi_os_lock_test(probe, 1000), 1, "seen through a read-only descriptor");
    cr_assert_eq(bbi_os_lock_test(a, 1000), 0, "one's own lock does not show: hence the probe");
    bbi_os_unlock(a, 1000);
    cr_assert_eq(bbi_os_lock_test(probe, 1000), 0);
    cr_assert_eq(bbi_os_lock_try(b, 1000, true), 0);
}

Test(os, shared_locks_exclude_an_exclusive_one_and_change_over)
{
    int a = open_lock_file(O_RDWR), b = open_lock_file(O_RDWR);
    cr_assert_eq(bbi_os_lock_try(a, 0, true), 0);
    cr_assert_eq(bbi_os_lock_try(b, 0, false), BB_EAGAIN);
    cr_assert_eq(bbi_os_lock_try(a, 0, false), 0, "down");
    cr_assert_eq(bbi_os_lock_try(b, 0, false), 0);
    cr_assert_eq(bbi_os_lock_try(a, 0, true), BB_EAGAIN, "not up while another shares");
    bbi_os_unlock(b, 0);
    cr_assert_eq(bbi_os_lock_try(a, 0, true), 0);
}

Test(os, a_lock_outlives_other_descriptors_and_ends_with_its_own)
{
    int a = open_lock_file(O_RDWR), other = open_lock_file(O_RDWR),
        probe = open_lock_file(O_RDONLY);
    cr_assert_eq(bbi_os_lock_try(a, 7, true), 0);
    (void)close(other); /* a POSIX lock would be gone now */
    cr_assert_eq(bbi_os_lock_test(probe, 7), 1);
    (void)close(a);
    cr_assert_eq(bbi_os_lock_test(probe, 7), 0);
}

Test(os, bytes_as_far_as_names_hash_to_are_locked)
{
    int a = open_lock_file(O_RDWR), probe = open_lock_file(O_RDONLY);
    const int64_t far[] = {BBI_LOCK_NAME, BBI_LOCK_NAME - 2 + (INT64_C(1) << 62)};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(bbi_os_lock_try(a, far[i], true), 0);
        cr_assert_eq(bbi_os_lock_test(probe, far[i]), 1);
        cr_assert_eq(bbi_os_lock_test(probe, far[i] - 1), 0);
    }
}

Test(os, a_killed_process_holds_no_lock_even_as_a_zombie)
{
    int probe = open_lock_file(O_RDONLY);
    int ready[2];
    char c;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open_lock_file(O_RDWR);
        (void)!bbi_os_lock_try(fd, 5, true);
        (void)!write(ready[1], "x", 1);
        (void)pause();
        _exit(0);
    }
    cr_assert_eq(read(ready[0], &c, 1), 1);
    cr_assert_eq(bbi_os_lock_test(probe, 5), 1);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    siginfo_t si;
    cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0); /* dead, not reaped */
    cr_assert_eq(bbi_os_lock_test(probe, 5), 0);
    (void)waitpid(pid, NULL, 0);
}

Test(os, lock_calls_report_a_bad_descriptor)
{
    cr_assert_eq(bbi_os_lock_try(-1, 0, true), -EBADF);
    cr_assert_eq(bbi_os_lock_test(-1, 0), -EBADF);
}

/* ---- futex ---- */

Test(os, futex_wait_returns_at_once_when_the_value_differs)
{
    bbi_u32 word = 3;
    int64_t t0 = bbi_os_mono_ns();
    cr_assert_eq(bbi_os_futex_wait(&word, 4, INT64_C(10000000000)), 0);
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(5000000000));
}

Test(os, futex_wait_times_out)
{
    bbi_u32 word = 3;
    int64_t t0 = bbi_os_mono_ns();
    cr_assert_eq(bbi_os_futex_wait(&word, 3, 20000000), BB_ETIMEDOUT);
    cr_assert_geq(bbi_os_mono_ns() - t0, 19000000);
}

struct futex_pair {
    bbi_u32 *writable;
    const bbi_u32 *readable;
    int rc;
};

static void *
sleep_on_readable(void *user)
{
    struct futex_pair *p = user;
    p->rc = bbi_os_futex_wait(p->readable, 1, INT64_C(10000000000));
    return NULL;
}

Test(os, futexes_work_through_another_and_read_only_mapping)
{
    int dir = open(bus_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = bbi_os_create_file(dir, 4096, 0600);
    void *w, *r;
    cr_assert_eq(bbi_os_map(fd, 4096, true, &w), 0);
    cr_assert_eq(bbi_os_map(fd, 4096, false, &r), 0);
    struct futex_pair p = {.writable = w, .readable = r};
    bbi_store_seq_cst(p.writable, 1);
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, sleep_on_readable, &p), 0);
    int64_t deadline = bbi_os_mono_ns() + INT64_C(8000000000);
    int woken = 0;
    while (woken == 0 && bbi_os_mono_ns() < deadline) {
        woken = bbi_os_futex_wake(p.writable, 1); /* until it sleeps */
    }
    (void)pthread_join(t, NULL);
    cr_assert_eq(woken, 1);
    cr_assert_eq(p.rc, 0);
}

/* ---- files ---- */

Test(os, a_file_has_no_name_until_it_is_linked_and_all_its_bytes)
{
    int dir = open(bus_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    (void)umask(0777); /* must not matter */
    int fd = bbi_os_create_file(dir, 100000, 0640);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &st), 0);
    cr_assert_eq(st.st_nlink, 0U);
    cr_assert_eq(st.st_size, 100000);
    cr_assert_geq(st.st_blocks * 512, 100000, "allocated, not sparse");
    cr_assert_eq(st.st_mode & 07777, 0640U);
    cr_assert_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    cr_assert_eq(faccessat(dir, "name", F_OK, 0), -1);
    cr_assert_eq(bbi_os_link_file(fd, dir, "name"), 0);
    cr_assert_eq(faccessat(dir, "name", F_OK, AT_EACCESS), 0);
    cr_assert_eq(bbi_os_link_file(fd, dir, "name"), BB_EEXIST);
}

Test(os, a_file_that_cannot_be_allocated_is_a_status)
{
    int dir = open(bus_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int before = count_fds();
    int rc = bbi_os_create_file(dir, UINT64_C(1) << 50, 0600);
    cr_assert(rc == BB_ENOSPC || rc == -EFBIG || rc == -ENOMEM, "%d", rc);
    cr_assert_eq(count_fds(), before, "no descriptor is left");
    cr_assert_eq(bbi_os_create_file(-1, 4096, 0600), -EBADF);
}

Test(os, a_forked_child_does_not_have_the_mapping)
{
    int dir = open(bus_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = bbi_os_create_file(dir, 4096, 0600);
    void *p;
    cr_assert_eq(bbi_os_map(fd, 4096, true, &p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char vec;
        _exit(mincore(p, 4096, &vec) == 0 ? 1 : 0);
    }
    int st;
    (void)waitpid(pid, &st, 0);
    cr_assert_eq(st, 0);
}

/* ---- the rest ---- */

Test(os, a_kept_descriptor_is_no_standard_stream)
{
    cr_assert_eq(bbi_os_keep_fd(-1), -1);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_gt(fd, STDERR_FILENO);
    cr_assert_eq(bbi_os_keep_fd(fd), fd, "it stays where it is");
    (void)close(fd);
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    (void)close(STDIN_FILENO);
    fd = bbi_os_keep_fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    cr_assert_gt(fd, STDERR_FILENO);
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(fcntl(STDIN_FILENO, F_GETFD), -1, "nothing took the stream's place");
    (void)close(fd);
    (void)dup2(saved, STDIN_FILENO);
    (void)close(saved);
}

Test(os, clocks_run_and_random_is_random)
{
    int64_t a = bbi_os_mono_ns();
    bbi_os_sleep_ns(1000000);
    cr_assert_geq(bbi_os_mono_ns() - a, 1000000);
    cr_assert_gt(bbi_os_wall_ns(), INT64_C(1600000000000000000));
    uint64_t r[2] = {0, 0};
    bbi_os_random(r, sizeof(r));
    cr_assert_neq(r[0], r[1]);
}

Test(os, a_process_can_be_described)
{
    uint8_t id[16] = {0}, zero[16] = {0};
    bbi_os_boot_id(id);
    cr_assert_neq(memcmp(id, zero, 16), 0);
    cr_assert_neq(bbi_os_pidns(), 0U);
    cr_assert_neq(bbi_os_start_ticks(getpid()), 0U);
    cr_assert_eq(bbi_os_start_ticks(getpid()), bbi_os_start_ticks(getpid()));
    cr_assert_eq(bbi_os_process_state(getpid()), 'R');
    cr_assert_eq(bbi_os_process_state(0), '\0');
    cr_assert_eq(bbi_os_start_ticks(0), 0U);
}

Test(os, membarrier_runs_where_it_can_be_registered)
{
    int rc = bbi_os_membarrier_register();
    if (rc < 0) {
        cr_skip("the kernel refuses membarrier");
    }
    cr_assert_eq(bbi_os_membarrier_run(), 0);
    cr_assert_eq(bbi_os_membarrier_register(), 0, "again");
}

Test(os, what_comes_in_pieces_is_read_to_its_end)
{
    int fds[2];
    char out[32] = {0};
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        bool is_written = write(fds[1], "one ", 4) == 4;
        (void)bbi_os_sleep_ns(10000000);
        _exit(is_written && write(fds[1], "two", 3) == 3 ? 0 : 1);
    }
    (void)close(fds[1]);
    cr_assert_eq(bbi_os_read_all(fds[0], out, sizeof(out)), 7);
    cr_assert_str_eq(out, "one two");
    cr_assert_eq(bbi_os_read_all(fds[0], out, sizeof(out)), 0, "again");
    (void)close(fds[0]);
    int status = 1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    int fd = open_lock_file(O_RDWR);
    cr_assert_eq(write(fd, "0123456789", 10), 10);
    cr_assert_eq(lseek(fd, 2, SEEK_SET), 2);
    cr_assert_eq(bbi_os_read_all(fd, out, 5), 5);
    cr_assert_eq(memcmp(out, "23456", 5), 0);
    (void)close(fd);
    cr_assert_eq(bbi_os_read_all(fd, out, 5), -EBADF);
}
