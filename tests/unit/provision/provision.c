/* SPDX-License-Identifier: Apache-2.0 */
#include "cards.h"
#include "crypt/keygen.h"
#include "crypt/ossl.h"

static struct provision_report r;

static struct provision_targets only(const char *const *serial)
{
	return (struct provision_targets){ serial, 1 };
}

static kf_err make_key(
	struct bench *b, const char *alg, unsigned copies, struct buf *spki)
{
	*spki = buf_new(SPKI_MAX);
	const struct provision_new_key in = {
		.key = { .alg = alg_by_name(slice_of(alg)), .label = "www" },
		.copies = copies,
	};
	return provision_generate(&b->p, &in, spki, &r);
}

static size_t holders(struct bench *b, const uint8_t *key_id)
{
	char serial[CARDS][TOKEN_SERIAL_SIZE];
	return pool_key_holders(b->pools, "cards", key_id, serial, CARDS);
}

TEST(blank_cards_are_initialised_once)
{
	CLEANUP(bench_close) struct bench b;
	char serial[TOKEN_SERIAL_SIZE];
	bench_open(&b);
	OK(is_good(bench_init(&b, 0, "one", 1)));
	OK(kf_is(bench_init(&b, 0, "one", 1), KF_E_EXISTS));
	OK(is_good(provision_find(&b.p, "one", serial)));
	OK(!strcmp(serial, vhsm_serial(cards[0])));
	OK(is_good(bench_init(&b, 1, "one", 1)));
	OK(kf_is(provision_find(&b.p, "one", serial), KF_E_CONFLICT));
	OK(is_good(provision_find(&b.p, vhsm_serial(cards[1]), serial)));
	OK(kf_is(provision_find(&b.p, "none", serial), KF_E_NOT_FOUND));
}

TEST(a_wrong_so_pin_erases_nothing)
{
	CLEANUP(bench_close) struct bench b;
	bench_ready(&b);
	autobuf spki;
	uint8_t id[KEY_ID_SIZE];
	OK(is_good(make_key(&b, "ec:P-256", 1, &spki)));
	spki_id(buf_slice(&spki), id);
	CLEANUP(token_pin_freep) struct token_pin *wrong = locked_pin("0000000000000000");
	kf_err e = provision_init(&b.p, vhsm_serial(cards[0]),
		&(struct token_init){
			.so_pin = wrong, .pin = b.pin, .shares = 1, .label = "x" },
		true);
	OK(kf_is(e, KF_E_AUTH));
	EQ(holders(&b, id), 1);
}

TEST(shares_are_given_once_and_another_dkek_is_told)
{
	CLEANUP(bench_close) struct bench b;
	static const uint8_t other[1][SHARE_SIZE] = { { 9 } };
	bench_ready(&b);
	OK(is_good(provision_import_shares(
		&b.p, NULL, &(struct provision_shares){ 1, bench_share }, &r)));
	for (size_t i = 0; i < r.n; i++)
		EQ(r.row[i].outcome, PROVISION_WAS_SO);
	OK(is_good(provision_import_shares(
		&b.p, NULL, &(struct provision_shares){ 1, other }, &r)));
	EQ(r.failed, CARDS);
	OK(kf_is(r.row[0].err, KF_E_CONFLICT) && strstr(r.row[0].why, "initialising"));
}

TEST(shares_may_come_one_by_one)
{
	CLEANUP(bench_close) struct bench b;
	static const uint8_t two[2][SHARE_SIZE] = { { 1 }, { 2 } };
	bench_open(&b);
	OK(is_good(bench_init(&b, 0, "one", 2)));
	const struct provision_targets to = only((const char *const[]){ "one" });
	OK(is_good(provision_import_shares(
		&b.p, &to, &(struct provision_shares){ 1, two }, &r)));
	OK(r.done == 1 && strstr(r.row[0].why, "1 of 2"));
	OK(is_good(provision_import_shares(
		&b.p, &to, &(struct provision_shares){ 1, two + 1 }, &r)));
	OK(r.done == 1 && !r.row[0].why[0]);
	OK(is_good(provision_import_shares(
		&b.p, &to, &(struct provision_shares){ 2, two }, &r)));
	EQ(r.row[0].outcome, PROVISION_WAS_SO);
}

