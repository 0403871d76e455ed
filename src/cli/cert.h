/* SPDX-License-Identifier: Apache-2.0
 *
 * cert: certificates that an authority [ca NAME] of the key servers issues, and the files they are served from.
 */
#pragma once
#include "cli/call.h"
#include "crypt/x509.h"
#include "kmip/certify.h"

enum { CERT_DAY_S = 86400 };

/* One that is registered, as a server sends it. */
struct issued {
	char id[KEY_ID_TEXT], ca[65]; /* of which authority; "" where it does not say */
	struct buf pem;               /* it, and those above it */
	int64_t from, to;
	bool has_end; /* the object has a Deactivation Date */
};
void issued_clear(struct issued *i);

/* Certify, Re-certify: what came of it. */
kf_err issued_ask(struct cli *c, uint32_t operation, const struct certify_request *q,
	struct issued *ret);
/* The certificate of this id. */
kf_err issued_get(struct cli *c, const char *id, struct issued *ret);
/* The same, or the newest that took its place. */
kf_err issued_newest(struct cli *c, const char *id, struct issued *ret);

/* Attributes that both operations bring: good from now on, until then (0: as long as the authority says). */
void issued_put_dates(struct buf *attrs, int64_t until_s);

/* Where it goes. */
struct cert_place {
	const char *file; /* NULL: standard output */
	bool has_mode;    /* or else that of the file that is there, or 0644 */
	unsigned mode;
};
/* Before anything is issued: can the file be written?  One that has a key too, as HAProxy likes them, would lose it:
 * EXISTS.  With a note. */
kf_err cert_may_replace(const struct cli *c, const struct cert_place *p);
/* The whole file changes at once.  Notes what went wrong. */
kf_err cert_save(const struct cli *c, const struct cert_place *p, const struct issued *i);

/* What a command tells: a row a file, and with --json a row a certificate; else the certificates themselves. */
struct cert_report {
	struct cli *cli;
	struct table *table;
	size_t rows;
};
struct cert_report cert_report_new(struct cli *c);
void cert_report_new_one(struct cert_report *r, const struct cert_place *p,
	const char *result, const struct issued *i);
void cert_report_not_due(
	struct cert_report *r, const struct cert_place *p, const struct issued *i);
/* Prints and frees it. */
kf_err cert_report_end(struct cert_report *r);

/* What both commands are told about the certificate. */
struct cert_terms {
	const char *days, *within, *mode; /* --days, --within, --mode; NULL: not given */
	struct cert_place place;          /* its mode is that of --mode */
	bool is_forced;
	int64_t lasts_days, within_days; /* for cert_is_due() */
};
/* INVALID_FIELD with a note. */
kf_err cert_check_terms(const struct cli *c, struct cert_terms *t);
/* Is it to be renewed, so many days before its end; -1: when a third of its life is left. */
bool cert_is_due(int64_t from, int64_t to, int64_t within_days);
