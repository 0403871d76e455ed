/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listen.h"
#include "base/mem.h"
#include "test.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *round_trip(const char *in)
{
	static char text[ADDRESS_TEXT_MAX];
	struct address a;
	if (!kf_ok(address_parse(in, &a)))
		return "refused";
	address_print(&a, text);
	return text;
}

TEST(addresses_are_read_and_printed)
{
	static const char *const good[] = { "127.0.0.1:5696", "[::]:0",
		"[2001:db8::1]:65535", "unix:/run/keyfleet/agent.sock",
		"unix:@keyfleet-agent" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		OK(strcmp(round_trip(good[i]), good[i]) == 0);
}

TEST(what_is_no_address_is_refused)
{
	static const char *const bad[] = { "", ":", "1.2.3.4",
		"1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "::1:5696", "[::1]5696",
		"[1.2.3.4]:1", "host:1", "unix:", "[]:1",
		"unix:/"
		"234567890123456789012345678901234567890123456789012345678901234567890123"
		"4567"
		"890123456789012345678901234567890" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		OK(strcmp(round_trip(bad[i]), "refused") == 0);
}

static int accepted_fd = -1, n_accepted;
static char peer_text[ADDRESS_TEXT_MAX];

static void accepted(struct listener *l, int fd, const struct address *peer)
{
	(void)l;
	if (accepted_fd >= 0)
		close(accepted_fd);
	accepted_fd = fd;
	n_accepted++;
	address_print(peer, peer_text);
}

struct service {
	struct loop *loop;
	struct listener listener;
	struct address at;
};

static kf_err start(struct service *s, const char *address)
{
	int fd;
	struct address a;
	*s = (struct service){ .listener.accepted = accepted };
	n_accepted = 0;
	KF_TRY(loop_new(&(struct loop_options){ 0 }, &s->loop));
	KF_TRY(address_parse(address, &a));
	KF_TRY(listen_open(&a, NULL, &fd));
	KF_TRY(address_of_socket(fd, &s->at));
	return listener_start(&s->listener, s->loop, fd);
}

static void stop(struct service *s)
{
	listener_stop(&s->listener);
	listener_stop(&s->listener);
	loop_free(s->loop);
	mem_closep(&accepted_fd);
}

TEST(connections_are_accepted_on_the_port_that_was_picked)
{
	struct service s;
	CLEANUP(mem_closep) int fd = -1;
	struct address me;
	char text[ADDRESS_TEXT_MAX];
	OK(kf_ok(start(&s, "127.0.0.1:0")));
	address_print(&s.at, text);
	OK(strcmp(text, "127.0.0.1:0") != 0);

	OK(kf_ok(connect_start(&s.at, &fd)));
	OK(kf_ok(loop_round(s.loop, 1000)));
	EQ(n_accepted, 1);
	OK(kf_ok(connect_result(fd)));
	OK(kf_ok(address_of_socket(fd, &me)));
	address_print(&me, text);
	OK(strcmp(text, peer_text) == 0);

	struct address taken = s.at;
	int other;
	OK(kf_is(listen_open(&taken, NULL, &other), KF_E_EXISTS));
	stop(&s);
}

TEST(a_pause_leaves_connections_in_the_backlog)
{
	struct service s;
	CLEANUP(mem_closep) int fd = -1;
	OK(kf_ok(start(&s, "127.0.0.1:0")));
	OK(kf_ok(listener_pause(&s.listener, true)));
	OK(kf_ok(connect_start(&s.at, &fd)));
	OK(kf_ok(loop_round(s.loop, 0)));
	EQ(n_accepted, 0);
	OK(kf_ok(listener_pause(&s.listener, false)));
	OK(kf_ok(loop_round(s.loop, 1000)));
	EQ(n_accepted, 1);
	stop(&s);
}

TEST(when_descriptors_run_out_the_client_is_told)
{
	struct service s;
	struct rlimit was, none;
	CLEANUP(mem_closep) int fd = -1;
	char c;
	OK(kf_ok(start(&s, "127.0.0.1:0")));
	OK(kf_ok(connect_start(&s.at, &fd)));
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = (rlim_t)fd + 1; /* descriptors are dense: no free one below */
	setrlimit(RLIMIT_NOFILE, &none);

	kf_err e = loop_round(s.loop, 1000);

	setrlimit(RLIMIT_NOFILE, &was);
	OK(kf_ok(e));
	EQ(n_accepted, 0);
	EQ(s.listener.refused, 1);
	EQ(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	stop(&s);
}

TEST(a_lost_reserve_is_made_again)
{
	struct service s;
	CLEANUP(mem_closep) int fd = -1;
	OK(kf_ok(start(&s, "127.0.0.1:0")));
	close(s.listener.reserve_fd);
	s.listener.reserve_fd = -1;

	OK(kf_ok(connect_start(&s.at, &fd)));
	OK(kf_ok(loop_round(s.loop, 1000)));

	OK(s.listener.reserve_fd >= 0);
	stop(&s);
}

TEST(a_socket_in_a_folder_that_is_not_there_is_told_as_such)
{
	struct address a;
	int fd;
	OK(kf_ok(address_parse("unix:/nowhere/at/all", &a)));

	OK(kf_is(listen_open(&a, NULL, &fd), KF_E_NOT_FOUND));
}

TEST(a_left_over_socket_file_is_replaced_and_one_in_use_is_not)
{
	struct service s;
	char dir[] = "/tmp/kf-listen-XXXXXX", address[64];
	int fd;
	OK(mkdtemp(dir) != NULL);
	snprintf(address, sizeof(address), "unix:%s/s", dir);

	OK(kf_ok(start(&s, address)));
	struct address a = s.at;
	OK(kf_is(listen_open(&a, NULL, &fd), KF_E_EXISTS));
	stop(&s);
	OK(kf_ok(start(&s, address))); /* the file is still there, nobody answers */
	stop(&s);

	unlink(address + 5);
	rmdir(dir);
}

TEST(only_listening_stream_sockets_are_adopted)
{
	struct service s;
	CLEANUP(mem_closep) int udp = socket(AF_INET, SOCK_DGRAM, 0);
	CLEANUP(mem_closep) int tcp = socket(AF_INET, SOCK_STREAM, 0);
	OK(kf_is(listen_adopt(udp), KF_E_CONFIG));
	OK(kf_is(listen_adopt(tcp), KF_E_CONFIG));
	OK(kf_is(listen_adopt(-1), KF_E_CONFIG));
	OK(kf_ok(start(&s, "unix:@keyfleet-listen-test")));
	OK(kf_ok(listen_adopt(s.listener.watch.fd)));
	stop(&s);
}

TEST(nobody_listening_is_unavailable)
{
	struct service s;
	CLEANUP(mem_closep) int fd = -1;
	OK(kf_ok(start(&s, "unix:@keyfleet-listen-gone")));
	stop(&s);
	OK(kf_is(connect_start(&s.at, &fd), KF_E_UNAVAILABLE));
}
TEST_MAIN
