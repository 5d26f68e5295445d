/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/daemon/exit.h"

#include <busbar/status.h>

int
daemon_exit_code(int status)
{
    if (status >= 0) {
        return DAEMON_DONE;
    }
    switch (status) {
    case BB_EEXIST:
    case BB_ENOTSUP:
        return DAEMON_NO;
    case BB_EINVAL:
    case BB_ENAMETOOLONG:
        return DAEMON_USAGE;
    case BB_ENOENT:
    case BB_ENOBUS:
        return DAEMON_NONE;
    case BB_EACCES:
    case BB_ETRUST:
    case -EPERM:
    case -EROFS:
        return DAEMON_PERMISSION;
    case BB_EVERSION:
        return DAEMON_VERSION;
    case BB_EMSGSIZE:
    case BB_ENOMEM:
    case BB_ENOSPC:
    case BB_EMFILE:
    case BB_ENFILE:
    case BB_EFULL:
        return DAEMON_RESOURCE;
    default:
        return DAEMON_FAILED;
    }
}
