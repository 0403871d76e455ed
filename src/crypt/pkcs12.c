/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pkcs12.h"
#include "base/mem.h"
#include "crypt/keygen.h"
#include "crypt/ossl.h"
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

enum { CERTIFICATE_MAX = 65536, ROUNDS = 50000 };

static void file_freep(PKCS12 **p) { PKCS12_free(*p); }
static void pbe_freep(PBEPARAM **p) { PBEPARAM_free(*p); }
static void pbe2_freep(PBE2PARAM **p) { PBE2PARAM_free(*p); }
static void pbkdf2_freep(PBKDF2PARAM **p) { PBKDF2PARAM_free(*p); }
static void private_freep(PKCS8_PRIV_KEY_INFO **p) { PKCS8_PRIV_KEY_INFO_free(*p); }
static void certs_freep(STACK_OF(X509) * *s) { sk_X509_pop_free(*s, X509_free); }
static void bags_freep(STACK_OF(PKCS12_SAFEBAG) * *s)
{
	sk_PKCS12_SAFEBAG_pop_free(*s, PKCS12_SAFEBAG_free);
}
static void safes_freep(STACK_OF(PKCS7) * *s) { sk_PKCS7_pop_free(*s, PKCS7_free); }
static void text_freep(char **s) { OPENSSL_free(*s); }

void pkcs12_clear(struct pkcs12 *p)
{
	buf_free(&p->pkcs8);
	buf_free(&p->name);
	for (size_t i = 0; i < p->n; i++)
		buf_free(&p->chain[i]);
	*p = (struct pkcs12){ 0 };
}

/* libcrypto reads some passwords up to a zero, and others by their length. */
static kf_err check_password(struct slice password)
{
	if (!password.n || password.n > PKCS12_PASSWORD_MAX ||
		memchr(password.p, 0, password.n))
		return kf_fail(BAD_PASSWORD, "a password that no such file can have");
	return KF_OK;
}

/* --- what it would cost --- */

struct reading {
	const char *password;
	int password_n;
	struct slice name;
	uint64_t rounds;
	size_t bags;
	struct pkcs12 *to;
	STACK_OF(X509) * certs;
};

static kf_err spend(struct reading *r, const ASN1_INTEGER *rounds)
{
	int64_t n = 1;

	if (rounds && !ASN1_INTEGER_get_int64(&n, rounds))
		return ossl_fail(LIMIT, "the file's password is stretched too far");
	if (n < 1 || n > PKCS12_ROUNDS_MAX)
		return kf_fail(LIMIT, "the file's password is stretched too far");
	r->rounds += 2 * (uint64_t)n; /* a long key takes two runs; so do key and IV */
	return r->rounds <= PKCS12_ROUNDS_MAX
		       ? KF_OK
		       : kf_fail(LIMIT, "the file's passwords are stretched too far");
}

static kf_err check_pbes2(struct reading *r, const X509_ALGOR *a)
{
	CLEANUP(pbe2_freep)
	PBE2PARAM *p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), a->parameter);
	CLEANUP(pbkdf2_freep) PBKDF2PARAM *k = NULL;

	if (p && OBJ_obj2nid(p->keyfunc->algorithm) == NID_id_pbkdf2)
		k = ASN1_TYPE_unpack_sequence(
			ASN1_ITEM_rptr(PBKDF2PARAM), p->keyfunc->parameter);
	if (!k)
		return ossl_fail(KEY_FORMAT, "passwords are stretched by PBKDF2 alone");
	return spend(r, k->iter);
}

/* Before anything is decrypted. */
static kf_err check_cost(struct reading *r, const X509_ALGOR *a)
{
	if (!a)
		return kf_fail(INVALID_FIELD, "an encryption without an algorithm");
	if (OBJ_obj2nid(a->algorithm) == NID_pbes2)
		return check_pbes2(r, a);
	CLEANUP(pbe_freep)
	PBEPARAM *p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), a->parameter);
	if (!p)
		return ossl_fail(KEY_FORMAT, "encrypted in a way that is not read");
	return spend(r, p->iter);
}

static kf_err check_mac(struct reading *r, PKCS12 *file)
{
	const ASN1_INTEGER *rounds = NULL;

	if (!PKCS12_mac_present(file))
		return kf_fail(KEY_FORMAT, "a file without a MAC by its password");
	PKCS12_get0_mac(NULL, NULL, NULL, &rounds, file);
	KF_TRY(spend(r, rounds));
	if (!PKCS12_verify_mac(file, r->password, r->password_n))
		return ossl_fail(BAD_PASSWORD, "not the password of this file");
	return KF_OK;
}

/* --- bags --- */

/* Whatever the case (X.520, caseIgnoreMatch), of ASCII letters. */
static bool is_wanted(const struct reading *r, const char *name)
{
	if (r->to->pkcs8.n)
		return false;
	return !r->name.n ||
	       (name && strlen(name) == r->name.n &&
		       !strncasecmp(name, (const char *)r->name.p, r->name.n));
}

static kf_err take_key(
	struct reading *r, const PKCS8_PRIV_KEY_INFO *key, const char *name)
{
	unsigned char *der = NULL;
	const int n = key ? i2d_PKCS8_PRIV_KEY_INFO(key, &der) : 0;

