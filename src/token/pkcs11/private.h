/* SPDX-License-Identifier: Apache-2.0
 *
 * private: what the files of this driver share.  A token is used by one thread at a time.
 *
 * A token has one session for work, read only; one that may write exists while something is written.
 * A module is in our process, so one that wants to harm us can; one that is broken must not: every
 * number that it tells is checked before it is used.
 */
#pragma once
#include "token/pkcs11/module.h"

struct token_source {
	struct module *module;
	int wake;
	bool has_looked;
	uint64_t generation;
};

kf_err p11_source_open(const struct token_source_conf *conf, struct token_source **ret);
void p11_source_close(struct token_source *s);
kf_err p11_source_watch(
	struct token_source *s, unsigned timeout_ms, struct token_places *ret);
void p11_source_wake(struct token_source *s);

/* Mechanisms that matter, and whether the token has them (C_GetMechanismInfo). */
enum p11_mech {
#define X(id, type, flag) P11_##id,
#include "token/pkcs11/mechanism.def"
#undef X
	P11_MECHS
};

/* A private key, or one of AES, as a handle of ours names it. */
struct p11_key {
	CK_OBJECT_HANDLE object;
	const struct alg *alg; /* NULL: of no use */
	size_t sig_n;          /* bytes that a signature has as the token makes it */
	bool is_gone;          /* deleted, or not there when keys were listed last */
	bool asks_pin;         /* CKA_ALWAYS_AUTHENTICATE */
	uint8_t key_id[KEY_ID_SIZE];
	size_t id_n;
	uint8_t id[TOKEN_ID_MAX];
};

struct token {
	struct module *module;
	CK_SLOT_ID slot;
	uint64_t insertion;
	CK_SESSION_HANDLE session; /* 0: none, it is blank */
	struct token_facts facts;
	CK_FLAGS flags; /* of the token, as last read */
	bool is_logged_in;
	bool is_pin_refused;   /* once; not tried again while it is open */
	struct token_pin *pin; /* that it took, to renew a login; secret_alloc() */
	bool has[P11_MECHS];
	size_t wrapping_keys; /* with its label; exactly one is of use */
	CK_OBJECT_HANDLE wrapping_key;
	size_t keys_n, keys_cap;
	struct p11_key *key; /* by handle */
};

/* ---- token.c ---- */
kf_err p11_open(
	struct token_source *s, const struct token_place *place, struct token **ret);
void p11_close(struct token *t);
const struct token_facts *p11_get_facts(struct token *t);
kf_err p11_probe(struct token *t);
kf_err p11_random(struct token *t, uint8_t *ret, size_t n);
kf_err p11_read_facts(struct token *t);
kf_err p11_open_session(struct token *t); /* instead of the one it has */

/* ---- login.c ---- */
kf_err p11_login(struct token *t, const struct token_pin *pin);
/* After CKR_USER_NOT_LOGGED_IN: once more with the PIN that it took. */
kf_err p11_renew_login(struct token *t);
/* For a key with CKA_ALWAYS_AUTHENTICATE whose operation was begun. */
kf_err p11_login_for_key(struct token *t);
kf_err p11_change_pin(
	struct token *t, const struct token_pin *old, const struct token_pin *new);
kf_err p11_initialise(struct token *t, const struct token_init *in);

/* ---- object.c ---- */
struct p11_objects {
	size_t n;
	CK_OBJECT_HANDLE object[TOKEN_KEYS_MAX];
};
#define P11_ATTRIBUTE(type, value)                                                       \
	{                                                                                \
		(type), &(value), sizeof(value)                                          \
	}
/* LIMIT: there are more than fit. */
kf_err p11_object_find(
	struct token *t, const CK_ATTRIBUTE *template, size_t n, struct p11_objects *ret);
/* NOT_FOUND: it has no such attribute, or does not show it; TOO_BIG: more than size. */
kf_err p11_object_get(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a);
kf_err p11_object_get_buf(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type,
	struct buf *ret); /* its limit holds */
bool p11_object_get_flag(
	struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, bool otherwise);
kf_err p11_object_get_number(
	struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_ULONG *ret);

