/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules are sorted by their prefix when they are read.  In that order the prefixes of a string stand before it, each a
 * prefix of the next, so a trie is an array in which each entry knows the longest one that begins it:
 *
 *   entries   ""   "/a"   "/a/b"   "/a/c"   "/d"          topic "/a/bz": the last entry not after it is "/a/b",
 *   parent     -    0       1        1       0            from there upwards until one begins it
 *
 * Invariants   An entry's verdicts hold what it inherits: the entry that is found answers, without going on upwards.
 *              A reserved entry inherits from reserved ones only.
 */
#include "lib/bridge/rights.h"
#include <busbar/topic.h>
#include <stdio.h>
#include <string.h>

enum {
    VERDICT_NONE = 0,
    VERDICT_ALLOW = 1,
    VERDICT_DENY = 2,
    NO_PARENT = -1,
    RANK_WHOLE_NAME = 1 << 16
};

struct rule {
    const char *peer;  /* not NUL-terminated */
    const char *topic; /* likewise */
    uint32_t peer_bytes;
    uint32_t topic_bytes;
    uint8_t actions; /* bit 1 << enum bbi_right */
    uint8_t verdict;
    bool is_beginning; /* of names */
};

struct bbi_rights {
    uint32_t count;
    struct rule rules[]; /* by topic, then in no order; after them the bytes they point to */
};

struct entry {
    const char *topic;
    uint32_t topic_bytes;
    int32_t parent;
    uint8_t verdict[BBI_RIGHTS];
    bool is_reserved;
};

struct bbi_rights_view {
    uint64_t denied[BBI_RIGHTS];
    uint32_t count;
    bool is_allowed_by_default;
    struct entry entries[];
};

static const char *const NAMES[BBI_RIGHTS] = {"publish", "subscribe", "store-read", "store-write",
                                              "route"};

const char *
bbi_right_name(enum bbi_right right)
{
    return NAMES[right];
}

/* ---- order ---- */

static int
compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t both = bbi_min_u64(a_bytes, b_bytes);
    int order = both != 0 ? memcmp(a, b, both) : 0;
    return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static bool
begins(const char *prefix, size_t prefix_bytes, const char *s, size_t bytes)
{
    return prefix_bytes <= bytes && (prefix_bytes == 0 || memcmp(prefix, s, prefix_bytes) == 0);
}

static bool
is_after(const struct rule *a, const struct rule *b)
{
    return compare(a->topic, a->topic_bytes, b->topic, b->topic_bytes) > 0;
}

static void
swap(struct rule *a, struct rule *b)
{
    struct rule was = *a;
    *a = *b;
    *b = was;
}

static void
sift(struct rule *rules, size_t at, size_t count)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        child += child + 1 < count && is_after(&rules[child + 1], &rules[child]);
        if (!is_after(&rules[child], &rules[at])) {
            return;
        }
        swap(&rules[child], &rules[at]);
        at = child;
    }
}

/* Of the C library's, qsort() may allocate. */
static void
heap_sort(struct rule *rules, size_t count)
{
    for (size_t i = count / 2; i > 0; i--) {
        sift(rules, i - 1, count);
    }
    for (size_t left = count; left > 1; left--) {
        swap(&rules[0], &rules[left - 1]);
        sift(rules, 0, left - 1);
    }
}

/* ---- reading ---- */

struct reader {
    const char *p;
    const char *end; /* of the line */
    char *store;     /* where bytes that rules point to go */
    const char *why; /* what is wrong */
};

static void
skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t')) {
        r->p++;
    }
}

/* A word up to a blank; 0 bytes: none left, or a remark. */
static size_t
next_word(struct reader *r, const char **out)
{
    skip_blanks(r);
    *out = r->p;
    if (r->p < r->end && *r->p == '#') {
        return 0;
    }
    while (r->p < r->end && *r->p != ' ' && *r->p != '\t') {
        r->p++;
    }
    return (size_t)(r->p - *out);
}

static bool
is_word(const char *word, size_t bytes, const char *wanted)
{
    return bytes == strlen(wanted) && memcmp(word, wanted, bytes) == 0;
}

