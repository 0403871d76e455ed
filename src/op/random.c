/* SPDX-License-Identifier: Apache-2.0
 *
 * RNG Retrieve and RNG Seed.  What leaves comes from the generator that also makes what everybody may see
 * (IVs); keys come from another one.
 */
#include "kmip/hash.h"
#include "op/step.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

enum { INLINE_MAX = 4096 };

kf_err op_rng_retrieve_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return rng_retrieve_get_request(
		&r, OP_REQUEST(call, struct rng_retrieve_request));
}

static enum op_next draw(struct op_call *call)
{
	const size_t n =
		(size_t)OP_REQUEST(call, struct rng_retrieve_request)->data_length;
	uint8_t *to = NULL;

	buf_clear(&call->scratch);
	to = buf_reserve(&call->scratch, n);
	if (!to)
		return op_then(call, buf_err(&call->scratch), OP_FAIL);
	if (RAND_bytes(to, (int)n) != 1) {
		ERR_clear_error();
		return op_then(call, kf_fail(CRYPTO, "no random numbers"), OP_FAIL);
	}
	buf_commit(&call->scratch, n);
	return OP_ANSWER;
}

/* Half of a message leaves room for the rest of it. */
enum op_next op_rng_retrieve_start(struct op_call *call)
{
	const int32_t n = OP_REQUEST(call, struct rng_retrieve_request)->data_length;

	if (n < 1 || (size_t)n > call->server->message_max / 2)
		return op_then(call,
			kf_fail(INVALID_FIELD, "Data Length: between 1 and half of the "
					       "largest message"),
			OP_FAIL);
	call->work = draw;
	return n <= INLINE_MAX ? draw(call) : OP_WORK;
}

void op_rng_retrieve_answer(struct op_call *call, struct ttlv_writer *w)
{
	rng_retrieve_put_response(
		w, &(struct rng_retrieve_response){ buf_slice(&call->scratch) });
}

/* --- seed --- */

kf_err op_rng_seed_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return rng_seed_get_request(&r, OP_REQUEST(call, struct rng_seed_request));
}

/* Mixed into this thread's generator as additional input (SP 800-90A, 9.3): it adds to what is there, counts
 * as no entropy, and takes nothing away, whoever sent it. */
static enum op_next mix(struct op_call *call)
{
	const struct slice seed = OP_REQUEST(call, struct rng_seed_request)->data;
	EVP_RAND_CTX *rng = RAND_get0_public(NULL);
	uint8_t unused[16];

	const bool is_mixed = rng && EVP_RAND_generate(rng, unused, sizeof(unused), 0, 0,
					     seed.p, seed.n) == 1;
	OPENSSL_cleanse(unused, sizeof(unused));
	ERR_clear_error();
	return is_mixed ? OP_ANSWER : op_then(call, kf_fail(CRYPTO, "seeding"), OP_FAIL);
}

enum op_next op_rng_seed_start(struct op_call *call)
{
	const size_t n = OP_REQUEST(call, struct rng_seed_request)->data.n;

	if (!n)
		return OP_ANSWER;
	call->work = mix;
	return n <= INLINE_MAX ? mix(call) : OP_WORK;
}

void op_rng_seed_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct slice seed = OP_REQUEST(call, struct rng_seed_request)->data;
	rng_seed_put_response(w, &(struct rng_seed_response){ (int32_t)seed.n });
}
