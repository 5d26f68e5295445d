/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/broker_store.cc - the data stores of Zeek's Broker 1.4: a master with the memory backend in one process,
 * a clone in each client, peered over TCP on the loopback, without TLS.
 *
 * put          Broker gives no result.  After each window of batches the client asks for a put_unique of the key that
 *              it wrote last, whose answer (it is there) comes after all of them.
 * put_unique   through a store::proxy, so that a window of batches can wait for answers; alone it is store's own.
 * get          of the clone, which is a copy of the whole store in this process: an actor answers.
 */
#include "bench/peers/stores.h"

#include <algorithm>
#include <atomic>
#include <broker/broker.hh>
#include <caf/config.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace
{

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr auto open_time = seconds(15);
constexpr auto glance = milliseconds(2);
constexpr auto batch_delay = std::chrono::microseconds(50);
constexpr uint64_t window_max = 4096; /* commands that wait for their answer */
const char store_name[] = "bench";

/* Made by start, before any fork. */
struct bus {
    std::atomic<uint16_t> port;
};

int
complain(const char *what, const std::string &why)
{
    (void)fprintf(stderr, "broker: store: %s: %s.\n", what, why.c_str());
    return -1;
}

void
describe(const bench_setup *s, FILE *out)
{
    (void)fprintf(
        out,
        "Broker %s with CAF %d.%d.%d, master with the memory backend in a process of its "
        "own, clones over TCP loopback, no TLS, %u commands and a barrier, max-batch-delay "
        "50 us",
        broker::version::string().c_str(), CAF_MAJOR_VERSION, CAF_MINOR_VERSION, CAF_PATCH_VERSION,
        s->batch * s->window);
}

int
start(const bench_setup *s, void **shared)
{
    (void)s;
    void *at =
        mmap(nullptr, sizeof(bus), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return complain("cannot start", "no memory");
    }
    *shared = new (at) bus{};
    return 0;
}

void
stop(void *shared)
{
    (void)munmap(shared, sizeof(bus));
}

std::unique_ptr<broker::endpoint>
make_endpoint()
{
    broker::broker_options options;
    options.disable_ssl = true;
    options.forward = false;
    options.ignore_broker_conf = true;
    broker::configuration config{options};
    config.set("stream.max-batch-delay", caf::timespan{batch_delay});
    return std::make_unique<broker::endpoint>(std::move(config));
}

/* ---- master ------------------------------------------------------------------------------------ */

struct server {
    std::unique_ptr<broker::endpoint> ep;
    broker::store store;
};

int
serve_open(const bench_setup *s, void *shared, void **out)
{
    (void)s;
    try {
        auto m = std::make_unique<server>();
        m->ep = make_endpoint();
        auto made = m->ep->attach_master(store_name, broker::backend::memory);
        uint16_t port = made ? m->ep->listen("127.0.0.1", 0) : 0;
        if (port == 0) {
            return complain("cannot serve", "no master, or no port to listen on");
        }
        m->store = *made;
        static_cast<bus *>(shared)->port.store(port, std::memory_order_release);
        *out = m.release();
        return 0;
    } catch (const std::exception &e) {
        return complain("cannot serve", e.what());
    }
}

int
serve(void *out, int64_t timeout_ns)
{
    (void)out; /* its own threads work */
    std::this_thread::sleep_for(std::chrono::nanoseconds(timeout_ns));
    return 0;
}

void
serve_close(void *out)
{
    delete static_cast<server *>(out);
}

/* ---- client ------------------------------------------------------------------------------------ */

struct client {
    std::unique_ptr<broker::endpoint> ep;
    broker::store store;
    std::unique_ptr<broker::store::proxy> proxy;
    size_t size = 0;
    uint64_t batch = 1, window = 1; /* window: commands between two barriers */
    uint64_t last_key = 0;

    int put(bench_store_work *w, uint64_t count);
    int put_unique(bench_store_work *w, uint64_t count);
    int barrier(bench_store_work *w);
    int get(bench_store_reads *r, uint64_t count);
};

broker::data
key_of(uint64_t number)
{
    char key[BENCH_STORE_KEY_BYTES];
    bench_store_key(key, number);
    return broker::data{std::string(key, sizeof(key))};
}

broker::data
value_of(const bench_store_work *w, size_t size)
{
    std::string text(size, '\0');
    bench_store_fill(text.data(), size, w->next % w->keys, w->next / w->keys);
    return broker::data{std::move(text)};
}

/* The clone is a copy only when it knows its master. */
bool
is_in_step(const broker::store &store)
{
    auto until = steady_clock::now() + open_time;
    while (steady_clock::now() < until) {
        if (store.exists(broker::data{std::string("nobody has this")})) {
            return true;
        }
        std::this_thread::sleep_for(glance);
    }
    return false;
}

int
open_client(const bench_setup *s, void *shared, unsigned index, void **out)
{
    (void)index;
    try {
        auto c = std::make_unique<client>();
        c->size = s->size;
        c->batch = s->batch;
        c->window = std::min<uint64_t>(uint64_t{s->batch} * s->window, window_max);
        c->ep = make_endpoint();
        uint16_t port = static_cast<bus *>(shared)->port.load(std::memory_order_acquire);
        if (!c->ep->peer("127.0.0.1", port, broker::timeout::seconds(0))) {
            return complain("cannot open", "the master's endpoint did not answer");
        }
        auto made = c->ep->attach_clone(store_name, 1.0);
        if (!made || !is_in_step(*made)) {
            return complain("cannot open", "no clone, or its master did not answer");
        }
        c->store = *made;
        c->proxy = std::make_unique<broker::store::proxy>(c->store);
        *out = c.release();
        return 0;
    } catch (const std::exception &e) {
        return complain("cannot open", e.what());
    }
}

/* Left to the process's end: an endpoint whose store had a proxy crashes when it is destroyed (an actor that the
 * registry still has).  All was answered before. */
void
close_client(void *out)
{
    (void)out;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* All that was put is there when this is answered: the key is there. */
int
client::barrier(bench_store_work *w)
{
    if (w->answered == w->next || w->op == BENCH_STORE_PUT_UNIQUE) {
        return 0;
    }
    auto answer = store.put_unique(key_of(last_key), broker::data{std::string("barrier")});
    if (!answer) {
        return complain("no answer", caf::to_string(answer.error()));
    }
    auto is_new = broker::get_if<broker::boolean>(*answer);
    if (is_new == nullptr || *is_new) {
        return complain("no barrier", "a key that was put is not there");
    }
    while (w->answered < w->next) {
        bench_store_result(w, true, false);
    }
    return 0;
}

int
client::put(bench_store_work *w, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        last_key = w->next % w->keys;
        store.put(key_of(last_key), value_of(w, size));
        w->next++;
        if (w->next - w->answered >= window && barrier(w) < 0) {
            return -1;
        }
    }
    return 0;
}

bool
is_true(const broker::expected<broker::data> &answer, bool *is_refused)
{
    auto is_new = answer ? broker::get_if<broker::boolean>(*answer) : nullptr;
    *is_refused = is_new == nullptr;
    return is_new != nullptr && *is_new;
}

/* Answers may come in another order than the questions. */
int
client::put_unique(bench_store_work *w, uint64_t count)
{
    std::vector<broker::request_id> ids;
    for (uint64_t done = 0; done < count; done += ids.size()) {
        ids.clear();
        while (done + ids.size() < count && ids.size() < window) {
            ids.push_back(proxy->put_unique(key_of(w->next % w->keys), value_of(w, size)));
            w->next++;
        }
        auto answers = proxy->receive(ids.size());
        std::vector<const broker::store::response *> by_number(ids.size(), nullptr);
        for (const auto &a : answers) {
            if (a.id - ids.front() < ids.size()) {
                by_number[a.id - ids.front()] = &a;
            }
        }
        for (const auto *a : by_number) {
            bool is_refused = true;
            bool is_done = a != nullptr && is_true(a->answer, &is_refused);
            bench_store_result(w, is_done, is_refused);
        }
    }
    return 0;
}

int
write_all(void *out, bench_store_work *w, uint64_t count)
{
    client *c = static_cast<client *>(out);
    try {
        return w->op == BENCH_STORE_PUT ? c->put(w, count) : c->put_unique(w, count);
    } catch (const std::exception &e) {
        return complain("cannot write", e.what());
    }
}

int
settle(void *out, bench_store_work *w)
{
    return static_cast<client *>(out)->barrier(w);
}

/* ---- reading ----------------------------------------------------------------------------------- */

void
take(bench_store_reads *r, uint64_t key, const broker::expected<broker::data> &answer)
{
    auto text = answer ? broker::get_if<std::string>(*answer) : nullptr;
    bench_store_take(r, key, text != nullptr ? text->data() : nullptr,
                     text != nullptr ? text->size() : 0);
}

int
client::get(bench_store_reads *r, uint64_t count)
{
    for (uint64_t done = 0; done < count;) {
        uint64_t n = std::min(batch, count - done);
        std::vector<broker::request_id> ids;
        for (uint64_t i = 0; n > 1 && i < n; i++) {
            ids.push_back(proxy->get(key_of((r->next + i) % r->keys)));
        }
        if (n == 1) {
            take(r, r->next % r->keys, store.get(key_of(r->next % r->keys)));
        } else {
            uint64_t first = r->next;
            for (const auto &a : proxy->receive(n)) {
                take(r, (first + (a.id - ids.front())) % r->keys, a.answer);
            }
        }
        done += n;
    }
    return 0;
}

int
get_all(void *out, bench_store_reads *r, uint64_t count)
{
    try {
        return static_cast<client *>(out)->get(r, count);
    } catch (const std::exception &e) {
        return complain("cannot get", e.what());
    }
}

int64_t
count_keys(void *out)
{
    auto keys = static_cast<client *>(out)->store.keys();
    auto set = keys ? broker::get_if<broker::set>(*keys) : nullptr;
    return set != nullptr ? static_cast<int64_t>(set->size()) : complain("cannot count", "no keys");
}

} // namespace

extern "C" {
const bench_store_driver bench_store_broker = {
    describe,    start,     stop,   serve_open, serve,      nullptr,      serve_close,
    open_client, write_all, settle, get_all,    count_keys, close_client,
};
}
