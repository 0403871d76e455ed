/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet deploy: a renewed certificate takes the place of the old one wherever this host serves the same key, for
 * the hooks of ACME clients.  It needs no administrator: the reference on this host says which key it is.
 */
#include "base/mem.h"
#include "cli/adopt.h"
#include "cli/control.h"
#include "client/keyref.h"
#include "crypt/pubkey.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPLOY_STATE_DIR "/var/lib/keyfleet/deploy"

struct deploy {
	struct cli *cli;
	const char *path, *server, *file, *state_dir;
	bool has_no_reload;

	struct buf chain;
	struct pubkey *key;
	size_t places; /* where the certificate is served, on all servers */

	/* of the server at hand */
	enum site_kind kind;
	struct site site;
	struct server process;
	bool *is_ours;               /* one for each pair of the site */
	bool is_by_socket, was_told; /* the running server has seen new files */
};

/* ---- what fits ---- */

static bool has_same_key(
	const struct deploy *d, struct slice text, struct keyref *ret, struct buf *der)
{
	return kf_ok(keyref_get_pem(text, der, ret)) &&
	       slice_eq(ret->spki, pubkey_spki(d->key));
}

static bool fits(const struct deploy *d, const struct site_pair *p)
{
	autobuf text = buf_new(ADOPT_PEM_MAX), der = buf_new(KEYREF_DER_MAX);
	struct keyref ref;
	return !p->why_not && kf_ok(site_disk.read(NULL, p->key.text, &text)) &&
	       has_same_key(d, buf_slice(&text), &ref, &der);
}

static kf_err find_pairs(struct deploy *d, size_t *ret)
{
	*ret = 0;
	d->is_ours = calloc(d->site.n_pairs + 1, sizeof(*d->is_ours));
	if (!d->is_ours)
		return kf_fail(NOMEM, "no memory for a list");
	for (size_t i = 0; i < d->site.n_pairs; i++)
		*ret += d->is_ours[i] = fits(d, &d->site.pairs[i]);
	return KF_OK;
}

/* ---- files ---- */

static bool is_new_one(const struct deploy *d, const char *path)
{
	char a[4096], b[4096];
	return realpath(d->path, a) && realpath(path, b) && !strcmp(a, b);
}

/* The certificate's file as it will be: with the reference behind it where one file holds both. */
static kf_err new_text(const struct deploy *d, const struct site_pair *p, struct buf *ret)
{
	buf_add_slice(ret, buf_slice(&d->chain));
	if (ret->n && ret->p[ret->n - 1] != '\n')
		buf_add_u8(ret, '\n');
	if (p->shape != SITE_BUNDLE)
		return buf_err(ret);
	autobuf text = buf_new(ADOPT_PEM_MAX), der = buf_new(KEYREF_DER_MAX);
	struct keyref ref;
	KF_TRY(site_disk.read(NULL, p->key.text, &text));
	KF_TRY(keyref_get_pem(buf_slice(&text), &der, &ref));
	keyref_put_pem(ret, &ref);
	return buf_err(ret);
}

static bool comes_again(const struct deploy *d, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (d->is_ours[i] && !strcmp(d->site.pairs[i].certificate.text,
					     d->site.pairs[at].certificate.text))
			return true;
	return false;
}

static kf_err collect(struct deploy *d, struct change *change)
{
	for (size_t i = 0; i < d->site.n_pairs; i++) {
		const struct site_pair *p = &d->site.pairs[i];
		if (!d->is_ours[i] || comes_again(d, i))
			continue;
		d->places++;
		if (is_new_one(d, p->certificate.text))
			continue; /* the ACME client has written it there itself */
		autobuf text = buf_new(2 * ADOPT_PEM_MAX);
		KF_TRY(new_text(d, p, &text));
		KF_TRY(cli_file_error(d->cli, p->certificate.text,
			change_add(change, p->certificate.text, buf_slice(&text))));
	}
	return KF_OK;
}

/* ---- the server ---- */

