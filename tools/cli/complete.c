/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/complete.c - verbs and options from the table, names from the bus.
 */
#include "tools/cli/complete.h"

#include "tools/cli/attach.h"
#include "tools/cli/listing.h"
#include "tools/cli/pools.h"
#include "tools/cli/report.h"
#include <busbar/codec.h>
#include <busbar/store.h>
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 64 };

/* ---- the table ------------------------------------------------------------------------------------- */

/* What the words of a usage stand for; those that are not here are the user's own. */
static const struct {
    const char *operand, *values;
} operands[] = {
    {"TOPIC", "@topics"}, {"PREFIX", "@topics"}, {"T", "@topics"},   {"NAME", "@nodes"},
    {"NODE", "@nodes"},   {"VERB", "@verbs"},    {"POOL", "@pools"}, {"STORE", "@stores"},
    {"DIR", "@dirs"},     {"SHELL", "bash"},
};

/* put_operand - `[PREFIX...]` as `@topics...`. */
static void
put_operand(FILE *out, const char *word, size_t bytes)
{
    size_t end = 0;
    while (end < bytes && (isupper((unsigned char)word[end]) || word[end] == '-')) {
        end++;
    }
    const char *more = memmem(word, bytes, "...", 3) != NULL ? "..." : "";
    for (size_t i = 0; i < sizeof(operands) / sizeof(operands[0]); i++) {
        if (strlen(operands[i].operand) == end && memcmp(operands[i].operand, word, end) == 0) {
            fprintf(out, " %s%s", operands[i].values, more);
            return;
        }
    }
    fprintf(out, " %.*s%s", (int)end, word, more);
}

/* skip_option - behind `[--from FORM]`, when that is where the usage stands. */
static const char *
skip_option(const char *usage)
{
    int is_option = strncmp(usage, "[-", 2) == 0 || strncmp(usage, "[OPTION]", 8) == 0;
    const char *end = is_option ? strchr(usage, ']') : NULL;
    return end != NULL ? end + strcspn(end, " ") : usage;
}

/* put_operands - the words of a usage in capitals, without its options. */
static void
put_operands(FILE *out, const char *usage)
{
    while (*usage != '\0') {
        const char *word = usage = skip_option(usage);
        size_t bytes = strcspn(word, " ");
        size_t skip = strspn(word, "[");
        if (skip < bytes && isupper((unsigned char)word[skip])) {
            put_operand(out, word + skip, bytes - skip);
        }
        usage += bytes;
        usage += strspn(usage, " ");
    }
}

/* put_values - the words that a value may be, those of @types by their names; `-` for the user's own. */
static void
put_values(FILE *out, const char *values)
{
    const char *name;
    if (values == NULL || strcmp(values, "@types") != 0) {
        fputs(values != NULL ? values : "-", out);
        return;
    }
    fputs("any", out);
    for (int type = 0; (name = bb_type_name(type)) != NULL; type++) {
        fprintf(out, " %s", name);
    }
}

static void
put_spelling(FILE *out, const char *owner, const char *dashes, const struct cli_option *o)
{
    if (dashes[1] == '-') {
        fprintf(out, "option\t%s\t--%s", owner, o->name);
    } else {
        fprintf(out, "option\t%s\t-%c", owner, o->letter);
    }
    fprintf(out, "\t%s\t", o->arg != NULL ? o->arg : "-");
    put_values(out, o->values);
    fputc('\n', out);
}

static void
put_option(FILE *out, const char *owner, const struct cli_option *o)
{
    put_spelling(out, owner, "--", o);
    if (o->letter != 0) {
        put_spelling(out, owner, "-", o);
    }
}

/* put_options - of a verb, or with verb NULL those that stand before any. */
static void
put_options(FILE *out, const char *owner, const struct cli_verb *verb)
{
    const struct cli_option *own = verb != NULL ? verb->options : NULL;
    for (; own != NULL && own->name != NULL; own++) {
        put_option(out, owner, own);
    }
    for (const struct cli_option *o = cli_common_options; o->name != NULL; o++) {
        if (verb == NULL || cli_verb_takes_common(verb, o)) {
            put_option(out, owner, o);
        }
    }
}

void
cli_complete_words(FILE *out)
{
    const struct cli_verb *verb;
    char name[NAME_BYTES];

    put_options(out, "-", NULL);
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        cli_verb_name(verb, name, sizeof(name));
        fprintf(out, "verb\t%s\t", name);
        put_operands(out, verb->usage);
        fputc('\n', out);
        put_options(out, name, verb);
    }
}

