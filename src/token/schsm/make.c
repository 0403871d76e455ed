/* SPDX-License-Identifier: Apache-2.0
 *
 * make: keys that the card makes, copies from other cards, and what is stored beside them.
 *
 * The description is written last: what a card that was pulled leaves behind has none, is told as half
 * made, is not used, and can be deleted.
 */
#include "token/schsm/make.h"
#include "base/tlv.h"
#include "crypt/ossl.h"
#include "token/schsm/cvc.h"
#include <stdio.h>
#include <string.h>

enum { INS_GENERATE = 0x46, WISH_MAX = 1024 };

kf_err make_find_number(struct token *t, unsigned *ret)
{
	bool is_used[CARD_KEYS] = { [0] = true };
	struct slice list;
	if (!t->pin)
		return kf_fail(AUTH, "nobody is logged in to the card");
	KF_TRY(schsm_enumerate(t, &list));
	for (size_t i = 1; i < list.n; i += 2)
		is_used[list.p[i]] = true;
	for (unsigned i = 1; i < CARD_KEYS; i++)
		if (!is_used[i]) {
			*ret = i;
			return KF_OK;
		}
	return kf_fail(FULL, "the card has 255 keys, which are all it can have");
}

void make_discard(struct token *t, unsigned number)
{
	t->keys[number] = (struct card_key){ 0 };
	(void)schsm_delete_file(t, FID_KEY | number);
	(void)schsm_delete_file(t, FID_CERTIFICATE | number);
	(void)schsm_delete_file(t, FID_DESCRIPTION | number);
}

void make_holder(const struct token *t, char ret[MAKE_HOLDER_SIZE])
{
	snprintf(ret, MAKE_HOLDER_SIZE, "%.11s00000", t->facts.serial);
}

kf_err make_describe(struct token *t, unsigned number, const struct prkd *d)
{
	autobuf description = buf_new(CARD_FILE_MAX);
	KF_TRY(prkd_put(d, &description));
	return schsm_write_file(t, FID_DESCRIPTION | number, buf_slice(&description));
}

/* ---- generate ---- */

/* What the key may be used with; nothing: everything. */
static void put_algorithms(const struct token_new_key *in, struct buf *to)
{
	static const uint8_t rsa[] = { 0x20, 0x30, 0x31, 0x33, 0x34, 0x35, 0x40, 0x41,
		0x43, 0x44, 0x45 },
			     ec[] = { 0x70, 0x71, 0x72, 0x73, 0x74, 0x75 },
			     rsa_decrypt[] = { 0x21, 0x22, 0x23 };
	bool is_rsa = in->alg->family == FAMILY_RSA;
	if (in->may_leave && (is_rsa ? in->may_decrypt : in->may_agree))
		return;
	buf_add(to, is_rsa ? rsa : ec, is_rsa ? sizeof(rsa) : sizeof(ec));
	if (in->may_decrypt && is_rsa)
		buf_add(to, rsa_decrypt, sizeof(rsa_decrypt));
	if (in->may_agree && !is_rsa)
		buf_add_u8(to, ALGORITHM_ECDH);
	if (in->may_leave)
		buf_add_u8(to, ALGORITHM_WRAP);
}

static kf_err generate(struct token *t, const struct token_new_key *in, unsigned number,
	struct card_answer *ret)
{
	autobuf data = buf_new(WISH_MAX), algorithms = buf_new(64);
	char holder[MAKE_HOLDER_SIZE];
	make_holder(t, holder);
	put_algorithms(in, &algorithms);
	KF_TRY(buf_err(&algorithms));
	KF_TRY(cvc_put_wish(
		&(struct cvc_wish){ in->alg, holder, in->uses, buf_slice(&algorithms) },
		&data));
	return schsm_do_logged_in(t,
		&(struct card_command){ .ins = INS_GENERATE,
			.p1 = (uint8_t)number,
			.data = buf_slice(&data),
			.le = APDU_LE_ALL },
		false, ret);
}

static bool tells_key(struct slice file, const struct pubkey *key)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	return kf_ok(cvc_public_key(file, &k)) &&
	       slice_eq(pubkey_spki(k), pubkey_spki(key));
}

/* Cards keep the request by themselves, so far as is known; other tools delete a key and leave its certificate,
 * which not every card lists: it would name the new key. */
static kf_err keep_request(
	struct token *t, unsigned number, struct slice request, const struct pubkey *key)
{
	autobuf there = buf_new(CARD_FILE_MAX);
	kf_err e = schsm_read_file(t, FID_CERTIFICATE | number, &there);
	if (kf_ok(e) && tells_key(buf_slice(&there), key))
		return KF_OK;
	if (!kf_ok(e) && !kf_is(e, KF_E_NOT_FOUND))
		return e;
	KF_TRY(schsm_delete_file(t, FID_CERTIFICATE | number));
	return schsm_write_file(t, FID_CERTIFICATE | number, request);
}

static struct prkd description_of(
	const struct token_new_key *in, const struct pubkey *key)
{
	enum { ID_SIZE = 16 };
	uint8_t key_id[KEY_ID_SIZE];
	pubkey_id(key, key_id);
	struct prkd d = prkd_of_key(in->alg, in->label ? in->label : "",
		in->id.n ? in->id : (struct slice){ key_id, ID_SIZE });
	if (!in->may_decrypt)
		d.usage &= ~(unsigned)PRKD_DECRYPT;
	if (!in->may_agree)
		d.usage &= ~(unsigned)PRKD_DERIVE;
	d.access = PRKD_SENSITIVE | PRKD_ALWAYS_SENSITIVE | PRKD_LOCAL;
	if (!in->may_leave || in->uses)
		d.access |= PRKD_NEVER_EXTRACTABLE;
	return d;
}

