/* SPDX-License-Identifier: Apache-2.0
 *
 * A provider in the process, for keys that are elsewhere.  It has a library context of its own, so that
 * nothing else finds it there, and signs for TLS only: one call with all that is to be signed.
 *
 * As with the provider for web servers, libssl offers the key to the default provider first, and comes back
 * to us because we refuse to export.
 */
#include "net/tls_remote.h"
#include "base/pkey.h"
#include "net/loop.h"
#include "net/tls_private.h"
#include <openssl/async.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PROVIDER   "keyfleet-remote"
#define PROPERTIES "provider=" PROVIDER
#define HANDLE     "keyfleet-handle"

typedef void (*dispatch_fn)(void); /* as in OSSL_DISPATCH */

/* ---- signatures ---- */

struct tls_pending {
	struct tls_signing signing;
	const struct tls_remote *remote; /* NULL: it was not taken */
	struct tls_stream *stream;       /* NULL: nobody waits any more */
	struct tls_waker waker;
	struct loop_message home;
	bool is_done;
	_Alignas(max_align_t) uint8_t job[];
};

/* Whose handshake runs on this thread. */
static _Thread_local struct tls_stream *running;

static void pending_free(struct tls_pending *p)
{
	if (p->remote)
		p->remote->forget(&p->signing);
	OPENSSL_cleanse(p->signing.digest, sizeof(p->signing.digest));
	free(p);
}

static void came_home(struct loop_message *m)
{
	struct tls_pending *p = container_of(m, struct tls_pending, home);
	if (!p->stream) {
		pending_free(p);
		return;
	}
	p->is_done = true;
	p->stream->base.is_waiting = false;
	p->waker.woken(p->waker.arg);
}

void tls_signed(struct tls_signing *s)
{
	struct tls_pending *p = container_of(s, struct tls_pending, signing);
	p->home.deliver = came_home;
	p->waker.post(p->waker.loop, &p->home);
}

void tls_wake_on(struct stream *s, const struct tls_waker *w)
{
	struct tls_stream *t = (struct tls_stream *)s;
	if (s->ops != &tls_stream_ops || !(SSL_get_mode(t->ssl) & SSL_MODE_ASYNC))
		return;
	if (!t->waiting)
		t->waiting = calloc(1, sizeof(*t->waiting));
	if (t->waiting)
		t->waiting->waker = *w;
}

/* The way back into the handshake is the next step of it; where pausing is blocked there is none. */
static void pause_until_done(const struct tls_waiting *w, const struct tls_pending *p)
{
	while (!p->is_done && !w->is_abandoned) {
		unsigned step = w->steps;
		if (!ASYNC_pause_job() || w->steps == step)
			return;
	}
}

struct remote_key {
	_Atomic unsigned refs;
	EVP_PKEY *public_key;
	bool is_rsa;
	const struct tls_remote *remote;
	void *handle; /* NULL: the public half alone */
};

struct room {
	uint8_t *p;
	size_t size, n;
};

/* Frees what is done; what is not frees itself, when its outcome comes. */
static kf_err take_outcome(
	const struct remote_key *k, struct tls_pending *p, struct room *ret)
{
	if (p->is_done) {
		kf_err e = p->signing.err;
		if (kf_ok(e) && p->signing.sig_n > ret->size)
			e = kf_fail(TOO_BIG, "signature of our own key");
		if (kf_ok(e)) {
			memcpy(ret->p, p->signing.sig, p->signing.sig_n);
			ret->n = p->signing.sig_n;
		}
		pending_free(p);
		return e;
	}
	p->stream = NULL;
	if (k->remote->cancel(k->handle, &p->signing))
		pending_free(p);
	return kf_fail(CLOSED, "handshake ended before its signature came");
}

static kf_err sign_and_wait(
	const struct remote_key *k, struct tls_pending *p, struct room *ret)
{
	struct tls_stream *t = running;
	struct tls_waiting *w = t ? t->waiting : NULL;
	if (!w || !ASYNC_get_current_job() || w->is_abandoned) {
		pending_free(p);
		return kf_fail(
			INTERNAL, "signature outside of a handshake that can wait");
	}
	p->stream = t;
	p->waker = w->waker;
	kf_err e = k->remote->sign(k->handle, &p->signing);
	if (!kf_ok(e)) {
		pending_free(p);
		return e;
	}
	p->remote = k->remote;
	w->signature = p;
	pause_until_done(w, p);
	w->signature = NULL;
	return take_outcome(k, p, ret);
}

