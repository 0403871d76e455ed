/* SPDX-License-Identifier: Apache-2.0 */
#include "../crypt/chain.h"
#include "crypt/pubkey.h"
#include "kmip/import.h"
#include "world.h"

enum { PKCS12_FORMAT = KMIP_KEY_FORMAT_TYPE_PKCS_12, PKCS8 = 4 };

static const struct slice secret = { (const uint8_t *)"correct horse", 13 };

static kf_err add_secret(struct world *w, struct slice bytes, uint32_t type,
	bool is_active, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 0);
	if (is_active)
		attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_SECRET_DATA,
			.secret_data_type = type,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.has_value = true,
				.material = bytes } },
		ret);
}

static kf_err add_password(struct world *w, struct id *ret)
{
	return add_secret(w, secret, KMIP_SECRET_DATA_TYPE_PASSWORD, true, ret);
}

struct file_wish {
	struct slice file;
	const struct id *password, *password_too; /* NULL: no Link */
	const char *name;                         /* PKCS#12 Friendly Name */
	struct slice extra;
};

static kf_err put(struct world *w, const struct file_wish *wish, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 1);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	if (wish->password)
		attrs_add_link(&attrs, KMIP_LINK_TYPE_PKCS_12_PASSWORD_LINK,
			slice_of(wish->password->text));
	if (wish->password_too)
		attrs_add_link(&attrs, KMIP_LINK_TYPE_PKCS_12_PASSWORD_LINK,
			slice_of(wish->password_too->text));
	if (wish->name)
		attrs_add_text(&attrs, TAG_PKCS_12_FRIENDLY_NAME, slice_of(wish->name));
	buf_add_slice(&attrs, wish->extra);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_PRIVATE_KEY,
			.block = { .format = PKCS12_FORMAT,
				.has_value = true,
				.material = wish->file } },
		ret);
}

/* A server, a password, and a file under it. */
struct rig {
	struct pkcs12 content;
	struct buf file;
	struct id password;
};

static void rig_free(struct rig *r)
{
	pkcs12_clear(&r->content);
	buf_free(&r->file);
}

static kf_err prepare(struct world *w, struct rig *r)
{
	*r = (struct rig){ .file = buf_new(PKCS12_SIZE_MAX) };
	KF_TRY(let_alice_create(w));
	KF_TRY(add_password(w, &r->password));
	KF_TRY(content_make("www", &r->content));
	return pkcs12_seal(&r->content, secret, &r->file);
}

#define RIG(w, r)                                                                        \
	WORLD(w);                                                                        \
	CLEANUP(rig_free) struct rig r;                                                  \
	OK(kf_ok(prepare(&(w), &(r))))

static const struct object *find(struct world *w, const char *id)
{
	return catalog_find(w->server.catalog, slice_of(id));
}

static bool follow(struct world *w, const struct id *from, uint32_t link, struct id *ret)
{
	struct slice id;
	const struct object *o = find(w, from->text);
	return o && attrs_get_link(o->attrs, link, &id) &&
	       kf_ok(slice_to_text(id, ret->text, sizeof(ret->text))) &&
	       find(w, ret->text);
}

static bool value_is(struct world *w, const struct id *id, const struct buf *want)
{
	struct get_response a;
	return kf_ok(get(w, id, &a)) && slice_eq(a.object.value, buf_slice(want));
}

TEST(a_registered_file_becomes_a_key_and_its_chain)
{
	RIG(w, r);
	struct id key, leaf, root, none;
	struct slice name;
	OK(kf_ok(put(&w,
		&(struct file_wish){
			.file = buf_slice(&r.file), .password = &r.password },
		&key)));
	OK(w.worked);

	OK(follow(&w, &key, KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK, &leaf));
	OK(follow(&w, &leaf, KMIP_LINK_TYPE_CERTIFICATE_LINK, &root));
	OK(!follow(&w, &root, KMIP_LINK_TYPE_CERTIFICATE_LINK, &none));
	OK(value_is(&w, &leaf, &r.content.chain[0]));
	OK(value_is(&w, &root, &r.content.chain[1]));
	EQ(find(&w, leaf.text)->type, OBJECT_CERTIFICATE);
	OK(attrs_get_text(find(&w, key.text)->attrs, TAG_PKCS_12_FRIENDLY_NAME, &name));
	OK(slice_is(name, "www"));
	OK(kf_ok(sign(&w, &key,
		&(struct sign_wish){ .data = slice_of("text"),
			.parameters = { .hashing_algorithm = 6 } },
		NULL)));
	EQ(catalog_count(w.server.catalog), 4);
}