static const char *
keep(struct reader *r, const char *bytes, size_t count)
{
    char *kept = r->store;
    if (count != 0) {
        memcpy(kept, bytes, count);
    }
    r->store += count;
    return kept;
}

static bool
read_verdict(struct reader *r, struct rule *rule)
{
    const char *word;
    size_t n = next_word(r, &word);
    rule->verdict = is_word(word, n, "allow")  ? VERDICT_ALLOW
                    : is_word(word, n, "deny") ? VERDICT_DENY
                                               : VERDICT_NONE;
    r->why = "a rule begins with allow or deny";
    return rule->verdict != VERDICT_NONE;
}

static bool
read_peer(struct reader *r, struct rule *rule)
{
    const char *word;
    size_t n = next_word(r, &word);
    r->why = "a peer's name follows, or the beginning of one and *";
    if (n == 0) {
        return false;
    }
    rule->is_beginning = word[n - 1] == '*';
    rule->peer_bytes = (uint32_t)n - rule->is_beginning;
    r->why = "the peer's name is longer than 255 bytes";
    if (rule->peer_bytes > BBI_RIGHTS_NAME_MAX) {
        return false;
    }
    r->why = "a peer's name is of printable ASCII, and * stands at its end only";
    for (size_t i = 0; i < rule->peer_bytes; i++) {
        if (word[i] <= 0x20 || word[i] >= 0x7f || word[i] == '*' || word[i] == '"') {
            return false;
        }
    }
    rule->peer = keep(r, word, rule->peer_bytes);
    return true;
}

static uint8_t
action_bit(const char *word, size_t bytes)
{
    for (unsigned i = 0; i < BBI_RIGHTS; i++) {
        if (is_word(word, bytes, NAMES[i])) {
            return (uint8_t)(1u << i);
        }
    }
    return 0;
}

static bool
read_actions(struct reader *r, struct rule *rule)
{
    const char *word;
    size_t n = next_word(r, &word);
    const char *end = word + n;
    r->why = "publish, subscribe, store-read, store-write or route follows, or several with commas "
             "and no blank "
             "between";
    while (word <= end && n != 0) {
        const char *comma = memchr(word, ',', (size_t)(end - word));
        const char *stop = comma != NULL ? comma : end;
        uint8_t bit = action_bit(word, (size_t)(stop - word));
        if (bit == 0) {
            return false;
        }
        rule->actions |= bit;
        word = stop + 1;
    }
    return n != 0;
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash: the byte, or -1. */
static int
read_escape(struct reader *r)
{
    if (r->p < r->end && (*r->p == '"' || *r->p == '\\')) {
        return *r->p++;
    }
    if (r->end - r->p >= 3 && *r->p == 'x' && hex(r->p[1]) >= 0 && hex(r->p[2]) >= 0) {
        int byte = hex(r->p[1]) << 4 | hex(r->p[2]);
        r->p += 3;
        return byte;
    }
    return -1;
}

static bool
read_quoted(struct reader *r, struct rule *rule)
{
    rule->topic = r->store;
    r->p++;
    while (r->p < r->end && *r->p != '"') {
        int byte = (unsigned char)*r->p++;
        if (byte == '\\') {
            byte = read_escape(r);
        }
        r->why =
            "in quotes, a backslash stands before \" or \\ or xHH (two small hexadecimal digits)";
        if (byte < 0) {
            return false;
        }
        *r->store++ = (char)byte;
    }
    rule->topic_bytes = (uint32_t)(r->store - rule->topic);
    r->why = "the quote of the topic prefix does not end, or something stands right behind it";
    if (r->p == r->end) {
        return false;
    }
    r->p++;
    return r->p == r->end || *r->p == ' ' || *r->p == '\t';
}

static bool
read_topic(struct reader *r, struct rule *rule)
{
    const char *word;
    skip_blanks(r);
    if (r->p < r->end && *r->p == '"') {
        return read_quoted(r, rule);
    }
    size_t n = next_word(r, &word);
    r->why = "a topic prefix follows; \"\" is that of all topics";
    if (n == 0) {
        return false;
    }
    r->why = "quote a topic prefix that holds \" or \\";
    if (memchr(word, '"', n) != NULL || memchr(word, '\\', n) != NULL) {
        return false;
    }
    rule->topic = keep(r, word, n);
    rule->topic_bytes = (uint32_t)n;
    return true;
}

/* 1 a rule, 0 an empty line, -1 wrong. */
static int
read_line(struct reader *r, struct rule *rule)
{
    const char *word;
    struct reader ahead = *r;
    memset(rule, 0, sizeof(*rule));
    if (next_word(&ahead, &word) == 0) {
        return 0;
    }
    r->why = "a control character stands in it; write it as \\xHH in quotes";
    for (const char *c = r->p; c < r->end; c++) {
        if ((unsigned char)*c < 0x20 && *c != '\t') {
            return -1;
        }
    }
    if (!read_verdict(r, rule) || !read_peer(r, rule) || !read_actions(r, rule)
        || !read_topic(r, rule)) {
        return -1;
    }
    r->why = "something follows after the topic prefix; quote a prefix that holds blanks";
    if (next_word(r, &word) != 0) {
        return -1;
    }
    r->why = "the topic prefix is longer than any topic";
    return rule->topic_bytes <= BB_TOPIC_MAX ? 1 : -1;
}

static uint32_t
count_lines(const char *text, size_t bytes)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < bytes; i++) {
        lines += text[i] == '\n';
    }
    return lines;
}

