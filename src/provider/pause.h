/* SPDX-License-Identifier: Apache-2.0
 *
 * pause: waiting for the key agent.  Inside an OpenSSL ASYNC job (HAProxy's ssl-mode-async) the job is
 * paused and the server serves others; everywhere else the thread blocks.
 */
#pragma once
#include "client/local.h"

void pause_until_done(struct local_call *c);
