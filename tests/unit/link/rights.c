/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What a peer may publish and hear is held to while links are up, by the message, and counted; a reload grants and
 *         takes away; reserved topics pass neither way, whatever the rules say; and what an authenticated peer says of its
 *         messages is believed in nothing that matters here.
 * Method  A real bridge as a child, with a rights file; the test is the other box, by a hub of its own that may say
 *         anything, and attaches to the bridge's bus to look.
 */
#include "busbar/request.h"
#include "lib/link/hub.h"
#include "shm/os.h"
#include "tests/unit/link/daemons.h"

TestSuite(link_rights, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 100);

/* ---- the other box ---- */

struct peer {
    struct bbi_hub *hub;
    struct bbi_box *box;
    struct bbi_hello self;
    bool is_up;
    uint64_t received, bytes, gap, offered;
    uint32_t gap_reasons;
    int wants; /* prefixes that the bridge asks for */
    char last_topic[64], last_want[64], down[512];
};

static void
peer_up(void *user, struct bbi_box *box, bool is_resumed)
{
    struct peer *p = user;
    (void)is_resumed;
    p->box = box;
    p->is_up = true;
}

static void
peer_down(void *user, struct bbi_box *box, enum bbi_down why, const char *sentence)
{
    struct peer *p = user;
    (void)box;
    (void)why;
    p->is_up = false;
    p->wants = 0;
    (void)snprintf(p->down, sizeof(p->down), "%s", sentence);
}

static void
peer_messages(void *user, struct bbi_box *box, const struct bbi_link_msg *msgs, size_t count)
{
    struct peer *p = user;
    (void)box;
    for (size_t i = 0; i < count; i++) {
        p->received++;
        p->bytes += msgs[i].bytes;
        (void)snprintf(p->last_topic, sizeof(p->last_topic), "%.*s", (int)msgs[i].topic_bytes,
                       msgs[i].topic);
        cr_assert_not(bb_topic_is_reserved(msgs[i].topic, msgs[i].topic_bytes), "%s",
                      p->last_topic);
    }
}

static void
peer_gap(void *user, struct bbi_box *box, const struct bbi_gap *gap)
{
    struct peer *p = user;
    (void)box;
    p->gap += gap->messages;
    p->gap_reasons |= gap->reasons;
}

static void
peer_interest(void *user, struct bbi_box *box, const struct bbi_interest *interest)
{
    struct peer *p = user;
    (void)box;
    p->wants += interest->is_removed ? -1 : 1;
    (void)snprintf(p->last_want, sizeof(p->last_want), "%.*s", (int)interest->prefix_bytes,
                   interest->prefix);
    cr_assert_not(bb_topic_is_reserved(interest->prefix, interest->prefix_bytes));
}

static void
peer_open(struct peer *p, const char *name, uint64_t epoch, uint16_t port)
{
    static const struct bbi_hub_events events = {.up = peer_up,
                                                 .down = peer_down,
                                                 .messages = peer_messages,
                                                 .gap = peer_gap,
                                                 .interest = peer_interest};
    struct bbi_fault f = {0};
    struct bbi_hub_opts o = {.engine = BBI_NET_EPOLL, .security = BBI_SECURITY_NONE};
    memset(p, 0, sizeof(*p));
    o.self.node.v[0] = 9;
    o.self.epoch = epoch;
    o.retry_max_ns = SECOND_NS / 10;
    (void)snprintf(o.self.name, sizeof(o.self.name), "%s", name);
    p->self = o.self;
    cr_assert_eq(bbi_hub_open(&p->hub, &o, &events, p, &f), 0, "%s", f.sentence);
    cr_assert_eq(bbi_hub_dial(p->hub, "127.0.0.1", port, NULL, &f), 0, "%s", f.sentence);
}

static void
peer_turn(struct peer *p)
{
    cr_assert_geq(bbi_hub_wait(p->hub, SECOND_NS / 1000), 0);
}

