/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_conf: the options of a configuration file with their lines, without judging them: what is
 * broken elsewhere in the file must not hide them.  base/conf.h judges.
 */
#pragma once
#include "base/buf.h"

struct doctor_option {
	char *section, *label; /* of [section label]; label "" without one */
	char *key, *value;
	size_t line;
};

struct doctor_conf {
	const char *path;
	struct doctor_option *item;
	size_t n;
};

/* Lines that are no options are passed over.  NOMEM only. */
kf_err doctor_conf_parse(const char *path, struct slice text, struct doctor_conf *ret);
/* NOT_FOUND, DENIED, TOO_BIG, IO of the file. */
kf_err doctor_conf_read(const char *path, struct doctor_conf *ret);
void doctor_conf_free(struct doctor_conf *c);

/* The last one counts; NULL: not there. */
const struct doctor_option *doctor_conf_find(
	const struct doctor_conf *c, const char *section, const char *key);
/* Its value, or `otherwise`. */
const char *doctor_conf_get(const struct doctor_conf *c, const char *section,
	const char *key, const char *otherwise);
/* An absolute path from the file's folder. */
kf_err doctor_conf_path(
	const struct doctor_conf *c, const char *value, char *ret, size_t size);
/* "64M" is 67108864; -1 when it is no number. */
int64_t doctor_conf_size(const char *value);
/* "credential:NAME": what only the unit sees. */
bool doctor_is_credential(const char *value);
/* Is the word in the list, which blanks and commas separate? */
bool doctor_conf_lists(const char *list, const char *word);
