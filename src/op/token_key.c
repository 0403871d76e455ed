/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_key.h"
#include "crypt/keygen.h"
#include "token/soft/engine.h"
#include <string.h>

static void put_u16(struct buf *to, size_t v)
{
	buf_add_u8(to, (uint8_t)(v >> 8));
	buf_add_u8(to, (uint8_t)v);
}

static void put_secret(struct buf *to, const struct token_material *m)
{
	buf_add_u8(to, TOKEN_MATERIAL_SECRET);
	buf_add_u8(to, (uint8_t)m->pool.n);
	buf_add_slice(to, m->pool);
	buf_add_slice(to, m->key_id);
	put_u16(to, m->bits);
}

void token_material_put(struct buf *to, const struct token_material *m)
{
	if (m->pool.n >= POOL_NAME_SIZE || m->spki.n > SPKI_MAX ||
		m->file.n > TOKEN_FILE_MAX || m->overflow.n > PKCS8_MAX) {
		to->err = kf_fail(TOO_BIG, "description of a key on tokens");
		return;
	}
	if (m->key_id.n) {
		put_secret(to, m);
		return;
	}
	buf_add_u8(to, m->overflow.n ? TOKEN_MATERIAL_OVERFLOW : TOKEN_MATERIAL_VERSION);
	buf_add_u8(to, (uint8_t)m->pool.n);
	buf_add_slice(to, m->pool);
	buf_add(to, m->reject, sizeof(m->reject));
	put_u16(to, m->spki.n);
	buf_add_slice(to, m->spki);
	buf_add_u32(to, (uint32_t)m->file.n);
	buf_add_slice(to, m->file);
	if (!m->overflow.n)
		return;
	put_u16(to, m->overflow.n);
	buf_add_slice(to, m->overflow);
}

/* Takes n bytes from the front; what is not there leaves `is_short`. */
static struct slice take(struct slice *from, size_t n, bool *is_short)
{
	if (n > from->n) {
		*is_short = true;
		return (struct slice){ 0 };
	}
	struct slice taken = { from->p, n };
	from->p += n;
	from->n -= n;
	return taken;
}

static size_t take_number(struct slice *from, size_t bytes, bool *is_short)
{
	size_t v = 0;
	struct slice s = take(from, bytes, is_short);
	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | s.p[i];
	return v;
}

static void get_secret(struct slice *bytes, struct token_material *ret, bool *is_short)
{
	ret->key_id = take(bytes, KEY_ID_SIZE, is_short);
	ret->bits = (uint32_t)take_number(bytes, 2, is_short);
	*is_short |= !ret->bits || !alg_aes(ret->bits);
}

static void get_pair(struct slice *from, bool has_overflow, struct token_material *ret,
	bool *is_damaged)
{
	bool is_short = false;
	struct slice bytes = *from;
	struct slice reject = take(&bytes, sizeof(ret->reject), &is_short);
	ret->spki = take(&bytes, take_number(&bytes, 2, &is_short), &is_short);
	ret->file = take(&bytes, take_number(&bytes, 4, &is_short), &is_short);
	if (has_overflow) {
		ret->overflow =
			take(&bytes, take_number(&bytes, 2, &is_short), &is_short);
		is_short |= !ret->overflow.n;
	}
	if (!is_short)
		memcpy(ret->reject, reject.p, sizeof(ret->reject));
	*is_damaged |= is_short;
	*from = bytes;
}

kf_err token_material_get(struct slice bytes, struct token_material *ret)
{
	bool is_short = false;
	*ret = (struct token_material){ 0 };
	const size_t version = take_number(&bytes, 1, &is_short);
	if (version < TOKEN_MATERIAL_VERSION || version > TOKEN_MATERIAL_SECRET)
		return kf_fail(KEY_FORMAT, "a key on tokens, of another release");
	ret->pool = take(&bytes, take_number(&bytes, 1, &is_short), &is_short);
	if (version == TOKEN_MATERIAL_SECRET)
		get_secret(&bytes, ret, &is_short);
	else
		get_pair(&bytes, version == TOKEN_MATERIAL_OVERFLOW, ret, &is_short);
	if (is_short || bytes.n || !ret->pool.n || ret->pool.n >= POOL_NAME_SIZE ||
		memchr(ret->pool.p, 0, ret->pool.n))
		return kf_fail(KEY_FORMAT, "description of a key on tokens is damaged");
	return KF_OK;
}

/* Answers of tokens and of software must be the same, also to what is no ciphertext. */
static kf_err load_overflow(const struct token_material *m, struct token_key **ret)
{
	struct token_key *copy = NULL;
	if (!m->overflow.n)
		return KF_OK;
	KF_TRY(soft_key_new(m->overflow, &copy));
	if (!slice_eq(soft_key_spki(copy), m->spki)) {
		token_key_put(copy);
		return kf_fail(KEY_FORMAT, "the copy in software is of another key");
	}
	soft_key_set_reject(copy, m->reject);
	*ret = copy;
	return KF_OK;
}

kf_err token_material_load(struct slice bytes, struct token_key **ret)
{
	struct token_material m;
	KF_TRY(token_material_get(bytes, &m));
	struct pool_key key = { .spki = m.spki,
		.key_id = m.key_id.n ? m.key_id.p : NULL,
		.alg = alg_aes(m.bits) };
	memcpy(key.pool, m.pool.p, m.pool.n);
	memcpy(key.reject, m.reject, sizeof(key.reject));
	kf_err e = load_overflow(&m, &key.overflow);
	if (kf_ok(e))
		e = pool_key_new(&key, ret);
	token_key_put(key.overflow);
	explicit_bzero(&key, sizeof(key));
	explicit_bzero(&m, sizeof(m));
	return e;
}
