/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: busbard's command line becomes settings, and each mistake has its sentence.  Method: argument vectors.
 */
#include "tools/daemon/options.h"
#include <criterion/criterion.h>

enum { WORDS_MAX = 64 };

static struct daemon_options options;
static struct daemon_wrong wrong;

/* read_words - the command line in which blanks part the words. */
static int
read_words(const char *line)
{
    static char text[1024];
    static char program[] = "busbard";
    char *argv[WORDS_MAX] = {program};
    int argc = 1;
    cr_assert_lt(strlen(line), sizeof(text));
    strcpy(text, line);
    char *state = NULL;
    for (char *word = strtok_r(text, " ", &state); word != NULL;
         word = strtok_r(NULL, " ", &state)) {
        cr_assert_lt(argc, WORDS_MAX);
        argv[argc++] = word;
    }
    wrong.text[0] = '\0';
    return daemon_options_read(&options, argc, argv, &wrong);
}

static void
fini(void)
{
    daemon_settings_fini(&options.settings);
}

Test(options, all_of_them, .timeout = 10, .fini = fini)
{
    const struct daemon_settings *s = &options.settings;
    cr_assert_eq(
        read_words(
            "--bus lab --listen 127.0.0.1:0 --listen [::1]:4000 --peer b@h:1 --peer=i:2 --topics "
            "/a --topics /b --engine epoll --psk k --name me --cluster c --rights r --slow "
            "disconnect --queue 1M --ring 2M --retry-max 0.5 --config f --dir d --check -v"),
        0, "%s", wrong.text);
    cr_assert_str_eq(s->bus, "lab");
    cr_assert_eq(s->listen_count, 2);
    cr_assert_str_eq(s->listen[1].host, "::1");
    cr_assert_eq(s->peer_count, 2);
    cr_assert_str_eq(s->peers[0].name, "b");
    cr_assert_null(s->peers[1].name);
    cr_assert_eq(s->peers[1].port, 2);
    cr_assert_eq(s->topic_count, 2);
    cr_assert_str_eq(s->topics[1], "/b");
    cr_assert_eq(s->engine, 2);
    cr_assert_str_eq(s->psk, "k");
    cr_assert_str_eq(s->name, "me");
    cr_assert_str_eq(s->cluster, "c");
    cr_assert_str_eq(s->rights, "r");
    cr_assert_eq(s->slow, BB_SLOW_DISCONNECT);
    cr_assert_eq(s->queue_bytes, 1 << 20);
    cr_assert_eq(s->ring_bytes, 2 << 20);
    cr_assert_eq(s->retry_max_ns, 500000000);
    cr_assert_str_eq(s->dir, "d");
    cr_assert_str_eq(options.config, "f");
    cr_assert(options.is_check);
    cr_assert_eq(options.verbosity, 1);
    cr_assert_eq(s->insecure, DAEMON_UNSAID);
    cr_assert_eq(s->compress, DAEMON_UNSAID);
}

Test(options, short_ones, .timeout = 10, .fini = fini)
{
    cr_assert_eq(read_words("-b lab -q --insecure --compress"), 0, "%s", wrong.text);
    cr_assert_str_eq(options.settings.bus, "lab");
    cr_assert_eq(options.verbosity, -1);
    cr_assert_eq(options.settings.insecure, 1);
    cr_assert_eq(options.settings.compress, 1);
    fini();
    cr_assert_eq(read_words("-blab -h"), 0, "%s", wrong.text);
    cr_assert_str_eq(options.settings.bus, "lab");
    cr_assert(options.is_help);
}

Test(options, mistakes, .timeout = 10)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"lab", "\"lab\" is no flag"},
        {"--lisen h:1", "there is no flag --lisen; did you mean --listen?"},
        {"--chek", "did you mean --check?"},
        {"--frobnicate", "there is no flag --frobnicate"},
        {"--a-flag-that-is-longer-than-any-other-one", "there is no flag --a-flag"},
        {"-x", "there is no flag -x"},
        {"-vq", "there is no flag -vq"},
        {"--bus", "--bus needs a value: NAME"},
        {"--bus=", "--bus: needs a value"},
        {"--bus a --bus b", "--bus: is given twice"},
        {"--insecure --insecure", "--insecure: is given twice"},
        {"--insecure=yes", "--insecure takes no value"},
        {"--check=1", "--check takes no value"},
        {"--config a --config b", "--config takes one file"},
        {"--engine fast", "--engine: is one of auto, io_uring, epoll, not \"fast\""},
        {"--slow wait", "--slow: is one of drop-oldest, drop-newest, disconnect, not \"wait\""},
        {"--queue 0", "--queue: takes a size above zero"},
        {"--retry-max 0", "--retry-max: takes seconds"},
        {"--listen 4000", "--listen: \"4000\" has no port"},
        {"--peer h:0", "--peer: \"h:0\" cannot be linked to"},
        {"--topics <$>link/", "--topics: topics with <$> are the bus's own"},
        {"--topics=", "--topics: needs a prefix"},
        {"--name aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "--name: is longer than 63 bytes"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(read_words(bad[i].line), -1, "%s", bad[i].line);
        cr_assert_not_null(strstr(wrong.text, bad[i].says), "%s: %s", bad[i].line, wrong.text);
        fini();
    }
}

Test(options, what_stands_there_twice, .timeout = 10, .fini = fini)
{
    cr_assert_eq(read_words("--listen h:0 --listen h:0 --peer h:1 --peer h:2"), 0, "%s",
                 wrong.text);
    cr_assert_eq(daemon_settings_check(&options.settings, &wrong), 0, "%s", wrong.text);
    fini();
    cr_assert_eq(read_words("--listen h:1 --listen h:1"), 0, "%s", wrong.text);
    cr_assert_eq(daemon_settings_check(&options.settings, &wrong), -1);
    cr_assert_str_eq(wrong.text, "listen: h:1 is given twice");
    fini();
    cr_assert_eq(read_words("--peer a@[::1]:1 --peer b@[::1]:1"), 0, "%s", wrong.text);
    cr_assert_eq(daemon_settings_check(&options.settings, &wrong), -1);
    cr_assert_str_eq(wrong.text, "peer: [::1]:1 is given twice");
}

Test(options, help_names_every_key, .timeout = 10)
{
    static char text[8192];
    FILE *to = fmemopen(text, sizeof(text), "w");
    cr_assert_not_null(to);
    daemon_options_help(to);
    fclose(to);
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        char flag[40];
        snprintf(flag, sizeof(flag), "  --%s ", key->name);
        cr_assert_not_null(strstr(text, flag), "%s", flag);
    }
}
