/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/machine.c - from /proc, uname, and what CMake compiled in.
 */
#include "bench/machine.h"

#include "bench/options.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef BENCH_BUILD_FLAGS
#    define BENCH_BUILD_FLAGS "flags not known"
#endif

/* The value behind "key : " of the first core; "" if it is not there. */
static void
cpuinfo(const char *key, char *out, size_t cap)
{
    char line[4096];
    FILE *f = fopen("/proc/cpuinfo", "re");
    out[0] = '\0';
    while (f != NULL && out[0] == '\0' && fgets(line, sizeof(line), f) != NULL) {
        char *colon = strchr(line, ':');
        if (colon != NULL && strncmp(line, key, strlen(key)) == 0) {
            colon[strcspn(colon, "\n")] = '\0';
            (void)snprintf(out, cap, "%s", colon + 1 + (colon[1] == ' '));
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

void
bench_machine(char *out, size_t cap)
{
    char model[128], flags[4096];
    struct utsname u = {0};
    cpuinfo("model name", model, sizeof(model));
    cpuinfo("flags", flags, sizeof(flags));
    (void)uname(&u);
    (void)snprintf(out, cap, "%s, %ld cores, %s %s %s%s",
                   model[0] != '\0' ? model : "unknown processor", sysconf(_SC_NPROCESSORS_ONLN),
                   u.sysname, u.release, u.machine,
                   strstr(flags, " hypervisor") != NULL ? ", in a virtual machine" : "");
}

void
bench_build(char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s; bench: %s", BB_BUILD_STRING, BENCH_BUILD_FLAGS);
}

void
bench_pins(const struct bench_options *o, char *out, size_t cap)
{
    if (o->pinning == BENCH_PIN_OFF) {
        (void)snprintf(out, cap, "none");
        return;
    }
    size_t at =
        (size_t)snprintf(out, cap, "%s", o->pinning == BENCH_PIN_SAME ? "all on core " : "cores ");
    unsigned count = o->pinning == BENCH_PIN_SAME ? 1 : o->cpu_count;
    for (unsigned i = 0; i < count && at < cap; i++) {
        at += (size_t)snprintf(out + at, cap - at, "%s%d", i > 0 ? "," : "", o->cpus[i]);
    }
}
