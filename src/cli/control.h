/* SPDX-License-Identifier: Apache-2.0
 *
 * control: HAProxy's stats socket.
 */
#pragma once
#include "site/site.h"

/* The first one with `level admin`; false: there is none. */
bool control_socket_of(const struct site *s, char *ret, size_t size);
/* `set ssl cert` and `commit ssl cert`: what the running HAProxy serves from this file from now on.  CONFLICT when it
 * does not take it, UNAVAILABLE when nobody listens. */
kf_err control_set_certificate(const char *socket, const char *file, struct slice pem);
