/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seccomp_deny.c - runs a program to which the kernel refuses io_uring, as containers and hardened kernels do.
 *
 *   seccomp_deny setup|register EPERM|ENOSYS COMMAND [ARGUMENT...]
 *
 * setup: io_uring_setup() fails, so there is no ring at all; register: only io_uring_register() does, so a ring comes
 * up and what makes it useful is missing.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    if (argc < 4 || (strcmp(argv[1], "setup") != 0 && strcmp(argv[1], "register") != 0)
        || (strcmp(argv[2], "EPERM") != 0 && strcmp(argv[2], "ENOSYS") != 0)) {
        (void)fprintf(stderr, "usage: seccomp_deny setup|register EPERM|ENOSYS COMMAND...\n");
        return 2;
    }
    const uint32_t call =
        strcmp(argv[1], "setup") == 0 ? SYS_io_uring_setup : SYS_io_uring_register;
    const uint32_t error = strcmp(argv[2], "EPERM") == 0 ? EPERM : ENOSYS;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("seccomp_deny");
        return 77;
    }
    (void)execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
