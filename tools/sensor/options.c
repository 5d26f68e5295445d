/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/options.h"

#include "tools/sensor/clients.h"

#include <busbar/endpoint.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define NOT_SAID UINT32_MAX

enum {
    DEFAULT_WORKERS = 4,
    DEFAULT_PROXIES = 2,
    DEFAULT_LOGGERS = 1,
    FORKED_WAIT_S = 30, /* the launcher's children are up long before, or never */
    SECONDS_MAX = 10 * 365 * 24 * 3600,
    RATE_MAX = 1000000000,
};

enum {
    OPT_FILE = 1, /* an argument without a flag: getopt's word for it */
    OPT_BUS = 'b',
    OPT_HELP = 'h',
    OPT_PCAP = 256,
    OPT_LIVE,
    OPT_WORKERS,
    OPT_PROXIES,
    OPT_LOGGERS,
    OPT_LOG_DIR,
    OPT_WATCH,
    OPT_PATTERN,
    OPT_DIR,
    OPT_SECONDS,
    OPT_RATE,
    OPT_WAIT,
    OPT_JSON,
    OPT_STAY,
    OPT_BOX,
    OPT_NODE,
    OPT_ROLE,
    OPT_VERSION,
};

static const struct option long_options[] = {
    {"pcap", required_argument, NULL, OPT_PCAP},
    {"live", required_argument, NULL, OPT_LIVE},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"proxies", required_argument, NULL, OPT_PROXIES},
    {"loggers", required_argument, NULL, OPT_LOGGERS},
    {"log-dir", required_argument, NULL, OPT_LOG_DIR},
    {"watch", required_argument, NULL, OPT_WATCH},
    {"pattern", required_argument, NULL, OPT_PATTERN},
    {"bus", required_argument, NULL, OPT_BUS},
    {"dir", required_argument, NULL, OPT_DIR},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"wait", required_argument, NULL, OPT_WAIT},
    {"json", no_argument, NULL, OPT_JSON},
    {"stay", no_argument, NULL, OPT_STAY},
    {"box", required_argument, NULL, OPT_BOX},
    {"node", required_argument, NULL, OPT_NODE},
    {"role", required_argument, NULL, OPT_ROLE},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

void
sensor_options_help(FILE *out)
{
    (void)fputs(
        "usage: busbar-sensor --pcap FILE...|--live IFACE [OPTION...]\n"
        "       busbar-sensor --box workers --pcap FILE...|--live IFACE [OPTION...]\n"
        "       busbar-sensor --box manager [OPTION...]\n"
        "       busbar-sensor --node NAME-K --role worker --workers N --pcap FILE...|--live IFACE\n"
        "       busbar-sensor --node NAME --role manager --workers N [--watch ADDR|any]\n"
        "       busbar-sensor --node proxy-K --role proxy --workers N --proxies P\n"
        "       busbar-sensor --node logger-K --role logger --workers N --loggers L --log-dir DIR\n"
        "\n"
        "A small network sensor on a busbar: N workers share a capture by flow and raise the "
        "event\n"
        "connection_established for each TCP connection; the known clients of a host are kept by\n"
        "whom --pattern says, and loggers write a conn log.  The first form starts all nodes; two\n"
        "with --box do so on two boxes, joined by a link of busbard; the others start one node.\n"
        "\n"
        "  --pcap FILE...    capture files: pcap or pcapng, also compressed by gzip\n"
        "  --live IFACE      capture on an interface (root or CAP_NET_RAW)\n"
        "  --seconds S       live: end after S seconds (else: Ctrl-C)\n"
        "  --workers N       how many workers share the capture, 1 to 255 (4)\n"
        "  --watch ADDR|any  the host whose clients are kept; any: every host (any)\n"
        "  --proxies N       proxies, 0 to 64 (2; with --node: 0)\n"
        "  --loggers N       loggers, 0 to 64 (1; with --node: 0)\n"
        "  --log-dir DIR     where loggers write conn.*.log (else a directory that is removed)\n"
        "  --pattern WORD    where events go (manager):\n"
        "                      manager     to the manager, which keeps the clients\n"
        "                      proxies     each to the proxy that its originator hashes to\n"
        "                      declared    the same; the event is declared `partition via'\n"
        "                      workers     through a proxy, or the manager, to all workers\n"
        "                      direct      from worker to worker, without a relay\n"
        "                      standalone  nowhere: one process is the whole cluster\n"
        "                      store       nowhere: the clients are in a store that all nodes "
        "read\n"
        "  --box WORD        workers: all nodes but the manager, which is on another box;\n"
        "                    manager: that one, for the workers on another box\n"
        "  --rate R          read R packets of the capture per second, not all at once\n"
        "  --json            the result as one JSON object\n"
        "  --stay            keep all nodes up after the result, until Ctrl-C\n"
        "  -b, --bus NAME    the bus ($BUSBAR_BUS, else default)\n"
        "  --dir DIR         where buses live ($BUSBAR_DIR, else a directory of yours in "
        "/dev/shm)\n"
        "  --node NAME       start only this node; a worker's name ends in -K, its share, 1 to N\n"
        "  --role ROLE       of that node: manager, worker, proxy or logger\n"
        "  --wait S          manager: give workers up that are not there after S seconds\n"
        "                    (30; with --node it waits without end); with --box, boxes: give the\n"
        "                    other up that was not heard for S seconds (60, and without end "
        "before\n"
        "                    it was heard first)\n"
        "  -h, --help        this text\n"
        "  --version         the version\n"
        "\n"
        "exit: 0 done, 1 a node is missing, 2 usage, 3 time ran out, 4 no such bus, 5 permission,\n"
        "      6 versions differ, 7 memory, files or space, 8 any other failure\n",
        out);
}

