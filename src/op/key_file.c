/* SPDX-License-Identifier: Apache-2.0 */
#include "op/key_file.h"
#include "crypt/keygen.h"
#include "op/certificate.h"
#include "op/secret.h"
#include "ttlv/utf8.h"
#include <stdlib.h>
#include <string.h>

/* --- links --- */

/* The only one of this type; how many there are. */
static size_t links(struct slice attrs, uint32_t type, struct slice *ret)
{
	struct ttlv_item it;
	size_t found = 0;

	for (size_t i = 0; attrs_find(attrs, TAG_LINK, i, &it); i++) {
		struct ttlv_reader r = ttlv_read(it.value);
		struct slice id = { 0 };
		uint32_t is = 0;
		ttlv_get_enum(&r, TAG_LINK_TYPE, &is);
		ttlv_get_text(&r, TAG_LINKED_OBJECT_IDENTIFIER, &id);
		if (!ttlv_ok(&r) || is != type)
			continue;
		*ret = id;
		found++;
	}
	return found;
}

static const struct object *readable(struct op_call *call, struct slice id)
{
	const struct object *o = catalog_find(call->server->catalog, id);
	const bool is_allowed =
		policy_decide_linked(call->server->catalog, call->who, PERM_GET, o)
			.is_allowed;
	return o && is_allowed && kf_ok(op_check_material(o, call->now_s)) ? o : NULL;
}

/* --- the password --- */

static kf_err find_password(
	struct op_call *call, struct slice attrs, const struct object **ret)
{
	struct slice id = { 0 };
	const struct object *o = NULL;

	if (links(attrs, KMIP_LINK_TYPE_PKCS_12_PASSWORD_LINK, &id) == 1)
		o = catalog_find(call->server->catalog, id);
	const kf_err err = op_use_other(call, o, PERM_GET);
	if (op_is_over_limit(err))
		return err;
	if (!kf_ok(err) || !kf_ok(op_check_material(o, call->now_s)) ||
		o->type != OBJECT_SECRET_DATA ||
		(kmip_is_2(call->version) &&
			object_state(o, call->now_s) != STATE_ACTIVE))
		return kf_fail(BAD_PASSWORD,
			"one PKCS#12 Password Link must lead to an active password that "
			"this client may get");
	if (!call->with[0])
		memcpy(call->with, o->id, OBJECT_ID_SIZE);
	*ret = o;
	return KF_OK;
}

/* Any thread. */
static kf_err read_password(struct op_call *call, const struct object *o, struct buf *ret)
{
	autobuf scratch = buf_new(call->server->message_max);
	struct kmip_object k = { 0 };
	struct slice material, bytes;

	KF_TRY(store_material(call->server->store, o, &scratch, &material));
	KF_TRY(kmip_object_parse(material, &k));
	if (k.secret_data_type != KMIP_SECRET_DATA_TYPE_PASSWORD)
		return kf_fail(BAD_PASSWORD, "the secret data are no password");
	KF_TRY(secret_of(&k, &bytes));
	buf_add_slice(ret, bytes);
	return kf_ok(buf_err(ret)) ? KF_OK
				   : kf_fail(BAD_PASSWORD, "a password that is too long");
}

/* --- taking a file --- */

void key_file_free(struct key_file_taking *f)
{
	if (!f)
		return;
	object_unref(f->password);
	for (size_t i = 0; i < f->n; i++)
		make_free(&f->chain[i]);
	free(f);
}

static bool is_file(const struct kmip_object *o)
{
	return o->type == OBJECT_PRIVATE_KEY && o->block.has_value &&
	       !o->block.is_wrapped && !o->block.is_transparent &&
	       o->block.format == KMIP_KEY_FORMAT_TYPE_PKCS_12;
}

kf_err key_file_find(struct op_call *call, struct taking *t)
{
	const struct object *password = NULL;

	if (!is_file(&t->object))
		return KF_OK;
	const kf_err err = find_password(call, buf_slice(&t->make.attrs), &password);
	if (!kf_ok(err))
		return t->make.is_import && !op_is_over_limit(err) ? KF_OK : err;
	t->file = calloc(1, sizeof(*t->file));
	if (!t->file)
		return kf_fail(NOMEM, "PKCS#12");
	t->file->password = object_ref(password);
	return KF_OK;
}

/* The usable key, and behind it the object as it was registered, as of keys that came wrapped. */
static kf_err keep(struct op_call *call, struct taking *t, struct slice pkcs8)
{
	struct key_block *b = &t->object.block;
	struct ttlv_writer w = ttlv_write(&t->make.material, 0);

	t->plain = buf_new(call->server->message_max);
	buf_add_slice(&t->plain, pkcs8);
	KF_TRY(buf_err(&t->plain));
	b->format = KMIP_KEY_FORMAT_TYPE_PKCS_8;
	b->material = buf_slice(&t->plain);
	kmip_object_put(&w, &t->object);
	KF_TRY(ttlv_written(&w));
	buf_add_slice(&t->make.material, t->object.item);
	return buf_err(&t->make.material);
}

