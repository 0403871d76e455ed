/* SPDX-License-Identifier: Apache-2.0
 *
 * files: keys in files.  Those of SmartCard-HSMs are sc-hsm-tool's; those under an AES wrapping key are
 * our own:
 *
 *     30 { 0C "keyfleet wrapped key", 04 check value, 04 wrapped key, 04 SubjectPublicKeyInfo,
 *          04 certificate, 0C label, 04 CKA_ID, 01 may decrypt }
 */
#include "provision/files.h"
#include "base/tlv.h"
#include "crypt/keygen.h"
#include "crypt/ossl.h"
#include "token/schsm/cvc.h"
#include "token/schsm/prkd.h"
#include <string.h>

enum { SEQUENCE = 0x30, BOOLEAN = 0x01, OCTETS = 0x04, TEXT = 0x0c };

#define OURS SLICE_LIT("keyfleet wrapped key")

/* ---- what a certificate file says ---- */

static kf_err key_of_x509(struct slice der, struct buf *ret_spki)
{
	const uint8_t *p = der.p;
	CLEANUP(ossl_x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	autobuf spki = buf_new(SPKI_MAX);
	if (!x || p != der.p + der.n || !X509_get0_pubkey(x))
		return ossl_fail(MALFORMED, "the certificate of a key file is damaged");
	KF_TRY(ossl_put_spki(X509_get0_pubkey(x), &spki));
	KF_TRY(pubkey_parse(buf_slice(&spki), &pub));
	buf_add_slice(ret_spki, pubkey_spki(pub));
	return buf_err(ret_spki);
}

static kf_err key_of_cvc(struct slice file, struct buf *ret_spki)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	KF_TRY(cvc_public_key(file, &pub));
	buf_add_slice(ret_spki, pubkey_spki(pub));
	return buf_err(ret_spki);
}

static kf_err take_certificate(struct slice certificate, struct token_blob *b)
{
	if (certificate.n == 0)
		return kf_fail(MISSING,
			"the key file does not say which public key it is; with its DKEK "
			"shares it can be found out");
	if (cvc_is(certificate))
		return key_of_cvc(certificate, &b->spki);
	buf_add_slice(&b->certificate, certificate);
	return key_of_x509(certificate, &b->spki);
}

/* ---- files of SmartCard-HSMs ---- */

static kf_err take_alg(struct token_blob *b)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	KF_TRY(pubkey_parse(buf_slice(&b->spki), &pub));
	b->alg = pubkey_alg(pub);
	return KF_OK;
}

/* Without a description, or with a damaged one: what keys of its kind can do. */
static void take_description(struct slice der, struct token_blob *b)
{
	struct prkd d;
	b->may_decrypt = b->alg->family == FAMILY_RSA;
	b->may_agree = b->alg->family == FAMILY_EC;
	if (der.n == 0 || !kf_ok(prkd_parse(der, &d)))
		return;
	b->may_decrypt = d.usage & PRKD_DECRYPT;
	b->may_agree &= (d.usage & PRKD_DERIVE) != 0;
	memcpy(b->label, d.label, sizeof(b->label));
	memcpy(b->id, d.id, d.id_n);
	b->id_n = d.id_n;
}

static kf_err read_card_file(struct slice file, struct token_blob *b)
{
	struct key_file f;
	struct blob_facts facts;
	KF_TRY(key_file_parse(file, &f));
	KF_TRY(blob_look(f.blob, &facts));
	if (facts.kind == BLOB_AES)
		return kf_fail(KEY_FORMAT, "an AES key: only private keys are restored");
	b->wrapping = WRAPPING_DKEK;
	memcpy(b->kcv, facts.check_value, sizeof(b->kcv));
	buf_add_slice(&b->wrapped, f.blob);
	KF_TRY(take_certificate(f.certificate, b));
	KF_TRY(take_alg(b));
	take_description(f.description, b);
	return buf_err(&b->wrapped);
}

static kf_err write_card_file(
	const struct token_blob *b, struct slice certificate, struct buf *ret)
{
	autobuf description = buf_new(PROVISION_FILE_MAX);
	struct prkd d = prkd_of_key(b->alg, b->label, (struct slice){ b->id, b->id_n });
	if (b->alg->family == FAMILY_RSA && !b->may_decrypt)
		d.usage &= ~(unsigned)PRKD_DECRYPT;
	if (b->alg->family == FAMILY_EC && !b->may_agree)
		d.usage &= ~(unsigned)PRKD_DERIVE;
	KF_TRY(prkd_put(&d, &description));
	const struct key_file f = { buf_slice(&b->wrapped), buf_slice(&description),
		certificate };
	return key_file_put(&f, ret);
}