TEST(a_key_is_generated_and_copied_to_as_many_as_wanted)
{
	CLEANUP(bench_close) struct bench b;
	autobuf one, two, all;
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	OK(is_good(make_key(&b, "ec:P-256", 1, &one)));
	OK(r.n == 1 && r.done == 1);
	OK(is_good(make_key(&b, "ec:P-384", 2, &two)));
	OK(r.n == 2 && r.done == 2);
	OK(is_good(make_key(&b, "ec:P-521", 0, &all)));
	EQ(r.done, CARDS);
	spki_id(buf_slice(&one), id);
	EQ(holders(&b, id), 1);
	spki_id(buf_slice(&two), id);
	EQ(holders(&b, id), 2);
	spki_id(buf_slice(&all), id);
	EQ(holders(&b, id), 3);
}

TEST(a_check_value_that_is_not_told_is_no_other_dkek)
{
	CLEANUP(bench_close) struct bench b;
	const struct provision_shares shares = { 1, bench_share };
	bench_open(&b);
	cards_hide_check_value = true;
	OK(is_good(bench_init(&b, 0, "one", 1)));
	const struct provision_targets to = only((const char *const[]){ "one" });
	OK(is_good(provision_import_shares(&b.p, &to, &shares, &r)));
	OK(r.done == 1 && strstr(r.row[0].why, "after a login"));
	OK(is_good(provision_import_shares(&b.p, &to, &shares, &r)));
	OK(r.failed == 1 && !strstr(r.row[0].why, "another DKEK"));
	cards_hide_check_value = false;
}

TEST(a_key_that_signs_wrongly_when_it_is_made_is_not_left_behind)
{
	CLEANUP(bench_close) struct bench b;
	autobuf spki;
	bench_ready(&b);
	cards_sign_wrongly = true;
	OK(kf_is(make_key(&b, "ec:P-256", 1, &spki), KF_E_CRYPTO));
	cards_sign_wrongly = false;
	EQ(pool_keys(b.pools, "cards", NULL, 0), 0);
}

static kf_err copy_beside(const struct token_driver *driver, struct token *t, void *arg)
{
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	CLEANUP(token_blob_free) struct token_blob blob = { 0 };
	CLEANUP(token_key_facts_free) struct token_key_facts made = { 0 };
	(void)arg;
	KF_TRY(driver->list_keys(t, &list));
	KF_TRY(driver->wrap(t, list.key[0].handle, &blob));
	return driver->unwrap(t, &blob, &made);
}

TEST(a_key_that_is_there_twice_is_deleted_twice)
{
	CLEANUP(bench_close) struct bench b;
	autobuf spki;
	char holder[CARDS][TOKEN_SERIAL_SIZE];
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	OK(is_good(make_key(&b, "ec:P-256", 2, &spki)));
	spki_id(buf_slice(&spki), id);
	EQ(pool_key_holders(b.pools, "cards", id, holder, CARDS), 2);
	const struct pool_task twice = { .serial = holder[0],
		.task = "copying",
		.changes = true,
		.run = copy_beside };
	OK(is_good(pool_run(b.pools, &twice)));
	const struct provision_targets from = only((const char *const[]){ holder[0] });
	OK(is_good(provision_delete(&b.p, id, &from, false, &r)));
	EQ(holders(&b, id), 1);
}

/* Two tokens hold it. */
static void is_erased_by_proof_alone(struct bench *b, const uint8_t id[KEY_ID_SIZE])
{
	cards_sign_wrongly = true;
	OK(kf_ok(provision_erase(&b->p, id, NULL, &r)));
	cards_sign_wrongly = false;

	EQ(r.failed, 2);
	for (size_t k = 0; k < r.n; k++)
		OK(r.row[k].outcome != PROVISION_FAILED ||
			kf_is(r.row[k].err, KF_E_CONFLICT));
	EQ(holders(b, id), 2);
	OK(is_good(provision_erase(&b->p, id, NULL, &r)));
	EQ(holders(b, id), 0);
}

/* As if another key lay beside this public key. */
TEST(what_does_not_prove_that_it_is_the_key_is_not_erased)
{
	CLEANUP(bench_close) struct bench b;
	static const char *const algs[] = { "ec:P-256", "rsa:2048" };
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	for (int i = 0; i < 2; i++) {
		autobuf spki;
		OK(is_good(make_key(&b, algs[i], 2, &spki)));
		spki_id(buf_slice(&spki), id);

		is_erased_by_proof_alone(&b, id);
	}
}

static kf_err make_secret(struct bench *b, unsigned copies, uint8_t ret_id[KEY_ID_SIZE])
{
	const struct provision_new_key in = {
		.key = { .alg = alg_aes(256), .label = "kek" },
		.copies = copies,
	};
	return provision_generate_secret(&b->p, &in, ret_id, &r);
}

