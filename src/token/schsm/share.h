/* SPDX-License-Identifier: Apache-2.0
 *
 * share: DKEK shares in files (.pbe) and their passwords, as sc-hsm-tool writes and reads them.
 *
 *     "Salted__" | salt 8 | AES-256-CBC(share 32, PKCS#7 padding)         64 bytes
 *     key | iv = EVP_BytesToKey(MD5, salt, password, 10,000,000)
 *
 * The padding, a whole block of it, tells a wrong password.  Whether it is the right share, says the key
 * check value of the DKEK.  MD5 is no weakness here, only slow: that is
 * what it is for.
 *
 * Secrets are the caller's: in locked memory, wiped.  Any thread.
 */
#pragma once
#include "base/buf.h"

enum {
	SHARE_SIZE = 32,
	SHARE_FILE_SIZE = 64,
	SHARE_ITERATIONS = 10000000,
	SHARE_PASSWORD_MAX = 256,
};

/* How a password becomes a key; it takes seconds. */
struct share_work {
	struct slice password;
	uint32_t iterations;                  /* 0: SHARE_ITERATIONS */
	void (*show)(void *arg, double part); /* how far it is; may be NULL */
	void *arg;
};

/* Appends the file of a share; the salt is random. */
kf_err share_close(const uint8_t share[static SHARE_SIZE], const struct share_work *work,
	struct buf *ret);
/* KEY_FORMAT: this is no share; AUTH: the password is wrong, or the file is damaged. */
kf_err share_open(
	struct slice file, const struct share_work *work, uint8_t ret[static SHARE_SIZE]);

/* ---- a password in parts: any `threshold` of `total` make it (Shamir, modulo a 64-bit prime) ---- */

enum {
	PARTS_MIN = 2,
	PARTS_MAX = 9, /* made here: tools disagree how larger numbers are typed */
	PARTS_PASSWORD_SIZE = 8, /* random bytes, nobody types them */
};

/* For one person to keep.  The prime is the same in all parts of a password, and no secret. */
struct part {
	uint64_t prime, value;
	unsigned id; /* from 1 */
};

/* A new random password and its parts. */
kf_err parts_make(unsigned threshold, unsigned total,
	uint8_t ret_password[static PARTS_PASSWORD_SIZE], struct part *ret);
/* The password out of n parts, as many as the threshold was.  Wrong parts or too few make another
 * password, which nothing here can tell.  BAD_PARAMETERS: parts of different passwords, one twice, no
 * prime. */
kf_err parts_join(const struct part *part, size_t n,
	uint8_t ret_password[static PARTS_PASSWORD_SIZE], size_t *ret_n);

/* "DA:92:...", as people note numbers of parts; colons and blanks may be left out.  INVALID_FIELD. */
kf_err part_number(struct slice text, uint64_t *ret);
