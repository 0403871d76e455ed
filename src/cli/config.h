/* SPDX-License-Identifier: Apache-2.0
 *
 * config: what the commands take from client.conf beyond the connection, which is libkeyfleet's.
 */
#pragma once
#include "cli/cli.h"

/* `given`, or else the folder of the configuration. */
kf_err config_dir(const struct cli *c, const char *given, char *ret, size_t size);
/* `given`, or else `authority` of the configuration, or else the folder "ca" beside it. */
kf_err config_authority(const struct cli *c, const char *given, char *ret, size_t size);
