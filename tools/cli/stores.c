/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/stores.c - opening, words, sentences.
 *
 * Readers only look.  Who writes looks first: a mistyped name must not make a member that waits for the store.
 */
#include "tools/cli/stores.h"

#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/convert.h"
#include "tools/cli/format.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t NO_WAIT_NS = 1; /* 0 would be the library's 5 s */
static const int64_t ANSWER_NS = 5 * CLI_SECOND_NS;
static const int64_t AGAIN_NS = CLI_SECOND_NS / 100;

int
cli_store_args(struct cli_store *store,
               const struct cli_call *call,
               const struct cli_store_options *o,
               int min)
{
    const int own = o->path == NULL; /* STORE is an argument */
    *store = (struct cli_store){.call = call,
                                .o = o,
                                .name = own ? call->args[0] : o->path,
                                .args = call->args + own,
                                .arg_count = call->arg_count - own};
    if (own && call->arg_count == 0) {
        return cli_wrong(call->verb, "which store? `busbar store ls` lists those of this bus");
    }
    if (store->arg_count < min) {
        return cli_wrong(call->verb, "an argument is missing behind %s \"%.80s\"",
                         own ? "the store" : "the directory", store->name);
    }
    if (call->verb->max_args >= 0 && store->arg_count > call->verb->max_args - 1) {
        return cli_wrong(call->verb, "\"%.80s\" is one argument too many: --path stands for STORE",
                         store->args[call->verb->max_args - 1]);
    }
    return CLI_DONE;
}

/* ---- opening --------------------------------------------------------------------------------------- */

struct names {
    struct cli_buffer text;
    size_t count;
};

static int
add_name(const struct bb_store_info *info, void *user)
{
    struct names *names = user;
    cli_buffer_puts(&names->text, names->count++ > 0 ? ", " : "");
    cli_buffer_puts(&names->text, info->name);
    return 0;
}

/* say_no_store - and which there are. */
static int
say_no_store(const struct cli_store *store)
{
    struct names names = {.count = 0};
    if (store->o->path != NULL) {
        cli_say("there is no store in \"%.200s\"", store->o->path);
        return CLI_NONE;
    }
    int rc = bb_look_stores(store->look, add_name, &names);
    if (rc < 0 || names.text.err != 0) {
        cli_say("there is no store \"%.80s\" on this bus", store->name);
    } else if (names.count == 0) {
        cli_say("there is no store \"%.80s\" on this bus, nor any other; `busbar store serve "
                "%.80s` makes one",
                store->name, store->name);
    } else {
        cli_say("there is no store \"%.80s\" on this bus; it has: %.*s", store->name,
                (int)names.text.bytes, names.text.p);
    }
    cli_buffer_free(&names.text);
    return CLI_NONE;
}

/* answer_ns - how long its master is waited for; -W 0 does not wait. */
static int64_t
answer_ns(const struct cli_store *store)
{
    const struct cli_store_options *o = store->o;
    if (o->answer_ns > 0) {
        return o->answer_ns;
    }
    return o->wait_ns < 0 ? ANSWER_NS : o->wait_ns > 0 ? o->wait_ns : NO_WAIT_NS;
}

static struct bb_store_opts
make_opts(const struct cli_store *store, struct bb_error *error)
{
    return (struct bb_store_opts){
        .size = sizeof(struct bb_store_opts),
        .name = store->o->path == NULL ? store->name : NULL,
        .path = store->o->path,
        .role = BB_STORE_CLONE,
        .flags = store->o->by_request || store->must_ask ? BB_STORE_BY_REQUEST : 0U,
        .timeout_ns = answer_ns(store),
        .error = error,
    };
}

static int
report_open(const struct cli_store *store, int rc, const struct bb_error *error)
{
    if (rc == BB_ENOENT) {
        return say_no_store(store);
    }
    if (rc == BB_ENOTSUP && store->s == NULL) {
        cli_say(
            "the store \"%.200s\" is served from another PID namespace, so that it cannot be read "
            "in place; `store get`, `keys`, `scan` and `count` take --by-request (its master "
            "answers), or share the namespace",
            store->name);
        return CLI_FAILED;
    }
    return cli_report(store->call, rc, error, "cannot open the store");
}

