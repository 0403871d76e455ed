/* SPDX-License-Identifier: Apache-2.0
 *
 * password: names, and what is needed to tell whether a password is the right one: a salt and scrypt of it
 * (RFC 7914).  A file of lines
 *
 *     NAME = scrypt:14:8:1:SALT:HASH        log2 N, r, p; hexadecimal
 *
 * with comments behind #.  The table is read by any thread, and changed by none.
 */
#pragma once
#include "base/buf.h"

struct passwords;

enum {
	PASSWORD_NAME_MAX = 64,
	PASSWORD_MAX = 1024,           /* bytes of a password */
	PASSWORDS_FILE_MAX = 16 << 20, /* some 100000 names */
};

kf_err passwords_parse(struct slice text, unsigned *bad_line, struct passwords **ret);
void passwords_free(struct passwords *p); /* NULL is fine */
void passwords_freep(struct passwords **p);

/* AUTH: a wrong one, or no such name, which takes as long: some 50 ms and 16 MiB. */
kf_err passwords_check(
	const struct passwords *p, struct slice name, struct slice password);

/* A new line, with a new salt. */
kf_err password_put_line(struct slice name, struct slice password, struct buf *ret);
