/* SPDX-License-Identifier: Apache-2.0
 *
 * Before a key file is destroyed: the key servers can still use the key, or it would be lost.
 */
#include "cli/adopt.h"
#include "client/keyref.h"
#include "crypt/pubkey.h"
#include <stdlib.h>

static const char *key_file(const struct site_pair *p)
{
	return p->key.text ? p->key.text : p->certificate.text;
}

static kf_err prove_reference(
	const struct adopt *a, struct adopt_item *it, struct slice spki, struct buf *ret)
{
	char id[2 * KEY_ID_SIZE + 1];
	struct pubkey *key = NULL;
	KF_TRY(pubkey_parse(spki, &key));
	it->key.alg = pubkey_alg(key);
	pubkey_free(key);
	KF_TRY(adopt_prove(a, it));
	adopt_key_id(spki, id);
	buf_printf(ret, "%s\n", id);
	return buf_err(ret);
}

static kf_err read_and_prove(
	const struct adopt *a, const struct site_pair *pair, struct buf *ret)
{
	autobuf file = buf_new(ADOPT_PEM_MAX), chain = buf_new(ADOPT_PEM_MAX),
		der = buf_new(KEYREF_DER_MAX);
	struct adopt_item it = { .pair = pair,
		.chain = buf_new(ADOPT_PEM_MAX),
		.reference = buf_new(KEYREF_PEM_MAX) };
	struct keyref ref;
	KF_TRY(site_disk.read(NULL, key_file(pair), &file));
	kf_err e = keyref_get_pem(buf_slice(&file), &der, &ref);
	if (!kf_ok(e)) /* a key on this host, which nobody destroys */
		return kf_is(e, KF_E_NOT_FOUND) ? KF_OK : e;
	KF_TRY(site_disk.read(NULL, pair->certificate.text, &chain));
	pem_without_keys(buf_slice(&chain), &it.chain);
	keyref_put_pem(&it.reference, &ref);
	e = prove_reference(a, &it, ref.spki, ret);
	buf_free(&it.chain);
	buf_free(&it.reference);
	return e;
}

static kf_err prove_pairs(const struct adopt *a, struct buf *ret)
{
	struct progress shown = progress_start("proving references");
	kf_err e = KF_OK;
	for (size_t i = 0; i < a->site.n_pairs && kf_ok(e); i++) {
		const struct site_pair *pair = &a->site.pairs[i];
		progress_show(&shown, a->cli, (double)i / (double)a->site.n_pairs);
		if (!pair->why_not)
			e = cli_file_error(
				a->cli, key_file(pair), read_and_prove(a, pair, ret));
	}
	progress_done(&shown, a->cli);
	return e;
}

kf_err adopt_prove_served(struct adopt *a, struct buf *ret_ids)
{
	autobuf why = buf_new(65536);
	KF_TRY(adopt_find_openssl_conf(a));
	KF_TRY(adopt_load_openssl(a));
	kf_err e = site_read(a->kind, a->file, NULL, &a->site, &why);
	cli_note_lines(a->cli, &why);
	return kf_ok(e) ? prove_pairs(a, ret_ids) : e;
}