/* ---- write.c: sessions that may write, and what is made in them ---- */
struct p11_writer {
	struct token *token;
	CK_SESSION_HANDLE session;
};
kf_err p11_writer_open(struct token *t, struct p11_writer *ret);
void p11_writer_close(struct p11_writer *w);
kf_err p11_writer_create(struct p11_writer *w, const CK_ATTRIBUTE *template, size_t n,
	CK_OBJECT_HANDLE *ret);
void p11_writer_destroy(struct p11_writer *w, CK_OBJECT_HANDLE o); /* 0 is fine */
/* DER of the name of an algorithm's curve. */
kf_err p11_curve_of(const struct alg *alg, struct buf *ret);
/* The public object of a key, so that others find it too. */
kf_err p11_writer_create_public(struct p11_writer *w, struct slice spki,
	const struct token_key_facts *f, CK_OBJECT_HANDLE *ret);
kf_err p11_writer_create_certificate(struct p11_writer *w, struct slice der,
	const struct token_key_facts *f, CK_OBJECT_HANDLE *ret);

/* ---- keys.c ---- */
kf_err p11_keys_list(struct token *t, struct token_key_list *ret);
kf_err p11_keys_get(struct token *t, unsigned handle, struct p11_key **ret);
/* Describes a private object and gives it a handle. */
kf_err p11_keys_describe(
	struct token *t, CK_OBJECT_HANDLE object, struct token_key_facts *ret);
/* The same object with the same name keeps its handle. */
kf_err p11_keys_give_handle(struct token *t, CK_OBJECT_HANDLE o,
	const struct token_key_facts *f, unsigned *ret);
kf_err p11_keys_read_names(
	struct token *t, CK_OBJECT_HANDLE o, struct token_key_facts *f);
bool p11_keys_has(struct token *t, const uint8_t key_id[KEY_ID_SIZE]);
/* Objects of this class that go with a key: the same CKA_ID and the same public key. */
kf_err p11_keys_find_beside(struct token *t, const struct p11_key *key,
	CK_OBJECT_CLASS class, struct p11_objects *ret);

/* ---- sign.c ---- */
kf_err p11_sign(struct token *t, unsigned handle, struct sign_job *job);
kf_err p11_decrypt_raw(
	struct token *t, unsigned handle, const uint8_t *cipher, size_t n, uint8_t *ret);
/* Signs random bytes and verifies: does the private key belong to this public key? */
kf_err p11_prove(struct token *t, unsigned handle, struct slice spki);

/* One operation of a key; what it makes is at most out_size bytes. */
struct p11_operation {
	struct token *token;
	const struct p11_key *key;
	CK_MECHANISM mechanism;
	enum { P11_SIGN, P11_DECRYPT, P11_ENCRYPT } kind;
	struct slice in;
	uint8_t *out;
	size_t out_size;
};
kf_err p11_operate(const struct p11_operation *o, size_t *ret_n);

/* ---- secret.c: AES keys, and ECDH ---- */
kf_err p11_secret_find(
	struct token *t, struct p11_objects *ret); /* not the wrapping key */
/* NOT_FOUND: it makes no CMAC, and is none of ours.  Gives it a handle. */
kf_err p11_secret_describe(
	struct token *t, CK_OBJECT_HANDLE object, struct token_key_facts *ret);
kf_err p11_secret_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret);
kf_err p11_secret_unwrap(struct p11_writer *w, CK_MECHANISM *mechanism,
	const struct token_blob *blob, struct token_key_facts *ret);
kf_err p11_use(struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret);

/* ---- make.c ---- */
kf_err p11_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret);
kf_err p11_delete(struct token *t, unsigned handle);
kf_err p11_store_certificate(struct token *t, unsigned handle,
	enum token_certificate_kind kind, struct slice der);

/* ---- wrap.c ---- */
void p11_find_wrapping_key(
	struct token *t); /* after login: the facts know of the wrapping key */
kf_err p11_import_share(struct token *t, const uint8_t share[32]);
kf_err p11_wrap(struct token *t, unsigned handle, struct token_blob *ret);
kf_err p11_unwrap(
	struct token *t, const struct token_blob *blob, struct token_key_facts *ret);
