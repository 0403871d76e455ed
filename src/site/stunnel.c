/* SPDX-License-Identifier: Apache-2.0
 *
 * stunnel.conf: `option = value` lines; what stands before the first [service] holds for all of them.  A value is
 * the rest of its line.  Without `key` the key is in the certificate's file.
 */
#include "site/private.h"
#include <string.h>
#include <strings.h>

struct service {
	struct site_value certificate, key, accept, name;
	const char *why_not;
	bool is_client, has_protocol;
};

struct stunnel {
	struct reading *r;
	struct service defaults, *now; /* now: of the section that is being read */
	struct service current;
};

static void read_file(struct stunnel *s, const char *path, const struct site_value *by);

static const struct fact_row facts[] = {
	{ "setuid", SITE_USER },
	{ "setgid", SITE_GROUP },
	{ "chroot", SITE_CHROOT },
	{ "pid", SITE_PID_FILE },
	{ "engine", SITE_ENGINE },
	{ "sessionCacheSize", SITE_SESSION_CACHE },
	{ "TIMEOUTbusy", SITE_HANDSHAKE_TIMEOUT },
	{ "foreground", SITE_DAEMON },
};

static const char *listen_address(struct reading *r, const char *accept)
{
	if (accept[strspn(accept, "0123456789")] == 0)
		return reading_format(r, "*:%s", accept);
	if (!strncmp(accept, ":::", 3))
		return reading_format(r, "[::]:%s", accept + 3);
	return reading_text(r, slice_of(accept));
}

/* The section that ends here, if it is a TLS server. */
static void close_service(struct stunnel *s)
{
	struct service *v = s->now;
	if (v == &s->defaults || v->is_client || !v->certificate.text)
		return;
	bool is_bundle = !v->key.text;
	if (is_bundle)
		v->key = (struct site_value){ .text = v->certificate.text };
	struct site_pair *p = reading_pair(s->r, &v->certificate, &v->key);
	if (!p)
		return;
	p->shape = is_bundle || !strcmp(v->key.text, v->certificate.text) ? SITE_BUNDLE
									  : SITE_SEPARATE;
	p->why_not = strncmp(v->key.text, "pkcs11:", 7) ? v->why_not
							: "the key is in a PKCS#11 token";
	v->accept.opening = v->has_protocol ? SITE_OTHER_PROTOCOL : SITE_TLS;
	if (v->accept.text)
		reading_listen(s->r, p, v->accept,
			&(struct site_values){ &v->name, v->name.text != NULL });
	if (v->name.text)
		reading_add_once(s->r, &p->names, v->name);
}

struct include {
	struct stunnel *s;
	const struct site_value *by;
};

static kf_err include_one(void *arg, const char *path)
{
	struct include *in = arg;
	if (!in->s->r->files->is_dir(in->s->r->files->arg, path))
		read_file(in->s, path, in->by);
	return in->s->r->err;
}

static void include(struct stunnel *s, const struct site_value *v)
{
	struct include in = { s, v };
	const char *pattern = reading_format(s->r, "%s/*", v->text);
	kf_err e = s->r->files->glob(s->r->files->arg, pattern, include_one, &in);
	if (!kf_ok(e) && kf_ok(s->r->err))
		s->r->err = e;
}

static void take_option(struct stunnel *s, const struct words *w)
{
	struct service *v = s->now;
	const char *name = words_text(w, 0);
	struct site_value value = words_value(s->r, w, 1);
	if (!strcasecmp(name, "cert")) {
		v->certificate = value;
	} else if (!strcasecmp(name, "key")) {
		v->key = value;
	} else if (!strcasecmp(name, "accept")) {
		v->accept = value;
		v->accept.text = listen_address(s->r, value.text);
	} else if (!strcasecmp(name, "client")) {
		v->is_client = !strcasecmp(value.text, "yes");
	} else if (!strcasecmp(name, "protocol")) {
		/* `proxy` is what it says to the server behind it. */
		v->has_protocol = strcasecmp(value.text, "proxy") != 0;
	} else if (!strcasecmp(name, "engineId") || !strcasecmp(name, "engineNum")) {
		v->why_not = "the key is in an engine";
	} else if (!strcasecmp(name, "include")) {
		include(s, &value);
	} else {
		words_fact(s->r, w, facts, sizeof(facts) / sizeof(facts[0]), strcasecmp);
	}
}

static void add_word(struct words *w, struct slice text, const uint8_t *file, size_t line)
{
	size_t at = (size_t)(text.p - file);
	if (!words_begin(w, at, line))
		return;
	for (size_t i = 0; i < text.n; i++)
		words_put(w, text.p[i]);
	words_end(w, at + text.n);
}

static void open_service(struct stunnel *s, const struct words *w)
{
	close_service(s);
	s->current = s->defaults;
	s->current.name = words_value(s->r, w, 0);
	s->now = &s->current;
}

static void take_line(struct stunnel *s, struct slice line, const uint8_t *file,
	size_t number, struct words *w)
{
	line = slice_trimmed(line);
	words_clear(w);
	if (!line.n || *line.p == ';' || *line.p == '#')
		return;
	if (*line.p == '[' && line.p[line.n - 1] == ']') {
		add_word(w, (struct slice){ line.p + 1, line.n - 2 }, file, number);
		open_service(s, w);
		return;
	}
	const uint8_t *equals = memchr(line.p, '=', line.n);
	if (!equals) {
		reading_complain(s->r, w->file, number, "`option = value` is expected");
		return;
	}
	size_t n = (size_t)(equals - line.p);
	add_word(w, slice_trimmed((struct slice){ line.p, n }), file, number);
	add_word(w, slice_trimmed((struct slice){ equals + 1, line.n - n - 1 }), file,
		number);
	if (w->n == 2)
		take_option(s, w);
}

static void read_file(struct stunnel *s, const char *path, const struct site_value *by)
{
	autobuf text = buf_new(SITE_FILE_MAX);
	const char *name;
	if (++s->r->depth > SITE_DEPTH_MAX)
		reading_complain(
			s->r, by->file, by->line, "too many files include each other");
	else if (reading_file(s->r, path, by, &text, &name)) {
		autowords w = words_new(name);
		struct slice rest = buf_slice(&text);
		for (size_t number = 1; rest.n && kf_ok(s->r->err); number++)
			take_line(s, slice_take_line(&rest), text.p, number, &w);
	}
	s->r->depth--;
}

void stunnel_read(struct reading *r, const char *file)
{
	struct stunnel s = { .r = r };
	const struct site_value nobody = { 0 };
	s.now = &s.defaults;
	read_file(&s, file, &nobody);
	close_service(&s);
}
