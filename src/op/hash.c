/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash.
 */
#include "kmip/hash.h"
#include "op/parts.h"
#include "op/step.h"
#include <string.h>

enum { INLINE_MAX = 8192 };

struct hash_call {
	struct hash_request q;
	const struct digest_info *info;
	uint8_t digest[DIGEST_MAX];
	size_t digest_n; /* 0: there is none yet */
	bool has_next;
	uint8_t correlation[PARTS_ID_SIZE];
};

static struct hash_call *request_of(struct op_call *call)
{
	return OP_REQUEST(call, struct hash_call);
}

kf_err op_hash_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return hash_get_request(&r, &request_of(call)->q);
}

static struct parts_request parts_of(const struct hash_call *h)
{
	return (struct parts_request){ h->q.correlation_value, h->q.init_indicator,
		h->q.final_indicator };
}

/* The standard knows no reason for Hash but this one. */
static kf_err prepare(struct op_call *call, struct hash_call *h)
{
	const struct parts_request parts = parts_of(h);

	if (parts.correlation_value.n)
		return parts_check(call, &parts);
	if (!h->q.has_parameters)
		return kf_fail(MISSING, "Cryptographic Parameters");
	if (!h->q.has_data && !h->q.init_indicator)
		return kf_fail(MISSING, "Data");
	if (!kf_ok(digest_find(h->q.parameters.hashing_algorithm, &h->info)))
		return kf_fail(DATA, "no such hash here");
	return KF_OK;
}

static kf_err finish(struct hash_call *h, struct digest *d)
{
	KF_TRY(digest_add(d, h->q.data));
	KF_TRY(digest_last(d, h->digest));
	h->digest_n = d->info->size;
	return KF_OK;
}

static kf_err work_whole(struct hash_call *h)
{
	struct digest d = { 0 };
	kf_err err = digest_begin(&d, h->info);
	if (kf_ok(err))
		err = finish(h, &d);
	digest_end(&d);
	return err;
}

static kf_err keep(struct op_call *call, struct hash_call *h, struct parts **parts)
{
	KF_TRY(digest_add(&(*parts)->digest, h->q.data));
	memcpy(h->correlation, (*parts)->id, sizeof(h->correlation));
	KF_TRY(parts_put(call, parts));
	h->has_next = true;
	return KF_OK;
}

static kf_err work_part(struct op_call *call, struct hash_call *h)
{
	const struct parts_request want = parts_of(h);
	struct parts *parts = NULL;
	kf_err err = KF_OK;

	KF_TRY(parts_open(call, &want, &parts));
	if (!parts->digest.ctx)
		err = digest_begin(&parts->digest, h->info);
	if (kf_ok(err))
		err = want.is_last ? finish(h, &parts->digest) : keep(call, h, &parts);
	parts_free(call, &parts);
	return err;
}

static enum op_next work(struct op_call *call)
{
	struct hash_call *h = request_of(call);
	const struct parts_request parts = parts_of(h);

	return op_then(call, parts_are_meant(&parts) ? work_part(call, h) : work_whole(h),
		OP_ANSWER);
}

enum op_next op_hash_start(struct op_call *call)
{
	struct hash_call *h = request_of(call);
	const kf_err err = prepare(call, h);

	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	call->work = work;
	return h->q.data.n <= INLINE_MAX ? work(call) : OP_WORK;
}

void op_hash_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct hash_call *h = request_of(call);
	hash_put_response(w, &(struct hash_response){
				     .data = { h->digest, h->digest_n },
				     .correlation_value = { h->correlation,
					     h->has_next ? sizeof(h->correlation) : 0 },
			     });
}
