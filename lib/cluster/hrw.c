/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idea: a name is hashed when the pool changes, a key once per look-up, and the two meet in a few
 * instructions for each node.  What comes out is a number u, spread evenly over 64 bits; the highest wins.
 *
 * Weights: with u / 2^64 as a random number in (0, 1), -log(u) / weight is exponential with the weight as its
 * rate, and of such the lowest belongs to each node with probability weight / sum of weights.  Logarithms are
 * only taken when weights differ: for equal ones the order of u is the same.  Both ways are one order, total
 * and of pairs alone (who else is there does not count), which is what moves no other node's keys.
 */
#include "lib/cluster/hrw.h"
#include "lib/endpoint/opts.h"

#include <string.h>

enum { COST_BITS = 50, ODDS = 16 };

/* ---- keyed --------------------------------------------------------------------------------------- */

/*
 * A bijection that spreads each bit over all: Evensen's "moremur" constants for Stafford's form.  Key and
 * name go in as one XOR of two hashes that nobody knows without the secret.
 */
static inline uint64_t
mix(uint64_t x)
{
    x = (x ^ (x >> 27)) * UINT64_C(0x3c79ac492ba7b653);
    x = (x ^ (x >> 33)) * UINT64_C(0x1c69b3f74ac4ae35);
    return x ^ (x >> 27);
}

/* Not the hash of a key with the same bytes: their XOR would be zero, and the score known to all. */
static uint64_t
keyed_name(const struct bbi_hrw *hrw, const char *name, size_t bytes)
{
    return mix(bbi_hash64_keyed(&hrw->secret, name, bytes) + UINT64_C(0x9e3779b97f4a7c15));
}

/* ---- Zeek's ---------------------------------------------------------------------------------------- */

static uint32_t
fnv1a(uint32_t hash, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ p[i]) * UINT32_C(16777619);
    }
    return hash;
}
#define FNV_START UINT32_C(2166136261)

/* `NAME.0`; after a collision `NAME.1`, ... */
static uint32_t
zeek_name(const char *name, size_t bytes, unsigned attempt)
{
    char digits[12];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + attempt % 10);
        attempt /= 10;
    } while (attempt > 0);
    digits[--at] = '.';
    return fnv1a(fnv1a(FNV_START, name, bytes), digits + at, sizeof(digits) - at);
}

/* Equal weights go to the larger site id, which therefore stands below the weight. */
static inline uint64_t
zeek_score(uint64_t site, uint64_t key)
{
    const uint32_t a = UINT32_C(1103515245);
    const uint32_t b = UINT32_C(12345);
    uint32_t weight = a * ((a * (uint32_t)site + b) ^ (uint32_t)key) + b;
    return ((uint64_t)(weight & UINT32_C(0x7fffffff)) << 32) | (uint32_t)site;
}

/* ---- names ----------------------------------------------------------------------------------------- */

int
bbi_hrw_init(struct bbi_hrw *hrw, uint32_t method, const uint64_t seed[2])
{
    if (method != BB_HRW_KEYED && method != BB_HRW_ZEEK) {
        return BB_EINVAL;
    }
    hrw->method = method;
    bbi_hash_secret_make(&hrw->secret, seed);
    return 0;
}

/* Hashes that were given out: an open table of indices into them, never more than half full. */
enum { SEEN_SLOTS = 2 * BBI_HRW_NODES_MAX };
struct seen {
    const char *const *names;
    const uint64_t *hashes;
    uint16_t idx_plus_1[SEEN_SLOTS];
};

/* The place of this hash: taken by whoever has it, or free. */
static uint16_t *
seen_find(struct seen *seen, uint64_t hash)
{
    size_t at = (hash ^ (hash >> 32)) % SEEN_SLOTS;
    while (seen->idx_plus_1[at] != 0 && seen->hashes[seen->idx_plus_1[at] - 1] != hash) {
        at = (at + 1) % SEEN_SLOTS;
    }
    return &seen->idx_plus_1[at];
}

/* hashes[i], with one that no earlier name has; BB_EINVAL the name is there already. */
static int
name_hash(const struct bbi_hrw *hrw, struct seen *seen, size_t i, uint64_t *hash)
{
    const char *name = seen->names[i];
    size_t bytes = strnlen(name, BBI_HRW_NAME_MAX + 1);
    if (bytes == 0 || bytes > BBI_HRW_NAME_MAX) {
        return BB_EINVAL;
    }
    for (unsigned attempt = 0;; attempt++) {
        int is_zeek = hrw->method == BB_HRW_ZEEK;
        *hash = is_zeek ? zeek_name(name, bytes, attempt) : keyed_name(hrw, name, bytes);
        uint16_t *place = seen_find(seen, *hash);
        if (*place == 0) {
            *place = (uint16_t)(i + 1);
            return 0;
        }
        if (strcmp(seen->names[*place - 1], name) == 0) {
            return BB_EINVAL;
        }
        if (!is_zeek) { /* 64 bits: as good as never; the earlier one then owns all keys of both */
            return 0;
        }
    }
}

