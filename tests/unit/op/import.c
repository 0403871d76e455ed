/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/import.h"
#include "crypt/keygen.h"
#include "crypt/x509.h"
#include "op/step.h"
#include "op/token_key.h"
#include "world.h"

static const uint8_t key_bytes[32] = { 9, 8, 7 };

static struct kmip_object aes(const uint8_t *bytes, size_t n)
{
	return (struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
		.block = { .format = 1,
			.algorithm = 3,
			.length = (int32_t)n * 8,
			.has_value = true,
			.material = { bytes, n } } };
}

struct wish {
	const char *id;
	struct slice attributes;
	struct kmip_object object;
	bool replaces;
};

static kf_err import(struct world *w, const struct wish *wish, struct id *ret)
{
	struct ttlv_writer q = question(w);
	import_put_request(
		&q, &(struct import_request){ .uid = kmip_uid_text(slice_of(wish->id)),
			    .replaces_existing = wish->replaces,
			    .attributes = wish->attributes,
			    .object = wish->object });
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_IMPORT));
	struct import_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(import_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

/* The answer stays in `kept`. */
static kf_err export(struct world *w, const struct id *id, struct buf *kept,
	struct buf *set, struct export_response *ret)
{
	struct ttlv_writer q = question(w);
	get_put_request(&q, &(struct get_request){ .uid = uid(id) });
	KF_TRY(ask(w, KMIP_OPERATION_EXPORT));
	buf_clear(kept);
	buf_clear(set);
	buf_add_slice(kept, buf_slice(&w->answer));
	struct ttlv_reader r = ttlv_read_as(buf_slice(kept), w->version, false);
	return export_get_response(&r, ret, set);
}

TEST(what_is_exported_is_the_same_at_another_server)
{
	const uint16_t versions[] = { KMIP_1_4, KMIP_2_0, KMIP_2_1 };
	for (size_t i = 0; i < 3; i++) {
		WORLD(w);
		WORLD(other);
		autobuf kept = buf_new(8192), set = buf_new(8192);
		autobuf kept2 = buf_new(8192), set2 = buf_new(8192);
		struct export_response a, b;
		struct id id, there;
		int64_t was = 0, is = 0;
		uint32_t state = 0;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(let_alice_create(&other)));
		OK(kf_ok(create_aes(&w, "disk", &id)));
		OK(kf_ok(activate(&w, &id)));
		w.version = other.version = versions[i];
		OK(kf_ok(export(&w, &id, &kept, &set, &a)));
		OK(attrs_has_name(a.attributes, SLICE_LIT("disk")));
		other.now_s = NOW + 1000;

		const struct wish wish = {
			.id = id.text, .attributes = a.attributes, .object = a.object
		};
		OK(kf_ok(import(&other, &wish, &there)));

		OK(!strcmp(id.text, there.text));
		OK(kf_ok(export(&other, &there, &kept2, &set2, &b)));
		OK(slice_eq(a.object.item, b.object.item));
		EQ(a.attributes.n, b.attributes.n);
		OK(attrs_get_date(a.attributes, TAG_INITIAL_DATE, &was));
		OK(attrs_get_date(b.attributes, TAG_INITIAL_DATE, &is));
		EQ(was, is);
		OK(attrs_get_enum(b.attributes, TAG_STATE, &state));
		EQ(state, STATE_ACTIVE);
		EQ(attrs_count(b.attributes, TAG_DIGEST), 1);
	}
}

TEST(export_tells_attributes_to_those_who_may_read_them)
{
	WORLD(w);
	autobuf kept = buf_new(8192), set = buf_new(8192);
	struct export_response a;
	struct get_response got;
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "disk", &id)));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_GET, 0)));

	be(&w, "bob", false);
	OK(kf_ok(get(&w, &id, &got)));
	OK(kf_is(export(&w, &id, &kept, &set, &a), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_GET_ATTRIBUTES, 0)));
	OK(kf_ok(export(&w, &id, &kept, &set, &a)));
}

