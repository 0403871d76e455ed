/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_key.h"
#include "crypt/keygen.h"
#include "op/slow.h"
#include "test.h"
#include <string.h>

static kf_err describe(struct buf *ret, struct keypair *pair)
{
	struct token_material m = { .pool = slice_of("main"),
		.file = slice_of("a file") };
	KF_TRY(keypair_generate(alg_get(ALG_P256), pair));
	m.spki = buf_slice(&pair->spki);
	memset(m.reject, 7, sizeof(m.reject));
	token_material_put(ret, &m);
	return buf_err(ret);
}

#define MATERIAL(bytes, pair)                                                            \
	autobuf bytes = buf_new(4096);                                                   \
	CLEANUP(keypair_free) struct keypair pair = { 0 };                               \
	OK(kf_ok(describe(&bytes, &pair)))

TEST(what_is_said_of_a_key_on_tokens_goes_round)
{
	MATERIAL(bytes, pair);
	struct token_material m;

	OK(kf_ok(token_material_get(buf_slice(&bytes), &m)));

	OK(slice_is(m.pool, "main") && slice_is(m.file, "a file"));
	OK(slice_eq(m.spki, buf_slice(&pair.spki)));
	EQ(m.reject[31], 7);
}

TEST(a_handle_knows_its_public_key_and_its_pool)
{
	MATERIAL(bytes, pair);
	struct token_key *key = NULL;
	uint8_t id[KEY_ID_SIZE];
	spki_id(buf_slice(&pair.spki), id);

	OK(kf_ok(token_material_load(buf_slice(&bytes), &key)));

	OK(pool_key_is(key) && !strcmp(pool_key_pool(key), "main"));
	OK(slice_eq(pool_key_spki(key), buf_slice(&pair.spki)));
	OK(!memcmp(key->id, id, sizeof(id)));
	token_key_put(key);
}

/* The same with a copy for software. */
static kf_err describe_mixed(struct buf *ret, struct keypair *pair, struct slice copy)
{
	struct token_material m = {
		.pool = slice_of("main"), .spki = buf_slice(&pair->spki), .overflow = copy
	};
	token_material_put(ret, &m);
	return buf_err(ret);
}

TEST(a_copy_for_software_goes_round_and_is_loaded)
{
	MATERIAL(bytes, pair);
	autobuf mixed = buf_new(4096);
	struct token_material m;
	struct token_key *key = NULL;
	OK(kf_ok(token_material_load(buf_slice(&bytes), &key)));
	OK(!pool_key_overflow(key));
	token_key_put(key);

	OK(kf_ok(describe_mixed(&mixed, &pair, buf_slice(&pair.pkcs8))));
	OK(kf_ok(token_material_get(buf_slice(&mixed), &m)));
	OK(slice_eq(m.overflow, buf_slice(&pair.pkcs8)));
	OK(kf_ok(token_material_load(buf_slice(&mixed), &key)));

	OK(pool_key_is(key) && pool_key_overflow(key));
	OK(!memcmp(pool_key_overflow(key)->id, key->id, KEY_ID_SIZE));
	token_key_put(key);
	for (size_t n = 0; n < mixed.n; n++)
		OK(kf_is(token_material_get((struct slice){ mixed.p, n }, &m),
			KF_E_KEY_FORMAT));
}

TEST(a_copy_of_another_key_is_none)
{
	MATERIAL(bytes, pair);
	CLEANUP(keypair_free) struct keypair other = { 0 };
	autobuf mixed = buf_new(4096);
	struct token_key *key = NULL;
	OK(kf_ok(keypair_generate(alg_get(ALG_P256), &other)));
	OK(kf_ok(describe_mixed(&mixed, &pair, buf_slice(&other.pkcs8))));

	OK(kf_is(token_material_load(buf_slice(&mixed), &key), KF_E_KEY_FORMAT));
	OK(!key);
}

TEST(every_cut_is_noticed)
{
	MATERIAL(bytes, pair);
	struct token_material m;

	for (size_t n = 0; n < bytes.n; n++)
		OK(kf_is(token_material_get((struct slice){ bytes.p, n }, &m),
			KF_E_KEY_FORMAT));
	buf_add_u8(&bytes, 0);
	OK(kf_is(token_material_get(buf_slice(&bytes), &m), KF_E_KEY_FORMAT));
}

