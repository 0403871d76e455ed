/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet client: who may connect.  A certificate is made here, by the administrator's authority; the
 * key server learns its name and fingerprint, never a private key.
 */
#include "base/conf.h"
#include "cli/authority.h"
#include "cli/call.h"
#include "cli/config.h"
#include "kmip/admin.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct enrolment {
	struct cli *cli;
	const char *name;
	const char *csr, *out, *ca_dir, *owner; /* options */
	bool is_renewal;
	char out_dir[4096];
	struct cert cert;
};

static kf_err read_csr(const struct enrolment *e, struct buf *ret)
{
	if (!e->csr)
		return KF_OK;
	autobuf why = buf_new(4096);
	kf_err err = conf_read_file(e->csr, ret, &why);
	if (!kf_ok(err))
		cli_note_lines(e->cli, &why);
	return err;
}

static kf_err make_certificate(struct enrolment *e)
{
	struct authority a = { 0 };
	KF_TRY(authority_open(e->cli, e->ca_dir, &a));
	autobuf csr = buf_new(CERT_PEM_MAX);
	kf_err err = read_csr(e, &csr);
	if (kf_ok(err)) {
		const struct cert_wish wish = { .role = CERT_CLIENT,
			.common_name = e->name,
			.csr = buf_slice(&csr) };
		err = authority_issue(&a, &wish, &e->cert);
	}
	authority_close(&a);
	return err;
}

static kf_err enrol(const struct enrolment *e)
{
	uint8_t fingerprint[FINGERPRINT_SIZE];
	struct client_add_request q = {
		.name = slice_of(e->name),
		.fingerprint = { fingerprint, sizeof(fingerprint) },
	};
	KF_TRY(cert_fingerprint(buf_slice(&e->cert.pem), fingerprint));
	KF_TRY(cert_not_after(buf_slice(&e->cert.pem), &q.not_after));
	autopayload p;
	payload_init(&p);
	client_add_put_request(&p.w, &q);
	return cli_tell(e->cli, KMIP_OPERATION_CLIENT_ADD, &p);
}

static kf_err out_path(
	const struct enrolment *e, const char *ending, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/%s%s", e->out_dir, e->name, ending);
	return n < 0 || (size_t)n >= size ? kf_fail(TOO_BIG, "the path is too long")
					  : KF_OK;
}

/* A renewal replaces the files of before, and keeps the key file when the key stays (a CSR). */
static kf_err save(const struct enrolment *e)
{
	char cert[4096], key[4096];
	KF_TRY(out_path(e, ".pem", cert, sizeof(cert)));
	KF_TRY(out_path(e, ".key", key, sizeof(key)));
	kf_err (*put)(const char *, struct slice, unsigned) =
		e->is_renewal ? file_write : file_create;
	if (!e->csr)
		KF_TRY(cli_file_error(
			e->cli, key, put(key, buf_slice(&e->cert.key_pem), 0600)));
	kf_err err = KF_OK;
	if (!e->csr && e->owner)
		err = cli_file_error(e->cli, key, file_give(key, e->owner));
	if (kf_ok(err))
		err = cli_file_error(
			e->cli, cert, put(cert, buf_slice(&e->cert.pem), 0644));
	if (!kf_ok(err) && !e->csr && !e->is_renewal)
		unlink(key); /* we have just made it */
	KF_TRY(err);
	if (!e->cli->is_quiet)
		printf("%s%s%s\n", cert, e->csr ? "" : "\n", e->csr ? "" : key);
	return KF_OK;
}

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n <= 64 && s[0] != '.' && s[0] != '-' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789."
			 "_-") == n;
}

static void forget_files(const struct enrolment *e)
{
	char path[4096];
	if (kf_ok(out_path(e, ".pem", path, sizeof(path))))
		unlink(path);
	if (!e->csr && kf_ok(out_path(e, ".key", path, sizeof(path))))
		unlink(path);
}

/* The files first: a client that is let in without having its certificate is worse than the other way.
 * When it is certain that the client was not let in, they go again, and the command can be repeated. */
static kf_err add(const struct enrolment *e)
{
	KF_TRY(save(e));
	kf_err err = enrol(e);
	if (!kf_ok(err) && !kf_is(err, KF_E_OUTCOME_UNKNOWN)) {
		forget_files(e);
	} else if (!kf_ok(err)) {
		cli_note(e->cli, "look at `keyfleet client list` whether it was let in");
	}
	return err;
}

/* True: one of the name is let in now. */
static kf_err find_active(struct cli *c, const char *name, bool *ret)
{
	struct list_pages pages = { .operation = KMIP_OPERATION_CLIENT_LIST };
	kf_err e;
	*ret = false;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct admin_client a;
		while (admin_client_next(&r, &a))
			*ret |= slice_is(a.name, name) && !a.is_revoked;
	}
	return e;
}

