/* SPDX-License-Identifier: Apache-2.0 */
#include "op/usage.h"
#include "world.h"

static void add_limits(struct buf *set, int64_t total, uint32_t unit)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_USAGE_LIMITS);
	ttlv_put_long(&w, TAG_USAGE_LIMITS_TOTAL, total);
	ttlv_put_long(&w, TAG_USAGE_LIMITS_COUNT, total + 1000); /* not heard */
	ttlv_put_enum(&w, TAG_USAGE_LIMITS_UNIT, unit);
	ttlv_end(&w);
}

static kf_err create_limited(
	struct world *w, int64_t total, uint32_t unit, struct pair *ret)
{
	autobuf extra = buf_new(1024);
	add_limits(&extra, total, unit);
	return create_pair(w,
		&(struct pair_wish){ .algorithm = 6,
			.curve = 7,
			.is_active = true,
			.private_extra = buf_slice(&extra) },
		ret);
}

static int64_t left(struct world *w, const struct id *id)
{
	struct usage u;
	if (!kf_ok(attributes(w, id)) || !usage_get(buf_slice(&w->attrs), &u))
		return -1;
	return u.count;
}

TEST(a_key_signs_as_many_objects_as_its_limit_says)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 2, KMIP_USAGE_LIMITS_UNIT_OBJECT, &p)));
	EQ(left(&w, &p.private_key), 2);

	OK(kf_ok(sign_text(&w, &p.private_key, "first")));
	EQ(left(&w, &p.private_key), 1);
	OK(kf_ok(sign_text(&w, &p.private_key, "second")));
	EQ(left(&w, &p.private_key), 0);
	OK(kf_is(sign_text(&w, &p.private_key, "third"), KF_E_DENIED));
	EQ(left(&w, &p.private_key), 0);
}

TEST(bytes_are_counted_where_the_limit_is_in_bytes)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 12, KMIP_USAGE_LIMITS_UNIT_BYTE, &p)));

	OK(kf_ok(sign_text(&w, &p.private_key, "12345")));
	EQ(left(&w, &p.private_key), 7);
	OK(kf_is(sign_text(&w, &p.private_key, "12345678"), KF_E_DENIED));
	EQ(left(&w, &p.private_key), 7);
	OK(kf_ok(sign_text(&w, &p.private_key, "1234567")));
	EQ(left(&w, &p.private_key), 0);
}

TEST(a_use_is_counted_in_the_store_before_it_happens)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 5, KMIP_USAGE_LIMITS_UNIT_OBJECT, &p)));
	const struct object *before =
		catalog_find(w.server.catalog, slice_of(p.private_key.text));
	const uint64_t version = before->version;

	OK(kf_ok(sign_text(&w, &p.private_key, "text")));
	const struct object *o =
		catalog_find(w.server.catalog, slice_of(p.private_key.text));
	EQ(o->version, version + 1);
}

static struct pair *rival_pair;

static void sign_it(struct world *w)
{
	OK(kf_ok(sign_text(w, &rival_pair->private_key, "rival")));
}

static void sign_meanwhile(struct world *w) { meanwhile(w, sign_it); }

TEST(two_uses_at_once_are_both_counted)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 2, KMIP_USAGE_LIMITS_UNIT_OBJECT, &p)));
	rival_pair = &p;

	w.before_commit = sign_meanwhile;
	OK(kf_ok(sign_text(&w, &p.private_key, "mine")));
	EQ(left(&w, &p.private_key), 0);
}

TEST(the_last_use_goes_to_one_of_two)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_limited(&w, 1, KMIP_USAGE_LIMITS_UNIT_OBJECT, &p)));
	rival_pair = &p;

	w.before_commit = sign_meanwhile;
	OK(kf_is(sign_text(&w, &p.private_key, "mine"), KF_E_DENIED));
	EQ(left(&w, &p.private_key), 0);
}

TEST(a_limit_that_is_none_is_refused)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_is(create_limited(&w, -1, KMIP_USAGE_LIMITS_UNIT_OBJECT, &p),
		KF_E_INVALID_FIELD));
	OK(kf_is(create_limited(&w, 1, 7, &p), KF_E_INVALID_FIELD));
}

TEST_MAIN