int tls_remote_handshake(struct tls_stream *t)
{
	running = t;
	if (t->waiting)
		t->waiting->steps++;
	int result = SSL_do_handshake(t->ssl);
	running = NULL;
	return result;
}

static void abandon(struct tls_stream *t)
{
	t->waiting->is_abandoned = true;
	t->base.is_waiting = false;
	tls_remote_handshake(t);
	t->base.pad->out_n = 0; /* the alert */
	t->base.is_failed = true;
}

void tls_remote_end(struct tls_stream *t)
{
	if (t->waiting && t->waiting->signature)
		abandon(t);
	if (t->ssl)
		SSL_clear_mode(t->ssl, SSL_MODE_ASYNC); /* jobs are for signatures */
	free(t->waiting);
	t->waiting = NULL;
}

/* ---- the provider: signatures ---- */

struct context {
	struct remote_key *key;
	char hash[32];
	bool is_pss;
};

static struct remote_key *share(struct remote_key *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

static void free_key(void *keydata)
{
	struct remote_key *k = keydata;
	if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	if (k->handle)
		k->remote->release(k->handle);
	EVP_PKEY_free(k->public_key);
	free(k);
}

static void *new_context(void *provctx, const char *properties)
{
	(void)provctx, (void)properties;
	return calloc(1, sizeof(struct context));
}

static void free_context(void *ctx)
{
	struct context *c = ctx;
	if (c)
		free_key(c->key);
	free(c);
}

/* TLS has PSS with a salt as long as the digest only, so what is said of it is not kept. */
static int set_params(void *ctx, const OSSL_PARAM params[])
{
	struct context *c = ctx;
	const OSSL_PARAM *p =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE)
		       : NULL;
	char word[16] = "", *text = word;
	int mode = 0;
	if (!p)
		return 1;
	if (p->data_type == OSSL_PARAM_UTF8_STRING
			? !OSSL_PARAM_get_utf8_string(p, &text, sizeof(word))
			: !OSSL_PARAM_get_int(p, &mode))
		return 0;
	c->is_pss = mode == RSA_PKCS1_PSS_PADDING ||
		    !strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PSS);
	return c->is_pss || mode == RSA_PKCS1_PADDING ||
	       !strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PKCSV15);
}

static const OSSL_PARAM *settable_params(void *ctx, void *provctx)
{
	(void)ctx, (void)provctx;
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};
	return table;
}

static int sign_init(
	void *ctx, const char *hash, void *keydata, const OSSL_PARAM params[])
{
	struct context *c = ctx;
	struct remote_key *k = keydata;
	if (!hash || strlen(hash) >= sizeof(c->hash) || (!k && !c->key))
		return 0;
	strcpy(c->hash, hash);
	if (k) {
		free_key(c->key);
		c->key = share(k);
	}
	return c->key->handle && set_params(c, params);
}

static bool digest(const struct context *c, struct slice data, struct tls_signing *s)
{
	unsigned n = 0;
	uint8_t made[EVP_MAX_MD_SIZE];
	_Static_assert(EVP_MAX_MD_SIZE <= TLS_DIGEST_MAX, "a digest fits");
	EVP_MD *md = EVP_MD_fetch(NULL, c->hash, NULL);
	bool is_done = md && EVP_Digest(data.p, data.n, made, &n, md, NULL) == 1;
	EVP_MD_free(md);
	memcpy(s->digest, made, is_done ? n : 0);
	s->n = n;
	return is_done;
}

static kf_err sign(struct context *c, struct slice data, struct room *ret)
{
	struct tls_pending *p = calloc(1, sizeof(*p) + c->key->remote->job_size);
	if (!p)
		return kf_fail(NOMEM, "signature of our own key");
	p->signing.job = p->job;
	p->signing.hash = c->hash;
	p->signing.is_pss = c->is_pss;
	if (!digest(c, data, &p->signing)) {
		pending_free(p);
		return kf_fail(CRYPTO, "digest for our own key");
	}
	return sign_and_wait(c->key, p, ret);
}

