/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet cert issue: a certificate for a key of the key servers, or for a request, by one of their authorities
 * (KMIP: Certify).
 */
#include "base/clock.h"
#include "base/conf.h"
#include "cli/cert.h"
#include "cli/key_csr.h"
#include "kmip/token_admin.h"
#include <string.h>
#include <unistd.h>

struct issuing {
	struct cli *cli;
	struct key_csr key; /* .key NULL: a request is brought */
	const char *csr, *ca, *profile, *name;
	struct cert_terms terms;
	struct key_ids ids;
	struct buf request;
};

/* ---- what there is ---- */

static kf_err fits_key(const struct issuing *q, struct slice pem, bool *ret)
{
	char text[KEY_CSR_NAMES_MAX] = "";
	const char *sans[SAN_MAX + 1];
	autobuf spki = buf_new(SPKI_MAX);
	KF_TRY(slice_to_text(slice_of(q->key.names), text, sizeof(text)));
	KF_TRY(key_csr_names(text, sans, SAN_MAX + 1));
	KF_TRY(key_spki(q->cli, &q->ids, &spki));
	return cert_is_for(pem, buf_slice(&spki), sans, ret);
}

/* The file has what is asked for, and for long enough: nobody needs another one. */
static kf_err is_there(const struct issuing *q, struct issued *ret, bool *ret_is)
{
	autobuf why = buf_new(4096);
	bool fits = false;
	*ret_is = false;
	if (!q->terms.place.file || q->terms.is_forced ||
		access(q->terms.place.file, F_OK))
		return KF_OK;
	ret->pem = buf_new(2 * CERT_PEM_MAX);
	kf_err err = conf_read_file(q->terms.place.file, &ret->pem, &why);
	const struct slice pem = buf_slice(&ret->pem);
	if (!kf_ok(err)) {
		cli_note_lines(q->cli, &why);
		return err;
	}
	/* Whatever else is in the file gives way. */
	if (!kf_ok(cert_dates(pem, &ret->from, &ret->to)))
		return KF_OK;
	KF_TRY(q->key.key ? fits_key(q, pem, &fits)
			  : cert_is_for_request(pem, buf_slice(&q->request), &fits));
	*ret_is = fits && !cert_is_due(ret->from, ret->to, q->terms.within_days);
	return KF_OK;
}

/* ---- what is asked for ---- */

static kf_err read_request(struct issuing *q)
{
	autobuf why = buf_new(4096);
	q->request = buf_new(CERT_PEM_MAX);
	if (q->key.key)
		return key_find(q->cli, q->key.key, &q->ids);
	kf_err err = conf_read_file(q->csr, &q->request, &why);
	if (!kf_ok(err))
		cli_note_lines(q->cli, &why);
	return err;
}

static bool is_pem(struct slice s) { return memmem(s.p, s.n, "-----BEGIN ", 11) != NULL; }

static void add_text(struct buf *attrs, const char *name, const char *value)
{
	if (value)
		attrs_add_vendor_text(attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR),
			slice_of(name), slice_of(value));
}

static kf_err ask(struct issuing *q, struct issued *ret)
{
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	if (q->key.key)
		KF_TRY(key_csr_make(q->cli, &q->key, &q->ids, &q->request));
	if (q->name)
		attrs_add_name(&attrs, slice_of(q->name));
	issued_put_dates(&attrs,
		q->terms.days ? clock_wall_s() + q->terms.lasts_days * CERT_DAY_S : 0);
	add_text(&attrs, CERTIFY_ATTRIBUTE_CA, q->ca);
	add_text(&attrs, CERTIFY_ATTRIBUTE_PROFILE, q->profile);
	KF_TRY(buf_err(&attrs));
	const struct slice request = buf_slice(&q->request);
	struct certify_request w = {
		.request_type = is_pem(request) ? KMIP_CERTIFICATE_REQUEST_TYPE_PEM
						: KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
		.request = request,
		.attributes = buf_slice(&attrs)
	};
	if (q->key.key)
		w.uid = kmip_uid_text(slice_of(q->ids.public_key));
	KF_TRY(issued_ask(q->cli, KMIP_OPERATION_CERTIFY, &w, ret));
	if (q->terms.days &&
		ret->to < clock_wall_s() + (q->terms.lasts_days - 1) * CERT_DAY_S)
		cli_note(q->cli, "it ends with its authority, before %s days are over",
			q->terms.days);
	return KF_OK;
}

