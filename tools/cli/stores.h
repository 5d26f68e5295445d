/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/stores.h - a store that a verb works on: opened by its name on the bus or by its directory.
 *
 * The words of a command line that are keys and values are read here too, and what can go wrong with a store is
 * said here.
 */
#ifndef BUSBAR_TOOLS_CLI_STORES_H
#define BUSBAR_TOOLS_CLI_STORES_H

#include "tools/cli/buffer.h"
#include "tools/cli/verbs.h"
#include <busbar/store.h>

/* What store verbs take, each some of these.  A verb with more options has this as the first member of its own. */
struct cli_store_options {
    const char *path;
    const char *type;
    const char *key_type;
    const char *prefix;
    const char *after;
    uint64_t limit;    /* 0: none */
    int64_t ttl_ns;    /* 0: not given */
    int64_t wait_ns;   /* -1: not given; for the store and its master */
    int64_t answer_ns; /* 0: wait_ns; for its master alone */
    int quiet;
    int by_request;
};
#define CLI_STORE_DEFAULTS                                                                         \
    {                                                                                              \
        .wait_ns = -1                                                                              \
    }

/* Entries of an option table over struct cli_store_options. */
#define CLI_STORE_ENTRY(field, ...)                                                                \
    {                                                                                              \
        .offset = offsetof(struct cli_store_options, field), __VA_ARGS__                           \
    }
#define CLI_STORE_PATH                                                                             \
    CLI_STORE_ENTRY(path, .name = "path", .type = CLI_WORD, .arg = "DIR", .values = "@dirs",       \
                    .help = "the store in this directory, without STORE and a bus")
#define CLI_STORE_TYPE                                                                             \
    CLI_STORE_ENTRY(type, .letter = 't', .name = "type", .type = CLI_WORD, .arg = "TYPE",          \
                    .values = "@types", .help = "the value's type (else what it looks like)")
#define CLI_STORE_KEY_TYPE                                                                         \
    CLI_STORE_ENTRY(key_type, .letter = 'k', .name = "key-type", .type = CLI_WORD, .arg = "TYPE",  \
                    .values = "@types", .help = "the type of keys (else what they look like)")
#define CLI_STORE_PREFIX                                                                           \
    CLI_STORE_ENTRY(prefix, .letter = 'p', .name = "prefix", .type = CLI_TEXT, .arg = "PREFIX",    \
                    .help = "only keys with this prefix, as the argument KEY_PREFIX")
#define CLI_STORE_AFTER                                                                            \
    CLI_STORE_ENTRY(after, .name = "after", .type = CLI_TEXT, .arg = "KEY",                        \
                    .help = "begin behind this key, as it was printed; it need not be there")
#define CLI_STORE_LIMIT                                                                            \
    CLI_STORE_ENTRY(limit, .letter = 'n', .name = "limit", .type = CLI_COUNT, .arg = "COUNT",      \
                    .help = "end after so many keys")
#define CLI_STORE_TTL                                                                              \
    CLI_STORE_ENTRY(ttl_ns, .name = "ttl", .type = CLI_LIFE, .arg = "SPAN",                        \
                    .help = "the key expires after this time, such as 90s or 1h; at most 36500d")
#define CLI_STORE_WAIT                                                                             \
    CLI_STORE_ENTRY(wait_ns, .letter = 'W', .name = "wait", .type = CLI_SPAN, .arg = "SPAN",       \
                    .help = "wait at most so long for its master (else 5s); then the code is 3")
#define CLI_STORE_APPEAR                                                                           \
    CLI_STORE_ENTRY(wait_ns, .letter = 'W', .name = "wait", .type = CLI_SPAN, .arg = "SPAN",       \
                    .help = "wait at most so long for a store that is not there yet")
#define CLI_STORE_BY_REQUEST                                                                       \
    CLI_STORE_ENTRY(by_request, .name = "by-request", .type = CLI_FLAG,                            \
                    .help = "ask its master, as from another PID namespace; map nothing")
#define CLI_STORE_QUIET                                                                            \
    CLI_STORE_ENTRY(quiet, .letter = 'q', .name = "quiet", .type = CLI_FLAG,                       \
                    .help = "do not say it when the answer is no")

/* What the text of verbs with a VALUE says about it. */
#define CLI_STORE_LOOKS                                                                            \
    "KEY and VALUE are of the type that they look like: 5 count, -5 integer, 2.5 real,\n"          \
    "T or F boolean, 10.0.0.1 address, 10.0.0.0/8 subnet, 80/tcp port, 300ms\n"                    \
    "timespan, nil none, (a, b) vector, {a, b} set, {a -> b} table, JSON v1\n"                     \
    "({\"@data-type\":...}), \"in quotes\" or anything else string."

struct cli_store {
    const struct cli_call *call;
    const struct cli_store_options *o;
    const char *name; /* for sentences: of the store, or its directory */
    char **args;      /* behind STORE */
    int arg_count;
    int may_ask;  /* set by cli_store_attach(): it may be a store that cannot be read in place */
    int must_ask; /* it is one */
    struct bb_look *look;
    struct bb_endpoint *ep;
    struct bb_store *s;
};

