/* SPDX-License-Identifier: BSD-3-Clause */
/* Names to addresses and back.  The C library's resolver blocks; it is asked for names alone. */
#include "lib/net/net_impl.h"
#include "shm/os.h"
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Links are thought dead after three; a name may be asked for twice in a row. */
static const int64_t SOON_NS = INT64_C(1000000000);

static int
refused(struct bbi_fault *f, const char *host, int rc)
{
    if (rc == EAI_MEMORY) {
        return bbi_fault_set(f, BB_ENOMEM, host, "no memory to look up the host %s", host);
    }
    if (rc == EAI_SYSTEM && (errno == EMFILE || errno == ENFILE)) {
        int code = -errno;
        return bbi_fault_set(f, code, host, "no descriptor is free to look up the host %s: %s",
                             host, bbi_errno_text(-code));
    }
    return bbi_fault_set(f, BB_ENOENT, host,
                         "the host %s is not known (%s): check its name, or give its address", host,
                         rc == EAI_SYSTEM ? bbi_errno_text(errno) : gai_strerror(rc));
}

/* "*": every address of this box, of both families where the kernel has both. */
static int
resolve_all(uint16_t port, struct bbi_net_addresses *out)
{
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_ANY)}};
    memcpy(&out->at[0], &six, sizeof(six));
    out->bytes[0] = sizeof(six);
    memcpy(&out->at[1], &four, sizeof(four));
    out->bytes[1] = sizeof(four);
    out->count = 2;
    return 0;
}

static int
resolve(
    const char *host, uint16_t port, int flags, struct bbi_net_addresses *out, struct bbi_fault *f)
{
    char bare[256], service[8];
    size_t bytes = strlen(host);
    struct addrinfo *list = NULL;
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | flags,
    };
    if ((flags & AI_PASSIVE) != 0 && strcmp(host, "*") == 0) {
        return resolve_all(port, out);
    }
    /* "[::1]", as it stands before a port, means ::1. */
    bool has_brackets = bytes > 2 && host[0] == '[' && host[bytes - 1] == ']';
    if (bytes == 0 || bytes >= sizeof(bare)) {
        return bbi_fault_set(f, BB_EINVAL, host, "\"%.64s\" is no host: give a name or an address",
                             host);
    }
    (void)snprintf(bare, sizeof(bare), "%.*s", (int)(has_brackets ? bytes - 2 : bytes),
                   has_brackets ? host + 1 : host);
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    int rc = getaddrinfo(bare, service, &hints, &list);
    if (rc == EAI_NONAME && (flags & AI_NUMERICHOST) != 0) {
        return BB_EAGAIN;
    }
    if (rc != 0) {
        return refused(f, host, rc);
    }
    out->count = 0;
    for (struct addrinfo *a = list; a != NULL && out->count < BBI_NET_ADDRESSES; a = a->ai_next) {
        memcpy(&out->at[out->count], a->ai_addr, a->ai_addrlen);
        out->bytes[out->count++] = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return 0;
}

int
bbi_net_literal(const char *host,
                uint16_t port,
                bool is_passive,
                struct bbi_net_addresses *out,
                struct bbi_fault *f)
{
    return resolve(host, port, AI_NUMERICHOST | (is_passive ? AI_PASSIVE : 0), out, f);
}

int
bbi_net_resolve(const char *host,
                uint16_t port,
                bool is_passive,
                struct bbi_net_addresses *out,
                struct bbi_fault *f)
{
    return resolve(host, port, is_passive ? AI_PASSIVE : 0, out, f);
}

/* ---- for a second ---- */

static int
await(struct bbi_lookups *all,
      struct bbi_lookup *lookup,
      struct bbi_net_addresses *out,
      struct bbi_fault *f)
{
    int64_t until_ns = bbi_os_mono_ns() + SOON_NS;
    struct bbi_lookup *done = NULL;
    struct pollfd ready = {.fd = bbi_lookups_fd(all), .events = POLLIN};
    for (int64_t left_ns = SOON_NS; done == NULL && left_ns > 0;
         left_ns = until_ns - bbi_os_mono_ns()) {
        (void)poll(&ready, 1, (int)(left_ns / 1000000) + 1);
        done = bbi_lookups_take(all);
    }
    if (done == NULL) {
        return bbi_fault_set(
            f, BB_ETIMEDOUT, lookup->host,
            "the host %s was looked up for a second, in vain: give its address, or "
            "mend the name server (/etc/resolv.conf)",
            lookup->host);
    }
    int rc = done->rc;
    *out = done->found;
    if (rc != 0 && f != NULL) {
        *f = done->fault;
    }
    free(done);
    return rc;
}

int
bbi_net_resolve_soon(bbi_net_resolve_fn resolve_fn,
                     const char *host,
                     uint16_t port,
                     bool is_passive,
                     struct bbi_net_addresses *out,
                     struct bbi_fault *f)
{
    struct bbi_lookups *all;
    struct bbi_lookup *lookup;
    int rc = bbi_net_literal(host, port, is_passive, out, f);
    if (rc != BB_EAGAIN) {
        return rc;
    }
    rc = bbi_lookups_open(&all, resolve_fn);
    if (rc != 0) {
        return bbi_fault_set(f, rc, host, "cannot look up the host %s: %s", host, bb_strerror(rc));
    }
    rc = bbi_lookup_start(all, host, port, is_passive, 0, &lookup, f);
    if (rc == 0) {
        rc = await(all, lookup, out, f);
    }
    bbi_lookups_close(all); /* a thread that is still asking frees what is its own */
    return rc;
}

/* ---- loopback ---- */

static bool
is_loopback(const struct sockaddr_storage *addr)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    memcpy(&six, addr, sizeof(six));
    memcpy(&four, addr, sizeof(four));
    if (addr->ss_family != AF_INET6) {
        return addr->ss_family == AF_INET && ntohl(four.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr)
           || (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) && six.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
}

int
bbi_net_is_loopback(const char *host, struct bbi_fault *f)
{
    struct bbi_net_addresses found = {0};
    int rc = bbi_net_resolve_soon(NULL, host, 0, true, &found, f);
    if (rc != 0) {
        return rc;
    }
    for (int i = 0; i < found.count; i++) {
        if (!is_loopback(&found.at[i])) {
            return 0;
        }
    }
    return found.count > 0;
}

void
bbi_net_address_text(const struct sockaddr *addr, socklen_t bytes, char out[BBI_NET_ADDRESS_BYTES])
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    char host[INET6_ADDRSTRLEN + 16], port[8];
    if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, addr, sizeof(six));
        if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
            /* Who came by IPv4 to a socket of both families. */
            memcpy(&four.sin_addr, &six.sin6_addr.s6_addr[12], sizeof(four.sin_addr));
            four.sin_port = six.sin6_port;
            addr = (const struct sockaddr *)&four;
            bytes = sizeof(four);
        }
    }
    if (getnameinfo(addr, bytes, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)
        != 0) {
        (void)snprintf(out, BBI_NET_ADDRESS_BYTES, "unknown");
        return;
    }
    bool is_six = addr->sa_family == AF_INET6;
    (void)snprintf(out, BBI_NET_ADDRESS_BYTES, "%s%.54s%s:%s", is_six ? "[" : "", host,
                   is_six ? "]" : "", port);
}
