/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/value/types.h"

#include "lib/value/native.h"

static const char *const names[BBI_TYPE_COUNT] = {
    "none", "boolean",   "count",    "integer",    "real", "string", "address", "subnet",
    "port", "timestamp", "timespan", "enum-value", "set",  "table",  "vector",
};

const char *
bb_type_name(int type)
{
    return type >= 0 && type < BBI_TYPE_COUNT ? names[type] : NULL;
}

int
bbi_type_find(const char *name, size_t bytes)
{
    for (int type = 0; type < BBI_TYPE_COUNT; type++) {
        if (strlen(names[type]) == bytes && memcmp(names[type], name, bytes) == 0) {
            return type;
        }
    }
    return BB_EINVAL;
}

int
bb_type_parse(const char *name)
{
    return strcmp(name, "enum") == 0 ? (int)BB_ENUM : bbi_type_find(name, strlen(name));
}