#define PEER_UNTIL(p, expr)                                                                        \
    do {                                                                                           \
        int64_t peer_end = bbt_now_ms() + bbt_ms(WAIT_MS);                                         \
        while (!(expr)) {                                                                          \
            peer_turn(p);                                                                          \
            bbt_check_all();                                                                       \
            cr_assert_lt(bbt_now_ms(), peer_end, "never: %s; %lu came, gap %lu, %d wants; %s",     \
                         #expr, (unsigned long)(p)->received, (unsigned long)(p)->gap, (p)->wants, \
                         (p)->down);                                                               \
        }                                                                                          \
    } while (0)

static void
peer_ask(struct peer *p, const char *prefix)
{
    const struct bbi_interest in = {.prefix = prefix, .prefix_bytes = strlen(prefix)};
    cr_assert_eq(bbi_session_interest_add(bbi_box_session(p->box), &in), 1, "%s", prefix);
}

/* The bridge knows all that was asked. */
static void
peer_known(struct peer *p)
{
    struct bbi_session *s = bbi_box_session(p->box);
    uint64_t token = bbi_session_barrier(s);
    PEER_UNTIL(p, bbi_session_is_known(s, token));
}

static struct bbi_link_msg
message(struct peer *p, const char *topic)
{
    struct bbi_link_msg msg = {.origin = {.box = p->self.node,
                                          .epoch = p->self.epoch,
                                          .node_id = 7,
                                          .name = "worker",
                                          .name_bytes = 6},
                               .seq = ++p->offered,
                               .topic = topic,
                               .topic_bytes = strlen(topic),
                               .data = "0123456789abcdef",
                               .bytes = 16,
                               .ttl = BBI_LINK_TTL};
    return msg;
}

static void
peer_say(struct peer *p, const char *topic, int count)
{
    for (int i = 0; i < count; i++) {
        struct bbi_link_msg msg = message(p, topic);
        cr_assert_eq(bbi_session_offer(bbi_box_session(p->box), &msg), 1);
    }
}

/* ---- the bridge ---- */

static const char *
rights_path(void)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/rights", bbt_dir());
    return path;
}

static void
write_rights(const char *rules)
{
    FILE *out = fopen(rights_path(), "we");
    cr_assert_not_null(out);
    cr_assert_geq(fputs(rules, out), 0);
    cr_assert_eq(fclose(out), 0);
}

static void
bridge_open(struct box *b, const char *rules, const char *topics)
{
    struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bbt_dir(), .bus = "near", .name = "near"};
    memset(b, 0, sizeof(*b));
    b->arg = (struct daemon_arg){.bus = "near", .topics = topics, .topics_after = topics};
    if (rules != NULL) {
        write_rights(rules);
        b->arg.rights = rights_path();
    }
    box_start(b);
    cr_assert_eq(bb_endpoint_open(&b->ep, &o), 0);
}

static void
reload(struct box *b, struct peer *p, const char *rules)
{
    uint64_t before = b->child.side->n[1];
    write_rights(rules);
    bbt_signal(&b->child, SIGHUP);
    PEER_UNTIL(p, b->child.side->n[1] == before + 1);
}

/* What the bridge shows of its one box, up or down. */
static struct bb_link_info
link_of(struct box *b)
{
    struct bb_error error = {0};
    struct bb_link_info links[4] = {0};
    int n = bb_bridge_links(b->ep, links, 4, &error);
    for (int i = 0; i < n && i < 4; i++) {
        if (links[i].state != BB_LINK_LISTENING) {
            return links[i];
        }
    }
    cr_assert_fail("no link: %s", error.sentence);
    return links[0];
}

/* So many messages come to sub, all of this topic, while the peer takes its turns. */
static void
expect(struct bb_subscriber *sub, struct peer *p, int count, const char *topic)
{
    struct bb_msg msgs[64];
    int came = 0;
    int64_t end = bbt_now_ms() + bbt_ms(WAIT_MS);
    while (came < count) {
        int n = bb_poll(sub, msgs, 64, 0);
        cr_assert_geq(n, 0);
        for (int i = 0; i < n; i++) {
            if (msgs[i].status == NULL) {
                cr_assert_eq(msgs[i].topic_bytes, strlen(topic));
                cr_assert_eq(memcmp(msgs[i].topic, topic, strlen(topic)), 0, "%.*s",
                             (int)msgs[i].topic_bytes, msgs[i].topic);
                cr_assert_neq(msgs[i].attr & BB_BRIDGED, 0);
                came++;
            }
        }
        peer_turn(p);
        cr_assert_lt(bbt_now_ms(), end, "%d of %d came", came, count);
    }
    cr_assert_eq(came, count);
}

