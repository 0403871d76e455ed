/* SPDX-License-Identifier: Apache-2.0 */
/* What hostile or unlucky guests and foreign servers can do to the agent. */
#include "whole.h"
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { CROWD = 1000, NOBODY = 65534 };

static void start_agent_for(const char *more, const char *allow)
{
	start_servers(fake_both);
	write_conf(both(), more, allow);
	if (!start_agent())
		abort();
}

static void stop_all(struct local *l)
{
	local_free(l);
	stop_agent();
	stop_servers();
}

static bool send_all(int fd, struct slice s)
{
	return send(fd, s.p, s.n, MSG_NOSIGNAL) == (ssize_t)s.n;
}

static bool is_answered(int fd)
{
	uint8_t bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
	return n > 0 && kf_ok(get((struct slice){ bytes, (size_t)n }));
}

/* ---- who may not ---- */

/* In a child that has another uid.  Threads are not forked: it may only talk. */
static int as_nobody(int (*act)(void))
{
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
			setresuid(NOBODY, NOBODY, NOBODY))
			_exit(99);
		_exit(act());
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int is_refused_as_stranger(void)
{
	struct local_conf conf = { .socket = socket_name };
	struct local *l = NULL;
	if (!kf_ok(local_new(&conf, &l)))
		return 1;
	return kf_is(sign(l, "key-1"), KF_E_NOT_FOUND) ? 0 : 2;
}

TEST(a_guest_with_another_uid_is_refused)
{
	if (getuid() != 0)
		return; /* cannot become somebody else */
	start_agent_for("", "[allow *]\nusers = root\ngroups = root\n");
	struct local *l = open_local(0);

	EQ(as_nobody(is_refused_as_stranger), 0);
	OK(kf_ok(sign(l, "key-1")));

	EQ(first.requests + second.requests, 1);
	stop_all(l);
}

static int is_stopped_at_its_limit(void)
{
	int fd[20];
	autobuf request = buf_new(65536);
	put(&request, KMIP_OPERATION_SIGN, "key-1", 0);
	for (int i = 0; i < 20; i++)
		if ((fd[i] = connect_raw()) < 0)
			return 1;
	if (!is_cut_off(fd[19]))
		return 2;
	uint8_t answer[4096];
	return send_all(fd[0], buf_slice(&request)) && recv(fd[0], answer, 4096, 0) > 0
		       ? 0
		       : 3;
}

TEST(who_is_allowed_nothing_gets_few_connections)
{
	if (getuid() != 0)
		return;
	start_agent_for("", "[allow *]\nusers = root\n");

	EQ(as_nobody(is_stopped_at_its_limit), 0);

	stop_all(NULL);
}

TEST(a_user_gets_no_more_connections_than_allowed)
{
	start_agent_for("user_connections = 3", allow_me("*", "sign"));
	int fd[4];
	for (int i = 0; i < 4; i++)
		fd[i] = connect_raw();
	autobuf request = buf_new(65536);
	put(&request, KMIP_OPERATION_SIGN, "key-1", 0);

	OK(is_cut_off(fd[3]));
	OK(send_all(fd[0], buf_slice(&request)) && is_answered(fd[0]));
	close(fd[1]);
	close(fd[3]);
	/* The agent may hear of our leaving after our coming. */
	bool is_in = false;
	for (int i = 0; i < 100 && !is_in; i++) {
		fd[1] = connect_raw();
		is_in = send_all(fd[1], buf_slice(&request)) && is_answered(fd[1]);
		close(fd[1]);
	}

	OK(is_in);
	close(fd[0]);
	close(fd[2]);
	stop_all(NULL);
}

/* ---- what is no request ---- */

TEST(a_request_that_is_too_large_ends_the_connection)
{
	static const uint8_t huge[] = { 0x42, 0, 0x78, 1, 0, 0x10, 0, 0 };
	start_agent_for("", allow_me("*", "sign"));
	struct local *l = open_local(0);
	int fd = connect_raw();

	OK(send_all(fd, (struct slice){ huge, sizeof(huge) }));

	OK(is_cut_off(fd));
	OK(kf_ok(sign(l, "key-1")));
	close(fd);
	stop_all(l);
}

TEST(a_request_cut_anywhere_harms_nobody)
{
	start_agent_for("", allow_me("*", "sign"));
	struct local *l = open_local(0);
	autobuf request = buf_new(65536);
	put(&request, KMIP_OPERATION_SIGN, "key-1", 0);

	for (size_t n = 0; n < request.n; n++) {
		int fd = connect_raw();
		OK(n == 0 || send_all(fd, (struct slice){ request.p, n }));
		close(fd);
	}

	OK(kf_ok(sign(l, "key-1")));
	EQ(first.requests + second.requests, 1);
	stop_all(l);
}

