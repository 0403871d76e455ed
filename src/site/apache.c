/* SPDX-License-Identifier: Apache-2.0
 *
 * Apache httpd: a directive a line, sections <NAME ...> ... </NAME>.  A virtual host inherits the main server's
 * certificates and keys place by place; a certificate without a key at its place has the key in its own file.
 * Sections that depend on modules and defines are read when their condition holds.
 */
#include "site/apache.h"
#include <string.h>
#include <strings.h>

static const struct fact_row facts[] = {
	{ "User", SITE_USER },
	{ "Group", SITE_GROUP },
	{ "ChrootDir", SITE_CHROOT },
	{ "ServerLimit", SITE_WORKERS },
	{ "ThreadsPerChild", SITE_THREADS },
	{ "MaxRequestWorkers", SITE_MAX_CONNECTIONS },
	{ "PidFile", SITE_PID_FILE },
	{ "LoadFile", SITE_LOAD_FILE },
	{ "RequestReadTimeout", SITE_HANDSHAKE_TIMEOUT },
	{ "SSLSessionCache", SITE_SESSION_CACHE },
	{ "SSLSessionTickets", SITE_SESSION_TICKETS },
	{ "SSLCryptoDevice", SITE_ENGINE },
	{ "SSLPassPhraseDialog", SITE_PASS_PHRASE },
	{ "Use", SITE_UNREAD },
};

static bool is(const struct words *w, const char *name)
{
	return !strcasecmp(words_text(w, 0), name);
}

static const char *root(struct apache *a)
{
	return a->server_root ? a->server_root : a->dir;
}

/* ---- directives ---- */

static void add_path(struct apache *a, struct site_values *list, const struct words *w)
{
	struct site_value v = words_value(a->r, w, 1);
	if (!strchr(v.text, '$') && strncmp(v.text, "pkcs11:", 7))
		v.text = reading_path(a->r, root(a), v.text);
	reading_add(a->r, list, v);
}

/* "https://www.example.org:443" is a name with more around it. */
static void add_name(struct apache *a, const struct words *w, size_t i)
{
	struct site_value v = words_value(a->r, w, i);
	const char *start = strstr(v.text, "://");
	start = start ? start + 3 : v.text;
	size_t n = strcspn(start, ":");
	v.text = reading_text(a->r, (struct slice){ (const uint8_t *)start, n });
	reading_add(a->r, &a->host->names, v);
}

static struct site_value address(struct apache *a, const struct words *w, size_t i)
{
	struct site_value v = words_value(a->r, w, i);
	const char *behind = *v.text == '[' ? strchr(v.text, ']') : v.text;
	if (v.text[strspn(v.text, "0123456789")] == 0)
		v.text = reading_format(a->r, "*:%s", v.text);
	else if (!strncmp(v.text, "_default_", 9))
		v.text = reading_format(a->r, "*%s", v.text[9] ? v.text + 9 : ":443");
	else if (!behind || !strchr(behind, ':'))
		v.text = reading_format(a->r, "%s:443", v.text);
	return v;
}

static void take_module(struct apache *a, const struct words *w)
{
	struct known *k = reading_take(a->r, sizeof(*k));
	if (!k)
		return;
	const char *file = strrchr(words_text(w, 2), '/');
	*k = (struct known){ .next = a->modules,
		.name = words_value(a->r, w, 1).text,
		.value = reading_text(
			a->r, slice_of(file ? file + 1 : words_text(w, 2))) };
	a->modules = k;
}

static enum apache_switch switched(const struct words *w)
{
	return strcasecmp(words_text(w, 1), "off") ? SWITCH_IS_ON : SWITCH_IS_OFF;
}

static void take_directive(struct apache *a, const struct words *w)
{
	struct vhost *h = a->host;
	if (is(w, "Include") || is(w, "IncludeOptional"))
		apache_include(a, w, is(w, "IncludeOptional"));
	else if (is(w, "SSLCertificateFile"))
		add_path(a, &h->certificates, w);
	else if (is(w, "SSLCertificateKeyFile"))
		add_path(a, &h->keys, w);
	else if (is(w, "SSLEngine"))
		h->ssl = switched(w);
	else if (is(w, "RemoteIPProxyProtocol"))
		h->proxy = switched(w);
	else if (is(w, "RemoteIPProxyProtocolExceptions"))
		a->has_proxy_exceptions = true;
	else if (is(w, "ServerName") && w->n > 1)
		add_name(a, w, 1);
	else if (is(w, "ServerAlias"))
		for (size_t i = 1; i < w->n; i++)
			add_name(a, w, i);
	else if (is(w, "Listen") && w->n > 1)
		reading_add(a->r, &a->main.addresses, address(a, w, 1));
	else if (is(w, "ServerRoot"))
		a->server_root = words_value(a->r, w, 1).text;
	else if (is(w, "LoadModule"))
		take_module(a, w);
	else if (is(w, "Define"))
		apache_define(a, words_text(w, 1), words_text(w, 2));
	else if (is(w, "UnDefine"))
		apache_undefine(a, words_text(w, 1));
	else
		words_fact(a->r, w, facts, sizeof(facts) / sizeof(facts[0]), strcasecmp);
}

/* ---- sections ---- */

static void open_host(struct apache *a, const struct words *w)
{
	struct vhost *h = reading_take(a->r, sizeof(*h));
	if (!h)
		return;
	for (size_t i = 1; i < w->n; i++)
		reading_add(a->r, &h->addresses, address(a, w, i));
	*a->last_host = h;
	a->last_host = &h->next;
	a->host = h;
}

