/* SPDX-License-Identifier: Apache-2.0 */
#include "op/secret.h"
#include "kmip/attrs.h"
#include "world.h"

struct made {
	struct kmip_object object;
	struct buf store;
};

static void made_free(struct made *m) { buf_free(&m->store); }

static kf_err secret_data(uint32_t format, struct slice bytes, struct slice *ret)
{
	const struct kmip_object k = {
		.type = OBJECT_SECRET_DATA,
		.secret_data_type = KMIP_SECRET_DATA_TYPE_PASSWORD,
		.block = { .format = format, .has_value = true, .material = bytes },
	};
	return secret_of(&k, ret);
}

static kf_err key(struct key_block block, struct slice *ret)
{
	return secret_of(
		&(struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY, .block = block },
		ret);
}

TEST(the_bytes_of_a_raw_key_are_its_material)
{
	struct slice got = { 0 };

	OK(kf_ok(key((struct key_block){ .format = KMIP_KEY_FORMAT_TYPE_RAW,
			     .has_value = true,
			     .material = slice_of("0123456789abcdef") },
		&got)));
	OK(slice_is(got, "0123456789abcdef"));
}

TEST(the_bytes_of_a_transparent_key_are_inside_its_structure)
{
	CLEANUP(made_free) struct made m = { .store = buf_new(1024) };
	struct ttlv_writer w = ttlv_write(&m.store, 0);
	ttlv_begin(&w, TAG_KEY_MATERIAL);
	ttlv_put_bytes(&w, TAG_KEY, slice_of("0123456789abcdef"));
	ttlv_end(&w);
	struct slice got = { 0 };

	OK(kf_ok(key(
		(struct key_block){
			.format = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY,
			.has_value = true,
			.is_transparent = true,
			.material = buf_slice(&m.store) },
		&got)));
	OK(slice_is(got, "0123456789abcdef"));
}

TEST(a_transparent_key_is_refused_wherever_it_is_cut)
{
	CLEANUP(made_free) struct made m = { .store = buf_new(1024) };
	struct ttlv_writer w = ttlv_write(&m.store, 0);
	ttlv_begin(&w, TAG_KEY_MATERIAL);
	ttlv_put_bytes(&w, TAG_KEY, slice_of("0123456789abcdef"));
	ttlv_end(&w);
	struct slice got = { 0 };
	size_t refused = 0;

	for (size_t n = 0; n < m.store.n; n++)
		refused += !kf_ok(key(
			(struct key_block){
				.format = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY,
				.has_value = true,
				.is_transparent = true,
				.material = { m.store.p, n } },
			&got));

	EQ(refused, m.store.n);
	OK(!got.p);
}

TEST(secret_data_may_be_opaque_and_a_key_may_not)
{
	struct slice got = { 0 };

	OK(kf_ok(secret_data(
		KMIP_KEY_FORMAT_TYPE_OPAQUE, slice_of("correct horse"), &got)));
	OK(slice_is(got, "correct horse"));
	OK(kf_is(key((struct key_block){ .format = KMIP_KEY_FORMAT_TYPE_OPAQUE,
			     .has_value = true,
			     .material = slice_of("0123456789abcdef") },
			 &got),
		KF_E_KEY_FORMAT));
}

TEST(a_wrapped_value_is_no_key)
{
	struct slice got = { 0 };

	OK(kf_is(key((struct key_block){ .format = KMIP_KEY_FORMAT_TYPE_RAW,
			     .has_value = true,
			     .is_wrapped = true,
			     .material = slice_of("0123456789abcdef") },
			 &got),
		KF_E_KEY_FORMAT));
	OK(kf_is(key((struct key_block){ .format = KMIP_KEY_FORMAT_TYPE_RAW }, &got),
		KF_E_NO_VALUE));
	OK(!got.p);
}

TEST(what_the_store_sealed_is_opened_until_it_is_destroyed)
{
	WORLD(w);
	struct id id;
	struct slice got = { 0 };
	autobuf scratch = buf_new(4096);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "k", &id)));
	w.call->server = &w.server;
	w.call->now_s = w.now_s;

	const struct object *o = catalog_find(w.server.catalog, slice_of(id.text));
	OK(o != NULL);
	OK(kf_ok(op_secret_open(w.call, o, &scratch, &got)));
	EQ(got.n, 32);
	struct get_response g;
	OK(kf_ok(get(&w, &id, &g)));
	OK(slice_eq(g.object.block.material, got));

	OK(kf_ok(destroy(&w, &id)));
	o = catalog_find(w.server.catalog, slice_of(id.text));
	OK(kf_is(op_secret_open(w.call, o, &scratch, &got), KF_E_DESTROYED));
}

TEST(a_public_key_has_no_secret)
{
	WORLD(w);
	struct pair pair;
	struct slice got = { 0 };
	autobuf scratch = buf_new(4096);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "p", &pair)));
	w.call->server = &w.server;

	const struct object *o =
		catalog_find(w.server.catalog, slice_of(pair.public_key.text));

	OK(kf_is(op_secret_open(w.call, o, &scratch, &got), KF_E_OBJECT_TYPE));
}

TEST_MAIN
