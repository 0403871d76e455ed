/* SPDX-License-Identifier: Apache-2.0
 *
 * Authorities of a key server, [ca NAME]: their certificates on this host, and what the key server says of their keys.
 */
#include "base/conf.h"
#include "cli/check.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include "crypt/issue.h"
#include <stdio.h>
#include <string.h>

enum { SOON_DAYS = 30 };

static const struct doctor_option *find(
	const struct doctor *d, const char *ca, const char *key)
{
	const struct doctor_conf *c = &d->server_conf;
	const struct doctor_option *found = NULL;
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->item[i].section, "ca") && !strcmp(c->item[i].label, ca) &&
			!strcmp(c->item[i].key, key))
			found = &c->item[i];
	return found;
}

static const char *key_of(const struct doctor *d, const char *ca)
{
	const struct doctor_option *o = find(d, ca, "key");
	return o ? o->value : "KEY";
}

/* ---- its certificate ---- */

static void judge_dates(struct doctor *d, const char *ca, const char *path,
	const struct issue_ca *certificates)
{
	const struct doctor_option *o = find(d, ca, "certificate");
	const struct doctor_place at = doctor_at(d->server_conf.path, o->line);
	const struct doctor_dates dates =
		doctor_dates_between(issue_ca_not_before(certificates),
			issue_ca_not_after(certificates), SOON_DAYS);
	if (dates.validity == CERT_FINE)
		doctor_fine(d, CHECK_CA_VALID, path);
	else if (dates.validity == CERT_SOON)
		doctor_tell(d, CA_EXPIRES, at.text, ca, path, dates.date, key_of(d, ca));
	else
		doctor_tell(d, CA_VALID, at.text, ca, path, dates.word, dates.date,
			key_of(d, ca));
}

static void judge_certificate(
	struct doctor *d, const char *ca, const char *path, struct slice pem)
{
	struct issue_ca *certificates = NULL;
	unsigned line = 0;
	kf_err e = issue_ca_new(pem, &line, &certificates);
	if (kf_ok(e)) {
		doctor_fine(d, CHECK_CA_CERTIFICATE, path);
		judge_dates(d, ca, path, certificates);
	} else {
		doctor_tell(d, CA_CERTIFICATE, doctor_at(path, line).text, ca, path,
			e.site->text);
	}
	issue_ca_free(certificates);
}

static void check_certificate(struct doctor *d, const char *ca)
{
	const struct doctor_option *o = find(d, ca, "certificate");
	autobuf pem = buf_new(CERT_PEM_MAX), why = buf_new(65536);
	char path[DOCTOR_PATH];
	if (!o || doctor_is_credential(o->value) ||
		!kf_ok(doctor_conf_path(&d->server_conf, o->value, path, sizeof(path))))
		return;
	kf_err e = conf_read_file(path, &pem, &why);
	if (kf_is(e, KF_E_DENIED))
		doctor_unseen(d, CHECK_CA_CERTIFICATE, path, e.site->text);
	else if (!kf_ok(e))
		doctor_tell(d, CA_CERTIFICATE,
			doctor_at(d->server_conf.path, o->line).text, ca, path,
			e.site->text);
	else
		judge_certificate(d, ca, path, buf_slice(&pem));
}

/* ---- its key, as the key server sees it ---- */

#define MAKE_ONE                                                                         \
	"keyfleet key create NAME --use sign,certificate-sign,crl-sign, and a "          \
	"certificate for it (keyfleet key csr NAME)"

/* In what is put together here names are words of a shell only if they are ours: the key is left to the reader. */
static const struct {
	const char *word, *text, *remedy;
} states[] = {
#define X(id, word, text) { word, text, REMEDY_##id },
#define REMEDY_KEY_MISSING                                                               \
	"keyfleet key list    # correct `key` of the section, or make one: " MAKE_ONE
#define REMEDY_KEY_DESTROYED "it never comes back: " MAKE_ONE
#define REMEDY_KEY_ARCHIVED  "recover it (KMIP: Recover)"
#define REMEDY_KEY_INACTIVE                                                              \
	"keyfleet key activate KEY    # one that was revoked gives way to "              \
	"another: " MAKE_ONE
#define REMEDY_KEY_USAGE                                                                 \
	"keyfleet key show KEY    # its Cryptographic Usage Mask lacks Certificate "     \
	"Sign, "                                                                         \
	"or a date has passed; else another one: " MAKE_ONE
#define REMEDY_KEY_OTHER                                                                 \
	"`certificate` and `key` of the section must belong together: keyfleet key csr " \
	"KEY"
#define REMEDY_KEY_LIMITED "a key without Usage Limits: " MAKE_ONE
#define REMEDY_TOO_EARLY   NULL
#define REMEDY_EXPIRED     NULL
#include "op/authority.def"
#undef X
};

static bool has_state(const struct buf *page, const char *ca, const char *word)
{
	char series[192];
	snprintf(series, sizeof(series),
		"keyfleet_authority_state{ca=\"%.64s\",state=\"%s\"}", ca, word);
	return page_value(page, series) > 0;
}

static void judge_key(struct doctor *d, const struct buf *page, const char *ca)
{
	const struct doctor_option *o = find(d, ca, "key");
	const struct doctor_place at = doctor_at(d->server_conf.path, o ? o->line : 0);
	bool is_known = has_state(page, ca, "ready");
	if (is_known)
		doctor_fine(d, CHECK_CA_KEY, ca);
	for (size_t i = 0; !is_known && i < sizeof(states) / sizeof(*states); i++) {
		if (!has_state(page, ca, states[i].word))
			continue;
		is_known = true;
		if (states[i].remedy) /* else its certificate's dates were told */
			doctor_tell(
				d, CA_KEY, at.text, ca, states[i].text, states[i].remedy);
	}
	if (!is_known)
		doctor_unseen(d, CHECK_CA_KEY, ca,
			"the running key server does not have this authority: it "
			"wants a restart");
}

/* ---- all ---- */

/* Each once, at its first option. */
static bool is_first(const struct doctor_conf *c, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(c->item[k].section, "ca") &&
			!strcmp(c->item[k].label, c->item[i].label))
			return false;
	return !strcmp(c->item[i].section, "ca") && c->item[i].label[0];
}

void doctor_authorities(struct doctor *d)
{
	const struct doctor_conf *c = &d->server_conf;
	autobuf page = buf_new(0);
	kf_err e = kf_fail(MISSING, "not asked");
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++) {
		const char *ca = c->item[i].label;
		if (!is_first(c, i))
			continue;
		if (n++ == 0)
			e = doctor_page(d, &page);
		check_certificate(d, ca);
		if (kf_ok(e))
			judge_key(d, &page, ca);
		else
			doctor_unseen(d, CHECK_CA_KEY, ca, e.site->text);
	}
}
