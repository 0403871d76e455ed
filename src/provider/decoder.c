/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder: from a key-reference PEM to a key, in two steps of OpenSSL's decoder chain: PEM to DER, and
 * DER to a key of one type.  Nothing is opened, nobody is asked: a web server starts, reloads and tests
 * its configuration while no key server can be reached.
 *
 * The chain shows us every file that any program decodes, private keys among them.  What is not ours
 * is passed over without a word in the error queue, and wiped.
 */
#include "provider/key.h"
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <string.h>

#define STRUCTURE "keyfleet-reference"

static void *new_context(void *provctx) { return provctx; }
static void free_context(void *context) { (void)context; }

static int does_selection(void *provctx, int selection)
{
	(void)provctx;
	return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY);
}

/* ---- PEM to DER ---- */

struct pem {
	char *label, *header;
	unsigned char *data;
	long size;
};

static void pem_clear(struct pem *pem)
{
	OPENSSL_secure_free(pem->label);
	OPENSSL_secure_free(pem->header);
	OPENSSL_secure_clear_free(pem->data, pem->size > 0 ? (size_t)pem->size : 0);
}

static void read_pem(const struct provider *p, OSSL_CORE_BIO *in, struct pem *ret)
{
	BIO *bio = BIO_new_from_core_bio(p->core, in);
	ERR_set_mark();
	if (!bio || !PEM_read_bio_ex(bio, &ret->label, &ret->header, &ret->data,
			    &ret->size, PEM_FLAG_SECURE))
		*ret = (struct pem){ 0 };
	ERR_pop_to_mark();
	BIO_free(bio);
}

static int pass_on(const struct pem *pem, OSSL_CALLBACK *callback, void *arg)
{
	char structure[] = STRUCTURE;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_OBJECT_PARAM_DATA, pem->data, (size_t)pem->size),
		OSSL_PARAM_construct_utf8_string(
			OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
		OSSL_PARAM_construct_end(),
	};
	return callback(params, arg);
}

/* Ours, but not readable: here we may say why, for the label leaves no doubt. */
static int check_and_pass_on(const struct provider *p, const struct pem *pem,
	OSSL_CALLBACK *callback, void *arg)
{
	struct keyref ref;
	kf_err e = keyref_get((struct slice){ pem->data, (size_t)pem->size }, &ref);
	if (kf_ok(e))
		return pass_on(pem, callback, arg);
	provider_raise(p, e, KEYREF_LABEL);
	return 0;
}

static int decode_pem(void *context, OSSL_CORE_BIO *in, int selection,
	OSSL_CALLBACK *callback, void *arg, OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)
{
	(void)selection;
	(void)ask;
	(void)ask_arg;
	struct pem pem = { 0 };
	read_pem(context, in, &pem);
	bool is_ours = pem.label && !strcmp(pem.label, KEYREF_LABEL);
	int ok = is_ours ? check_and_pass_on(context, &pem, callback, arg) : 1;
	pem_clear(&pem);
	return ok;
}

/* ---- DER to a key ---- */

static int hand_over(struct key **key, OSSL_CALLBACK *callback, void *arg)
{
	int object = OSSL_OBJECT_PKEY;
	char type[16];
	strncpy(type, key_type(*key), sizeof(type) - 1);
	type[sizeof(type) - 1] = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &object),
		OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, type, 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_OBJECT_PARAM_REFERENCE, key, sizeof(*key)),
		OSSL_PARAM_construct_end(),
	};
	return callback(params, arg);
}

static int decode_slice(const struct provider *p, enum alg_family family,
	struct slice der, OSSL_CALLBACK *callback, void *arg)
{
	struct keyref ref;
	if (!kf_ok(keyref_get(der, &ref)))
		return 1;
	struct key *key = key_new(p, family);
	int ok = key && (!key_set_reference(key, &ref) || hand_over(&key, callback, arg));
	key_free(key); /* NULL when it was taken */
	return ok;
}

static int decode_der(const struct provider *p, enum alg_family family, OSSL_CORE_BIO *in,
	OSSL_CALLBACK *callback, void *arg)
{
	unsigned char der[KEYREF_DER_MAX + 1];
	BIO *bio = BIO_new_from_core_bio(p->core, in);
	ERR_set_mark();
	int n = bio ? BIO_read(bio, der, sizeof(der)) : 0;
	ERR_pop_to_mark();
	BIO_free(bio);
	int ok = n <= 0 ? 1
			: decode_slice(p, family, (struct slice){ der, (size_t)n },
				  callback, arg);
	OPENSSL_cleanse(der, sizeof(der));
	return ok;
}

/* clang-format off */
#define DECODER(type, family)                                                            \
	static int decode_##type(void *context, OSSL_CORE_BIO *in, int selection,        \
		OSSL_CALLBACK *callback, void *arg, OSSL_PASSPHRASE_CALLBACK *ask,       \
		void *ask_arg)                                                           \
	{                                                                                \
		(void)selection, (void)ask, (void)ask_arg;                               \
		return decode_der(context, family, in, callback, arg);                   \
	}
DECODER(rsa, FAMILY_RSA)
DECODER(ec, FAMILY_EC)
DECODER(ed25519, FAMILY_ED25519)

#define FUNCTIONS(type)                                                                  \
	static const OSSL_DISPATCH type##_functions[] = {                                \
		{ OSSL_FUNC_DECODER_NEWCTX, (dispatch_fn)new_context },                  \
		{ OSSL_FUNC_DECODER_FREECTX, (dispatch_fn)free_context },                \
		{ OSSL_FUNC_DECODER_DOES_SELECTION, (dispatch_fn)does_selection },       \
		{ OSSL_FUNC_DECODER_DECODE, (dispatch_fn)decode_##type },                \
		{ 0, NULL },                                                             \
	}
FUNCTIONS(pem);
FUNCTIONS(rsa);
FUNCTIONS(ec);
FUNCTIONS(ed25519);

#define FROM_PEM "provider=keyfleet,input=pem"
#define FROM_DER "provider=keyfleet,input=der,structure=" STRUCTURE
const OSSL_ALGORITHM decoder_algorithms[] = {
	{ "DER", FROM_PEM, pem_functions, "key reference" },
	{ "RSA", FROM_DER, rsa_functions, "key reference" },
	{ "EC", FROM_DER, ec_functions, "key reference" },
	{ "ED25519", FROM_DER, ed25519_functions, "key reference" },
	{ NULL, NULL, NULL, NULL },
};
/* clang-format on */
