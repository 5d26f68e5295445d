/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/json_members.c - a value ends where its brackets close outside of strings; nothing recurses.
 */
#include "tools/cli/json_members.h"

#include <stdio.h>
#include <string.h>

struct reader {
    const char *begin, *p, *end;
    struct bb_codec_error *error;
};

static int
refuse(const struct reader *r, const char *sentence)
{
    r->error->offset = (size_t)(r->p - r->begin);
    snprintf(r->error->sentence, sizeof(r->error->sentence), "%s", sentence);
    return BB_EINVAL;
}

static int
is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void
skip_blanks(struct reader *r)
{
    while (r->p < r->end && is_one_of(*r->p, " \t\r\n")) {
        r->p++;
    }
}

/* take - 1 and one further if this byte comes next, after blanks. */
static int
take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->p >= r->end || *r->p != c) {
        return 0;
    }
    r->p++;
    return 1;
}

/* skip_string - from its first quote to behind its last. */
static int
skip_string(struct reader *r)
{
    r->p++;
    while (r->p < r->end && *r->p != '"') {
        r->p += *r->p == '\\' && r->end - r->p > 1 ? 2 : 1;
    }
    if (r->p == r->end) {
        return refuse(r, "the line ends within a string");
    }
    r->p++;
    return 0;
}

/* skip_brackets - from the first to behind the one that closes it. */
static int
skip_brackets(struct reader *r)
{
    size_t depth = 0;
    do {
        int rc = 0;
        if (*r->p == '"') {
            rc = skip_string(r);
        } else {
            depth += *r->p == '{' || *r->p == '[';
            depth -= *r->p == '}' || *r->p == ']';
            r->p++;
        }
        if (rc < 0) {
            return rc;
        }
    } while (depth > 0 && r->p < r->end);
    return depth == 0 ? 0 : refuse(r, "the line ends within an object or array");
}

static int
skip_value(struct reader *r)
{
    if (r->p < r->end && *r->p == '"') {
        return skip_string(r);
    }
    if (r->p < r->end && (*r->p == '{' || *r->p == '[')) {
        return skip_brackets(r);
    }
    const char *begin = r->p;
    while (r->p < r->end && !is_one_of(*r->p, ",}] \t\r\n")) {
        r->p++;
    }
    return r->p > begin ? 0 : refuse(r, "a value is missing");
}

static int
read_member(struct reader *r, struct cli_json_member *out)
{
    skip_blanks(r);
    if (r->p >= r->end || *r->p != '"') {
        return refuse(r, "a member's name in quotes is missing");
    }
    out->name = r->p + 1;
    int rc = skip_string(r);
    if (rc < 0) {
        return rc;
    }
    out->name_bytes = (size_t)(r->p - 1 - out->name);
    if (!take(r, ':')) {
        return refuse(r, "a colon is missing behind a member's name");
    }
    skip_blanks(r);
    out->value = r->p;
    rc = skip_value(r);
    out->value_bytes = (size_t)(r->p - out->value);
    return rc;
}

int
cli_json_members(const char *text,
                 size_t bytes,
                 struct cli_json_member *out,
                 int max,
                 struct bb_codec_error *error)
{
    struct reader r = {text, text, text + bytes, error};
    int count = 0;
    int is_closed = 0;

    if (!take(&r, '{')) {
        return refuse(&r, "it is no JSON object");
    }
    is_closed = take(&r, '}');
    while (!is_closed) {
        if (count == max) {
            return refuse(&r, "it has too many members");
        }
        int rc = read_member(&r, &out[count++]);
        if (rc < 0) {
            return rc;
        }
        is_closed = take(&r, '}');
        if (!is_closed && !take(&r, ',')) {
            return refuse(&r, "a comma or the object's end is missing");
        }
    }
    skip_blanks(&r);
    return r.p == r.end ? count : refuse(&r, "something follows the object");
}