static void
bridge_close(struct box *b, struct peer *p)
{
    bbi_hub_close(p->hub);
    box_end(b);
}

static const char *const RESERVED[] = {"<$>store/x/put", "<$>link/", "<$>bridge/ask", "<$>"};

/* ---- by the message ---- */

Test(link_rights, publish_is_held_to_and_counted)
{
    struct box b;
    struct peer p;
    bridge_open(&b,
                "allow peer  publish /ok/\n"
                "deny  peer  publish /ok/not/\n"
                "allow other publish \"\"\n",
                NULL);
    struct bb_subscriber *sub = box_sub(&b, "", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up && p.wants == 1);
    peer_say(&p, "/ok/x", 10);
    peer_say(&p, "/ok/not/x", 7);
    peer_say(&p, "/other", 5);
    peer_say(&p, "/ok", 1);
    peer_say(&p, "", 1);
    for (size_t i = 0; i < sizeof(RESERVED) / sizeof(RESERVED[0]); i++) {
        peer_say(&p, RESERVED[i], 1);
    }
    struct bbi_link_msg stray = message(&p, "/ok/x"); /* of a box that is not there */
    stray.origin.box.v[0] = 1;
    cr_assert_eq(bbi_session_offer(bbi_box_session(p.box), &stray), 1);
    peer_say(&p, "/ok/x", 1);
    expect(sub, &p, 11, "/ok/x");
    struct bb_link_info l = link_of(&b);
    cr_assert_eq(l.denied_in, 7 + 5 + 1 + 1 + 4 + 1, "%lu", (unsigned long)l.denied_in);
    cr_assert_eq(l.denied_out, 0);
    bridge_close(&b, &p);
}

Test(link_rights, hearing_is_held_to_and_counted)
{
    struct box b;
    struct peer p;
    struct bb_topic *hear;
    struct bb_topic *topic;
    bridge_open(&b,
                "allow peer subscribe /hear/\n"
                "deny  peer subscribe /hear/not/\n",
                NULL);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up);
    peer_ask(&p, "");
    peer_ask(&p, "/secret/");
    peer_ask(&p, "<");
    peer_ask(&p, "<$>");
    peer_ask(&p, "<$>store/");
    peer_known(&p);
    struct bb_publisher *pub = box_pub(&b, 0, 0, &hear, "/hear/x");
    send_some(hear, 1, 10, 16);
    cr_assert_eq(bb_topic_open(&topic, pub, "/hear/not/x", 11), 0);
    send_some(topic, 1, 4, 16);
    cr_assert_eq(bb_topic_open(&topic, pub, "/secret/x", 9), 0);
    send_some(topic, 1, 6, 16);
    send_some(hear, 11, 11, 16);
    PEER_UNTIL(&p, p.received == 11);
    cr_assert_str_eq(p.last_topic, "/hear/x");
    struct bb_link_info l = link_of(&b);
    cr_assert_eq(l.denied_out, 10, "%lu", (unsigned long)l.denied_out);
    cr_assert_eq(l.denied_in, 0);
    cr_assert_eq(p.wants, 0, "who may publish nothing is asked for nothing");
    bb_publisher_close(pub);
    bridge_close(&b, &p);
}

/* A rights file that speaks of others, or of nobody, allows nothing. */
Test(link_rights, denied_by_default)
{
    static const char *const rules[] = {"", "allow peer-2 publish,subscribe \"\"\n",
                                        "allow peer store-read,store-write,route \"\"\n"};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct box b;
        struct peer p;
        struct bb_topic *topic;
        bridge_open(&b, rules[i], NULL);
        struct bb_subscriber *sub = box_sub(&b, "", 0);
        peer_open(&p, "peer", 1, b.port);
        PEER_UNTIL(&p, p.is_up);
        peer_ask(&p, "");
        peer_ask(&p, "/x/");
        peer_known(&p);
        struct bb_publisher *pub = box_pub(&b, 0, 0, &topic, "/x/y");
        cr_assert_eq(bb_topic_wanted(topic), 1, "by the subscriber of this bus alone");
        send_some(topic, 1, 3, 16);
        peer_say(&p, "/x/y", 5);
        struct bb_link_info l = {0};
        PEER_UNTIL(&p, (l = link_of(&b)).denied_in == 5);
        cr_assert_eq(p.received + p.gap, 0);
        cr_assert_eq(p.wants, 0);
        bb_publisher_close(pub);
        bb_subscriber_close(sub);
        bridge_close(&b, &p);
    }
}