/* look_at_bus - with --wait also at one that is only being made. */
static int
look_at_bus(struct cli_store *store, int64_t deadline_ns)
{
    const struct cli_common *common = &store->call->common;
    struct bb_error error = {0};
    struct bb_look_opts opts = {
        .size = sizeof(opts), .dir = common->dir, .bus = common->bus, .error = &error};
    int rc = bb_look_open(&store->look, &opts);
    while (rc == BB_ENOBUS && !cli_stopped() && cli_left_ns(deadline_ns, AGAIN_NS) > 0) {
        cli_sleep_until(cli_mono_ns() + AGAIN_NS);
        rc = bb_look_open(&store->look, &opts);
    }
    return rc < 0 ? cli_report(store->call, rc, &error, "cannot look at the bus") : CLI_DONE;
}

int
cli_store_open(struct cli_store *store)
{
    if (store->o->by_request && store->o->path != NULL) {
        return cli_wrong(store->call->verb,
                         "--by-request asks a master on the bus; --path has none");
    }
    return store->o->by_request ? cli_store_attach(store) : cli_store_look(store);
}

int
cli_store_look(struct cli_store *store)
{
    struct bb_error error = {0};
    struct bb_store_opts opts = make_opts(store, &error);
    int rc;

    if (store->o->path != NULL) {
        rc = bb_store_open_path(&store->s, &opts);
        return rc < 0 ? report_open(store, rc, &error) : CLI_DONE;
    }
    const int64_t deadline_ns = cli_deadline(store->o->wait_ns > 0 ? store->o->wait_ns : 0);
    int code = look_at_bus(store, deadline_ns);
    if (code != CLI_DONE) {
        return code;
    }
    opts.timeout_ns = cli_left_ns(deadline_ns, INT64_MAX / 2) + NO_WAIT_NS;
    opts.flags = 0;
    rc = bb_store_open_look(&store->s, store->look, &opts);
    store->must_ask = rc == BB_ENOTSUP && store->may_ask;
    return rc < 0 && !store->must_ask ? report_open(store, rc, &error) : CLI_DONE;
}

int
cli_store_attach(struct cli_store *store)
{
    struct bb_error error = {0};
    store->may_ask = 1;
    int code = cli_store_look(store);
    if (code != CLI_DONE) {
        return code;
    }
    bb_store_close(store->s);
    store->s = NULL;
    code = cli_attach(store->call, NULL, NULL, BB_ATTACH_EXISTING, &store->ep);
    if (code != CLI_DONE) {
        return code;
    }
    struct bb_store_opts opts = make_opts(store, &error); /* with what looking has shown */
    int rc = bb_store_open(&store->s, store->ep, &opts);
    return rc < 0 ? report_open(store, rc, &error) : CLI_DONE;
}

void
cli_store_close(struct cli_store *store)
{
    bb_store_close(store->s);
    bb_endpoint_close(store->ep);
    bb_look_close(store->look);
    store->s = NULL;
    store->ep = NULL;
    store->look = NULL;
}

int
cli_store_report(const struct cli_store *store, int status, const char *what)
{
    const struct bb_error *words = store->s != NULL ? bb_store_error(store->s) : NULL;
    char span[CLI_NUMBER_BYTES];
    if (words != NULL && words->code == status && words->sentence[0] != '\0') {
        cli_say("%s", words->sentence);
        return status == BB_ENORESPONDERS ? CLI_TIME : cli_exit_code(status);
    }
    switch (status) {
    case BB_ETIMEDOUT:
    case BB_ENORESPONDERS:
        cli_say(
            "no master of the store \"%.80s\" answered within %s; what was asked may yet be done "
            "once. `busbar store info %.80s` says who served it, `busbar store serve %.80s "
            "...` serves it",
            store->name, cli_span(span, answer_ns(store)), store->name, store->name);
        return CLI_TIME;
    case BB_ENOSPC:
        cli_say("the store \"%.80s\" takes no more: its quota or its file system is full; delete "
                "keys, or serve it with a larger --quota (`busbar store info %.80s` shows both)",
                store->name, store->name);
        return CLI_RESOURCE;
    case BB_ECORRUPT:
        cli_say("the store \"%.80s\" is damaged: %s; `busbar store verify` says where", store->name,
                what);
        return CLI_FAILED;
    case BB_EMSGSIZE:
        cli_say("%s: one command to the store \"%.80s\" takes at most 64 MiB", what, store->name);
        return CLI_RESOURCE;
    default:
        cli_say("%s, store \"%.80s\": %s", what, store->name, bb_strerror(status));
        return cli_exit_code(status);
    }
}

