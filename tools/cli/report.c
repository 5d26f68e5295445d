/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/report.c - how a status becomes a sentence and an exit code, in one place.
 */
#include "tools/cli/report.h"

#include "tools/cli/format.h"
#include <busbar/inspect.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int
cli_exit_code(int status)
{
    if (status >= 0) {
        return CLI_DONE;
    }
    switch (status) {
    case BB_EAGAIN:
    case BB_EEXIST:
    case BB_ENOTSUP:
    case BB_EPEERGONE:
    case BB_EEVICTED:
    case BB_ENORESPONDERS:
        return CLI_NO;
    case BB_EINVAL:
    case BB_ENAMETOOLONG:
    case BB_ETYPE:
        return CLI_USAGE;
    case BB_ETIMEDOUT:
        return CLI_TIME;
    case BB_ENOENT:
    case BB_ENOBUS:
        return CLI_NONE;
    case BB_EACCES:
    case BB_ETRUST:
    case -EPERM:
    case -EROFS:
        return CLI_PERMISSION;
    case BB_EVERSION:
        return CLI_VERSION;
    case BB_EMSGSIZE:
    case BB_ENOMEM:
    case BB_ENOSPC:
    case BB_EMFILE:
    case BB_ENFILE:
    case BB_EFULL:
    case -EDQUOT:
        return CLI_RESOURCE;
    default:
        return CLI_FAILED;
    }
}

__attribute__((format(printf, 1, 0))) static void
say(const char *format, va_list args)
{
    fflush(stdout); /* on a terminal the two keep their order */
    fputs("busbar: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void
cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int
cli_wrong(const struct cli_verb *verb, const char *format, ...)
{
    char name[64];
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    if (verb != NULL) {
        cli_verb_name(verb, name, sizeof(name));
        fprintf(stderr, "usage: busbar %s %s\n", name, verb->usage);
        fprintf(stderr, "`busbar help %s` says more.\n", name);
    }
    return CLI_USAGE;
}

/* ---- the buses of this box ----------------------------------------------------------------------- */

enum { SHOWN_MAX = 32 }; /* buses in one sentence's list */

struct shown {
    uint64_t uuids[SHOWN_MAX];
    unsigned count;
};

static int
show_bus(const struct bb_bus_info *bus, void *user)
{
    struct shown *shown = user;
    char owner[CLI_OWNER_BYTES];

    for (unsigned i = 0; i < shown->count; i++) {
        if (shown->uuids[i] == bus->uuid && bus->uuid != 0) {
            return 0;
        }
    }
    if (shown->count == 0) {
        fputs("The buses of this box:\n", stderr);
    }
    fprintf(stderr, "  %s  of %s, %u nodes\n", bus->path, cli_owner(owner, bus->uid), bus->nodes);
    shown->uuids[shown->count++] = bus->uuid;
    return shown->count == SHOWN_MAX;
}

/* show_buses - those below the directory that was asked for, then those of the box's default ones. */
static void
show_buses(const char *dir)
{
    struct shown shown = {.count = 0};
    char default_dir[256];

    if (dir == NULL) {
        int bytes = bb_bus_dir(default_dir, sizeof(default_dir) - 1);
        if (bytes > 0) {
            default_dir[bytes] = '\0';
            dir = default_dir;
        }
    }
    int rc = dir != NULL ? bb_bus_list(dir, show_bus, &shown) : 0;
    if (shown.count < SHOWN_MAX) {
        rc = bb_bus_list(NULL, show_bus, &shown);
    }
    (void)rc; /* a directory that cannot be read holds nothing for us */
    if (shown.count == 0) {
        fputs("This box has no bus; `busbar sub` or `busbar pub` makes one.\n", stderr);
    }
}

int
cli_report(const struct cli_call *call, int status, const struct bb_error *error, const char *what)
{
    if (error != NULL && error->sentence[0] != '\0') {
        cli_say("%s", error->sentence);
    } else {
        cli_say("%s: %s", what, bb_strerror(status));
    }
    if (status == BB_ENOBUS) {
        show_buses(call->common.dir);
    }
    return cli_exit_code(status);
}

int
cli_check_topic(const char *topic)
{
    if (bb_topic_is_reserved(topic, strlen(topic))) {
        cli_say("the topic \"%.80s\" is reserved, since it holds <$>; choose another", topic);
        return CLI_USAGE;
    }
    return CLI_DONE;
}
