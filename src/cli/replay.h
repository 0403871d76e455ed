/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: what the files of `keyfleet replay` share.
 */
#pragma once
#include "cli/cli.h"
#include "cli/doctor_wire.h"
#include "replay/compare.h"

/* Files and folders (of *.xml, searched to the bottom) as one list; numbers in names count as numbers: a case comes
 * before those that use its objects. */
struct replay_files {
	char **path;
	size_t n, cap;
};
kf_err replay_files_add(const struct cli *c, struct replay_files *f, const char *path);
void replay_files_clear(struct replay_files *f);
/* "SKFF-M-1-14" of ".../SKFF-M-1-14.xml". */
void replay_name(const char *path, char *ret, size_t size);

struct replay_server {
	struct settings *settings;
	const char *address;
	const char *host; /* what its certificate must show; NULL: any name */
	int64_t timeout_ms;
	bool is_verbose;
	struct replay_scope scope; /* of the run */
};

enum replay_verdict { REPLAY_PASS, REPLAY_DIFFERS, REPLAY_STATUS, REPLAY_BROKEN };
struct replay_result {
	enum replay_verdict verdict;
	size_t exchange; /* that ended it, from 1 */
	const char *operation;
	struct buf text; /* the first difference; buf_new() */
};

/* Over a connection of its own. */
void replay_run(
	struct replay_server *s, const struct replay_case *c, struct replay_result *ret);
/* Interop, Reset: the server forgets all objects. */
kf_err replay_reset(struct replay_server *s, struct buf *why);