/* ---- words ----------------------------------------------------------------------------------------- */

struct bb_value
cli_store_value(const struct cli_buffer *native)
{
    return (struct bb_value){(const unsigned char *)native->p, native->bytes};
}

int
cli_store_read_word(const struct cli_store *store,
                    const char *what,
                    const char *type_name,
                    const char *text,
                    struct cli_buffer *native)
{
    struct bb_codec_error error = {0};
    int type = type_name != NULL ? cli_type_parse(type_name) : BB_TYPE_ANY;
    if (type == BB_EINVAL) {
        return cli_wrong(store->call->verb,
                         "there is no type \"%.80s\"; `busbar help value` lists them", type_name);
    }
    int rc = cli_value_read(native, CLI_FORM_TEXT, type, text, strlen(text), &error);
    if (rc == BB_EINVAL) {
        return cli_wrong(store->call->verb, "%s, column %zu: %s", what, error.offset + 1,
                         error.sentence);
    }
    return rc < 0 ? cli_report(store->call, rc, NULL, what) : CLI_DONE;
}

int
cli_store_read_key(const struct cli_store *store,
                   const char *text,
                   struct cli_buffer *native,
                   struct bb_value *v)
{
    int code = cli_store_read_word(store, "KEY", store->o->key_type, text, native);
    *v = cli_store_value(native);
    return code;
}

static const char *
after_type(const struct cli_store *store, const char *text)
{
    const int is_json = strncmp(text, "{\"@data-type\"", 13) == 0;
    return is_json ? NULL : store->o->key_type;
}

int
cli_store_read_after(const struct cli_store *store,
                     const char *text,
                     struct cli_buffer *native,
                     struct bb_value *v)
{
    int code = cli_store_read_word(store, "--after", after_type(store, text), text, native);
    *v = cli_store_value(native);
    return code;
}

int
cli_store_read_prefix(const struct cli_store *store,
                      const char *text,
                      struct cli_buffer *native,
                      struct bb_value *v,
                      const struct bb_value **out)
{
    *out = NULL;
    if (text == NULL) {
        return CLI_DONE;
    }
    int code = cli_store_read_word(store, "the prefix", store->o->key_type, text, native);
    if (code != CLI_DONE) {
        return code;
    }
    *v = cli_store_value(native);
    *out = v;
    int type = bb_value_type(v);
    if (type != BB_STRING && type != BB_SUBNET && type != BB_VECTOR) {
        const char *name = bb_type_name(type);
        return cli_wrong(
            store->call->verb,
            "a prefix is a string, a subnet or a vector, and \"%.80s\" reads as %s; %s", text,
            name != NULL ? name : "another type",
            type == BB_ADDRESS ? "write /32 or /128 behind it"
                               : "--key-type string makes it a string");
    }
    return CLI_DONE;
}

const char *
cli_store_short(char buf[CLI_KEY_BYTES], const struct bb_value *v)
{
    struct cli_buffer out = {0};
    cli_store_put_text(&out, v);
    size_t bytes = out.err != 0 ? 0 : out.bytes;
    size_t room = CLI_KEY_BYTES - 4;
    int is_cut = bytes > room;
    if (is_cut) {
        bytes = room;
        while (bytes > 0 && ((unsigned char)out.p[bytes] & 0xc0) == 0x80) {
            bytes--; /* not within a character */
        }
    }
    snprintf(buf, CLI_KEY_BYTES, "%.*s%s", (int)bytes, bytes > 0 ? out.p : "", is_cut ? "..." : "");
    cli_buffer_free(&out);
    return buf;
}

int
cli_store_say_no_key(const struct cli_store *store, const struct bb_value *key)
{
    char text[CLI_KEY_BYTES];
    if (!store->o->quiet) {
        cli_say("there is no key %s in the store \"%.80s\"", cli_store_short(text, key),
                store->name);
    }
    return CLI_NO;
}