/* Every byte in turn has a wrong value.  Whatever comes of it, the others are served. */
TEST(a_request_with_any_byte_wrong_harms_nobody)
{
	start_agent_for("", allow_me("key-1", "get"));
	autobuf request = buf_new(65536);
	put(&request, KMIP_OPERATION_SIGN, "key-1", 0);

	for (size_t i = 0; i < request.n; i++) {
		request.p[i] ^= 0x11;
		int fd = connect_raw();
		OK(send_all(fd, buf_slice(&request)));
		shutdown(fd, SHUT_WR);
		char answer[4096];
		while (recv(fd, answer, sizeof(answer), 0) > 0)
			;
		close(fd);
		request.p[i] ^= 0x11;
	}

	struct local *l = open_local(0);
	OK(kf_is(sign(l, "key-1"), KF_E_NOT_FOUND)); /* it is alive */
	EQ(first.requests + second.requests, 0);
	stop_all(l);
}

/* ---- too many ---- */

static bool raise_limit(rlim_t wanted)
{
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < wanted)
		r.rlim_cur = wanted < r.rlim_max ? wanted : r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	return r.rlim_cur >= wanted;
}

TEST(a_thousand_guests_at_once_are_all_served)
{
	static int fd[CROWD];
	if (!raise_limit(2 * CROWD + 100))
		return; /* both ends of every connection are ours */
	start_agent_for("", allow_me("*", "sign"));
	autobuf request = buf_new(65536);
	put(&request, KMIP_OPERATION_SIGN, "key-1", 0);
	int sent = 0, answered = 0;

	for (int i = 0; i < CROWD; i++) {
		fd[i] = connect_raw();
		sent += fd[i] >= 0 && send_all(fd[i], buf_slice(&request));
	}
	for (int i = 0; i < CROWD; i++) {
		answered += is_answered(fd[i]);
		close(fd[i]);
	}

	EQ(sent, CROWD);
	EQ(answered, CROWD);
	OK(first.requests + second.requests >= CROWD); /* and what was silent for long */
	stop_all(NULL);
}

TEST(an_agent_without_descriptors_turns_guests_away_and_recovers)
{
	start_agent_for("", allow_me("*", "sign"));
	struct local *l = open_local(0);
	OK(kf_ok(sign(l, "key-1")));
	struct rlimit r, none;
	getrlimit(RLIMIT_NOFILE, &r);
	int fd = connect_raw(); /* ours is made before there are no more */
	autobuf request = buf_new(65536);
	put(&request, KMIP_OPERATION_SIGN, "key-1", 0);
	OK(send_all(fd, buf_slice(&request)) && is_answered(fd));
	int late = socket(AF_UNIX, SOCK_STREAM, 0);
	none = (struct rlimit){ (rlim_t)late + 1, r.rlim_max };

	/* Every number below the limit is taken. */
	setrlimit(RLIMIT_NOFILE, &none);
	int filler[64], n = 0;
	while (n < 64 && (filler[n] = dup(0)) >= 0)
		n++;
	OK(connect_with(late) && is_cut_off(late));
	OK(kf_ok(sign(l, "key-1")));
	OK(send_all(fd, buf_slice(&request)) && is_answered(fd));
	setrlimit(RLIMIT_NOFILE, &r);
	while (n)
		close(filler[--n]);
	close(late);
	close(fd);

	fd = connect_raw();
	OK(send_all(fd, buf_slice(&request)) && is_answered(fd));
	close(fd);
	stop_all(l);
}

/* ---- foreign servers ---- */

TEST(a_key_server_of_another_authority_gets_no_request)
{
	fake_make_pki();
	struct pki_ca foreign = pki_ca_new("another authority");
	struct pki_leaf ours = fake_pki.server;
	fake_pki.server =
		pki_issue(&foreign, "server", "serverAuth", "IP:127.0.0.1", 3600);
	first = (struct fake){ .alpn = fake_both };
	fake_start(&first, 0);
	pki_leaf_free(&fake_pki.server);
	fake_pki.server = ours;
	second = (struct fake){ .alpn = fake_both };
	fake_start(&second, 0);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);

	for (int i = 0; i < 20; i++)
		OK(kf_ok(sign(l, "key-1")));

	EQ(first.requests, 0);
	EQ(second.requests, 20);
	pki_ca_free(&foreign);
	stop_all(l);
}

TEST_MAIN
