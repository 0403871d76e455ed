/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking calls against servers that behave and servers that do not. */
#include "client/call.h"
#include "client/node.h"
#include "fake.h"
#include "test.h"
#include <sys/wait.h>

static struct fake a = { .alpn = fake_both }, b = { .alpn = fake_both };

static void start_both(void) { fake_start_both(&a, &b); }
static void stop_both(void) { fake_stop_both(&a, &b); }

static struct kf_client *open_client(struct fake *const *f, size_t n, uint32_t timeout_ms)
{
	kf_options o = fake_options(f, n);
	o.timeout_ms = timeout_ms;
	return fake_client(&o);
}

static kf_result sign(struct kf_client *c, const char *data, kf_call *call)
{
	uint8_t room[64];
	kf_buffer signature = { room, sizeof(room), 0 };
	kf_sign_request q = { .key = "key-1",
		.scheme = KF_ECDSA_SHA256,
		.data = data,
		.size = strlen(data) };
	kf_result result = kf_sign(c, &q, &signature, call);
	if (result == KF_SUCCESS && (signature.used != strlen(data) ||
					    memcmp(room, data, signature.used) != 0))
		return KF_INTERNAL;
	return result;
}

TEST(a_signature_comes_back)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 0);
	kf_call call = { 0 };

	EQ(sign(c, "hello", &call), KF_SUCCESS);
	EQ(sign(c, "again", &call), KF_SUCCESS);

	EQ(a.connections, 1);
	EQ(a.requests, 2);
	EQ(call.attempts, 1);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(a_foreign_server_is_asked_which_version_it_speaks)
{
	a = (struct fake){ .alpn = fake_kmip, .newest = KMIP_1_4 };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 0);
	struct call_report report = { 0 };
	struct call_options o = { .report = &report };
	autobuf answer = buf_new(4096);

	EQ(sign(c, "hello", NULL), KF_SUCCESS);
	EQ(a.greetings, 1);
	OK(kf_ok(client_call(c, KMIP_OPERATION_QUERY, (struct slice){ 0 }, &o, &answer)));

	EQ(report.version, KMIP_1_4);
	EQ(a.greetings, 1);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(a_stale_connection_is_replaced)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 0);
	EQ(sign(c, "hello", NULL), KF_SUCCESS);
	int port = a.port;
	fake_stop(&a);
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, port);

	EQ(sign(c, "again", NULL), KF_SUCCESS);

	kf_client_free(c);
	fake_stop(&a);
}

TEST(a_server_that_hangs_up_costs_no_signature)
{
	start_both();
	a.mood = FAKE_HANGS_UP;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 0);
	for (int i = 0; i < 10; i++)
		EQ(sign(c, "hello", NULL), KF_SUCCESS);

	EQ(b.requests, 10);
	kf_client_free(c);
	stop_both();
}

TEST(a_silent_server_costs_time_and_no_signature)
{
	start_both();
	a.mood = FAKE_IS_SILENT;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 400);

	for (int i = 0; i < 4; i++)
		EQ(sign(c, "hello", NULL), KF_SUCCESS);

	kf_client_free(c);
	stop_both();
}

TEST(a_busy_server_sends_its_clients_elsewhere)
{
	start_both();
	a.mood = FAKE_IS_BUSY;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 0);

	for (int i = 0; i < 10; i++)
		EQ(sign(c, "hello", NULL), KF_SUCCESS);

	OK(a.requests <= 1);
	kf_client_free(c);
	stop_both();
}

TEST(servers_that_are_all_busy_are_not_stormed)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_IS_BUSY;
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 1000);

	OK(sign(c, "hello", NULL) != KF_SUCCESS);

	OK(a.requests >= 3 && a.requests <= 15);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(over_a_limit_one_other_server_is_asked_and_then_nobody)
{
	struct fake third = { .alpn = fake_both };
	a = b = third;
	fake_start(&a, 0);
	fake_start(&b, 0);
	fake_start(&third, 0);
	a.mood = b.mood = third.mood = FAKE_LIMITS;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b, &third }, 3, 2000);
	kf_call call = { 0 };

	EQ(sign(c, "hello", &call), KF_BUSY);

	EQ(a.requests + b.requests + third.requests, 2);
	EQ(call.attempts, 2);
	OK(strstr(kf_error_text(&call), "grant's rate is used up"));
	a.mood = b.mood = third.mood = FAKE_ANSWERS;
	EQ(sign(c, "hello", &call), KF_SUCCESS);
	kf_client_free(c);
	stop_both();
	fake_stop(&third);
}

TEST(over_a_limit_the_only_server_is_asked_once)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_LIMITS;
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 2000);
	kf_call call = { 0 };

	EQ(sign(c, "hello", &call), KF_BUSY);

	EQ(a.requests, 1);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(no_answer_is_asked_for_that_would_end_the_connection)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 1000);
	autobuf answer = buf_new(1024);

	OK(kf_ok(client_call(
		c, KMIP_OPERATION_LOCATE, (struct slice){ 0 }, NULL, &answer)));
	EQ(a.most, 1 << 20);
	EQ(sign(c, "hello", NULL), KF_SUCCESS);
	EQ(a.most, 0);

	kf_client_free(c);
	fake_stop(&a);
}

