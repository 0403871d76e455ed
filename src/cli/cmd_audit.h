/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_audit: what the commands about audit logs share.
 */
#pragma once
#include "cli/cli.h"

struct keyring;

/* The first operand, or where `keyfleet init` puts it. */
kf_err audit_directory(const struct cli *c, char *ret, size_t size);

/* The segments there, ascending.  Failures are told. */
struct audit_log {
	int directory;
	uint64_t *number;
	size_t n;
};
kf_err audit_log_open(const struct cli *c, struct audit_log *ret);
void audit_log_close(struct audit_log *l);

/* Lines for people as they stand; for programs an array of objects. */
struct audit_printer {
	bool is_json, has_any;
};
void audit_print_line(struct audit_printer *p, struct slice line);
void audit_print_end(const struct audit_printer *p);

/* A line for each master key: the public key in hexadecimal, and whose it is. */
kf_err audit_key_lines(const struct keyring *k, struct buf *ret);