/* Both must allow it. */
Test(link_rights, topics_and_rights)
{
    struct box b;
    struct peer p;
    struct bb_topic *in;
    struct bb_topic *out;
    bridge_open(&b, "allow * publish,subscribe \"\"\ndeny * publish,subscribe /a/no/\n", "/a/");
    struct bb_subscriber *sub = box_sub(&b, "/", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up && p.wants == 1);
    cr_assert_str_eq(p.last_want, "/a/");
    peer_ask(&p, "");
    peer_known(&p);
    peer_say(&p, "/b/x", 3);
    peer_say(&p, "/a/no/x", 2);
    peer_say(&p, "/a/x", 4);
    expect(sub, &p, 4, "/a/x");
    struct bb_publisher *pub = box_pub(&b, 0, 0, &out, "/b/x");
    cr_assert_eq(bb_topic_open(&in, pub, "/a/x", 4), 0);
    send_some(out, 1, 3, 16);
    send_some(in, 1, 5, 16);
    PEER_UNTIL(&p, p.received == 5);
    cr_assert_str_eq(p.last_topic, "/a/x");
    cr_assert_eq(link_of(&b).denied_in, 5);
    bb_publisher_close(pub);
    bridge_close(&b, &p);
}

/* Not even a rule that says so lets a reserved topic pass. */
Test(link_rights, reserved_topics_never)
{
    struct box b;
    struct peer p;
    bridge_open(&b, "allow * publish,subscribe \"\"\nallow * publish,subscribe <$>\n", NULL);
    struct bb_subscriber *sub = box_sub(&b, "", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up && p.wants == 1);
    for (size_t i = 0; i < sizeof(RESERVED) / sizeof(RESERVED[0]); i++) {
        peer_ask(&p, RESERVED[i]);
        peer_say(&p, RESERVED[i], 2);
    }
    peer_known(&p);
    peer_say(&p, "/x", 1);
    expect(sub, &p, 1, "/x");
    struct bb_link_info l = link_of(&b); /* a request and its answer are on this bus now */
    cr_assert_eq(l.denied_in, 8);
    cr_assert_eq(l.denied_out + p.received + p.gap, 0);
    bridge_close(&b, &p);
}

/* ---- reload ---- */

Test(link_rights, a_reload_grants_and_takes_away)
{
    struct box b;
    struct peer p;
    struct bb_topic *hear;
    bridge_open(&b, "", NULL);
    struct bb_subscriber *sub = box_sub(&b, "/ok/", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up);
    peer_ask(&p, "/hear/");
    peer_known(&p);
    struct bb_publisher *pub = box_pub(&b, 0, 0, &hear, "/hear/x");
    cr_assert_eq(bb_topic_wanted(hear), 0);
    cr_assert_eq(p.wants, 0);
    for (int i = 0; i < 3; i++) {
        uint64_t denied = link_of(&b).denied_in;
        reload(&b, &p, "allow peer publish /ok/\nallow peer subscribe /hear/\n");
        PEER_UNTIL(&p, p.wants == 1);
        cr_assert_str_eq(p.last_want, "/ok/");
        PEER_UNTIL(&p, bb_topic_wanted(hear) == 1);
        uint64_t had = p.received;
        send_some(hear, 1, 5, 16);
        peer_say(&p, "/ok/x", 5);
        expect(sub, &p, 5, "/ok/x");
        PEER_UNTIL(&p, p.received == had + 5);
        reload(&b, &p, "allow peer publish /elsewhere/\n");
        PEER_UNTIL(&p, p.wants == 0);
        PEER_UNTIL(&p, bb_topic_wanted(hear) == 0);
        send_some(hear, 6, 8, 16);
        peer_say(&p, "/ok/x", 4); /* the topic that went through just now */
        PEER_UNTIL(&p, link_of(&b).denied_in == denied + 4);
        cr_assert_eq(p.received, had + 5);
    }
    cr_assert_eq(p.gap, 0);
    bb_publisher_close(pub);
    bridge_close(&b, &p);
}

