/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/names.c - words for roles and states, and the versions.
 */
#include "busbar/endpoint.h"
#include "busbar/inspect.h"
#include "shm/layout.h"
#include <string.h>

static_assert(BUSBAR_LAYOUT_VERSION == BBI_LAYOUT_MAJOR, "the public number is that of the layout");

static const char *const ROLES[] = {"none", "manager", "proxy", "logger", "worker", "tool"};
enum { ROLE_COUNT = (int)(sizeof(ROLES) / sizeof(ROLES[0])) };

const char *
bb_role_name(uint32_t role)
{
    return role < ROLE_COUNT ? ROLES[role] : ROLES[0];
}

int
bb_role_parse(const char *name)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (strcmp(name, ROLES[i]) == 0) {
            return i;
        }
    }
    return BB_EINVAL;
}

const char *
bb_node_state_name(uint32_t state)
{
    switch (state) {
    case BB_NODE_RUNNING:
        return "running";
    case BB_NODE_STOPPED:
        return "stopped";
    case BB_NODE_DEAD:
        return "dead";
    case BB_NODE_LEFT:
        return "left";
    default:
        return "unknown";
    }
}

const char *
bb_version(void)
{
    return BUSBAR_VERSION;
}

uint32_t
bb_version_number(void)
{
    return BUSBAR_VERSION_NUMBER;
}

uint32_t
bb_layout_version(void)
{
    return BBI_LAYOUT_MAJOR;
}
