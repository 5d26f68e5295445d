/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/options.c - long options by getopt; a list is words with commas between.
 */
#include "bench/options.h"

#include "bench/series.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_SIZE = 256,
    OPT_BATCH,
    OPT_SECONDS,
    OPT_REPEAT,
    OPT_PATIENCE,
    OPT_LINE,
    OPT_PIN,
    OPT_NO_PIN,
    OPT_RELIABLE,
    OPT_LOSSY,
    OPT_LOAN,
    OPT_COPY,
    OPT_JSON,
    OPT_CSV,
    OPT_HGRM,
    OPT_PEER,
    OPT_RAW,
    OPT_NO_RAW,
    OPT_RATE,
    OPT_TOPICS,
    OPT_KEYS,
    OPT_PUBLISHERS,
    OPT_SUBSCRIBERS,
    OPT_ACTIVE,
    OPT_RING_BYTES,
    OPT_RING_DEPTH,
    OPT_FENCE,
    OPT_COARSE,
    OPT_SINGLE,
    OPT_WAIT,
    OPT_DATA,
    OPT_ENGINE,
    OPT_TLS,
    OPT_PLAIN,
    OPT_HELP,
};

static const struct option table[] = {
    {"size", required_argument, NULL, OPT_SIZE},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"repeat", required_argument, NULL, OPT_REPEAT},
    {"patience", required_argument, NULL, OPT_PATIENCE},
    {"line", required_argument, NULL, OPT_LINE},
    {"pin", optional_argument, NULL, OPT_PIN},
    {"no-pin", no_argument, NULL, OPT_NO_PIN},
    {"reliable", no_argument, NULL, OPT_RELIABLE},
    {"lossy", no_argument, NULL, OPT_LOSSY},
    {"loan", no_argument, NULL, OPT_LOAN},
    {"copy", no_argument, NULL, OPT_COPY},
    {"json", no_argument, NULL, OPT_JSON},
    {"csv", no_argument, NULL, OPT_CSV},
    {"hgrm", optional_argument, NULL, OPT_HGRM},
    {"peer", required_argument, NULL, OPT_PEER},
    {"raw", no_argument, NULL, OPT_RAW},
    {"no-raw", no_argument, NULL, OPT_NO_RAW},
    {"rate", required_argument, NULL, OPT_RATE},
    {"topics", required_argument, NULL, OPT_TOPICS},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"publishers", required_argument, NULL, OPT_PUBLISHERS},
    {"subscribers", required_argument, NULL, OPT_SUBSCRIBERS},
    {"active", required_argument, NULL, OPT_ACTIVE},
    {"ring-bytes", required_argument, NULL, OPT_RING_BYTES},
    {"ring-depth", required_argument, NULL, OPT_RING_DEPTH},
    {"fence", no_argument, NULL, OPT_FENCE},
    {"coarse", no_argument, NULL, OPT_COARSE},
    {"single", no_argument, NULL, OPT_SINGLE},
    {"wait", required_argument, NULL, OPT_WAIT},
    {"data", required_argument, NULL, OPT_DATA},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"tls", no_argument, NULL, OPT_TLS},
    {"plain", no_argument, NULL, OPT_PLAIN},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

void
bench_options_help(FILE *out)
{
    (void)fputs(
        "usage: busbar-bench [options] CASE...      CASE: `all`, or some of `busbar-bench list`\n"
        "\n"
        "What is measured\n"
        "  --size N[,N...]      payload bytes, multiples of 8 from 16 on, K and M for units (64)\n"
        "  --batch N            messages from one flush to the next (8)\n"
        "                       stores: commands of a frame or a pipeline's write (100), reads of "
        "a view (16)\n"
        "  --reliable | --lossy the publisher waits for slow subscribers, or they lose (reliable)\n"
        "  --loan | --copy      build and read in place, or copy on both sides (loan)\n"
        "  --wait HOW           spin, sleep or hybrid: how a subscriber waits (the case's own)\n"
        "  --rate N             messages a second, for open-loop and slow-reader (100000)\n"
        "  --publishers N, --subscribers N, --topics N, --active N   instead of the case's own\n"
        "  --keys N             of a store (the case's own)\n"
        "  --ring-bytes N, --ring-depth N   of busbar's and raw's rings (their defaults)\n"
        "  --fence              busbar: the publisher orders by a fence, not by membarrier\n"
        "  --coarse             busbar: time stamps from the coarse clock\n"
        "  --single             busbar: a loan for each message, not for each batch, and polls of\n"
        "                       messages instead of bursts\n"
        "  --data FILE          record-mix: a log, one JSON object a line, .gz or plain\n"
        "  --engine E           bridge-*: only links by io_uring, or by epoll (both)\n"
        "  --tls | --plain      bridge-*: only encrypted links, or only plain ones (both)\n"
        "Who is measured, round robin\n"
        "  --peer NAME[,NAME]   `list` shows them, `all` takes all (busbar)\n"
        "  --raw | --no-raw     a bare ring beside them (raw)\n"
        "How\n"
        "  --seconds S          of one measurement (0.5)\n"
        "  --repeat N           measurements of each figure, at most 64 (5)\n"
        "  --patience N         tries more, when other processes used the cores (2)\n"
        "  --line MIN-MAX       tries more also when a cache line takes less or more nanoseconds "
        "to go from\n"
        "                       core to core and back: virtual cores are now near and now far\n"
        "  --pin[=on|off|same|CPU,CPU...]   processes to cores (on with two cores or more)\n"
        "  --no-pin             as --pin=off\n"
        "Output: a table, or\n"
        "  --json               a line of JSON for each case and peer\n"
        "  --csv                the same, separated by commas\n"
        "  --hgrm[=DIR]         latencies in HdrHistogram's percentile format, in files of DIR\n"
        "\n"
        "Exit status: 0; 1 something was torn, disordered, lost without leave, or hung; 2 usage.\n",
        out);
}