int
bbi_hrw_names(const struct bbi_hrw *hrw, const char *const *names, size_t count, uint64_t *hashes)
{
    struct seen seen = {.names = names, .hashes = hashes};
    if (count > BBI_HRW_NODES_MAX) {
        return BB_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        int rc = name_hash(hrw, &seen, i, &hashes[i]);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void
bbi_hrw_live_add(const struct bbi_hrw *hrw,
                 struct bbi_hrw_live *live,
                 uint32_t node,
                 uint64_t hash,
                 uint32_t weight)
{
    BBI_ASSERT(live->count < BBI_HRW_NODES_MAX);
    if (weight == 0 || hrw->method == BB_HRW_ZEEK) {
        weight = BB_WEIGHT_EVEN;
    }
    live->is_mixed |= live->count > 0 && live->sites[0].weight != weight;
    live->sites[live->count++] = (struct bbi_hrw_site){hash, node, weight};
}

/* ---- scores ---------------------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 wide;

/* The product of two numbers in units of 2^-63. */
static inline uint64_t
times(uint64_t a, uint64_t b)
{
    return (uint64_t)(((wide)a * b) >> 63);
}

/*
 * u = 2^e * m with 1 <= m < 2: log2(u) = e + 2 / ln 2 * (y + y^3 / 3 + y^5 / 5 ...), y = (m - 1) / (m + 1) < 1/3.
 * All terms are positive and each step rounds down, so the sum stays below the true value and never falls
 * when m rises; what is left out after ODDS terms is below 2^-55.
 */
uint64_t
bbi_hrw_cost(uint64_t u)
{
    static const uint64_t one = UINT64_C(1) << 63;
    static const uint64_t two_over_ln2 = UINT64_C(0x5c551d94ae0bf85d); /* in units of 2^-61 */
    u = bbi_max_u64(u, 1);
    unsigned zeros = (unsigned)__builtin_clzll(u);
    uint64_t half_m = (u << zeros) >> 1; /* m in units of 2^-62 */
    uint64_t y = (uint64_t)(((wide)(half_m - one / 2) << 63) / (half_m + one / 2));
    uint64_t z = times(y, y);
    uint64_t sum = one / (UINT64_C(2) * ODDS - 1);
    for (uint64_t odd = UINT64_C(2) * ODDS - 3; odd < UINT64_C(2) * ODDS; odd -= 2) {
        sum = one / odd + times(sum, z);
    }
    uint64_t log2_m = (uint64_t)(((wide)times(y, sum) * two_over_ln2) >> 61);
    return ((uint64_t)(zeros + 1) << COST_BITS) - (log2_m >> (63 - COST_BITS));
}

struct score {
    uint64_t u;
    uint64_t cost; /* of mixed weights only */
    uint32_t weight;
    uint32_t node;
};

static bool
is_better(const struct score *a, const struct score *b)
{
    if (a->weight == b->weight) {
        return a->u > b->u;
    }
    uint64_t a_cost = a->cost * b->weight; /* at most 2^56 * 255 */
    uint64_t b_cost = b->cost * a->weight;
    return a_cost != b_cost ? a_cost < b_cost : a->u > b->u;
}

static uint64_t
key_hash(const struct bbi_hrw *hrw, const void *key, size_t key_bytes)
{
    return hrw->method == BB_HRW_ZEEK ? fnv1a(FNV_START, key, key_bytes) & UINT32_C(0x7fffffff)
                                      : bbi_hash64_keyed(&hrw->secret, key, key_bytes);
}

static struct score
score_of(const struct bbi_hrw *hrw,
         const struct bbi_hrw_live *live,
         const struct bbi_hrw_site *site,
         uint64_t key)
{
    bool is_zeek = hrw->method == BB_HRW_ZEEK;
    struct score s = {.weight = site->weight, .node = site->node};
    s.u = is_zeek ? zeek_score(site->hash, key) : mix(site->hash ^ key);
    s.cost = live->is_mixed ? bbi_hrw_cost(s.u) : 0;
    return s;
}

/* ---- looking up -------------------------------------------------------------------------------------- */

/* The two loops of ordinary days: even weights, nothing but the highest u. */
static uint32_t
best_keyed(const struct bbi_hrw_live *live, uint64_t key)
{
    uint32_t best = 0;
    uint64_t best_u = mix(live->sites[0].hash ^ key);
    for (uint32_t i = 1; i < live->count; i++) {
        uint64_t u = mix(live->sites[i].hash ^ key);
        if (u > best_u) {
            best_u = u;
            best = i;
        }
    }
    return live->sites[best].node;
}

static uint32_t
best_zeek(const struct bbi_hrw_live *live, uint64_t key)
{
    uint32_t best = 0;
    uint64_t best_u = zeek_score(live->sites[0].hash, key);
    for (uint32_t i = 1; i < live->count; i++) {
        uint64_t u = zeek_score(live->sites[i].hash, key);
        if (u > best_u) {
            best_u = u;
            best = i;
        }
    }
    return live->sites[best].node;
}

/*
 * Most can be seen to lose without their logarithm: -log2(x) is never below (1 - x) / ln 2, and for an x that
 * wins it is little above.
 */
static bool
may_win(const struct bbi_hrw_site *site, uint64_t u, const struct score *best)
{
    enum { OVER_LN2 = 1477 }; /* rounded down, in units of 2^-10 */
    uint64_t least_cost = ((~u >> (64 - COST_BITS)) * OVER_LN2) >> 10;
    return least_cost * best->weight <= best->cost * site->weight;
}

/* Keyed: by Zeek's method all weights are the same. */
static uint32_t
best_mixed(const struct bbi_hrw *hrw, const struct bbi_hrw_live *live, uint64_t key)
{
    struct score best = score_of(hrw, live, &live->sites[0], key);
    for (uint32_t i = 1; i < live->count; i++) {
        const struct bbi_hrw_site *site = &live->sites[i];
        if (may_win(site, mix(site->hash ^ key), &best)) {
            struct score s = score_of(hrw, live, site, key);
            best = is_better(&s, &best) ? s : best;
        }
    }
    return best.node;
}

uint32_t
bbi_hrw_owner(const struct bbi_hrw *hrw,
              const struct bbi_hrw_live *live,
              const void *key,
              size_t key_bytes)
{
    if (live->count == 0) {
        return BBI_HRW_NOBODY;
    }
    uint64_t hash = key_hash(hrw, key, key_bytes);
    if (live->is_mixed) {
        return best_mixed(hrw, live, hash);
    }
    return hrw->method == BB_HRW_ZEEK ? best_zeek(live, hash) : best_keyed(live, hash);
}

uint32_t
bbi_hrw_order(const struct bbi_hrw *hrw,
              const struct bbi_hrw_live *live,
              const void *key,
              size_t key_bytes,
              uint32_t *order,
              size_t max)
{
    struct score top[BBI_HRW_NODES_MAX];
    uint32_t count = 0;
    uint64_t hash = key_hash(hrw, key, key_bytes);
    max = bbi_min_u64(max, BBI_HRW_NODES_MAX);
    for (uint32_t i = 0; i < live->count; i++) {
        struct score s = score_of(hrw, live, &live->sites[i], hash);
        uint32_t at = count;
        while (at > 0 && is_better(&s, &top[at - 1])) {
            at--;
        }
        if (at >= max) {
            continue;
        }
        count += count < max;
        memmove(&top[at + 1], &top[at], (count - 1 - at) * sizeof(top[0]));
        top[at] = s;
    }
    for (uint32_t i = 0; i < count; i++) {
        order[i] = top[i].node;
    }
    return count;
}

/* ---- public ------------------------------------------------------------------------------------------ */

static int
hrw_of(struct bbi_hrw *hrw, const struct bb_hrw_opts *opts)
{
    struct bb_hrw_opts o;
    int rc = bbi_opts_take(&o, sizeof(o), BBI_OPTS_NO_ERROR, opts, "struct bb_hrw_opts");
    if (rc < 0 || o.reserved != 0) {
        return rc < 0 ? rc : BB_EINVAL;
    }
    return bbi_hrw_init(hrw, o.method, o.seed);
}

static int
live_of(const struct bbi_hrw *hrw,
        const struct bb_hrw_node *nodes,
        size_t count,
        struct bbi_hrw_live *live)
{
    const char *names[BBI_HRW_NODES_MAX];
    uint64_t hashes[BBI_HRW_NODES_MAX];
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].name == NULL || nodes[i].weight > UINT8_MAX) {
            return BB_EINVAL;
        }
        names[i] = nodes[i].name;
    }
    int rc = bbi_hrw_names(hrw, names, count, hashes);
    live->count = 0;
    live->is_mixed = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (nodes[i].is_alive) {
            bbi_hrw_live_add(hrw, live, (uint32_t)i, hashes[i], nodes[i].weight);
        }
    }
    return rc;
}

int
bb_hrw(const struct bb_hrw_node *nodes,
       size_t count,
       const void *key,
       size_t key_bytes,
       const struct bb_hrw_opts *opts,
       uint32_t *order,
       size_t max)
{
    struct bbi_hrw hrw;
    struct bbi_hrw_live live;
    if ((nodes == NULL && count > 0) || (key == NULL && key_bytes > 0)
        || (order == NULL && max > 0)) {
        return BB_EINVAL;
    }
    if (count > BBI_HRW_NODES_MAX) {
        return BB_ENOMEM;
    }
    int rc = hrw_of(&hrw, opts);
    if (rc == 0) {
        rc = live_of(&hrw, nodes, count, &live);
    }
    return rc < 0 ? rc : (int)bbi_hrw_order(&hrw, &live, key, key_bytes, order, max);
}