TEST(a_file_leaves_as_it_came_unless_another_format_is_asked_for)
{
	RIG(w, r);
	struct id key;
	struct get_response a;
	OK(kf_ok(put(&w,
		&(struct file_wish){
			.file = buf_slice(&r.file), .password = &r.password },
		&key)));
	OK(kf_ok(get(&w, &key, &a)));
	EQ(a.object.block.format, PKCS12_FORMAT);
	OK(slice_eq(a.object.block.material, buf_slice(&r.file)));
	OK(kf_ok(get_as(&w, &key, PKCS8, &a)));
	OK(slice_eq(a.object.block.material, buf_slice(&r.content.pkcs8)));
	w.version = KMIP_1_3;
	OK(kf_is(get(&w, &key, &a), KF_E_KEY_FORMAT));
	OK(kf_is(get_as(&w, &key, PKCS12_FORMAT, &a), KF_E_KEY_FORMAT));
	OK(kf_ok(get_as(&w, &key, PKCS8, &a)));
}

static kf_err get_file(
	struct world *w, const struct id *key, struct slice password, struct pkcs12 *ret)
{
	struct get_response a;
	KF_TRY(get_as(w, key, PKCS12_FORMAT, &a));
	if (a.object.block.format != PKCS12_FORMAT)
		return kf_fail(INTERNAL, "another format");
	return pkcs12_open(a.object.block.material, password, (struct slice){ 0 }, ret);
}

static bool is_content(
	const struct pkcs12 *got, const struct pkcs12 *want, const char *name)
{
	return slice_eq(buf_slice(&got->pkcs8), buf_slice(&want->pkcs8)) && got->n == 2 &&
	       slice_is(buf_slice(&got->name), name) &&
	       slice_eq(buf_slice(&got->chain[0]), buf_slice(&want->chain[0])) &&
	       slice_eq(buf_slice(&got->chain[1]), buf_slice(&want->chain[1]));
}

TEST(a_new_file_is_made_of_the_key_its_chain_and_its_password)
{
	static const uint16_t versions[] = { KMIP_1_4, KMIP_2_1 };
	for (size_t i = 0; i < 2; i++) {
		RIG(w, r);
		CLEANUP(pkcs12_clear) struct pkcs12 got = { 0 };
		struct id key;
		w.version = versions[i];
		OK(kf_ok(put(&w,
			&(struct file_wish){
				.file = buf_slice(&r.file), .password = &r.password },
			&key)));
		w.worked = false;
		OK(kf_ok(get_file(&w, &key, secret, &got)));
		OK(w.worked);
		OK(is_content(&got, &r.content, "www"));
		struct get_response a;
		OK(kf_ok(get(&w, &key, &a)));
		OK(slice_eq(a.object.block.material, buf_slice(&r.file)));
	}
}

