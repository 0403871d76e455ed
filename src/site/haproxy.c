/* SPDX-License-Identifier: Apache-2.0
 *
 * haproxy.cfg: a directive a line; `bind ADDRESS ssl crt FILE` where FILE may be a bundle of certificate and key,
 * a certificate with FILE.key beside it, a folder of such files, or the common beginning of FILE.rsa and
 * FILE.ecdsa; `crt-list FILE` names files a line each, with the names they are served for.
 */
#include "site/private.h"
#include <string.h>

struct haproxy {
	struct reading *r;
	const char *dir; /* of the main file */
	const char *crt_base;
	bool has_no_key_files; /* ssl-load-extra-files without key */
	bool is_global;
};

/* A bind line, as far as its certificates are concerned. */
struct bind {
	struct site_values addresses;
	struct site_values names; /* SNI filters of a line of a crt-list */
	enum site_source source;
};

static const struct fact_row facts[] = {
	{ "user", SITE_USER },
	{ "group", SITE_GROUP },
	{ "chroot", SITE_CHROOT },
	{ "nbproc", SITE_WORKERS },
	{ "nbthread", SITE_THREADS },
	{ "pidfile", SITE_PID_FILE },
	{ "daemon", SITE_DAEMON },
	{ "master-worker", SITE_MASTER_WORKER },
	{ "fd-hard-limit", SITE_MAX_DESCRIPTORS },
	{ "ulimit-n", SITE_MAX_DESCRIPTORS },
	{ "tune.ssl.cachesize", SITE_SESSION_CACHE },
	{ "ssl-mode-async", SITE_ASYNC },
	{ "ssl-provider", SITE_PROVIDER },
	{ "ssl-provider-path", SITE_PROVIDER_PATH },
	{ "ssl-engine", SITE_ENGINE },
};

/* ---- words ---- */

/* The word that begins at text[at]; returns where it ends. */
static size_t take_word(
	struct words *w, struct slice line, size_t at, size_t offset, size_t number)
{
	uint8_t quote = 0;
	if (!words_begin(w, offset + at, number))
		return line.n;
	for (; at < line.n; at++) {
		uint8_t c = line.p[at];
		if (!quote && (c == ' ' || c == '\t' || c == '\r' || c == '#'))
			break;
		if (c == quote && quote)
			quote = 0;
		else if (!quote && (c == '"' || c == '\''))
			quote = c;
		else if (c == '\\' && quote != '\'' && at + 1 < line.n)
			words_put(w, line.p[++at]);
		else
			words_put(w, c);
	}
	words_end(w, offset + at);
	return at;
}

static void take_words(struct words *w, struct slice line, size_t offset, size_t number)
{
	words_clear(w);
	for (size_t at = 0; at < line.n;) {
		uint8_t c = line.p[at];
		if (c == '#')
			return;
		if (c == ' ' || c == '\t' || c == '\r')
			at++;
		else
			at = take_word(w, line, at, offset, number);
	}
}

/* ---- certificates ---- */

static bool exists(const struct haproxy *h, const char *path)
{
	autobuf text = buf_new(SITE_FILE_MAX);
	return kf_ok(h->r->files->read(h->r->files->arg, path, &text));
}

static bool has_key(const struct haproxy *h, const char *path)
{
	static const char ends[] = "PRIVATE KEY-----",
			  ours[] = "KEYFLEET KEY REFERENCE-----";
	autobuf text = buf_new(SITE_FILE_MAX);
	if (!kf_ok(h->r->files->read(h->r->files->arg, path, &text)) || !text.n)
		return true; /* who may not read it takes it for what most are */
	return memmem(text.p, text.n, ends, sizeof(ends) - 1) ||
	       memmem(text.p, text.n, ours, sizeof(ours) - 1);
}

/* One file with a certificate; `by` is what led to it. */
static void add_file(struct haproxy *h, const struct bind *b, const char *path,
	const struct site_value *by)
{
	struct site_value certificate = *by, key = { 0 };
	bool is_bundle = has_key(h, path);
	certificate.text = reading_text(h->r, slice_of(path));
	key.text = is_bundle || h->has_no_key_files
			   ? certificate.text
			   : reading_format(h->r, "%s.key", path);
	struct site_pair *p = reading_pair(h->r, &certificate, &key);
	if (!p)
		return;
	p->shape = key.text == certificate.text ? SITE_BUNDLE : SITE_BESIDE;
	p->source = b->source;
	p->why_not = strchr(path, '$') ? "a variable of the environment" : NULL;
	for (size_t i = 0; i < b->addresses.n; i++)
		reading_listen(h->r, p, b->addresses.item[i], &b->names);
	for (size_t i = 0; i < b->names.n; i++)
		if (!strchr("![", *b->names.item[i].text))
			reading_add_once(h->r, &p->names, b->names.item[i]);
}