/* Rules that cannot be read: those that were there stay. */
Test(link_rights, a_bad_reload_changes_nothing)
{
    struct box b;
    struct bb_subscriber *sub;
    struct peer p;
    bridge_open(&b, "allow peer publish /ok/\n", NULL);
    sub = box_sub(&b, "", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up);
    b.child.side->n[2] = 1; /* it may fail */
    write_rights("allow peer publish\n");
    bbt_signal(&b.child, SIGHUP);
    PEER_UNTIL(&p, b.child.side->n[1] == 1);
    peer_say(&p, "/other", 2);
    peer_say(&p, "/ok/x", 2);
    expect(sub, &p, 2, "/ok/x");
    cr_assert_eq(link_of(&b).denied_in, 2);
    bridge_close(&b, &p);
}

/* The peer is away, messages wait for it, and meanwhile its rights change. */
static void
away(const char *after, uint64_t received, uint64_t gap)
{
    struct box b;
    struct peer p;
    struct bb_topic *hear;
    struct bb_topic *keep;
    bridge_open(&b, "allow peer subscribe /hear/\nallow peer subscribe /keep/\n", NULL);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up);
    peer_ask(&p, "/hear/");
    peer_ask(&p, "/keep/");
    peer_known(&p);
    struct bb_publisher *pub = box_pub(&b, 0, 0, &hear, "/hear/x");
    cr_assert_eq(bb_topic_open(&keep, pub, "/keep/x", 7), 0);
    bbi_hub_close(p.hub);
    peer_open(&p, "somebody", 1, 1); /* nobody's port: only so that turns can be taken */
    PEER_UNTIL(&p, link_of(&b).state == BB_LINK_DOWN);
    send_some(keep, 1, 10, 16);
    send_some(hear, 1, 20, 16);
    PEER_UNTIL(&p, link_of(&b).queued == 30);
    reload(&b, &p, after);
    bbi_hub_close(p.hub);
    peer_open(&p, "peer", 2, b.port);
    PEER_UNTIL(&p, p.is_up);
    peer_ask(&p, "/keep/");
    peer_known(&p);
    send_some(keep, 11, 12, 16);
    PEER_UNTIL(&p, p.received == received && p.gap == gap);
    cr_assert_str_eq(p.last_topic, "/keep/x");
    cr_assert_eq(p.gap_reasons, gap > 0 ? (uint32_t)BBI_GAP_RIGHTS : 0);
    cr_assert_eq(link_of(&b).dropped, gap);
    bb_publisher_close(pub);
    bridge_close(&b, &p);
}

Test(link_rights, what_waits_goes_when_rights_go)
{
    away("allow peer subscribe /keep/\n", 2, 30);
}

Test(link_rights, what_waits_stays_when_rights_grow)
{
    away("allow peer subscribe \"\"\n", 32, 0);
}

/* ---- what an authenticated peer says of its messages ---- */

static const struct {
    const char *name;
    size_t bytes;
} NAMES[] = {
    {"", 0},
    {"two\nlines", 9},
    {"\x1b[2Jclear", 9},
    {"nul\0within", 10},
    {"\xff\xfe\x80", 3},
    {"near", 4}, /* as the node that looks */
    {"busbard", 7},
    {"123456789012345678901234567890123456789012345678901234567890123", 63},
};

