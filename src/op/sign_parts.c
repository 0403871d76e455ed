/* SPDX-License-Identifier: Apache-2.0 */
#include "op/sign_parts.h"

kf_err sign_parts_mech(struct op_call *call, const struct parts_request *q,
	const struct mech **ret, int *ret_salt)
{
	struct parts_facts facts;

	KF_TRY(parts_facts(call, q, &facts));
	*ret = facts.mech;
	*ret_salt = facts.salt;
	return KF_OK;
}

static kf_err begin(struct parts *p, const struct sign_part *part)
{
	const struct hash *hash = hash_get(part->mech->hash);

	p->facts.mech = part->mech;
	p->facts.salt = part->salt;
	return hash ? digest_begin_named(&p->digest, hash->openssl_name) : KF_OK;
}

static kf_err add(struct parts *p, struct slice data)
{
	if (p->digest.ctx)
		return digest_add(&p->digest, data);
	buf_add_slice(&p->data, data);
	return buf_err(&p->data);
}

kf_err sign_parts_add(
	struct op_call *call, const struct sign_part *part, struct parts **ret)
{
	struct parts *p = NULL;

	KF_TRY(parts_open(call, &part->q, &p));
	kf_err err = p->facts.mech ? KF_OK : begin(p, part);
	if (kf_ok(err))
		err = add(p, part->data);
	if (kf_ok(err))
		*ret = p;
	else
		parts_free(call, &p);
	return err;
}

kf_err sign_parts_end(struct parts *p, uint8_t digest[DIGEST_MAX], struct slice *ret,
	bool *ret_is_digest)
{
	*ret_is_digest = p->digest.ctx != NULL;
	*ret = buf_slice(&p->data);
	if (!p->digest.ctx)
		return KF_OK;
	KF_TRY(digest_last(&p->digest, digest));
	*ret = (struct slice){ digest, hash_get(p->facts.mech->hash)->size };
	return KF_OK;
}