static int
fail_usage(struct sensor_fail *fail, const char *what, const char *value)
{
    return sensor_fail(fail, SENSOR_EXIT_USAGE, "%s%s; `busbar-sensor --help` shows how it goes",
                       what, value);
}

/* Decimal digits only, min to max. */
static int
parse_number(uint32_t *out,
             const char *option,
             const char *text,
             uint32_t min,
             uint32_t max,
             struct sensor_fail *fail)
{
    uint64_t n = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9' && n <= max; p++) {
        n = n * 10 + (uint64_t)(*p - '0');
    }
    if (p == text || *p != '\0' || n < min || n > max) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "%s takes a whole number from %u to %u, not `%s`", option, min, max,
                           text);
    }
    *out = (uint32_t)n;
    return 0;
}

static int
parse_watch(struct sensor_options *o, const char *text, struct sensor_fail *fail)
{
    o->watch_text = text;
    o->watch_any = strcmp(text, "any") == 0;
    if (!o->watch_any && sensor_address_parse(text, o->watch) != 0) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "--watch takes an IPv4 or IPv6 address or `any`, not `%s`", text);
    }
    return 0;
}

static int
parse_role(struct sensor_options *o, const char *text, struct sensor_fail *fail)
{
    int role = bb_role_parse(text);

    if (role < BB_ROLE_MANAGER || role > BB_ROLE_WORKER) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "--role takes `manager`, `worker`, `proxy` or `logger`, not `%s`", text);
    }
    o->role = (uint32_t)role;
    return 0;
}

static int
parse_pattern(struct sensor_options *o, const char *text, struct sensor_fail *fail)
{
    o->pattern = sensor_pattern_find(text);
    if (o->pattern == NULL) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE, "--pattern takes %s, not `%s`",
                           sensor_pattern_names(), text);
    }
    return 0;
}

static int
parse_box(struct sensor_options *o, const char *text, struct sensor_fail *fail)
{
    if (strcmp(text, "workers") == 0) {
        o->box = SENSOR_ON_WORKERS;
        return 0;
    }
    if (strcmp(text, "manager") == 0) {
        o->box = SENSOR_ON_MANAGER;
        return 0;
    }
    return sensor_fail(fail, SENSOR_EXIT_USAGE, "--box takes `workers` or `manager`, not `%s`",
                       text);
}

/* An option with a number or a word to look at. */
static int
parse_checked(struct sensor_options *o, int opt, const char *arg, struct sensor_fail *fail)
{
    switch (opt) {
    case OPT_WORKERS:
        return parse_number(&o->workers, "--workers", arg, 1, SENSOR_WORKERS_MAX, fail);
    case OPT_PROXIES:
        return parse_number(&o->proxies, "--proxies", arg, 0, SENSOR_HELPERS_MAX, fail);
    case OPT_LOGGERS:
        return parse_number(&o->loggers, "--loggers", arg, 0, SENSOR_HELPERS_MAX, fail);
    case OPT_SECONDS:
        return parse_number(&o->seconds, "--seconds", arg, 1, SECONDS_MAX, fail);
    case OPT_RATE:
        return parse_number(&o->rate, "--rate", arg, 1, RATE_MAX, fail);
    case OPT_WAIT:
        return parse_number(&o->wait_s, "--wait", arg, 1, SECONDS_MAX, fail);
    case OPT_WATCH:
        return parse_watch(o, arg, fail);
    case OPT_ROLE:
        return parse_role(o, arg, fail);
    case OPT_BOX:
        return parse_box(o, arg, fail);
    default:
        return parse_pattern(o, arg, fail);
    }
}

