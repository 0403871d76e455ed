/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: AES keys, and ECDH.  The card enciphers whole blocks in CBC mode with an initial vector of zeroes, and makes
 * a CMAC of what one command holds.  All else is made of that here: another vector is added to the first block; in CBC
 * the card decrypts each block by itself before it adds the one before, which are known, so that one command decrypts
 * many blocks in ECB.  Encrypting in ECB takes a command a block.
 */
#include "token/schsm/make.h"
#include "token/use.h"
#include <openssl/crypto.h>
#include <string.h>

enum {
	INS_DECIPHER = 0x62,
	INS_CIPHER = 0x78,
	INS_GENERATE_SECRET = 0x48,
	CBC_ENCRYPT = 0x10,
	CBC_DECRYPT = 0x11,
	CMAC = 0x18,
};

/* ---- one command ---- */

static kf_err cipher(
	struct token *t, unsigned handle, uint8_t how, struct slice in, struct slice *ret)
{
	struct card_answer a;
	KF_TRY(schsm_do_logged_in(t,
		&(struct card_command){ .cla = 0x80,
			.ins = INS_CIPHER,
			.p1 = (uint8_t)handle,
			.p2 = how,
			.data = in,
			.le = APDU_LE_ALL },
		!t->keys[handle].has_counter, &a));
	const size_t want = how == CMAC ? USE_MAC_SIZE : in.n;
	if (a.sw != CARD_OK || a.data.n != want)
		return kf_fail(TOKEN, "a result of the card has the wrong length");
	*ret = a.data;
	return KF_OK;
}

static kf_err mac(
	struct token *t, unsigned handle, struct slice in, uint8_t ret[USE_MAC_SIZE])
{
	struct slice made;
	if (in.n == 0 || in.n + APDU_OVERHEAD > t->command_max)
		return kf_fail(BAD_PARAMETERS, "the card makes no CMAC of nothing, nor "
					       "of more than a command holds");
	KF_TRY(cipher(t, handle, CMAC, in, &made));
	memcpy(ret, made.p, USE_MAC_SIZE);
	return KF_OK;
}

/* ---- many blocks ---- */

static void add_block(uint8_t *to, const uint8_t *what)
{
	for (size_t i = 0; i < USE_BLOCK; i++)
		to[i] ^= what[i];
}

static size_t at_once(const struct token *t)
{
	return (t->command_max - APDU_OVERHEAD) / USE_BLOCK * USE_BLOCK;
}

/* `piece` is copied: the first block gets the vector added before it is sent. */
static kf_err encrypt_piece(struct token *t, unsigned handle, const uint8_t *iv,
	struct slice piece, uint8_t *ret)
{
	struct slice made;
	memcpy(ret, piece.p, piece.n);
	add_block(ret, iv);
	KF_TRY(cipher(t, handle, CBC_ENCRYPT, (struct slice){ ret, piece.n }, &made));
	memcpy(ret, made.p, piece.n);
	return KF_OK;
}

static kf_err decrypt_piece(struct token *t, unsigned handle, const uint8_t *iv,
	struct slice piece, uint8_t *ret)
{
	struct slice made;
	KF_TRY(cipher(t, handle, CBC_DECRYPT, piece, &made));
	memcpy(ret, made.p, piece.n);
	add_block(ret, iv);
	return KF_OK;
}

/* The vector of the next piece is the last block of ciphertext. */
static kf_err run_cbc(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	const bool encrypts = u->kind == USE_CBC_ENCRYPT;
	const uint8_t *iv = u->iv;
	const size_t most = at_once(t);
	for (size_t at = 0; at < u->in.n;) {
		const size_t left = u->in.n - at;
		const struct slice piece = { u->in.p + at, left < most ? left : most };
		KF_TRY(encrypts ? encrypt_piece(t, handle, iv, piece, ret + at)
				: decrypt_piece(t, handle, iv, piece, ret + at));
		at += piece.n;
		iv = (encrypts ? ret : u->in.p) + at - USE_BLOCK;
	}
	return KF_OK;
}

static const uint8_t zeroes[USE_BLOCK];

static kf_err encrypt_ecb(struct token *t, unsigned handle, struct slice in, uint8_t *ret)
{
	for (size_t at = 0; at < in.n; at += USE_BLOCK) {
		const struct slice block = { in.p + at, USE_BLOCK };
		KF_TRY(encrypt_piece(t, handle, zeroes, block, ret + at));
	}
	return KF_OK;
}

/* What CBC added is taken off again: the block of ciphertext before. */
static kf_err decrypt_ecb(struct token *t, unsigned handle, struct slice in, uint8_t *ret)
{
	const struct token_use cbc = { USE_CBC_DECRYPT, zeroes, in };
	KF_TRY(run_cbc(t, handle, &cbc, ret));
	for (size_t at = USE_BLOCK; at < in.n; at += USE_BLOCK)
		add_block(ret + at, in.p + at - USE_BLOCK);
	return KF_OK;
}

static kf_err run_cipher(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	switch ((int)u->kind) {
	case USE_ECB_ENCRYPT: return encrypt_ecb(t, handle, u->in, ret);
	case USE_ECB_DECRYPT: return decrypt_ecb(t, handle, u->in, ret);
	case USE_CBC_ENCRYPT:
	case USE_CBC_DECRYPT: return run_cbc(t, handle, u, ret);
	case USE_CMAC: return mac(t, handle, u->in, ret);
	default: return kf_fail(UNSUPPORTED, "the key's token does not do this");
	}
}

