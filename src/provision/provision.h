/* SPDX-License-Identifier: Apache-2.0
 *
 * provision: what is done to tokens once: initialised, given a DKEK, keys made on one and copied to
 * others, kept in files, brought from software.  For the key server's workers and for `keyfleet --local`.
 *
 * Every call blocks until its tokens are done, which may be minutes; tokens are worked on at the same time, each on its
 * own thread of the pool between two jobs.  Nothing here logs or asks.  What went well stays when
 * something else fails: the report says which is which, and repeating a call does what is missing.
 *
 * A key that is copied proves itself on every token, by a signature that is verified, before its copy
 * counts; a copy that cannot is deleted again.
 */
#pragma once
#include "pool/pool.h"
#include "token/schsm/blob.h"

enum { PROVISION_WHY_SIZE = 256, PROVISION_FILE_MAX = KEY_FILE_MAX };

enum provision_outcome {
	PROVISION_DONE,
	PROVISION_WAS_SO, /* there was nothing to do */
	PROVISION_FAILED,
};

/* What became of one token. */
struct provision_row {
	char serial[TOKEN_SERIAL_SIZE];
	enum provision_outcome outcome;
	kf_err err;                   /* FAILED */
	char why[PROVISION_WHY_SIZE]; /* for people, with the remedy; "" unless there is something to say */
};
struct provision_report {
	size_t n, done, failed; /* done: also what was so */
	struct provision_row row[POOL_TOKENS_MAX];
};

/* Where, and who watches. */
struct provision {
	struct pools *pools;
	const char *pool;
	/* Before the first token (done 0) and after every one; one call at a time, from any thread.  May be
	 * NULL. */
	void (*show)(void *arg, const char *task, size_t done, size_t of);
	void *arg;
};

/* Serial numbers or labels; none: every token of the pool that is there and for which it makes sense. */
struct provision_targets {
	const char *const *serial;
	size_t n;
};

/* All functions: a kf_err is about the whole (NOT_FOUND: no such token or key, READ_ONLY, NOMEM...).
 * With a report, tokens that failed are in it and the call is OK if all others were done. */

/* By serial number, or by a label that only one token has (CONFLICT). */
kf_err provision_find(
	const struct provision *p, const char *name, char ret[TOKEN_SERIAL_SIZE]);

/* ---- tokens ---- */

/* Erases it.  EXISTS: it is initialised already and `force` is not set. */
kf_err provision_init(const struct provision *p, const char *serial,
	const struct token_init *in, bool force);
kf_err provision_change_pin(const struct provision *p, const char *serial,
	const struct token_pin *old, const struct token_pin *new);
kf_err provision_identify(const struct provision *p, const char *serial);

/* Gives each token the shares of its DKEK that it lacks: all at once, or some of them (then check values are
 * not compared).  A token that has its DKEK is not touched: WAS_SO if its check value is that of these
 * shares, FAILED with CONFLICT if it is another.  Tokens that know no shares get their sum as wrapping
 * key. */
struct provision_shares {
	size_t n;
	const uint8_t (*share)[SHARE_SIZE]; /* in locked memory, the caller's */
};
kf_err provision_import_shares(const struct provision *p,
	const struct provision_targets *to, const struct provision_shares *shares,
	struct provision_report *ret);

/* ---- keys ---- */

struct provision_new_key {
	struct token_new_key key; /* may_leave: implied by copies */
	const char *serial;       /* where it is made; NULL: wherever there is one idle */
	unsigned copies; /* tokens that shall hold it in all; 0: every one that can */
};
/* Two phases: generated on one, then copied.  ret_spki is written (appended) as soon as the first token
 * holds it: with fewer copies than wanted the caller must not use the key yet (the report tells). */
kf_err provision_generate(const struct provision *p, const struct provision_new_key *in,
	struct buf *ret_spki, struct provision_report *ret);

/* The same for a key of AES, which has no public half: what it is known by. */
kf_err provision_generate_secret(const struct provision *p,
	const struct provision_new_key *in, uint8_t ret_id[KEY_ID_SIZE],
	struct provision_report *ret);