	if (n > 0)
		buf_add(&r->to->pkcs8, der, (size_t)n);
	OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
	if (n <= 0)
		return ossl_fail(INVALID_FIELD, "a private key that cannot be read");
	buf_add_text(&r->to->name, name ? name : "");
	KF_TRY(buf_err(&r->to->name));
	return buf_err(&r->to->pkcs8);
}

static kf_err read_shrouded(struct reading *r, PKCS12_SAFEBAG *bag, const char *name)
{
	const X509_SIG *sealed = PKCS12_SAFEBAG_get0_pkcs8(bag);
	const X509_ALGOR *how = NULL;

	if (sealed)
		X509_SIG_get0(sealed, &how, NULL);
	KF_TRY(check_cost(r, how));
	CLEANUP(private_freep)
	PKCS8_PRIV_KEY_INFO *key = PKCS12_decrypt_skey(bag, r->password, r->password_n);
	return take_key(r, key, name);
}

static kf_err read_certificate(struct reading *r, PKCS12_SAFEBAG *bag)
{
	if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
		return KF_OK;
	X509 *x = PKCS12_SAFEBAG_get1_cert(bag);
	if (!x)
		return ossl_fail(INVALID_FIELD, "a certificate that cannot be read");
	if (sk_X509_push(r->certs, x))
		return KF_OK;
	X509_free(x);
	return ossl_fail(NOMEM, "certificates");
}

static kf_err read_bag(struct reading *r, PKCS12_SAFEBAG *bag)
{
	CLEANUP(text_freep) char *name = PKCS12_get_friendlyname(bag);

	if (++r->bags > PKCS12_BAGS_MAX)
		return kf_fail(LIMIT, "too many bags in the file");
	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag:
		return is_wanted(r, name)
			       ? take_key(r, PKCS12_SAFEBAG_get0_p8inf(bag), name)
			       : KF_OK;
	case NID_pkcs8ShroudedKeyBag:
		return is_wanted(r, name) ? read_shrouded(r, bag, name) : KF_OK;
	case NID_certBag: return read_certificate(r, bag);
	case NID_safeContentsBag: return kf_fail(KEY_FORMAT, "contents in contents");
	default: return KF_OK;
	}
}

static kf_err unpack(struct reading *r, PKCS7 *safe, STACK_OF(PKCS12_SAFEBAG) * *ret)
{
	if (!safe->d.ptr)
		return kf_fail(INVALID_FIELD, "empty contents");
	if (PKCS7_type_is_data(safe)) {
		*ret = PKCS12_unpack_p7data(safe);
	} else if (PKCS7_type_is_encrypted(safe) && safe->d.encrypted->enc_data) {
		KF_TRY(check_cost(r, safe->d.encrypted->enc_data->algorithm));
		*ret = PKCS12_unpack_p7encdata(safe, r->password, r->password_n);
	} else {
		return kf_fail(KEY_FORMAT, "contents that are not read");
	}
	return *ret ? KF_OK : ossl_fail(INVALID_FIELD, "contents cannot be decrypted");
}

static kf_err read_safe(struct reading *r, PKCS7 *safe)
{
	CLEANUP(bags_freep) STACK_OF(PKCS12_SAFEBAG) *bags = NULL;

	if (++r->bags > PKCS12_BAGS_MAX)
		return kf_fail(LIMIT, "too many contents in the file");
	KF_TRY(unpack(r, safe, &bags));
	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++)
		KF_TRY(read_bag(r, sk_PKCS12_SAFEBAG_value(bags, i)));
	return KF_OK;
}

static kf_err read_file(struct reading *r, struct slice file)
{
	const unsigned char *p = file.p;
	CLEANUP(file_freep) PKCS12 *f = d2i_PKCS12(NULL, &p, (long)file.n);
	CLEANUP(safes_freep) STACK_OF(PKCS7) *safes = NULL;

	if (!f || p != file.p + file.n)
		return ossl_fail(INVALID_FIELD, "not one PKCS#12 file");
	KF_TRY(check_mac(r, f));
	safes = PKCS12_unpack_authsafes(f);
	if (!safes)
		return ossl_fail(INVALID_FIELD, "contents that cannot be read");
	for (int i = 0; i < sk_PKCS7_num(safes); i++)
		KF_TRY(read_safe(r, sk_PKCS7_value(safes, i)));
	return r->to->pkcs8.n ? KF_OK
			      : kf_fail(INVALID_FIELD,
					"no private key of this name in the file");
}

/* --- the chain --- */

static kf_err put_certificate(struct pkcs12 *to, X509 *x)
{
	unsigned char *der = NULL;

	if (to->n == PKCS12_CHAIN_MAX)
		return kf_fail(LIMIT, "the chain of certificates is too long");
	const int n = i2d_X509(x, &der);
	if (n <= 0)
		return ossl_fail(INVALID_FIELD, "a certificate that cannot be written");
	to->chain[to->n] = buf_new(CERTIFICATE_MAX);
	buf_add(&to->chain[to->n], der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(&to->chain[to->n++]);
}

static X509 *certificate_of(const STACK_OF(X509) * certs, EVP_PKEY *key)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_check_private_key(sk_X509_value(certs, i), key) == 1)
			return sk_X509_value(certs, i);
	return NULL;
}