size_t
bbi_rights_footprint(const char *text, size_t bytes)
{
    if (bytes > BBI_RIGHTS_TEXT_MAX) {
        return 0;
    }
    return sizeof(struct bbi_rights) + count_lines(text, bytes) * sizeof(struct rule) + bytes;
}

int
bbi_rights_new(struct bbi_rights **out,
               void *mem,
               const char *text,
               size_t bytes,
               const char *name,
               struct bbi_fault *f)
{
    struct bbi_rights *rights = mem;
    uint32_t lines = count_lines(text, bytes);
    struct reader r = {.p = text, .store = (char *)&rights->rules[lines]};
    const char *end = text + bytes;
    rights->count = 0;
    for (uint32_t line = 1; line <= lines; line++) {
        const char *stop = r.p < end ? memchr(r.p, '\n', (size_t)(end - r.p)) : NULL;
        const char *next = stop != NULL ? stop + 1 : end;
        r.end = stop != NULL ? stop : end;
        r.end -= r.end > r.p && r.end[-1] == '\r';
        int what = read_line(&r, &rights->rules[rights->count]);
        if (what < 0) {
            return bbi_fault_set(f, BB_EINVAL, name, "%s, line %u: %s", name, line, r.why);
        }
        rights->count += (uint32_t)what;
        r.p = next;
    }
    heap_sort(rights->rules, rights->count);
    *out = rights;
    return 0;
}

uint32_t
bbi_rights_count(const struct bbi_rights *rights)
{
    return rights->count;
}

/* ---- the view of one peer ---- */

size_t
bbi_rights_view_footprint(const struct bbi_rights *rights)
{
    return sizeof(struct bbi_rights_view) + rights->count * sizeof(struct entry);
}

/* How exactly the rule names the peer; 0: not at all. */
static uint32_t
rank_of(const struct rule *rule, const char *peer, size_t bytes)
{
    if (!begins(rule->peer, rule->peer_bytes, peer, bytes)) {
        return 0;
    }
    if (rule->is_beginning) {
        return 1 + rule->peer_bytes;
    }
    return rule->peer_bytes == bytes ? RANK_WHOLE_NAME : 0;
}

static void
merge(struct entry *entry, uint32_t ranks[BBI_RIGHTS], const struct rule *rule, uint32_t rank)
{
    for (unsigned i = 0; i < BBI_RIGHTS; i++) {
        if ((rule->actions >> i & 1) == 0 || rank < ranks[i]) {
            continue;
        }
        if (rank > ranks[i] || rule->verdict == VERDICT_DENY) {
            entry->verdict[i] = rule->verdict;
        }
        ranks[i] = rank;
    }
}