/* HAProxy takes a certificate over its socket, without new workers. */
static kf_err tell_haproxy(struct deploy *d, const char *socket)
{
	for (size_t i = 0; i < d->site.n_pairs; i++) {
		const struct site_pair *p = &d->site.pairs[i];
		if (!d->is_ours[i] || comes_again(d, i))
			continue;
		autobuf text = buf_new(2 * ADOPT_PEM_MAX);
		KF_TRY(site_disk.read(NULL, p->certificate.text, &text));
		if (p->shape == SITE_BESIDE)
			KF_TRY(site_disk.read(NULL, p->key.text, &text));
		KF_TRY(control_set_certificate(
			socket, p->certificate.text, buf_slice(&text)));
	}
	return KF_OK;
}

static kf_err take_up(struct deploy *d)
{
	char socket[4096];
	d->was_told = true;
	d->is_by_socket = d->kind == SITE_HAPROXY &&
			  control_socket_of(&d->site, socket, sizeof(socket)) &&
			  kf_ok(tell_haproxy(d, socket));
	return d->is_by_socket ? KF_OK : server_reload(&d->process);
}

static kf_err check_listen(const struct deploy *d, const struct site_value *at)
{
	const struct tls_question q = {
		.at = at,
		.certificate = buf_slice(&d->chain),
		.alg = pubkey_alg(d->key),
		.timeout_ms = 10000,
	};
	if (!site_introduction(at->opening)) /* nobody can be asked there */
		return KF_OK;
	return cli_file_error(d->cli, at->text, tls_ask(&q));
}

static kf_err check(const struct deploy *d)
{
	for (size_t i = 0; i < d->site.n_pairs; i++) {
		const struct site_pair *p = &d->site.pairs[i];
		for (size_t k = 0; d->is_ours[i] && k < p->listens.n; k++)
			KF_TRY(check_listen(d, &p->listens.item[k]));
	}
	return KF_OK;
}

static kf_err put_into_place(struct deploy *d, struct change *change)
{
	autobuf why = buf_new(65536);
	kf_err e = change_apply(change, &why);
	cli_note_lines(d->cli, &why);
	KF_TRY(e);
	KF_TRY(server_test(&d->process));
	if (!d->process.master || d->has_no_reload)
		return KF_OK;
	KF_TRY(take_up(d));
	return check(d);
}

static void put_back(struct deploy *d, struct change *change)
{
	autobuf why = buf_new(65536);
	cli_note(d->cli, "the old certificate goes back into its place");
	kf_err e = change_undo(change, &why);
	cli_note_lines(d->cli, &why);
	if (kf_ok(e) && d->was_told)
		e = take_up(d);
	if (!kf_ok(e))
		cli_note(d->cli, "that failed too: see above");
}

static kf_err do_server(struct deploy *d)
{
	struct change change = { 0 };
	kf_err e =
		change_new(d->state_dir, site_kind_name(d->kind), d->site.file, &change);
	if (kf_ok(e))
		e = collect(d, &change);
	if (kf_ok(e))
		e = change_set(&change, CHANGE_BEGUN);
	if (kf_ok(e)) {
		e = put_into_place(d, &change);
		if (!kf_ok(e))
			put_back(d, &change);
	}
	if (kf_ok(e) && !d->cli->is_quiet)
		printf("%s: %s\n", d->site.file,
			d->has_no_reload || !d->process.master ? "files are new"
			: d->is_by_socket
				? "the new certificate is served (by its socket)"
				: "the new certificate is served");
	if (change.dir[0])
		change_discard(change.dir);
	change_free(&change);
	return e;
}

static kf_err look_at(struct deploy *d, enum site_kind kind)
{
	const char *file = d->file ? d->file : site_default_file(kind);
	autobuf why = buf_new(65536);
	size_t pairs = 0;
	d->kind = kind;
	d->was_told = d->is_by_socket = false;
	kf_err e = site_read(kind, file, NULL, &d->site, &why);
	if (!kf_ok(e) && !d->server && !kf_is(e, KF_E_CONFIG))
		return KF_OK; /* this server is not there */
	cli_note_lines(d->cli, &why);
	KF_TRY(e);
	e = find_pairs(d, &pairs);
	if (kf_ok(e) && pairs) {
		if (!kf_ok(server_find(d->cli, kind, file, &d->process)))
			d->process.master = 0;
		e = do_server(d);
	}
	free(d->is_ours);
	d->is_ours = NULL;
	site_free(&d->site);
	return e;
}