/* Who has issued which is tried out where the names fit, and those of strangers may all fit. */
struct search {
	const STACK_OF(X509) * certs;
	unsigned tries;
};

static bool has_issued(struct search *s, X509 *by, X509 *x)
{
	return X509_check_issued(by, x) == X509_V_OK &&
	       s->tries++ < PKCS12_SIGNATURES_MAX &&
	       X509_verify(x, X509_get0_pubkey(by)) == 1;
}

static X509 *issuer_of(struct search *s, X509 *x)
{
	if (has_issued(s, x, x))
		return NULL;
	for (int i = 0; i < sk_X509_num(s->certs); i++)
		if (has_issued(s, sk_X509_value(s->certs, i), x))
			return sk_X509_value(s->certs, i);
	return NULL;
}

static kf_err build_chain(const STACK_OF(X509) * certs, struct pkcs12 *to)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = NULL;
	struct search s = { .certs = certs };

	KF_TRY(ossl_parse_private(buf_slice(&to->pkcs8), &key));
	X509 *x = certificate_of(certs, key);
	for (; x; x = issuer_of(&s, x))
		KF_TRY(put_certificate(to, x));
	ERR_clear_error();
	return s.tries <= PKCS12_SIGNATURES_MAX
		       ? KF_OK
		       : kf_fail(LIMIT, "too many certificates that may belong together");
}

static kf_err read_all(struct slice file, struct reading *r)
{
	mem_wipe_freed(true); /* libcrypto's decrypted drafts */
	const kf_err err = read_file(r, file);
	mem_wipe_freed(false);
	ERR_clear_error();
	KF_TRY(err);
	return build_chain(r->certs, r->to);
}

kf_err pkcs12_open(
	struct slice file, struct slice password, struct slice name, struct pkcs12 *ret)
{
	CLEANUP(pkcs12_clear)
	struct pkcs12 p = { .pkcs8 = buf_new(PKCS8_MAX),
		.name = buf_new(PKCS12_NAME_MAX) };
	CLEANUP(certs_freep) STACK_OF(X509) *certs = sk_X509_new_null();
	struct reading r = { (const char *)password.p, (int)password.n, name, 0, 0, &p,
		certs };

	KF_TRY(check_password(password));
	if (!file.n || file.n > PKCS12_SIZE_MAX)
		return kf_fail(LIMIT, "a PKCS#12 file has 1 to 262144 bytes");
	if (!certs)
		return ossl_fail(NOMEM, "certificates");
	KF_TRY(read_all(file, &r));
	*ret = p;
	p = (struct pkcs12){ 0 };
	return KF_OK;
}

/* --- writing --- */

static kf_err read_chain(
	const struct pkcs12 *c, X509 **ret_first, STACK_OF(X509) * *ret_others)
{
	for (size_t i = 0; i < c->n; i++) {
		const unsigned char *p = c->chain[i].p;
		X509 *x = d2i_X509(NULL, &p, (long)c->chain[i].n);
		if (!x)
			return ossl_fail(INVALID_FIELD, "not a certificate");
		if (i == 0)
			*ret_first = x;
		else if (!sk_X509_push(*ret_others, x)) {
			X509_free(x);
			return ossl_fail(NOMEM, "certificates");
		}
	}
	return KF_OK;
}

static kf_err encode(PKCS12 *file, struct buf *ret)
{
	unsigned char *der = NULL;
	const int n = file ? i2d_PKCS12(file, &der) : 0;

	if (n <= 0)
		return ossl_fail(CRYPTO, "the key and its certificates make no file");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}

kf_err pkcs12_seal(const struct pkcs12 *content, struct slice password, struct buf *ret)
{
	autobuf phrase = buf_new(PKCS12_PASSWORD_MAX + 1);
	autobuf name = buf_new(PKCS12_NAME_MAX + 1);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = NULL;
	CLEANUP(ossl_x509_freep) X509 *first = NULL;
	CLEANUP(certs_freep) STACK_OF(X509) *others = sk_X509_new_null();

	KF_TRY(check_password(password));
	buf_add_slice(&phrase, password);
	buf_add_u8(&phrase, 0);
	buf_add_slice(&name, buf_slice(&content->name));
	buf_add_u8(&name, 0);
	KF_TRY(buf_err(&phrase));
	KF_TRY(buf_err(&name));
	if (!others)
		return ossl_fail(NOMEM, "certificates");
	KF_TRY(ossl_parse_private(buf_slice(&content->pkcs8), &key));
	KF_TRY(read_chain(content, &first, &others));
	mem_wipe_freed(true);
	CLEANUP(file_freep)
	PKCS12 *file = PKCS12_create((const char *)phrase.p, (const char *)name.p, key,
		first, others, NID_aes_256_cbc, NID_aes_256_cbc, ROUNDS, ROUNDS, 0);
	mem_wipe_freed(false);
	return encode(file, ret);
}
