/* SPDX-License-Identifier: Apache-2.0 */
#include "site/site.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the server.  Every file that is asked for has the text, so that includes go round. */
struct input {
	struct slice text;
	unsigned reads;
};

static kf_err read_any(void *arg, const char *path, struct buf *ret)
{
	struct input *in = arg;
	(void)path;
	if (++in->reads > 20)
		return kf_fail(NOT_FOUND, "enough was read");
	buf_add_slice(ret, in->text);
	return buf_err(ret);
}

static kf_err glob_one(void *arg, const char *pattern,
	kf_err (*each)(void *site, const char *path), void *site)
{
	const struct input *in = arg;
	return in->reads > 20 ? KF_OK : each(site, pattern);
}

static bool is_dir(void *arg, const char *path)
{
	(void)arg;
	return strstr(path, ".d") != NULL && strlen(path) < 100;
}

/* Whatever the text says: each value that stands in a file stands inside of it, and an edit of it is made. */
static void check(const struct site_value *v, struct slice text, bool is_own)
{
	if (!v->text || (is_own && v->file && (v->at > text.n || v->n > text.n - v->at)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct input in = { .text = { data + 1, size - 1 } };
	const struct site_files files = { &in, read_any, glob_one, is_dir };
	autobuf why = buf_new(1 << 20);
	struct site s = { 0 };
	kf_err e = site_read(
		(enum site_kind)(data[0] % SITE_KINDS), "/x/conf", &files, &s, &why);
	if (kf_is(e, KF_E_CONFIG) && !why.n)
		abort();
	for (size_t i = 0; kf_ok(e) && i < s.n_pairs; i++) {
		check(&s.pairs[i].certificate, in.text, true);
		check(&s.pairs[i].key, in.text, true);
		for (size_t k = 0; k < s.pairs[i].listens.n; k++)
			check(&s.pairs[i].listens.item[k], in.text, true);
	}
	for (size_t i = 0; kf_ok(e) && i < s.n_facts; i++)
		check(&s.facts[i].value, in.text, true);
	site_free(&s);
	return 0;
}
