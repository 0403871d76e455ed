/* SPDX-License-Identifier: Apache-2.0 */
/* service: what a daemon owes its supervisor: readiness, signals, inherited sockets.
 *
 * sd_notify is a datagram of twenty lines; we do without libsystemd in a process that holds keys.
 * Called by the main thread.
 */
#pragma once
#include "base/buf.h"

/* Does nothing unless $NOTIFY_SOCKET is set.  `state` is as in sd_notify(3): "READY=1\nSTATUS=ok". */
void service_notify(const char *state);
void service_ready(const char *status); /* READY=1, STATUS= */
void service_status(const char *status);
void service_reloading(void); /* followed by service_ready() when done */
void service_stopping(void);
/* The exit status of a program whose configuration file has mistakes (EX_CONFIG of sysexits.h): our units
 * do not start it again by themselves. */
enum { SERVICE_MISCONFIGURED = 78 };
/* Before the end of a program that could not start: a supervisor that starts it again at once gets a pause
 * of a second; without one, nothing happens. */
void service_hold_back(void);
/* How often to send service_notify("WATCHDOG=1"), half of what was asked; 0: never. */
uint64_t service_watchdog_ns(void);

/* Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 for the thread (and those it starts later), ignores
 * SIGPIPE, and returns a non-blocking descriptor that becomes readable with a signal. */
kf_err service_signals(int *ret_fd);
int service_next_signal(int fd); /* 0: none waits */

struct service_socket {
	int fd;        /* listening, close-on-exec */
	char name[64]; /* FileDescriptorName=, "" when the supervisor gave none */
};

/* Sockets handed over by systemd (LISTEN_FDS); returns their number, at most max.  To be called once:
 * it clears the environment, so that children do not take them for theirs. */
size_t service_sockets(struct service_socket *ret, size_t max);
