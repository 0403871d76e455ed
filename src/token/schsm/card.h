/* SPDX-License-Identifier: Apache-2.0
 *
 * card: one SmartCard-HSM and what is said to it; shared by the files of this folder.
 */
#pragma once
#include "token/driver.h"
#include "token/schsm/apdu.h"
#include "token/schsm/link.h"
#include "token/schsm/schsm.h"
#include "token/schsm/sw.h"

enum {
	CARD_KEYS = 256, /* a key's number is one byte; 0 is the device's own */
	CARD_FILE_MAX = 16384,
	CARD_PIN_MIN = 6,
	CARD_PIN_MAX = 16,
	CARD_SO_PIN_SIZE = 8,
};

/* Identifiers of files; with a key in the low byte where it is zero here. */
enum {
	FID_DEVICE_CERTIFICATE = 0x2f02,
	FID_TOKEN_INFO = 0x2f03,
	FID_TRANSFER = 0x2f10,
	FID_DESCRIPTION = 0xc400,
	FID_DATA_DESCRIPTION = 0xc900,
	FID_KEY = 0xcc00,
	FID_CERTIFICATE = 0xce00,
	FID_DATA = 0xcf00,
};

/* P2 of the commands that use a key. */
enum {
	ALGORITHM_RSA_SIGN = 0x20,
	ALGORITHM_RSA_DECRYPT = 0x21,
	ALGORITHM_EC_SIGN = 0x70,
	ALGORITHM_ECDH = 0x80,
	ALGORITHM_WRAP = 0x92,
	ALGORITHM_UNWRAP = 0x93,
};

struct card_key {
	const struct alg *alg; /* NULL: not to be used */
	bool has_counter;
};

struct token {
	struct card_link *link;
	struct token_facts facts;
	struct token_pin *pin; /* of who is logged in, in locked memory; NULL: nobody */
	bool is_lost;          /* the link failed: nothing is said any more */
	bool knows_tries;      /* facts.pin_tries is of this moment */
	bool has_transport_pin;
	size_t command_max;
	struct buf answer;
	struct card_key keys[CARD_KEYS];
};

/* ---- card.c ---- */

/* Any status word is an answer here; an error means that the link failed. */
kf_err schsm_say(struct token *t, const struct card_command *c, struct card_answer *ret);
/* And status words are errors. */
kf_err schsm_do(struct token *t, const struct card_command *c, struct card_answer *ret);
/* For commands that need a login: when that was lost it is renewed, once.  A command that the card may
 * have carried out already is only repeated if it does no harm. */
kf_err schsm_do_logged_in(struct token *t, const struct card_command *c,
	bool is_repeatable, struct card_answer *ret);
/* Drops the login. */
kf_err schsm_select(struct token *t, struct card_answer *ret);
kf_err schsm_read_facts(struct token *t);
kf_err schsm_read_dkek(struct token *t);
/* The key check value, if the card did not tell it before somebody logged in. */
kf_err schsm_read_dkek_again(struct token *t);
/* TOKEN: another one is in the reader. */
kf_err schsm_is_same(struct token *t);
void schsm_close(struct token *t);
/* Appends up to CARD_FILE_MAX bytes: those of its first TLV element, and perhaps more.  NOT_FOUND. */
kf_err schsm_read_file(struct token *t, unsigned fid, struct buf *ret);
/* From its beginning; of one that is longer the end stays. */
kf_err schsm_write_file(struct token *t, unsigned fid, struct slice data);
/* OK if it is not there. */
kf_err schsm_delete_file(struct token *t, unsigned fid);
/* Every file, two bytes each, big-endian; valid until the next command. */
kf_err schsm_enumerate(struct token *t, struct slice *ret);

/* ---- pin.c ---- */

kf_err schsm_read_tries(struct token *t);
kf_err schsm_login(struct token *t, const struct token_pin *pin);
/* After a reset: the same card, the PIN that was right before. */
kf_err schsm_renew_login(struct token *t);
void schsm_forget_pin(struct token *t);
kf_err schsm_remember_pin(struct token *t, const struct token_pin *pin);
kf_err schsm_change_pin(
	struct token *t, const struct token_pin *old, const struct token_pin *new);

/* ---- keys.c ---- */

kf_err schsm_list_keys(struct token *t, struct token_key_list *ret);
/* One of them, anew. */
kf_err schsm_read_key(struct token *t, unsigned handle, struct token_key_facts *ret);
/* The public key of a certificate in DER. */
kf_err schsm_certificate_key(struct slice der, struct pubkey **ret);

/* ---- use.c ---- */

kf_err schsm_sign(struct token *t, unsigned handle, struct sign_job *job);
kf_err schsm_decrypt_raw(
	struct token *t, unsigned handle, const uint8_t *cipher, size_t n, uint8_t *ret);

/* ---- secret.c: AES keys, and ECDH ---- */

kf_err schsm_use(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret);
/* f->alg and f->handle are known; what it is known by is asked for, and may be a problem. */
kf_err schsm_read_secret(struct token *t, struct token_key_facts *f);
kf_err schsm_generate_secret(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret);
kf_err schsm_take_secret(struct token *t, unsigned number, const struct token_blob *b,
	struct token_key_facts *ret);

/* ---- provision.c, make.c, transport.c ---- */

kf_err schsm_initialise(struct token *t, const struct token_init *in);
kf_err schsm_import_share(struct token *t, const uint8_t share[32]);
kf_err schsm_identify(struct token *t);
kf_err schsm_random(struct token *t, uint8_t *ret, size_t n);
kf_err schsm_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret);
kf_err schsm_delete_key(struct token *t, unsigned handle);
kf_err schsm_wrap(struct token *t, unsigned handle, struct token_blob *ret);
kf_err schsm_unwrap(
	struct token *t, const struct token_blob *blob, struct token_key_facts *ret);
kf_err schsm_store_certificate(struct token *t, unsigned handle,
	enum token_certificate_kind kind, struct slice der);