Test(link_rights, names_and_numbers_of_a_liar)
{
    enum { COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };
    static const int64_t walls[] = {INT64_MAX, INT64_MIN, 0, -1};
    static const uint64_t seqs[] = {0, UINT64_MAX, 1, 0};
    struct box b;
    struct peer p;
    struct bb_msg msgs[64];
    int came = 0;
    bridge_open(&b, NULL, NULL);
    struct bb_subscriber *sub = box_sub(&b, "/x", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up && p.wants == 1);
    for (size_t i = 0; i < COUNT; i++) {
        struct bbi_link_msg msg = message(&p, "/x");
        msg.origin.name = NAMES[i].name;
        msg.origin.name_bytes = NAMES[i].bytes;
        msg.origin.node_id = bb_endpoint_id(b.ep);
        msg.wall_ns = walls[i % 4];
        msg.seq = seqs[i % 4];
        msg.attr = 0xffff;
        msg.ttl = 255;
        cr_assert_eq(bbi_session_offer(bbi_box_session(p.box), &msg), 1);
    }
    int64_t end = bbt_now_ms() + bbt_ms(WAIT_MS);
    while (came < COUNT) {
        int n = bb_poll(sub, msgs, 64, 0);
        for (int i = 0; i < n; i++) {
            struct bb_origin origin = {.size = sizeof(origin)};
            char json[4096];
            struct bb_reply_info reply;
            struct bb_request_info request;
            if (msgs[i].status != NULL) {
                continue;
            }
            cr_assert_eq(bb_msg_origin(&msgs[i], &origin), 0);
            cr_assert_str_eq(origin.box_name, "peer");
            cr_assert_eq(memcmp(origin.box, p.self.node.v, sizeof(origin.box)), 0);
            cr_assert_neq(msgs[i].node_id, bb_endpoint_id(b.ep), "nobody of this bus");
            cr_assert_neq(msgs[i].attr & BB_BRIDGED, 0);
            cr_assert_eq(msgs[i].attr & BB_REPLY, 0);
            cr_assert_lt(bb_msg_reply(&msgs[i], &reply), 0);
            cr_assert_lt(bb_msg_request(&msgs[i], &request), 0);
            cr_assert_eq(strncmp(msgs[i].node, NAMES[came].name, NAMES[came].bytes), 0);
            int64_t bytes = bb_msg_json(&msgs[i], json, sizeof(json));
            cr_assert_gt(bytes, 0);
            for (int64_t k = 0; k < bytes; k++) {
                cr_assert(json[k] >= ' ' && json[k] <= '~', "byte %d in %.*s", json[k], (int)bytes,
                          json);
            }
            came++;
        }
        peer_turn(&p);
        cr_assert_lt(bbt_now_ms(), end, "%d came", came);
    }
    cr_assert(p.is_up, "%s", p.down);
    cr_assert_eq(link_of(&b).denied_in, 0);
    bridge_close(&b, &p);
}

/* The longest topic and payload come, what is longer is refused by the other side, and a link lives on. */
Test(link_rights, sizes_at_the_limit)
{
    struct box b;
    struct peer p;
    static char topic[65535 + 1];
    bridge_open(&b, NULL, NULL);
    struct bb_subscriber *sub = box_sub(&b, "", 0);
    peer_open(&p, "peer", 1, b.port);
    PEER_UNTIL(&p, p.is_up && p.wants == 1);
    memset(topic, 't', 65535);
    struct bbi_link_msg msg = message(&p, topic);
    uint32_t most = bbi_box_hello(p.box)->message_max;
    unsigned char *data = calloc(1, (size_t)most + 1);
    cr_assert_not_null(data);
    msg.data = data;
    msg.bytes = 100;
    cr_assert_eq(bbi_session_offer(bbi_box_session(p.box), &msg), 1);
    msg = message(&p, "/most");
    msg.data = data;
    msg.bytes = most < p.self.message_max || p.self.message_max == 0 ? 1 << 20 : most;
    cr_assert_eq(bbi_session_offer(bbi_box_session(p.box), &msg), 1);
    peer_say(&p, "/after", 1);
    struct bb_msg got[8];
    int came = 0;
    int64_t end = bbt_now_ms() + bbt_ms(WAIT_MS);
    while (came < 3) {
        int n = bb_poll(sub, got, 8, 0);
        for (int i = 0; i < n; i++) {
            came += got[i].status == NULL || got[i].status->kind == BB_STATUS_GAP;
        }
        peer_turn(&p);
        cr_assert_lt(bbt_now_ms(), end, "%d came", came);
    }
    cr_assert(p.is_up, "%s", p.down);
    free(data);
    bridge_close(&b, &p);
}
