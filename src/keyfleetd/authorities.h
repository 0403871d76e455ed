/* SPDX-License-Identifier: Apache-2.0
 *
 * authorities: the [ca NAME] sections of the configuration become what operations need (op/authority.h).  What they
 * hold is copied: a reload may take the configuration away.
 */
#pragma once
#include "keyfleetd/conf.h"
#include "op/authority.h"

struct authorities;

/* What can be said without opening their files. */
void authorities_check_conf(const struct conf *c, const char *path, struct buf *errors);

/* Reads the certificates.  CONFIG: `why` has a line for each mistake, with the remedy. */
kf_err authorities_open(const struct conf *c, const char *path, struct buf *why,
	struct authorities **ret);
void authorities_free(struct authorities *a); /* NULL is fine */
const struct authority *authorities_list(const struct authorities *a, size_t *ret_n);

/* One line in the log for each whose key is not there or whose certificate ends within 30 days. */
void authorities_warn(
	const struct authorities *a, const struct op_server *server, int64_t now_s);
