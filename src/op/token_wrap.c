/* SPDX-License-Identifier: Apache-2.0 */
#include "op/token_wrap.h"
#include "crypt/block.h"
#include "crypt/ossl.h"
#include "op/token_use.h"
#include <openssl/rand.h>
#include <string.h>

static kf_err kind_of(enum keywrap_mode mode, bool opens, enum use_kind *ret)
{
	switch (mode) {
	case KEYWRAP_NIST: *ret = opens ? USE_UNWRAP : USE_WRAP; return KF_OK;
	case KEYWRAP_NIST_PADDED:
		*ret = opens ? USE_UNWRAP_PADDED : USE_WRAP_PADDED;
		return KF_OK;
	case KEYWRAP_CBC:
	case KEYWRAP_CBC_PADDED:
		*ret = opens ? USE_CBC_DECRYPT : USE_CBC_ENCRYPT;
		return KF_OK;
	case KEYWRAP_GCM:
	default: return kf_fail(FEATURE, "the key's tokens do not wrap in this mode");
	}
}

/* --- sealing --- */

static bool has_iv(const struct use_job *job)
{
	return job->kind == USE_CBC_ENCRYPT || job->kind == USE_CBC_DECRYPT;
}

static kf_err make_iv(struct use_job *job, struct buf *to)
{
	if (!has_iv(job))
		return KF_OK;
	if (RAND_bytes(job->iv, USE_IV_SIZE) != 1)
		return ossl_fail(CRYPTO, "random numbers");
	buf_add(to, job->iv, USE_IV_SIZE);
	return buf_err(to);
}

static kf_err pad(enum keywrap_mode mode, struct buf *value)
{
	uint8_t more[CIPHER_BLOCK_MAX];
	size_t n = 0;
	if (mode != KEYWRAP_CBC_PADDED)
		return KF_OK;
	KF_TRY(block_pad(PADDING_PKCS5, CIPHER_BLOCK_MAX, value->n, more, &n));
	buf_add(value, more, n);
	return buf_err(value);
}

kf_err token_wrap_seal(const struct object *key, const struct keywrap *how,
	struct buf *value, struct buf *iv, struct use_job *ret)
{
	struct use_job job = { .key = key->key };
	KF_TRY(kind_of(how->mode, false, &job.kind));
	KF_TRY(keywrap_check(how, value->n));
	KF_TRY(make_iv(&job, iv));
	KF_TRY(pad(how->mode, value));
	job.in = buf_slice(value);
	*ret = job;
	return KF_OK;
}

size_t token_wrap_size(const struct use_job *job)
{
	enum { HALF = 8 };
	const size_t whole = (job->in.n + HALF - 1) / HALF * HALF;
	return has_iv(job) ? job->in.n : whole + HALF;
}

/* --- opening --- */

static kf_err unpad(enum keywrap_mode mode, struct buf *plain)
{
	size_t n = 0;
	if (mode != KEYWRAP_CBC_PADDED)
		return KF_OK;
	const size_t before =
		plain->n - CIPHER_BLOCK_MAX; /* whole blocks, one at least */
	KF_TRY(block_unpad(PADDING_PKCS5, plain->p + before, CIPHER_BLOCK_MAX, &n));
	plain->n = before + n; /* what follows is wiped with the rest */
	return KF_OK;
}

static kf_err finish(enum keywrap_mode mode, struct buf *plain, struct buf *ret)
{
	if (!kf_ok(unpad(mode, plain)))
		return kf_fail(DATA, "the wrapped key is not authentic");
	buf_add_slice(ret, buf_slice(plain));
	return buf_err(ret);
}

kf_err token_wrap_open(const struct op_call *call, const struct unwrapping *u,
	const struct keywrap *how, struct slice sealed, struct buf *ret)
{
	autobuf plain = buf_new(sealed.n);
	struct use_job job = { .in = sealed, .out = &plain };
	KF_TRY(kind_of(how->mode, true, &job.kind));
	KF_TRY(keywrap_check_sealed(how, u->how.iv, sealed));
	if (has_iv(&job))
		memcpy(job.iv, u->how.iv.p, USE_IV_SIZE);
	KF_TRY(token_use_now(call, u->encryption, &job));
	return finish(how->mode, &plain, ret);
}
