/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/daemon/say.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct level {
    const char *name;
    int priority; /* as syslog has them */
} levels[] = {{"error", 3}, {"warning", 4}, {"notice", 5}, {"info", 6}, {"debug", 7}};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

static int most = 6; /* the last priority that is said */
static bool is_journal;

/* stderr_is_journal - $JOURNAL_STREAM names the device and inode of what the manager gave us. */
static bool
stderr_is_journal(void)
{
    uintmax_t device = 0;
    uintmax_t inode = 0;
    struct stat st;
    const char *text = getenv("JOURNAL_STREAM"); /* NOLINT(concurrency-mt-unsafe): one thread */
    char *end = NULL;
    if (text == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return false;
    }
    device = strtoumax(text, &end, 10);
    if (end == text || *end != ':') {
        return false;
    }
    inode = strtoumax(end + 1, NULL, 10);
    return device == st.st_dev && inode == st.st_ino;
}

void
daemon_say_start(int verbosity)
{
    most = verbosity < 0 ? 4 : verbosity == 0 ? 6 : 7;
    is_journal = stderr_is_journal();
}

void
daemon_say(const char *level, const char *format, ...)
{
    char line[1024];
    va_list args;
    const struct level *found = &levels[LEVELS - 1];
    for (size_t i = 0; i < LEVELS; i++) {
        if (strcmp(levels[i].name, level) == 0) {
            found = &levels[i];
        }
    }
    if (found->priority > most) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (char *c = line; *c != '\0'; c++) {
        /* What others said of themselves may stand in it: one line stays one line. */
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    if (is_journal) {
        (void)fprintf(stderr, "<%d>%s\n", found->priority, line);
    } else {
        (void)fprintf(stderr, "busbard: %s: %s\n", found->name, line);
    }
}
