/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations whose keys are on tokens: tokens as the tests of the pool have them.
 */
#include "beside_pool.h"
#include "kmip/token_admin.h"
#include "op/token_key.h"

/* A token holds the P-256 key; `counting`: and counts its uses. */
static bool pool_beside(struct world *w, unsigned counting)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].counting = counting;
	fake_conf.overflow_ms = 1000;
	be(w, "root", true);
	return pool_begin(w);
}

static kf_err adopt(struct world *w, const char *name, struct pair *ret)
{
	struct create_key_pair_response a;
	struct ttlv_writer q = question(w);
	key_adopt_put_request(&q, &(struct key_adopt){ .pool = slice_of("pool"),
					  .key_id = { keys[KEC]->id, KEY_ID_SIZE },
					  .name = slice_of(name),
					  .copies = 1 });
	KF_TRY(ask(w, KMIP_OPERATION_KEY_ADOPT));
	struct ttlv_reader r = answer(w);
	KF_TRY(create_key_pair_get_response(&r, &a));
	keep_id(&a.private_key, &ret->private_key);
	return KF_OK;
}

static kf_err give_copy(struct world *w, const struct id *id, bool takes_away)
{
	autobuf der = buf_new(4096);
	pem_to_der(ec_pem, &der);
	struct ttlv_writer q = question(w);
	key_overflow_put_request(
		&q, &(struct key_overflow){ uid(id),
			    takes_away ? (struct slice){ 0 } : buf_slice(&der) });
	return ask(w, KMIP_OPERATION_KEY_OVERFLOW);
}

/* ---- use counters ---- */

TEST(a_key_on_tokens_may_get_a_copy_in_software)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0) && kf_ok(adopt(&w, "www", &p)));

	OK(kf_ok(give_copy(&w, &p.private_key, false)));

	const struct object *o =
		catalog_find(w.server.catalog, slice_of(p.private_key.text));
	OK(o && pool_key_overflow(o->key));
	OK(kf_ok(give_copy(&w, &p.private_key, true)));
	o = catalog_find(w.server.catalog, slice_of(p.private_key.text));
	OK(o && !pool_key_overflow(o->key));
	pool_away(&w);
}

TEST(a_key_that_counts_its_uses_gets_no_copy_nor_while_its_token_is_away)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 1 << KEC) && kf_ok(adopt(&w, "www", &p)));
	OK(kf_is(give_copy(&w, &p.private_key, false), KF_E_DENIED));
	EQ(fakes[0].signs, 0);
	pool_away(&w);

	OK(pool_beside(&w, 0)); /* another life, in which nothing was said of it yet */
	OK(kf_is(give_copy(&w, &p.private_key, false), KF_E_DENIED));
	pool_away(&w);
}

TEST(a_key_that_turns_out_to_count_its_uses_gets_no_copy)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0) && kf_ok(adopt(&w, "www", &p)));
	pool_away(&w);

	OK(pool_beside(&w, 1 << KEC));
	OK(kf_is(give_copy(&w, &p.private_key, false), KF_E_DENIED));
	OK(kf_ok(give_copy(&w, &p.private_key, true))); /* what was given can go */
	pool_away(&w);
}

/* ---- bringing and deleting ---- */

static void is_not_deleted(struct world *w)
{
	OK(kf_is(op_slow_erase(w->server.slow, keys[KEC]->id), KF_E_BUSY));
}

TEST(nobody_deletes_a_key_that_is_being_adopted_nor_is_one_adopted_that_is_being_deleted)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0));
	OK(kf_ok(op_slow_erase(w.server.slow, keys[KEC]->id)));

	OK(kf_is(adopt(&w, "www", &p), KF_E_BUSY));

	op_slow_erased(w.server.slow);
	w.before_commit = is_not_deleted;
	OK(kf_ok(adopt(&w, "www", &p)));
	OK(!w.before_commit);
	OK(kf_ok(op_slow_erase(w.server.slow, keys[KEC]->id)));
	pool_away(&w);
}

/* ---- keys that were made for nothing ---- */

static kf_err make_on_token(struct world *w, const char *name, struct pair *ret)
{
	autobuf where = buf_new(1024);
	const struct slice vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR);
	attrs_add_vendor_text(
		&where, vendor, slice_of(TOKEN_ATTRIBUTE_POOL), slice_of("pool"));
	attrs_add_vendor_text(
		&where, vendor, slice_of(TOKEN_ATTRIBUTE_COPIES), slice_of("1"));
	return create_pair(w,
		&(struct pair_wish){ .algorithm = 6,
			.curve = KMIP_RECOMMENDED_CURVE_P_384,
			.private_name = name,
			.private_extra = buf_slice(&where) },
		ret);
}

static void create_www(struct world *w)
{
	struct pair p;
	OK(kf_ok(create_p256(w, "www", &p)));
}

static void take_the_name(struct world *w) { meanwhile(w, create_www); }

static bool is_left_over(struct world *w)
{
	return op_slow_is_orphan(w->server.slow, fake_keys[KEC384].soft->id);
}

TEST(a_key_whose_object_the_store_refuses_is_to_go_from_its_token)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0));
	w.before_commit = take_the_name;

	OK(kf_is(make_on_token(&w, "www", &p), KF_E_NAME_NOT_UNIQUE));

	OK(fakes[0].keys & 1 << KEC384);
	OK(is_left_over(&w));
	pool_away(&w);
}

TEST(what_tokens_make_is_not_made_in_a_batch_that_may_be_undone)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0));
	const unsigned before = fakes[0].keys;
	OK(kf_ok(op_undo_new(w.server.catalog, &w.undo)));

	OK(kf_is(make_on_token(&w, "www", &p), KF_E_FEATURE));

	EQ(fakes[0].keys, before);
	op_undo_free(w.undo);
	w.undo = NULL;
	pool_away(&w);
}

static void lose_the_answer(struct world *w) { w->loses_answer = true; }

TEST(a_key_of_which_the_store_does_not_say_what_became_stays)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0));
	w.before_commit = lose_the_answer;

	OK(kf_is(make_on_token(&w, "www", &p), KF_E_OUTCOME_UNKNOWN));

	OK((fakes[0].keys & 1 << KEC384) && !is_left_over(&w));
	pool_away(&w);
}

TEST(a_key_whose_object_was_made_stays)
{
	WORLD(w);
	struct pair p;
	OK(pool_beside(&w, 0));

	OK(kf_ok(make_on_token(&w, "www", &p)));

	OK((fakes[0].keys & 1 << KEC384) && !is_left_over(&w));
	OK(token_key_object(w.server.catalog, fake_keys[KEC384].soft->id));
	pool_away(&w);
}

TEST(so_many_keys_that_were_made_for_nothing_are_remembered)
{
	struct op_slow *s = NULL;
	uint8_t id[KEY_ID_SIZE] = { 0 };
	OK(kf_ok(op_slow_new(&s)));
	OK(!op_slow_is_orphan(s, id));
	for (int i = 0; i < 65; i++) {
		id[0] = (uint8_t)i;
		op_slow_orphan(s, id);
		OK(op_slow_is_orphan(s, id));
	}
	id[0] = 0;
	OK(!op_slow_is_orphan(s, id));
	id[0] = 1;
	OK(op_slow_is_orphan(s, id));
	op_slow_free(s);
}

TEST_MAIN