/* Of the first key the server says which one it was. */
static void note_name(struct buf *attrs, struct slice name)
{
	if (name.n && utf8_is_text(name) &&
		!attrs_count(buf_slice(attrs), TAG_PKCS_12_FRIENDLY_NAME))
		attrs_add_text(attrs, TAG_PKCS_12_FRIENDLY_NAME, name);
}

static kf_err describe_certificate(
	const struct taking *t, struct slice der, struct make *m)
{
	const struct kmip_object o = { .type = KMIP_OBJECT_TYPE_CERTIFICATE,
		.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
		.value = der };
	struct ttlv_writer w = ttlv_write(&m->material, 0);
	struct ttlv_item it;

	kmip_object_put(&w, &o);
	KF_TRY(ttlv_written(&w));
	if (attrs_find(buf_slice(&t->make.attrs), TAG_ACTIVATION_DATE, 0, &it))
		attrs_add_item(&m->attrs, it.whole);
	return certificate_describe(&o, m);
}

/* Each leads to who issued it, and the key to its own. */
static kf_err describe_chain(
	struct op_call *call, struct taking *t, const struct pkcs12 *p)
{
	struct key_file_taking *f = t->file;

	for (size_t i = 0; i < p->n; i++) {
		f->chain[f->n++] = make_new(call, OBJECT_CERTIFICATE);
		KF_TRY(describe_certificate(t, buf_slice(&p->chain[i]), &f->chain[i]));
		if (i)
			attrs_add_link(&f->chain[i - 1].attrs,
				KMIP_LINK_TYPE_CERTIFICATE_LINK,
				slice_of(f->chain[i].id));
	}
	if (!f->n)
		return KF_OK;
	attrs_add_link(&t->make.attrs, KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK,
		slice_of(f->chain[0].id));
	attrs_add_link(&f->chain[0].attrs, KMIP_LINK_TYPE_PRIVATE_KEY_LINK,
		slice_of(t->make.id));
	return buf_err(&t->make.attrs);
}

/* A client that names the certificate himself has it here; what is imported comes with objects of its own. */
static bool wants_chain(const struct taking *t)
{
	struct slice id;
	return !t->make.is_import &&
	       !links(buf_slice(&t->make.attrs), KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK,
		       &id);
}

kf_err key_file_open(struct op_call *call, struct taking *t)
{
	CLEANUP(pkcs12_clear) struct pkcs12 p = { 0 };
	autobuf password = buf_new(PKCS12_PASSWORD_MAX);
	struct slice name = { 0 };

	(void)attrs_get_text(buf_slice(&t->make.attrs), TAG_PKCS_12_FRIENDLY_NAME, &name);
	KF_TRY(read_password(call, t->file->password, &password));
	KF_TRY(pkcs12_open(t->object.block.material, buf_slice(&password), name, &p));
	KF_TRY(keep(call, t, buf_slice(&p.pkcs8)));
	note_name(&t->make.attrs, buf_slice(&p.name));
	return wants_chain(t) ? describe_chain(call, t, &p) : KF_OK;
}

kf_err key_file_make_chain(struct op_call *call, struct taking *t)
{
	struct key_file_taking *f = t->file;

	if (!f)
		return KF_OK;
	KF_TRY(op_mutate_room(call, 1 + f->n));
	for (size_t i = 0; i < f->n; i++)
		KF_TRY(make_object(call, &f->chain[i]));
	return KF_OK;
}

/* --- giving a file --- */

void key_file_giving_free(struct key_file_giving *f)
{
	if (!f)
		return;
	pkcs12_clear(&f->content);
	buf_free(&f->password);
	free(f);
}

kf_err key_file_check_wish(const struct op_call *call, const struct get_request *q)
{
	if (call->object->type != OBJECT_PRIVATE_KEY ||
		!ttlv_value_in(
			TTLV_KIND_KEY_FORMAT_TYPE, q->key_format_type, call->version))
		return kf_fail(KEY_FORMAT, "PKCS#12 is for private keys, since KMIP 1.4");
	if (q->key_compression_type)
		return kf_fail(KEY_COMPRESSION, "private keys are not compressed");
	if (q->key_wrapping_specification.n)
		return kf_fail(FEATURE, "PKCS#12 wrapped once more");
	return KF_OK;
}

