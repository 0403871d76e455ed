/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"
#include "site/private.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct kind {
	const char *name, *file;
	void (*read)(struct reading *r, const char *file);
} kinds[SITE_KINDS] = {
	[SITE_NGINX] = { "nginx", "/etc/nginx/nginx.conf", nginx_read },
	[SITE_APACHE] = { "apache", "/etc/apache2/apache2.conf", apache_read },
	[SITE_HAPROXY] = { "haproxy", "/etc/haproxy/haproxy.cfg", haproxy_read },
	[SITE_STUNNEL] = { "stunnel", "/etc/stunnel/stunnel.conf", stunnel_read },
};

const char *site_kind_name(enum site_kind kind) { return kinds[kind].name; }
const char *site_default_file(enum site_kind kind) { return kinds[kind].file; }

bool site_kind_find(const char *name, enum site_kind *ret)
{
	for (size_t i = 0; i < SITE_KINDS; i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		*ret = (enum site_kind)i;
		return true;
	}
	return false;
}

const char *site_fact_name(enum site_fact_id id)
{
	static const char *const names[] = {
#define FACT(id, text) [SITE_##id] = text,
#include "site/fact.def"
#undef FACT
	};
	return names[id];
}

const struct site_fact *site_fact(const struct site *s, enum site_fact_id id)
{
	for (size_t i = s->n_facts; i > 0; i--)
		if (s->facts[i - 1].id == id)
			return &s->facts[i - 1];
	return NULL;
}

/* "www.example.org", "localhost", or with a wildcard "*.example.org". */
static bool is_name(const char *name, bool is_wild)
{
	if (is_wild && strncmp(name, "*.", 2) != 0)
		return false;
	const char *rest = is_wild ? name + 2 : name;
	return *rest && *rest != '.' && !strpbrk(rest, "*~_$^/![");
}

static const char *name_to_ask(const struct site_values *names)
{
	for (int wild = 0; wild < 2; wild++)
		for (size_t i = 0; i < names->n; i++)
			if (is_name(names->item[i].text, wild))
				return names->item[i].text;
	return NULL;
}

/* As a balancer on this host: "UNKNOWN" is refused by Apache httpd. */
const char *site_introduction(enum site_opening opening)
{
	switch (opening) {
	case SITE_TLS: return "";
	case SITE_PROXY_LINE: return "PROXY TCP4 127.0.0.1 127.0.0.1 65535 443\r\n";
	case SITE_OTHER_PROTOCOL: break;
	}
	return NULL;
}

/* ---- memory: blocks that are freed together ---- */

struct chunk {
	struct chunk *next;
	_Alignas(max_align_t) unsigned char bytes[];
};

void *reading_take(struct reading *r, size_t n)
{
	if (!kf_ok(r->err))
		return NULL;
	struct chunk *c = calloc(1, sizeof(*c) + n);
	if (!c) {
		r->err = kf_fail(NOMEM, "no memory for a web server's configuration");
		return NULL;
	}
	c->next = r->memory;
	r->memory = c;
	return c->bytes;
}

const char *reading_text(struct reading *r, struct slice s)
{
	char *text = reading_take(r, s.n + 1);
	if (!text)
		return "";
	memcpy(text, s.p, s.n);
	return text;
}

const char *reading_format(struct reading *r, const char *format, ...)
{
	char text[2 * SITE_PATH_MAX];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		if (kf_ok(r->err))
			r->err =
				kf_fail(TOO_BIG, "a path in a configuration is too long");
		return "";
	}
	return reading_text(r, slice_of(text));
}

const char *reading_path(struct reading *r, const char *base_dir, const char *path)
{
	if (*path == '/' || !*base_dir)
		return reading_text(r, slice_of(path));
	return reading_format(r, "%s/%s", base_dir, path);
}

const char *reading_dir(struct reading *r, const char *file)
{
	const char *slash = strrchr(file, '/');
	if (!slash)
		return ".";
	size_t n = slash == file ? 1 : (size_t)(slash - file);
	return reading_text(r, (struct slice){ (const uint8_t *)file, n });
}

void site_free(struct site *s)
{
	for (struct chunk *c = s->memory, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	*s = (struct site){ 0 };
}

/* ---- mistakes ---- */

enum { MISTAKES_MAX = 20 };

void reading_complain(
	struct reading *r, const char *file, size_t line, const char *format, ...)
{
	if (++r->mistakes > MISTAKES_MAX)
		return;
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_printf(r->why, "%s:%zu: %s\n", file, line, text);
}

/* ---- lists ---- */

/* Room for one more at the end: the array doubles when its length is a power of two. */
static void *grown(struct reading *r, void *items, size_t n, size_t size)
{
	if (n && (n & (n - 1)))
		return items;
	void *bigger = reading_take(r, (n ? 2 * n : 1) * size);
	if (bigger && n)
		memcpy(bigger, items, n * size);
	return bigger;
}

void reading_add(struct reading *r, struct site_values *list, struct site_value v)
{
	struct site_value *items = grown(r, list->item, list->n, sizeof(v));
	if (!items)
		return;
	list->item = items;
	list->item[list->n++] = v;
}

void reading_add_once(struct reading *r, struct site_values *list, struct site_value v)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->item[i].text, v.text))
			return;
	reading_add(r, list, v);
}