struct found {
	struct haproxy *h;
	const struct bind *bind;
	const struct site_value *by;
};

static bool ends_with(const char *text, const char *ending)
{
	size_t n = strlen(text), e = strlen(ending);
	return n >= e && !strcmp(text + n - e, ending);
}

static kf_err add_found(void *arg, const char *path)
{
	static const char *const beside[] = { ".key", ".issuer", ".ocsp", ".sctl" };
	struct found *f = arg;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		if (ends_with(path, beside[i]))
			return KF_OK;
	if (!f->h->r->files->is_dir(f->h->r->files->arg, path))
		add_file(f->h, f->bind, path, f->by);
	return f->h->r->err;
}

static void add_folder(
	struct haproxy *h, struct bind b, const char *path, const struct site_value *by)
{
	b.source = SITE_FOUND;
	struct found f = { h, &b, by };
	kf_err e = h->r->files->glob(
		h->r->files->arg, reading_format(h->r, "%s/*", path), add_found, &f);
	if (!kf_ok(e) && kf_ok(h->r->err))
		h->r->err = e;
}

/* FILE.rsa, FILE.ecdsa, FILE.dsa stand for FILE. */
static void add_variants(
	struct haproxy *h, struct bind b, const char *path, const struct site_value *by)
{
	static const char *const endings[] = { "rsa", "ecdsa", "dsa" };
	bool is_found = false;
	b.source = SITE_FOUND;
	for (size_t i = 0; i < 3; i++) {
		const char *variant = reading_format(h->r, "%s.%s", path, endings[i]);
		if (!exists(h, variant))
			continue;
		is_found = true;
		add_file(h, &b, variant, by);
	}
	if (!is_found)
		reading_complain(h->r, by->file, by->line,
			"%s: there is no such file or folder, or it cannot be read",
			path);
}

static void add_crt(struct haproxy *h, const struct bind *b, const struct site_value *by)
{
	const char *path = by->text;
	if (*path == '@')
		return;
	path = reading_path(h->r, h->crt_base ? h->crt_base : h->dir, path);
	if (h->r->files->is_dir(h->r->files->arg, path))
		add_folder(h, *b, path, by);
	else if (strchr(path, '$') || exists(h, path))
		add_file(h, b, path, by);
	else
		add_variants(h, *b, path, by);
}

/* ---- lines ---- */

typedef void line_fn(struct haproxy *h, const struct words *w, const void *arg);

static void read_lines(struct haproxy *h, const char *path, const struct site_value *by,
	line_fn *each, const void *arg)
{
	autobuf text = buf_new(SITE_FILE_MAX);
	const char *name;
	if (!reading_file(h->r, path, by, &text, &name))
		return;
	autowords w = words_new(name);
	struct slice rest = buf_slice(&text);
	for (size_t number = 1; rest.n && kf_ok(h->r->err); number++) {
		const struct slice line = slice_take_line(&rest);
		take_words(&w, line, (size_t)(line.p - text.p), number);
		if (w.n)
			each(h, &w, arg);
	}
}

static void list_line(struct haproxy *h, const struct words *w, const void *arg)
{
	struct bind b = *(const struct bind *)arg;
	bool is_option = false;
	for (size_t i = 1; i < w->n; i++) {
		const char *text = words_text(w, i);
		is_option |= *text == '[';
		if (!is_option)
			reading_add(h->r, &b.names, words_value(h->r, w, i));
		is_option &= !ends_with(text, "]");
	}
	b.source = SITE_LISTED;
	const struct site_value by = words_value(h->r, w, 0);
	add_crt(h, &b, &by);
}