static kf_err gather_password(struct op_call *call, struct buf *ret)
{
	const struct object *o = NULL;
	kf_err err = find_password(call, call->object->attrs, &o);

	if (kf_ok(err))
		err = read_password(call, o, ret);
	return kf_is(err, KF_E_BAD_PASSWORD)
		       ? kf_fail(KEY_FORMAT, "one PKCS#12 Password Link must lead to an "
					     "active password that this client may get")
		       : err;
}

/* By which Link, of the private key or of its public key; more than one certificate are more than one chain. */
static kf_err find_first(struct op_call *call, struct slice *ret)
{
	static const uint32_t types[] = { KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK,
		KMIP_LINK_TYPE_CERTIFICATE_LINK };
	const struct object *from[] = { call->object, NULL };
	struct slice id = { 0 };

	if (links(call->object->attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &id) == 1)
		from[1] = readable(call, id);
	*ret = (struct slice){ 0 };
	for (size_t t = 0; t < 2; t++)
		for (size_t i = 0; i < 2 && from[i]; i++) {
			const size_t n = links(from[i]->attrs, types[t], ret);
			if (n > 1)
				return kf_fail(KEY_FORMAT,
					"more than one chain of certificates");
			if (n)
				return KF_OK;
		}
	return KF_OK;
}

static kf_err add_certificate(
	struct op_call *call, const struct object *o, struct pkcs12 *to)
{
	autobuf scratch = buf_new(call->server->message_max);
	struct kmip_object k = { 0 };
	struct slice material;

	if (!o || o->type != OBJECT_CERTIFICATE)
		return kf_fail(KEY_FORMAT, "a certificate of the chain is not here, or "
					   "not for this client");
	KF_TRY(store_material(call->server->store, o, &scratch, &material));
	KF_TRY(kmip_object_parse(material, &k));
	if (k.certificate_type != KMIP_CERTIFICATE_TYPE_X_509)
		return kf_fail(KEY_FORMAT, "a certificate of the chain is no X.509");
	to->chain[to->n] = buf_new(k.value.n);
	buf_add_slice(&to->chain[to->n], k.value);
	return buf_err(&to->chain[to->n++]);
}

static kf_err gather_chain(struct op_call *call, struct pkcs12 *to)
{
	const struct object *o = NULL;
	struct slice id;

	KF_TRY(find_first(call, &id));
	while (id.n) {
		if (to->n == PKCS12_CHAIN_MAX)
			return kf_fail(KEY_FORMAT, "the chain has no end");
		o = readable(call, id);
		KF_TRY(add_certificate(call, o, to));
		id = (struct slice){ 0 };
		if (links(o->attrs, KMIP_LINK_TYPE_CERTIFICATE_LINK, &id) > 1)
			return kf_fail(KEY_FORMAT, "more than one chain of certificates");
		if (slice_is(id, o->id)) /* a root may say that it issued itself */
			return KF_OK;
	}
	return KF_OK;
}

static kf_err gather(
	struct op_call *call, const struct key_block *key, struct key_file_giving *f)
{
	struct slice name = slice_of("alias"); /* KMIP 1.4, PKCS#12 Friendly Name */

	f->content.pkcs8 = buf_new(PKCS8_MAX);
	f->content.name = buf_new(PKCS12_NAME_MAX);
	f->password = buf_new(PKCS12_PASSWORD_MAX);
	buf_add_slice(&f->content.pkcs8, key->material);
	KF_TRY(buf_err(&f->content.pkcs8));
	(void)attrs_get_text(call->object->attrs, TAG_PKCS_12_FRIENDLY_NAME, &name);
	buf_add_slice(&f->content.name, name);
	if (!kf_ok(buf_err(&f->content.name)))
		return kf_fail(KEY_FORMAT, "PKCS#12 Friendly Name is too long");
	KF_TRY(gather_password(call, &f->password));
	return gather_chain(call, &f->content);
}

kf_err key_file_gather(
	struct op_call *call, const struct key_block *key, struct key_file_giving **ret)
{
	struct key_file_giving *f = calloc(1, sizeof(*f));
	const kf_err err = f ? gather(call, key, f) : kf_fail(NOMEM, "PKCS#12");

	if (!kf_ok(err)) {
		key_file_giving_free(f);
		return err;
	}
	*ret = f;
	return KF_OK;
}

kf_err key_file_seal(
	struct op_call *call, const struct key_file_giving *f, struct key_block *block)
{
	autobuf file = buf_new(call->server->message_max);
	const struct buf was = call->scratch;

	KF_TRY(pkcs12_seal(&f->content, buf_slice(&f->password), &file));
	call->scratch = file;
	file = was; /* what was plain is wiped */
	block->format = KMIP_KEY_FORMAT_TYPE_PKCS_12;
	block->material = buf_slice(&call->scratch);
	return KF_OK;
}