/* ---- all ---- */

static kf_err read_new(struct deploy *d)
{
	autobuf text = buf_new(ADOPT_PEM_MAX);
	KF_TRY(cli_file_error(d->cli, d->path, site_disk.read(NULL, d->path, &text)));
	d->chain = buf_new(ADOPT_PEM_MAX);
	pem_without_keys(buf_slice(&text), &d->chain);
	KF_TRY(buf_err(&d->chain));
	return cli_file_error(
		d->cli, d->path, pubkey_from_pem(buf_slice(&d->chain), &d->key));
}

/* Somebody was killed: what he left is of no use, for all of it is done again. */
static kf_err forget(void *arg, const char *dir, const char *id)
{
	(void)arg;
	(void)id;
	change_discard(dir);
	return KF_OK;
}

static kf_err deploy(struct deploy *d)
{
	CLEANUP(mem_closep) int lock = -1;
	enum site_kind only = SITE_NGINX;
	if (d->server && !site_kind_find(d->server, &only))
		return kf_fail(
			INVALID_FIELD, "there is nginx, apache, haproxy and stunnel");
	if (d->file && !d->server)
		return kf_fail(INVALID_FIELD, "--file needs --server");
	KF_TRY(read_new(d));
	/* A hook that gave up would not be called again before the next renewal. */
	KF_TRY(adopt_lock(d->cli, d->state_dir, true, &lock));
	KF_TRY(change_each(d->state_dir, forget, NULL));
	for (size_t i = 0; i < SITE_KINDS; i++)
		if (!d->server || i == only)
			KF_TRY(look_at(d, (enum site_kind)i));
	if (d->places)
		return KF_OK;
	cli_note(d->cli,
		"%s: no server of this host has a reference to the certificate's key; "
		"was it "
		"made "
		"from a request of `keyfleet key csr`?",
		d->path);
	return kf_fail(NOT_FOUND, "the certificate fits nothing here");
}

static kf_err run(struct cli *c)
{
	struct deploy d = { .cli = c, .state_dir = DEPLOY_STATE_DIR };
	const struct cli_option options[] = {
		{ "server", &d.server, NULL },
		{ "file", &d.file, NULL },
		{ "state", &d.state_dir, NULL },
		{ "no-reload", NULL, &d.has_no_reload },
	};
	KF_TRY(cli_options(c, options, sizeof(options) / sizeof(options[0])));
	KF_TRY(cli_operands(c, 1, 1));
	d.path = c->argv[0];
	kf_err e = deploy(&d);
	buf_free(&d.chain);
	pubkey_free(d.key);
	return e;
}

const struct command command_deploy = {
	.words = "deploy",
	.args = "CHAIN [--server nginx|apache|haproxy|stunnel] [--file FILE] "
		"[--no-reload] "
		"[--state DIR]",
	.summary =
		"serve a renewed certificate wherever this host has a reference to its "
		"key",
	.help = "CHAIN is the new certificate with its chain, PEM.  Each server's "
		"certificate file is replaced, the\n"
		"server tests and reloads its configuration (HAProxy takes the "
		"certificate over its socket), and\n"
		"a handshake shows that it is served; otherwise the old one goes "
		"back.  For hooks of ACME clients\n"
		"see share/keyfleet/hooks.\n\n"
		"  --server KIND  one kind of server [all that are there]\n"
		"  --file FILE    its configuration [the distribution's]\n"
		"  --no-reload    replace files, nothing else\n"
		"  --state DIR    where copies are while it works "
		"[" DEPLOY_STATE_DIR "]\n",
	.run = run,
};
