/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/report.h"

#include <inttypes.h>
#include <string.h>

enum { TEXT_CLIENTS = 16 }; /* for people; JSON has all of them */

/* ---- JSON -------------------------------------------------------------------------------------- */

static void
json_string(FILE *out, const char *s)
{
    (void)fputc('"', out);
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out, "\\u%04x", (unsigned)c);
        } else {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

static void
json_known(FILE *out, const struct sensor_known *known)
{
    char text[SENSOR_ADDRESS_TEXT];

    json_string(out, known->node);
    if (known->why != NULL) {
        (void)fputs(":null", out);
        return;
    }
    (void)fputs(":[", out);
    for (size_t i = 0; i < known->count; i++) {
        sensor_address_text(known->clients[i].ip, text);
        (void)fprintf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    (void)fputc(']', out);
}

/* Only in a result that is not whole: what became of the rest. */
static void
json_missing(FILE *out, const struct sensor_report *r)
{
    const struct sensor_layout *layout = r->layout;
    const char *comma = "";

    (void)fprintf(out, ",\"gone\":%" PRIu64 ",\"nowhere\":%" PRIu64, r->sum.gone, r->sum.nowhere);
    (void)fputs(",\"complete\":false,\"missing\":[", out);
    for (uint32_t i = 0; layout != NULL && i < layout->count; i++) {
        if (layout->peers[i].state == SENSOR_PEER_MISSING || layout->peers[i].is_gone) {
            (void)fputs(comma, out);
            json_string(out, layout->peers[i].name);
            comma = ",";
        }
    }
    (void)fputc(']', out);
}

static int
finish(FILE *out)
{
    return fflush(out) == 0 && ferror(out) == 0 ? 0 : -1;
}

int
sensor_report_json(FILE *out, const struct sensor_report *r)
{
    (void)fprintf(out,
                  "{\"packets\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"events\":%" PRIu64
                  ",\"delivered\":%" PRIu64 ",\"filtered\":%" PRIu64 ",\"lost\":%" PRIu64
                  ",\"nodes\":{",
                  r->sum.packets, r->sum.connections, r->sum.events, r->sum.delivered,
                  r->sum.filtered, r->sum.lost);
    for (size_t i = 0; i < r->known_count; i++) {
        if (i != 0) {
            (void)fputc(',', out);
        }
        json_known(out, &r->known[i]);
    }
    (void)fprintf(out, "},\"log_records\":%" PRIu64 ",\"log_lost\":%" PRIu64, r->sum.log_records,
                  r->sum.log_lost);
    if (!r->complete) {
        json_missing(out, r);
    }
    (void)fputs("}\n", out);
    return finish(out);
}

/* ---- for people -------------------------------------------------------------------------------- */

static void
text_worker(FILE *out, const struct sensor_peer *peer)
{
    if (peer->state != SENSOR_PEER_ENDED) {
        (void)fprintf(out, "%-20s %10s %12s %10" PRIu64 "  missing: it %s\n", peer->name, "-", "-",
                      peer->delivered, peer->why != NULL ? peer->why : "is not there");
        return;
    }
    (void)fprintf(out, "%-20s %10" PRIu64 " %12" PRIu64 " %10" PRIu64 "\n", peer->name,
                  peer->end.packets, peer->end.connections, peer->end.events);
}

static void
text_worker_tables(FILE *out, const struct sensor_layout *layout)
{
    for (uint32_t i = 0; i < layout->workers; i++) {
        text_worker(out, &layout->peers[i]);
    }
}

/* As `broctl print EX::known_clients` shows it: each node and its set. */
static void
text_known(FILE *out, const struct sensor_known *known)
{
    char text[SENSOR_ADDRESS_TEXT];

    if (known->why != NULL) {
        (void)fprintf(out, "%-20s no answer: %s\n", known->node, known->why);
        return;
    }
    (void)fprintf(out, "%-20s EX::known_clients = {%s\n", known->node,
                  known->count == 0 ? "}" : "");
    for (size_t i = 0; i < known->count && i < TEXT_CLIENTS; i++) {
        sensor_address_text(known->clients[i].ip, text);
        (void)fprintf(out, "  %s\n", text);
    }
    if (known->count > TEXT_CLIENTS) {
        (void)fprintf(out, "  ... and %zu more (--json has all)\n", known->count - TEXT_CLIENTS);
    }
    if (known->count != 0) {
        (void)fputs("}\n", out);
    }
}

int
sensor_report_text(FILE *out, const struct sensor_report *r)
{
    (void)fprintf(out, "%-20s %10s %12s %10s\n", "node", "packets", "connections", "events");
    if (r->layout != NULL) {
        text_worker_tables(out, r->layout);
    }
    (void)fprintf(out, "%-20s %10" PRIu64 " %12" PRIu64 " %10" PRIu64 "%s\n", "all", r->sum.packets,
                  r->sum.connections, r->sum.events,
                  r->complete ? "" : "  (not all of the capture)");
    (void)fprintf(out,
                  "\nover the bus: %" PRIu64 " delivered, %" PRIu64 " filtered, %" PRIu64 " lost\n",
                  r->sum.delivered, r->sum.filtered, r->sum.lost);
    (void)fprintf(out, "conn log: %" PRIu64 " records written, %" PRIu64 " lost\n",
                  r->sum.log_records, r->sum.log_lost);
    if (r->sum.gone + r->sum.nowhere != 0) {
        (void)fprintf(out,
                      "not handled: %" PRIu64 " went with a node that died, %" PRIu64
                      " had nowhere to go\n",
                      r->sum.gone, r->sum.nowhere);
    }
    (void)fprintf(out, "\nclients of %s:\n", strcmp(r->watch, "any") == 0 ? "any host" : r->watch);
    for (size_t i = 0; i < r->known_count; i++) {
        text_known(out, &r->known[i]);
    }
    return finish(out);
}
