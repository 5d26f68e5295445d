/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/broker.cc - Zeek's Broker 1.4: endpoints peered over TCP on the loopback, without TLS.
 *
 * Processes  one endpoint for all publishers of a process and one for its subscribers; a ping has one for both.
 *            Publishers' endpoints listen on a free port, subscribers' peer with them; none forwards for others.
 * Messages   one Broker string each, handed to endpoint::publish in batches of up to 32.
 * Reliable   endpoint::publish queues without a limit, and the publisher class, which has one, hangs when its queue
 *            fills.  So a window is lent (credit.h): 16384 messages or 16 MiB.  Where nobody listens, the publisher
 *            asks its own core for an answer as often, so that the core keeps up.
 * Latency    Broker's streams hold a batch back for CAF's max-batch-delay.  Where each message counts by itself it
 *            is 50 us here; with the default a round trip takes 15 to 20 ms.
 * Topics     "bench/w/N" those that are wanted, "bench/u/N" the rest; a subscription is a prefix.
 * Connected  a subscription stands before the peering starts, and peer() returns when the publisher has its filter.
 */
#include "bench/driver.h"
#include "bench/shuffle.h"

#include "bench/peers/credit.h"
#include "bench/peers/stores.h"
#include <algorithm>
#include <atomic>
#include <broker/broker.hh>
#include <caf/config.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <poll.h>
#include <string>
#include <thread>
#include <vector>

namespace
{

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr unsigned batch_max = 32;
constexpr uint64_t window_messages = 16384;
constexpr size_t queue_messages = 512; /* that a subscriber holds before it stops its stream */
constexpr auto latency_batch_delay = microseconds(50);
constexpr auto open_time = seconds(10), end_time = seconds(5);
constexpr auto hybrid_spin = microseconds(50);
constexpr auto glance = milliseconds(1);

/* Made by start, before any fork. */
struct bus {
    bench_credit credit;
    std::atomic<uint32_t> ping_order;              /* subscribers of a ping that are open */
    std::atomic<uint16_t> ports[BENCH_PUBLISHERS]; /* of each publisher's endpoint; 0: not yet */
};
static_assert(std::atomic<uint32_t>::is_always_lock_free, "shared by processes");

int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "broker: %s: %s.\n", what, why);
    return -1;
}

bool
is_hasty(const bench_setup &s)
{
    return s.is_ping || s.batch == 1;
}

/* ---- the process's endpoints ------------------------------------------------------------------- */

struct station {
    broker::endpoint ep;
    uint16_t port = 0;              /* that it listens on; 0: it does not */
    std::vector<uint16_t> peerings; /* ports that it has peered with */

    explicit station(broker::configuration config) : ep(std::move(config))
    {
    }
};

/* An endpoint does not deliver to itself, so one for each side; in a ping the other side is another process. */
std::weak_ptr<station> of_publishers, of_subscribers;

std::shared_ptr<station>
open_station(const bench_setup &s, std::weak_ptr<station> &side)
{
    auto &known = s.is_ping ? of_publishers : side;
    auto found = known.lock();
    if (found == nullptr) {
        broker::broker_options options;
        options.disable_ssl = true;
        options.forward = false;
        options.ignore_broker_conf = true;
        broker::configuration config{options};
        if (is_hasty(s)) {
            config.set("stream.max-batch-delay", caf::timespan{latency_batch_delay});
        }
        found = std::make_shared<station>(std::move(config));
        known = found;
    }
    return found;
}

/* ---- harness's process ------------------------------------------------------------------------- */

int
start(const bench_setup *s, void **shared)
{
    return bench_credit_start(s, "broker", sizeof(bus), nullptr, shared);
}

void
stop(void *shared)
{
    bench_credit_stop(&static_cast<bus *>(shared)->credit);
}

void
describe(const bench_setup *s, FILE *out)
{
    (void)fprintf(
        out,
        "Broker %s with CAF %d.%d.%d over TCP loopback, no TLS, no forwarding, one string a "
        "message, endpoint::publish in batches of %u, subscriber queue of %zu, "
        "max-batch-delay %s, lossless by a lent window of 16384 messages or 16 MiB",
        broker::version::string().c_str(), CAF_MAJOR_VERSION, CAF_MINOR_VERSION, CAF_PATCH_VERSION,
        std::min(s->batch, batch_max), queue_messages, is_hasty(*s) ? "50 us" : "as shipped");
}

/* ---- publisher --------------------------------------------------------------------------------- */