static void open_section(struct apache *a, struct apache_file *f, const struct words *w)
{
	f->depth++;
	if (f->skip_from)
		return;
	if (!strcasecmp(words_text(w, 0), "VirtualHost")) {
		open_host(a, w);
		f->host_depth = f->depth;
	} else if (!apache_condition(a, w)) {
		f->skip_from = f->depth;
	}
	if (!strcasecmp(words_text(w, 0), "Perl") ||
		!strcasecmp(words_text(w, 0), "Macro")) {
		reading_fact(a->r, SITE_UNREAD, "section", words_value(a->r, w, 0));
		f->skip_from = f->depth;
	}
}

static void close_section(struct apache *a, struct apache_file *f)
{
	if (!f->depth) {
		reading_complain(a->r, f->words.file, f->words.item[0].line,
			"a section ends that was not begun");
		return;
	}
	if (f->skip_from == f->depth)
		f->skip_from = 0;
	if (f->host_depth == f->depth) {
		f->host_depth = 0;
		a->host = &a->main;
	}
	f->depth--;
}

static void take_line(struct apache *a, struct apache_file *f)
{
	if (f->is_section && words_text(&f->words, 0)[0] == '/')
		close_section(a, f);
	else if (f->is_section)
		open_section(a, f, &f->words);
	else if (!f->skip_from)
		take_directive(a, &f->words);
}

void apache_read_file(struct apache *a, const char *path, const struct site_value *by)
{
	autobuf text = buf_new(SITE_FILE_MAX);
	const char *name;
	if (++a->r->depth > SITE_DEPTH_MAX) {
		reading_complain(
			a->r, by->file, by->line, "too many files include each other");
	} else if (reading_file(a->r, path, by, &text, &name)) {
		struct apache_file f = {
			.text = buf_slice(&text), .line = 1, .words = words_new(name)
		};
		while (kf_ok(a->r->err) && apache_next_line(a, &f))
			if (f.words.n)
				take_line(a, &f);
		if (f.depth)
			reading_complain(
				a->r, name, f.line, "the file ends inside a section");
		words_free(&f.words);
	}
	a->r->depth--;
}

/* ---- pairs ---- */

/* The i-th, of the host's own or of the main server's. */
static const struct site_value *at(
	const struct site_values *own, const struct site_values *inherited, size_t i)
{
	if (i < own->n)
		return &own->item[i];
	return i < inherited->n ? &inherited->item[i] : NULL;
}

static const char *why_not(
	const struct site_value *certificate, const struct site_value *key)
{
	if (!strncmp(key->text, "pkcs11:", 7) ||
		!strncmp(certificate->text, "pkcs11:", 7))
		return "the key is in a PKCS#11 token";
	if (strchr(key->text, '$') || strchr(certificate->text, '$'))
		return "a variable that nobody defines";
	return NULL;
}

static bool is_at(const struct vhost *h, const char *address)
{
	for (size_t i = 0; i < h->addresses.n; i++)
		if (!strcmp(h->addresses.item[i].text, address))
			return true;
	return false;
}

/* The PROXY protocol is an address's, whichever of its hosts says so. */
static enum site_opening opening_at(const struct apache *a, const char *address)
{
	enum apache_switch proxy = a->main.proxy;
	for (const struct vhost *h = a->hosts; h; h = h->next)
		if (h->proxy != SWITCH_IS_UNSAID && is_at(h, address))
			proxy = h->proxy;
	if (proxy != SWITCH_IS_ON)
		return SITE_TLS;
	return a->has_proxy_exceptions ? SITE_OTHER_PROTOCOL : SITE_PROXY_LINE;
}

static void add_listen(
	struct apache *a, struct site_pair *p, const struct vhost *h, size_t i)
{
	struct site_value address = h->addresses.item[i];
	address.opening = opening_at(a, address.text);
	reading_listen(a->r, p, address, &h->names);
}

static void add_pair(struct apache *a, const struct vhost *h, size_t i)
{
	const struct site_value *certificate =
					at(&h->certificates, &a->main.certificates, i),
				*key = at(&h->keys, &a->main.keys, i);
	const struct site_value inside = { .text = certificate->text };
	struct site_pair *p = reading_pair(a->r, certificate, key ? key : &inside);
	if (!p)
		return;
	p->shape = !key || !strcmp(key->text, certificate->text) ? SITE_BUNDLE
								 : SITE_SEPARATE;
	p->why_not = why_not(certificate, key ? key : &inside);
	for (size_t k = 0; k < h->addresses.n; k++)
		add_listen(a, p, h, k);
	for (size_t k = 0; k < h->names.n; k++)
		reading_add_once(a->r, &p->names, h->names.item[k]);
}

static void add_pairs(struct apache *a, const struct vhost *h)
{
	if ((h->ssl == SWITCH_IS_UNSAID ? a->main.ssl : h->ssl) != SWITCH_IS_ON)
		return;
	for (size_t i = 0; at(&h->certificates, &a->main.certificates, i); i++)
		add_pair(a, h, i);
}

void apache_read(struct reading *r, const char *file)
{
	struct apache a = { .r = r, .dir = reading_dir(r, file) };
	const struct site_value nobody = { 0 };
	a.host = &a.main;
	a.last_host = &a.hosts;
	apache_read_envvars(&a);
	apache_read_file(&a, file, &nobody);
	/* With virtual hosts the main server's own listeners are theirs. */
	if (a.main.ssl == SWITCH_IS_ON && !a.hosts)
		add_pairs(&a, &a.main);
	for (const struct vhost *h = a.hosts; h && kf_ok(r->err); h = h->next)
		add_pairs(&a, h);
}
