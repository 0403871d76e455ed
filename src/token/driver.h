/* SPDX-License-Identifier: Apache-2.0
 *
 * driver: the contract between the pool and a kind of token that is plugged in, may vanish at any
 * time, does one thing after another, and whose private keys never leave it in the clear: smart cards
 * over PC/SC, tokens behind a PKCS#11 module.  (Keys in memory are another matter: token/soft.)
 *
 * A source is where tokens are found; one thread watches it.  A token is opened, used and closed by
 * one thread; no lock is shared between two tokens.
 *
 * Errors of a token's calls say what the pool must do:
 *
 *   TOKEN    it is gone, was reset beyond repair or answers nonsense: close it, open it anew.  What
 *            became of the command is not known
 *   CLOSED   the same, and nothing was begun
 *   TIMEOUT  it did not answer in time (only drivers that can give up); treated as TOKEN
 *   AUTH     the PIN is wrong, blocked, or has too few tries left to be tried: leave the token alone
 *            until somebody says otherwise
 *   LIMIT    the key's use counter is exhausted: this key on this token is over, the token is not
 *   NOT_FOUND, UNSUPPORTED, BAD_PARAMETERS, CRYPTO, READ_ONLY, FULL, EXISTS, CONFLICT, DENIED
 *            the request's own; the token is fine
 *
 * No text of an error names a PIN, a key's bytes or what was signed.
 */
#pragma once
#include "token/token.h"

enum {
	TOKEN_SERIAL_SIZE = 64, /* with NUL, as every size of a text here */
	TOKEN_LABEL_SIZE = 128,
	TOKEN_MODEL_SIZE = 64,
	TOKEN_PLACE_SIZE = 192,
	TOKEN_PLACES_MAX = 128,
	TOKEN_KEYS_MAX = 1024,
	TOKEN_PIN_MAX = 64,
	TOKEN_ID_MAX = 64, /* CKA_ID */
	TOKEN_KCV_SIZE = 8,
	TOKEN_TRIES_ENOUGH = 255,
};

struct token;
struct token_source;

/* Where to look.  Texts belong to the caller and live as long as the source. */
struct token_source_conf {
	const char *module; /* pkcs11: path of the module */
	const char
		*socket; /* smartcard-hsm: another pcscd's socket; NULL: the system's */
};

/* A reader with a card, a slot with a token.  `insertion` differs after each time it was pulled. */
struct token_place {
	char name[TOKEN_PLACE_SIZE];
	uint64_t insertion;
};
struct token_places {
	size_t n;
	struct token_place place[TOKEN_PLACES_MAX];
};

/* In locked memory (secret_alloc()), wiped by its owner. */
struct token_pin {
	size_t n;
	uint8_t bytes[TOKEN_PIN_MAX];
};

enum token_wrapping { /* how copies of a key travel to other tokens */
	WRAPPING_NONE,
	WRAPPING_DKEK, /* SmartCard-HSM's device key encryption key */
	WRAPPING_AES,  /* PKCS#11: an AES key that all tokens of a pool hold */
};

struct token_facts {
	char serial[TOKEN_SERIAL_SIZE]; /* never empty */
	char label[TOKEN_LABEL_SIZE];
	char model[TOKEN_MODEL_SIZE]; /* with version: "SmartCard-HSM 3.5" */
	bool is_initialised;
	bool is_write_protected;
	int pin_tries; /* left; of tokens that tell only "enough", TOKEN_TRIES_ENOUGH */
	int so_pin_tries; /* the same */
	/* Tries that were left when the PIN was sent, as long as its answer is not known: a login, perhaps one that
	 * was renewed, was cut off.  0: each PIN was answered */
	int pin_asked;
	enum token_wrapping wrapping;
	unsigned shares, shares_missing; /* of the DKEK */
	/* of the wrapping key: SHA-256(DKEK), or the first bytes of zeroes encrypted with the AES key */
	bool has_kcv;
	uint8_t kcv[TOKEN_KCV_SIZE];
	unsigned concurrency; /* of this one token; 1 for a card */
};

/* One private key on a token, or one of AES. */
struct token_key_facts {
	unsigned handle;       /* names it in calls to this token, until it is closed */
	const struct alg *alg; /* NULL: not one that we can use, `problem` says why */
	/* What a key is known by, never its label: SHA-256 of spki; of an AES key use_key_id() */
	uint8_t key_id[KEY_ID_SIZE];
	struct buf spki; /* owned; AES: empty */
	char label[TOKEN_LABEL_SIZE];
	size_t id_n;
	uint8_t id[TOKEN_ID_MAX];              /* CKA_ID */
	bool can_sign, can_decrypt, can_leave; /* can_leave: wrapped */
	bool can_agree;                        /* EC: ECDH */
	bool has_counter;                      /* counts how often it is used */
	uint64_t uses_left;                    /* if the token tells; else UINT64_MAX */
	struct buf certificate;                /* DER, owned; empty: none */
	/* A constant text, or NULL: "its description is damaged", ...  Beside an alg it is a warning: the
	 * key can be used. */
	const char *problem;
};
struct token_key_list {
	size_t n;
	struct token_key_facts *key; /* owned */
};
void token_key_facts_free(struct token_key_facts *f);
void token_key_list_free(struct token_key_list *l);

struct token_init {
	/* As people type them (SO-PIN of a SmartCard-HSM: 16 hexadecimal digits). */
	const struct token_pin *so_pin, *pin;
	unsigned pin_tries; /* 0: the kind's default */
	/* SmartCard-HSM: shares that the DKEK is made of; 0: a random DKEK that never leaves; -1: no key
	 * leaves this token.  PKCS#11: of no meaning, the wrapping key comes when it is imported. */
	int shares;
	const char *label;
};

