/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_openssl.h"
#include "base/conf.h"
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	FILE_MAX = 1 << 20,
	OPTIONS_MAX = 65536,
	DEPTH_MAX = 8,
	FILES_MAX = 1000,
	SECTION_MAX = 256
};

struct reader {
	struct openssl_conf *conf;
	char section[SECTION_MAX];
	unsigned depth;
};

static kf_err read_file(struct reader *r, const char *path);

static struct slice without_comment(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '#' && (i == 0 || s.p[i - 1] != '\\'))
			return (struct slice){ s.p, i };
	return s;
}

static struct slice unquoted(struct slice s)
{
	bool is_quoted =
		s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0];
	return is_quoted ? (struct slice){ s.p + 1, s.n - 2 } : s;
}

static kf_err add(struct openssl_conf *c, const struct openssl_option *o)
{
	struct openssl_option *grown = NULL;
	if (o->section && o->key && o->value && c->n < OPTIONS_MAX)
		grown = reallocarray(c->item, c->n + 1, sizeof(*grown));
	if (!grown) {
		free(o->section);
		free(o->key);
		free(o->value);
		return kf_fail(NOMEM, "options of openssl.cnf");
	}
	c->item = grown;
	c->item[c->n++] = *o;
	return KF_OK;
}

static kf_err keep_name(struct openssl_conf *c, const char *path, const char **ret)
{
	char **grown = reallocarray(c->files, c->n_files + 1, sizeof(*grown));
	char *copy = strdup(path);
	if (grown)
		c->files = grown;
	if (!grown || !copy) {
		free(copy);
		return kf_fail(NOMEM, "name of a file");
	}
	c->files[c->n_files++] = copy;
	*ret = copy;
	return KF_OK;
}

/* ---- .include ---- */

static kf_err read_folder(struct reader *r, const char *path)
{
	static const char *const endings[] = { "/*.cnf", "/*.conf" };
	for (size_t e = 0; e < 2; e++) {
		char pattern[4096];
		glob_t found = { 0 };
		if (snprintf(pattern, sizeof(pattern), "%s%s", path, endings[e]) >=
			(int)sizeof(pattern))
			return KF_OK;
		kf_err err = KF_OK;
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t i = 0; i < found.gl_pathc && kf_ok(err); i++)
				err = read_file(r, found.gl_pathv[i]);
		globfree(&found);
		KF_TRY(err);
	}
	return KF_OK;
}

/* What is included and cannot be read is passed over, as libcrypto does. */
static kf_err include(struct reader *r, struct slice line)
{
	struct slice rest = slice_trimmed((struct slice){ line.p + 8, line.n - 8 });
	if (rest.n && rest.p[0] == '=')
		rest = slice_trimmed((struct slice){ rest.p + 1, rest.n - 1 });
	char path[4096];
	struct stat st;
	if (!kf_ok(slice_to_text(unquoted(rest), path, sizeof(path))) || stat(path, &st))
		return KF_OK;
	kf_err e = S_ISDIR(st.st_mode) ? read_folder(r, path) : read_file(r, path);
	return kf_is(e, KF_E_NOMEM) ? e : KF_OK;
}

/* ---- lines ---- */

static void enter(struct reader *r, struct slice line)
{
	const uint8_t *end = memchr(line.p, ']', line.n);
	struct slice name = slice_trimmed(
		(struct slice){ line.p + 1, end ? (size_t)(end - line.p) - 1 : 0 });
	kf_err e = slice_to_text(name, r->section, sizeof(r->section));
	if (!kf_ok(e))
		r->section[0] = 0;
}

static bool is_include(struct slice line)
{
	return line.n > 8 && !memcmp(line.p, ".include", 8) &&
	       (slice_is_space(line.p[8]) || line.p[8] == '=');
}

static kf_err take_line(
	struct reader *r, struct slice line, const char *file, size_t number)
{
	line = slice_trimmed(without_comment(line));
	if (line.n && line.p[0] == '[') {
		enter(r, line);
		return KF_OK;
	}
	if (is_include(line))
		return include(r, line);
	const uint8_t *equals = line.n ? memchr(line.p, '=', line.n) : NULL;
	if (!equals || line.p[0] == '.')
		return KF_OK;
	size_t n = (size_t)(equals - line.p);
	struct slice key = slice_trimmed((struct slice){ line.p, n });
	struct slice value =
		unquoted(slice_trimmed((struct slice){ equals + 1, line.n - n - 1 }));
	return add(r->conf, &(struct openssl_option){ strdup(r->section), slice_dup(key),
				    slice_dup(value), file, number });
}