/* Servers that inherit a pair have names of their own: at each address one is asked for that is served there. */
void reading_listen(struct reading *r, struct site_pair *p, struct site_value listen,
	const struct site_values *names)
{
	listen.name = name_to_ask(names);
	reading_add_once(r, &p->listens, listen);
	for (size_t i = 0; i < p->listens.n; i++)
		if (!p->listens.item[i].name &&
			!strcmp(p->listens.item[i].text, listen.text))
			p->listens.item[i].name = listen.name;
}

void reading_fact(struct reading *r, enum site_fact_id id, const char *directive,
	struct site_value v)
{
	struct site *s = r->site;
	struct site_fact *facts = grown(r, s->facts, s->n_facts, sizeof(*facts));
	if (!facts)
		return;
	s->facts = facts;
	s->facts[s->n_facts++] = (struct site_fact){ id, directive, v };
}

static bool is_same_place(const struct site_value *a, const struct site_value *b)
{
	return a->at == b->at && a->line == b->line &&
	       !strcmp(a->file ? a->file : "", b->file ? b->file : "") &&
	       !strcmp(a->text ? a->text : "", b->text ? b->text : "");
}

struct site_pair *reading_pair(struct reading *r, const struct site_value *certificate,
	const struct site_value *key)
{
	struct site *s = r->site;
	for (size_t i = 0; i < s->n_pairs; i++)
		if (is_same_place(&s->pairs[i].certificate, certificate) &&
			is_same_place(&s->pairs[i].key, key))
			return &s->pairs[i];
	struct site_pair *pairs = grown(r, s->pairs, s->n_pairs, sizeof(*pairs));
	if (!pairs)
		return NULL;
	s->pairs = pairs;
	struct site_pair *p = &pairs[s->n_pairs++];
	*p = (struct site_pair){ .certificate = *certificate, .key = *key };
	return p;
}

/* ---- files ---- */

static const char *remember_file(struct reading *r, const char *path)
{
	struct site *s = r->site;
	for (size_t i = 0; i < s->n_files; i++)
		if (!strcmp(s->files[i], path))
			return s->files[i];
	const char **files = grown(r, s->files, s->n_files, sizeof(*files));
	if (!files)
		return path;
	s->files = files;
	return s->files[s->n_files++] = reading_text(r, slice_of(path));
}

static void cannot_read(
	struct reading *r, const char *path, const struct site_value *by, kf_err e)
{
	if (by->line) {
		reading_complain(r, by->file, by->line, "%s: %s", path, e.site->text);
		return;
	}
	buf_printf(r->why, "%s: %s\n", path, e.site->text);
	if (kf_ok(r->err))
		r->err = e;
}

bool reading_file(struct reading *r, const char *path, const struct site_value *by,
	struct buf *ret, const char **ret_name)
{
	kf_err e = r->files->read(r->files->arg, path, ret);
	if (kf_ok(e))
		e = buf_err(ret);
	if (!kf_ok(e)) {
		cannot_read(r, path, by, e);
		return false;
	}
	r->total += ret->n;
	if (r->total > SITE_TOTAL_MAX || ++r->reads > SITE_READS_MAX) {
		buf_printf(
			r->why, "%s: more than 64 MiB or 100,000 files in all\n", path);
		r->err = kf_fail(TOO_BIG, "the web server's configuration is too big");
		return false;
	}
	*ret_name = remember_file(r, path);
	return kf_ok(r->err);
}

static kf_err disk_read(void *arg, const char *path, struct buf *ret)
{
	(void)arg;
	autobuf why = buf_new(8192);
	return conf_read_file(path, ret, &why);
}

static kf_err disk_glob(void *arg, const char *pattern,
	kf_err (*each)(void *site, const char *path), void *site)
{
	(void)arg;
	glob_t found;
	int rc = glob(pattern, 0, NULL, &found);
	kf_err e = rc == GLOB_NOSPACE ? kf_fail(NOMEM, "no memory for a list of files")
				      : KF_OK;
	for (size_t i = 0; rc == 0 && kf_ok(e) && i < found.gl_pathc; i++)
		e = each(site, found.gl_pathv[i]);
	if (rc == 0)
		globfree(&found);
	return e;
}

static bool disk_is_dir(void *arg, const char *path)
{
	(void)arg;
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const struct site_files site_disk = {
	.read = disk_read, .glob = disk_glob, .is_dir = disk_is_dir
};

/* ---- all of it ---- */

kf_err site_read(enum site_kind kind, const char *file, const struct site_files *files,
	struct site *ret, struct buf *why)
{
	struct site s = { .kind = kind };
	struct reading r = {
		.site = &s, .files = files ? files : &site_disk, .why = why, .err = KF_OK
	};
	s.file = reading_text(&r, slice_of(file));
	kinds[kind].read(&r, s.file);
	s.memory = r.memory;
	if (kf_ok(r.err) && r.mistakes)
		r.err = kf_fail(CONFIG, "the web server's configuration has mistakes");
	if (!kf_ok(r.err)) {
		site_free(&s);
		return r.err;
	}
	*ret = s;
	return KF_OK;
}
