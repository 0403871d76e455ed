/* SPDX-License-Identifier: Apache-2.0 */
#include "../../vhsm/talk.h"
#include "crypt/ossl.h"
#include "crypt/pubkey.h"
#include "direct.h"
#include "token/schsm/card.h"
#include <openssl/rand.h>

static const struct token_driver *const d = &schsm_driver;
static const struct token_pin pin = { 6, USER_PIN };

static bool generate(struct token *t, enum alg_id alg, struct token_key_facts *ret)
{
	return is_good(d->generate(t,
		&(struct token_new_key){ .alg = alg_get(alg),
			.label = "a key",
			.may_decrypt = true,
			.may_leave = true },
		ret));
}

static kf_err sign_and_verify(
	struct token *t, unsigned handle, const struct token_key_facts *of)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	bool is_rsa = of->alg->family == FAMILY_RSA;
	struct sign_job job = { .mech = mech_get(is_rsa ? MECH_RSA_PKCS1_SHA256
							: MECH_ECDSA_SHA256),
		.is_digest = true,
		.n = 32 };
	RAND_bytes(job.data, 32);
	KF_TRY(pubkey_parse(buf_slice(&of->spki), &k));
	KF_TRY(d->sign(t, handle, &job));
	return pubkey_verify(k, &(struct signature){ .mech = job.mech,
					.is_digest = true,
					.data = { job.data, 32 },
					.sig = { job.sig, job.sig_n } });
}

/* A certificate of the key, signed by another: nobody looks at that. */
static void make_certificate(const struct token_key_facts *f, struct buf *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	CLEANUP(ossl_pkey_freep) EVP_PKEY *signer = EVP_EC_gen("P-256");
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	unsigned char *der = NULL;
	if (!is_good(pubkey_parse(buf_slice(&f->spki), &k)))
		abort();
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, pubkey_pkey(k));
	X509_sign(x, signer, EVP_sha256());
	int n = i2d_X509(x, &der);
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
}

/* `command_max`: 0, or how long a command to the second card may be. */
static void copy(enum alg_id alg, size_t command_max)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm(), *w = new_vhsm();
	CLEANUP(token_closep) struct token *a = direct_ready(v), *b = direct_ready(w);
	struct token_key_facts f = { 0 }, g = { 0 };
	struct token_blob blob = { 0 };
	b->command_max = command_max ? command_max : b->command_max;
	OK(generate(a, alg, &f));
	OK(is_good(d->wrap(a, f.handle, &blob)));
	OK(blob.alg == f.alg && !strcmp(blob.label, "a key"));
	OK(is_good(d->unwrap(b, &blob, &g)));
	OK(!memcmp(f.key_id, g.key_id, KEY_ID_SIZE));
	OK(!g.problem && g.can_sign && !strcmp(g.label, "a key"));
	OK(g.id_n == f.id_n && !memcmp(g.id, f.id, f.id_n));
	OK(is_good(sign_and_verify(b, g.handle, &f)));
	token_blob_free(&blob);
	token_key_facts_free(&f);
	token_key_facts_free(&g);
}

TEST(a_key_on_p256_is_copied) { copy(ALG_P256, 0); }
TEST(a_key_on_brainpool_512_is_copied) { copy(ALG_BRAINPOOL_P512R1, 0); }
TEST(an_rsa_key_is_copied) { copy(ALG_RSA_2048, 0); }
/* As those of 4096 bits are for every card. */
TEST(a_blob_that_is_longer_than_a_command_goes_through_a_file)
{
	copy(ALG_RSA_2048, 300);
}