/* A whole number with K, M or G behind it. */
static int
read_count(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    if (!isdigit((unsigned char)text[0])) {
        end = NULL;
    } else if (*end != '\0') {
        const char *units = "KMG", *unit = strchr(units, toupper((unsigned char)*end));
        int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
        if (unit == NULL || end[1] != '\0' || v > UINT64_MAX >> shift) {
            end = NULL;
        } else {
            v <<= shift;
        }
    }
    if (end == NULL || errno != 0 || v < min || v > max) {
        (void)fprintf(stderr, "busbar-bench: --%s %s: give a number from %llu to %llu.\n", name,
                      text, (unsigned long long)min, (unsigned long long)max);
        return -1;
    }
    *out = v;
    return 0;
}

static int
read_unsigned(const char *name, const char *text, uint64_t max, unsigned *out)
{
    uint64_t v = 0;
    int rc = read_count(name, text, 1, max, &v);
    *out = (unsigned)v;
    return rc;
}

static int
read_real(const char *name, const char *text, double min, double max, double *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= min && v <= max)) {
        (void)fprintf(stderr, "busbar-bench: --%s %s: give a number from %g to %g.\n", name, text,
                      min, max);
        return -1;
    }
    *out = v;
    return 0;
}

/* ---- lists ------------------------------------------------------------------------------------- */

/* The words stay where they are for as long as the program runs; argv stays as others see it. */
static int
each_word(struct bench_options *o,
          const char *name,
          const char *list,
          int (*take)(struct bench_options *o, const char *name, const char *word))
{
    char *rest = NULL, *copy = strdup(list);
    if (copy == NULL) {
        perror("busbar-bench");
        return -1;
    }
    for (char *w = strtok_r(copy, ",", &rest); w != NULL; w = strtok_r(NULL, ",", &rest)) {
        if (take(o, name, w) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
too_many(const char *name)
{
    (void)fprintf(stderr, "busbar-bench: --%s: at most %d at once.\n", name, BENCH_LIST_MAX);
    return -1;
}

static int
take_size(struct bench_options *o, const char *name, const char *word)
{
    uint64_t v;
    if (o->size_count == BENCH_LIST_MAX) {
        return too_many(name);
    }
    if (read_count(name, word, BENCH_MIN_SIZE, UINT64_C(1) << 26, &v) < 0) {
        return -1;
    }
    if (v % 8 != 0) {
        (void)fprintf(stderr, "busbar-bench: --size %s: give a multiple of 8.\n", word);
        return -1;
    }
    o->sizes[o->size_count++] = v;
    return 0;
}

static int
take_peer(struct bench_options *o, const char *name, const char *word)
{
    if (strcmp(word, "list") == 0) {
        o->wants_peers = true;
        return 0;
    }
    bool found = strcmp(word, "all") == 0;
    for (size_t i = 0; bench_drivers[i] != NULL; i++) {
        found = found || strcmp(word, bench_drivers[i]->name) == 0;
    }
    if (!found) {
        (void)fprintf(
            stderr,
            "busbar-bench: there is no peer `%s` in this build; `--peer list` shows them.\n", word);
        return -1;
    }
    if (o->peer_count == BENCH_LIST_MAX) {
        return too_many(name);
    }
    o->peers[o->peer_count++] = word;
    return 0;
}

static int
take_cpu(struct bench_options *o, const char *name, const char *word)
{
    uint64_t v;
    cpu_set_t set;
    if (o->cpu_count == BENCH_LIST_MAX) {
        return too_many(name);
    }
    if (read_count(name, word, 0, CPU_SETSIZE - 1, &v) < 0) {
        return -1;
    }
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && !CPU_ISSET(v, &set)) {
        (void)fprintf(stderr, "busbar-bench: --pin %s: this process may not run there.\n", word);
        return -1;
    }
    o->cpus[o->cpu_count++] = (int)v;
    return 0;
}

static int
read_pin(struct bench_options *o, const char *value)
{
    static const char *const words[] = {NULL, "on", "off", "same"};
    o->pinning = BENCH_PIN_ON;
    o->cpu_count = 0;
    if (value == NULL) {
        return 0;
    }
    for (unsigned i = 1; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i]) == 0) {
            o->pinning = (enum bench_pinning)i;
            return 0;
        }
    }
    return each_word(o, "pin", value, take_cpu);
}

