/* SPDX-License-Identifier: Apache-2.0
 *
 * nginx.conf: directives `name arg arg;` and blocks `name arg { ... }`.  A server inherits ssl_certificate and
 * ssl_certificate_key from the blocks around it, each list by itself and as a whole; the n-th of one goes
 * with the n-th of the other.  Relative paths start at the folder of the main file.
 */
#include "site/private.h"
#include <string.h>

/* A listen address; `is_tls` of one server holds for all servers at the address. */
struct door {
	struct door *next;
	struct site_value address;
	bool is_tls;
};

/* A block, and what stands in it itself.  It lives as long as the site: what is said in the blocks around it
 * counts also when it is said after it. */
struct block {
	const struct block *up;
	struct block *next_server;
	struct site_values certificates, keys, names;
	struct door *doors;
	bool has_ssl_on;
};

struct nginx {
	struct reading *r;
	const char *prefix;
	struct block *servers, **last_server;
	bool has_proxies;
};

/* One file and how far it has been read. */
struct source {
	struct slice text;
	size_t at, line;
	struct words words;
	bool closed; /* its last block ended with a bracket */
};

enum end { END_DIRECTIVE, END_OPEN, END_CLOSE, END_FILE, END_BAD };

/* ---- words ---- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void step(struct source *s) { s->line += s->text.p[s->at++] == '\n'; }

static void skip_blanks(struct source *s)
{
	bool is_comment = false;
	for (; s->at < s->text.n; step(s)) {
		uint8_t c = s->text.p[s->at];
		if (c == '\n')
			is_comment = false;
		else if (c == '#')
			is_comment = true;
		if (!is_comment && !is_blank(c))
			return;
	}
}

/* What a backslash and the byte after it stand for. */
static void put_escaped(struct words *w, uint8_t c)
{
	static const char from[] = "\"'\\trn", to[] = "\"'\\\t\r\n";
	const char *found = c ? strchr(from, c) : NULL;
	if (!found)
		words_put(w, '\\');
	words_put(w, found ? (uint8_t)to[found - from] : c);
}

static bool ends_word(const struct source *s, uint8_t quote)
{
	uint8_t c = s->text.p[s->at];
	if (quote)
		return c == quote;
	/* ${name} does not open a block */
	bool is_variable = c == '{' && s->at && s->text.p[s->at - 1] == '$';
	return is_blank(c) || c == ';' || (c == '{' && !is_variable);
}

/* The next word; false: the file ends inside it. */
static bool take_word(struct source *s)
{
	uint8_t c = s->text.p[s->at], quote = c == '"' || c == '\'' ? c : 0;
	if (!words_begin(&s->words, s->at, s->line))
		return false;
	for (s->at += quote != 0; s->at < s->text.n && !ends_word(s, quote); step(s)) {
		c = s->text.p[s->at];
		if (c != '\\') {
			words_put(&s->words, c);
			continue;
		}
		step(s);
		if (s->at == s->text.n)
			return false;
		put_escaped(&s->words, s->text.p[s->at]);
	}
	if (s->at == s->text.n)
		return false;
	s->at += quote != 0;
	words_end(&s->words, s->at);
	return true;
}

static void complain(struct nginx *n, const struct source *s, const char *what)
{
	reading_complain(n->r, s->words.file, s->line, "%s", what);
}

/* The words up to `;`, `{`, `}` or the end. */
static enum end take_directive(struct nginx *n, struct source *s)
{
	words_clear(&s->words);
	for (;;) {
		skip_blanks(s);
		if (s->at == s->text.n && !s->words.n)
			return END_FILE;
		if (s->at == s->text.n)
			break;
		uint8_t c = s->text.p[s->at];
		if (c == '}' && !s->words.n)
			return s->at++, END_CLOSE;
		if (c == ';' || c == '{') {
			s->at++;
			return c == ';' ? END_DIRECTIVE : END_OPEN;
		}
		if (!take_word(s))
			break;
	}
	complain(n, s, "the file ends inside a directive: `;` or a quote is missing");
	return END_BAD;
}

/* ---- directives ---- */

static const struct fact_row facts[] = {
	{ "user", SITE_USER },
	{ "worker_processes", SITE_WORKERS },
	{ "pid", SITE_PID_FILE },
	{ "daemon", SITE_DAEMON },
	{ "env", SITE_ENVIRONMENT },
	{ "client_header_timeout", SITE_HANDSHAKE_TIMEOUT },
	{ "worker_connections", SITE_MAX_CONNECTIONS },
	{ "worker_rlimit_nofile", SITE_MAX_DESCRIPTORS },
	{ "ssl_session_cache", SITE_SESSION_CACHE },
	{ "ssl_session_tickets", SITE_SESSION_TICKETS },
	{ "ssl_engine", SITE_ENGINE },
	{ "ssl_password_file", SITE_PASS_PHRASE },
};

