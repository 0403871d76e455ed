/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/authority.h"
#include "base/conf.h"

struct paths {
	char cert[4096], key[4096];
};

static kf_err find_paths(const char *dir, struct paths *ret)
{
	KF_TRY(path_join(dir, "ca.pem", ret->cert, sizeof(ret->cert)));
	return path_join(dir, "ca.key", ret->key, sizeof(ret->key));
}

static kf_err read_both(const struct paths *p, struct authority *ret, struct buf *why)
{
	KF_TRY(conf_read_file(p->cert, &ret->ca_pem, why));
	return conf_read_secret(p->key, &ret->ca_key, why);
}

kf_err authority_open(const struct cli *c, const char *dir, struct authority *ret)
{
	struct paths p;
	KF_TRY(find_paths(dir, &p));
	autobuf why = buf_new(4096);
	struct authority a = { buf_new(CERT_PEM_MAX), buf_new(CERT_PEM_MAX) };
	kf_err e = read_both(&p, &a, &why);
	if (kf_ok(e)) {
		*ret = a;
		return KF_OK;
	}
	authority_close(&a);
	if (why.n)
		cli_note_lines(c, &why);
	return e;
}

static kf_err make(const struct cli *c, const struct paths *p, struct authority *ret)
{
	struct cert ca = { 0 };
	struct cert_wish wish = { .role = CERT_CA, .common_name = "keyfleet authority" };
	KF_TRY(cert_make_ca(&wish, &ca));
	kf_err e = cli_file_error(
		c, p->key, file_create(p->key, buf_slice(&ca.key_pem), 0600));
	if (kf_ok(e))
		e = cli_file_error(
			c, p->cert, file_create(p->cert, buf_slice(&ca.pem), 0644));
	if (!kf_ok(e)) {
		cert_free(&ca);
		return e;
	}
	*ret = (struct authority){ ca.pem, ca.key_pem };
	return KF_OK;
}

static bool is_there(const char *path)
{
	autobuf bytes = buf_new(CERT_PEM_MAX);
	autobuf why = buf_new(4096);
	return !kf_is(conf_read_file(path, &bytes, &why), KF_E_NOT_FOUND);
}

kf_err authority_open_or_make(const struct cli *c, const char *dir, struct authority *ret)
{
	struct paths p;
	KF_TRY(find_paths(dir, &p));
	bool has_cert = is_there(p.cert), has_key = is_there(p.key);
	if (!has_cert && !has_key)
		return make(c, &p, ret);
	if (has_cert != has_key) {
		cli_note(c, "%s is missing", has_cert ? p.key : p.cert);
		return kf_fail(
			NOT_FOUND, "half of the authority is not there; bring it back");
	}
	return authority_open(c, dir, ret);
}

void authority_close(struct authority *a)
{
	buf_free(&a->ca_pem);
	buf_free(&a->ca_key);
}

kf_err authority_issue(
	const struct authority *a, const struct cert_wish *wish, struct cert *ret)
{
	return cert_issue(buf_slice(&a->ca_pem), buf_slice(&a->ca_key), wish, ret);
}
