/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/bridges.c - addresses, links, sentences.
 */
#include "tools/cli/bridges.h"

#include "tools/cli/read.h"
#include "tools/cli/report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses ------------------------------------------------------------------------------------- */

/* split - the host without its brackets, and what stands behind the colon; 0: it is no such thing. */
static int
split(const char *text, struct cli_place *out, const char **port)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t bytes = colon != NULL ? (size_t)(colon - text) : 0;
    if (bytes > 2 && text[0] == '[' && text[bytes - 1] == ']') {
        host++;
        bytes -= 2;
    } else if (bytes > 0 && memchr(text, ':', bytes) != NULL) {
        return 0; /* which of the colons is it? */
    }
    if (bytes == 0 || bytes >= sizeof(out->host)) {
        return 0;
    }
    memcpy(out->host, host, bytes);
    out->host[bytes] = '\0';
    *port = colon + 1;
    return 1;
}

static int
read_place(const struct cli_call *call, const char *text, struct cli_place *out, uint64_t least)
{
    const char *port = NULL;
    uint64_t n = 0;
    out->text = text;
    if (!split(text, out, &port)) {
        return cli_wrong(call->verb,
                         "\"%.200s\" is no address: write HOST:PORT, or [::1]:PORT for IPv6", text);
    }
    if (cli_read_count(port, &n) < 0 || n < least || n > UINT16_MAX) {
        return cli_wrong(call->verb, "\"%.40s\" is no port: one is %u to 65535", port,
                         (unsigned)least);
    }
    out->port = (uint16_t)n;
    return CLI_DONE;
}

int
cli_place_read(const struct cli_call *call, const char *text, struct cli_place *out)
{
    int code = read_place(call, text, out, 1);
    if (code == CLI_DONE && strcmp(out->host, "*") == 0) {
        return cli_wrong(call->verb, "\"*\" is every address of this box: one can listen there, "
                                     "not link to it");
    }
    return code;
}

int
cli_place_read_listen(const struct cli_call *call, const char *text, struct cli_place *out)
{
    return read_place(call, text, out, 0);
}

/* ---- sentences ------------------------------------------------------------------------------------- */

int
cli_bridge_report(const struct cli_call *call,
                  int status,
                  const struct bb_error *error,
                  const char *what)
{
    int code = cli_report(call, status, error, what);
    switch (status) {
    case BB_ENORESPONDERS:
        return CLI_NONE;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -ECONNABORTED:
    case -EPIPE:
    case -ENETUNREACH:
    case -EHOSTUNREACH:
    case -EADDRINUSE:
    case -EADDRNOTAVAIL:
    case BB_ECANCELED:
        return CLI_NO;
    default:
        return code;
    }
}

/* ---- links ----------------------------------------------------------------------------------------- */

int
cli_links_list(const struct cli_call *call, struct bb_endpoint *ep, struct cli_links *out)
{
    struct bb_error error = {0};
    size_t room = 0;
    int n = bb_bridge_links(ep, NULL, 0, &error);
    *out = (struct cli_links){0};
    while (n >= 0 && (size_t)n > room) { /* more may have come since they were counted */
        room = (size_t)n + 8;
        free(out->v);
        out->v = calloc(room, sizeof(*out->v));
        n = out->v != NULL ? bb_bridge_links(ep, out->v, room, &error) : BB_ENOMEM;
    }
    if (n < 0) {
        free(out->v);
        out->v = NULL;
        return cli_bridge_report(call, n, &error, "cannot list the links");
    }
    out->count = (size_t)n;
    return CLI_DONE;
}

const char *
cli_box_text(char buf[CLI_BOX_BYTES], const uint8_t box[16])
{
    for (int i = 0; i < 16; i++) {
        (void)snprintf(buf + (ptrdiff_t)2 * i, 3, "%02x", box[i]);
    }
    return buf;
}

static const char *const slow_names[] = {"drop-oldest", "drop-newest", "disconnect"};
enum { SLOW_COUNT = sizeof(slow_names) / sizeof(slow_names[0]) };

const char *
cli_slow_name(uint32_t slow)
{
    return slow < SLOW_COUNT ? slow_names[slow] : "unknown";
}

int
cli_slow_parse(const char *name)
{
    for (int i = 0; i < SLOW_COUNT; i++) {
        if (strcmp(name, slow_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void
put_who(struct cli_json *j, const struct bb_link_info *l)
{
    static const uint8_t nobody[16];
    char box[CLI_BOX_BYTES];
    cli_json_text(j, "address", l->address);
    if (l->name[0] != '\0') {
        cli_json_text(j, "name", l->name);
    } else {
        cli_json_null(j, "name");
    }
    if (memcmp(l->box, nobody, sizeof(nobody)) != 0) {
        cli_json_text(j, "box", cli_box_text(box, l->box));
    } else {
        cli_json_null(j, "box");
    }
    cli_json_text(j, "state", bb_link_state_name(l->state));
    cli_json_boolean(j, "dialed", l->dialed != 0);
    cli_json_text(j, "slow", cli_slow_name(l->slow));
    cli_json_text(j, "cipher", l->cipher);
    cli_json_text(j, "last", l->last);
}

static void
put_times(struct cli_json *j, const struct bb_link_info *l)
{
    if (l->state == BB_LINK_UP) {
        cli_json_wall(j, "up_since", l->up_wall_ns);
    } else {
        cli_json_null(j, "up_since");
    }
    if (l->retry_in_ns >= 0 && l->state == BB_LINK_DOWN && l->dialed != 0) {
        cli_json_integer(j, "retry_in_ns", l->retry_in_ns);
    } else {
        cli_json_null(j, "retry_in_ns");
    }
    cli_json_count(j, "ups", l->ups);
    cli_json_count(j, "attempts", l->attempts);
    cli_json_integer(j, "round_trip_ns", l->round_trip_ns);
    cli_json_integer(j, "clock_offset_ns", l->clock_offset_ns);
    cli_json_integer(j, "clock_error_ns", l->clock_error_ns);
}

void
cli_link_put_json(struct cli_json *j, const struct bb_link_info *l)
{
    cli_json_object(j, NULL);
    put_who(j, l);
    put_times(j, l);
    cli_json_count(j, "sent", l->sent);
    cli_json_count(j, "received", l->received);
    cli_json_count(j, "sent_bytes", l->sent_bytes);
    cli_json_count(j, "received_bytes", l->received_bytes);
    cli_json_boolean(j, "compressed", l->compressed != 0);
    cli_json_count(j, "sent_plain_bytes", l->sent_plain_bytes);
    cli_json_count(j, "received_plain_bytes", l->received_plain_bytes);
    cli_json_count(j, "sent_per_s", l->sent_per_s);
    cli_json_count(j, "received_per_s", l->received_per_s);
    cli_json_count(j, "queued", l->queued);
    cli_json_count(j, "queue_bytes", l->queue_bytes);
    cli_json_count(j, "queue_max", l->queue_max);
    cli_json_count(j, "dropped", l->dropped);
    cli_json_count(j, "lost_before", l->lost_before);
    cli_json_count(j, "gap_messages", l->gap_messages);
    cli_json_count(j, "uncertain", l->uncertain);
    cli_json_count(j, "denied_in", l->denied_in);
    cli_json_count(j, "denied_out", l->denied_out);
    cli_json_count(j, "credit_bytes", l->credit_bytes);
    cli_json_count(j, "credit_messages", l->credit_messages);
    cli_json_count(j, "blocked", l->blocked);
    cli_json_count(j, "interests", l->interests);
    cli_json_count(j, "peer_interests", l->peer_interests);
    cli_json_end_object(j);
}