static void read_file(
	struct nginx *n, struct block *b, const char *path, const struct site_value *by);

struct including {
	struct nginx *n;
	struct block *block;
	const struct site_value *by;
	size_t found;
};

static kf_err include_one(void *arg, const char *path)
{
	struct including *in = arg;
	in->found++;
	read_file(in->n, in->block, path, in->by);
	return in->n->r->err;
}

static void include(struct nginx *n, struct block *b, const struct words *w)
{
	const struct site_value by = words_value(n->r, w, 1);
	struct including in = { n, b, &by, 0 };
	const char *pattern = reading_path(n->r, n->prefix, by.text);
	kf_err e = n->r->files->glob(n->r->files->arg, pattern, include_one, &in);
	if (!kf_ok(e) && kf_ok(n->r->err))
		n->r->err = e;
	if (!in.found && !strpbrk(by.text, "*?["))
		reading_complain(n->r, by.file, by.line,
			"%s: there is no such file, or it cannot be read", pattern);
}

/* "443", "[::]:443", "10.0.0.1", "name:443", "unix:/path" */
static const char *full_address(struct reading *r, const char *text)
{
	if (!strncmp(text, "unix:", 5))
		return reading_text(r, slice_of(text));
	if (text[strspn(text, "0123456789")] == 0)
		return reading_format(r, "*:%s", text);
	const char *behind = *text == '[' ? strchr(text, ']') : text;
	bool has_port = behind && strchr(behind, ':');
	return reading_format(r, has_port ? "%s" : "%s:80", text);
}

static void add_listen(struct nginx *n, struct block *b, const struct words *w)
{
	struct door *d = reading_take(n->r, sizeof(*d));
	if (!d)
		return;
	d->address = words_value(n->r, w, 1);
	d->address.text = full_address(n->r, words_text(w, 1));
	for (size_t i = 2; i < w->n; i++) {
		d->is_tls |= words_is(w, i, "ssl") || words_is(w, i, "quic");
		if (words_is(w, i, "proxy_protocol"))
			d->address.opening = SITE_PROXY_LINE;
	}
	n->has_proxies |= d->address.opening != SITE_TLS;
	d->next = b->doors;
	b->doors = d;
}

static void add_path(
	struct nginx *n, struct site_values *list, const struct words *w, size_t i)
{
	struct site_value v = words_value(n->r, w, i);
	bool is_path = !strchr(v.text, '$') && strncmp(v.text, "data:", 5) &&
		       strncmp(v.text, "engine:", 7) && strncmp(v.text, "store:", 6);
	if (is_path)
		v.text = reading_path(n->r, n->prefix, v.text);
	reading_add(n->r, list, v);
}

static void take_statement(struct nginx *n, struct block *b, const struct words *w)
{
	if (words_is(w, 0, "include") && w->n == 2)
		include(n, b, w);
	else if (words_is(w, 0, "ssl_certificate") && w->n == 2)
		add_path(n, &b->certificates, w, 1);
	else if (words_is(w, 0, "ssl_certificate_key") && w->n == 2)
		add_path(n, &b->keys, w, 1);
	else if (words_is(w, 0, "listen") && w->n >= 2)
		add_listen(n, b, w);
	else if (words_is(w, 0, "ssl"))
		b->has_ssl_on = words_is(w, 1, "on");
	else if (words_is(w, 0, "server_name"))
		for (size_t i = 1; i < w->n; i++)
			reading_add(n->r, &b->names, words_value(n->r, w, i));
	else
		words_fact(n->r, w, facts, sizeof(facts) / sizeof(facts[0]), strcmp);
}

/* ---- blocks ---- */

static const struct site_values *inherited(const struct block *b, bool wants_keys)
{
	static const struct site_values none;
	for (; b; b = b->up) {
		const struct site_values *own = wants_keys ? &b->keys : &b->certificates;
		if (own->n)
			return own;
	}
	return &none;
}

static bool has_ssl_on(const struct block *b)
{
	return b && (b->has_ssl_on || has_ssl_on(b->up));
}

/* The text of another language, up to the brace that closes it. */
static void skip_foreign(struct source *s)
{
	for (size_t depth = 1; s->at < s->text.n && depth; step(s)) {
		depth += s->text.p[s->at] == '{';
		depth -= s->text.p[s->at] == '}';
	}
}

static bool is_foreign(const char *name)
{
	static const char ending[] = "_by_lua_block";
	size_t n = strlen(name), e = sizeof(ending) - 1;
	return n > e && !strcmp(name + n - e, ending);
}

static void read_block(struct nginx *n, struct block *b, struct source *s);

