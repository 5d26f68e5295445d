/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/shelf.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#define NS_PER_S   INT64_C(1000000000)
#define ANSWER_NS  (NS_PER_S / 2)  /* of a master; a standby needs less to take its place */
#define STANDBY_NS (NS_PER_S / 50) /* it looks this often whether it is its turn */

enum { KEY_BYTES = 8 + 16, NONE_BYTES = 8, LOAD_ITEMS = 256 };

/* An address as a key. */
struct key {
    unsigned char bytes[KEY_BYTES];
    struct bb_value value;
};

static void
make_key(struct key *out, const uint8_t ip[16])
{
    struct bb_builder b;

    bb_build_init(&b, out->bytes, sizeof(out->bytes));
    bb_put_address(&b, ip);
    out->value = (struct bb_value){out->bytes, sizeof(out->bytes)};
}

/* ---- opening ----------------------------------------------------------------------------------- */

static int
open_as(struct sensor_shelf *shelf,
        struct bb_cluster *cluster,
        uint32_t role,
        struct bb_error *error)
{
    const struct bb_store_opts opts = {.size = sizeof(opts),
                                       .name = SENSOR_STORE,
                                       .role = role,
                                       .timeout_ns = ANSWER_NS,
                                       .error = error};

    return bb_store_open(&shelf->store, bb_cluster_endpoint(cluster), &opts);
}

int
sensor_shelf_serve(struct sensor_shelf *shelf, struct bb_cluster *cluster, struct bb_error *error)
{
    int rc = 0;

    if (shelf->store != NULL) {
        return 0;
    }
    rc = open_as(shelf, cluster, BB_STORE_MASTER, error);
    if (rc == BB_EEXIST) {
        rc = open_as(shelf, cluster, BB_STORE_STANDBY, error);
    }
    shelf->can_serve = rc == 0;
    return rc;
}

int
sensor_shelf_join(struct sensor_shelf *shelf, struct bb_cluster *cluster, struct bb_error *error)
{
    return shelf->store != NULL ? 0 : open_as(shelf, cluster, BB_STORE_CLONE, error);
}

void
sensor_shelf_close(struct sensor_shelf *shelf)
{
    bb_store_close(shelf->store);
    shelf->store = NULL;
}

/* ---- writing ----------------------------------------------------------------------------------- */

int
sensor_shelf_clear(struct sensor_shelf *shelf)
{
    const struct bb_store_cmd clear = {.op = BB_STORE_CLEAR};
    struct bb_store_result result;

    return bb_store_run(shelf->store, &clear, 1, 0, &result);
}

int
sensor_shelf_seen(struct sensor_shelf *shelf, const uint8_t ip[16])
{
    unsigned char none[NONE_BYTES];
    struct bb_builder b;
    struct key key;
    int rc = 0;

    make_key(&key, ip);
    rc = bb_store_exists(shelf->store, &key.value); /* most of them are known: nobody is asked */
    if (rc != 0) {
        return rc;
    }
    bb_build_init(&b, none, sizeof(none));
    bb_put_none(&b);
    rc = bb_store_put_unique(shelf->store, &key.value, &(struct bb_value){none, sizeof(none)}, 0,
                             NULL);
    if (rc == BB_EEXIST) {
        return 1;
    }
    return rc == BB_ETIMEDOUT ? BB_EAGAIN : rc;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int
take_item(struct sensor_clients *out, const struct bb_store_item *item)
{
    uint8_t ip[16];
    int rc = bb_get_address(&item->key, ip);

    if (rc == 0) {
        sensor_clients_add(out, ip);
    }
    return rc;
}

/* All of one state; a view is ended with what it showed. */
int
sensor_shelf_load(struct sensor_shelf *shelf, struct sensor_clients *out)
{
    static struct bb_store_item items[LOAD_ITEMS];
    const struct bb_value *after = NULL;
    struct bb_value last;
    int64_t n = 0;
    int rc = bb_store_view_begin(shelf->store);

    if (rc != 0) {
        return rc;
    }
    do {
        n = bb_store_scan(shelf->store, NULL, after, items, LOAD_ITEMS);
        for (int64_t i = 0; i < n && rc == 0; i++) {
            rc = take_item(out, &items[i]);
        }
        if (n > 0) {
            last = items[n - 1].key;
            after = &last;
        }
    } while (n > 0 && rc == 0);
    bb_store_view_end(shelf->store);
    return n < 0 ? (int)n : rc;
}

/* ---- serving ----------------------------------------------------------------------------------- */

/* Sleeps until one of the two has something. */
static int
sleep_for_both(struct sensor_shelf *shelf, struct bb_cluster *cluster, int64_t timeout_ns)
{
    struct pollfd fds[2] = {
        {.fd = bb_fd(bb_cluster_subscriber(cluster)), .events = POLLIN},
        {.fd = bb_store_fd(shelf->store), .events = POLLIN},
    };
    struct timespec t = {.tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S};

    for (size_t i = 0; i < 2; i++) {
        if (fds[i].fd < 0) {
            return fds[i].fd;
        }
    }
    (void)ppoll(fds, 2, &t, NULL); /* a signal ends it too */
    return 0;
}

int
sensor_shelf_wait(struct sensor_shelf *shelf, struct bb_cluster *cluster, int64_t timeout_ns)
{
    int rc = 0;

    if (!bb_store_is_master(shelf->store) && timeout_ns > STANDBY_NS) {
        timeout_ns = STANDBY_NS;
    }
    if (timeout_ns > 0) {
        rc = sleep_for_both(shelf, cluster, timeout_ns);
    }
    if (rc == 0) {
        rc = bb_store_poll(shelf->store, 0);
    }
    return rc < 0 ? rc : 0;
}
