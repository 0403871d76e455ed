/* SPDX-License-Identifier: Apache-2.0 */
#include "op/later.h"
#include "op/cryptoki.h"
#include "test.h"
#include "ttlv/ttlv.h"

enum { NOW = 1000, KEEP = 10 };

static struct op_later *table(size_t bytes)
{
	const struct op_later_conf conf = {
		.most = 4, .client_most = 3, .keep_s = KEEP, .bytes = bytes
	};
	struct op_later *l = NULL;
	return kf_ok(op_later_new(&conf, &l)) ? l : NULL;
}

struct id {
	uint8_t p[LATER_ID_SIZE];
};

static kf_err add(struct op_later *l, const char *client, int64_t now_s, struct id *ret)
{
	const struct later_request q = {
		.client = client, .operation = KMIP_OPERATION_GET, .now_s = now_s
	};
	return op_later_add(l, &q, ret->p);
}

static void end(struct op_later *l, const struct id *id, kf_err result, const char *text)
{
	struct buf b = buf_new(64);
	buf_add_text(&b, text);
	op_later_end(l, id->p, NOW, result, &b);
	buf_free(&b);
}

static struct later_name name(const char *client, const struct id *id, int64_t now_s)
{
	return (struct later_name){ client, { id->p, sizeof(id->p) }, now_s };
}

static kf_err poll(struct op_later *l, const char *client, const struct id *id,
	int64_t now_s, struct later_answer *ret, struct buf *payload)
{
	const struct later_name n = name(client, id, now_s);
	buf_clear(payload);
	return op_later_poll(l, &n, ret, payload);
}

TEST(an_answer_is_for_its_client_until_it_is_old)
{
	struct op_later *l = table(100);
	autobuf payload = buf_new(64);
	struct later_answer a;
	struct id id;
	OK(kf_ok(add(l, "alice", NOW, &id)));
	OK(kf_ok(poll(l, "alice", &id, NOW, &a, &payload)) && a.is_pending);
	OK(kf_ok(op_later_begin(l, id.p)));
	end(l, &id, KF_OK, "answer");

	for (int i = 0; i < 2; i++) {
		OK(kf_ok(poll(l, "alice", &id, NOW + KEEP - 1, &a, &payload)));
		OK(!a.is_pending && a.code == KF_E_NONE);
		OK(slice_is(buf_slice(&payload), "answer"));
	}
	OK(kf_is(poll(l, "bob", &id, NOW, &a, &payload), KF_E_NOT_OUTSTANDING));
	OK(kf_is(poll(l, "alice", &id, NOW + KEEP, &a, &payload), KF_E_NOT_OUTSTANDING));
	op_later_free(l);
}

TEST(what_has_begun_is_not_canceled)
{
	struct op_later *l = table(100);
	autobuf payload = buf_new(64);
	struct later_answer a;
	struct id id, begun;
	OK(kf_ok(add(l, "alice", NOW, &id)));
	OK(kf_ok(add(l, "alice", NOW, &begun)));
	OK(kf_ok(op_later_begin(l, begun.p)));
	struct later_name n = name("alice", &id, NOW), b = name("alice", &begun, NOW);
	struct later_name other = name("bob", &id, NOW);

	EQ(op_later_cancel(l, &other), KMIP_CANCELLATION_RESULT_UNAVAILABLE);
	EQ(op_later_cancel(l, &n), KMIP_CANCELLATION_RESULT_CANCELED);
	EQ(op_later_cancel(l, &n), KMIP_CANCELLATION_RESULT_CANCELED);
	EQ(op_later_cancel(l, &b), KMIP_CANCELLATION_RESULT_UNABLE_TO_CANCEL);
	OK(kf_ok(poll(l, "alice", &id, NOW, &a, &payload)));
	OK(!a.is_pending && a.code == KF_E_CANCELED);
	OK(kf_is(op_later_begin(l, id.p), KF_E_CANCELED));
	end(l, &id, kf_fail(CANCELED, "test"), "");
	EQ(op_later_cancel(l, &n), KMIP_CANCELLATION_RESULT_CANCELED);
	end(l, &begun, KF_OK, "x");
	EQ(op_later_cancel(l, &b), KMIP_CANCELLATION_RESULT_COMPLETED);
	op_later_free(l);
}

TEST(failures_are_told_apart)
{
	struct op_later *l = table(100);
	autobuf payload = buf_new(64);
	struct later_answer a;
	struct id id;
	OK(kf_ok(add(l, "alice", NOW, &id)));
	OK(kf_ok(op_later_begin(l, id.p)));
	end(l, &id, kf_fail(DENIED, "test"), "secret");
	struct later_name n = name("alice", &id, NOW);

	OK(kf_ok(poll(l, "alice", &id, NOW, &a, &payload)));
	OK(a.code == KF_E_DENIED && payload.n == 0);
	EQ(op_later_cancel(l, &n), KMIP_CANCELLATION_RESULT_FAILED);
	op_later_free(l);
}