/* ---- ECDH ---- */

/* 04 and the coordinate, or 04 and both. */
static kf_err agree(struct token *t, unsigned handle, const struct alg *alg,
	struct slice point, uint8_t *ret)
{
	const size_t size = (alg->bits + 7) / 8;
	struct card_answer a;
	KF_TRY(schsm_do_logged_in(t,
		&(struct card_command){ .cla = 0x80,
			.ins = INS_DECIPHER,
			.p1 = (uint8_t)handle,
			.p2 = ALGORITHM_ECDH,
			.data = point,
			.le = APDU_LE_ALL },
		!t->keys[handle].has_counter, &a));
	if (a.sw != CARD_OK || (a.data.n != 1 + size && a.data.n != 1 + 2 * size) ||
		a.data.p[0] != 4)
		return kf_fail(TOKEN, "a shared secret of the card is malformed");
	memcpy(ret, a.data.p + 1, size);
	return KF_OK;
}

kf_err schsm_use(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	const bool is_agreement = u->kind == USE_AGREE;
	const struct alg *alg = handle < CARD_KEYS ? t->keys[handle].alg : NULL;
	if (!alg)
		return kf_fail(NOT_FOUND, "the card has no such key to use");
	if (alg->family != (is_agreement ? FAMILY_EC : FAMILY_AES))
		return kf_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	const kf_err err = is_agreement ? agree(t, handle, alg, u->in, ret)
					: run_cipher(t, handle, u, ret);
	buf_clear(&t->answer);
	return err;
}

/* ---- which key it is, and where it comes from ---- */

/* One that will not say does not keep the others from serving. */
kf_err schsm_read_secret(struct token *t, struct token_key_facts *f)
{
	uint8_t made[USE_MAC_SIZE];
	const bool is_anyone = !t->pin;
	const kf_err err = is_anyone ? KF_OK : mac(t, f->handle, use_challenge, made);
	if (kf_is(err, KF_E_AUTH) || (!kf_ok(err) && t->is_lost))
		return err;
	if (kf_ok(err) && !is_anyone) {
		use_key_id(made, f->key_id);
		return KF_OK;
	}
	f->alg = NULL;
	f->problem = is_anyone ? "nobody is logged in who may ask which AES key it is"
			       : "it makes no CMAC, by which AES keys are told apart";
	return KF_OK;
}

static kf_err describe(struct token *t, unsigned number, const struct alg *alg,
	const char *label, struct slice id, bool may_leave)
{
	struct prkd d = prkd_of_key(alg, label, id);
	if (!may_leave)
		d.access = PRKD_SENSITIVE | PRKD_ALWAYS_SENSITIVE |
			   PRKD_NEVER_EXTRACTABLE | PRKD_LOCAL;
	return make_describe(t, number, &d);
}

/* What it may be used with; leaving is one of these. */
static kf_err generate(struct token *t, const struct token_new_key *in, unsigned number)
{
	static const uint8_t wish[] = { 0x91, 4, CBC_ENCRYPT, CBC_DECRYPT, CMAC,
		ALGORITHM_WRAP };
	static const uint8_t wish_to_stay[] = { 0x91, 3, CBC_ENCRYPT, CBC_DECRYPT, CMAC };
	struct card_answer a;
	return schsm_do_logged_in(t,
		&(struct card_command){ .ins = INS_GENERATE_SECRET,
			.p1 = (uint8_t)number,
			.p2 = (uint8_t)(0xb0 + (in->alg->bits - 128) / 64),
			.data = in->may_leave ? (struct slice){ wish, sizeof(wish) }
					      : (struct slice){ wish_to_stay,
							sizeof(wish_to_stay) } },
		false, &a);
}

kf_err schsm_generate_secret(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret)
{
	struct token_key_facts f;
	unsigned number;
	if (in->uses)
		return kf_fail(UNSUPPORTED, "AES keys with a use counter");
	if (in->id.n > TOKEN_ID_MAX)
		return kf_fail(BAD_PARAMETERS, "the key's id (CKA_ID) is too long");
	KF_TRY(make_find_number(t, &number));
	const uint8_t own[] = { (uint8_t)number };
	KF_TRY(generate(t, in, number));
	kf_err e = describe(t, number, in->alg, in->label ? in->label : "",
		in->id.n ? in->id : (struct slice){ own, sizeof(own) }, in->may_leave);
	if (kf_ok(e))
		e = schsm_read_key(t, number, &f);
	if (kf_ok(e) && f.alg != in->alg) {
		token_key_facts_free(&f);
		e = kf_fail(UNSUPPORTED, "the card makes AES keys of no use here: it "
					 "makes no CMAC with them");
	}
	if (kf_ok(e))
		*ret = f;
	else
		make_discard(t, number);
	return e;
}

/* Its blob is on the card already. */
kf_err schsm_take_secret(struct token *t, unsigned number, const struct token_blob *b,
	struct token_key_facts *ret)
{
	struct token_key_facts f;
	KF_TRY(describe(
		t, number, b->alg, b->label, (struct slice){ b->id, b->id_n }, true));
	KF_TRY(schsm_read_key(t, number, &f));
	if (f.alg != b->alg || memcmp(f.key_id, b->key_id, KEY_ID_SIZE) != 0) {
		token_key_facts_free(&f);
		return kf_fail(CRYPTO, "another key was in the blob than it says");
	}
	*ret = f;
	return KF_OK;
}