/* OpenSSL asks for the size first, with no room. */
static int digest_sign(void *ctx, unsigned char *sig, size_t *sig_n, size_t size,
	const unsigned char *data, size_t n)
{
	struct context *c = ctx;
	if (!c->key)
		return 0;
	if (!sig) {
		*sig_n = (size_t)EVP_PKEY_get_size(c->key->public_key);
		return 1;
	}
	struct room out = { sig, size, 0 };
	struct tls_stream *t = running;
	kf_err e = sign(c, (struct slice){ data, n }, &out);
	if (t && t->waiting)
		t->waiting->why = e;
	*sig_n = out.n;
	return kf_ok(e);
}

/* ---- the provider: keys ---- */

static void *new_key(bool is_rsa)
{
	struct remote_key *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	atomic_init(&k->refs, 1);
	k->is_rsa = is_rsa;
	return k;
}

static void *new_rsa(void *provctx)
{
	(void)provctx;
	return new_key(true);
}

static void *new_ec(void *provctx)
{
	(void)provctx;
	return new_key(false);
}

static int has(const void *keydata, int selection)
{
	const struct remote_key *k = keydata;
	return k && k->public_key &&
	       (!(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || k->handle);
}

static int match(const void *a, const void *b, int selection)
{
	const struct remote_key *x = a, *y = b;
	(void)selection;
	return x->public_key && y->public_key &&
	       EVP_PKEY_eq(x->public_key, y->public_key) == 1;
}

static const OSSL_PARAM *gettable(void *provctx)
{
	(void)provctx;
	return pkey_gettable_params();
}

static int get_params(void *keydata, OSSL_PARAM params[])
{
	const struct remote_key *k = keydata;
	return k->public_key && EVP_PKEY_get_params(k->public_key, params);
}

/* Public keys only: that of the certificate, to be made ours or to be compared with. */
static int import(void *keydata, int selection, const OSSL_PARAM params[])
{
	struct remote_key *k = keydata;
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || k->public_key)
		return 0;
	k->public_key =
		pkey_of_params(EVP_PKEY_CTX_new_from_name(NULL, k->is_rsa ? "RSA" : "EC",
				       "provider=default"),
			EVP_PKEY_PUBLIC_KEY, params);
	return k->public_key != NULL;
}

struct private_half {
	const struct tls_remote *remote;
	void *handle;
};

static int set_key_params(void *keydata, const OSSL_PARAM params[])
{
	struct remote_key *k = keydata;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, HANDLE);
	struct private_half half;
	void *to = &half;
	size_t n;
	if (!p || k->handle || !OSSL_PARAM_get_octet_string(p, &to, sizeof(half), &n) ||
		n != sizeof(half))
		return 0;
	k->remote = half.remote;
	k->handle = half.handle;
	return 1;
}

static const OSSL_PARAM *settable_key_params(void *provctx)
{
	(void)provctx;
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_octet_string(HANDLE, NULL, 0),
		OSSL_PARAM_END,
	};
	return table;
}

static const char *rsa_name(int operation)
{
	(void)operation;
	return "RSA";
}

static const char *ec_name(int operation)
{
	return operation == OSSL_OP_KEYEXCH ? "ECDH" : "ECDSA";
}

/* clang-format off */
#define KEYMGMT(type)                                                                    \
	static const OSSL_DISPATCH type##_functions[] = {                                \
		{ OSSL_FUNC_KEYMGMT_NEW, (dispatch_fn)new_##type },                      \
		{ OSSL_FUNC_KEYMGMT_FREE, (dispatch_fn)free_key },                       \
		{ OSSL_FUNC_KEYMGMT_HAS, (dispatch_fn)has },                             \
		{ OSSL_FUNC_KEYMGMT_MATCH, (dispatch_fn)match },                         \
		{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (dispatch_fn)gettable },            \
		{ OSSL_FUNC_KEYMGMT_GET_PARAMS, (dispatch_fn)get_params },               \
		{ OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (dispatch_fn)settable_key_params }, \
		{ OSSL_FUNC_KEYMGMT_SET_PARAMS, (dispatch_fn)set_key_params },           \
		{ OSSL_FUNC_KEYMGMT_IMPORT, (dispatch_fn)import },                       \
		{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (dispatch_fn)pkey_public_params },           \
		{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (dispatch_fn)type##_name },    \
		{ 0, NULL },                                                             \
	}
KEYMGMT(rsa);
KEYMGMT(ec);

static const OSSL_ALGORITHM keymgmt_algorithms[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_functions, "key elsewhere" },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_functions, "key elsewhere" },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_DISPATCH signature_functions[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, (dispatch_fn)new_context },
	{ OSSL_FUNC_SIGNATURE_FREECTX, (dispatch_fn)free_context },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (dispatch_fn)sign_init },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (dispatch_fn)digest_sign },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (dispatch_fn)set_params },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (dispatch_fn)settable_params },
	{ 0, NULL },
};

