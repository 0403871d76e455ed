/* SPDX-License-Identifier: Apache-2.0 */
#include "base/service.h"
#include "base/mem.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LISTEN_FDS_START = 3 };

void service_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	if (!path || (path[0] != '/' && path[0] != '@') ||
		strlen(path) >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, strlen(path));
	if (path[0] == '@')
		sun.sun_path[0] = 0;
	CLEANUP(mem_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	ssize_t sent = sendto(
		fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sun, n);
	(void)sent; /* a supervisor that does not listen is not our failure */
}

static void notify_with_status(const char *state, const char *status)
{
	char text[512];
	snprintf(text, sizeof(text), "%sSTATUS=%s", state, status ? status : "");
	service_notify(text);
}

void service_ready(const char *status) { notify_with_status("READY=1\n", status); }
void service_status(const char *status) { notify_with_status("", status); }
void service_stopping(void) { service_notify("STOPPING=1"); }

/* systemd wants to know when it began, by the clock it uses itself (Type=notify-reload). */
void service_reloading(void)
{
	struct timespec t;
	char text[64];
	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
	service_notify(text);
}

/* A variable of the environment as a number from 1; 0 when it is not set or is none. */
static unsigned long long env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	if (!text || *text < '0' || *text > '9')
		return 0;
	unsigned long long v = strtoull(text, &end, 10);
	return *end ? 0 : v;
}

static bool is_for_us(const char *name)
{
	return env_number(name) == (unsigned long long)getpid();
}

void service_hold_back(void)
{
	struct timespec second = { .tv_sec = 1 };
	if (getenv("NOTIFY_SOCKET"))
		nanosleep(&second, NULL);
}

uint64_t service_watchdog_ns(void)
{
	if (getenv("WATCHDOG_PID") && !is_for_us("WATCHDOG_PID"))
		return 0;
	unsigned long long us = env_number("WATCHDOG_USEC");
	return us > UINT64_MAX / 1000 ? 0 : us * 1000 / 2;
}

kf_err service_signals(int *ret_fd)
{
	sigset_t set;
	sigemptyset(&set);
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaddset(&set, ours[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return kf_fail(IO, "signals cannot be blocked");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ,
		SIG_IGN); /* a limit on files is like a full disk: an error, not the end */
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return kf_fail(IO, "signalfd");
	*ret_fd = fd;
	return KF_OK;
}

int service_next_signal(int fd)
{
	struct signalfd_siginfo info;
	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)
		       ? (int)info.ssi_signo
		       : 0;
}

/* Copies the name up to the next colon and returns where the one after it starts. */
static const char *next_name(const char *names, char *ret, size_t size)
{
	size_t n = strcspn(names, ":");
	snprintf(ret, size, "%.*s", (int)n, names);
	return names + n + (names[n] == ':');
}

static void forget_sockets(void)
{
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}

size_t service_sockets(struct service_socket *ret, size_t max)
{
	size_t n = is_for_us("LISTEN_PID") ? (size_t)env_number("LISTEN_FDS") : 0;
	if (n > max)
		n = max;
	const char *names = getenv("LISTEN_FDNAMES");
	if (!names)
		names = "";
	for (size_t i = 0; i < n; i++) {
		ret[i].fd = LISTEN_FDS_START + (int)i;
		fcntl(ret[i].fd, F_SETFD, FD_CLOEXEC);
		names = next_name(names, ret[i].name, sizeof(ret[i].name));
	}
	forget_sockets();
	return n;
}
