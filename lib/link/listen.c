/* SPDX-License-Identifier: BSD-3-Clause */
/* Places where other boxes come in. */
#include "lib/link/hub_impl.h"

#include <stdio.h>
#include <string.h>

/* Who has the user's key is this user, on this box: beyond it that says nothing. */
int
bbi_hub_may_listen(enum bbi_security security, const char *host, struct bbi_fault *f)
{
    if (host == NULL || strlen(host) >= BBI_HUB_HOST_BYTES) {
        return bbi_fault_set(f, BB_EINVAL, "", "a place to listen on is HOST:PORT");
    }
    if (security != BBI_SECURITY_USER_KEY) {
        return 0;
    }
    int rc = bbi_net_is_loopback(host, f);
    if (rc < 0) {
        return rc;
    }
    return rc == 1 ? 0
                   : bbi_fault_set(f, BB_EACCES, host,
                                   "%s can be reached from other boxes, and without keys nobody is "
                                   "known there: give --cert or --psk, or write --insecure",
                                   host);
}

int
bbi_hub_listen(
    struct bbi_hub *hub, const char *host, uint16_t port, uint16_t *port_out, struct bbi_fault *f)
{
    int rc = bbi_hub_may_listen(hub->opts.security, host, f);
    if (rc != 0) {
        return rc;
    }
    struct bbi_listener *l = bbi_hub_take(hub, sizeof(*l));
    if (l == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, host, "no memory to listen on %s", host);
    }
    rc = bbi_net_listen(hub->net, host, port, &l->id, &l->port, f);
    if (rc != 0) {
        bbi_hub_give(hub, l, sizeof(*l));
        return rc;
    }
    (void)snprintf(l->host, sizeof(l->host), "%s", host);
    l->next = hub->listeners;
    hub->listeners = l;
    if (port_out != NULL) {
        *port_out = l->port;
    }
    return 0;
}

static void
close_first(struct bbi_hub *hub, struct bbi_listener **p)
{
    struct bbi_listener *l = *p;
    *p = l->next;
    bbi_net_end(hub->net, l->id, BBI_NET_ABORT);
    bbi_hub_give(hub, l, sizeof(*l));
}

int
bbi_hub_unlisten(struct bbi_hub *hub, const char *host, uint16_t port)
{
    struct bbi_listener **p = &hub->listeners;
    while (*p != NULL && ((*p)->port != port || strcmp((*p)->host, host) != 0)) {
        p = &(*p)->next;
    }
    if (*p == NULL) {
        return BB_ENOENT;
    }
    close_first(hub, p);
    return 0;
}

void
bbi_listen_close_all(struct bbi_hub *hub)
{
    while (hub->listeners != NULL) {
        close_first(hub, &hub->listeners);
    }
}