TEST(a_key_that_was_linked_by_hand_leaves_as_a_file_too)
{
	RIG(w, r);
	CLEANUP(pkcs12_clear) struct pkcs12 got = { 0 };
	autobuf attrs = buf_new(4096);
	struct id root, leaf, public, key;
	const struct kmip_object pem = { .type = OBJECT_CERTIFICATE,
		.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
		.value = buf_slice(&r.content.chain[1]) };
	struct kmip_object o = pem;
	OK(kf_ok(register_object(&w, (struct slice){ 0 }, &o, &root)));
	o.value = buf_slice(&r.content.chain[0]);
	attrs_add_link(&attrs, KMIP_LINK_TYPE_CERTIFICATE_LINK, slice_of(root.text));
	OK(kf_ok(register_object(&w, buf_slice(&attrs), &o, &leaf)));

	struct keypair pair = { 0 };
	OK(kf_ok(keypair_from_format(
		KEY_PKCS8, buf_slice(&r.content.pkcs8), NULL, &pair)));
	buf_clear(&attrs);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 2);
	attrs_add_link(&attrs, KMIP_LINK_TYPE_CERTIFICATE_LINK, slice_of(leaf.text));
	o = (struct kmip_object){ .type = OBJECT_PUBLIC_KEY,
		.block = { .format = KEY_X509,
			.has_value = true,
			.material = buf_slice(&pair.spki) } };
	const kf_err err = register_object(&w, buf_slice(&attrs), &o, &public);
	keypair_free(&pair);
	OK(kf_ok(err));
	buf_clear(&attrs);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 1);
	attrs_add_link(&attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, slice_of(public.text));
	attrs_add_link(
		&attrs, KMIP_LINK_TYPE_PKCS_12_PASSWORD_LINK, slice_of(r.password.text));
	o = (struct kmip_object){ .type = OBJECT_PRIVATE_KEY,
		.block = { .format = KEY_PKCS8,
			.has_value = true,
			.material = buf_slice(&r.content.pkcs8) } };
	OK(kf_ok(register_object(&w, buf_slice(&attrs), &o, &key)));

	OK(kf_ok(get_file(&w, &key, secret, &got)));
	OK(is_content(&got, &r.content, "alias"));
}

TEST(export_gives_the_file_with_the_attributes)
{
	RIG(w, r);
	CLEANUP(pkcs12_clear) struct pkcs12 got = { 0 };
	struct id key;
	struct export_response a;
	OK(kf_ok(put(&w,
		&(struct file_wish){
			.file = buf_slice(&r.file), .password = &r.password },
		&key)));
	struct ttlv_writer q = question(&w);
	get_put_request(&q, &(struct get_request){
				    .uid = uid(&key), .key_format_type = PKCS12_FORMAT });
	OK(kf_ok(ask(&w, KMIP_OPERATION_EXPORT)));
	struct ttlv_reader reader = answer(&w);
	buf_clear(&w.attrs);
	OK(kf_ok(export_get_response(&reader, &a, &w.attrs)));
	OK(kf_ok(
		pkcs12_open(a.object.block.material, secret, (struct slice){ 0 }, &got)));
	OK(is_content(&got, &r.content, "www"));
}

TEST(a_file_without_the_one_password_is_not_registered)
{
	RIG(w, r);
	struct id other, seed, idle, key;
	const struct id nobody = { "12345678-1234-1234-1234-123456789012" };
	OK(kf_ok(add_secret(&w, slice_of("battery staple"),
		KMIP_SECRET_DATA_TYPE_PASSWORD, true, &other)));
	OK(kf_ok(add_secret(&w, secret, KMIP_SECRET_DATA_TYPE_SEED, true, &seed)));
	OK(kf_ok(add_secret(&w, secret, KMIP_SECRET_DATA_TYPE_PASSWORD, false, &idle)));
	const size_t before = catalog_count(w.server.catalog);
	const struct file_wish wrong[] = {
		{ .password = NULL },
		{ .password = &nobody },
		{ .password = &other },
		{ .password = &seed },
		{ .password = &idle },
		{ .password = &r.password, .password_too = &other },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct file_wish wish = wrong[i];
		wish.file = buf_slice(&r.file);
		OK(kf_is(put(&w, &wish, &key), KF_E_BAD_PASSWORD));
	}
	EQ(catalog_count(w.server.catalog), before);
	w.version = KMIP_1_4; /* which says nothing of the password's state */
	OK(kf_ok(put(&w,
		&(struct file_wish){ .file = buf_slice(&r.file), .password = &idle },
		&key)));
}