TEST(a_client_has_so_many_and_all_together_have_so_many)
{
	struct op_later *l = table(100);
	autobuf payload = buf_new(64);
	struct later_answer a;
	struct id alice[3], bob, more;
	for (int i = 0; i < 3; i++)
		OK(kf_ok(add(l, "alice", NOW, &alice[i])));
	OK(kf_is(add(l, "alice", NOW, &more), KF_E_BUSY));
	OK(kf_ok(add(l, "bob", NOW, &bob)));
	OK(kf_is(add(l, "carol", NOW, &more), KF_E_BUSY));

	/* What was fetched makes room, the oldest first; what was not stays until it is old. */
	OK(kf_ok(op_later_begin(l, alice[1].p)));
	end(l, &alice[1], KF_OK, "x");
	OK(kf_is(add(l, "carol", NOW, &more), KF_E_BUSY));
	OK(kf_ok(poll(l, "alice", &alice[1], NOW, &a, &payload)));
	OK(kf_ok(add(l, "alice", NOW, &more)));
	OK(kf_is(poll(l, "alice", &alice[1], NOW, &a, &payload), KF_E_NOT_OUTSTANDING));
	OK(kf_ok(op_later_begin(l, alice[0].p)));
	end(l, &alice[0], KF_OK, "x");
	OK(kf_ok(add(l, "carol", NOW + KEEP, &more)));
	op_later_free(l);
}

TEST(answers_have_so_many_bytes_together)
{
	struct op_later *l = table(10);
	autobuf payload = buf_new(64);
	struct later_answer a;
	struct id one, two;
	OK(kf_ok(add(l, "alice", NOW, &one)));
	OK(kf_ok(add(l, "alice", NOW, &two)));
	end(l, &one, KF_OK, "12345678");
	end(l, &two, KF_OK, "1234");

	OK(kf_ok(poll(l, "alice", &two, NOW, &a, &payload)));
	EQ(a.code, KF_E_RESPONSE_TOO_BIG);
	OK(kf_ok(poll(l, "alice", &one, NOW, &a, &payload)));
	OK(slice_is(buf_slice(&payload), "12345678"));
	op_later_free(l);
}

struct waiter {
	struct later_wait wait;
	int told;
};

static void tell(struct later_wait *w) { ((struct waiter *)(void *)w)->told++; }

TEST(one_waits_and_is_told_once)
{
	struct op_later *l = table(100);
	struct waiter first = { { tell }, 0 }, second = first, late = first;
	struct id id;
	OK(kf_ok(add(l, "alice", NOW, &id)));
	struct later_name n = name("alice", &id, NOW), other = name("bob", &id, NOW);

	OK(kf_is(op_later_wait(l, &other, &second.wait), KF_E_NOT_OUTSTANDING));
	OK(kf_ok(op_later_wait(l, &n, &first.wait)));
	OK(kf_is(op_later_wait(l, &n, &second.wait), KF_E_DUPLICATE));
	EQ(first.told, 0);
	end(l, &id, KF_OK, "x");
	EQ(first.told, 1);
	OK(kf_ok(op_later_wait(l, &n, &late.wait)));
	OK(late.told == 1 && first.told == 1 && second.told == 0);
	op_later_free(l);
}

TEST(rows_are_the_clients_own_oldest_first)
{
	struct op_later *l = table(100);
	struct later_row row;
	struct id one, two, bob;
	OK(kf_ok(add(l, "alice", NOW, &one)));
	OK(kf_ok(add(l, "bob", NOW, &bob)));
	OK(kf_ok(add(l, "alice", NOW + 1, &two)));
	OK(kf_ok(op_later_begin(l, two.p)));

	OK(op_later_row(l, "alice", 0, NOW, &row));
	OK(row.stage == LATER_SUBMITTED && row.submitted_s == NOW);
	OK(op_later_row(l, "alice", 1, NOW, &row));
	OK(row.stage == LATER_IN_PROCESS && !memcmp(row.id, two.p, sizeof(row.id)));
	OK(!op_later_row(l, "alice", 2, NOW, &row));
	op_later_free(l);
}

TEST(cryptoki_forgets_the_oldest_of_a_client_first)
{
	struct op_cryptoki *c = NULL;
	uint8_t id[CRYPTOKI_CLIENT_MAX + 1][CRYPTOKI_ID_SIZE], bob[CRYPTOKI_ID_SIZE];
	OK(kf_ok(op_cryptoki_new(&c)));
	OK(kf_ok(op_cryptoki_begin(c, "bob", bob)));
	for (int i = 0; i <= CRYPTOKI_CLIENT_MAX; i++)
		OK(kf_ok(op_cryptoki_begin(c, "alice", id[i])));

	OK(!op_cryptoki_has(c, "alice", (struct slice){ id[0], CRYPTOKI_ID_SIZE }));
	OK(op_cryptoki_has(c, "alice", (struct slice){ id[1], CRYPTOKI_ID_SIZE }));
	OK(op_cryptoki_has(c, "bob", (struct slice){ bob, CRYPTOKI_ID_SIZE }));
	OK(!op_cryptoki_has(c, "alice", (struct slice){ bob, CRYPTOKI_ID_SIZE }));
	OK(!op_cryptoki_has(c, "bob", (struct slice){ bob, CRYPTOKI_ID_SIZE - 1 }));
	OK(op_cryptoki_end(c, "bob", (struct slice){ bob, CRYPTOKI_ID_SIZE }));
	OK(!op_cryptoki_end(c, "bob", (struct slice){ bob, CRYPTOKI_ID_SIZE }));
	op_cryptoki_free(c);
}

TEST_MAIN