static kf_err issue(struct issuing *q, struct issued *i)
{
	bool has = false;
	KF_TRY(cert_may_replace(q->cli, &q->terms.place));
	KF_TRY(read_request(q));
	KF_TRY(is_there(q, i, &has));
	if (!has) {
		issued_clear(i);
		KF_TRY(ask(q, i));
		KF_TRY(cert_save(q->cli, &q->terms.place, i));
	}
	struct cert_report report = cert_report_new(q->cli);
	if (has)
		cert_report_not_due(&report, &q->terms.place, i);
	else
		cert_report_new_one(&report, &q->terms.place, "issued", i);
	return cert_report_end(&report);
}

/* ---- the command line ---- */

static kf_err check(struct issuing *q)
{
	KF_TRY(cli_operands(q->cli, q->csr ? 0 : 1, q->csr ? 0 : 1));
	q->key.key = q->csr ? NULL : q->cli->argv[0];
	if (q->csr && (q->key.names || q->key.subject))
		return kf_fail(INVALID_FIELD, "the request has its names: --csr goes "
					      "without --names and --subject");
	if (!q->csr && !q->key.names && !q->key.subject)
		return kf_fail(INVALID_FIELD, "whom is it for? --names NAME,...");
	if (q->terms.mode && !q->terms.place.file)
		return kf_fail(INVALID_FIELD, "--mode is for --out FILE");
	return cert_check_terms(q->cli, &q->terms);
}

static kf_err run_issue(struct cli *c)
{
	struct issuing q = { .cli = c };
	struct issued i = { 0 };
	const struct cli_option options[] = { { "csr", &q.csr, NULL },
		{ "ca", &q.ca, NULL }, { "days", &q.terms.days, NULL },
		{ "names", &q.key.names, NULL }, { "subject", &q.key.subject, NULL },
		{ "profile", &q.profile, NULL }, { "name", &q.name, NULL },
		{ "out", &q.terms.place.file, NULL }, { "mode", &q.terms.mode, NULL },
		{ "within", &q.terms.within, NULL },
		{ "force", NULL, &q.terms.is_forced } };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(check(&q));
	kf_err err = issue(&q, &i);
	issued_clear(&i);
	buf_free(&q.request);
	return err;
}

const struct command command_cert_issue = {
	.words = "cert issue",
	.args = "KEY --names NAME,...|--csr FILE [--ca NAME] [--days N] [--out FILE]",
	.summary = "have a certificate issued by an authority of the key servers",
	.help = "KEY is a key pair of the key servers, by name or id.  The certificate "
		"is "
		"printed, PEM, those\n"
		"above it behind it, as web servers want it; or written to FILE, unless "
		"it has such a\n"
		"certificate already that is not due.\n\n"
		"  --names NAME,...  DNS names and addresses\n"
		"  --subject NAME    [CN= the first DNS name]\n"
		"  --csr FILE        a request (PKCS#10, PEM or DER) for a key that is "
		"elsewhere\n"
		"  --ca NAME         the authority, a section [ca NAME] of the key "
		"server "
		"[its first]\n"
		"  --profile WORD    what it is for: server or client [the authority's "
		"first]\n"
		"  --days N          how long it is good [as the authority has it]\n"
		"  --name NAME       name of the certificate's object, for `cert renew` "
		"and `key show`\n"
		"  --out FILE        write it there, all at once\n"
		"  --mode MODE       of FILE [that of the file that is there, else 644]\n"
		"  --within DAYS     due is what ends in so many days [a third of its "
		"life]\n"
		"  --force           issue it whatever FILE has\n",
	.run = run_issue,
};
