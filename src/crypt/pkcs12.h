/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs12: a private key and its chain of certificates in one file under a password (RFC 7292).
 *
 * What strangers bring is bounded before any work is done for it: bytes, bags, certificates, their
 * signatures, and the rounds by which its passwords are stretched.  Not taken: files without a MAC, those that are signed or encrypted by public
 * keys, nested contents, and passwords stretched otherwise than by PKCS#12 or PBKDF2.
 *
 * For workers: to open one may take a second.  Any thread.
 */
#pragma once
#include "base/buf.h"

enum {
	PKCS12_SIZE_MAX = 1 << 18,
	PKCS12_PASSWORD_MAX = 1024,
	PKCS12_NAME_MAX = 256,
	PKCS12_BAGS_MAX = 64,
	PKCS12_CHAIN_MAX = 16,
	PKCS12_ROUNDS_MAX = 2000000, /* all of a file together */
	PKCS12_SIGNATURES_MAX = 64,  /* that are looked at to find the chain */
};

struct pkcs12 {
	struct buf pkcs8; /* DER */
	struct buf name;  /* the key's friendly name, UTF-8; empty: it has none */
	size_t n;
	struct buf chain
		[PKCS12_CHAIN_MAX]; /* DER: the key's certificate, then who issued each */
};

/* The first key, or the one of this name, whatever the case of its ASCII letters.
 *   BAD_PASSWORD   it is another password
 *   INVALID_FIELD  no such file, or no such key in it
 *   KEY_FORMAT     a kind of file, or of key, that is not read here
 *   LIMIT          more of something than is read */
kf_err pkcs12_open(
	struct slice file, struct slice password, struct slice name, struct pkcs12 *ret);
/* AES-256, PBKDF2 with HMAC-SHA-256, and a MAC with SHA-256.  Appended. */
kf_err pkcs12_seal(const struct pkcs12 *content, struct slice password, struct buf *ret);

void pkcs12_clear(struct pkcs12 *p); /* wipes; zeroed is fine */
