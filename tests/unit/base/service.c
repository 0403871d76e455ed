/* SPDX-License-Identifier: Apache-2.0 */
#include "base/service.h"
#include "base/mem.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_for_states(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int n = snprintf(sun.sun_path + 1, 64, "keyfleet-notify-%d", (int)getpid());
	char name[80] = "@";
	strcat(name, sun.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	socklen_t size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	return bind(fd, (struct sockaddr *)&sun, size) == 0 ? fd : -1;
}

static const char *next_state(int fd)
{
	static char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	return text;
}

TEST(the_supervisor_is_told)
{
	CLEANUP(mem_closep) int fd = listen_for_states();
	OK(fd >= 0);
	service_ready("serving 3 keys");
	OK(strcmp(next_state(fd), "READY=1\nSTATUS=serving 3 keys") == 0);
	service_status("draining");
	OK(strcmp(next_state(fd), "STATUS=draining") == 0);
	service_reloading();
	OK(strncmp(next_state(fd), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
	service_stopping();
	OK(strcmp(next_state(fd), "STOPPING=1") == 0);
	unsetenv("NOTIFY_SOCKET");
	service_stopping();
	OK(*next_state(fd) == 0);
}

TEST(the_watchdog_is_fed_twice_as_often_as_asked)
{
	char us[32];
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	EQ(service_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	EQ(service_watchdog_ns(), 15000000000);
	snprintf(us, sizeof(us), "%d", (int)getpid() + 1);
	setenv("WATCHDOG_PID", us, 1);
	EQ(service_watchdog_ns(), 0);
	setenv("WATCHDOG_PID", "", 1);
	setenv("WATCHDOG_USEC", "-1", 1);
	EQ(service_watchdog_ns(), 0);
}

TEST(signals_arrive_by_descriptor)
{
	CLEANUP(mem_closep) int fd = -1;
	OK(kf_ok(service_signals(&fd)));
	EQ(service_next_signal(fd), 0);
	kill(getpid(), SIGHUP);
	EQ(service_next_signal(fd), SIGHUP);
	EQ(service_next_signal(fd), 0);
}

TEST(inherited_sockets_have_names_and_are_taken_once)
{
	struct service_socket s[4];
	char pid[32];
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "abstract:path", 1);
	EQ(service_sockets(s, 4), 2);
	EQ(s[0].fd, 3);
	OK(strcmp(s[0].name, "abstract") == 0);
	EQ(s[1].fd, 4);
	OK(strcmp(s[1].name, "path") == 0);
	EQ(service_sockets(s, 4), 0);
}

TEST(sockets_of_another_process_are_not_ours)
{
	struct service_socket s[4];
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "2", 1);
	EQ(service_sockets(s, 4), 0);
	OK(getenv("LISTEN_FDS") == NULL);
}
TEST_MAIN
