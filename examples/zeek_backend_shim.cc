/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * examples/zeek_backend_shim.cc - a cluster backend over busbar, of the shape that Zeek asks its backends for.
 *
 * `host` is the side of the program that has backends: own code of the same shape, no code of Zeek.
 * `BusbarBackend` is the shim: everything between that interface and the bus.  docs/zeek-backend.md maps the
 * one to the other call by call.
 *
 * Usage: zeek_backend_shim NAME PEER COUNT   two of them talk: each sends COUNT events and a batch of logs to
 *        its peer, and ends when it has got the peer's; exit code 0 if all came, in order
 */
#include <busbar/busbar.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <vector>

/* ---- the host's side --------------------------------------------------------------------------- */

namespace host
{

using Bytes = std::vector<unsigned char>;

/* A window of bytes, as C++20's std::span. */
struct View {
    const unsigned char *data;
    size_t size;
};

struct Event {
    std::string name;
    std::vector<std::string> args;
};

struct LogHeader {
    std::string stream; /* which log */
    std::string writer; /* and which of its outputs */
};

/* How events become bytes.  Its name is the format that travels with them. */
class EventSerializer
{
  public:
    virtual ~EventSerializer() = default;
    virtual std::string_view Name() const = 0;
    virtual bool Serialize(Bytes &out, const Event &event) const = 0;
    virtual std::optional<Event> Unserialize(View bytes) const = 0;
};

/* What becomes of what came: a node runs handlers, a WebSocket's backend writes to its client. */
class Handling
{
  public:
    virtual ~Handling() = default;
    virtual void OnEvent(std::string_view topic, const Event &event) = 0;
    virtual void OnLogs(std::string_view format, View records) = 0;
};

enum class CallbackStatus { Success, Error, NotImplemented };
using SubscribeCallback = std::function<void(const std::string &prefix, CallbackStatus status)>;
using ReadyCallback = std::function<void()>;

class Backend
{
  public:
    Backend(std::unique_ptr<EventSerializer> serializer, std::unique_ptr<Handling> handling)
        : serializer_(std::move(serializer)), handling_(std::move(handling))
    {
    }
    virtual ~Backend() = default;

    /* Once the scripts are known, then with the node's name; once at the end. */
    void InitPostScript()
    {
        DoInitPostScript();
    }
    bool Init(const std::string &node_id)
    {
        node_id_ = node_id;
        return DoInit();
    }
    void Terminate()
    {
        DoTerminate();
    }

    /* Fire and forget: true is no promise that somebody got it. */
    bool PublishEvent(const std::string &topic, const Event &event)
    {
        Bytes bytes;
        return serializer_->Serialize(bytes, event)
               && DoPublishEvent(topic, serializer_->Name(), bytes);
    }
    bool PublishLogWrites(const LogHeader &header, std::string_view format, const Bytes &records)
    {
        return DoPublishLogWrites(header, format, records);
    }

    /* The callback may run before the call returns. */
    bool Subscribe(const std::string &prefix, const SubscribeCallback &callback = {})
    {
        return DoSubscribe(prefix, callback);
    }
    bool Unsubscribe(const std::string &prefix)
    {
        return DoUnsubscribe(prefix);
    }
    void ReadyToPublishCallback(const ReadyCallback &callback)
    {
        DoReadyToPublishCallback(callback);
    }

    const std::string &NodeId() const
    {
        return node_id_;
    }

    virtual bool
    DoPublishEvent(const std::string &topic, std::string_view format, const Bytes &bytes) = 0;

  protected:
    virtual void DoInitPostScript() = 0;
    virtual bool DoInit() = 0;
    virtual void DoTerminate() = 0;
    virtual bool DoSubscribe(const std::string &prefix, const SubscribeCallback &callback) = 0;
    virtual bool DoUnsubscribe(const std::string &prefix) = 0;
    virtual void DoReadyToPublishCallback(const ReadyCallback &callback) = 0;
    virtual bool
    DoPublishLogWrites(const LogHeader &header, std::string_view format, const Bytes &records) = 0;

    /* What a backend hands over on the main loop. */
    bool ProcessEventMessage(std::string_view topic, std::string_view format, View bytes)
    {
        std::optional<Event> event;
        if (format == serializer_->Name()) {
            event = serializer_->Unserialize(bytes);
        }
        if (event) {
            handling_->OnEvent(topic, *event);
        }
        return event.has_value();
    }
    void ProcessLogMessage(std::string_view format, View bytes)
    {
        handling_->OnLogs(format, bytes);
    }

