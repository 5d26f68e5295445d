/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flags are the keys of a file, each a word of the command line, and the few that only a command line has.
 */
#include "tools/daemon/options.h"

#include "tools/daemon/words.h"
#include <string.h>

enum own { OWN_CONFIG, OWN_CHECK, OWN_PROBE, OWN_VERBOSE, OWN_QUIET, OWN_HELP, OWN_VERSION };

static const struct own_flag {
    const char *name;
    char letter;
    enum own which;
    const char *arg;
    const char *help;
} own_flags[] = {
    {"config", 0, OWN_CONFIG, "FILE",
     "read this file too; flags stand above it; SIGHUP reads it again"},
    {"check", 0, OWN_CHECK, NULL, "read all files, say what would be done, and end"},
    {"probe", 0, OWN_PROBE, NULL, "say which engine `auto` takes here, and why, and end"},
    {"verbose", 'v', OWN_VERBOSE, NULL, "say more"},
    {"quiet", 'q', OWN_QUIET, NULL, "say only warnings and errors"},
    {"help", 'h', OWN_HELP, NULL, "print this"},
    {"version", 0, OWN_VERSION, NULL, "print the version"},
};
enum { OWN_COUNT = sizeof(own_flags) / sizeof(own_flags[0]), NAMES_MAX = 40 };

struct pass {
    struct daemon_options *out;
    struct daemon_wrong *wrong;
    char **argv;
    int argc;
    int next; /* index of the next word */
};

/* no_such - the sentence for a flag that there is none of, with the nearest that there is. */
static int
no_such(struct pass *pass, const char *word, const char *name)
{
    const char *names[NAMES_MAX] = {NULL};
    size_t count = 0;
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        names[count++] = key->name;
    }
    for (size_t i = 0; i < OWN_COUNT; i++) {
        names[count++] = own_flags[i].name;
    }
    const char *nearest = daemon_nearest(name, names);
    if (nearest == NULL) {
        return daemon_wrong_set(pass->wrong, "there is no flag %.80s", word);
    }
    return daemon_wrong_set(pass->wrong, "there is no flag %.80s; did you mean --%s?", word,
                            nearest);
}

/* take_value - what stands behind = or in the next word; NULL when nothing does. */
static const char *
take_value(struct pass *pass, const char *behind)
{
    if (behind != NULL) {
        return behind;
    }
    return pass->next < pass->argc ? pass->argv[pass->next++] : NULL;
}

static int
read_own(struct pass *pass, const struct own_flag *flag, const char *value)
{
    struct daemon_options *out = pass->out;
    switch (flag->which) {
    case OWN_CONFIG:
        if (out->config != NULL || value[0] == '\0') {
            return daemon_wrong_set(pass->wrong, "--config takes one file");
        }
        out->config = value;
        break;
    case OWN_CHECK:
        out->is_check = true;
        break;
    case OWN_PROBE:
        out->is_probe = true;
        break;
    case OWN_VERBOSE:
        out->verbosity = 1;
        break;
    case OWN_QUIET:
        out->verbosity = -1;
        break;
    case OWN_HELP:
        out->is_help = true;
        break;
    case OWN_VERSION:
        out->is_version = true;
        break;
    }
    return 0;
}

static int
read_key(struct pass *pass, const struct daemon_key *key, const char *value)
{
    struct daemon_wrong wrong;
    if (daemon_settings_set(&pass->out->settings, key, value, NULL, &wrong) != 0) {
        return daemon_wrong_set(pass->wrong, "--%s: %.400s", key->name, wrong.text);
    }
    return 0;
}

/* read_flag - one that was found, a key or our own; behind: what stands behind =, or NULL. */
static int
read_flag(struct pass *pass,
          const struct daemon_key *key,
          const struct own_flag *own,
          const char *behind)
{
    const char *name = key != NULL ? key->name : own->name;
    const char *arg = key != NULL ? key->arg : own->arg;
    if (arg == NULL) {
        if (behind != NULL) {
            return daemon_wrong_set(pass->wrong, "--%s takes no value", name);
        }
        return key != NULL ? read_key(pass, key, "yes") : read_own(pass, own, "");
    }
    const char *value = take_value(pass, behind);
    if (value == NULL) {
        return daemon_wrong_set(pass->wrong, "--%s needs a value: %s", name, arg);
    }
    return key != NULL ? read_key(pass, key, value) : read_own(pass, own, value);
}

static int
read_long(struct pass *pass, const char *word)
{
    char name[32];
    const char *equals = strchr(word, '=');
    size_t bytes = equals != NULL ? (size_t)(equals - word - 2) : strlen(word + 2);
    if (bytes >= sizeof(name)) {
        return daemon_wrong_set(pass->wrong, "there is no flag %.80s", word);
    }
    memcpy(name, word + 2, bytes);
    name[bytes] = '\0';
    const char *behind = equals != NULL ? equals + 1 : NULL;
    const struct daemon_key *key = daemon_key_find(name);
    if (key != NULL) {
        return read_flag(pass, key, NULL, behind);
    }
    for (size_t i = 0; i < OWN_COUNT; i++) {
        if (strcmp(own_flags[i].name, name) == 0) {
            return read_flag(pass, NULL, &own_flags[i], behind);
        }
    }
    return no_such(pass, word, name);
}

static int
read_short(struct pass *pass, const char *word)
{
    const struct daemon_key *bus = daemon_key_find("bus");
    if (bus != NULL && word[1] == 'b') {
        return read_flag(pass, bus, NULL, word[2] != '\0' ? word + 2 : NULL);
    }
    for (size_t i = 0; i < OWN_COUNT; i++) {
        if (own_flags[i].letter == word[1] && word[2] == '\0') {
            return read_flag(pass, NULL, &own_flags[i], NULL);
        }
    }
    return daemon_wrong_set(pass->wrong, "there is no flag %.80s", word);
}

int
daemon_options_read(struct daemon_options *out, int argc, char **argv, struct daemon_wrong *wrong)
{
    struct pass pass = {.out = out, .wrong = wrong, .argv = argv, .argc = argc, .next = 1};
    int rc = 0;
    *out = (struct daemon_options){.config = NULL};
    daemon_settings_init(&out->settings);
    while (rc == 0 && pass.next < argc) {
        const char *word = argv[pass.next++];
        if (word[0] != '-' || word[1] == '\0') {
            return daemon_wrong_set(wrong, "\"%.80s\" is no flag, and busbard takes nothing else",
                                    word);
        }
        rc = word[1] == '-' ? read_long(&pass, word) : read_short(&pass, word);
    }
    return rc;
}

static void
help_line(FILE *to, const char *name, const char *arg, const char *help)
{
    char flag[64];
    (void)snprintf(flag, sizeof(flag), "--%s%s%s", name, arg != NULL ? " " : "",
                   arg != NULL ? arg : "");
    (void)fprintf(to, "  %-26s %s\n", flag, help);
}

void
daemon_options_help(FILE *to)
{
    (void)fputs("usage: busbard [--bus NAME] [--listen HOST:PORT]... [--peer [NAME@]HOST:PORT]... "
                "[flag]...\n"
                "Links this box's bus to others.  Flags:\n",
                to);
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        help_line(to, key->name, key->arg, key->help);
    }
    for (size_t i = 0; i < OWN_COUNT; i++) {
        help_line(to, own_flags[i].name, own_flags[i].arg, own_flags[i].help);
    }
    (void)fputs("With none of --cert, --psk and --insecure a link is for this user's own boxes on "
                "loopback, by the\n"
                "key .key in the directory of buses.  busbard(8) says more.\n",
                to);
}