/* As Destroy leaves a key on tokens. */
static void bury(struct world *w, const struct id *id)
{
	const struct object *o = catalog_find(w->server.catalog, slice_of(id->text));
	autobuf attrs = buf_new(4096);
	struct op_call call = { .server = &w->server, .now_s = NOW };
	const struct token_key key = { .alg = alg_get(ALG_P256) };
	kf_err err;

	buf_add_slice(&attrs, o->attrs);
	token_key_bury(&attrs, &key);
	attrs_set_enum(&attrs, TAG_STATE, STATE_DESTROYED);
	OK(kf_ok(op_replace_other(&call, o, &attrs, false)));
	submit_and_wait(w, &call.change, &err);
	OK(kf_ok(err) && kf_ok(call.change.err));
	object_unref(call.change.m[0].object.object);
}

TEST(what_is_known_of_a_destroyed_key_on_tokens_is_not_replaced)
{
	WORLD(w);
	struct id id, there;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	const struct wish wish = {
		.id = id.text, .object = aes(key_bytes, 32), .replaces = true
	};
	OK(kf_ok(import(&w, &wish, &there)));
	bury(&w, &id);
	OK(kf_is(import(&w, &wish, &there), KF_E_FEATURE));
}

TEST(export_needs_what_get_needs)
{
	WORLD(w);
	autobuf kept = buf_new(8192), set = buf_new(8192);
	struct export_response a;
	struct pair p;
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	OK(kf_is(export(&w, &p.private_key, &kept, &set, &a), KF_E_SENSITIVE));
	OK(kf_ok(destroy(&w, &id)));
	OK(kf_is(export(&w, &id, &kept, &set, &a), KF_E_DESTROYED));
	w.version = KMIP_1_3;
	OK(kf_is(export(&w, &p.public_key, &kept, &set, &a), KF_E_UNSUPPORTED));
	w.version = KMIP_2_1;
	be(&w, "bob", false);
	OK(kf_is(export(&w, &p.public_key, &kept, &set, &a), KF_E_NOT_FOUND));
}

TEST(an_object_that_exists_is_replaced_if_that_is_asked_for)
{
	WORLD(w);
	autobuf attrs = buf_new(4096);
	const uint8_t other_bytes[16] = { 1 };
	struct get_response a;
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_name(&attrs, SLICE_LIT("mine"));
	struct wish wish = { .id = "key-1",
		.attributes = buf_slice(&attrs),
		.object = aes(key_bytes, 32) };
	OK(kf_ok(import(&w, &wish, &id)));
	OK(!strcmp(id.text, "key-1"));

	wish.object = aes(other_bytes, 16);
	OK(kf_is(import(&w, &wish, &id), KF_E_EXISTS));
	wish.replaces = true;
	OK(kf_ok(import(&w, &wish, &id)));
	OK(kf_ok(get(&w, &id, &a)));
	EQ(a.object.block.material.n, 16);

	be(&w, "bob", false);
	OK(kf_is(import(&w, &wish, &id), KF_E_EXISTS));
	OK(kf_ok(add_limited(&w, "bob", "key-1", PERM_DESTROY)));
	count_charges(&w, PERM_DESTROY);
	OK(kf_is(import(&w, &wish, &id), KF_E_GRANT_RATE));
	be(&w, "root", true);
	OK(kf_ok(import(&w, &wish, &id)));
	be(&w, "alice", false);
	OK(kf_ok(get(&w, &id, &a))); /* still hers */
}