struct token_new_key {
	const struct alg *alg;
	const char *label;
	struct slice id; /* CKA_ID; empty: the first bytes of the key id */
	bool may_decrypt, may_leave;
	bool may_agree; /* EC: ECDH */
	uint32_t uses;  /* 0: no use counter */
};

/* A key on its way between tokens: encrypted and authenticated under a wrapping key. */
struct token_blob {
	enum token_wrapping wrapping;
	uint8_t kcv[TOKEN_KCV_SIZE]; /* of the key that it is wrapped with */
	const struct alg *alg;
	bool may_decrypt;            /* RSA */
	bool may_agree;              /* EC */
	uint8_t key_id[KEY_ID_SIZE]; /* AES; of others it follows from spki */
	struct buf wrapped;          /* owned */
	struct buf spki;             /* owned */
	struct buf certificate;      /* DER, owned; may be empty */
	char label[TOKEN_LABEL_SIZE];
	size_t id_n;
	uint8_t id[TOKEN_ID_MAX];
};
void token_blob_free(struct token_blob *b);

enum token_certificate_kind { CERTIFICATE_OF_KEY, CERTIFICATE_REQUEST_OF_KEY };

struct token_use {
	enum use_kind kind;
	const uint8_t *iv; /* CBC: 16 bytes */
	struct slice in;
};

/* A kind of token.  NULL where "optional": not supported. */
struct token_driver {
	const char *name; /* "smartcard-hsm", in configurations, logs and metrics */

	/* --- the source; all but wake() by its watcher --- */
	kf_err (*open_source)(
		const struct token_source_conf *conf, struct token_source **ret);
	void (*close_source)(struct token_source *s); /* after all of its tokens */
	/* Waits until what is plugged in may have changed since the last call (the first one returns at
	 * once), until wake(), or for so long; then says what is plugged in.  A service that is away
	 * (pcscd is restarted) is no error: nothing is plugged in, and it is looked for again. */
	kf_err (*watch)(
		struct token_source *s, unsigned timeout_ms, struct token_places *ret);
	void (*wake)(struct token_source *s); /* any thread */

	/* --- one token: from here on one thread --- */
	/* Takes it for this process alone and reads its facts; no PIN is spent.  DENIED: another
	 * process has it. */
	kf_err (*open)(struct token_source *s, const struct token_place *place,
		struct token **ret);
	void (*close)(struct token *t); /* logs out; NULL is fine */
	/* For a token that hangs: another thread may make the call that it is in return.  Optional. */
	void (*interrupt)(struct token *t);
	const struct token_facts *(*facts)(struct token *t); /* as last read */

	/* AUTH, and no try is spent, unless token_may_try_pin().  OK if logged in already. */
	kf_err (*login)(struct token *t, const struct token_pin *pin);
	/* Every private key, those with a problem too; replaces what the list had.  After login. */
	kf_err (*list_keys)(struct token *t, struct token_key_list *ret);
	/* Cheap, no login: does it answer? */
	kf_err (*probe)(struct token *t);

	/* job->data is a digest of mech->hash (Ed25519: the data).  EC signatures are DER, as everywhere.
	 * A login that was lost is renewed once. */
	kf_err (*sign)(struct token *t, unsigned handle, struct sign_job *job);
	/* The bare RSA private operation: n bytes of ciphertext, as long as the modulus, to as many; the
	 * caller unpads (token/unpad.h).  Optional. */
	kf_err (*decrypt_raw)(struct token *t, unsigned handle, const uint8_t *cipher,
		size_t n, uint8_t *ret);

	/* One of the first kinds of enum use_kind; `ret` is as long as what is given, of a CMAC 16 bytes, of AGREE a
	 * coordinate.  Optional. */
	kf_err (*use)(struct token *t, unsigned handle, const struct token_use *u,
		uint8_t *ret);
	/* RFC 3394 and 5649 take six commands for eight bytes: no more bytes than these; and no more in ECB and CTR
	 * where each block is a command. */
	size_t wrap_max, blocks_max;

	/* --- provisioning; all optional --- */
	kf_err (*initialise)(struct token *t, const struct token_init *in); /* erases */
	kf_err (*change_pin)(struct token *t, const struct token_pin *old,
		const struct token_pin *new);
	kf_err (*import_share)(struct token *t, const uint8_t share[32]);
	/* What fails half way leaves no key that anybody would find. */
	kf_err (*generate)(struct token *t, const struct token_new_key *in,
		struct token_key_facts *ret);
	kf_err (*delete_key)(struct token *t, unsigned handle);
	kf_err (*wrap)(struct token *t, unsigned handle, struct token_blob *ret);
	/* CONFLICT: it is wrapped under another key than the token's (told by the key check value). */
	kf_err (*unwrap)(struct token *t, const struct token_blob *blob,
		struct token_key_facts *ret);
	kf_err (*store_certificate)(struct token *t, unsigned handle,
		enum token_certificate_kind kind, struct slice der);
	/* Makes it recognisable for a human: a light that blinks, or as near as the kind comes. */
	kf_err (*identify)(struct token *t);
	kf_err (*random)(struct token *t, uint8_t *ret, size_t n);
};

extern const struct token_driver schsm_driver;  /* "smartcard-hsm" */
extern const struct token_driver pkcs11_driver; /* "pkcs11" */

/* The last two tries belong to people: a PIN from a file is tried while three or more are left, so that a
 * wrong one costs one try, once. */
bool token_may_try_pin(const struct token_facts *f);

/* What the key in a blob is known by. */
void token_blob_id(const struct token_blob *b, uint8_t ret[KEY_ID_SIZE]);