static int
read_wait(struct bench_options *o, const char *value)
{
    static const char *const words[] = {"spin", "sleep", "hybrid"};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i]) == 0) {
            o->wait = (enum bench_wait)i;
            o->has_wait = true;
            return 0;
        }
    }
    (void)fprintf(stderr, "busbar-bench: --wait %s: give spin, sleep or hybrid.\n", value);
    return -1;
}

static int
read_engine(struct bench_options *o, const char *value)
{
    if (strcmp(value, "io_uring") != 0 && strcmp(value, "epoll") != 0) {
        (void)fprintf(stderr, "busbar-bench: --engine %s: give io_uring or epoll.\n", value);
        return -1;
    }
    o->engine = value;
    return 0;
}

static int
read_line(struct bench_options *o, const char *value)
{
    char *end = NULL, *last = NULL;
    double min = strtod(value, &end), max = *end == '-' ? strtod(end + 1, &last) : 0;
    if (end == value || last == NULL || last == end + 1 || *last != '\0'
        || !(min >= 0 && max > min)) {
        (void)fprintf(
            stderr, "busbar-bench: --line %s: give two numbers of nanoseconds, as 0-200.\n", value);
        return -1;
    }
    o->line_min_ns = min;
    o->line_max_ns = max;
    return 0;
}

static bool
is_pin_value(const char *word)
{
    return strcmp(word, "on") == 0 || strcmp(word, "off") == 0 || strcmp(word, "same") == 0
           || (word[0] != '\0' && strspn(word, "0123456789,") == strlen(word));
}

/* ---- one option -------------------------------------------------------------------------------- */

static int
read_number(struct bench_options *o, int opt, const char *name, const char *v)
{
    uint64_t n;
    switch (opt) {
    case OPT_KEYS:
        return read_count(name, v, 1, UINT64_C(1) << 26, &o->keys);
    case OPT_BATCH:
        o->has_batch = true;
        return read_unsigned(name, v, 1 << 20, &o->batch);
    case OPT_SECONDS:
        return read_real(name, v, 0.001, 600, &o->seconds);
    case OPT_REPEAT:
        return read_unsigned(name, v, BENCH_REPEAT_MAX, &o->repeat);
    case OPT_PATIENCE:
        if (read_count(name, v, 0, 100, &n) < 0) {
            return -1;
        }
        o->patience = (unsigned)n;
        return 0;
    case OPT_RATE:
        return read_real(name, v, 1, 1e9, &o->rate);
    case OPT_TOPICS:
        return read_unsigned(name, v, 1 << 20, &o->topics);
    case OPT_PUBLISHERS:
        return read_unsigned(name, v, BENCH_PUBLISHERS, &o->publishers);
    case OPT_SUBSCRIBERS:
        return read_unsigned(name, v, BENCH_SUBSCRIBERS, &o->subscribers);
    case OPT_ACTIVE:
        return read_unsigned(name, v, BENCH_PUBLISHERS, &o->active);
    case OPT_RING_BYTES:
        return read_count(name, v, 4096, UINT64_C(1) << 40, &o->ring_bytes);
    default: /* OPT_RING_DEPTH */
        if (read_count(name, v, 16, UINT64_C(1) << 28, &n) < 0) {
            return -1;
        }
        o->ring_depth = (uint32_t)n;
        return 0;
    }
}

