/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: every command line is either understood or refused with a sentence that names the word at fault.
 * Method: tables of both.
 */
#include "tools/sensor/options.h"

#include <busbar/endpoint.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct sensor_options opts;
static struct sensor_fail fail;

/* Words separated by single blanks, without the program's name. */
static int
parse(const char *line)
{
    static char text[512];
    char *argv[64];
    char *rest = NULL;
    int argc = 0;

    strcpy(text, "busbar-sensor ");
    strncat(text, line, sizeof(text) - strlen(text) - 1);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return sensor_options_parse(&opts, argc, argv, &fail);
}

static void
assert_parses(const char *line)
{
    fail.sentence[0] = '\0';
    cr_assert_eq(parse(line), 0, "`%s`: %s", line, fail.sentence);
}

Test(options, defaults, .timeout = 20)
{
    assert_parses("--pcap a.pcap");
    cr_assert_eq(opts.file_count, 1);
    cr_assert_str_eq(opts.files[0], "a.pcap");
    cr_assert_eq(opts.workers, 4);
    cr_assert(opts.watch_any);
    cr_assert_null(opts.bus);
    cr_assert_null(opts.node);
    cr_assert_not(opts.json);
    cr_assert_not(opts.stay);
    cr_assert_eq(opts.wait_s, 30);
    cr_assert_eq(opts.proxies, 2);
    cr_assert_eq(opts.loggers, 1);
    cr_assert_null(opts.log_dir);
    cr_assert_str_eq(opts.pattern->name, "manager");
    sensor_options_fini(&opts);
}

Test(options, files_in_order, .timeout = 20)
{
    assert_parses("--pcap a b --json --pcap c --workers=2 -b x --dir /d --rate 10 --watch ::1");
    cr_assert_eq(opts.file_count, 3);
    cr_assert_str_eq(opts.files[0], "a");
    cr_assert_str_eq(opts.files[1], "b");
    cr_assert_str_eq(opts.files[2], "c");
    cr_assert(opts.json);
    cr_assert_eq(opts.workers, 2);
    cr_assert_str_eq(opts.bus, "x");
    cr_assert_str_eq(opts.dir, "/d");
    cr_assert_eq(opts.rate, 10);
    cr_assert_not(opts.watch_any);
    cr_assert_eq(opts.watch[15], 1);
    sensor_options_fini(&opts);
}

Test(options, single_nodes, .timeout = 20)
{
    assert_parses("--node worker-3 --role worker --workers 3 --live lo --seconds 5");
    cr_assert_eq(opts.share, 2);
    cr_assert_eq(opts.role, BB_ROLE_WORKER);
    cr_assert_eq(opts.seconds, 5);
    sensor_options_fini(&opts);
    assert_parses("--node box-7-w-1 --role worker --pcap f");
    cr_assert_eq(opts.share, 0);
    sensor_options_fini(&opts);
    assert_parses("--node m --role manager --workers 255 --stay");
    cr_assert_eq(opts.role, BB_ROLE_MANAGER);
    cr_assert_eq(opts.wait_s, 0);
    cr_assert_eq(opts.proxies, 0); /* one by one: who is not named is not waited for */
    cr_assert_eq(opts.loggers, 0);
    sensor_options_fini(&opts);
}

Test(options, patterns, .timeout = 20)
{
    static const char *const names[] = {"manager", "proxies",  "workers",
                                        "direct",  "declared", "standalone"};
    char line[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(line, sizeof(line), "--pcap a --pattern %s", names[i]);
        assert_parses(line);
        cr_assert_str_eq(opts.pattern->name, names[i]);
        cr_assert_not_null(strstr(sensor_pattern_names(), names[i]));
        sensor_options_fini(&opts);
    }
}

Test(options, helpers, .timeout = 20)
{
    assert_parses("--node proxy-2 --role proxy --proxies 3 --pattern proxies");
    cr_assert_eq(opts.share, 1);
    cr_assert_eq(opts.role, BB_ROLE_PROXY);
    sensor_options_fini(&opts);
    assert_parses("--node logger-1 --role logger --loggers 2 --log-dir /tmp/logs");
    cr_assert_eq(opts.share, 0);
    cr_assert_str_eq(opts.log_dir, "/tmp/logs");
    sensor_options_fini(&opts);
    assert_parses("--pcap a --proxies 0 --loggers 0");
    cr_assert_eq(opts.proxies, 0);
    cr_assert_eq(opts.loggers, 0);
    sensor_options_fini(&opts);
}

