/* SPDX-License-Identifier: Apache-2.0 */
/* address: "192.0.2.1:5696", "[::1]:5696", "unix:/run/keyfleet/agent.sock", "unix:@keyfleet-agent".
 *
 * Numbers only: who wants names resolves them first (getaddrinfo blocks).
 */
#pragma once
#include "base/buf.h"
#include <sys/socket.h>

enum { ADDRESS_TEXT_MAX = 128 };

struct address {
	struct sockaddr_storage sa;
	socklen_t n;
};

kf_err address_parse(const char *text, struct address *ret);
void address_print(const struct address *a, char ret[ADDRESS_TEXT_MAX]);
bool address_is_unix(const struct address *a);

/* The local and the remote end of a socket. */
kf_err address_of_socket(int fd, struct address *ret);
kf_err address_of_peer(int fd, struct address *ret);

/* TCP_NODELAY and keep-alive, where they make sense. */
void address_tune(int fd, const struct address *a);

/* Starts a connection: non-blocking, close-on-exec, TCP_NODELAY, keep-alive.  It is there when the
 * socket becomes writable and connect_result() is OK. */
kf_err connect_start(const struct address *a, int *ret_fd);
kf_err connect_result(int fd); /* UNAVAILABLE when it failed */
/* Of one that is there: it breaks when nobody acknowledges what was sent for so long. */
enum { CONNECT_UNHEARD_MS = 2000 };
void connect_tune(int fd);