  private:
    std::string node_id_;
    std::unique_ptr<EventSerializer> serializer_;
    std::unique_ptr<Handling> handling_;
};

} // namespace host

/* ---- the shim ---------------------------------------------------------------------------------- */

/* Formats that busbar has a word for; any other name travels in front of the bytes, closed by a NUL. */
struct Format {
    const char *name;
    uint32_t attr;
};
static const Format kFormats[] = {
    {"busbar-native-v1", BB_NATIVE},
    {"broker-bin-v1", BB_BROKER_V1},
    {"broker-json-v1", BB_JSON_V1},
};

static std::optional<uint32_t>
AttrOf(std::string_view format)
{
    for (const Format &f : kFormats) {
        if (format == f.name) {
            return f.attr;
        }
    }
    return std::nullopt;
}

class BusbarBackend : public host::Backend
{
  public:
    using host::Backend::Backend;
    ~BusbarBackend() override
    {
        bb_endpoint_close(ep_);
    }
    BusbarBackend(const BusbarBackend &) = delete;
    BusbarBackend &operator=(const BusbarBackend &) = delete;

    /* For the main loop: readable means Process().  -1 before Init(). */
    int Fd() const
    {
        return fd_;
    }

    /* What an IO source of the main loop does when its descriptor is readable. */
    bool Process()
    {
        return bb_dispatch(sub_, kAtOnce, 0, OnMessage, this) >= 0;
    }

    /* Not asked for by the interface, but busbar knows: spares serialising what nobody wants. */
    bool IsWanted(const std::string &topic)
    {
        bb_topic *t = nullptr;
        return bb_topic_open(&t, events_, topic.data(), topic.size()) == 0
               && bb_topic_wanted(t) != 0;
    }

    const char *Why() const
    {
        return error_.sentence;
    }
    uint64_t Unknown() const
    {
        return unknown_;
    }

    bool DoPublishEvent(const std::string &topic,
                        std::string_view format,
                        const host::Bytes &bytes) override
    {
        return Publish(events_, topic, BB_EVENT, format, bytes);
    }

  protected:
    void DoInitPostScript() override
    {
        /* Where scripts name the bus and its directory; the defaults do here. */
    }

    bool DoInit() override
    {
        bb_endpoint_opts at = {};
        at.size = sizeof(at);
        at.name = NodeId().c_str();
        at.role = BB_ROLE_WORKER;
        at.error = &error_;
        bb_publisher_opts data = {};
        data.size = sizeof(data);
        data.error = &error_;
        bb_subscriber_opts in = {};
        in.size = sizeof(in);
        in.error = &error_;
        if (bb_endpoint_open(&ep_, &at) < 0 || bb_publisher_open(&events_, ep_, &data) < 0
            || bb_publisher_open(&logs_, ep_, &data) < 0
            || bb_subscriber_open(&sub_, ep_, &in) < 0) {
            return false;
        }
        fd_ = bb_fd(sub_);
        return fd_ >= 0;
    }

    void DoTerminate() override
    {
        bb_endpoint_close(
            ep_); /* flushes; what was published stays for those who have not read it */
        ep_ = nullptr;
        events_ = logs_ = nullptr;
        sub_ = nullptr;
        fd_ = -1;
    }

    bool DoSubscribe(const std::string &prefix, const host::SubscribeCallback &callback) override
    {
        int rc = bb_subscribe(sub_, prefix.data(), prefix.size(), 0);
        if (callback) { /* at once: from now on every publish that begins reaches us */
            callback(prefix, rc == 0 ? host::CallbackStatus::Success : host::CallbackStatus::Error);
        }
        return rc == 0;
    }

    bool DoUnsubscribe(const std::string &prefix) override
    {
        return bb_unsubscribe(sub_, prefix.data(), prefix.size(), 0) == 0;
    }

    void DoReadyToPublishCallback(const host::ReadyCallback &callback) override
    {
        callback(); /* a ring of our own is there since Init(): nothing to wait for */
    }

    bool DoPublishLogWrites(const host::LogHeader &header,
                            std::string_view format,
                            const host::Bytes &records) override
    {
        return Publish(logs_, "zeek/log/" + header.stream + "/" + header.writer, BB_VALUE, format,
                       records);
    }

  private:
    static const size_t kAtOnce = 256; /* then the main loop's other sources have their turn */

