/* SPDX-License-Identifier: Apache-2.0
 *
 * A card that answers whatever it likes: the input is its answers, each after its length in two bytes, from
 * being opened to having made and copied a key.  Then the parsers of what cards hold, by themselves.
 */
#include "base/mem.h"
#include "token/schsm/card.h"
#include "token/schsm/cvc.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Public keys take long to be checked. */
extern const unsigned fuzz_one_in;
const unsigned fuzz_one_in = 23;

struct hostile {
	struct card_link link;
	struct slice rest;
};

static kf_err transmit(struct card_link *l, struct slice apdu, struct buf *ret)
{
	struct hostile *h = (struct hostile *)l;
	buf_clear(ret);
	if (apdu.n < 4 || apdu.n > APDU_MAX)
		abort();
	if (h->rest.n < 2)
		return kf_fail(CLOSED, "the card is not in its reader");
	size_t n = (size_t)h->rest.p[0] << 8 | h->rest.p[1];
	h->rest = (struct slice){ h->rest.p + 2, h->rest.n - 2 };
	if (n == UINT16_MAX)
		return kf_fail(TOKEN, "the card was reset");
	n = n < h->rest.n ? n : h->rest.n;
	buf_add_slice(ret, (struct slice){ h->rest.p, n });
	h->rest = (struct slice){ h->rest.p + n, h->rest.n - n };
	return buf_err(ret);
}

static kf_err repair(struct card_link *l)
{
	(void)l;
	return KF_OK;
}

static void nothing(struct card_link *l) { (void)l; }

static const struct card_link_ops ops = { transmit, repair, nothing, nothing };

static void use_key(struct token *t, const struct token_key_facts *f)
{
	static uint8_t cipher[JOB_CIPHER_MAX], plain[JOB_CIPHER_MAX];
	struct sign_job job = { .is_digest = true, .n = 32 };
	struct token_blob blob = { 0 };
	if (strlen(f->label) >= sizeof(f->label) || f->id_n > sizeof(f->id))
		abort();
	if (f->alg) {
		bool is_rsa = f->alg->family == FAMILY_RSA;
		job.mech = mech_get(is_rsa ? MECH_RSA_PKCS1_SHA256 : MECH_ECDSA_SHA256);
		if (kf_ok(schsm_sign(t, f->handle, &job)) &&
			(job.sig_n == 0 || job.sig_n > f->alg->sig_max))
			abort();
		(void)schsm_decrypt_raw(
			t, f->handle, cipher, (f->alg->bits + 7) / 8, plain);
	}
	if (kf_ok(schsm_wrap(t, f->handle, &blob)))
		token_blob_free(&blob);
}

static void make_key(struct token *t)
{
	struct token_key_facts f = { 0 };
	if (!kf_ok(schsm_generate(t,
		    &(struct token_new_key){ .alg = alg_get(ALG_P256), .label = "new" },
		    &f)))
		return;
	use_key(t, &f);
	token_key_facts_free(&f);
}

static void talk(struct slice answers)
{
	static const struct token_pin pin = { 6, "648219" };
	struct hostile h = { { .ops = &ops }, answers };
	struct token_key_list l = { 0 };
	struct token *t;
	if (!kf_ok(schsm_open_link(&h.link, &t)))
		return;
	const struct token_facts *f = &t->facts;
	if (!*f->serial || strlen(f->serial) >= sizeof(f->serial) ||
		strlen(f->label) >= sizeof(f->label))
		abort();
	if (kf_ok(schsm_login(t, &pin)) && kf_ok(schsm_list_keys(t, &l)))
		for (size_t i = 0; i < l.n; i++)
			use_key(t, &l.key[i]);
	make_key(t);
	token_key_list_free(&l);
	schsm_close(t);
}

static void parse(struct slice file)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL, *of_certificate = NULL;
	struct slice holder;
	(void)cvc_is(file);
	(void)cvc_public_key(file, &k);
	(void)schsm_certificate_key(file, &of_certificate);
	if (kf_ok(cvc_holder(file, &holder)) && holder.n == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_ready;
	if (!is_ready && !kf_ok(secret_init(1 << 16)))
		abort();
	is_ready = true;
	talk((struct slice){ data, size });
	parse((struct slice){ data, size });
	return 0;
}