TEST(who_replaces_anothers_object_activates_it_only_with_leave)
{
	WORLD(w);
	autobuf attrs = buf_new(4096), active = buf_new(4096), dated = buf_new(4096);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_grant(&w, "bob", "key-1", PERM_DESTROY, 0)));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_enum(&attrs, TAG_STATE, STATE_PRE_ACTIVE);
	attrs_add_int(&active, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_enum(&active, TAG_STATE, STATE_ACTIVE);
	attrs_add_int(&dated, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_date(&dated, TAG_ACTIVATION_DATE, NOW + 10);
	struct wish wish = { .id = "key-1",
		.attributes = buf_slice(&attrs),
		.object = aes(key_bytes, 32),
		.replaces = true };
	OK(kf_ok(import(&w, &wish, &id)));

	be(&w, "bob", false);
	OK(kf_ok(import(&w, &wish, &id)));
	wish.attributes = buf_slice(&active);
	OK(kf_is(import(&w, &wish, &id), KF_E_DENIED));
	wish.attributes = buf_slice(&dated);
	OK(kf_is(import(&w, &wish, &id), KF_E_DENIED));
	for (uint32_t state = STATE_DEACTIVATED; state <= STATE_COMPROMISED; state++) {
		autobuf ended = buf_new(4096);
		attrs_add_int(&ended, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
		attrs_add_enum(&ended, TAG_STATE, state);
		wish.attributes = buf_slice(&ended);
		OK(kf_is(import(&w, &wish, &id), KF_E_DENIED)); /* still decrypts */
	}
	wish.attributes = buf_slice(&dated);
	OK(kf_ok(add_grant(&w, "bob", "key-1", PERM_ACTIVATE, 0)));
	OK(kf_ok(import(&w, &wish, &id)));
	wish.id = "key-2"; /* a new one is his own */
	wish.attributes = buf_slice(&active);
	OK(kf_ok(import(&w, &wish, &id)));
}

TEST(what_is_active_is_replaced_by_who_may_revoke_it)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "disk", &id)));
	OK(kf_ok(activate(&w, &id)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_DESTROY, 0)));
	const struct wish wish = {
		.id = id.text, .object = aes(key_bytes, 32), .replaces = true
	};

	be(&w, "bob", false);
	OK(kf_is(destroy(&w, &id), KF_E_STATE));
	OK(kf_is(import(&w, &wish, &id), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_REVOKE, 0)));
	OK(kf_ok(import(&w, &wish, &id)));
	EQ(catalog_find(w.server.catalog, slice_of(id.text))->stored_state,
		STATE_PRE_ACTIVE);
}

static kf_err put_private(
	struct world *w, const char *id_text, const struct keypair *k, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 1);
	attrs_add_enum(&attrs, TAG_STATE, STATE_ACTIVE);
	const struct wish wish = { .id = id_text,
		.attributes = buf_slice(&attrs),
		.object = { .type = OBJECT_PRIVATE_KEY,
			.block = { .format = 4,
				.has_value = true,
				.material = buf_slice(&k->pkcs8) } },
		.replaces = true };
	return import(w, &wish, ret);
}

TEST(a_replaced_private_key_signs_as_the_new_one)
{
	WORLD(w);
	struct keypair one = { 0 }, two = { 0 };
	struct id id;
	uint8_t was[32];
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(keypair_generate(alg_get(ALG_P256), &one)));
	OK(kf_ok(keypair_generate(alg_get(ALG_P256), &two)));

	OK(kf_ok(put_private(&w, "tls", &one, &id)));
	OK(kf_ok(sign_text(&w, &id, "text")));
	memcpy(was, catalog_find(w.server.catalog, slice_of("tls"))->key_id, 32);
	OK(kf_ok(put_private(&w, "tls", &two, &id)));
	OK(kf_ok(sign_text(&w, &id, "text")));

	OK(memcmp(was, catalog_find(w.server.catalog, slice_of("tls"))->key_id, 32));
	keypair_free(&one);
	keypair_free(&two);
}

static kf_err make_certificate(struct buf *ret)
{
	struct cert ca = { 0 };
	kf_err err = cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "Test CA" }, &ca);
	if (kf_ok(err))
		err = cert_to_der(buf_slice(&ca.pem), ret);
	cert_free(&ca);
	return err;
}

