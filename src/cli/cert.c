/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cert.h"
#include "base/clock.h"
#include "base/conf.h"
#include "cli/adopt.h"
#include "client/keyref.h"
#include "kmip/get.h"
#include "kmip/token_admin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void issued_clear(struct issued *i)
{
	buf_free(&i->pem);
	*i = (struct issued){ 0 };
}

/* ---- from the key servers ---- */

static kf_err get_certificate(struct cli *c, const char *id, struct buf *pem)
{
	autopayload p;
	payload_init(&p);
	get_put_request(
		&p.w, &(struct get_request){ .uid = kmip_uid_text(slice_of(id)) });
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_GET, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct get_response a = { 0 };
	KF_TRY(get_get_response(&r, &a));
	if (a.object_type != KMIP_OBJECT_TYPE_CERTIFICATE)
		return kf_fail(OBJECT_TYPE, "the object is no certificate");
	return cert_from_der(a.object.value, pem);
}

static struct slice vendor_text(struct slice attrs, const char *name)
{
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(name) };
	struct ttlv_item it, value = { 0 };
	if (attrs_find_ref(attrs, &ref, 0, &it))
		(void)attrs_find(it.value, TAG_ATTRIBUTE_VALUE, 0, &value);
	return value.type == TTLV_TEXT ? value.value : (struct slice){ 0 };
}

static kf_err fetch(struct cli *c, const char *id, struct slice attrs, struct issued *ret)
{
	int64_t end;
	KF_TRY(slice_to_text(slice_of(id), ret->id, sizeof(ret->id)));
	KF_TRY(slice_to_text(
		vendor_text(attrs, CERTIFY_ATTRIBUTE_CA), ret->ca, sizeof(ret->ca)));
	ret->has_end = attrs_get_date(attrs, TAG_DEACTIVATION_DATE, &end);
	ret->pem = buf_new(2 * CERT_PEM_MAX);
	KF_TRY(get_certificate(c, id, &ret->pem));
	KF_TRY(cert_dates(buf_slice(&ret->pem), &ret->from, &ret->to));
	buf_add_slice(&ret->pem, vendor_text(attrs, CERTIFY_ATTRIBUTE_CHAIN));
	return buf_err(&ret->pem);
}

kf_err issued_get(struct cli *c, const char *id, struct issued *ret)
{
	autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(key_attributes(c, id, &attrs));
	return fetch(c, id, buf_slice(&attrs), ret);
}

kf_err issued_newest(struct cli *c, const char *id, struct issued *ret)
{
	enum { RENEWALS_MAX = 1000 };
	char at[KEY_ID_TEXT];
	KF_TRY(slice_to_text(slice_of(id), at, sizeof(at)));
	for (int i = 0; i < RENEWALS_MAX; i++) {
		autobuf attrs = buf_new(CALL_PAYLOAD_MAX);
		struct slice next;
		KF_TRY(key_attributes(c, at, &attrs));
		if (!attrs_get_link(buf_slice(&attrs),
			    KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &next))
			return fetch(c, at, buf_slice(&attrs), ret);
		KF_TRY(slice_to_text(next, at, sizeof(at)));
	}
	return kf_fail(CONFLICT, "its replacements lead in a circle");
}

/* Which option of the authority's section it is; the server's record says the rest. */
static void tell_remedy(const struct cli *c, kf_err err)
{
	static const struct {
		enum kf_code code;
		const char *text;
	} remedies[] = {
		{ KF_E_UNSUPPORTED,
			"the key server is no authority: a section [ca NAME] "
			"of keyfleetd.conf makes it one, see keyfleetd.conf(5)" },
		{ KF_E_NO_AUTHORITY, "each section [ca NAME] of keyfleetd.conf is one" },
		{ KF_E_NOT_ISSUED_NAME,
			"names, wildcards and networks of its section [ca NAME] in "
			"keyfleetd.conf say whom it issues to" },
		{ KF_E_NOT_ISSUED_KEY,
			"rsa_bits and ec_bits of its section [ca NAME] in keyfleetd.conf "
			"say how small keys may be" },
		{ KF_E_NOT_ISSUED_TIME,
			"valid_max of its section [ca NAME] in keyfleetd.conf says how "
			"long; --days asks for less" },
	};
	for (size_t i = 0; i < sizeof(remedies) / sizeof(*remedies); i++)
		if (kf_is(err, remedies[i].code))
			cli_note(c, "%s", remedies[i].text);
	if (kf_is(err, KF_E_NOT_ISSUED) || kf_is(err, KF_E_NOT_ISSUED_NAME) ||
		kf_is(err, KF_E_NOT_ISSUED_KEY))
		cli_note(c, "`keyfleet audit search` on the key server says what exactly "
			    "was refused");
}

