/* SPDX-License-Identifier: Apache-2.0
 *
 * token: the contract between whoever holds secret keys and those who ask it to use them.
 *
 * A token_key is a handle; the secret behind it stays inside the token's own folder.  Handles are
 * counted, may be shared by threads, and are wiped with the last reference.  A token_session is
 * one thread's door to a token; only that thread uses it.  Jobs carry their bytes in themselves
 * (bounded, no pointers into the daemon), so that a token may become a process of its own.
 */
#pragma once
#include "crypt/alg.h"
#include "crypt/pubkey.h"
#include <stdatomic.h>

enum {
	JOB_DATA_MAX =
		1280, /* what travels whole; more is hashed by the caller (Ed25519: `outside`) */
	JOB_SIG_MAX = 1024,
	JOB_CIPHER_MAX = 1024,
	JOB_LABEL_MAX = 256,
	TLS_PREMASTER_SIZE = 48,
};

struct token_ops;
struct token_session;

struct token_key {
	const struct token_ops *ops;
	const struct alg *alg;
	uint8_t id[KEY_ID_SIZE];
	atomic_uint refs;
};

/* A signature to be made.  The caller fills the first part and holds a reference to the key until
 * the job is done; the token fills the second. */
struct sign_job {
	struct token_key *key;
	const struct mech *mech;
	int salt;       /* PSS: SALT_AS_DIGEST or a length */
	bool is_digest; /* data is the digest of mech->hash, else it is hashed here */
	size_t n;
	struct slice
		outside; /* if p is set: what is to be signed instead of data[0..n) */

	kf_err err;
	size_t sig_n;

	uint8_t data[JOB_DATA_MAX];
	uint8_t sig[JOB_SIG_MAX];
};

enum decrypt_scheme {
	DECRYPT_TLS_PREMASTER, /* RFC 5246, 7.4.7.1: 48 bytes always, right or random */
	DECRYPT_OAEP,
	DECRYPT_PKCS1, /* implicit rejection: bad padding gives a message that depends on key and text */
};

struct decrypt_job {
	struct token_key *key;
	enum decrypt_scheme scheme;
	enum hash_id hash, mask_hash; /* OAEP */
	/* TLS: the version of the ClientHello and the agreed one.  The premaster secret must begin
	 * with the first; the second is accepted too if it is not 0 (old clients' mistake). */
	uint16_t client_version, negotiated_version;
	size_t n, label_n;

	kf_err err;
	size_t plain_n;

	uint8_t cipher[JOB_CIPHER_MAX];
	uint8_t label[JOB_LABEL_MAX];
	uint8_t plain[JOB_CIPHER_MAX];
};

/* What tokens do with a key beside signing and decrypting: AES over what has its length, the secret that two keys of
 * a curve share.  The first ones every such token does itself, the others are built of them (token/use.h). */
enum use_kind {
	USE_ECB_ENCRYPT, /* whole blocks */
	USE_ECB_DECRYPT,
	USE_CBC_ENCRYPT, /* the same; nothing is padded */
	USE_CBC_DECRYPT,
	USE_CMAC,
	USE_AGREE, /* ECDH: the other's point, 04 X Y, to the coordinate x of the shared one */

	USE_CTR,  /* any length; all of the 16 bytes count */
	USE_WRAP, /* RFC 3394 */
	USE_UNWRAP,
	USE_WRAP_PADDED, /* RFC 5649 */
	USE_UNWRAP_PADDED,
};

enum { USE_IV_SIZE = 16, USE_DATA_MAX = 65536 };

struct use_job {
	struct token_key *key;
	enum use_kind kind;
	uint8_t iv[USE_IV_SIZE]; /* CBC; CTR: the first counter block */
	struct slice in;         /* the caller's, until it is done */

	kf_err err;
	struct buf *out; /* the caller's; appended to when all went well */
};

/* A kind of token.  Every call comes from the thread that owns the session.  Every job gets its
 * own result in job->err; one failure spoils no neighbour. */
struct token_ops {
	const char *name; /* "soft", in logs and metrics */
	kf_err (*open)(struct token_session **ret);
	void (*close)(struct token_session *s); /* NULL is fine */
	void (*sign)(struct token_session *s, struct sign_job *const *jobs, size_t n);
	void (*decrypt)(struct token_session *s, struct decrypt_job *job);
	void (*free_key)(struct token_key *key); /* called by token_key_put() only */
};

extern const struct token_ops soft_token;

struct token_key *token_key_get(
	struct token_key *key);            /* one reference more; NULL is fine */
void token_key_put(struct token_key *key); /* one less; NULL is fine */

/* Wipe what was signed, decrypted and answered; the rest is zeroed for the next use. */
void sign_job_clear(struct sign_job *job);
void decrypt_job_clear(struct decrypt_job *job);
