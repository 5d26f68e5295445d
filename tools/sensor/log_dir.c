/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/log_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
sensor_log_dir_make(char out[SENSOR_LOG_DIR_TEXT], struct sensor_fail *fail)
{
    const char *base = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    int n;

    base = base != NULL && base[0] != '\0' ? base : "/tmp";
    n = snprintf(out, SENSOR_LOG_DIR_TEXT, "%s/busbar-sensor.XXXXXX", base);
    if (n >= SENSOR_LOG_DIR_TEXT || mkdtemp(out) == NULL) {
        int code = errno;

        out[0] = '\0';
        return sensor_fail(fail, SENSOR_EXIT_RESOURCE,
                           "cannot make a directory for logs below %s: %s; name one with --log-dir",
                           base, strerrordesc_np(n >= SENSOR_LOG_DIR_TEXT ? ENAMETOOLONG : code));
    }
    return 0;
}

/* Files only: nothing else was put there by a logger. */
void
sensor_log_dir_remove(const char *dir)
{
    int fd = dir[0] == '\0' ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (list == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    while ((entry = readdir(list)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(fd, entry->d_name, 0);
        }
    }
    (void)closedir(list);
    (void)rmdir(dir);
}