struct pub {
    std::shared_ptr<station> home;
    bus *shared;
    unsigned index, batch;
    bool is_heard, is_ping; /* is_heard: somebody wants some of it */
    bench_window window;
    uint64_t last_wanted; /* number after the last that somebody wants */
    std::vector<broker::topic> topics;
    std::vector<bool> is_wanted; /* of each topic */
    size_t turn;
    std::vector<broker::data_message> ready;

    int await_room(uint64_t number);
    void append(bench_source *src);
    void flush();
    void await_delivery() const;
};

/* Waits until message `number` may be sent. */
int
pub::await_room(uint64_t number)
{
    if (!is_heard) {
        (void)home->ep.peer_subscriptions(); /* the core answers after what it was given before */
        window.limit = number + window.size;
        return 0;
    }
    return bench_window_await(&window, number);
}

void
pub::append(bench_source *src)
{
    std::string text(src->size, '\0'); /* too long to lie in the object itself, so it is aligned */
    bench_fill(src, text.data());
    if (is_wanted[turn]) {
        last_wanted = src->word & BENCH_NUMBER_MASK;
    }
    ready.emplace_back(broker::make_data_message(topics[turn], broker::data{std::move(text)}));
    turn = turn + 1 == topics.size() ? 0 : turn + 1;
}

void
pub::flush()
{
    home->ep.publish(std::move(ready));
    ready.clear();
    ready.reserve(batch);
}

/* An endpoint that goes takes with it what it has not sent yet. */
void
pub::await_delivery() const
{
    auto until = steady_clock::now() + end_time;
    while (is_heard && !is_ping && bench_window_slowest(&window) < last_wanted
           && steady_clock::now() < until) {
        std::this_thread::sleep_for(glance);
    }
}

std::vector<unsigned>
order_of_topics(const bench_setup &s)
{
    std::vector<unsigned> order(s.topics);
    for (unsigned i = 0; i < s.topics; i++) {
        order[i] = i;
    }
    if (s.is_shuffled) {
        bench_shuffle(order.data(), order.size(), sizeof(unsigned));
    }
    return order;
}

std::string
name_topic(const bench_setup &s, unsigned publisher, unsigned topic)
{
    if (s.is_ping) {
        return "bench/ping/" + std::to_string(publisher);
    }
    return (topic < s.wanted ? "bench/w/" : "bench/u/") + std::to_string(topic);
}

void
open_topics(const bench_setup &s, pub &p)
{
    for (unsigned topic : order_of_topics(s)) {
        p.topics.emplace_back(name_topic(s, p.index, topic));
        p.is_wanted.push_back(topic < s.wanted);
    }
}

int
open_pub(const bench_setup &s, bus *b, unsigned index, void **out)
{
    auto p = std::make_unique<pub>();
    p->shared = b;
    p->index = index;
    p->batch = std::min(s.batch, batch_max);
    p->is_heard = s.wanted > 0 && s.subscribers > 0;
    p->is_ping = s.is_ping;
    bench_window_open(&p->window, &s, &b->credit, index, window_messages);
    if (!p->is_heard && !s.is_ping) {
        p->window.limit = 0; /* await_room sees to it */
    }
    open_topics(s, *p);
    p->home = open_station(s, of_publishers);
    if (p->home->port == 0) {
        p->home->port = p->home->ep.listen("127.0.0.1", 0);
    }
    if (p->home->port == 0) {
        return complain("cannot open a publisher", "it found no port to listen on");
    }
    b->ports[index].store(p->home->port, std::memory_order_release);
    *out = p.release();
    return 0;
}

int
pub_open(const bench_setup *s, void *shared, unsigned index, void **out)
{
    try {
        return open_pub(*s, static_cast<bus *>(shared), index, out);
    } catch (const std::exception &e) {
        return complain("cannot open a publisher", e.what());
    }
}

int
pub_send(void *out, bench_source *src, uint64_t count)
{
    pub *p = static_cast<pub *>(out);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = src->word & BENCH_NUMBER_MASK;
        if (!bench_window_has_room(&p->window, number)) {
            p->flush();
            if (p->await_room(number) < 0) {
                return -1;
            }
        }
        p->append(src);
        if (p->ready.size() >= p->batch) {
            p->flush();
        }
    }
    p->flush();
    return 0;
}

void
pub_close(void *out)
{
    pub *p = static_cast<pub *>(out);
    p->await_delivery();
    p->shared->ports[p->index].store(0, std::memory_order_release);
    delete p;
}

/* ---- subscriber -------------------------------------------------------------------------------- */

struct sub {
    std::shared_ptr<station> home;
    std::unique_ptr<broker::subscriber> in;
    bus *shared;
    unsigned index;
    bench_wait wait;

