/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/doctor_links.c - which engine a busbard takes here; it knows, so it is asked (`busbard --probe`).
 *
 * The one beside this program is asked, else that of PATH.  It attaches to nothing.
 */
#include "tools/cli/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/doctor.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = 4096 };
static const int64_t ANSWER_NS = 5000000000;

/* beside - busbard in this program's own folder, as a word for the shell; 0 when it is not there. */
static int
beside(char *out, size_t cap)
{
    char path[PATH_MAX + 16];
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (bytes <= 0) {
        return 0;
    }
    path[bytes] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL || strchr(path, '\'') != NULL) {
        return 0;
    }
    (void)snprintf(slash + 1, 16, "busbard");
    int n = snprintf(out, cap, "exec '%s' --probe", path);
    return access(path, X_OK) == 0 && n > 0 && (size_t)n < cap;
}

void
cli_doctor_links(struct cli_doctor *d)
{
    char text[PATH_MAX + 64];
    struct cli_buffer out = {0};
    if (!beside(text, sizeof(text))) {
        (void)snprintf(text, sizeof(text), "exec busbard --probe 2>/dev/null");
    }
    struct cli_command command = {
        .text = text, .max_bytes = ANSWER_MAX_BYTES, .deadline_ns = cli_mono_ns() + ANSWER_NS};
    int rc = cli_command_run(&command, &out);
    cli_buffer_put(&out, "", 1);
    if (rc == 127) { /* the shell found none */
        cli_check_add(d, CLI_OK, "links",
                      "there is no busbard here: this bus cannot be linked to other boxes");
    } else if (rc != 0 || out.err != 0 || strncmp(out.p, "engine: ", 8) != 0) {
        cli_check_add(d, CLI_WARN, "links",
                      "busbard is there and does not answer `busbard --probe`");
        cli_check_fix(d, "run `busbard --probe` and see; is it of the same version as busbar?");
    } else {
        out.p[strcspn(out.p, "\n")] = '\0';
        cli_check_add(d, CLI_OK, "links", "busbard takes %.400s", out.p + 8);
    }
    cli_buffer_free(&out);
}