kf_err issued_ask(struct cli *c, uint32_t operation, const struct certify_request *q,
	struct issued *ret)
{
	char id[KEY_ID_TEXT];
	autopayload p;
	payload_init(&p);
	if (operation == KMIP_OPERATION_CERTIFY)
		certify_put_request(&p.w, q);
	else
		recertify_put_request(&p.w, q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	kf_err err = cli_call(c, operation, &p, &answer);
	tell_remedy(c, err);
	KF_TRY(err);
	struct ttlv_reader r = answer_reader(&answer);
	struct certify_response a = { 0 };
	KF_TRY(certify_get_response(&r, &a));
	KF_TRY(slice_to_text(a.uid.text, id, sizeof(id)));
	return issued_newest(c, id, ret);
}

/* An hour ago, as the server has it: some clocks are late.  The object is active at once. */
void issued_put_dates(struct buf *attrs, int64_t until_s)
{
	attrs_add_date(attrs, TAG_ACTIVATION_DATE, clock_wall_s() - 3600);
	if (until_s)
		attrs_add_date(attrs, TAG_DEACTIVATION_DATE, until_s);
}

/* ---- files ---- */

static kf_err take_mode(const struct cli *c, const char *text, struct cert_place *ret)
{
	char *end;
	const unsigned long mode = text ? strtoul(text, &end, 8) : 0;
	if (!text)
		return KF_OK;
	if (text[0] < '0' || text[0] > '7' || *end || mode > 0777) {
		cli_note(c, "--mode %s: three octal digits, like 644", text);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	ret->has_mode = true;
	ret->mode = (unsigned)mode;
	return KF_OK;
}

kf_err cert_may_replace(const struct cli *c, const struct cert_place *p)
{
	autobuf text = buf_new(2 * CERT_PEM_MAX), why = buf_new(4096);
	if (!p->file)
		return KF_OK;
	KF_TRY(cli_file_error(c, p->file, file_may_replace(p->file)));
	if (access(p->file, F_OK))
		return KF_OK;
	kf_err err = conf_read_file(p->file, &text, &why);
	if (!kf_ok(err)) {
		cli_note_lines(c, &why);
		return err;
	}
	if (!pem_has(buf_slice(&text), "PRIVATE KEY-----") &&
		!pem_has(buf_slice(&text), KEYREF_LABEL))
		return KF_OK;
	cli_note(c,
		"%s: the file has a key or a key reference too, which would be lost: "
		"keep the certificate in a file of its own, and let `keyfleet deploy` "
		"put "
		"them together",
		p->file);
	return kf_fail(EXISTS, "the file has a key too");
}

kf_err cert_save(const struct cli *c, const struct cert_place *p, const struct issued *i)
{
	const struct slice pem = buf_slice(&i->pem);
	struct stat was;
	if (!p->file)
		return KF_OK;
	const bool stays = !p->has_mode && !lstat(p->file, &was);
	return cli_file_error(c, p->file,
		stays ? file_replace(p->file, pem)
		      : file_write(p->file, pem, p->has_mode ? p->mode : 0644));
}

/* ---- what is told ---- */

struct cert_report cert_report_new(struct cli *c)
{
	enum { COLUMNS = 5, WITH_CERTIFICATE };
	static const char *const titles[] = { "RESULT", "VALID UNTIL", "CA", "ID", "FILE",
		"CERTIFICATE" };
	return (struct cert_report){ c,
		table_new(c, titles, c->is_json ? WITH_CERTIFICATE : COLUMNS), 0 };
}

static void add_row(struct cert_report *r, const struct cert_place *p, const char *result,
	const struct issued *i)
{
	char until[32] = "";
	autobuf pem = buf_new(2 * CERT_PEM_MAX + 1);
	const time_t to = (time_t)i->to;
	struct tm day;
	strftime(until, sizeof(until), "%Y-%m-%d", gmtime_r(&to, &day));
	buf_add_slice(&pem, buf_slice(&i->pem));
	buf_add_u8(&pem, 0);
	r->rows++;
	table_row(r->table, (const char *const[]){ result, until, i->ca, i->id,
				    p->file ? p->file : "",
				    kf_ok(buf_err(&pem)) ? (const char *)pem.p : "" });
}

static bool is_told(const struct cert_report *r, const struct cert_place *p)
{
	return r->cli->is_json || (p->file && !r->cli->is_quiet);
}

void cert_report_new_one(struct cert_report *r, const struct cert_place *p,
	const char *result, const struct issued *i)
{
	if (is_told(r, p))
		add_row(r, p, result, i);
	else if (!p->file)
		fwrite(i->pem.p, 1, i->pem.n, stdout);
}

void cert_report_not_due(
	struct cert_report *r, const struct cert_place *p, const struct issued *i)
{
	if (is_told(r, p))
		add_row(r, p, "not due", i);
	else if (!p->file && !r->cli->is_quiet)
		cli_note(r->cli, "%s: not due; --force renews it all the same", i->id);
}

kf_err cert_report_end(struct cert_report *r)
{
	const bool has_table = r->cli->is_json || r->rows;
	const kf_err err = table_end(
		r->table, has_table ? KF_OK : kf_fail(NOT_FOUND, "there are no rows"));
	return has_table ? err : KF_OK;
}

/* ---- dates ---- */

static kf_err take_days(
	const struct cli *c, const char *option, const char *text, int64_t *ret_days)
{
	enum { DAYS_MAX = 36500 };
	char *end;
	const unsigned long days = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || days > DAYS_MAX) {
		cli_note(c, "--%s %s: a number of days", option, text);
		return kf_fail(INVALID_FIELD, "see --help");
	}
	*ret_days = (int64_t)days;
	return KF_OK;
}

kf_err cert_check_terms(const struct cli *c, struct cert_terms *t)
{
	t->within_days = -1;
	KF_TRY(take_mode(c, t->mode, &t->place));
	if (t->days)
		KF_TRY(take_days(c, "days", t->days, &t->lasts_days));
	if (t->days && !t->lasts_days)
		return kf_fail(INVALID_FIELD, "--days: one day at least");
	return t->within ? take_days(c, "within", t->within, &t->within_days) : KF_OK;
}

bool cert_is_due(int64_t from, int64_t to, int64_t within_days)
{
	const int64_t before =
		within_days < 0 ? (to - from) / 3 : within_days * CERT_DAY_S;
	return clock_wall_s() >= to - before;
}