static int
parse_option(struct sensor_options *o, int opt, const char *arg, struct sensor_fail *fail)
{
    switch (opt) {
    case OPT_PCAP:
        o->files[o->file_count++] = arg;
        return 0;
    case OPT_LIVE:
        o->live = arg;
        return 0;
    case OPT_BUS:
        o->bus = arg;
        return 0;
    case OPT_DIR:
        o->dir = arg;
        return 0;
    case OPT_LOG_DIR:
        o->log_dir = arg;
        return 0;
    case OPT_NODE:
        o->node = arg;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case OPT_STAY:
        o->stay = true;
        return 0;
    case OPT_HELP:
        o->help = true;
        return 0;
    case OPT_VERSION:
        o->version = true;
        return 0;
    default:
        return parse_checked(o, opt, arg, fail);
    }
}

/* A worker's share is the number at the end of its name: worker-1 takes the first. */
static int
parse_share(struct sensor_options *o, struct sensor_fail *fail)
{
    const char *dash = strrchr(o->node, '-');
    struct sensor_fail ignored;
    uint32_t number = 0;

    if (dash == NULL || parse_number(&number, "", dash + 1, 1, o->workers, &ignored) != 0) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "the name of a worker ends in its share, -1 to -%u with --workers %u; "
                           "`%s` does not",
                           o->workers, o->workers, o->node);
    }
    o->share = number - 1;
    return 0;
}

/* Proxies and loggers are known to the others by name before they come: proxy-1, logger-1 ... */
static int
parse_number_of_helper(struct sensor_options *o, struct sensor_fail *fail)
{
    const char *role = bb_role_name(o->role);
    uint32_t count = o->role == BB_ROLE_PROXY ? o->proxies : o->loggers;
    size_t role_bytes = strlen(role);
    struct sensor_fail ignored;
    uint32_t number = 0;

    if (strncmp(o->node, role, role_bytes) != 0 || o->node[role_bytes] != '-'
        || parse_number(&number, "", o->node + role_bytes + 1, 1, count, &ignored) != 0) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "a %s is named %s-1 and so on, up to the number that %s says (%u here), "
                           "the same at all nodes; `%s` is not",
                           role, role, o->role == BB_ROLE_PROXY ? "--proxies" : "--loggers", count,
                           o->node);
    }
    o->share = number - 1;
    if (o->role == BB_ROLE_LOGGER && o->log_dir == NULL) {
        return fail_usage(fail, "a logger of its own needs --log-dir DIR", "");
    }
    return 0;
}

static int
check_node(struct sensor_options *o, struct sensor_fail *fail)
{
    if (o->node == NULL) {
        o->wait_s = o->wait_s != 0 || o->box != SENSOR_ON_ONE ? o->wait_s : FORKED_WAIT_S;
        return o->role == BB_ROLE_NONE ? 0 : fail_usage(fail, "--role needs --node", "");
    }
    if (o->pattern->is_alone) {
        return fail_usage(fail, "--pattern standalone is one process: it goes without --node", "");
    }
    if (o->role == BB_ROLE_NONE) {
        return fail_usage(fail, "--node needs --role: manager, worker, proxy or logger", "");
    }
    if (strlen(o->node) > BB_NAME_MAX || o->node[0] == '\0') {
        return fail_usage(fail, "a node's name has 1 to 47 bytes, not ", o->node);
    }
    if (o->role == BB_ROLE_MANAGER) {
        return 0;
    }
    return o->role == BB_ROLE_WORKER ? parse_share(o, fail) : parse_number_of_helper(o, fail);
}

/* Who starts one node says how many others there are; who starts all of them has a whole cluster. */
static int
check_counts(struct sensor_options *o, struct sensor_fail *fail)
{
    bool is_one = o->node != NULL;
    bool has_loggers = !is_one && o->box != SENSOR_ON_MANAGER;

    if (o->workers == NOT_SAID) {
        o->workers = DEFAULT_WORKERS;
    }
    if (o->proxies == NOT_SAID) {
        o->proxies = is_one || o->box != SENSOR_ON_ONE ? 0 : DEFAULT_PROXIES;
    }
    if (o->loggers == NOT_SAID) {
        o->loggers = has_loggers ? DEFAULT_LOGGERS : 0;
    }
    if (1 + o->workers + o->proxies + o->loggers > SENSOR_NODES_MAX) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "a manager, %u workers, %u proxies and %u loggers are more than the %d "
                           "nodes that a bus has room for: lower --workers, --proxies or --loggers",
                           o->workers, o->proxies, o->loggers, (int)SENSOR_NODES_MAX);
    }
    return 0;
}