TEST(a_refusal_is_final_and_says_why)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_REFUSES;
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 0);
	kf_call call = { 0 };

	EQ(sign(c, "hello", &call), KF_NOT_FOUND);

	EQ(call.reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
	EQ(call.attempts, 1);
	OK(call.text[0]);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(a_change_is_repeated_under_the_same_request_id)
{
	start_both();
	a.mood = b.mood = FAKE_HANGS_UP_LATE;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 300);
	kf_call call = { 0 };

	EQ(kf_activate(c, "key-1", &call), KF_OUTCOME_UNKNOWN);

	OK(a.n_ids + b.n_ids >= 2);
	OK(a.n_ids && b.n_ids);
	OK(memcmp(a.id[0], b.id[0], 16) == 0);
	kf_client_free(c);
	stop_both();
}

/* The tokens that make a key are plugged in at one server: another one would make a second key. */
TEST(what_is_to_be_done_once_reaches_one_server)
{
	static const uint8_t payload[8];
	const struct call_options once = { .is_once = true, .timeout_ms = 300 };
	autobuf answer = buf_new(4096);
	start_both();
	a.mood = b.mood = FAKE_HANGS_UP_LATE;
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 300);

	OK(kf_is(client_call(c, KMIP_OPERATION_CREATE_KEY_PAIR,
			 (struct slice){ payload, 0 }, &once, &answer),
		KF_E_OUTCOME_UNKNOWN));

	EQ(a.n_ids + b.n_ids, 1);
	kf_client_free(c);
	stop_both();
}

TEST(a_change_is_not_repeated_at_a_foreign_server)
{
	a = (struct fake){ .alpn = fake_kmip };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 300);
	EQ(sign(c, "hello", NULL), KF_SUCCESS);
	a.mood = FAKE_HANGS_UP;
	unsigned before = a.requests;

	EQ(kf_activate(c, "key-1", NULL), KF_OUTCOME_UNKNOWN);

	EQ(a.requests, before + 1);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(the_reason_of_a_call_that_found_nobody_names_every_server)
{
	start_both();
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 600);
	stop_both();
	kf_call call = { 0 };

	kf_result result = sign(c, "hello", &call);

	OK(result == KF_UNAVAILABLE || result == KF_TIMEOUT);
	char name[2][32];
	snprintf(name[0], sizeof(name[0]), "127.0.0.1:%d: ", a.port);
	snprintf(name[1], sizeof(name[1]), "127.0.0.1:%d: ", b.port);
	OK(strstr(kf_error_text(&call), name[0]));
	OK(strstr(kf_error_text(&call), name[1]));
	kf_client_free(c);
}

TEST(nobody_there_is_told_within_the_patience)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 300);
	fake_stop(&a);
	kf_call call = { 0 };

	kf_result result = sign(c, "hello", &call);

	OK(result == KF_UNAVAILABLE || result == KF_TIMEOUT);
	OK(strstr(call.text, "127.0.0.1"));
	kf_client_free(c);
}

TEST(nonsense_is_no_answer)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	a.mood = FAKE_TALKS_NONSENSE;
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 200);

	OK(sign(c, "hello", NULL) != KF_SUCCESS);

	kf_client_free(c);
	fake_stop(&a);
}

static kf_err query(struct kf_client *c, uint32_t server, struct call_report *report)
{
	autobuf answer = buf_new(4096);
	struct call_options o = { .timeout_ms = 2000,
		.is_once = server != 0,
		.server = server,
		.report = report };
	return client_call(c, KMIP_OPERATION_QUERY, (struct slice){ 0 }, &o, &answer);
}

/* Only one knows the parts before. */
TEST(parts_of_a_message_go_to_the_server_that_had_the_first)
{
	start_both();
	struct kf_client *c = open_client((struct fake *[]){ &a, &b }, 2, 0);
	struct call_report report = { 0 };
	OK(kf_ok(query(c, 0, &report)));
	uint32_t server = report.server;
	struct fake *one = a.requests ? &a : &b, *other = a.requests ? &b : &a;

	one->load = NODE_LOAD_MAX / 2;
	for (int i = 0; i < 8; i++)
		OK(kf_ok(query(c, server, &report)) && report.server == server);
	EQ(other->requests, 0);
	OK(kf_ok(query(c, 0, &report)));
	EQ(other->requests, 1); /* where anybody else goes */

	one->mood = FAKE_HANGS_UP;
	OK(kf_is(query(c, server, &report), KF_E_OUTCOME_UNKNOWN));
	EQ(other->requests, 1);
	kf_client_free(c);
	stop_both();
}

static void *sign_often(void *arg)
{
	for (int i = 0; i < 50; i++)
		if (sign(arg, "hello", NULL) != KF_SUCCESS)
			return arg;
	return NULL;
}

TEST(threads_share_a_client)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 0);
	pthread_t t[4];
	void *bad[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, sign_often, c);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], &bad[i]);

	OK(!bad[0] && !bad[1] && !bad[2] && !bad[3]);
	EQ(a.requests, 200);
	OK(a.connections <= 4);
	kf_client_free(c);
	fake_stop(&a);
}

TEST(a_child_makes_connections_of_its_own)
{
	a = (struct fake){ .alpn = fake_both };
	fake_start(&a, 0);
	struct kf_client *c = open_client(&(struct fake *){ &a }, 1, 0);
	EQ(sign(c, "parent", NULL), KF_SUCCESS);

	pid_t pid = fork();
	if (pid == 0)
		_exit(sign(c, "child", NULL));
	int status = -1;
	waitpid(pid, &status, 0);

	EQ(status, 0);
	EQ(sign(c, "parent", NULL), KF_SUCCESS);
	EQ(a.connections, 2);
	kf_client_free(c);
	fake_stop(&a);
}

TEST_MAIN
