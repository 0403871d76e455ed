/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "site/site.h"
#include "test.h"

static const char text[] = "listen 443;\nkey /a.key; # mine\n\tkey\t/b.key;\n";

static kf_err edit(const struct site_edit *edits, size_t n, struct buf *ret)
{
	return site_edit(slice_of(text), edits, n, ret);
}

TEST(arguments_change_and_every_other_byte_stays)
{
	const struct site_edit edits[] = {
		{ 36, 6, "/b.key", "/b.ref" },
		{ 16, 6, "/a.key", "\"/a long.ref\"" },
		{ 0, 0, "", "env X;\n" },
	};
	autobuf ret = buf_new(1024);

	OK(kf_ok(edit(edits, 3, &ret)));

	MEMEQ(ret.p, ret.n,
		"env X;\nlisten 443;\nkey \"/a long.ref\"; # mine\n\tkey\t/b.ref;\n");
}

TEST(no_change_is_the_same_file)
{
	autobuf ret = buf_new(1024);

	OK(kf_ok(edit(NULL, 0, &ret)));

	OK(slice_is(buf_slice(&ret), text));
}

TEST(a_file_that_changed_meanwhile_is_left_alone)
{
	autobuf ret = buf_new(1024);

	OK(kf_is(edit(&(struct site_edit){ 16, 6, "/x.key", "/y" }, 1, &ret),
		KF_E_CONFLICT));
	OK(kf_is(edit(&(struct site_edit){ 1000, 6, "/x.key", "/y" }, 1, &ret),
		KF_E_CONFLICT));
	OK(kf_is(edit(&(struct site_edit){ 1, SIZE_MAX, "/x.key", "/y" }, 1, &ret),
		KF_E_CONFLICT));
}

TEST(changes_do_not_overlap)
{
	const struct site_edit edits[] = { { 16, 6, "/a.key", "/y" },
		{ 18, 2, ".k", "/y" } };
	autobuf ret = buf_new(1024);

	OK(kf_is(edit(edits, 2, &ret), KF_E_CONFLICT));
}

static bool quoted(enum site_kind kind, const char *path, const char *want)
{
	autobuf ret = buf_new(1024);
	return kf_ok(site_quote(kind, path, &ret)) && slice_is(buf_slice(&ret), want);
}

TEST(paths_are_quoted_where_they_have_to_be)
{
	autobuf ret = buf_new(1024);

	OK(quoted(SITE_NGINX, "/a/b.pem", "/a/b.pem"));
	OK(quoted(SITE_NGINX, "/a b;{.pem", "\"/a b;{.pem\""));
	OK(quoted(SITE_STUNNEL, "/a b", "/a b"));
	OK(kf_is(site_quote(SITE_APACHE, "/a$b", &ret), KF_E_INVALID_FIELD));
	OK(kf_is(site_quote(SITE_APACHE, "/a\nb", &ret), KF_E_INVALID_FIELD));
}

TEST_MAIN