static struct entry *
add_entry(struct bbi_rights_view *view, const struct rule *rule)
{
    struct entry *entry = &view->entries[view->count];
    int32_t parent = (int32_t)view->count - 1;
    while (parent >= 0
           && !begins(view->entries[parent].topic, view->entries[parent].topic_bytes, rule->topic,
                      rule->topic_bytes)) {
        parent = view->entries[parent].parent;
    }
    *entry =
        (struct entry){.topic = rule->topic,
                       .topic_bytes = rule->topic_bytes,
                       .parent = parent >= 0 ? parent : NO_PARENT,
                       .is_reserved = bb_topic_is_reserved(rule->topic, rule->topic_bytes) != 0};
    view->count++;
    return entry;
}

static void
inherit(const struct bbi_rights_view *view, struct entry *entry)
{
    const struct entry *parent = entry->parent >= 0 ? &view->entries[entry->parent] : NULL;
    if (parent == NULL || parent->is_reserved != entry->is_reserved) {
        return;
    }
    for (unsigned i = 0; i < BBI_RIGHTS; i++) {
        if (entry->verdict[i] == VERDICT_NONE) {
            entry->verdict[i] = parent->verdict[i];
        }
    }
}

struct bbi_rights_view *
bbi_rights_view_new(const struct bbi_rights *rights,
                    void *mem,
                    const char *peer,
                    bool is_allowed_by_default)
{
    struct bbi_rights_view *view = mem;
    struct entry *entry = NULL;
    uint32_t ranks[BBI_RIGHTS];
    size_t bytes = strlen(peer);
    memset(view, 0, sizeof(*view));
    view->is_allowed_by_default = is_allowed_by_default;
    for (uint32_t i = 0; i < rights->count; i++) {
        const struct rule *rule = &rights->rules[i];
        uint32_t rank = rank_of(rule, peer, bytes);
        if (rank == 0) {
            continue;
        }
        if (entry == NULL
            || compare(entry->topic, entry->topic_bytes, rule->topic, rule->topic_bytes) != 0) {
            if (entry != NULL) {
                inherit(view, entry);
            }
            entry = add_entry(view, rule);
            memset(ranks, 0, sizeof(ranks));
        }
        merge(entry, ranks, rule, rank);
    }
    if (entry != NULL) {
        inherit(view, entry);
    }
    return view;
}

/* How many entries are not after the topic. */
static uint32_t
rank_in(const struct bbi_rights_view *view, const char *topic, size_t bytes)
{
    uint32_t low = 0;
    uint32_t high = view->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct entry *entry = &view->entries[middle];
        if (compare(entry->topic, entry->topic_bytes, topic, bytes) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool
decide(const struct bbi_rights_view *view, enum bbi_right right, const char *topic, size_t bytes)
{
    int32_t at = (int32_t)rank_in(view, topic, bytes) - 1;
    while (at >= 0
           && !begins(view->entries[at].topic, view->entries[at].topic_bytes, topic, bytes)) {
        at = view->entries[at].parent;
    }
    uint8_t verdict = VERDICT_NONE;
    if (at >= 0 && (view->entries[at].is_reserved || bb_topic_is_reserved(topic, bytes) == 0)) {
        verdict = view->entries[at].verdict[right];
    }
    return verdict == VERDICT_NONE ? view->is_allowed_by_default : verdict == VERDICT_ALLOW;
}

bool
bbi_rights_may(struct bbi_rights_view *view, enum bbi_right right, const char *topic, size_t bytes)
{
    bool may = decide(view, right, topic, bytes);
    view->denied[right] += !may;
    return may;
}

bool
bbi_rights_may_some(const struct bbi_rights_view *view,
                    enum bbi_right right,
                    const char *prefix,
                    size_t bytes)
{
    /* What a prefix without the marker asks for are topics without it. */
    bool is_reserved = bb_topic_is_reserved(prefix, bytes) != 0;
    if (decide(view, right, prefix, bytes)) {
        return true;
    }
    for (uint32_t i = rank_in(view, prefix, bytes); i < view->count; i++) {
        const struct entry *entry = &view->entries[i];
        if (!begins(prefix, bytes, entry->topic, entry->topic_bytes)) {
            return false;
        }
        if (entry->is_reserved == is_reserved && entry->verdict[right] == VERDICT_ALLOW) {
            return true;
        }
    }
    return false;
}

uint64_t
bbi_rights_denied(const struct bbi_rights_view *view, enum bbi_right right)
{
    return view->denied[right];
}