TEST(another_dkek_and_damaged_blobs_are_refused_and_leave_nothing)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm(), *w = new_vhsm();
	CLEANUP(token_closep) struct token *a = direct_ready(v), *b = direct_ready(w);
	struct token_key_facts f = { 0 }, g = { 0 };
	struct token_blob blob = { 0 };
	struct token_key_list l = { 0 };
	const struct token_pin so = pin_of(SO_PIN);
	static const uint8_t other[32] = { 1 };
	OK(generate(a, ALG_P256, &f));
	OK(is_good(d->wrap(a, f.handle, &blob)));
	for (size_t i = 8; i < blob.wrapped.n; i += 7) { /* behind the check value */
		blob.wrapped.p[i] ^= 0x10;
		OK(kf_is(d->unwrap(b, &blob, &g), KF_E_CRYPTO));
		blob.wrapped.p[i] ^= 0x10;
	}
	size_t whole = blob.wrapped.n;
	for (blob.wrapped.n = 0; blob.wrapped.n < whole; blob.wrapped.n += 11)
		OK(!kf_ok(d->unwrap(b, &blob, &g)));
	blob.wrapped.n = whole;
	OK(is_good(d->list_keys(b, &l)));
	EQ(l.n, 0);
	struct token_init in = { .so_pin = &so, .pin = &pin, .shares = 1 };
	OK(is_good(d->initialise(b, &in)));
	OK(kf_is(d->unwrap(b, &blob, &g), KF_E_CONFLICT)); /* shares are missing */
	OK(is_good(d->import_share(b, other)));
	uint64_t before = vhsm_counts(w).commands;
	OK(kf_is(d->unwrap(b, &blob, &g), KF_E_CONFLICT));
	EQ(vhsm_counts(w).commands - before, 0);
	in.shares = -1;
	OK(is_good(d->initialise(b, &in)));
	OK(kf_is(d->unwrap(b, &blob, &g), KF_E_UNSUPPORTED));
	token_key_list_free(&l);
	token_blob_free(&blob);
	token_key_facts_free(&f);
}

TEST(a_blob_that_names_another_public_key_is_refused)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm(), *w = new_vhsm();
	CLEANUP(token_closep) struct token *a = direct_ready(v), *b = direct_ready(w);
	struct token_key_facts f = { 0 }, g = { 0 };
	struct token_blob blob = { 0 };
	struct token_key_list l = { 0 };
	OK(generate(a, ALG_P256, &f) && generate(a, ALG_P256, &g));
	OK(is_good(d->wrap(a, f.handle, &blob)));
	buf_clear(&blob.spki);
	buf_add_slice(&blob.spki, buf_slice(&g.spki));
	token_key_facts_free(&g);
	OK(kf_is(d->unwrap(b, &blob, &g), KF_E_CONFLICT));
	OK(is_good(d->list_keys(b, &l)));
	EQ(l.n, 0);
	token_key_list_free(&l);
	token_blob_free(&blob);
	token_key_facts_free(&f);
}

TEST(a_certificate_is_stored_and_travels)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm(), *w = new_vhsm();
	CLEANUP(token_closep) struct token *a = direct_ready(v), *b = direct_ready(w);
	struct token_key_facts f = { 0 }, g = { 0 };
	struct token_blob blob = { 0 };
	struct token_key_list l = { 0 };
	autobuf certificate = buf_new(4096), foreign = buf_new(4096);
	OK(generate(a, ALG_RSA_2048, &f) && generate(a, ALG_P256, &g));
	make_certificate(&f, &certificate);
	make_certificate(&g, &foreign);
	OK(kf_is(d->store_certificate(
			 a, f.handle, CERTIFICATE_OF_KEY, buf_slice(&foreign)),
		KF_E_CONFLICT));
	OK(is_good(d->store_certificate(
		a, f.handle, CERTIFICATE_OF_KEY, buf_slice(&certificate))));
	OK(is_good(d->store_certificate(
		a, f.handle, CERTIFICATE_REQUEST_OF_KEY, buf_slice(&certificate))));
	token_key_facts_free(&g);
	OK(is_good(d->wrap(a, f.handle, &blob)));
	OK(is_good(d->unwrap(b, &blob, &g)));
	OK(slice_eq(buf_slice(&g.certificate), buf_slice(&certificate)));
	OK(is_good(d->list_keys(a, &l)));
	EQ(l.n, 2);
	OK(slice_eq(buf_slice(&l.key[0].certificate), buf_slice(&certificate)));
	OK(!l.key[0].problem);
	token_key_list_free(&l);
	token_blob_free(&blob);
	token_key_facts_free(&f);
	token_key_facts_free(&g);
}

/* ---- what cards hold that should not be ---- */