Test(options, two_boxes, .timeout = 20)
{
    assert_parses("--box workers --pcap a b --workers 3");
    cr_assert_eq(opts.box, SENSOR_ON_WORKERS);
    cr_assert_eq(opts.workers, 3);
    cr_assert_eq(opts.proxies, 0);
    cr_assert_eq(opts.loggers, 1);
    cr_assert_eq(opts.wait_s, 0);
    sensor_options_fini(&opts);
    assert_parses("--box manager --watch 10.0.0.1 --json --wait 5");
    cr_assert_eq(opts.box, SENSOR_ON_MANAGER);
    cr_assert_eq(opts.loggers, 0);
    cr_assert_eq(opts.wait_s, 5);
    sensor_options_fini(&opts);
    assert_parses("--pcap a");
    cr_assert_eq(opts.box, SENSOR_ON_ONE);
    sensor_options_fini(&opts);
}

Test(options, help_and_version, .timeout = 20)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    assert_parses("--help");
    cr_assert(opts.help);
    sensor_options_fini(&opts);
    assert_parses("-h --workers 3");
    cr_assert(opts.help);
    sensor_options_fini(&opts);
    assert_parses("--version");
    cr_assert(opts.version);
    sensor_options_fini(&opts);
    sensor_options_help(out);
    (void)fclose(out);
    cr_assert_not_null(strstr(text, "--watch"));
    free(text);
}

Test(options, refused, .timeout = 20)
{
    static const struct {
        const char *line;
        const char *named; /* stands in the sentence */
    } wrong[] = {
        {"", "capture"},
        {"--json", "capture"},
        {"a.pcap", "a.pcap"},
        {"--pcap", "--pcap"},
        {"--pcap a --workers 2 b", "b"},
        {"--pcap a --live lo", "exclude"},
        {"--pcap a --workers 0", "--workers"},
        {"--pcap a --workers 256", "256"},
        {"--pcap a --workers 4x", "4x"},
        {"--pcap a --workers -1", "-1"},
        {"--pcap a --workers 99999999999999999999", "--workers"},
        {"--pcap a --watch 10.0.0", "10.0.0"},
        {"--pcap a --watch some", "some"},
        {"--pcap a --pattern proxy", "proxy"},
        {"--pcap a --proxies 65", "65"},
        {"--pcap a --loggers x", "--loggers"},
        {"--pcap a --workers 254", "256"},
        {"--pcap a --pattern standalone --node w-1 --role worker", "standalone"},
        {"--node proxy-1 --role proxy", "--proxies"},
        {"--node proxy-3 --role proxy --proxies 2", "proxy-3"},
        {"--node prox-1 --role proxy --proxies 2", "prox-1"},
        {"--node proxy-1 --role proxy --proxies 2 --pcap a", "proxy"},
        {"--node logger-1 --role logger --loggers 1", "--log-dir"},
        {"--pcap a --seconds 4", "--seconds"},
        {"--live lo --rate 4", "--rate"},
        {"--live lo --seconds 0", "--seconds"},
        {"--pcap a --frobnicate", "--frobnicate"},
        {"--pcap a -x", "-x"},
        {"--pcap a --role worker", "--node"},
        {"--node worker-1 --pcap a", "--role"},
        {"--node worker-1 --role worker", "capture"},
        {"--node worker-5 --role worker --pcap a", "worker-5"},
        {"--node worker --role worker --pcap a", "worker"},
        {"--node worker- --role worker --pcap a", "worker-"},
        {"--node w-0 --role worker --pcap a", "w-0"},
        {"--node m --role boss", "boss"},
        {"--node m --role tool", "tool"},
        {"--node m --role logger --loggers 1 --log-dir d", "logger-1"},
        {"--node m --role manager --pcap a", "manager"},
        {"--box both", "both"},
        {"--box workers", "capture"},
        {"--box workers --pcap a --json", "--json"},
        {"--box workers --pcap a --watch 10.0.0.1", "--watch"},
        {"--box workers --pcap a --proxies 1", "proxies"},
        {"--box workers --pcap a --pattern direct", "--pattern"},
        {"--box manager --pcap a", "--box workers"},
        {"--box manager --workers 2", "--workers"},
        {"--box manager --loggers 1", "--loggers"},
        {"--box manager --node manager --role manager", "--node"},
        {"--node 0123456789012345678901234567890123456789abcdefgh --role manager", "47"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(parse(wrong[i].line), -1, "%s", wrong[i].line);
        cr_assert_eq(fail.code, SENSOR_EXIT_USAGE, "%s", wrong[i].line);
        cr_assert_not_null(strstr(fail.sentence, wrong[i].named), "`%s`: %s", wrong[i].line,
                           fail.sentence);
        sensor_options_fini(&opts);
    }
}
