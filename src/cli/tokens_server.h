/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens_server: what a key server says of its tokens.
 */
#pragma once
#include "cli/tokens.h"
#include "kmip/token_admin.h"

enum { LINES_MAX = POOL_TOKENS_MAX * POOLS_MAX };

kf_err server_list(struct tokens *t, struct token_line *ret, size_t max, size_t *ret_n);
kf_err server_keys(
	struct tokens *t, void (*see)(void *arg, const struct key_line *k), void *arg);
kf_err server_drift(struct tokens *t, const struct provision_drift *in);
/* A key that tokens hold already gets an object. */
kf_err server_adopt(struct tokens *t, const struct key_line *key,
	const struct key_wish *wish, struct buf *ret_id, struct provision_report *ret);
/* By serial number or label; notes why not. */
kf_err server_line(struct tokens *t, const char *name, struct token_line *ret);
/* Lines of those that are named, or of all. */
kf_err server_lines(struct tokens *t, const struct token_names *names,
	struct token_line *ret, size_t *ret_n);
/* Cut to what fits, with NUL. */
void server_text(struct slice s, char *ret, size_t size);

kf_err server_act(struct tokens *t, const struct token_action *q);
kf_err server_import_shares(struct tokens *t, const struct token_names *to,
	const struct provision_shares *shares, struct provision_report *ret);
/* What became of a token: NULL, there are too many. */
struct provision_row *server_add_row(struct provision_report *r, const char *serial);
/* `why` may be NULL: the error's own words. */
void server_decide(struct provision_row *row, kf_err e, const char *why);
void server_count(struct provision_report *r);