    static bool Publish(bb_publisher *pub,
                        const std::string &topic,
                        uint32_t kind,
                        std::string_view format,
                        const host::Bytes &bytes)
    {
        bb_topic *t = nullptr;
        void *loan = nullptr;
        const std::optional<uint32_t> known = AttrOf(format);
        const size_t head = known ? 0 : format.size() + 1;
        if (pub == nullptr || bb_topic_open(&t, pub, topic.data(), topic.size()) < 0
            || bb_loan(t, head + bytes.size(), &loan) < 0) {
            return false;
        }
        auto *at = static_cast<unsigned char *>(loan);
        if (head > 0) {
            std::memcpy(at, format.data(), format.size());
            at[format.size()] = '\0';
        }
        if (!bytes.empty()) {
            std::memcpy(at + head, bytes.data(), bytes.size());
        }
        const uint32_t attr = kind | (known ? *known : static_cast<uint32_t>(BB_OPAQUE));
        return bb_commit(t, head + bytes.size(), attr) == 0;
    }

    /* The format's name and what is left behind it. */
    static std::string_view TakeFormat(const bb_msg *msg, host::View *bytes)
    {
        const uint32_t attr = msg->attr & BB_FORMAT_MASK;
        *bytes = {static_cast<const unsigned char *>(msg->data), msg->bytes};
        for (const Format &f : kFormats) {
            if (attr == f.attr) {
                return f.name;
            }
        }
        const void *nul = msg->bytes > 0 ? std::memchr(msg->data, '\0', msg->bytes) : nullptr;
        if (nul == nullptr) {
            return {};
        }
        const auto *begin = static_cast<const char *>(msg->data);
        const size_t head = static_cast<size_t>(static_cast<const char *>(nul) - begin);
        *bytes = {bytes->data + head + 1, bytes->size - head - 1};
        return {begin, head};
    }

    static int OnMessage(const bb_msg *msg, void *user)
    {
        auto *self = static_cast<BusbarBackend *>(user);
        host::View bytes = {};
        const std::string_view format = TakeFormat(msg, &bytes);
        const std::string_view topic(msg->topic, msg->topic_bytes);
        if ((msg->attr & BB_KIND_MASK) == BB_EVENT) {
            self->unknown_ += !self->ProcessEventMessage(topic, format, bytes);
        } else {
            self->ProcessLogMessage(format, bytes);
        }
        return 0;
    }

    bb_endpoint *ep_ = nullptr;
    bb_publisher *events_ = nullptr,
                 *logs_ = nullptr; /* a ring each: logs do not crowd events out */
    bb_subscriber *sub_ = nullptr;
    int fd_ = -1;
    uint64_t unknown_ = 0; /* events of a format that we have no serializer for */
    bb_error error_ = {};
};

/* ---- a serializer: busbar's own values, so events are neither JSON nor copied twice ------------- */

class NativeSerializer : public host::EventSerializer
{
  public:
    std::string_view Name() const override
    {
        return kFormats[0].name;
    }

    bool Serialize(host::Bytes &out, const host::Event &event) const override
    {
        bb_builder measure;
        Build(&measure, nullptr, 0, event); /* the first pass only counts */
        out.resize(measure.need_bytes);
        bb_builder b;
        return Build(&b, out.data(), out.size(), event) == static_cast<int64_t>(out.size());
    }

    std::optional<host::Event> Unserialize(host::View bytes) const override
    {
        bb_event read;
        if (bb_event_open(&read, bytes.data, bytes.size) < 0) {
            return std::nullopt;
        }
        host::Event event{std::string(read.name, read.name_bytes), {}};
        for (uint32_t i = 0; i < read.arg_count; i++) {
            bb_value v;
            const char *text = nullptr;
            size_t n = 0;
            if (bb_event_arg(&read, i, &v) < 0 || bb_get_string(&v, &text, &n) < 0) {
                return std::nullopt;
            }
            event.args.emplace_back(text, n);
        }
        return event;
    }

  private:
    static int64_t Build(bb_builder *b, void *buf, size_t cap, const host::Event &event)
    {
        bb_build_init(b, buf, cap);
        bb_event_begin(b, event.name.data(), event.name.size());
        for (const std::string &arg : event.args) {
            bb_put_string(b, arg.data(), arg.size());
        }
        bb_event_end(b);
        return bb_build_end(b);
    }
};

/* ---- two of them talk -------------------------------------------------------------------------- */

static const char kLogBytes[] = "three records\0of a log";
static const char kLogFormat[] = "example-log-v1"; /* a name that busbar has no word for */

struct Seen {
    unsigned long events = 0, logs = 0, wrong = 0;
    bool is_done = false; /* the peer said that it has got ours */
};

