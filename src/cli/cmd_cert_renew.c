/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet cert renew: a new certificate in the place of one, for timers and hooks (KMIP: Re-certify).
 */
#include "base/clock.h"
#include "base/conf.h"
#include "cli/cert.h"
#include "crypt/pubkey.h"
#include <string.h>
#include <sys/stat.h>

/* Nothing was due: what would follow a renewal need not. */
enum { STATUS_NOT_DUE = 3 };

struct renewing {
	struct cli *cli;
	struct cert_terms terms;
	struct cert_report report;
	size_t renewed;
};

/* ---- which one ---- */

static bool is_file(const char *path)
{
	struct stat st;
	return !stat(path, &st) && S_ISREG(st.st_mode);
}

/* The first certificate of the file is the one. */
static kf_err find_of_file(
	struct renewing *q, const char *path, struct issued *ret, char id[KEY_ID_TEXT])
{
	autobuf why = buf_new(4096), der = buf_new(CERT_PEM_MAX);
	ret->pem = buf_new(2 * CERT_PEM_MAX);
	kf_err err = conf_read_file(path, &ret->pem, &why);
	if (!kf_ok(err)) {
		cli_note_lines(q->cli, &why);
		return err;
	}
	const struct slice pem = buf_slice(&ret->pem);
	err = cert_to_der(pem, &der);
	if (kf_ok(err))
		err = cert_dates(pem, &ret->from, &ret->to);
	if (kf_ok(err) && !q->terms.is_forced &&
		!cert_is_due(ret->from, ret->to, q->terms.within_days))
		return KF_OK; /* the key servers need not be asked */
	if (kf_ok(err))
		err = certificate_find(q->cli, buf_slice(&der), id);
	return cli_file_error(q->cli, path, err);
}

/* ---- a new one ---- */

/* As long as the old one, where that was asked for once. */
static int64_t end_of(const struct renewing *q, const struct issued *old)
{
	const int64_t now = clock_wall_s();
	if (q->terms.days)
		return now + q->terms.lasts_days * CERT_DAY_S;
	return old->has_end ? now + (old->to - old->from - 3600) : 0;
}

static kf_err ask(struct renewing *q, const struct issued *old, struct issued *ret)
{
	autobuf attrs = buf_new(4096);
	issued_put_dates(&attrs, end_of(q, old));
	KF_TRY(buf_err(&attrs));
	const struct certify_request w = { .uid = kmip_uid_text(slice_of(old->id)),
		.attributes = buf_slice(&attrs) };
	return issued_ask(q->cli, KMIP_OPERATION_RE_CERTIFY, &w, ret);
}

static kf_err put(struct renewing *q, const struct cert_place *p, const char *result,
	const struct issued *i)
{
	KF_TRY(cert_save(q->cli, p, i));
	cert_report_new_one(&q->report, p, result, i);
	q->renewed++;
	return KF_OK;
}

/* Whoever may set attributes of a key or a certificate at the key servers can have it lead to another one. */
static kf_err check_same(bool is_same)
{
	return is_same ? KF_OK
		       : kf_fail(CONFLICT, "what is said to replace the certificate is "
					   "for another key: issue a new one");
}

static kf_err find_newest(struct renewing *q, const char *id, const struct issued *first,
	struct issued *ret)
{
	bool is_same = false;
	KF_TRY(issued_newest(q->cli, id, ret));
	KF_TRY(cert_have_one_key(buf_slice(&first->pem), buf_slice(&ret->pem), &is_same));
	return check_same(is_same);
}

/* Somebody else may have renewed it, for another host: then that one is taken.  first: the certificate itself, from the
 * file or the key servers. */
static kf_err renew(struct renewing *q, const struct cert_place *p, const char *id,
	const struct issued *first, bool is_in_file)
{
	struct issued old = { 0 }, new = { 0 };
	KF_TRY(cert_may_replace(q->cli, p));
	kf_err err = find_newest(q, id, first, &old);
	const bool is_due =
		q->terms.is_forced ||
		(kf_ok(err) && cert_is_due(old.from, old.to, q->terms.within_days));
	if (kf_ok(err) && is_due)
		err = ask(q, &old, &new);
	if (kf_ok(err) && is_due)
		err = put(q, p, "renewed", &new);
	else if (kf_ok(err) && is_in_file)
		err = put(q, p, "taken over", &old);
	else if (kf_ok(err))
		cert_report_not_due(&q->report, p, &old);
	issued_clear(&old);
	issued_clear(&new);
	return err;
}

static kf_err renew_file(struct renewing *q, const char *path)
{
	const struct cert_place p = { path, q->terms.place.has_mode,
		q->terms.place.mode };
	struct issued old = { 0 };
	char id[KEY_ID_TEXT] = "";
	kf_err err = find_of_file(q, path, &old, id);
	if (kf_ok(err) && id[0])
		err = renew(q, &p, id, &old, true);
	else if (kf_ok(err))
		cert_report_not_due(&q->report, &p, &old);
	issued_clear(&old);
	return err;
}

