/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/config.h - the file of busbard: [bridge] with the keys of settings, and a [peer NAME] for each peer.
 */
#ifndef BUSBAR_TOOLS_DAEMON_CONFIG_H
#define BUSBAR_TOOLS_DAEMON_CONFIG_H

#include "tools/daemon/settings.h"

/*
 * daemon_config_read - *out (to be fini'd either way) as the file says.
 *
 * Paths     that do not begin with / begin where the file lies.
 * Returns   0; -1 with file, line and what is wrong.
 */
int daemon_config_read(struct daemon_settings *out, const char *path, struct daemon_wrong *wrong);

#endif
