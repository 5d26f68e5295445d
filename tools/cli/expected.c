/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/expected.c - a name may stand twice; a role that is given twice has to be the same one.
 */
#include "tools/cli/expected.h"

#include "tools/cli/report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct cli_expected_node *
cli_expected_find(const struct cli_expected *expected, const char *name)
{
    for (size_t i = 0; i < expected->count; i++) {
        if (strcmp(expected->v[i].name, name) == 0) {
            return &expected->v[i];
        }
    }
    return NULL;
}

void
cli_expected_free(struct cli_expected *expected)
{
    free(expected->v);
    *expected = (struct cli_expected){0};
}

/* add - role NULL: any.  0, or a status. */
static int
add(struct cli_expected *expected, const char *name, size_t name_bytes, const char *role)
{
    struct cli_expected_node node = {.role = BB_ROLE_NONE};
    int parsed = role == NULL ? BB_ROLE_NONE : bb_role_parse(role);

    if (name_bytes == 0 || name_bytes > BB_NAME_MAX || parsed < 0) {
        return BB_EINVAL;
    }
    memcpy(node.name, name, name_bytes);
    node.role = (uint32_t)parsed;
    for (size_t i = 0; i < expected->count; i++) {
        struct cli_expected_node *same = &expected->v[i];
        if (strcmp(same->name, node.name) != 0) {
            continue;
        }
        if (same->role != BB_ROLE_NONE && node.role != BB_ROLE_NONE && same->role != node.role) {
            return BB_EINVAL;
        }
        same->role = same->role != BB_ROLE_NONE ? same->role : node.role;
        return 0;
    }
    struct cli_expected_node *v = reallocarray(expected->v, expected->count + 1, sizeof(*v));
    if (v == NULL) {
        return BB_ENOMEM;
    }
    v[expected->count++] = node;
    expected->v = v;
    return 0;
}

static int
add_word(const struct cli_call *call, struct cli_expected *expected, const char *word)
{
    const char *colon = strrchr(word, ':');
    size_t name_bytes = colon != NULL ? (size_t)(colon - word) : strlen(word);
    int rc = add(expected, word, name_bytes, colon != NULL ? colon + 1 : NULL);
    if (rc == BB_EINVAL) {
        return cli_wrong(call->verb,
                         "a node is written NAME or NAME:ROLE, with one role of manager, proxy, "
                         "logger, worker; \"%.80s\" is not",
                         word);
    }
    return rc < 0 ? cli_report(call, rc, NULL, "the expected nodes") : CLI_DONE;
}

/* add_line - one line of a file; it is cut up. */
static int
add_line(struct cli_expected *expected, char *line)
{
    static const char blanks[] = " \t\r\n";
    char *rest = NULL;

    line[strcspn(line, "#")] = '\0';
    const char *name = strtok_r(line, blanks, &rest);
    if (name == NULL) {
        return 0;
    }
    const char *role = strtok_r(NULL, blanks, &rest);
    return strtok_r(NULL, blanks, &rest) != NULL ? BB_EINVAL
                                                 : add(expected, name, strlen(name), role);
}

static int
add_file(const struct cli_call *call, struct cli_expected *expected, const char *path)
{
    char *line = NULL;
    size_t cap = 0;
    unsigned long number = 0;
    int rc = 0;

    FILE *file = fopen(path, "re");
    if (file == NULL) {
        cli_say("cannot read the layout %.200s: %s", path, strerrordesc_np(errno));
        return cli_exit_code(-errno);
    }
    size_t before = expected->count;
    while (rc == 0 && getline(&line, &cap, file) >= 0) {
        number++;
        rc = add_line(expected, line);
    }
    int is_broken = ferror(file);
    free(line);
    (void)fclose(file);
    if (is_broken) {
        cli_say("cannot read the layout %.200s to its end", path);
        return CLI_FAILED;
    }
    if (rc == BB_EINVAL) {
        return cli_wrong(call->verb, "%.200s, line %lu: a node is written NAME or NAME ROLE", path,
                         number);
    }
    if (rc == 0 && expected->count == before) {
        return cli_wrong(call->verb, "the layout %.200s names no node: a line is NAME or NAME ROLE",
                         path);
    }
    return rc < 0 ? cli_report(call, rc, NULL, "the layout") : CLI_DONE;
}

int
cli_expected_read(const struct cli_call *call, const char *layout_path, struct cli_expected *out)
{
    int code = CLI_DONE;

    *out = (struct cli_expected){0};
    for (int i = 0; i < call->arg_count && code == CLI_DONE; i++) {
        code = add_word(call, out, call->args[i]);
    }
    if (code == CLI_DONE && layout_path != NULL) {
        code = add_file(call, out, layout_path);
    }
    if (code != CLI_DONE) {
        cli_expected_free(out);
    }
    return code;
}
