/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_conf.h"
#include "base/conf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONF_FILE_MAX = 1 << 20, OPTIONS_MAX = 65536 };

/* A # after white space starts a comment, unless it is quoted. */
static struct slice without_comment(struct slice s)
{
	bool is_quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		is_quoted ^= s.p[i] == '"';
		if (s.p[i] == '#' && !is_quoted && (i == 0 || slice_is_space(s.p[i - 1])))
			return (struct slice){ s.p, i };
	}
	return s;
}

static char *value_of(struct slice s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = (struct slice){ s.p + 1, s.n - 2 };
	return slice_dup(s);
}

struct section {
	struct slice kind, label;
};

static void enter(struct slice line, struct section *at)
{
	const uint8_t *end = memchr(line.p, ']', line.n);
	struct slice name = slice_trimmed(
		(struct slice){ line.p + 1, end ? (size_t)(end - line.p) - 1 : 0 });
	size_t n = 0;
	while (n < name.n && !slice_is_space(name.p[n]))
		n++;
	at->kind = (struct slice){ name.p, n };
	at->label = slice_trimmed((struct slice){ name.p + n, name.n - n });
}

static kf_err add(struct doctor_conf *c, const struct doctor_option *o)
{
	struct doctor_option *grown = NULL;
	if (o->section && o->label && o->key && o->value && c->n < OPTIONS_MAX)
		grown = reallocarray(c->item, c->n + 1, sizeof(*grown));
	if (!grown) {
		free(o->section);
		free(o->label);
		free(o->key);
		free(o->value);
		return kf_fail(NOMEM, "options of a configuration");
	}
	c->item = grown;
	c->item[c->n++] = *o;
	return KF_OK;
}

static kf_err take_line(
	struct doctor_conf *c, struct section *at, struct slice line, size_t number)
{
	line = slice_trimmed(without_comment(line));
	if (line.n && line.p[0] == '[') {
		enter(line, at);
		return KF_OK;
	}
	const uint8_t *equals = line.n ? memchr(line.p, '=', line.n) : NULL;
	if (!equals)
		return KF_OK;
	size_t n = (size_t)(equals - line.p);
	struct slice key = slice_trimmed((struct slice){ line.p, n });
	struct slice value = slice_trimmed((struct slice){ equals + 1, line.n - n - 1 });
	return add(c, &(struct doctor_option){ slice_dup(at->kind), value_of(at->label),
			      slice_dup(key), value_of(value), number });
}

kf_err doctor_conf_parse(const char *path, struct slice text, struct doctor_conf *ret)
{
	struct section at = { 0 };
	*ret = (struct doctor_conf){ .path = path };
	for (size_t line = 1; text.n; line++)
		KF_TRY(take_line(ret, &at, slice_take_line(&text), line));
	return KF_OK;
}

kf_err doctor_conf_read(const char *path, struct doctor_conf *ret)
{
	autobuf text = buf_new(CONF_FILE_MAX), why = buf_new(65536);
	*ret = (struct doctor_conf){ .path = path };
	KF_TRY(conf_read_file(path, &text, &why));
	return doctor_conf_parse(path, buf_slice(&text), ret);
}

void doctor_conf_free(struct doctor_conf *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->item[i].section);
		free(c->item[i].label);
		free(c->item[i].key);
		free(c->item[i].value);
	}
	free(c->item);
	*c = (struct doctor_conf){ 0 };
}

const struct doctor_option *doctor_conf_find(
	const struct doctor_conf *c, const char *section, const char *key)
{
	for (size_t i = c->n; i > 0; i--)
		if (!strcmp(c->item[i - 1].section, section) &&
			!strcmp(c->item[i - 1].key, key))
			return &c->item[i - 1];
	return NULL;
}

const char *doctor_conf_get(const struct doctor_conf *c, const char *section,
	const char *key, const char *otherwise)
{
	const struct doctor_option *o = doctor_conf_find(c, section, key);
	return o ? o->value : otherwise;
}

kf_err doctor_conf_path(
	const struct doctor_conf *c, const char *value, char *ret, size_t size)
{
	const char *slash = strrchr(c->path, '/');
	int n;
	if (value[0] == '/' || !slash)
		n = snprintf(ret, size, "%s", value);
	else
		n = snprintf(
			ret, size, "%.*s/%s", (int)(slash - c->path), c->path, value);
	return n >= 0 && (size_t)n < size ? KF_OK
					  : kf_fail(TOO_BIG, "the path is too long");
}

bool doctor_is_credential(const char *value)
{
	const char *name = strrchr(value, '/');
	return !strncmp(name ? name + 1 : value, "credential:", 11);
}

int64_t doctor_conf_size(const char *value)
{
	char *end;
	if (value[0] < '0' || value[0] > '9')
		return -1;
	unsigned long long v = strtoull(value, &end, 10);
	const char *unit = *end ? strchr("KMG", *end) : NULL;
	if (*end && (!unit || end[1]))
		return -1;
	unsigned shift = unit ? 10 * (unsigned)(strchr("KMG", *end) - "KMG" + 1) : 0;
	return v > (unsigned long long)INT64_MAX >> shift ? -1 : (int64_t)(v << shift);
}

bool doctor_conf_lists(const char *list, const char *word)
{
	size_t n = strlen(word);
	while (*list) {
		list += strspn(list, ", \t");
		size_t have = strcspn(list, ", \t");
		if (n && have == n && !strncmp(list, word, n))
			return true;
		list += have;
	}
	return false;
}
