/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's openssl.cnf.  A process reads it once, when it starts: with the provider named in it, every program
 * of the host can load key references, among them the web server's own test and whatever an administrator calls
 * by hand.
 */
#include "base/mem.h"
#include "cli/adopt.h"
#include "cli/snippet.h"
#include <errno.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INCLUDE                                                                          \
	"\n# keyfleet: programs of this host can load key references (keyfleet adopt)\n" \
	".include " ADOPT_OPENSSL_CNF "\n"

enum { CNF_MAX = 1 << 20 };

kf_err adopt_find_openssl_conf(struct adopt *a)
{
	if (a->openssl_conf)
		return slice_to_text(slice_of(a->openssl_conf), a->openssl_path,
			sizeof(a->openssl_path));
	char *path = CONF_get1_default_config_file();
	kf_err e = path ? slice_to_text(slice_of(path), a->openssl_path,
				  sizeof(a->openssl_path))
			: kf_fail(NOMEM, "no memory for a path");
	OPENSSL_free(path);
	return e;
}

/* In a library context of its own, as a program that starts now would do it. */
static bool loads_provider(const char *path)
{
	OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
	bool is_loaded = lib && OSSL_LIB_CTX_load_config(lib, path) &&
			 OSSL_PROVIDER_available(lib, "keyfleet");
	OSSL_LIB_CTX_free(lib);
	ERR_clear_error();
	return is_loaded;
}

static kf_err make_own_conf(struct cli *c)
{
	if (access(ADOPT_OPENSSL_CNF, F_OK) == 0)
		return KF_OK;
	return cli_file_error(c, ADOPT_OPENSSL_CNF,
		file_create(ADOPT_OPENSSL_CNF, slice_of(snippet_text("openssl")), 0644));
}

/* The folder's file may be a link, as in Debian. */
static kf_err read_conf(struct cli *c, const char *path, char real[4096], struct buf *ret)
{
	if (!realpath(path, real))
		return cli_file_error(c, path, file_failed(errno));
	return cli_file_error(c, path, site_disk.read(NULL, real, ret));
}

kf_err adopt_add_include(struct adopt *a)
{
	if (loads_provider(a->openssl_path))
		return KF_OK;
	KF_TRY(make_own_conf(a->cli));
	autobuf text = buf_new(CNF_MAX);
	char real[4096];
	KF_TRY(read_conf(a->cli, a->openssl_path, real, &text));
	if (!pem_has(buf_slice(&text), INCLUDE)) {
		buf_add_text(&text, INCLUDE);
		KF_TRY(buf_err(&text));
		KF_TRY(cli_file_error(
			a->cli, real, file_replace(real, buf_slice(&text))));
	}
	if (loads_provider(a->openssl_path))
		return KF_OK;
	cli_note(a->cli,
		"%s: with `.include " ADOPT_OPENSSL_CNF
		"` the provider is still not loaded; "
		"is "
		"keyfleet.so installed (`openssl version -m`), and does [openssl_init] "
		"name "
		"`providers`?",
		a->openssl_path);
	return kf_fail(CONFIG, "the provider cannot be loaded");
}

kf_err adopt_remove_include(struct cli *c, const char *openssl_conf)
{
	autobuf text = buf_new(CNF_MAX), without = buf_new(CNF_MAX);
	char real[4096];
	KF_TRY(read_conf(c, openssl_conf, real, &text));
	file_clean(real);
	const size_t n = sizeof(INCLUDE) - 1;
	const uint8_t *at = text.n ? memmem(text.p, text.n, INCLUDE, n) : NULL;
	if (!at)
		return KF_OK;
	size_t before = (size_t)(at - text.p);
	buf_add(&without, text.p, before);
	buf_add(&without, at + n, text.n - before - n);
	KF_TRY(buf_err(&without));
	return cli_file_error(c, real, file_replace(real, buf_slice(&without)));
}