static const char *listen_address(struct reading *r, const char *one)
{
	static const char *const families[] = { "ipv4@", "ipv6@" };
	for (size_t i = 0; i < 2; i++)
		if (!strncmp(one, families[i], 5))
			one += 5;
	if (!strncmp(one, "unix@", 5))
		return reading_format(r, "unix:%s", one + 5);
	if (*one == '/')
		return reading_format(r, "unix:%s", one);
	if (!strncmp(one, ":::", 3))
		return reading_format(r, "[::]:%s", one + 3);
	return reading_format(r, *one == ':' ? "*%s" : "%s", one);
}

static enum site_opening opening_of(const struct words *w)
{
	for (size_t i = 2; i < w->n; i++)
		if (words_is(w, i, "accept-proxy"))
			return SITE_PROXY_LINE;
		else if (words_is(w, i, "accept-netscaler-cip"))
			return SITE_OTHER_PROTOCOL;
	return SITE_TLS;
}

static void add_addresses(struct haproxy *h, const struct words *w, struct bind *ret)
{
	char text[SITE_PATH_MAX], *state = NULL;
	if (!kf_ok(slice_to_text(slice_of(words_text(w, 1)), text, sizeof(text))))
		return;
	for (char *one = strtok_r(text, ",", &state); one;
		one = strtok_r(NULL, ",", &state)) {
		struct site_value v = words_value(h->r, w, 1);
		v.text = listen_address(h->r, one);
		v.opening = opening_of(w);
		reading_add(h->r, &ret->addresses, v);
	}
}

static void bind_line(struct haproxy *h, const struct words *w)
{
	struct bind b = { .source = SITE_NAMED };
	bool is_tls = false;
	for (size_t i = 2; i < w->n; i++)
		is_tls |= words_is(w, i, "ssl");
	if (!is_tls)
		return;
	add_addresses(h, w, &b);
	for (size_t i = 2; i + 1 < w->n; i++) {
		const struct site_value v = words_value(h->r, w, i + 1);
		if (words_is(w, i, "crt"))
			add_crt(h, &b, &v);
		else if (words_is(w, i, "crt-list"))
			read_lines(
				h, reading_path(h->r, h->dir, v.text), &v, list_line, &b);
	}
}

static void take_extra_files(struct haproxy *h, const struct words *w)
{
	h->has_no_key_files = true;
	for (size_t i = 1; i < w->n; i++)
		if (words_is(w, i, "all") || words_is(w, i, "key"))
			h->has_no_key_files = false;
}

static void line(struct haproxy *h, const struct words *w, const void *unused)
{
	(void)unused;
	const char *name = words_text(w, 0);
	if (*name == '.')
		reading_fact(h->r, SITE_UNREAD, "condition", words_value(h->r, w, 0));
	else if (words_is(w, 0, "bind"))
		bind_line(h, w);
	else if (words_is(w, 0, "crt-base"))
		h->crt_base = words_value(h->r, w, 1).text;
	else if (words_is(w, 0, "ssl-load-extra-files"))
		take_extra_files(h, w);
	else if (words_is(w, 0, "stats") && words_is(w, 1, "socket"))
		reading_fact(h->r, SITE_CONTROL_SOCKET, "stats socket",
			words_joined(h->r, w, 2));
	else if (words_is(w, 0, "timeout") && words_is(w, 1, "client"))
		reading_fact(h->r, SITE_CLIENT_TIMEOUT, "timeout client",
			words_value(h->r, w, 2));
	else if (words_is(w, 0, "timeout") && words_is(w, 1, "http-request"))
		reading_fact(h->r, SITE_HANDSHAKE_TIMEOUT, "timeout http-request",
			words_value(h->r, w, 2));
	else if (words_is(w, 0, "maxconn") && h->is_global)
		reading_fact(
			h->r, SITE_MAX_CONNECTIONS, "maxconn", words_value(h->r, w, 1));
	else
		words_fact(h->r, w, facts, sizeof(facts) / sizeof(facts[0]), strcmp);
	if (words_is(w, 0, "global"))
		h->is_global = true;
	else if (words_is(w, 0, "defaults") || words_is(w, 0, "frontend") ||
		 words_is(w, 0, "listen") || words_is(w, 0, "backend"))
		h->is_global = false;
}

void haproxy_read(struct reading *r, const char *file)
{
	struct haproxy h = { .r = r, .dir = reading_dir(r, file) };
	const struct site_value nobody = { 0 };
	read_lines(&h, file, &nobody, line, NULL);
}
