/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config.h"
#include "client/settings.h"
#include <libgen.h>
#include <stdio.h>
#include <string.h>

static kf_err folder_of(const char *path, char *ret, size_t size)
{
	char copy[4096];
	KF_TRY(slice_to_text(slice_of(path), copy, sizeof(copy)));
	return slice_to_text(slice_of(dirname(copy)), ret, size);
}

kf_err config_dir(const struct cli *c, const char *given, char *ret, size_t size)
{
	return given ? slice_to_text(slice_of(given), ret, size)
		     : folder_of(c->config, ret, size);
}

/* A configuration that cannot be read is not this function's news: the connection will tell. */
static kf_err configured_authority(const struct cli *c, char *ret, size_t size)
{
	autobuf why = buf_new(65536);
	struct settings s = { 0 };
	kf_err e = settings_read(c->config, &s, &why);
	if (kf_ok(e))
		e = s.authority ? slice_to_text(slice_of(s.authority), ret, size)
				: kf_fail(NOT_FOUND, "no authority is configured");
	settings_free(&s);
	return e;
}

kf_err config_authority(const struct cli *c, const char *given, char *ret, size_t size)
{
	if (given)
		return slice_to_text(slice_of(given), ret, size);
	if (kf_ok(configured_authority(c, ret, size)))
		return KF_OK;
	char dir[4096];
	KF_TRY(folder_of(c->config, dir, sizeof(dir)));
	return path_join(dir, "ca", ret, size);
}