/* From any holder to others.  CONFLICT in a row: that token has another DKEK. */
kf_err provision_clone(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct provision_targets *to, struct provision_report *ret);
/* EXISTS: these tokens are the only holders and `force` is not set.  BUSY: another deletion is under way. */
kf_err provision_delete(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct provision_targets *from, bool force, struct provision_report *ret);
/* The last copies too, where nobody looks: the key proves first that it is this one, and whatever the token calls
 * by its public key and is not stays (CONFLICT in the row). */
kf_err provision_erase(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct provision_targets *from, struct provision_report *ret);
/* On every holder: a certificate, or a request for one, beside the key. */
kf_err provision_certificate(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	enum token_certificate_kind kind, struct slice der, struct provision_report *ret);

/* ---- keys in files: sc-hsm-tool's for SmartCard-HSMs, our own for AES-wrapped keys ---- */

/* Appends the wrapped key of any holder.  UNSUPPORTED for keys of AES, of which there are no files. */
kf_err provision_backup(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	struct buf *ret_file);
/* To `copies` tokens (0: all that can).  `ret_spki` as above. */
kf_err provision_restore(const struct provision *p, struct slice file,
	const struct provision_targets *to, unsigned copies, struct buf *ret_spki,
	struct provision_report *ret);

/* Between files and what drivers take.  KEY_FORMAT: no such file; MISSING: it does not say which public
 * key this is, and only the DKEK could tell (provision_complete_file()). */
kf_err provision_read_file(struct slice file, struct token_blob *ret);
/* `certificate` (of the card, CVC; may be empty) is for keys that have none of their own. */
kf_err provision_write_file(
	const struct token_blob *b, struct slice certificate, struct buf *ret);
/* Where the DKEK is: adds the public key (a certificate that the key signs itself) to a file without. */
kf_err provision_complete_file(const struct dkek *d, struct slice file, struct buf *ret);
/* A software key becomes a file that SmartCard-HSMs with this DKEK take.  On the administrator's machine:
 * the key server sees neither. */
struct provision_software_key {
	struct slice pkcs8, certificate; /* DER; the certificate may be empty */
	const char *label;
	struct slice id; /* CKA_ID; empty: from the public key */
};
kf_err provision_seal_key(const struct dkek *d, const struct provision_software_key *k,
	struct buf *ret_file);

/* ---- drift ---- */

enum provision_drift_kind {
	DRIFT_BLANK,      /* is not initialised */
	DRIFT_LACKS_KEY,  /* others of its pool hold it */
	DRIFT_OTHER_DKEK, /* than most of the pool */
	DRIFT_NO_DKEK,    /* shares are missing, or keys never leave it */
	DRIFT_UNKNOWN_KEY, /* no object refers to it: provision_drift()'s `known` says no */
	DRIFT_DAMAGED_KEY, /* its description says what is wrong */
	DRIFT_ONLY_COPY,   /* one token holds it, though there are others */
};
struct provision_drift_row {
	enum provision_drift_kind kind;
	char serial[TOKEN_SERIAL_SIZE], label[TOKEN_LABEL_SIZE];
	uint8_t key_id[KEY_ID_SIZE]; /* zeroes: it is about the token */
	const char *text;            /* constant */
};
/* Calls `row` for each; `known` may be NULL. */
struct provision_drift {
	bool (*known)(void *arg, const uint8_t key_id[KEY_ID_SIZE]);
	void (*row)(void *arg, const struct provision_drift_row *row);
	void *arg;
};
kf_err provision_drift(const struct provision *p, const struct provision_drift *in);

/* The rules, for whoever knows the facts from elsewhere: a key server's lists. */
struct drift_token {
	const char *pool, *serial;
	bool is_initialised, has_kcv, has_problems;
	unsigned shares_missing;
	enum token_wrapping wrapping;
	uint8_t kcv[TOKEN_KCV_SIZE];
	size_t alike; /* of the rules: so many have its check value */
};
/* All of one pool or of several. */
void drift_of_tokens(
	const struct provision_drift *in, struct drift_token *tokens, size_t n);
struct drift_key {
	const char *label;
	const uint8_t *id; /* KEY_ID_SIZE; NULL: not known */
	/* Serial numbers: of its holders, and of initialised tokens of the pool that lack it. */
	const char *const *holder, *const *missing;
	size_t holders, missings;
	bool is_unknown,
		is_destroyed; /* no object refers to it; one does that was destroyed */
};
void drift_of_key(const struct provision_drift *in, const struct drift_key *key);
