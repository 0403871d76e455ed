/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/get.h"
#include "kmip/key_wrapping.h"
#include "whole.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>

TEST(a_guest_gets_its_signature)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);

	for (int i = 0; i < 20; i++)
		OK(kf_ok(sign(l, "key-1")));

	EQ(first.requests + second.requests, 20);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(what_no_section_allows_looks_like_a_key_that_is_not_there)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("key-1", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);

	OK(kf_ok(sign(l, "key-1")));
	OK(kf_is(sign(l, "key-2"), KF_E_NOT_FOUND));
	OK(kf_is(ask(l, KMIP_OPERATION_GET, "key-1", 0), KF_E_NOT_FOUND));

	EQ(first.requests + second.requests, 1);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(other_users_get_nothing)
{
	start_servers(fake_both);
	write_conf(both(), "", "[allow *]\nusers = 12345, no-such-user\n");
	OK(start_agent());
	struct local *l = open_local(0);

	OK(kf_is(sign(l, "key-1"), KF_E_NOT_FOUND));

	EQ(first.requests + second.requests, 0);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(operations_that_change_something_are_not_served)
{
	start_servers(fake_both);
	write_conf(
		both(), "", allow_me("*", "sign, decrypt, get, get-attributes, locate"));
	OK(start_agent());
	struct local *l = open_local(0);

	OK(kf_is(ask(l, KMIP_OPERATION_DESTROY, "key-1", 0), KF_E_UNSUPPORTED));

	EQ(first.requests + second.requests, 0);
	local_free(l);
	stop_agent();
	stop_servers();
}

/* A server would count twice what is sent twice, and only one of them knows the parts before. */
TEST(a_message_in_several_requests_is_not_forwarded)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(5000);
	struct sign_request parts[] = { sign_with("key-1"), sign_with("key-1"),
		sign_with("key-1") };
	parts[0].init_indicator = true;
	parts[1].correlation_value = SLICE_LIT("1");
	parts[2].final_indicator = true;

	for (size_t i = 0; i < 3; i++)
		OK(kf_is(ask_with(l, KMIP_OPERATION_SIGN, &parts[i], 0), KF_E_FEATURE));

	EQ(first.requests + second.requests, 0);
	OK(kf_ok(sign(l, "key-1")));
	EQ(first.requests + second.requests, 1);
	local_free(l);
	stop_agent();
	stop_servers();
}

static void put_wrapped_get(struct buf *out, const char *key, const char *by)
{
	autobuf how = buf_new(1024);
	struct ttlv_writer s = ttlv_write(&how, KMIP_2_1), w = ttlv_write(out, KMIP_2_1);
	const struct kmip_request_header h = { .version = KMIP_2_1, .batch_count = 1 };
	key_wrapping_specification_put(
		&s, &(struct key_wrapping){ .method = KMIP_WRAPPING_METHOD_ENCRYPT,
			    .encryption = { .is_there = true,
				    .uid = kmip_uid_text(slice_of(by)) } });
	kmip_put_request_header(&w, &h);
	kmip_put_request_item_begin(&w, KMIP_OPERATION_GET, (struct slice){ 0 });
	get_put_request(&w, &(struct get_request){ .uid = kmip_uid_text(slice_of(key)),
				    .key_wrapping_specification = buf_slice(&how) });
	kmip_put_request_item_end(&w, NULL);
	OK(kf_ok(ttlv_written(&s)) && kf_ok(kmip_put_request_end(&w)));
}

/* Of the other one nobody has asked whether this user may use it. */
TEST(a_get_that_has_another_key_wrap_is_not_forwarded)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("key-1", "get"));
	OK(start_agent());
	struct local *l = open_local(5000);
	struct local_call c;
	struct slice answer;

	OK(kf_ok(local_begin(l, &c)));
	put_wrapped_get(local_request(&c), "key-1", "key-2");
	local_send(&c);
	local_wait(&c);
	OK(kf_ok(local_answer(&c, &answer)) && kf_is(get(answer), KF_E_FEATURE));
	local_end(&c);

	EQ(first.requests + second.requests, 0);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(a_foreign_server_serves_guests_too)
{
	start_servers(fake_kmip);
	first.newest = second.newest = KMIP_1_4;
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);

	for (int i = 0; i < 10; i++)
		OK(kf_ok(sign(l, "key-1")));

	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(nobody_to_ask_is_told_before_the_guest_stops_waiting)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	stop_servers();
	OK(start_agent());
	struct local *l = open_local(1000);
	uint64_t begin = clock_monotonic_ns();

	kf_err err = ask(l, KMIP_OPERATION_SIGN, "key-1", 300);

	OK(kf_is(err, KF_E_BUSY) || kf_is(err, KF_E_STORE) ||
		kf_is(err, KF_E_UNAVAILABLE));
	OK(clock_monotonic_ns() - begin < 400000000);
	local_free(l);
	stop_agent();
}

