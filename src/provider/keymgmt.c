/* SPDX-License-Identifier: Apache-2.0
 *
 * keymgmt: OpenSSL's view of our keys.
 *
 * The trick of the whole provider is in export_key(): libssl offers every key to the default provider
 * first.  If we gave it the public half, it would try to sign with that; because we refuse, it comes
 * back and asks us.
 */
#include "base/pkey.h"
#include "provider/key.h"
#include <openssl/core_names.h>
#include <openssl/params.h>

static void *new_rsa(void *provctx) { return key_new(provctx, FAMILY_RSA); }
static void *new_ec(void *provctx) { return key_new(provctx, FAMILY_EC); }
static void *new_ed25519(void *provctx) { return key_new(provctx, FAMILY_ED25519); }
static void free_key(void *keydata) { key_free(keydata); }

/* The decoder hands over a pointer to its pointer; whoever takes the key clears that. */
static void *load(const void *reference, size_t size)
{
	if (size != sizeof(struct key *))
		return NULL;
	struct key **slot = (struct key **)(uintptr_t)reference;
	struct key *key = *slot;
	*slot = NULL;
	return key;
}

/* A reference has its private half, although not here: servers ask this when nobody can be reached. */
static int has(const void *keydata, int selection)
{
	const struct key *key = keydata;
	if (!key)
		return 0;
	bool wants_public = selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
	bool wants_private = selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
	return (!wants_public || key_public(key)) && (!wants_private || key_id(key).n);
}

/* Private halves are equal when public ones are. */
static int match(const void *a, const void *b, int selection)
{
	EVP_PKEY *x = key_public(a), *y = key_public(b);
	if (!x || !y)
		return 0;
	if (selection & OSSL_KEYMGMT_SELECT_KEYPAIR)
		return EVP_PKEY_eq(x, y) == 1;
	return !(selection & OSSL_KEYMGMT_SELECT_ALL_PARAMETERS) ||
	       EVP_PKEY_parameters_eq(x, y) == 1;
}

static const OSSL_PARAM *gettable(void *provctx)
{
	(void)provctx;
	return pkey_gettable_params();
}

static int get_params(void *keydata, OSSL_PARAM params[])
{
	EVP_PKEY *pub = key_public(keydata);
	return pub && EVP_PKEY_get_params(pub, params);
}

/* ---- in and out ---- */

static int public_selection(int selection)
{
	return selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY ? EVP_PKEY_PUBLIC_KEY
							  : EVP_PKEY_KEY_PARAMETERS;
}

/* Refuses silently: see the head of this file. */
static int export_key(void *keydata, int selection, OSSL_CALLBACK *callback, void *arg)
{
	EVP_PKEY *pub = key_public(keydata);
	if (!pub || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
		return 0;
	OSSL_PARAM *params = NULL;
	if (!EVP_PKEY_todata(pub, public_selection(selection), &params))
		return 0;
	int ok = callback(params, arg);
	OSSL_PARAM_free(params);
	return ok;
}

/* What a certificate's key arrives through, to be compared with ours.  No private key ever comes in:
 * a key that can be had as bytes belongs to the default provider. */
static int import(void *keydata, int selection, const OSSL_PARAM params[])
{
	struct key *key = keydata;
	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	EVP_PKEY *pub = pkey_of_params(
		EVP_PKEY_CTX_new_from_name(key_provider(key)->lib, key_type(key), NULL),
		public_selection(selection), params);
	if (pub)
		key_take_public(key, pub);
	return pub != NULL;
}

/* Keys do not change, so a duplicate with everything is a share. */
static void *dup_key(const void *keydata, int selection)
{
	const struct key *key = keydata;
	if (!key_id(key).n || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
		return key_share(key);
	EVP_PKEY *pub = key_public(key);
	struct key *copy = key_new(key_provider(key), key_family(key));
	if (!copy || !pub || !EVP_PKEY_up_ref(pub)) {
		key_free(copy);
		return NULL;
	}
	key_take_public(copy, pub);
	return copy;
}

/* ---- making keys: not here ---- */

/* OpenSSL takes the first provider that has a type of key.  Whoever lists us before the default one
 * cannot make a key any more, not even for ECDHE: say so, where it is noticed. */
static void *gen_init(void *provctx, int selection, const OSSL_PARAM params[])
{
	(void)selection, (void)params;
	provider_raise(provctx,
		kf_fail(CONFIG,
			"the default provider must be loaded before keyfleet: put it "
			"first in openssl.cnf, or ssl-provider default first in HAProxy"),
		"");
	return NULL;
}

static void *gen(void *context, OSSL_CALLBACK *callback, void *arg)
{
	(void)context, (void)callback, (void)arg;
	return NULL;
}

static void gen_cleanup(void *context) { (void)context; }

static const char *rsa_name(int operation)
{
	(void)operation;
	return "RSA";
}

static const char *ec_name(int operation)
{
	return operation == OSSL_OP_KEYEXCH ? "ECDH" : "ECDSA";
}

static const char *ed25519_name(int operation)
{
	(void)operation;
	return "ED25519";
}

/* clang-format off */
#define KEYMGMT(type)                                                                    \
	static const OSSL_DISPATCH type##_functions[] = {                                \
		{ OSSL_FUNC_KEYMGMT_NEW, (dispatch_fn)new_##type },                      \
		{ OSSL_FUNC_KEYMGMT_FREE, (dispatch_fn)free_key },                       \
		{ OSSL_FUNC_KEYMGMT_LOAD, (dispatch_fn)load },                           \
		{ OSSL_FUNC_KEYMGMT_HAS, (dispatch_fn)has },                             \
		{ OSSL_FUNC_KEYMGMT_MATCH, (dispatch_fn)match },                         \
		{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (dispatch_fn)gettable },            \
		{ OSSL_FUNC_KEYMGMT_GET_PARAMS, (dispatch_fn)get_params },               \
		{ OSSL_FUNC_KEYMGMT_EXPORT, (dispatch_fn)export_key },                   \
		{ OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (dispatch_fn)pkey_public_params },         \
		{ OSSL_FUNC_KEYMGMT_IMPORT, (dispatch_fn)import },                       \
		{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (dispatch_fn)pkey_public_params },         \
		{ OSSL_FUNC_KEYMGMT_DUP, (dispatch_fn)dup_key },                         \
		{ OSSL_FUNC_KEYMGMT_GEN_INIT, (dispatch_fn)gen_init },                   \
		{ OSSL_FUNC_KEYMGMT_GEN, (dispatch_fn)gen },                             \
		{ OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (dispatch_fn)gen_cleanup },             \
		{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (dispatch_fn)type##_name },    \
		{ 0, NULL },                                                             \
	}
KEYMGMT(rsa);
KEYMGMT(ec);
KEYMGMT(ed25519);

#define PROPERTIES "provider=keyfleet"
const OSSL_ALGORITHM keymgmt_algorithms[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_functions, "key in a key server" },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_functions, "key in a key server" },
	{ "ED25519:1.3.101.112", PROPERTIES, ed25519_functions, "key in a key server" },
	{ NULL, NULL, NULL, NULL },
};
/* clang-format on */