static kf_err finish(struct token *t, const struct token_new_key *in, unsigned number,
	struct slice request)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	KF_TRY(cvc_public_key(request, &key));
	if (pubkey_alg(key) != in->alg)
		return kf_fail(TOKEN, "the card made another kind of key");
	KF_TRY(keep_request(t, number, request, key));
	struct prkd d = description_of(in, key);
	KF_TRY(make_describe(t, number, &d));
	t->keys[number].has_counter = in->uses > 0;
	return KF_OK;
}

static kf_err check(const struct token_new_key *in)
{
	if (in->id.n > TOKEN_ID_MAX)
		return kf_fail(BAD_PARAMETERS, "the key's id (CKA_ID) is too long");
	if (in->alg->family == FAMILY_ED25519)
		return kf_fail(UNSUPPORTED, "SmartCard-HSMs have no Ed25519");
	return KF_OK;
}

kf_err schsm_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret)
{
	autobuf request = buf_new(CARD_FILE_MAX);
	struct card_answer a;
	unsigned number;
	if (in->alg->family == FAMILY_AES)
		return schsm_generate_secret(t, in, ret);
	KF_TRY(check(in));
	KF_TRY(make_find_number(t, &number));
	KF_TRY(generate(t, in, number, &a));
	buf_add_slice(&request, a.data);
	kf_err e = buf_err(&request);
	if (kf_ok(e))
		e = finish(t, in, number, buf_slice(&request));
	if (kf_ok(e))
		e = schsm_read_key(t, number, ret);
	if (!kf_ok(e)) {
		make_discard(t, number);
		return e;
	}
	if (in->uses && ret->uses_left == UINT64_MAX)
		ret->uses_left = in->uses;
	return KF_OK;
}

/* ---- delete ---- */

kf_err schsm_delete_key(struct token *t, unsigned handle)
{
	static const uint16_t files[] = { FID_KEY, FID_CERTIFICATE, FID_DESCRIPTION,
		FID_DATA_DESCRIPTION, FID_DATA };
	if (handle == 0 || handle >= CARD_KEYS)
		return kf_fail(NOT_FOUND, "the card has no such key");
	if (!t->pin)
		return kf_fail(AUTH, "nobody is logged in to the card");
	t->keys[handle] = (struct card_key){ 0 };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		KF_TRY(schsm_delete_file(t, files[i] | handle));
	return KF_OK;
}

/* ---- certificates ---- */

static kf_err check_certificate(struct token *t, unsigned handle, struct slice der)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	struct token_key_facts f = { 0 };
	KF_TRY(schsm_certificate_key(der, &k));
	KF_TRY(schsm_read_key(t, handle, &f));
	bool is_its = !f.spki.n || slice_eq(pubkey_spki(k), buf_slice(&f.spki));
	token_key_facts_free(&f);
	if (!is_its)
		return kf_fail(CONFLICT, "the certificate is of another key");
	return KF_OK;
}

/* Where it is found by tools that list data objects. */
static kf_err store_request(struct token *t, unsigned handle, struct slice der)
{
	autobuf file = buf_new(256), common = buf_new(64), class = buf_new(64),
		path = buf_new(16), type = buf_new(16), all = buf_new(256);
	const uint8_t fid[] = { FID_DATA >> 8, (uint8_t)handle };
	tlv_add(&common, 0x0c, SLICE_LIT("certificate request"));
	tlv_add(&class, 0x0c, SLICE_LIT("keyfleet"));
	tlv_add(&path, 0x04, (struct slice){ fid, sizeof(fid) });
	tlv_add(&type, 0x30, buf_slice(&path));
	tlv_add(&all, 0x30, buf_slice(&common));
	tlv_add(&all, 0x30, buf_slice(&class));
	tlv_add(&all, 0xa1, buf_slice(&type));
	tlv_add(&file, 0x30, buf_slice(&all));
	KF_TRY(buf_err(&file));
	KF_TRY(schsm_delete_file(t, FID_DATA | handle));
	KF_TRY(schsm_write_file(t, FID_DATA | handle, der));
	return schsm_write_file(t, FID_DATA_DESCRIPTION | handle, buf_slice(&file));
}

/* Without this file the key's public half is not known: what was there comes back if the new one does not get in.  One
 * that is as long or longer goes over it, so that there is always one. */
static kf_err replace_certificate(struct token *t, unsigned fid, struct slice der)
{
	autobuf old = buf_new(CARD_FILE_MAX);
	kf_err e = schsm_read_file(t, fid, &old);
	if (!kf_ok(e) && !kf_is(e, KF_E_NOT_FOUND))
		return e;
	if (der.n < old.n)
		KF_TRY(schsm_delete_file(t, fid));
	e = schsm_write_file(t, fid, der);
	if (kf_ok(e) || !old.n)
		return e;
	(void)schsm_write_file(t, fid, buf_slice(&old));
	return e;
}

kf_err schsm_store_certificate(struct token *t, unsigned handle,
	enum token_certificate_kind kind, struct slice der)
{
	if (handle == 0 || handle >= CARD_KEYS || !t->keys[handle].alg)
		return kf_fail(NOT_FOUND, "the card has no such key to use");
	if (t->keys[handle].alg->family == FAMILY_AES)
		return kf_fail(BAD_PARAMETERS, "AES keys have no certificates");
	if (der.n == 0 || der.n > CARD_FILE_MAX)
		return kf_fail(BAD_PARAMETERS, "a certificate is too long for the card");
	if (kind == CERTIFICATE_REQUEST_OF_KEY)
		return store_request(t, handle, der);
	KF_TRY(check_certificate(t, handle, der));
	return replace_certificate(t, FID_CERTIFICATE | handle, der);
}