/* Whoever names a key means its newest certificate. */
static kf_err certificate_of(
	struct cli *c, const char *name, const char *id, char ret[KEY_ID_TEXT])
{
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	struct slice link = slice_of(id);
	uint32_t type = 0;
	KF_TRY(key_attributes(c, id, &attrs));
	(void)attrs_get_enum(buf_slice(&attrs), TAG_OBJECT_TYPE, &type);
	if (type != KMIP_OBJECT_TYPE_CERTIFICATE &&
		!attrs_get_link(
			buf_slice(&attrs), KMIP_LINK_TYPE_CERTIFICATE_LINK, &link))
		return cli_file_error(c, name,
			kf_fail(NOT_FOUND, "no certificate of it is at the key servers"));
	return slice_to_text(link, ret, KEY_ID_TEXT);
}

/* That it is of the key which was named. */
static kf_err check_key(
	struct renewing *q, const struct key_ids *ids, const struct issued *i)
{
	CLEANUP(pubkey_freep) struct pubkey *its = NULL;
	autobuf spki = buf_new(SPKI_MAX);
	if (!strcmp(ids->id, i->id))
		return KF_OK; /* the certificate itself was */
	KF_TRY(key_spki(q->cli, ids, &spki));
	KF_TRY(pubkey_from_pem(buf_slice(&i->pem), &its));
	return check_same(slice_eq(pubkey_spki(its), buf_slice(&spki)));
}

static kf_err renew_object(struct renewing *q, const char *name)
{
	struct key_ids ids;
	struct issued first = { 0 };
	char id[KEY_ID_TEXT];
	kf_err err = key_find(q->cli, name, &ids);
	if (kf_is(err, KF_E_NOT_FOUND) && !q->terms.place.file)
		cli_note(q->cli, "%s: there is no such file either", name);
	KF_TRY(err);
	KF_TRY(certificate_of(q->cli, name, ids.id, id));
	err = issued_get(q->cli, id, &first);
	if (kf_ok(err))
		err = check_key(q, &ids, &first);
	if (kf_ok(err))
		err = renew(q, &q->terms.place, id, &first, false);
	issued_clear(&first);
	return err;
}

/* Each, whatever became of the others; the first error is that of the command. */
static kf_err renew_all(struct renewing *q)
{
	kf_err first = KF_OK;
	for (int i = 0; i < q->cli->argc; i++) {
		const char *what = q->cli->argv[i];
		kf_err err = !q->terms.place.file && is_file(what)
				     ? renew_file(q, what)
				     : renew_object(q, what);
		if (kf_ok(first))
			first = err;
		if (!kf_ok(err) && q->cli->argc > 1)
			cli_note(q->cli, "%s: not renewed: %s", what, err.site->text);
	}
	return first;
}

/* ---- the command line ---- */

static kf_err check(struct renewing *q)
{
	KF_TRY(cli_operands(q->cli, 1, q->terms.place.file ? 1 : CLI_LIST_MAX));
	return cert_check_terms(q->cli, &q->terms);
}

static kf_err run_renew(struct cli *c)
{
	struct renewing q = { .cli = c };
	const struct cli_option options[] = { { "days", &q.terms.days, NULL },
		{ "within", &q.terms.within, NULL }, { "out", &q.terms.place.file, NULL },
		{ "mode", &q.terms.mode, NULL }, { "force", NULL, &q.terms.is_forced } };
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(*options)));
	KF_TRY(check(&q));
	q.report = cert_report_new(c);
	kf_err err = renew_all(&q);
	if (kf_ok(err) && !q.renewed)
		c->exit_status = STATUS_NOT_DUE;
	/* What was renewed is told although something else was not. */
	const kf_err told = cert_report_end(&q.report);
	return kf_ok(err) ? told : err;
}

const struct command command_cert_renew = {
	.words = "cert renew",
	.args = "FILE...|NAME|ID... [--within DAYS] [--days N] [--out FILE] [--mode "
		"MODE]",
	.summary = "renew a certificate that an authority of the key servers issued",
	.help = "FILE has a certificate, PEM: when it is due the new one takes its "
		"place, "
		"all at once, with\n"
		"owner and mode of the file; one that was renewed from elsewhere already "
		"is taken over.\n"
		"Of a certificate that is named otherwise the new one is printed, or "
		"written to --out.\n"
		"Key and names stay.  Exit status: 0 something is new, 3 nothing was "
		"due, 1 "
		"something failed,\nso that what shall follow a renewal is, with one "
		"FILE a command:\n\n"
		"  keyfleet cert renew /etc/ssl/www.pem && keyfleet deploy "
		"/etc/ssl/www.pem\n\n"
		"  --within DAYS  due is what ends in so many days [a third of its "
		"life]\n"
		"  --force        renew what is not due\n"
		"  --days N       how long the new one is good [as long as the old one]\n"
		"  --out FILE     with NAME or ID: where it goes\n"
		"  --mode MODE    of the file [as it was, else 644]\n",
	.run = run_renew,
};