TEST(an_aes_key_that_does_not_say_again_which_it_is_is_not_erased)
{
	CLEANUP(bench_close) struct bench b;
	uint8_t id[KEY_ID_SIZE], other[KEY_ID_SIZE];
	bench_ready(&b);
	OK(is_good(make_secret(&b, 2, id)) && is_good(make_secret(&b, 2, other)));
	OK(memcmp(id, other, sizeof(id)) != 0);

	is_erased_by_proof_alone(&b, id);
	EQ(holders(&b, other), 2); /* its label is the same */
}

TEST(a_key_that_is_used_up_cannot_prove_itself_and_is_erased_all_the_same)
{
	CLEANUP(bench_close) struct bench b;
	autobuf spki;
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	OK(is_good(make_key(&b, "ec:P-256", 2, &spki)));
	spki_id(buf_slice(&spki), id);

	cards_are_used_up = true;
	OK(is_good(provision_erase(&b.p, id, NULL, &r)));
	cards_are_used_up = false;

	EQ(r.failed, 0);
	EQ(holders(&b, id), 0);
}

TEST(a_key_is_cloned_and_cloning_again_does_nothing)
{
	CLEANUP(bench_close) struct bench b;
	autobuf spki;
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	const struct provision_new_key in = {
		.key = { .alg = alg_get(ALG_P256), .label = "www", .may_leave = true },
		.copies = 1,
	};
	spki = buf_new(SPKI_MAX);
	OK(is_good(provision_generate(&b.p, &in, &spki, &r)));
	spki_id(buf_slice(&spki), id);
	OK(is_good(provision_clone(&b.p, id, NULL, &r)));
	EQ(r.done, CARDS);
	EQ(holders(&b, id), CARDS);
	OK(is_good(provision_clone(&b.p, id, NULL, &r)));
	for (size_t i = 0; i < r.n; i++)
		EQ(r.row[i].outcome, PROVISION_WAS_SO);
}

TEST(a_card_with_another_dkek_gets_no_copy)
{
	CLEANUP(bench_close) struct bench b;
	static const uint8_t other[1][SHARE_SIZE] = { { 9 } };
	autobuf spki;
	bench_open(&b);
	for (int i = 0; i < CARDS; i++) {
		OK(is_good(bench_init(&b, i, "x", 1)));
		const struct provision_targets to =
			only((const char *const[]){ vhsm_serial(cards[i]) });
		OK(is_good(provision_import_shares(&b.p, &to,
			&(struct provision_shares){ 1, i == 2 ? other : bench_share },
			&r)));
	}
	OK(is_good(make_key(&b, "ec:P-256", 0, &spki)));
	EQ(r.failed, 1);
	for (size_t i = 0; i < r.n; i++)
		if (r.row[i].outcome == PROVISION_FAILED)
			OK(!strcmp(r.row[i].serial, vhsm_serial(cards[2])) &&
				kf_is(r.row[i].err, KF_E_CONFLICT));
}

/* ---- files ---- */

static kf_err erase_everywhere(struct bench *b, const uint8_t *id)
{
	return provision_delete(&b->p, id, NULL, true, &r);
}

TEST(a_key_comes_back_from_its_file)
{
	CLEANUP(bench_close) struct bench b;
	static const char *const algs[] = { "ec:P-256", "ec:brainpoolP256r1",
		"rsa:2048" };
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	for (int i = 0; i < 3; i++) {
		autobuf spki, file = buf_new(PROVISION_FILE_MAX),
			      back = buf_new(SPKI_MAX);
		OK(is_good(make_key(&b, algs[i], 2, &spki)));
		spki_id(buf_slice(&spki), id);
		OK(is_good(provision_backup(&b.p, id, &file)));
		OK(kf_is(provision_delete(&b.p, id, NULL, false, &r), KF_E_EXISTS));
		OK(is_good(erase_everywhere(&b, id)));
		EQ(holders(&b, id), 0);
		OK(is_good(
			provision_restore(&b.p, buf_slice(&file), NULL, 2, &back, &r)));
		OK(slice_eq(buf_slice(&spki), buf_slice(&back)));
		EQ(r.done, 2);
		EQ(holders(&b, id), 2);
	}
}