/* What belongs to the other box is no use on this one. */
static int
check_box(const struct sensor_options *o, struct sensor_fail *fail)
{
    if (o->box == SENSOR_ON_ONE) {
        return 0;
    }
    if (o->node != NULL) {
        return fail_usage(fail, "--box starts all nodes of its box: it goes without --node", "");
    }
    if (o->pattern != &sensor_pattern_manager || (o->proxies != NOT_SAID && o->proxies != 0)) {
        return fail_usage(fail, "only --pattern manager, without proxies, goes over two boxes", "");
    }
    if (o->box == SENSOR_ON_WORKERS && (!o->watch_any || o->json)) {
        return fail_usage(fail, "--watch and --json are for --box manager, which has the clients",
                          "");
    }
    if (o->box == SENSOR_ON_MANAGER
        && (o->file_count != 0 || o->live != NULL || o->workers != NOT_SAID
            || o->loggers != NOT_SAID || o->log_dir != NULL || o->rate != 0)) {
        return fail_usage(fail,
                          "captures, --workers, --loggers, --log-dir and --rate are for --box "
                          "workers",
                          "");
    }
    return 0;
}

static int
check_source(const struct sensor_options *o, struct sensor_fail *fail)
{
    bool is_reader = o->box != SENSOR_ON_MANAGER && (o->node == NULL || o->role == BB_ROLE_WORKER);
    bool has_source = o->file_count != 0 || o->live != NULL;

    if (o->file_count != 0 && o->live != NULL) {
        return fail_usage(fail, "--pcap and --live exclude each other", "");
    }
    if (!is_reader && has_source) {
        return sensor_fail(fail, SENSOR_EXIT_USAGE,
                           "a %s reads no capture: --pcap and --live are for workers; "
                           "`busbar-sensor --help` shows how it goes",
                           bb_role_name(o->role));
    }
    if (is_reader && !has_source) {
        return fail_usage(fail, "a capture is needed: --pcap FILE... or --live IFACE", "");
    }
    if (o->seconds != 0 && o->live == NULL) {
        return fail_usage(fail, "--seconds is for --live", "");
    }
    if (o->rate != 0 && o->file_count == 0) {
        return fail_usage(fail, "--rate is for --pcap", "");
    }
    return 0;
}

static int
check(struct sensor_options *o, struct sensor_fail *fail)
{
    if (check_box(o, fail) != 0 || check_counts(o, fail) != 0 || check_node(o, fail) != 0) {
        return -1;
    }
    return check_source(o, fail);
}

/* What getopt did not understand, in our words. */
static int
fail_getopt(int opt, int argc, char *const argv[], struct sensor_fail *fail)
{
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";

    return fail_usage(fail, opt == ':' ? "a value is missing after " : "unknown option ", word);
}

/* Files may follow --pcap as many as they are; anywhere else a bare word is a mistake. */
static int
parse_words(struct sensor_options *o, int argc, char *const argv[], struct sensor_fail *fail)
{
    bool in_files = false;
    int opt;

    optind = 0; /* glibc: begin anew */
    opterr = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((opt = getopt_long(argc, argv, "-:b:h", long_options, NULL)) != -1) {
        if (opt == ':' || opt == '?') {
            return fail_getopt(opt, argc, argv, fail);
        }
        if (opt == OPT_FILE) {
            if (!in_files) {
                return fail_usage(fail, "what is this: ", optarg);
            }
            opt = OPT_PCAP;
        }
        in_files = opt == OPT_PCAP;
        if (parse_option(o, opt, optarg, fail) != 0) {
            return -1;
        }
    }
    for (; optind < argc; optind++) { /* after "--" */
        o->files[o->file_count++] = argv[optind];
    }
    return 0;
}

int
sensor_options_parse(struct sensor_options *out,
                     int argc,
                     char *const argv[],
                     struct sensor_fail *fail)
{
    memset(out, 0, sizeof(*out));
    out->workers = NOT_SAID;
    out->proxies = NOT_SAID;
    out->loggers = NOT_SAID;
    out->pattern = &sensor_pattern_manager;
    out->watch_any = true;
    out->watch_text = "any";
    out->files = calloc((size_t)argc + 1, sizeof(*out->files));
    if (out->files == NULL) {
        return sensor_fail(fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    if (parse_words(out, argc, argv, fail) != 0) {
        return -1;
    }
    return out->help || out->version ? 0 : check(out, fail);
}

void
sensor_options_fini(struct sensor_options *opts)
{
    free(opts->files);
    opts->files = NULL;
    opts->file_count = 0;
}