TEST(damaged_keys_are_told_and_the_others_work)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f[6] = { 0 };
	struct token_key_list l = { 0 };
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	for (int i = 0; i < 6; i++)
		OK(generate(t, ALG_P256, &f[i]));
	EQ(say(v, &a, "00D7C4010A540200005304DEADBEEF"), 0x9000); /* description */
	EQ(say(v, &a, "00E4020002C402"), 0x9000);                 /* none */
	EQ(say(v, &a, "00E4020002CE03"), 0x9000);                 /* no certificate */
	EQ(say(v, &a, "00D7CE040A540200005304DEADBEEF"), 0x9000);
	EQ(say(v, &a, "00E4020002CC05"), 0x9000); /* certificate without key */
	EQ(say(v, &a, "00D7CE2008540200005302300A"), 0x9000);
	EQ(say(v, &a, "00D7C42106540200005300"), 0x9000);
	OK(is_good(d->list_keys(t, &l)));
	EQ(l.n, 8);
	OK(l.key[0].alg && strstr(l.key[0].problem, "description is damaged"));
	OK(!l.key[1].alg && strstr(l.key[1].problem, "half made"));
	OK(!l.key[2].alg && strstr(l.key[2].problem, "no certificate"));
	OK(!l.key[3].alg && strstr(l.key[3].problem, "certificate is damaged"));
	OK(!l.key[4].alg && strstr(l.key[4].problem, "no key"));
	OK(!l.key[5].problem);
	OK(!l.key[6].alg && strstr(l.key[6].problem, "no key"));
	OK(!l.key[7].alg && strstr(l.key[7].problem, "no key"));
	OK(is_good(sign_and_verify(t, 1, &f[0])));
	OK(is_good(sign_and_verify(t, 6, &f[5])));
	OK(kf_is(sign_and_verify(t, 2, &f[1]), KF_E_NOT_FOUND));
	for (size_t i = 0; i < l.n; i++)
		OK(is_good(d->delete_key(t, l.key[i].handle)));
	OK(is_good(d->list_keys(t, &l)));
	EQ(l.n, 0);
	token_key_list_free(&l);
	for (int i = 0; i < 6; i++)
		token_key_facts_free(&f[i]);
}

TEST(doubles_are_told_and_work)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 }, g = { 0 }, h = { 0 };
	struct token_blob blob = { 0 };
	struct token_key_list l = { 0 };
	OK(generate(t, ALG_P256, &f));
	OK(is_good(d->wrap(t, f.handle, &blob)));
	OK(is_good(d->unwrap(t, &blob, &g)));
	OK(is_good(d->generate(t,
		&(struct token_new_key){ .alg = f.alg,
			.label = "a key",
			.id = { f.id, f.id_n },
			.may_leave = true },
		&h)));
	OK(is_good(d->list_keys(t, &l)));
	EQ(l.n, 3);
	for (size_t i = 0; i < 3; i++)
		OK(l.key[i].alg && l.key[i].problem);
	OK(strstr(l.key[0].problem, "twice") && strstr(l.key[1].problem, "twice"));
	OK(strstr(l.key[2].problem, "same id"));
	OK(is_good(sign_and_verify(t, 1, &f)) && is_good(sign_and_verify(t, 2, &f)) &&
		is_good(sign_and_verify(t, 3, &h)));
	token_key_list_free(&l);
	token_blob_free(&blob);
	token_key_facts_free(&f);
	token_key_facts_free(&g);
	token_key_facts_free(&h);
}

/* However it got there: a link that did not notice. */
TEST(another_card_in_the_reader_gets_no_pin)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm(), *w = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token *other = direct_ready(w);
	struct token_key_facts f = { 0 };
	OK(generate(t, ALG_P256, &f));
	d->close(other);
	((struct direct *)t->link)->v = w;
	OK(kf_is(sign_and_verify(t, f.handle, &f), KF_E_TOKEN));
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	EQ(say(w, &a, "00200081"), 0x63c3); /* nobody is logged in */
	token_key_facts_free(&f);
}

/* The certificate of the first key is where that of the second belongs, as on a card that keeps no requests and
 * does not list what was left of a key. */