    bool peer_with(unsigned publisher);
    int take_ready(bench_sink *sink);
    void await_input(nanoseconds timeout);
};

/* Waits for the publisher to listen, if need be. */
bool
sub::peer_with(unsigned publisher)
{
    uint16_t port;
    auto until = steady_clock::now() + open_time;
    while ((port = shared->ports[publisher].load(std::memory_order_acquire)) == 0) {
        if (steady_clock::now() > until) {
            return false;
        }
        std::this_thread::sleep_for(glance);
    }
    auto &known = home->peerings;
    if (std::find(known.begin(), known.end(), port) == known.end()) {
        if (!home->ep.peer("127.0.0.1", port, broker::timeout::seconds(0))) {
            return false;
        }
        known.push_back(port);
    }
    return true;
}

int
sub::take_ready(bench_sink *sink)
{
    auto messages = in->poll();
    for (const auto &m : messages) {
        const auto *text = caf::get_if<std::string>(&broker::get_data(m));
        if (text == nullptr) {
            return complain("cannot take", "a message is not a string");
        }
        bench_take(sink, text->data(), text->size());
    }
    if (!messages.empty()) {
        bench_credit_tell(&shared->credit, index, sink);
    }
    return static_cast<int>(messages.size());
}

void
sub::await_input(nanoseconds timeout)
{
    auto now = steady_clock::now(), until = now + timeout;
    auto spin_until = wait == BENCH_SPIN     ? until
                      : wait == BENCH_HYBRID ? std::min(until, now + hybrid_spin)
                                             : now;
    while (now < spin_until) {
        if (in->available() > 0) {
            return;
        }
        std::this_thread::yield();
        now = steady_clock::now();
    }
    if (now < until) {
        pollfd fd{in->fd(), POLLIN, 0};
        auto left = std::chrono::duration_cast<nanoseconds>(until - now).count();
        timespec t{static_cast<time_t>(left / 1000000000), static_cast<long>(left % 1000000000)};
        (void)ppoll(&fd, 1, &t, nullptr);
    }
}

/* The second subscriber of a ping peers with the first one's endpoint; that serves both ways. */
int
connect_to_publishers(const bench_setup &s, sub &r)
{
    bool is_first = s.is_ping && r.shared->ping_order.fetch_add(1) == 0;
    for (unsigned i = 0; i < s.publishers && !is_first; i++) {
        bool is_own = s.is_ping && i == r.index;
        if (!is_own && !r.peer_with(i)) {
            return complain("cannot open a subscriber", "it cannot peer with a publisher");
        }
    }
    return 0;
}

int
open_sub(const bench_setup &s, bus *b, unsigned index, void **out)
{
    auto r = std::make_unique<sub>();
    r->shared = b;
    r->index = index;
    r->wait = s.wait;
    bench_credit_open(&b->credit, index);
    r->home = open_station(s, of_subscribers);
    r->in = std::make_unique<broker::subscriber>(r->home->ep.make_subscriber({}, queue_messages));
    r->in->set_rate_calculation(false);
    r->in->add_topic(s.is_ping ? name_topic(s, 1 - index, 0) : "bench/w/", true);
    if (connect_to_publishers(s, *r) < 0) {
        return -1;
    }
    *out = r.release();
    return 0;
}

int
sub_open(const bench_setup *s, void *shared, unsigned index, void **out)
{
    try {
        return open_sub(*s, static_cast<bus *>(shared), index, out);
    } catch (const std::exception &e) {
        return complain("cannot open a subscriber", e.what());
    }
}

int
sub_recv(void *in, bench_sink *sink, int64_t timeout_ns)
{
    sub *r = static_cast<sub *>(in);
    int got = r->take_ready(sink);
    if (got != 0 || timeout_ns == 0) {
        return got;
    }
    r->await_input(nanoseconds(timeout_ns));
    return r->take_ready(sink);
}

void
sub_close(void *in)
{
    sub *r = static_cast<sub *>(in);
    bench_credit_close(&r->shared->credit, r->index);
    delete r;
}

} // namespace

extern "C" {
extern const bench_driver bench_driver_broker;
const bench_driver bench_driver_broker = {
    "broker",
    BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_RELY | BENCH_CAN_TOPICS
        | BENCH_CAN_SPIN | BENCH_CAN_SLEEP | BENCH_CAN_STORE | BENCH_CAN_BRIDGE,
    describe,
    start,
    stop,
    nullptr,
    pub_open,
    pub_send,
    pub_close,
    sub_open,
    sub_recv,
    sub_close,
    &bench_store_broker,
};
}