/* ---- files of ours ----
 *
 * The truth at the end: what the key may do beside signing, RSA decrypt, a key of a curve agree.
 */

static bool is_ours(struct slice file)
{
	struct tlv outer, t;
	return tlv_next(&file, &outer) && outer.tag == SEQUENCE &&
	       tlv_next(&outer.value, &t) && t.tag == TEXT && slice_eq(t.value, OURS);
}

static bool take(struct slice *in, uint32_t tag, struct slice *ret)
{
	struct tlv t;
	if (!tlv_next(in, &t) || t.tag != tag)
		return false;
	*ret = t.value;
	return true;
}

static kf_err read_our_file(struct slice file, struct token_blob *b)
{
	struct tlv outer;
	struct slice magic, kcv, wrapped, spki, certificate, label, id, more;
	bool good = tlv_next(&file, &outer) && file.n == 0;
	struct slice in = outer.value;
	if (!good || !take(&in, TEXT, &magic) || !take(&in, OCTETS, &kcv) ||
		!take(&in, OCTETS, &wrapped) || !take(&in, OCTETS, &spki) ||
		!take(&in, OCTETS, &certificate) || !take(&in, TEXT, &label) ||
		!take(&in, OCTETS, &id) || !take(&in, BOOLEAN, &more) || in.n ||
		kcv.n != sizeof(b->kcv) || id.n > sizeof(b->id) || more.n != 1)
		return kf_fail(MALFORMED, "a key file is damaged");
	b->wrapping = WRAPPING_AES;
	memcpy(b->kcv, kcv.p, kcv.n);
	b->id_n = id.n;
	if (id.n)
		memcpy(b->id, id.p, id.n);
	buf_add_slice(&b->wrapped, wrapped);
	buf_add_slice(&b->spki, spki);
	buf_add_slice(&b->certificate, certificate);
	KF_TRY(slice_to_text(label, b->label, sizeof(b->label)));
	KF_TRY(buf_err(&b->wrapped));
	KF_TRY(take_alg(b));
	b->may_decrypt = more.p[0] && b->alg->family == FAMILY_RSA;
	b->may_agree = more.p[0] && b->alg->family == FAMILY_EC;
	return KF_OK;
}

static kf_err write_our_file(const struct token_blob *b, struct buf *ret)
{
	autobuf in = buf_new(PROVISION_FILE_MAX);
	tlv_add(&in, TEXT, OURS);
	tlv_add(&in, OCTETS, (struct slice){ b->kcv, sizeof(b->kcv) });
	tlv_add(&in, OCTETS, buf_slice(&b->wrapped));
	tlv_add(&in, OCTETS, buf_slice(&b->spki));
	tlv_add(&in, OCTETS, buf_slice(&b->certificate));
	tlv_add(&in, TEXT, slice_of(b->label));
	tlv_add(&in, OCTETS, (struct slice){ b->id, b->id_n });
	tlv_add_byte(&in, BOOLEAN, b->may_decrypt || b->may_agree ? 0xff : 0);
	KF_TRY(buf_err(&in));
	tlv_add(ret, SEQUENCE, buf_slice(&in));
	return buf_err(ret);
}

/* ---- both ---- */

kf_err provision_read_file(struct slice file, struct token_blob *ret)
{
	CLEANUP(token_blob_free)
	struct token_blob b = { .wrapped = buf_new(PROVISION_FILE_MAX),
		.spki = buf_new(SPKI_MAX),
		.certificate = buf_new(PROVISION_FILE_MAX) };
	if (file.n > PROVISION_FILE_MAX)
		return kf_fail(TOO_BIG, "a key file is too long");
	KF_TRY(is_ours(file) ? read_our_file(file, &b) : read_card_file(file, &b));
	*ret = b;
	b = (struct token_blob){ 0 };
	return KF_OK;
}

kf_err provision_write_file(
	const struct token_blob *b, struct slice certificate, struct buf *ret)
{
	if (b->alg && b->alg->family == FAMILY_AES)
		return kf_fail(UNSUPPORTED,
			"keys of AES are not kept in files: copy them to another token");
	if (b->wrapping == WRAPPING_AES)
		return write_our_file(b, ret);
	if (b->wrapping != WRAPPING_DKEK)
		return kf_fail(UNSUPPORTED, "there is no file for such a key");
	return write_card_file(
		b, b->certificate.n ? buf_slice(&b->certificate) : certificate, ret);
}

