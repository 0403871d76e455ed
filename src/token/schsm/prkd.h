/* SPDX-License-Identifier: Apache-2.0
 *
 * prkd: the description of a private key on a SmartCard-HSM (PKCS#15 PrKDF entry, in the file C4.key).
 * Pure; damaged ones are no reason to lose the key: what it is for is asked from the key's other files.
 */
#pragma once
#include "token/driver.h"

/* The outer tag says which. */
enum prkd_kind { PRKD_RSA = 0x30, PRKD_EC = 0xa0, PRKD_AES = 0xa8 };

/* KeyUsageFlags and KeyAccessFlags of PKCS#15; bit 0 is the standard's bit 0. */
enum {
	PRKD_ENCRYPT = 1 << 0,
	PRKD_DECRYPT = 1 << 1,
	PRKD_SIGN = 1 << 2,
	PRKD_SIGN_RECOVER = 1 << 3, /* what OpenSC calls raw signatures */
	PRKD_DERIVE = 1 << 8,
};
enum {
	PRKD_SENSITIVE = 1 << 0,
	PRKD_EXTRACTABLE = 1 << 1,
	PRKD_ALWAYS_SENSITIVE = 1 << 2,
	PRKD_NEVER_EXTRACTABLE = 1 << 3,
	PRKD_LOCAL = 1 << 4,
};

struct prkd {
	enum prkd_kind kind;
	char label[TOKEN_LABEL_SIZE];
	size_t id_n; /* CKA_ID */
	uint8_t id[TOKEN_ID_MAX];
	unsigned usage, access; /* access 0: none written */
	unsigned bits;          /* of modulus, field or AES key */
	/* Other tools write it; the file's number counts.  0: none. */
	unsigned key_reference;
	/* Of the certificate (a DER Name), from the bytes that were parsed; empty: none. */
	struct slice subject;
};

/* What is written for a key of ours; label and id may be empty. */
struct prkd prkd_of_key(const struct alg *alg, const char *label, struct slice id);

/* Appends. */
kf_err prkd_put(const struct prkd *d, struct buf *ret);
/* Trailing bytes are an error: a description fills its file.  TOO_BIG: label or id. */
kf_err prkd_parse(struct slice der, struct prkd *ret);