/* ---- what is printed ------------------------------------------------------------------------------- */

void
cli_store_put_text(struct cli_buffer *out, const struct bb_value *v)
{
    struct cli_buffer text = {0};
    int rc = cli_value_append(&text, CLI_FORM_TEXT, v);
    if (rc < 0) {
        cli_buffer_puts(out, "(damaged)");
    } else {
        cli_put_escaped(out, text.p, text.bytes, 0);
    }
    if (rc == BB_ENOMEM) {
        out->err = rc;
    }
    cli_buffer_free(&text);
}

/* reads_back - these words are read as this very key. */
static int
reads_back(const struct cli_store *store,
           struct cli_buffer *native,
           const struct cli_buffer *words,
           const struct bb_value *key)
{
    struct bb_codec_error error = {0};
    if (words->err != 0 || words->bytes < 2 || memchr(words->p, '\n', words->bytes) != NULL) {
        return 0; /* nothing but its end: no word in a shell's loop */
    }
    const char *type_name = after_type(store, words->p);
    int type = type_name != NULL ? cli_type_parse(type_name) : BB_TYPE_ANY;
    return cli_value_read(native, CLI_FORM_TEXT, type, words->p, words->bytes - 1, &error) == 0
           && native->bytes == key->bytes && memcmp(native->p, key->p, key->bytes) == 0;
}

/* put_words - the key in quotes or not, with an end as a C string has it. */
static void
put_words(struct cli_buffer *words, const struct bb_value *key, const char *quote)
{
    words->bytes = 0;
    cli_buffer_puts(words, quote);
    cli_store_put_text(words, key);
    cli_buffer_puts(words, quote);
    cli_buffer_put(words, "", 1);
}

void
cli_store_put_key(struct cli_buffer *out, const struct cli_store *store, const struct bb_value *key)
{
    struct cli_buffer words = {0}, native = {0};
    int is_exact = 0;

    put_words(&words, key, "");
    is_exact = reads_back(store, &native, &words, key);
    if (!is_exact && bb_value_type(key) == BB_STRING) {
        put_words(&words, key, "\"");
        is_exact = reads_back(store, &native, &words, key);
    }
    if (is_exact) {
        cli_buffer_put(out, words.p, words.bytes - 1);
    } else if (cli_value_append(out, CLI_FORM_EXACT, key) < 0) {
        cli_store_put_text(out, key); /* also says that it is damaged */
    }
    out->err = words.err != 0 ? words.err : out->err;
    cli_buffer_free(&words);
    cli_buffer_free(&native);
}

void
cli_store_put_value(struct cli_buffer *out, const struct bb_value *v)
{
    if (isatty(STDOUT_FILENO) || cli_value_append(out, CLI_FORM_TEXT, v) < 0) {
        cli_store_put_text(out, v); /* also says that it is damaged */
    }
}

void
cli_store_put_json(struct cli_buffer *out, const char *name, const struct bb_value *v)
{
    if (out->bytes > 0 && out->p[out->bytes - 1] != '{') {
        cli_buffer_puts(out, ",");
    }
    cli_buffer_printf(out, "\"%s\":", name);
    int rc = v->p != NULL ? cli_value_append(out, CLI_FORM_EXACT, v) : BB_ENOENT;
    if (rc < 0) {
        cli_buffer_puts(out, "null");
    }
}

void
cli_store_put_item(struct cli_buffer *out, const struct bb_store_item *item)
{
    cli_buffer_puts(out, "{");
    cli_store_put_json(out, "key", &item->key);
    cli_store_put_json(out, "value", &item->value);
    cli_buffer_printf(out, ",\"version\":%llu,\"expires_ns\":", (unsigned long long)item->version);
    if (item->expires_ns == BB_STORE_NEVER) {
        cli_buffer_puts(out, "null");
    } else {
        cli_buffer_printf(out, "%lld", (long long)item->expires_ns);
    }
}

int
cli_store_print(struct cli_buffer *out)
{
    int err = out->err;
    if (err == 0 && out->bytes > 0) {
        fwrite(out->p, 1, out->bytes, stdout);
    }
    out->bytes = 0;
    return err;
}
