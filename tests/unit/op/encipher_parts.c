/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypt and Decrypt in several requests; and with RSA.
 */
#include "encipher.h"

/* --- streams --- */

static kf_err open_streams(struct world *w)
{
	return op_parts_new(&(struct op_parts_conf){ .most = 3,
				    .client_most = 2,
				    .memory = 4096,
				    .idle_ns = 1000000000 },
		&w->server.parts);
}

#define STREAMS(w)                                                                       \
	WORLD(w);                                                                        \
	OK(kf_ok(open_streams(&(w))));                                                   \
	CLEANUP(close_streams) __attribute__((unused)) struct world *closes = &(w);      \
	OK(kf_ok(let_alice_create(&(w))))

static void close_streams(struct world **w) { op_parts_free((*w)->server.parts); }

TEST(parts_come_to_the_same_as_the_whole)
{
	STREAMS(w);
	struct id id;
	struct decrypt_response a;
	struct kept whole, part;
	static const uint8_t text[60] =
		"a message that is longer than one block, and then some";
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(GCM, (struct slice){ text, sizeof(text) });
	q.iv = (struct slice){ zeros, 12 };
	q.additional_data = slice_of("header");
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	keep_all(&whole, &a);

	q.init_indicator = true;
	q.data.n = 20;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 20);
	EQ(a.tag.n, 0);
	EQ(a.correlation_value.n, 16);
	OK(!memcmp(a.data.p, whole.data, 20));
	keep_all(&part, &a);

	struct decrypt_request more = { .has_data = true,
		.data = { text + 20, 13 },
		.correlation_value = part.a.correlation_value };
	OK(kf_ok(encrypt(&w, &more, NULL, &a)));
	EQ(a.data.n, 13);
	OK(!memcmp(a.data.p, whole.data + 20, 13));
	more.data = (struct slice){ text + 33, 27 };
	more.final_indicator = true;
	OK(kf_ok(encrypt(&w, &more, &id, &a)));
	OK(!memcmp(a.data.p, whole.data + 33, 27));
	OK(slice_eq(a.tag, whole.a.tag));
	EQ(a.correlation_value.n, 0);
	EQ(op_parts_count(w.server.parts), 0);
	OK(kf_is(encrypt(&w, &more, &id, &a), KF_E_CORRELATION));
}

static kf_err begin_stream(struct world *w, const struct id *id, struct kept *ret)
{
	struct decrypt_response a;
	struct decrypt_request q = with_mode(CBC, (struct slice){ zeros, 20 });
	q.parameters.padding_method = PKCS5;
	q.init_indicator = true;
	KF_TRY(encrypt(w, &q, id, &a));
	keep_all(ret, &a);
	return KF_OK;
}

static kf_err go_on(
	struct world *w, const struct id *id, const struct kept *k, bool is_last)
{
	struct decrypt_response a;
	struct decrypt_request q = { .has_data = true,
		.data = { zeros, 20 },
		.correlation_value = k->a.correlation_value,
		.final_indicator = is_last };
	return encrypt(w, &q, id, &a);
}

TEST(a_stream_is_bound_to_client_key_and_operation)
{
	STREAMS(w);
	struct id id, other;
	struct decrypt_response a;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(aes_key(&w, &other)));
	OK(kf_ok(begin_stream(&w, &id, &k)));
	EQ(k.a.iv.n, 16);
	EQ(k.a.data.n, 16);

	OK(kf_is(go_on(&w, &other, &k, false), KF_E_CORRELATION));
	be(&w, "root", true);
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_CORRELATION));
	OK(kf_is(go_on(&w, NULL, &k, false), KF_E_CORRELATION));
	be(&w, "alice", false);
	struct decrypt_request q = { .has_data = true,
		.data = { zeros, 16 },
		.correlation_value = k.a.correlation_value };
	OK(kf_is(decrypt(&w, &q, &id, &a), KF_E_CORRELATION));
	OK(kf_ok(go_on(&w, &id, &k, false)));
	k.correlation[5] ^= 1;
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_CORRELATION));
	k.correlation[5] ^= 1;
	OK(kf_ok(go_on(&w, NULL, &k, true)));
}

TEST(a_stream_that_nobody_goes_on_with_is_over)
{
	STREAMS(w);
	struct id id;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(begin_stream(&w, &id, &k)));

	clock_turn(999000000, 0);
	OK(kf_ok(go_on(&w, &id, &k, false)));
	clock_turn(1000000001, 0);
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_CORRELATION));
	EQ(op_parts_count(w.server.parts), 1);
	op_parts_sweep(w.server.parts, w.server.catalog, w.now_s);
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(streams_of_a_destroyed_key_are_swept)
{
	STREAMS(w);
	struct id id, other;
	struct kept k, kept;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(aes_key(&w, &other)));
	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_ok(begin_stream(&w, &other, &kept)));
	OK(kf_ok(revoke(&w, &id, KMIP_REVOCATION_REASON_CODE_UNSPECIFIED)));
	OK(kf_is(go_on(&w, &id, &k, false), KF_E_STATE));
	OK(kf_ok(destroy(&w, &id)));

	op_parts_sweep(w.server.parts, w.server.catalog, w.now_s);
	EQ(op_parts_count(w.server.parts), 1);
	OK(kf_ok(go_on(&w, &other, &kept, true)));
}