static void open_block(struct nginx *n, struct block *up, struct source *s)
{
	if (is_foreign(words_text(&s->words, 0))) {
		reading_fact(n->r, SITE_UNREAD, "lua", words_value(n->r, &s->words, 0));
		skip_foreign(s);
		return;
	}
	struct block *b = reading_take(n->r, sizeof(*b));
	if (!b)
		return;
	b->up = up;
	/* `server` with an address is a line of an upstream, and ends with a semicolon. */
	if (words_is(&s->words, 0, "server")) {
		*n->last_server = b;
		n->last_server = &b->next_server;
	}
	read_block(n, b, s);
	if (!s->closed)
		complain(n, s, "the file ends inside a block: `}` is missing");
}

/* Up to the block's end, or the file's when it is the outermost block of it. */
static void read_block(struct nginx *n, struct block *b, struct source *s)
{
	enum end end = END_BAD;
	if (++n->r->depth > SITE_DEPTH_MAX) {
		complain(n, s, "too many blocks and included files inside each other");
		s->at = s->text.n;
	}
	while (kf_ok(n->r->err) && (end = take_directive(n, s)) < END_CLOSE) {
		if (end == END_OPEN)
			open_block(n, b, s);
		else if (s->words.n)
			take_statement(n, b, &s->words);
	}
	n->r->depth--;
	s->closed = end == END_CLOSE;
}

/* Brackets must fit within a file, as nginx demands. */
static void read_file(
	struct nginx *n, struct block *b, const char *path, const struct site_value *by)
{
	autobuf text = buf_new(SITE_FILE_MAX);
	const char *name;
	if (!reading_file(n->r, path, by, &text, &name))
		return;
	struct source s = {
		.text = buf_slice(&text), .line = 1, .words = words_new(name)
	};
	read_block(n, b, &s);
	if (s.closed)
		complain(n, &s, "unexpected `}`");
	words_free(&s.words);
}

/* ---- pairs ---- */

static bool is_tls_door(const struct nginx *n, const struct door *d)
{
	if (d->is_tls)
		return true;
	for (const struct block *b = n->servers; b; b = b->next_server)
		for (const struct door *o = b->doors; o; o = o->next)
			if (o->is_tls && !strcmp(o->address.text, d->address.text))
				return true;
	return false;
}

/* Like `ssl`, proxy_protocol of one server holds for all servers at the address. */
static struct site_value address_of(const struct nginx *n, const struct door *d)
{
	struct site_value v = d->address;
	for (const struct block *b = n->has_proxies ? n->servers : NULL; b;
		b = b->next_server)
		for (const struct door *o = b->doors; o; o = o->next)
			if (o->address.opening != SITE_TLS &&
				!strcmp(o->address.text, v.text))
				v.opening = o->address.opening;
	return v;
}

/* Where a server listens with TLS, and the names it has there. */
static void add_server(struct nginx *n, struct site_pair *p, const struct block *b)
{
	bool is_tls = false;
	for (const struct door *d = b->doors; d; d = d->next) {
		if (!has_ssl_on(b) && !is_tls_door(n, d))
			continue;
		is_tls = true;
		reading_listen(n->r, p, address_of(n, d), &b->names);
	}
	for (size_t i = 0; is_tls && i < b->names.n; i++)
		reading_add_once(n->r, &p->names, b->names.item[i]);
}

static const char *why_not(
	const struct site_value *certificate, const struct site_value *key)
{
	if (strchr(key->text, '$') || strchr(certificate->text, '$'))
		return "a variable: nginx decides at each handshake which file it is";
	if (!strncmp(key->text, "engine:", 7))
		return "the key is in an engine";
	if (!strncmp(key->text, "store:", 6))
		return "the key is in a store";
	if (!strncmp(key->text, "data:", 5) || !strncmp(certificate->text, "data:", 5))
		return "the key stands in the configuration itself";
	return NULL;
}

static void add_pair(struct nginx *n, const struct block *b,
	const struct site_value *certificate, const struct site_value *key)
{
	struct site_pair *p = reading_pair(n->r, certificate, key);
	if (!p)
		return;
	p->shape = strcmp(certificate->text, key->text) ? SITE_SEPARATE : SITE_BUNDLE;
	p->why_not = why_not(certificate, key);
	add_server(n, p, b);
}

static void add_pairs(struct nginx *n, const struct block *b)
{
	const struct site_values *certificates = inherited(b, false),
				 *keys = inherited(b, true);
	if (certificates->n > keys->n) {
		const struct site_value *v = &certificates->item[keys->n];
		reading_complain(n->r, v->file, v->line,
			"ssl_certificate without its ssl_certificate_key");
		return;
	}
	for (size_t i = 0; i < certificates->n; i++)
		add_pair(n, b, &certificates->item[i], &keys->item[i]);
}

void nginx_read(struct reading *r, const char *file)
{
	struct nginx n = { .r = r, .prefix = reading_dir(r, file) };
	struct block top = { 0 };
	const struct site_value nobody = { 0 };
	n.last_server = &n.servers;
	read_file(&n, &top, file, &nobody);
	for (const struct block *b = n.servers; b && kf_ok(r->err); b = b->next_server)
		add_pairs(&n, b);
}