/* Whoever may not get a password does not learn by files what it is. */
TEST(a_strangers_password_opens_and_seals_nothing)
{
	RIG(w, r);
	struct id key, mine;
	struct get_response a;
	OK(kf_ok(put(&w,
		&(struct file_wish){
			.file = buf_slice(&r.file), .password = &r.password },
		&key)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_grant(&w, "bob", key.text, PERM_GET, 0)));
	be(&w, "bob", false);
	OK(kf_is(put(&w,
			 &(struct file_wish){
				 .file = buf_slice(&r.file), .password = &r.password },
			 &mine),
		KF_E_BAD_PASSWORD));
	OK(kf_is(get_as(&w, &key, PKCS12_FORMAT, &a), KF_E_KEY_FORMAT));
	OK(kf_ok(get_as(&w, &key, PKCS8, &a)));
}

TEST(a_password_counts_against_its_grant)
{
	RIG(w, r);
	struct id key;
	struct get_response a;
	const struct file_wish wish = { .file = buf_slice(&r.file),
		.password = &r.password };
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_limited(&w, "bob", r.password.text, PERM_GET)));
	be(&w, "bob", false);

	count_charges(&w, PERM_GET);
	OK(kf_is(put(&w, &wish, &key), KF_E_GRANT_RATE));
	count_charges(&w, 0);
	OK(kf_ok(put(&w, &wish, &key)));
	OK(were_charged(PERM_GET));
	count_charges(&w, PERM_GET);
	OK(kf_is(get_as(&w, &key, PKCS12_FORMAT, &a), KF_E_GRANT_RATE));
	OK(kf_ok(get_as(&w, &key, PKCS8, &a)));
}

TEST(a_sensitive_key_does_not_leave_in_a_file)
{
	RIG(w, r);
	struct id key;
	struct get_response a;
	autobuf extra = buf_new(256);
	attrs_add_bool(&extra, TAG_SENSITIVE, true);
	OK(kf_ok(put(&w,
		&(struct file_wish){ .file = buf_slice(&r.file),
			.password = &r.password,
			.extra = buf_slice(&extra) },
		&key)));
	OK(kf_is(get_as(&w, &key, PKCS12_FORMAT, &a), KF_E_SENSITIVE));
	OK(kf_is(get(&w, &key, &a), KF_E_SENSITIVE));
}

TEST(a_key_with_two_chains_leaves_in_no_file)
{
	RIG(w, r);
	struct id key, leaf;
	struct get_response a;
	autobuf extra = buf_new(1024);
	OK(kf_ok(put(&w,
		&(struct file_wish){
			.file = buf_slice(&r.file), .password = &r.password },
		&key)));
	OK(follow(&w, &key, KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK, &leaf));
	attrs_add_link(
		&extra, KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK, slice_of(leaf.text));
	attrs_add_link(&extra, KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK,
		slice_of(r.password.text));
	OK(kf_ok(put(&w,
		&(struct file_wish){ .file = buf_slice(&r.file),
			.password = &r.password,
			.extra = buf_slice(&extra) },
		&key)));
	OK(kf_is(get_as(&w, &key, PKCS12_FORMAT, &a), KF_E_KEY_FORMAT));
}

TEST(what_is_no_file_and_no_such_key_is_refused_whole)
{
	RIG(w, r);
	struct id key;
	const size_t before = catalog_count(w.server.catalog);
	for (size_t n = 0; n < r.file.n; n += 97)
		OK(!kf_ok(put(&w,
			&(struct file_wish){
				.file = { r.file.p, n }, .password = &r.password },
			&key)));
	OK(kf_is(put(&w,
			 &(struct file_wish){ .file = buf_slice(&r.file),
				 .password = &r.password,
				 .name = "mail" },
			 &key),
		KF_E_INVALID_FIELD));
	EQ(catalog_count(w.server.catalog), before);
	OK(kf_ok(put(&w,
		&(struct file_wish){ .file = buf_slice(&r.file),
			.password = &r.password,
			.name = "WWW" },
		&key)));
}

TEST_MAIN
