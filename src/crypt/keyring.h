/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring: the master keys, each with an id.  Threads may share it: keys are only ever added;
 * whoever loaded it frees it, after everybody who uses it has stopped.
 *
 * The file is text, newest key first: the first one seals, all of them open.
 *
 *     # comment
 *     2026-11 = 6f1e...  (64 hex digits)   or   = bx4t...=  (base64 of 32 bytes)
 *
 * A master key encrypts nothing itself; HKDF-SHA-256 makes one key a purpose of it.
 */
#pragma once
#include "base/buf.h"

enum {
	MASTER_KEY_SIZE = 32,
	MASTER_ID_MAX = 32, /* [A-Za-z0-9._-] */
	KEYRING_MAX = 64,   /* keys */
	KEYRING_FILE_MAX = 16384,
	MAC_SIZE = 32,
};

struct keyring;

/* CONFIG with the line in *bad_line (0: the file as a whole); nothing of the file is in the text.
 * Keys live in secret memory when there is an arena (base/mem.h), else in locked pages. */
kf_err keyring_parse(struct slice text, unsigned *bad_line, struct keyring **ret);
/* A regular file or a credential that others can neither read nor write. */
kf_err keyring_load(const char *path, unsigned *bad_line, struct keyring **ret);
void keyring_free(struct keyring *k);
void keyring_freep(struct keyring **k);

/* For a daemon whose file has changed: takes the keys it does not have yet, and which one seals.  What
 * the file does not name any more is kept until the daemon ends.  One thread adopts, others may read
 * meanwhile.  CONFIG if an id stands for another key than before; then nothing changes. */
kf_err keyring_adopt(struct keyring *k, const struct keyring *from);

/* A fresh line for the file, newline included; the caller puts it before the others. */
kf_err keyring_new_line(const char *id, struct buf *ret);

size_t keyring_count(const struct keyring *k);
const char *keyring_id(const struct keyring *k, size_t i); /* 0 = newest, which seals */
bool keyring_has(const struct keyring *k, struct slice id);

/* A value by which a store remembers which key an id stands for.  keyring_check() is asked at
 * start: CONFIG "wrong master key" instead of refusals at every object. */
kf_err keyring_check_value(
	const struct keyring *k, struct slice id, uint8_t ret[MAC_SIZE]);
kf_err keyring_check(const struct keyring *k, struct slice id, struct slice value);

/* HMAC-SHA-256 under a key derived from the named master key and the label: authenticated rows.
 * CONFIG if the keyring lacks the id. */
#define KEYRING_LABEL_ROW "keyfleet store row"
#define KEYRING_LABEL_SUM "keyfleet store sum"
kf_err keyring_mac(const struct keyring *k, struct slice id, const char *label,
	struct slice data, uint8_t ret[MAC_SIZE]);

struct signer;
/* A signing key derived from the named master key and the label.  CONFIG if the keyring lacks the id. */
kf_err keyring_signer(
	const struct keyring *k, struct slice id, const char *label, struct signer **ret);

/* Constant time; TAMPERED if they differ. */
kf_err mac_check(const uint8_t have[MAC_SIZE], struct slice want);
