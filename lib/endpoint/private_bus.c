/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/private_bus.c - names of private buses, and those that were left behind.
 *
 * What is left behind is known by its name, by a process id that nobody has, and by its lock that nobody
 * holds.  A process of another pid namespace may look dead by its id: its lock says that it lives.
 */
#include "lib/endpoint/private_bus.h"
#include "shm/os.h"
#include "shm/place.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
bbi_private_bus_name(char out[BB_NAME_MAX + 1])
{
    uint64_t random;
    bbi_os_random(&random, sizeof(random));
    (void)snprintf(out, BB_NAME_MAX + 1, BBI_PRIVATE_BUS "%ld-%016" PRIx64, (long)getpid(), random);
}

/* The process that made it; 0: not such a name. */
static pid_t
maker_of(const char *name)
{
    size_t prefix = sizeof(BBI_PRIVATE_BUS) - 1;
    char *end;
    if (strncmp(name, BBI_PRIVATE_BUS, prefix) != 0) {
        return 0;
    }
    long pid = strtol(name + prefix, &end, 10);
    bool is_ours = pid > 0 && pid <= INT32_MAX && *end == '-' && strlen(end) == 17
                   && strspn(end + 1, "0123456789abcdef") == 16;
    return is_ours ? (pid_t)pid : 0;
}

static bool
is_gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

int
bbi_private_bus_tidy(const char *dir)
{
    char path[BBI_PATH_BYTES];
    int removed = 0;
    if (dir == NULL) {
        (void)bbi_place_dir(path, sizeof(path));
        dir = path;
    }
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        pid_t pid = maker_of(e->d_name);
        removed += pid != 0 && is_gone(pid) && bbi_bus_remove(dir, e->d_name) == 0;
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return removed;
}