/* Here the files come last: until the new certificate is let in, the client needs the old one. */
static kf_err renew(const struct enrolment *e)
{
	bool is_active;
	KF_TRY(find_active(e->cli, e->name, &is_active));
	if (!is_active) {
		cli_note(e->cli,
			"%s: no such client, or it was revoked; see `keyfleet client "
			"list`",
			e->name);
		return kf_fail(NOT_FOUND, "nothing to renew");
	}
	KF_TRY(enrol(e));
	return save(e);
}

/* Known before a certificate is made: a renewal that fails half-way locks the client out. */
static kf_err check_owner(const struct enrolment *e)
{
	if (!e->owner)
		return KF_OK;
	if (e->csr)
		return kf_fail(INVALID_FIELD, "--owner is for the key file, and with "
					      "--csr none is made");
	return cli_file_error(e->cli, e->owner, file_may_give(e->owner));
}

static kf_err run_enrolment(struct cli *c, bool is_renewal)
{
	struct enrolment e = { .cli = c, .is_renewal = is_renewal };
	const struct cli_option options[] = {
		{ "csr", &e.csr, NULL },
		{ "out", &e.out, NULL },
		{ "ca-dir", &e.ca_dir, NULL },
		{ "owner", &e.owner, NULL },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 1, 1));
	e.name = c->argv[0];
	if (!is_name(e.name))
		return kf_fail(INVALID_FIELD, "a client's name is 1 to 64 letters, "
					      "digits, dots, hyphens, underscores");
	KF_TRY(check_owner(&e));
	char authority[4096];
	KF_TRY(config_dir(c, e.out, e.out_dir, sizeof(e.out_dir)));
	KF_TRY(config_authority(c, e.ca_dir, authority, sizeof(authority)));
	e.ca_dir = authority;

	kf_err err = make_certificate(&e);
	if (kf_ok(err))
		err = is_renewal ? renew(&e) : add(&e);
	cert_free(&e.cert);
	return err;
}

static kf_err run_add(struct cli *c) { return run_enrolment(c, false); }
static kf_err run_renew(struct cli *c) { return run_enrolment(c, true); }

static void add_row(struct table *t, const struct admin_client *a)
{
	char name[128], until[32], fingerprint[FINGERPRINT_SIZE * 2 + 1] = "";
	if (!kf_ok(slice_to_text(a->name, name, sizeof(name))))
		return;
	time_t when = (time_t)a->not_after;
	struct tm day;
	strftime(until, sizeof(until), "%Y-%m-%d", gmtime_r(&when, &day));
	for (size_t i = 0; i < a->fingerprint.n && i < FINGERPRINT_SIZE; i++)
		sprintf(fingerprint + 2 * i, "%02x", a->fingerprint.p[i]);
	const char *cells[] = { name, a->is_revoked ? "revoked" : "active", until,
		fingerprint };
	table_row(t, cells);
}

static kf_err run_list(struct cli *c)
{
	static const char *const titles[] = { "NAME", "STATE", "VALID UNTIL",
		"FINGERPRINT" };
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 0));
	struct table *t = table_new(c, titles, 4);
	struct list_pages pages = { .operation = KMIP_OPERATION_CLIENT_LIST };
	kf_err e;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct admin_client a;
		while (admin_client_next(&r, &a))
			add_row(t, &a);
	}
	return table_end(t, e);
}

static kf_err run_revoke(struct cli *c)
{
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 1, 1));
	autopayload p;
	payload_init(&p);
	const struct client_revoke_request q = { .name = slice_of(c->argv[0]) };
	client_revoke_put_request(&p.w, &q);
	return cli_tell(c, KMIP_OPERATION_CLIENT_REVOKE, &p);
}

const struct command command_client_add = {
	.words = "client add",
	.args = "NAME [--csr FILE] [--out DIR] [--ca-dir CADIR] [--owner USER]",
	.summary = "make a client's certificate and let it in",
	.help = "  --csr FILE      certify this request's public key; the private key "
		"stays where it is\n"
		"  --out DIR       where NAME.pem and NAME.key go [folder of the "
		"configuration]\n"
		"  --ca-dir CADIR  where the authority's key is [what the configuration "
		"says]\n"
		"  --owner USER    who gets NAME.key: keyfleet-agent for the agent of "
		"this host\n"
		"\nA new client may do nothing: see `keyfleet grant add`.\n",
	.run = run_add,
};
const struct command command_client_renew = {
	.words = "client renew",
	.args = "NAME [--csr FILE] [--out DIR] [--ca-dir CADIR] [--owner USER]",
	.summary = "make a client's next certificate; the old one stays valid until it "
		   "expires",
	.run = run_renew,
};
const struct command command_client_list = {
	.words = "client list",
	.args = "",
	.summary = "list clients and their certificates",
	.run = run_list,
};
const struct command command_client_revoke = {
	.words = "client revoke",
	.args = "NAME",
	.summary = "let a client in no more, with any certificate",
	.run = run_revoke,
};