class Checking : public host::Handling
{
  public:
    explicit Checking(Seen *seen) : seen_(seen)
    {
    }

    void OnEvent(std::string_view topic, const host::Event &event) override
    {
        if (event.name == "done") {
            seen_->is_done = true;
            return;
        }
        const bool is_next = event.name == "count" && event.args.size() == 2
                             && event.args[0] == std::to_string(seen_->events)
                             && topic == "zeek/node/" + event.args[1] + "/";
        seen_->wrong += !is_next;
        seen_->events++;
    }

    void OnLogs(std::string_view format, host::View records) override
    {
        const bool is_it = format == kLogFormat && records.size == sizeof(kLogBytes)
                           && std::memcmp(records.data, kLogBytes, sizeof(kLogBytes)) == 0;
        seen_->wrong += !is_it;
        seen_->logs++;
    }

  private:
    Seen *seen_;
};

static const int kTurnMs = 10, kTurnsMost = 6000; /* a minute */

/* The main loop: polls the backend's descriptor until it is so; false when it takes too long. */
static bool
RunUntil(BusbarBackend *backend, const std::function<bool()> &is_so)
{
    for (int turn = 0; turn < kTurnsMost && !is_so(); turn++) {
        pollfd p = {backend->Fd(), POLLIN, 0};
        while (!is_so() && poll(&p, 1, kTurnMs) > 0) {
            if (!backend->Process()) {
                return false;
            }
        }
    }
    return is_so();
}

static bool
SendAll(BusbarBackend *backend, const std::string &peer, unsigned long count)
{
    const std::string topic = "zeek/node/" + peer + "/";
    const host::Bytes log(kLogBytes, kLogBytes + sizeof(kLogBytes));
    bool good = true;
    for (unsigned long i = 0; good && i < count; i++) {
        good = backend->PublishEvent(topic, {"count", {std::to_string(i), peer}});
    }
    for (int i = 0; good && i < 10; i++) {
        good = backend->PublishLogWrites({"conn", "for-" + peer}, kLogFormat, log);
    }
    /* As Broker would write it; here nobody has that serializer, so it is counted and left. */
    return good && backend->DoPublishEvent(topic, "broker-bin-v1", {0x01, 0x02});
}

static bool
Talk(BusbarBackend *backend, Seen *seen, const std::string &peer, unsigned long count)
{
    const std::string mine = "zeek/node/" + backend->NodeId() + "/";
    const std::string theirs = "zeek/node/" + peer + "/";
    auto say = [](const std::string &prefix, host::CallbackStatus status) {
        std::printf("subscribed %s: %s\n", prefix.c_str(),
                    status == host::CallbackStatus::Success ? "success" : "error");
    };
    if (!backend->Subscribe("zeek/log/conn/for-" + backend->NodeId(), say)
        || !backend->Subscribe("zeek/unused/", say) || !backend->Unsubscribe("zeek/unused/")
        || !backend->Subscribe(mine, say)) {
        return false;
    }
    bool is_ready = false;
    backend->ReadyToPublishCallback([&is_ready] { is_ready = true; });
    std::printf("ready to publish: %d\n", is_ready);
    /* Fire and forget would lose what is sent before the peer is there. */
    bool good = is_ready && RunUntil(backend, [&] { return backend->IsWanted(theirs); });
    good = good && SendAll(backend, peer, count);
    good = good && RunUntil(backend, [&] {
               return seen->events == count && seen->logs == 10 && backend->Unknown() == 1;
           });
    /* And who left first would not hear the other's end. */
    good = good && backend->PublishEvent(theirs, {"done", {}});
    return good && RunUntil(backend, [&] { return seen->is_done; });
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s NAME PEER COUNT\n", argv[0]);
        return 2;
    }
    Seen seen;
    BusbarBackend backend(std::make_unique<NativeSerializer>(), std::make_unique<Checking>(&seen));
    const unsigned long count = std::strtoul(argv[3], nullptr, 10);
    backend.InitPostScript();
    if (!backend.Init(argv[1])) {
        std::fprintf(stderr, "%s: %s\n", argv[0], backend.Why());
        return 1;
    }
    const bool good = Talk(&backend, &seen, argv[2], count) && seen.wrong == 0;
    backend.Terminate();
    std::printf("%s: %lu events, %lu logs, %llu of another format, %lu wrong\n",
                good ? "good" : "failed", seen.events, seen.logs,
                static_cast<unsigned long long>(backend.Unknown()), seen.wrong);
    return good ? 0 : 1;
}
