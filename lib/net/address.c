/* SPDX-License-Identifier: BSD-3-Clause */
/* Names to addresses and back.  The C library's resolver blocks; it is asked for names alone. */
#include "lib/net/net_impl.h"
#include <netdb.h>
#include <stdio.h>
#include <string.h>

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

int
bbi_net_resolve(const char *host,
                uint16_t port,
                bool is_passive,
                struct bbi_net_addresses *out,
                struct bbi_fault *f)
{
    char bare[256], service[8];
    size_t bytes = strlen(host);
    struct addrinfo *list = NULL;
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (is_passive ? AI_PASSIVE : 0),
    };
    if (is_passive && strcmp(host, "*") == 0) {
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
    int rc = bbi_net_resolve(host, 0, true, &found, f);
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