static const OSSL_ALGORITHM signature_algorithms[] = {
	{ "RSA:rsaEncryption", PROPERTIES, signature_functions, "signs elsewhere" },
	{ "ECDSA", PROPERTIES, signature_functions, "signs elsewhere" },
	{ NULL, NULL, NULL, NULL },
};
/* clang-format on */

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
	(void)provctx;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT     ? keymgmt_algorithms
	       : operation == OSSL_OP_SIGNATURE ? signature_algorithms
						: NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
	const OSSL_DISPATCH **ret_functions, void **ret_provctx)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (dispatch_fn)query },
		{ 0, NULL },
	};
	(void)core;
	*ret_functions = functions;
	*ret_provctx = (void *)(uintptr_t)handle;
	return 1;
}

/* ECDHE makes its keys in the default provider: whoever is loaded first is asked first. */
static bool makes_keys_by_default(OSSL_LIB_CTX *library)
{
	EVP_KEYMGMT *m = EVP_KEYMGMT_fetch(library, "EC", NULL);
	const OSSL_PROVIDER *p = m ? EVP_KEYMGMT_get0_provider(m) : NULL;
	bool is_default = p && !strcmp(OSSL_PROVIDER_get0_name(p), "default");
	EVP_KEYMGMT_free(m);
	return is_default;
}

static bool fill(struct tls_library *l)
{
	l->context = OSSL_LIB_CTX_new();
	l->base = l->context ? OSSL_PROVIDER_load(l->context, "default") : NULL;
	if (!l->base ||
		OSSL_PROVIDER_add_builtin(l->context, PROVIDER, provider_init) != 1)
		return false;
	l->remote = OSSL_PROVIDER_load(l->context, PROVIDER);
	return l->remote && makes_keys_by_default(l->context);
}

struct tls_library *tls_library_new(void)
{
	struct tls_library *l = calloc(1, sizeof(*l));
	if (l && ASYNC_is_capable() && fill(l))
		return l;
	tls_library_free(l);
	return NULL;
}

void tls_library_free(struct tls_library *l)
{
	if (!l)
		return;
	if (l->remote)
		OSSL_PROVIDER_unload(l->remote);
	if (l->base)
		OSSL_PROVIDER_unload(l->base);
	OSSL_LIB_CTX_free(l->context);
	free(l);
}

static EVP_PKEY *import_public(const struct tls_library *library, EVP_PKEY *public_key)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = NULL;
	bool is_rsa = EVP_PKEY_is_a(public_key, "RSA");
	if (!is_rsa && !EVP_PKEY_is_a(public_key, "EC"))
		return NULL;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(
		library->context, is_rsa ? "RSA" : "EC", PROPERTIES);
	if (c && EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &params) == 1 &&
		(EVP_PKEY_fromdata_init(c) != 1 ||
			EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, params) != 1))
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(c);
	return key;
}

EVP_PKEY *tls_remote_key(const struct tls_library *library, const struct tls_remote *r,
	void *handle, EVP_PKEY *public_key)
{
	struct private_half half = { r, handle };
	OSSL_PARAM set[] = { OSSL_PARAM_construct_octet_string(
				     HANDLE, &half, sizeof(half)),
		OSSL_PARAM_construct_end() };
	EVP_PKEY *key = public_key ? import_public(library, public_key) : NULL;
	if (key && EVP_PKEY_set_params(key, set) == 1)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}