static kf_err serial_of(struct world *w, const struct id *id, struct ttlv_item *ret)
{
	KF_TRY(attributes(w, id));
	return attrs_find(buf_slice(&w->attrs), TAG_X_509_CERTIFICATE_IDENTIFIER, 0,
		       ret) && attrs_find(ret->value, TAG_CERTIFICATE_SERIAL_NUMBER, 0,
				       ret)
		       ? KF_OK
		       : kf_fail(NO_ATTRIBUTE, "serial number");
}

/* As once certificates were described: the serial number without its DER. */
static void add_bare_serial(struct buf *attrs, struct slice der)
{
	struct ttlv_writer w = ttlv_write(attrs, 0);
	ttlv_begin(&w, TAG_X_509_CERTIFICATE_IDENTIFIER);
	ttlv_put_bytes(&w, TAG_ISSUER_DISTINGUISHED_NAME, SLICE_LIT("0"));
	ttlv_put_bytes(&w, TAG_CERTIFICATE_SERIAL_NUMBER,
		(struct slice){ der.p + 2, der.n - 2 });
	ttlv_end(&w);
}

TEST(a_certificate_that_comes_back_is_described_anew)
{
	WORLD(w);
	autobuf der = buf_new(65536), attrs = buf_new(4096), was = buf_new(64);
	struct ttlv_item it;
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(make_certificate(&der)));
	struct wish wish = { .id = "leaf",
		.object = { .type = OBJECT_CERTIFICATE,
			.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
			.value = buf_slice(&der) } };
	OK(kf_ok(import(&w, &wish, &id)));
	OK(kf_ok(serial_of(&w, &id, &it)));
	buf_add_slice(&was, it.value);
	OK(was.n > 2 && was.p[0] == 2 && was.p[1] == was.n - 2);

	add_bare_serial(&attrs, buf_slice(&was));
	wish.attributes = buf_slice(&attrs);
	wish.replaces = true;
	OK(kf_ok(import(&w, &wish, &id)));

	OK(kf_ok(serial_of(&w, &id, &it)));
	OK(slice_eq(it.value, buf_slice(&was)));
}

TEST(identifiers_that_would_mean_something_else_get_a_new_one)
{
	static const char *const texts[] = { "*", "-", "name:tls", "a b", "../x",
		"0123456789012345678901234567890123456", "" };
	WORLD(w);
	autobuf attrs = buf_new(4096);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const struct wish wish = { .id = texts[i],
			.attributes = buf_slice(&attrs),
			.object = aes(key_bytes, 32) };
		OK(kf_ok(import(&w, &wish, &id)));
		EQ(strlen(id.text), 36);
	}
}

TEST(attributes_that_lie_are_refused)
{
	WORLD(w);
	autobuf attrs = buf_new(4096), kept = buf_new(8192), set = buf_new(8192);
	struct export_response a;
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(export(&w, &id, &kept, &set, &a)));
	struct wish wish = {
		.id = "new", .attributes = a.attributes, .object = aes(key_bytes, 32)
	};
	OK(kf_is(import(&w, &wish, &id), KF_E_INVALID_FIELD)); /* another key's Digest */

	wish.attributes = (struct slice){ 0 };
	attrs_add_enum(&attrs, TAG_STATE, STATE_DESTROYED);
	wish.attributes = buf_slice(&attrs);
	OK(kf_is(import(&w, &wish, &id), KF_E_INVALID_FIELD));
	buf_clear(&attrs);
	attrs_add_enum(&attrs, TAG_OBJECT_TYPE, OBJECT_SECRET_DATA);
	wish.attributes = buf_slice(&attrs);
	OK(kf_is(import(&w, &wish, &id), KF_E_INVALID_FIELD));
	buf_clear(&attrs);
	attrs_add_bool(&attrs, TAG_SENSITIVE, true);
	attrs_add_bool(&attrs, TAG_SENSITIVE, true);
	wish.attributes = buf_slice(&attrs);
	OK(kf_is(import(&w, &wish, &id), KF_E_GIVEN_TWICE));
	be(&w, "bob", false);
	OK(kf_is(import(&w, &wish, &id), KF_E_DENIED));
}

TEST_MAIN