/*
 * cli_store_args - takes STORE from the arguments, unless --path names it; at least `min` must follow.
 * CLI_DONE, or CLI_USAGE after it was said.
 */
int cli_store_args(struct cli_store *store,
                   const struct cli_call *call,
                   const struct cli_store_options *o,
                   int min);

/*
 * cli_store_look - opens it for reading; nothing is attached.  cli_store_attach - for writing too, as a member.
 *
 * A store that is not there: CLI_NONE after a sentence that lists those that are.  Close in any case.
 */
int cli_store_look(struct cli_store *store);
/* cli_store_open - for reading: looks, or with --by-request attaches, and maps nothing. */
int cli_store_open(struct cli_store *store);
int cli_store_attach(struct cli_store *store);
void cli_store_close(struct cli_store *store);

/* cli_store_report - says what went wrong with the store, unless it was no failure; the exit code. */
int cli_store_report(const struct cli_store *store, int status, const char *what);
/* The same when no command has an answer: what is full then is not the store, but where our ring should be. */
int cli_store_report_unsent(const struct cli_store *store, int status, const char *what);

/*
 * cli_store_read_word - the native form of an argument; type_name NULL: what it looks like.
 * CLI_DONE, or CLI_USAGE after it was said.
 */
int cli_store_read_word(const struct cli_store *store,
                        const char *what,
                        const char *type_name,
                        const char *text,
                        struct cli_buffer *native);
/* A key, by --key-type; *v is a window of native. */
int cli_store_read_key(const struct cli_store *store,
                       const char *text,
                       struct cli_buffer *native,
                       struct bb_value *v);
/* The key of --after: as cli_store_put_key() prints them, also the JSON form when there is a --key-type. */
int cli_store_read_after(const struct cli_store *store,
                         const char *text,
                         struct cli_buffer *native,
                         struct bb_value *v);
/* A prefix: *out NULL when text is, else v.  Only a string, a subnet or a vector. */
int cli_store_read_prefix(const struct cli_store *store,
                          const char *text,
                          struct cli_buffer *native,
                          struct bb_value *v,
                          const struct bb_value **out);

/* cli_store_value - a window of the whole buffer. */
struct bb_value cli_store_value(const struct cli_buffer *native);

/* cli_store_say_no_key - unless --quiet; returns CLI_NO. */
int cli_store_say_no_key(const struct cli_store *store, const struct bb_value *key);

enum { CLI_KEY_BYTES = 128 };
/* cli_store_short - a key or value as a sentence has it: in text, cut when it is long. */
const char *cli_store_short(char buf[CLI_KEY_BYTES], const struct bb_value *v);

/* ---- what is printed ------------------------------------------------------------------------------- */

/* The text form in one line: bytes that would end it or its field are escaped. */
void cli_store_put_text(struct cli_buffer *out, const struct bb_value *v);
/* A key in one line, so that the command line reads it as the same key: text, "in quotes" or JSON v1. */
void cli_store_put_key(struct cli_buffer *out,
                       const struct cli_store *store,
                       const struct bb_value *key);
/* A value alone: in its text form as it is, for pipes; on a terminal as cli_store_put_text(). */
void cli_store_put_value(struct cli_buffer *out, const struct bb_value *v);
/* `"name":` and JSON v1 that loses nothing; null for no value.  A comma stands before it unless an object begins. */
void cli_store_put_json(struct cli_buffer *out, const char *name, const struct bb_value *v);
/* `{"key":...,"value":...,"version":N,"expires_ns":N or null` without the end of the object. */
void cli_store_put_item(struct cli_buffer *out, const struct bb_store_item *item);
/* cli_store_print - writes the buffer to standard output and empties it; 0, or the buffer's error. */
int cli_store_print(struct cli_buffer *out);

/* ---- walking --------------------------------------------------------------------------------------- */

typedef void (*cli_store_put_cb)(struct cli_buffer *out,
                                 const struct bb_store_item *item,
                                 void *user);

struct cli_store_walk {
    const struct bb_value *prefix; /* NULL: all */
    const struct bb_value *after;  /* NULL: from the first */
    uint64_t limit;                /* 0: none */
    int is_one_state;              /* one view from the first to the last, however long it takes */
    cli_store_put_cb put;
    void *user;
    uint64_t count; /* made by cli_store_walk() */
};

/*
 * cli_store_walk - prints what put() makes of each key, in the store's order.
 *
 * Goes by pages: a view ends before its page is written, so that a slow reader of our output holds nothing.
 * Keys that are there all the time come exactly once.
 * Returns   CLI_DONE (also when stopped by a signal, or nobody reads any more), or an exit code.
 */
int cli_store_walk(struct cli_store *store, struct cli_store_walk *walk);

/* ---- writing --------------------------------------------------------------------------------------- */

/*
 * cli_store_write - runs the commands, all or none; says what was refused; prints a line each with --json.
 * Returns   CLI_DONE; CLI_NO a command was refused; CLI_USAGE it can begin no key; what else cli_store_report() says.
 */
int cli_store_write(struct cli_store *store,
                    const struct bb_store_cmd *cmds,
                    size_t count,
                    struct bb_store_result *results);

#endif
