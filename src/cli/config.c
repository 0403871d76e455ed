/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config.h"
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

kf_err config_authority(const struct cli *c, const char *given, char *ret, size_t size)
{
	if (given)
		return slice_to_text(slice_of(given), ret, size);
	char dir[4096];
	KF_TRY(folder_of(c->config, dir, sizeof(dir)));
	return path_join(dir, "ca", ret, size);
}
