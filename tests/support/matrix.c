/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/matrix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t
add_rows(struct bbt_row *rows, size_t count, size_t cap, char *line)
{
    char *save = NULL;
    const char *hook = strtok_r(line, " \t\n", &save);
    if (hook == NULL || hook[0] == '#') {
        return count;
    }
    for (char *word; (word = strtok_r(NULL, " \t\n", &save)) != NULL && count < cap;) {
        struct bbt_row *r = &rows[count++];
        char *inner = NULL;
        *r = (struct bbt_row){.hit = 1};
        (void)snprintf(r->hook, sizeof(r->hook), "%s", hook);
        (void)snprintf(r->scene, sizeof(r->scene), "%s", strtok_r(word, ":", &inner));
        const char *next = strtok_r(NULL, ":", &inner);
        if (next != NULL && next[0] >= '0' && next[0] <= '9') {
            r->hit = (uint32_t)strtoul(next, NULL, 10);
            next = strtok_r(NULL, ":", &inner);
        }
        (void)snprintf(r->end, sizeof(r->end), "%s", next != NULL ? next : "?");
        (void)snprintf(r->label, sizeof(r->label), "%s %s:%u", r->hook, r->scene, r->hit);
    }
    return count;
}

size_t
bbt_rows(struct bbt_row *rows, size_t cap, bool is_store)
{
    char path[512], line[256];
    size_t count = 0;
    const char *source = getenv("BB_SOURCE_DIR");
    const char *only = getenv("BB_ROW"); /* part of a row's label: for work on one */
    (void)snprintf(path, sizeof(path), "%s/tests/process/kill_matrix.txt",
                   source != NULL ? source : ".");
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        count = add_rows(rows, count, cap, line);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_wanted = only == NULL || strstr(rows[i].label, only) != NULL;
        if (is_wanted && (strncmp(rows[i].scene, BBT_STORE_SCENE, 6) == 0) == is_store) {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}
