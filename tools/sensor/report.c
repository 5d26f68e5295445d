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
json_clients(FILE *out, const struct sensor_report *r)
{
    char text[SENSOR_ADDRESS_TEXT];

    (void)fputc('[', out);
    for (size_t i = 0; i < r->client_count; i++) {
        sensor_address_text(r->clients[i].ip, text);
        (void)fprintf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    (void)fputc(']', out);
}

/* Only in a result that is not whole: which nodes did not come to their end. */
static void
json_missing(FILE *out, const struct sensor_layout *layout)
{
    const char *comma = "";

    (void)fputs(",\"complete\":false,\"missing\":[", out);
    for (uint32_t i = 0; i < layout->count; i++) {
        if (layout->peers[i].state == SENSOR_PEER_MISSING) {
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
    json_string(out, r->manager);
    (void)fputc(':', out);
    json_clients(out, r);
    for (uint32_t i = 0; i < r->layout->count; i++) {
        (void)fputc(',', out);
        json_string(out, r->layout->peers[i].name);
        (void)fputs(":[]", out);
    }
    (void)fputc('}', out);
    if (!r->complete) {
        json_missing(out, r->layout);
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
text_clients(FILE *out, const struct sensor_report *r)
{
    char text[SENSOR_ADDRESS_TEXT];
    bool is_any = strcmp(r->watch, "any") == 0;

    (void)fprintf(out, "\n%s knows %zu client%s of %s%s\n", r->manager, r->client_count,
                  r->client_count == 1 ? "" : "s", is_any ? "any host" : r->watch,
                  r->client_count == 0 ? "" : ":");
    for (size_t i = 0; i < r->client_count && i < TEXT_CLIENTS; i++) {
        sensor_address_text(r->clients[i].ip, text);
        (void)fprintf(out, "  %s\n", text);
    }
    if (r->client_count > TEXT_CLIENTS) {
        (void)fprintf(out, "  ... and %zu more (--json has all)\n", r->client_count - TEXT_CLIENTS);
    }
}

int
sensor_report_text(FILE *out, const struct sensor_report *r)
{
    (void)fprintf(out, "%-20s %10s %12s %10s\n", "node", "packets", "connections", "events");
    for (uint32_t i = 0; i < r->layout->count; i++) {
        text_worker(out, &r->layout->peers[i]);
    }
    (void)fprintf(out, "%-20s %10" PRIu64 " %12" PRIu64 " %10" PRIu64 "%s\n", "all", r->sum.packets,
                  r->sum.connections, r->sum.events,
                  r->complete ? "" : "  (not all of the capture)");
    (void)fprintf(out,
                  "\nover the bus: %" PRIu64 " delivered, %" PRIu64 " filtered, %" PRIu64 " lost\n",
                  r->sum.delivered, r->sum.filtered, r->sum.lost);
    text_clients(out, r);
    return finish(out);
}
