/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/options.c - one pass over the words.
 *
 * `argv` is rewritten in place: [arguments found so far][words already read][words to come].  An option
 * that takes a value and stands last, or has a value that does not read as its type, ends the pass with a
 * sentence; nothing is guessed.
 */
#include "tools/cli/options.h"

#include "tools/cli/read.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct pass {
    struct cli_parse *parse;
    int argc;
    char **argv;
    int next; /* index of the next word */
};

struct found {
    const struct cli_option *option;
    void *values;
};

static int
is_match(const struct cli_option *option, char letter, const char *name, size_t name_bytes)
{
    if (name == NULL) {
        return option->letter == letter;
    }
    return strlen(option->name) == name_bytes && memcmp(option->name, name, name_bytes) == 0;
}

static struct found
find(const struct cli_parse *parse, char letter, const char *name, size_t name_bytes)
{
    for (size_t i = 0; i < CLI_TABLES_MAX; i++) {
        const struct cli_option *option = parse->tables[i].options;
        for (; option != NULL && option->name != NULL; option++) {
            if (is_match(option, letter, name, name_bytes)) {
                return (struct found){option, parse->tables[i].values};
            }
        }
    }
    return (struct found){NULL, NULL};
}

static int
say_wrong(struct pass *pass, const struct cli_option *option, const char *needs, const char *text)
{
    snprintf(pass->parse->wrong, sizeof(pass->parse->wrong), "--%s takes %s, not \"%.80s\"",
             option->name, needs, text);
    return -1;
}

/* store - reads the text as the option's type into its place. */
static int
store(struct pass *pass, struct found found, const char *text)
{
    const struct cli_option *option = found.option;
    unsigned char *place = (unsigned char *)found.values + option->offset;
    int flag = 1;
    uint64_t count;
    double number;
    int64_t span_ns;

    switch (option->type) {
    case CLI_FLAG:
        memcpy(place, &flag, sizeof(flag));
        return 0;
    case CLI_TEXT:
        memcpy(place, &text, sizeof(text));
        return 0;
    case CLI_WORD:
        if (text[0] == '\0') {
            snprintf(pass->parse->wrong, sizeof(pass->parse->wrong),
                     "--%s needs a value, and got an empty one (a variable that is not set?): %s",
                     option->name, option->arg);
            return -1;
        }
        memcpy(place, &text, sizeof(text));
        return 0;
    case CLI_COUNT:
        if (cli_read_count(text, &count) != 0) {
            return say_wrong(pass, option, "a whole number", text);
        }
        memcpy(place, &count, sizeof(count));
        return 0;
    case CLI_NUMBER:
        if (cli_read_number(text, &number) != 0 || !(number > 0)) {
            return say_wrong(pass, option, "a number above zero", text);
        }
        memcpy(place, &number, sizeof(number));
        return 0;
    case CLI_SPAN:
        if (cli_read_seconds(text, &span_ns) != 0) {
            return say_wrong(pass, option, "a time such as 250ms, 5s or 1h", text);
        }
        memcpy(place, &span_ns, sizeof(span_ns));
        return 0;
    case CLI_LIFE:
        if (cli_read_life(text, &span_ns) != 0) {
            return say_wrong(pass, option, CLI_LIFE_NEEDS, text);
        }
        memcpy(place, &span_ns, sizeof(span_ns));
        return 0;
    }
    return -1;
}

/* read_value - the option's value: the rest of this word, or the next word. */
static int
read_value(struct pass *pass, struct found found, const char *rest)
{
    if (rest == NULL) {
        if (pass->next >= pass->argc) {
            snprintf(pass->parse->wrong, sizeof(pass->parse->wrong), "--%s needs a value: %s",
                     found.option->name, found.option->arg);
            return -1;
        }
        rest = pass->argv[pass->next++];
    }
    return store(pass, found, rest);
}

static int
read_long(struct pass *pass, const char *word)
{
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t name_bytes = equals != NULL ? (size_t)(equals - name) : strlen(name);
    struct found found = find(pass->parse, 0, name, name_bytes);

    if (found.option == NULL) {
        snprintf(pass->parse->wrong, sizeof(pass->parse->wrong), "there is no option \"%.80s\"",
                 word);
        return -1;
    }
    if (found.option->type == CLI_FLAG) {
        if (equals != NULL) {
            snprintf(pass->parse->wrong, sizeof(pass->parse->wrong), "--%s takes no value",
                     found.option->name);
            return -1;
        }
        return store(pass, found, NULL);
    }
    return read_value(pass, found, equals != NULL ? equals + 1 : NULL);
}

static int
read_letters(struct pass *pass, const char *word)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        struct found found = find(pass->parse, *letter, NULL, 0);
        if (found.option == NULL) {
            snprintf(pass->parse->wrong, sizeof(pass->parse->wrong), "there is no option \"-%c\"",
                     *letter);
            return -1;
        }
        if (found.option->type != CLI_FLAG) {
            return read_value(pass, found, letter[1] != '\0' ? letter + 1 : NULL);
        }
        if (store(pass, found, NULL) != 0) {
            return -1;
        }
    }
    return 0;
}

/* is_option - a word with a dash that is neither `-` alone nor a negative number. */
static int
is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9')
           && word[1] != '.';
}

int
cli_options_parse(struct cli_parse *parse, int argc, char **argv)
{
    struct pass pass = {.parse = parse, .argc = argc, .argv = argv};
    int arguments = 0;
    int ended = 0;

    while (pass.next < argc) {
        char *word = argv[pass.next];
        if (ended || !is_option(word)) {
            if (parse->stop_at_argument) {
                return pass.next;
            }
            argv[arguments++] = word;
            pass.next++;
            continue;
        }
        pass.next++;
        if (strcmp(word, "--") == 0) {
            ended = 1;
        } else if ((word[1] == '-' ? read_long(&pass, word) : read_letters(&pass, word)) != 0) {
            return -1;
        }
    }
    return parse->stop_at_argument ? pass.next : arguments;
}
