/* SPDX-License-Identifier: Apache-2.0
 *
 * backup: keys from tokens to files and back.
 */
#include "base/mem.h"
#include "crypt/ossl.h"
#include "provision/copy.h"
#include "provision/files.h"
#include <stdlib.h>
#include <string.h>

/* ---- to a file ---- */

struct saving {
	const uint8_t *key_id;
	struct token_blob *blob;
	struct buf *certificate;
};

struct signer {
	const struct token_driver *driver;
	struct token *t;
	const struct token_key_facts *key;
	struct sign_job *job;
};

static kf_err sign_on_token(void *arg, struct slice data, struct buf *ret)
{
	struct signer *s = arg;
	struct token_key key = { .alg = s->key->alg };
	unsigned n = 0;
	s->job->key = &key;
	s->job->mech =
		mech_find(key.alg->family == FAMILY_RSA ? SCHEME_RSA_PKCS1 : SCHEME_ECDSA,
			HASH_SHA256);
	s->job->is_digest = true;
	if (!EVP_Digest(data.p, data.n, s->job->data, &n, EVP_sha256(), NULL))
		return ossl_fail(CRYPTO, "hashing");
	s->job->n = n;
	KF_TRY(s->driver->sign(s->t, s->key->handle, s->job));
	buf_add(ret, s->job->sig, s->job->sig_n);
	return buf_err(ret);
}

static kf_err certify(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key, struct buf *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	CLEANUP(mem_freep) struct sign_job *job = calloc(1, sizeof(*job));
	struct signer s = { driver, t, key, job };
	if (!job)
		return kf_fail(NOMEM, "no memory for a signature");
	KF_TRY(pubkey_parse(buf_slice(&key->spki), &pub));
	return files_certificate(pub, sign_on_token, &s, ret);
}

static kf_err run_save(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct saving *s = arg;
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	struct token_key_facts *key;
	(void)row;
	KF_TRY(copy_find(driver, t, s->key_id, &list, &key));
	KF_TRY(copy_wrap(driver, t, key, s->blob));
	if (s->blob->wrapping != WRAPPING_DKEK || s->blob->certificate.n)
		return KF_OK;
	return certify(driver, t, key, s->certificate);
}

kf_err provision_backup(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	struct buf *ret_file)
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	autobuf certificate = buf_new(PROVISION_FILE_MAX);
	const struct saving s = { key_id, &b, &certificate };
	const struct each e = { .task = "backing up a key", .run = run_save, .arg = &s };
	KF_TRY(copy_any_holder(p, key_id, &e));
	return provision_write_file(&b, buf_slice(&certificate), ret_file);
}

/* ---- from a file ---- */

kf_err provision_restore(const struct provision *p, struct slice file,
	const struct provision_targets *to, unsigned copies, struct buf *ret_spki,
	struct provision_report *ret)
{
	CLEANUP(token_blob_free) struct token_blob b = { 0 };
	ret->n = ret->done = ret->failed = 0;
	KF_TRY(provision_read_file(file, &b));
	buf_add_slice(ret_spki, buf_slice(&b.spki));
	KF_TRY(buf_err(ret_spki));
	KF_TRY(each_fill(p, to, ret));
	return copy_to_some(p, &b, copies, ret);
}