TEST(a_file_cut_or_changed_is_restored_nowhere)
{
	CLEANUP(bench_close) struct bench b;
	autobuf spki, file = buf_new(PROVISION_FILE_MAX), back = buf_new(SPKI_MAX);
	uint8_t id[KEY_ID_SIZE];
	bench_ready(&b);
	OK(is_good(make_key(&b, "ec:P-256", 2, &spki)));
	spki_id(buf_slice(&spki), id);
	OK(is_good(provision_backup(&b.p, id, &file)));
	OK(is_good(erase_everywhere(&b, id)));
	for (size_t n = 0; n < file.n; n++) {
		CLEANUP(token_blob_free) struct token_blob blob = { 0 };
		OK(!kf_ok(provision_read_file((struct slice){ file.p, n }, &blob)));
	}
	file.p[100] ^= 1;
	OK(is_good(provision_restore(&b.p, buf_slice(&file), NULL, 0, &back, &r)));
	EQ(r.failed, CARDS);
	EQ(holders(&b, id), 0);
}

static struct dkek *bench_dkek(void)
{
	struct dkek *d;
	if (!is_good(dkek_new(&d)) || !is_good(dkek_add(d, bench_share[0])))
		abort();
	return d;
}

TEST(keys_of_software_go_to_cards)
{
	CLEANUP(bench_close) struct bench b;
	static const char *const algs[] = { "ec:P-256", "ec:P-521", "ec:brainpoolP512r1",
		"rsa:2048" };
	bench_ready(&b);
	CLEANUP(dkek_freep) struct dkek *d = bench_dkek();
	for (size_t i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
		CLEANUP(keypair_free) struct keypair k = { 0 };
		autobuf file = buf_new(PROVISION_FILE_MAX), spki = buf_new(SPKI_MAX);
		OK(is_good(keypair_generate(alg_by_name(slice_of(algs[i])), &k)));
		OK(is_good(provision_seal_key(d,
			&(struct provision_software_key){
				.pkcs8 = buf_slice(&k.pkcs8), .label = algs[i] },
			&file)));
		OK(is_good(
			provision_restore(&b.p, buf_slice(&file), NULL, 1, &spki, &r)));
		OK(r.done == 1 && r.failed == 0);
		OK(slice_eq(buf_slice(&spki), buf_slice(&k.spki)));
	}
}

TEST(a_file_without_public_key_is_completed_with_the_dkek)
{
	CLEANUP(bench_close) struct bench b;
	autobuf spki, file = buf_new(PROVISION_FILE_MAX),
		      bare = buf_new(PROVISION_FILE_MAX),
		      whole = buf_new(PROVISION_FILE_MAX);
	CLEANUP(token_blob_free) struct token_blob none = { 0 }, blob = { 0 };
	uint8_t id[KEY_ID_SIZE];
	struct key_file f;
	bench_ready(&b);
	CLEANUP(dkek_freep) struct dkek *d = bench_dkek();
	OK(is_good(make_key(&b, "ec:P-256", 2, &spki)));
	spki_id(buf_slice(&spki), id);
	OK(is_good(provision_backup(&b.p, id, &file)));
	OK(is_good(key_file_parse(buf_slice(&file), &f)));
	f.certificate = (struct slice){ NULL, 0 };
	OK(is_good(key_file_put(&f, &bare)));
	OK(kf_is(provision_read_file(buf_slice(&bare), &none), KF_E_MISSING));
	OK(is_good(provision_complete_file(d, buf_slice(&bare), &whole)));
	OK(is_good(provision_read_file(buf_slice(&whole), &blob)));
	OK(slice_eq(buf_slice(&blob.spki), buf_slice(&spki)));
}

/* ---- drift ---- */

struct seen {
	unsigned n[16];
};

static void see(void *arg, const struct provision_drift_row *row)
{
	struct seen *s = arg;
	s->n[row->kind]++;
}

static bool knows_nothing(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	(void)arg;
	(void)key_id;
	return false;
}

TEST(drift_is_told)
{
	CLEANUP(bench_close) struct bench b;
	struct seen s = { 0 };
	const struct provision_drift in = { knows_nothing, see, &s };
	autobuf one, two;
	bench_ready(&b);
	OK(is_good(provision_drift(&b.p, &in)));
	for (int i = 0; i < 16; i++)
		EQ(s.n[i], 0);
	OK(is_good(make_key(&b, "ec:P-256", 2, &two)));
	OK(is_good(make_key(&b, "ec:P-256", 1, &one)));
	OK(is_good(provision_drift(&b.p, &in)));
	EQ(s.n[DRIFT_LACKS_KEY], 1);
	EQ(s.n[DRIFT_ONLY_COPY], 1);
	EQ(s.n[DRIFT_UNKNOWN_KEY], 2);
}

TEST_MAIN