TEST(lengths_that_lie_and_other_releases_are_refused)
{
	MATERIAL(bytes, pair);
	struct token_material m;
	const size_t spki_at = 2 + 4 + 32, file_at = spki_at + 2 + pair.spki.n;
	const size_t places[] = { 0, 1, spki_at, spki_at + 1, file_at, file_at + 3 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t was = bytes.p[places[i]];
		for (unsigned v = 0; v < 256; v++) {
			bytes.p[places[i]] = (uint8_t)v;
			kf_err e = token_material_get(buf_slice(&bytes), &m);
			OK(kf_ok(e) == (v == was));
		}
		bytes.p[places[i]] = was;
	}
}

TEST(more_than_there_is_room_for_is_not_written)
{
	static uint8_t much[TOKEN_FILE_MAX + 1];
	autobuf bytes = buf_new(1 << 20);
	token_material_put(&bytes, &(struct token_material){ .pool = slice_of("p"),
					   .file = { much, sizeof(much) } });
	OK(kf_is(buf_err(&bytes), KF_E_TOO_BIG));
}

TEST(a_slow_request_is_carried_out_once_and_so_many_at_a_time)
{
	struct op_slow *s = NULL;
	unsigned place[OP_SLOW_MAX + 1] = { 0 };
	const struct slice id = { (const uint8_t *)"0123456789abcdef", 16 };
	OK(kf_ok(op_slow_new(&s)));

	OK(kf_ok(op_slow_begin(s, id, NULL, &place[0])));
	OK(kf_is(op_slow_begin(s, id, NULL, &place[1]), KF_E_BUSY));
	for (int i = 1; i < OP_SLOW_MAX; i++)
		OK(kf_ok(op_slow_begin(s, (struct slice){ 0 }, NULL, &place[i])));
	OK(kf_is(op_slow_begin(s, (struct slice){ 0 }, NULL, &place[OP_SLOW_MAX]),
		KF_E_BUSY));
	op_slow_end(s, place[0]);
	op_slow_end(s, 0);
	OK(kf_ok(op_slow_begin(s, id, NULL, &place[0])));
	op_slow_free(s);
}

TEST(clients_leave_administrators_a_place)
{
	static const char *const clients[] = { "alice", "bob", "carol" };
	struct op_slow *s = NULL;
	const struct slice any = { 0 };
	unsigned place[OP_SLOW_MAX] = { 0 }, more = 0;
	OK(kf_ok(op_slow_new(&s)));

	for (int i = 0; i < OP_SLOW_CLIENTS; i++)
		OK(kf_ok(op_slow_begin(s, any, clients[i], &place[i])));
	OK(kf_is(op_slow_begin(s, any, "dave", &more), KF_E_BUSY));
	OK(kf_ok(op_slow_begin(s, any, NULL, &more)));
	op_slow_end(s, place[0]);
	OK(kf_ok(op_slow_begin(s, any, "dave", &place[0])));
	OK(kf_is(op_slow_begin(s, any, NULL, &place[3]), KF_E_BUSY));
	op_slow_free(s);
}

TEST(a_client_leaves_others_the_last_place)
{
	struct op_slow *s = NULL;
	const struct slice any = { 0 };
	unsigned first = 0, second = 0, others = 0, more = 0;
	OK(kf_ok(op_slow_new(&s)));

	OK(kf_ok(op_slow_begin(s, any, "alice", &first)));
	OK(kf_ok(op_slow_begin(s, any, "alice", &second)));
	OK(kf_is(op_slow_begin(s, any, "alice", &more), KF_E_BUSY));
	OK(kf_ok(op_slow_begin(s, any, "bob", &others)));
	OK(kf_is(op_slow_begin(s, any, "carol", &more), KF_E_BUSY));
	op_slow_end(s, first);
	OK(kf_is(op_slow_begin(s, any, "alice", &more), KF_E_BUSY));
	OK(kf_is(op_slow_begin(s, any, "bob", &more), KF_E_BUSY));
	OK(kf_ok(op_slow_begin(s, any, "carol", &more)));
	op_slow_free(s);
}
TEST_MAIN
