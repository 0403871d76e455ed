/* SPDX-License-Identifier: Apache-2.0 */
#include "op/lease.h"
#include "attributes.h"
#include "kmip/check.h"
#include "kmip/lease.h"
#include "op/usage.h"

static kf_err lease(
	struct world *w, const struct id *id, struct obtain_lease_response *ret)
{
	struct ttlv_writer q = question(w);
	obtain_lease_put_request(&q, &(struct obtain_lease_request){ uid(id) });
	KF_TRY(ask(w, KMIP_OPERATION_OBTAIN_LEASE));
	struct ttlv_reader r = answer(w);
	return obtain_lease_get_response(&r, ret);
}

TEST(a_lease_ends_with_the_key)
{
	WORLD(w);
	struct id id;
	struct obtain_lease_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(activate(&w, &id)));

	OK(kf_ok(lease(&w, &id, &a)));
	EQ(a.lease_time, LEASE_DEFAULT_S);
	EQ(a.last_change_date, NOW);
	atomic_store(&w.server.lease_s, 600);
	OK(kf_ok(lease(&w, &id, &a)));
	EQ(a.lease_time, 600);
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, TAG_DEACTIVATION_DATE, NOW + 60)));
	OK(kf_ok(lease(&w, &id, &a)));
	EQ(a.lease_time, 60);
	w.now_s = NOW + 60;
	OK(kf_is(lease(&w, &id, &a), KF_E_LIMIT));
}

static kf_err allocate(struct world *w, const struct id *id, int64_t n)
{
	struct ttlv_writer q = question(w);
	get_usage_allocation_put_request(
		&q, &(struct get_usage_allocation_request){ uid(id), n });
	return ask(w, KMIP_OPERATION_GET_USAGE_ALLOCATION);
}

static kf_err create_limited(struct world *w, int64_t total, struct id *ret)
{
	autobuf set = buf_new(1024);
	KF_TRY(create_aes(w, NULL, ret));
	usage_set(&set, &(struct usage){ total, total, KMIP_USAGE_LIMITS_UNIT_BYTE });
	KF_TRY(change_to(w, ATTRIBUTE_ADD, ret, &set));
	return activate(w, ret);
}

TEST(what_is_allocated_is_gone)
{
	WORLD(w);
	struct id id, unlimited;
	struct usage u;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 100, &id)));
	OK(kf_ok(create_aes(&w, NULL, &unlimited)));

	OK(kf_ok(allocate(&w, &id, 60)));
	OK(kf_is(allocate(&w, &id, 41), KF_E_LIMIT));
	OK(kf_ok(allocate(&w, &id, 40)));
	OK(kf_is(allocate(&w, &id, 1), KF_E_LIMIT));
	OK(kf_is(allocate(&w, &id, -1), KF_E_INVALID_FIELD));
	OK(usage_get(catalog_find(w.server.catalog, slice_of(id.text))->attrs, &u));
	EQ(u.count, 0);
	EQ(u.total, 100);
	OK(kf_is(allocate(&w, &unlimited, 1), KF_E_NO_LIMITS));
}

static kf_err check(
	struct world *w, const struct check_request *q, struct check_response *ret)
{
	struct ttlv_writer out = question(w);
	check_put_request(&out, q);
	KF_TRY(ask(w, KMIP_OPERATION_CHECK));
	struct ttlv_reader r = answer(w);
	return check_get_response(&r, ret);
}

TEST(check_says_yes_with_the_identifier)
{
	WORLD(w);
	struct id id;
	struct check_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 100, &id)));
	const struct check_request q = { uid(&id), true, true, true, 100, 4, 3600 };
	for (int i = 0; i < 2; i++) {
		w.version = i ? KMIP_2_1 : KMIP_1_0;
		OK(kf_ok(check(&w, &q, &a)));
		OK(slice_is(a.refused.uid.text, id.text));
		OK(!a.refused.has_count && !a.refused.has_mask && !a.refused.has_lease);
	}
}

TEST(check_of_1_x_tells_what_is_not_allowed)
{
	WORLD(w);
	struct id id;
	struct check_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 100, &id)));
	w.version = KMIP_1_4;
	OK(kf_ok(check(&w,
		&(struct check_request){ uid(&id), true, true, true, 101, 1, 60 }, &a)));
	EQ(a.refused.uid.kind, KMIP_UID_ABSENT);
	OK(a.refused.has_count && a.refused.has_mask && !a.refused.has_lease);
	EQ(a.refused.usage_limits_count, 101);
	OK(!w.call->placeholder[0]);
}

TEST(check_of_2_x_fails_with_the_reason)
{
	WORLD(w);
	struct id id;
	struct check_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 100, &id)));
	const struct {
		struct check_request q;
		enum kf_code code;
	} cases[] = {
		{ { .has_mask = true, .usage_mask = 1 }, KF_E_USAGE },
		{ { .has_count = true, .usage_limits_count = 101 }, KF_E_LIMIT },
		{ { .has_lease = true, .lease_time = 4000 }, KF_E_DENIED },
	};
	for (size_t i = 0; i < 3; i++) {
		struct check_request q = cases[i].q;
		q.uid = uid(&id);
		OK(kf_is(check(&w, &q, &a), cases[i].code));
	}
}

TEST_MAIN