TEST(streams_are_few_of_a_client_and_in_all)
{
	STREAMS(w);
	struct id id;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	OK(kf_ok(add_grant(&w, "*", id.text, PERM_ENCRYPT, 0)));

	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_is(begin_stream(&w, &id, &k), KF_E_BUSY));
	be(&w, "bob", false);
	OK(kf_ok(begin_stream(&w, &id, &k)));
	OK(kf_is(begin_stream(&w, &id, &k), KF_E_BUSY));
	clock_turn(1000000001, 0);
	OK(kf_ok(begin_stream(&w, &id, &k)));
	EQ(op_parts_count(w.server.parts), 1);
}

TEST(what_streams_hold_back_is_limited)
{
	STREAMS(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	uint8_t much[3000] = { 0 };
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(CCM, (struct slice){ much, sizeof(much) });
	q.init_indicator = true;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 0);
	OK(!a.has_data);
	keep_all(&k, &a);

	struct decrypt_request more = { .has_data = true,
		.data = { much, sizeof(much) },
		.correlation_value = k.a.correlation_value };
	OK(kf_is(encrypt(&w, &more, &id, &a), KF_E_BUSY));
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(a_failure_ends_the_stream)
{
	STREAMS(w);
	struct id id;
	struct decrypt_response a;
	struct kept k;
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(GCM, (struct slice){ zeros, 16 });
	q.init_indicator = true;
	q.iv = (struct slice){ zeros, 12 };
	OK(kf_ok(decrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 0);
	keep_all(&k, &a);

	struct decrypt_request last = { .tag = { zeros, 16 },
		.correlation_value = k.a.correlation_value,
		.final_indicator = true };
	OK(kf_is(decrypt(&w, &last, &id, &a), KF_E_DATA));
	OK(kf_is(decrypt(&w, &last, &id, &a), KF_E_CORRELATION));
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(one_part_with_both_indicators_is_no_stream)
{
	WORLD(w);
	struct id id;
	struct decrypt_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(aes_key(&w, &id)));
	struct decrypt_request q = with_mode(ECB, (struct slice){ zeros, 16 });
	q.init_indicator = q.final_indicator = true;
	OK(kf_ok(encrypt(&w, &q, &id, &a)));
	EQ(a.data.n, 16);
	q.final_indicator = false;
	OK(kf_is(encrypt(&w, &q, &id, &a), KF_E_FEATURE));
}

/* --- RSA --- */

TEST(what_an_rsa_public_key_encrypts_its_private_key_decrypts)
{
	WORLD(w);
	struct pair pair;
	struct decrypt_response a;
	uint8_t text[512];
	const uint32_t hashes[] = { 4, 5, 6, 7, 8 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w,
		&(struct pair_wish){ .algorithm = 4,
			.bits = 2048,
			.is_active = true,
			.private_usage = 8,
			.public_usage = 4 },
		&pair)));

	for (size_t i = 0; i < 26; i++) {
		struct decrypt_request q = { .has_parameters = true,
			.has_data = true,
			.data = slice_of("premaster"),
			.parameters = { .padding_method = 8 } };
		if (i < 25)
			q.parameters = (struct cryptographic_parameters){
				.padding_method = 2,
				.hashing_algorithm = hashes[i / 5],
				.mask_generator = 1,
				.mask_generator_hashing_algorithm = hashes[i % 5],
				.p_source = slice_of(i % 2 ? "label" : ""),
			};
		OK(kf_ok(encrypt(&w, &q, &pair.public_key, &a)));
		EQ(a.data.n, 256);
		q.data = keep(text, a.data);
		OK(kf_ok(decrypt(&w, &q, &pair.private_key, &a)));
		OK(slice_is(a.data, "premaster"));
	}
	struct decrypt_request q = { .has_data = true, .data = slice_of("no padding") };
	OK(kf_is(encrypt(&w, &q, &pair.public_key, &a), KF_E_BAD_PARAMETERS));
	q = (struct decrypt_request){ .has_parameters = true,
		.has_data = true,
		.data = { zeros, 64 },
		.parameters = { .padding_method = 8 } };
	q.data = (struct slice){ text, 300 };
	OK(kf_is(encrypt(&w, &q, &pair.public_key, &a), KF_E_DATA));
}

TEST_MAIN
