/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_openssl: what an openssl.cnf says about providers, with the lines in which it says so.
 *
 * Read as libcrypto reads it: .include in the middle of a section goes on with that section, a later value
 * wins.  Variables ($x) are not expanded.
 */
#pragma once
#include "base/buf.h"

struct openssl_option {
	char *section, *key, *value;
	const char *file;
	size_t line;
};

/* A provider of the list: the line that names it, and its own section. */
struct openssl_provider {
	const struct openssl_option *named;    /* NULL: not named */
	const char *section;                   /* "keyfleet_sect" */
	const struct openssl_option *activate; /* NULL: there is no such line */
	bool is_active;
};

struct openssl_conf {
	struct openssl_option *item;
	size_t n;
	char **files; /* all that were read */
	size_t n_files;
	const char *providers; /* the section that lists them; NULL: none */
	struct openssl_provider base /* the default one */, keyfleet;
};

/* NOT_FOUND, DENIED, IO: the file itself; included files that are not there are no failure. */
kf_err openssl_conf_read(const char *path, struct openssl_conf *ret);
/* The same of a text; `path` names it. */
kf_err openssl_conf_parse(const char *path, struct slice text, struct openssl_conf *ret);
void openssl_conf_free(struct openssl_conf *c);

/* The last one; NULL: not there. */
const struct openssl_option *openssl_conf_find(
	const struct openssl_conf *c, const char *section, const char *key);
/* Of the section of keyfleet: "module", "agent-socket", ...; NULL: not there. */
const char *openssl_conf_keyfleet(const struct openssl_conf *c, const char *key);
