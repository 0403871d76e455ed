/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/cipher_thread.h"
#include "crypt/ossl.h"
#include <pthread.h>
#include <stdlib.h>

struct contexts {
	EVP_CIPHER_CTX *ctx[CIPHER_ROWS_MAX];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void free_contexts(void *p)
{
	struct contexts *c = p;
	for (size_t i = 0; i < CIPHER_ROWS_MAX; i++)
		EVP_CIPHER_CTX_free(c->ctx[i]);
	free(c);
}

static void make_key(void) { has_key = pthread_key_create(&key, free_contexts) == 0; }

static struct contexts *mine(void)
{
	pthread_once(&once, make_key);
	if (!has_key)
		return NULL;
	struct contexts *c = pthread_getspecific(key);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (c && pthread_setspecific(key, c)) {
		free(c);
		c = NULL;
	}
	return c;
}

static kf_err make(const struct cipher_info *info, EVP_CIPHER_CTX **ret)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, info->openssl_name, NULL);

	if (ctx && info->kind == CIPHER_WRAP)
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	const bool is_made = ctx && cipher &&
			     EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, 1, NULL) == 1;
	EVP_CIPHER_free(cipher);
	if (is_made) {
		*ret = ctx;
		return KF_OK;
	}
	EVP_CIPHER_CTX_free(ctx);
	return ossl_fail(BAD_PARAMETERS, "the cipher is not available");
}

/* What CCM, XTS and key wrap remember of the last message is not worth finding out. */
static bool is_reusable(const struct cipher_info *info)
{
	return info->kind <= CIPHER_AEAD;
}

kf_err cipher_thread_ctx(size_t row, const struct cipher_info *info, bool may_borrow,
	EVP_CIPHER_CTX **ret, bool *ret_is_lent)
{
	struct contexts *c = may_borrow && is_reusable(info) ? mine() : NULL;

	*ret_is_lent = false;
	if (!c)
		return make(info, ret);
	if (!c->ctx[row])
		KF_TRY(make(info, &c->ctx[row]));
	*ret = c->ctx[row];
	*ret_is_lent = true;
	return KF_OK;
}

void cipher_thread_give_back(EVP_CIPHER_CTX *ctx, const struct cipher_info *info,
	bool is_lent, bool has_odd_iv)
{
	static const uint8_t zeros[64];

	if (!is_lent) {
		EVP_CIPHER_CTX_free(ctx);
		return;
	}
	if (has_odd_iv)
		EVP_CIPHER_CTX_ctrl(
			ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)info->iv_random, NULL);
	EVP_CipherInit_ex2(ctx, NULL, zeros, zeros, 1, NULL);
}