TEST(the_limit_of_a_user_holds)
{
	start_servers(fake_both);
	write_conf(both(), "user_rate = 3", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);
	int good = 0, over = 0;

	for (int i = 0; i < 10; i++) {
		kf_err err = sign(l, "key-1");
		good += kf_ok(err);
		over += kf_is(err, KF_E_USER_RATE);
	}

	OK(good >= 3 && good <= 4);
	EQ(good + over, 10);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(a_second_request_at_a_time_ends_the_connection)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	autobuf two = buf_new(65536);
	put(&two, KMIP_OPERATION_SIGN, "key-1", 0);
	put(&two, KMIP_OPERATION_SIGN, "key-1", 0);

	int fd = connect_raw();
	EQ(write(fd, two.p, two.n), (ssize_t)two.n);

	OK(is_cut_off(fd));
	close(fd);
	stop_agent();
	stop_servers();
}

TEST(nonsense_ends_the_connection)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());

	int fd = connect_raw();
	EQ(write(fd, "GET / HTTP/1.1\r\n", 16), 16);

	OK(is_cut_off(fd));
	close(fd);
	stop_agent();
	stop_servers();
}

TEST(a_request_that_is_no_ttlv_inside_does_not_reach_the_shared_connection)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);
	OK(kf_ok(sign(l, "key-1")));
	autobuf lie = buf_new(65536);
	struct kmip_request_header h = { .version = KMIP_2_1, .batch_count = 1 };
	struct kmip_uid uid = kmip_uid_text(SLICE_LIT("key-1"));
	struct ttlv_writer w = ttlv_write(&lie, KMIP_2_1);
	kmip_put_request_header(&w, &h);
	kmip_put_request_item_begin(&w, KMIP_OPERATION_SIGN, (struct slice){ 0 });
	kmip_put_uid(&w, TAG_UNIQUE_IDENTIFIER, &uid);
	ttlv_begin(&w, TAG_CRYPTOGRAPHIC_PARAMETERS);
	ttlv_put_enum(&w, TAG_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256);
	size_t end = lie.n;
	ttlv_end(&w);
	kmip_put_request_item_end(&w, NULL);
	OK(kf_ok(kmip_put_request_end(&w)));
	lie.p[end - 9] = 0x40; /* the length of the enumeration */

	int fd = connect_raw();
	EQ(write(fd, lie.p, lie.n), (ssize_t)lie.n);

	OK(is_cut_off(fd));
	OK(kf_ok(sign(l, "key-1")));
	EQ(first.requests + second.requests, 2);
	close(fd);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(answers_do_not_pile_up_for_a_guest_that_does_not_read_them)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("key-1", "sign"));
	OK(start_agent());
	autobuf one = buf_new(65536);
	put(&one, KMIP_OPERATION_SIGN, "key-2", 0); /* is refused at once */
	int fd = connect_raw(), i = 0;

	/* The kernel holds a few hundred of them. */
	while (i < 100000 && send(fd, one.p, one.n, MSG_NOSIGNAL) == (ssize_t)one.n) {
		int held = 1;
		while (held && ioctl(fd, SIOCOUTQ, &held) == 0)
			sched_yield(); /* until the agent has read it */
		i++;
	}

	OK(i < 2000);
	close(fd);
	stop_agent();
	stop_servers();
}

static _Atomic int failed;
static _Atomic bool is_over;

static void *sign_all_the_time(void *arg)
{
	while (!is_over)
		failed += !kf_ok(sign(arg, "key-1"));
	return NULL;
}

static void await_requests(struct fake *f, unsigned n)
{
	unsigned from = f->requests;
	struct timespec t = { 0, 1000000 };
	for (int i = 0; i < 3000 && f->requests - from < n; i++)
		nanosleep(&t, NULL);
}

TEST(a_server_that_dies_fails_no_call)
{
	start_servers(fake_both);
	write_conf(both(), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);
	pthread_t t[8];
	failed = 0;
	is_over = false;
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, sign_all_the_time, l);
	await_requests(&first, 50);
	int port = first.port;

	fake_stop(&first);
	await_requests(&second, 200);
	first = (struct fake){ .alpn = fake_both };
	fake_start(&first, port);
	await_requests(&first, 50);
	second.mood = FAKE_HANGS_UP;
	await_requests(&first, 50);
	is_over = true;
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);

	EQ(failed, 0);
	OK(first.requests >= 100);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST(requests_of_many_guests_share_a_record)
{
	start_servers(fake_both);
	write_conf(
		fake_servers((struct fake *[]){ &first }, 1), "", allow_me("*", "sign"));
	OK(start_agent());
	struct local *l = open_local(0);
	pthread_t t[8];
	failed = 0;
	is_over = false;

	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, sign_all_the_time, l);
	await_requests(&first, 500);
	is_over = true;
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);

	EQ(failed, 0);
	OK(first.deepest >= 2);
	local_free(l);
	stop_agent();
	stop_servers();
}

TEST_MAIN