static kf_err take_text(struct reader *r, const char *file, struct slice text)
{
	for (size_t line = 1; text.n; line++)
		KF_TRY(take_line(r, slice_take_line(&text), file, line));
	return KF_OK;
}

static kf_err read_file(struct reader *r, const char *path)
{
	const char *name;
	if (r->depth >= DEPTH_MAX || r->conf->n_files >= FILES_MAX)
		return kf_fail(LIMIT, "files of openssl.cnf include each other");
	autobuf text = buf_new(FILE_MAX), why = buf_new(65536);
	KF_TRY(conf_read_file(path, &text, &why));
	KF_TRY(keep_name(r->conf, path, &name));
	r->depth++;
	kf_err e = take_text(r, name, buf_slice(&text));
	r->depth--;
	return e;
}

/* ---- what it says ---- */

const struct openssl_option *openssl_conf_find(
	const struct openssl_conf *c, const char *section, const char *key)
{
	for (size_t i = c->n; i > 0; i--)
		if (!strcmp(c->item[i - 1].section, section) &&
			!strcmp(c->item[i - 1].key, key))
			return &c->item[i - 1];
	return NULL;
}

static const char *get(const struct openssl_conf *c, const char *section, const char *key)
{
	const struct openssl_option *o = openssl_conf_find(c, section, key);
	return o ? o->value : NULL;
}

const char *openssl_conf_keyfleet(const struct openssl_conf *c, const char *key)
{
	return c->keyfleet.named ? get(c, c->keyfleet.section, key) : NULL;
}

static bool is_true(const char *v)
{
	static const char *const words[] = { "1", "yes", "YES", "true", "TRUE", "on",
		"ON" };
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(v, words[i]))
			return true;
	return false;
}

/* OpenSSL 3.0 asks only whether the line is there; later ones read it. */
static struct openssl_provider provider_of(
	const struct openssl_conf *c, const struct openssl_option *named)
{
	const struct openssl_option *a = openssl_conf_find(c, named->value, "activate");
	return (struct openssl_provider){ named, named->value, a,
		a && is_true(a->value) };
}

static bool is_keyfleet(const struct openssl_conf *c, const struct openssl_option *o)
{
	const char *identity = get(c, o->value, "identity");
	const char *module = get(c, o->value, "module");
	const char *file = module ? strrchr(module, '/') : NULL;
	return !strcmp(identity ? identity : o->key, "keyfleet") ||
	       (module && !strcmp(file ? file + 1 : module, "keyfleet.so"));
}

static void resolve(struct openssl_conf *c)
{
	const char *init = get(c, "", "openssl_conf");
	c->providers = init ? get(c, init, "providers") : NULL;
	for (size_t i = 0; c->providers && i < c->n; i++) {
		const struct openssl_option *o = &c->item[i];
		if (strcmp(o->section, c->providers) != 0)
			continue;
		if (is_keyfleet(c, o))
			c->keyfleet = provider_of(c, o);
		else if (!strcmp(o->key, "default"))
			c->base = provider_of(c, o);
	}
}

kf_err openssl_conf_parse(const char *path, struct slice text, struct openssl_conf *ret)
{
	const char *name;
	*ret = (struct openssl_conf){ 0 };
	struct reader r = { .conf = ret, .section = "", .depth = 1 };
	KF_TRY(keep_name(ret, path, &name));
	KF_TRY(take_text(&r, name, text));
	resolve(ret);
	return KF_OK;
}

kf_err openssl_conf_read(const char *path, struct openssl_conf *ret)
{
	*ret = (struct openssl_conf){ 0 };
	struct reader r = { .conf = ret, .section = "" };
	KF_TRY(read_file(&r, path));
	resolve(ret);
	return KF_OK;
}

void openssl_conf_free(struct openssl_conf *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->item[i].section);
		free(c->item[i].key);
		free(c->item[i].value);
	}
	for (size_t i = 0; i < c->n_files; i++)
		free(c->files[i]);
	free(c->item);
	free(c->files);
	*c = (struct openssl_conf){ 0 };
}