static int
read_switch(struct bench_options *o, int opt)
{
    switch (opt) {
    case OPT_NO_PIN:
        o->pinning = BENCH_PIN_OFF;
        return 0;
    case OPT_RELIABLE:
    case OPT_LOSSY:
        o->is_lossy = opt == OPT_LOSSY;
        return 0;
    case OPT_LOAN:
    case OPT_COPY:
        o->is_copying = opt == OPT_COPY;
        return 0;
    case OPT_JSON:
        o->format = BENCH_JSON;
        return 0;
    case OPT_CSV:
        o->format = BENCH_CSV;
        return 0;
    case OPT_RAW:
    case OPT_NO_RAW:
        o->without_raw = opt == OPT_NO_RAW;
        return 0;
    case OPT_FENCE:
        o->is_fenced = true;
        return 0;
    case OPT_COARSE:
        o->is_coarse = true;
        return 0;
    case OPT_SINGLE:
        o->is_single = true;
        return 0;
    case OPT_TLS:
    case OPT_PLAIN:
        o->has_tls = true;
        o->is_tls = opt == OPT_TLS;
        return 0;
    case OPT_HELP:
        o->wants_help = true;
        return 0;
    default:
        return -1;
    }
}

static int
read_one(struct bench_options *o, int opt, const char *name, const char *value)
{
    switch (opt) {
    case OPT_SIZE:
        return each_word(o, name, value, take_size);
    case OPT_PEER:
        return each_word(o, name, value, take_peer);
    case OPT_PIN:
        return read_pin(o, value);
    case OPT_LINE:
        return read_line(o, value);
    case OPT_WAIT:
        return read_wait(o, value);
    case OPT_ENGINE:
        return read_engine(o, value);
    case OPT_DATA:
        o->data = value;
        return 0;
    case OPT_HGRM:
        o->format = BENCH_HGRM;
        o->hgrm_dir = value;
        return 0;
    default:
        return value != NULL ? read_number(o, opt, name, value) : read_switch(o, opt);
    }
}

/* ---- all --------------------------------------------------------------------------------------- */

static void
find_cpus(struct bench_options *o)
{
    cpu_set_t set;
    if (o->cpu_count == 0 && sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (int i = 0; i < CPU_SETSIZE && o->cpu_count < BENCH_LIST_MAX; i++) {
            if (CPU_ISSET((size_t)i, &set)) {
                o->cpus[o->cpu_count++] = i;
            }
        }
    }
    if (o->pinning == BENCH_PIN_AUTO) {
        o->pinning = o->cpu_count >= 2 ? BENCH_PIN_ON : BENCH_PIN_OFF;
    }
}

static int
settle(struct bench_options *o)
{
    find_cpus(o);
    if (o->size_count == 0) {
        o->sizes[o->size_count++] = 64;
    }
    if (o->peer_count == 0) {
        o->peers[o->peer_count++] = "busbar";
    }
    if (o->case_count == 0 && !o->wants_help && !o->wants_peers) {
        (void)fputs(
            "busbar-bench: which case?  `busbar-bench list` shows them, --help the options.\n",
            stderr);
        return -1;
    }
    return 0;
}

static int
complain(int opt, char **argv)
{
    const char *word = argv[optind - 1];
    (void)fprintf(stderr, "busbar-bench: %s: %s; --help shows the options.\n", word,
                  opt == ':' ? "a value is missing" : "there is no such option");
    return -1;
}

int
bench_options_read(struct bench_options *o, int argc, char **argv)
{
    *o = (struct bench_options){.batch = 8, .seconds = 0.5, .repeat = 5, .patience = 2};
    opterr = 0;
    for (;;) {
        int index = 0;
        /* `-`: arguments come in their place, so that options may follow cases. */
        int opt = getopt_long(argc, argv, "-:h", table, &index);
        if (opt == -1) {
            break;
        }
        if (opt == 1) {
            if (o->case_count == BENCH_LIST_MAX) {
                return too_many("case");
            }
            o->cases[o->case_count++] = optarg;
            continue;
        }
        if (opt == '?' || opt == ':') {
            return complain(opt, argv);
        }
        if (opt == 'h') {
            o->wants_help = true;
            continue;
        }
        const char *value = optarg;
        if (opt == OPT_PIN && value == NULL && optind < argc && is_pin_value(argv[optind])) {
            value = argv[optind++];
        }
        if (read_one(o, opt, table[index].name, value) < 0) {
            return -1;
        }
    }
    for (; optind < argc; optind++) { /* behind `--` */
        if (o->case_count == BENCH_LIST_MAX) {
            return too_many("case");
        }
        o->cases[o->case_count++] = argv[optind];
    }
    return settle(o);
}