static void leave_certificate(struct vhsm *v, struct slice apdu)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX), write = buf_new(VHSM_ANSWER_MAX),
		left = buf_new(VHSM_ANSWER_MAX);
	if (apdu.p[1] != 0x46)
		return;
	EQ(say(v, &a,
		   "00B1CE0100000454020000"
		   "0000"),
		0x9000);
	size_t n = a.n;
	buf_add(&write, "\x00\xd7\xce\x02\x00", 5);
	buf_add_u8(&write, (uint8_t)((n + 8) >> 8));
	buf_add_u8(&write, (uint8_t)(n + 8));
	buf_add(&write, "\x54\x02\x00\x00\x53\x82", 6);
	buf_add_u8(&write, (uint8_t)(n >> 8));
	buf_add_u8(&write, (uint8_t)n);
	buf_add(&write, a.p, n);
	OK(is_good(vhsm_transmit(v, buf_slice(&write), &left)));
	MEMEQ(left.p, left.n, "\x90\x00");
}

TEST(what_was_left_of_another_key_does_not_name_a_new_one)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 }, g = { 0 };
	OK(generate(t, ALG_P256, &f));
	direct_after = leave_certificate;
	bool is_made = generate(t, ALG_P256, &g);
	direct_after = NULL;
	OK(is_made);
	OK(memcmp(f.key_id, g.key_id, KEY_ID_SIZE));
	OK(is_good(sign_and_verify(t, g.handle, &g)));
	token_key_facts_free(&f);
	token_key_facts_free(&g);
}

/* ---- a card that is pulled in between ---- */

static kf_err make(struct token *t, const struct token_blob *from)
{
	struct token_key_facts f = { 0 };
	kf_err e = from ? d->unwrap(t, from, &f)
			: d->generate(t,
				  &(struct token_new_key){
					  .alg = alg_get(ALG_P256), .label = "cut" },
				  &f);
	if (kf_ok(e))
		token_key_facts_free(&f);
	return e;
}

/* Whatever is on the card afterwards is whole, or is told as a problem; and can be deleted. */
static bool is_clean(struct vhsm *v)
{
	CLEANUP(token_closep) struct token *t = NULL;
	struct token_key_list l = { 0 };
	if (!is_good(vhsm_tell(v, "replug")) || !is_good(direct_open(v, &t)) ||
		!is_good(d->login(t, &pin)) || !is_good(d->list_keys(t, &l)))
		return false;
	bool good = true;
	for (size_t i = 0; i < l.n && good; i++) {
		if (l.key[i].alg)
			good = is_good(sign_and_verify(t, l.key[i].handle, &l.key[i]));
		else
			good = l.key[i].problem != NULL;
		good = good && is_good(d->delete_key(t, l.key[i].handle));
	}
	if (good)
		good = is_good(d->list_keys(t, &l)) && l.n == 0;
	token_key_list_free(&l);
	return good;
}

/* Pulled before and after every command that making a key takes; returns at how many. */
static int cut_everywhere(const struct token_blob *from)
{
	for (int cut = 0; cut < 64; cut++) {
		CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
		struct token *t = direct_ready(v);
		direct_cut = (struct direct_cut){ true, cut / 2, cut % 2 };
		kf_err e = make(t, from);
		bool was_cut = !direct_cut.is_armed;
		direct_cut.is_armed = false;
		d->close(t);
		if (was_cut == kf_ok(e) || !is_clean(v))
			return -1;
		if (!was_cut)
			return cut;
	}
	return -1;
}

TEST(a_card_pulled_while_it_makes_a_key_has_no_half_key)
{
	int cuts = cut_everywhere(NULL);
	printf("# pulled at %d moments\n", cuts);
	OK(cuts >= 8);
}

TEST(a_card_pulled_while_a_key_comes_to_it_has_no_half_key)
{
	CLEANUP(vhsm_freep) struct vhsm *v = new_vhsm();
	CLEANUP(token_closep) struct token *t = direct_ready(v);
	struct token_key_facts f = { 0 };
	struct token_blob blob = { 0 };
	OK(generate(t, ALG_P256, &f));
	OK(is_good(d->wrap(t, f.handle, &blob)));
	int cuts = cut_everywhere(&blob);
	printf("# pulled at %d moments\n", cuts);
	OK(cuts >= 8);
	token_blob_free(&blob);
	token_key_facts_free(&f);
}

TEST_MAIN