/* ---- names on a bus -------------------------------------------------------------------------------- */

/* put_name - one candidate, unless it begins otherwise or holds what nobody types. */
static void
put_name(const char *prefix, const char *name, size_t bytes)
{
    size_t prefix_bytes = strlen(prefix);
    if (bytes < prefix_bytes || memcmp(name, prefix, prefix_bytes) != 0) {
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (iscntrl((unsigned char)name[i])) {
            return;
        }
    }
    fwrite(name, 1, bytes, stdout);
    fputc('\n', stdout);
}

static int
put_bus(const struct bb_bus_info *bus, void *user)
{
    const char *slash = strrchr(bus->path, '/');
    const char *name = slash != NULL ? slash + 1 : bus->path;
    put_name(user, name, strlen(name));
    return 0;
}

static int
put_buses(const struct cli_call *call, const char *prefix)
{
    char dir[PATH_MAX];
    char begin[PATH_MAX];
    const char *place = call->common.dir;

    if (place == NULL) {
        int n = bb_bus_dir(dir, sizeof(dir) - 1);
        if (n < 0) {
            return cli_exit_code(n);
        }
        dir[n] = '\0';
        place = dir;
    }
    snprintf(begin, sizeof(begin), "%s", prefix);
    return cli_exit_code(bb_bus_list(place, put_bus, begin));
}

static int
put_nodes(const struct cli_call *call, struct bb_look *look, const char *prefix)
{
    struct cli_nodes nodes = {0};
    int code = cli_list_nodes(call, look, &nodes);
    for (size_t i = 0; i < nodes.count; i++) {
        put_name(prefix, nodes.v[i].name, strlen(nodes.v[i].name));
    }
    free(nodes.v);
    return code;
}

static int
put_topics(const struct cli_call *call, struct bb_look *look, const char *prefix)
{
    struct cli_topics topics = {0};
    struct cli_topic_filter all = {0};
    int code = cli_list_topics(call, look, &all, &topics);
    for (size_t i = 0; i < topics.count; i += cli_topics_same(&topics, i)) {
        put_name(prefix, topics.v[i].topic, topics.v[i].topic_bytes);
    }
    cli_topics_free(&topics);
    return code;
}

static int
put_pools(const struct cli_call *call, struct bb_look *look, const char *prefix)
{
    static const struct cli_expected nobody;
    struct cli_members members = {0};
    struct cli_pools pools = {0};

    int code = cli_list_members(call, look, &nobody, &members);
    if (code == CLI_DONE) {
        code = cli_list_pools(call, look, &members, &pools);
    }
    for (size_t i = 0; i < pools.count; i++) {
        put_name(prefix, pools.v[i].name, strlen(pools.v[i].name));
    }
    cli_pools_free(&pools);
    cli_members_free(&members);
    return code;
}

struct stores {
    const char *prefix;
};

static int
put_store(const struct bb_store_info *info, void *user)
{
    const struct stores *stores = user;
    put_name(stores->prefix, info->name, strlen(info->name));
    return 0;
}

static int
put_stores(const struct cli_call *call, struct bb_look *look, const char *prefix)
{
    struct stores stores = {prefix};
    (void)call;
    return cli_exit_code(bb_look_stores(look, put_store, &stores));
}

/* What of a bus can be listed. */
static const struct {
    const char *what;
    int (*put)(const struct cli_call *call, struct bb_look *look, const char *prefix);
} lists[] = {
    {"nodes", put_nodes}, {"topics", put_topics}, {"pools", put_pools}, {"stores", put_stores}};

enum { LIST_COUNT = sizeof(lists) / sizeof(lists[0]) };

int
cli_complete(const struct cli_call *call, const char *what, const char *prefix)
{
    struct bb_look *look = NULL;
    size_t i = 0;

    if (strcmp(what, "words") == 0) {
        cli_complete_words(stdout);
        return CLI_DONE;
    }
    if (strcmp(what, "buses") == 0) {
        return put_buses(call, prefix);
    }
    while (i < LIST_COUNT && strcmp(what, lists[i].what) != 0) {
        i++;
    }
    if (i == LIST_COUNT) {
        return cli_wrong(
            call->verb,
            "--complete takes words, buses, nodes, topics, pools or stores, not \"%.40s\"", what);
    }
    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = lists[i].put(call, look, prefix);
    }
    bb_look_close(look);
    return code;
}