/* ---- certificates that keys give themselves ---- */

kf_err files_certificate(
	const struct pubkey *pub, files_sign_fn *sign, void *arg, struct buf *ret)
{
	return cvc_prove(&(struct cvc_prover){ pub, "KEYFLEET00000", sign, arg }, ret);
}

static kf_err sign_in_software(void *arg, struct slice data, struct buf *ret)
{
	CLEANUP(ossl_md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t *at = buf_reserve(ret, JOB_SIG_MAX);
	size_t n = JOB_SIG_MAX;
	if (!c || !at ||
		EVP_DigestSignInit_ex(c, NULL, "SHA256", NULL, NULL, arg, NULL) <= 0 ||
		EVP_DigestSign(c, at, &n, data.p, data.n) <= 0)
		return ossl_fail(CRYPTO, "the key cannot sign its certificate");
	buf_commit(ret, n);
	return KF_OK;
}

static kf_err certificate_in_software(
	struct slice pkcs8, struct slice spki, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	KF_TRY(ossl_parse_private(pkcs8, &pkey));
	KF_TRY(pubkey_parse(spki, &pub));
	return files_certificate(pub, sign_in_software, pkey, ret);
}

kf_err provision_complete_file(const struct dkek *d, struct slice file, struct buf *ret)
{
	struct key_file f;
	CLEANUP(blob_key_free) struct blob_key k = { 0 };
	autobuf certificate = buf_new(PROVISION_FILE_MAX);
	KF_TRY(key_file_parse(file, &f));
	KF_TRY(blob_open(d, f.blob, &k));
	if (k.kind == BLOB_AES)
		return kf_fail(KEY_FORMAT, "an AES key: only private keys are restored");
	if (f.certificate.n == 0) {
		KF_TRY(certificate_in_software(
			buf_slice(&k.pkcs8), buf_slice(&k.spki), &certificate));
		f.certificate = buf_slice(&certificate);
	}
	return key_file_put(&f, ret);
}

/* ---- keys of software ---- */

static void name_key(const struct provision_software_key *k, struct token_blob *b)
{
	uint8_t key_id[KEY_ID_SIZE];
	spki_id(buf_slice(&b->spki), key_id);
	struct slice id = k->id.n ? k->id : (struct slice){ key_id, 20 };
	b->id_n = id.n < TOKEN_ID_MAX ? id.n : TOKEN_ID_MAX;
	memcpy(b->id, id.p, b->id_n);
	strncpy(b->label, k->label ? k->label : "", sizeof(b->label) - 1);
}

static kf_err certify(const struct provision_software_key *k, const struct token_blob *b,
	struct buf *ret)
{
	autobuf spki = buf_new(SPKI_MAX);
	if (k->certificate.n == 0)
		return certificate_in_software(k->pkcs8, buf_slice(&b->spki), ret);
	KF_TRY(key_of_x509(k->certificate, &spki));
	if (!slice_eq(buf_slice(&spki), buf_slice(&b->spki)))
		return kf_fail(CONFLICT, "the certificate belongs to another key");
	buf_add_slice(ret, k->certificate);
	return buf_err(ret);
}

static kf_err seal(const struct dkek *d, const struct provision_software_key *k,
	struct token_blob *b, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	autobuf certificate = buf_new(PROVISION_FILE_MAX);
	KF_TRY(ossl_parse_private(k->pkcs8, &pkey));
	b->alg = ossl_alg_of(pkey);
	if (!b->alg || !ossl_make_canonical(pkey))
		return ossl_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	KF_TRY(ossl_put_spki(pkey, &b->spki));
	KF_TRY(blob_close(d, k->pkcs8, (struct slice){ NULL, 0 }, &b->wrapped));
	name_key(k, b);
	KF_TRY(certify(k, b, &certificate));
	return write_card_file(b, buf_slice(&certificate), ret);
}

kf_err provision_seal_key(const struct dkek *d, const struct provision_software_key *k,
	struct buf *ret_file)
{
	CLEANUP(token_blob_free)
	struct token_blob b = { .wrapping = WRAPPING_DKEK,
		.may_decrypt = true,
		.may_agree = true,
		.wrapped = buf_new(BLOB_MAX),
		.spki = buf_new(SPKI_MAX) };
	return seal(d, k, &b, ret_file);
}
