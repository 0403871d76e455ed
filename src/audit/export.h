/* SPDX-License-Identifier: Apache-2.0
 *
 * export: a copy of the lines for syslog or the journal, by a thread of its own.  The audit worker only puts
 * lines into a ring; what does not fit because the other side is slow is counted and lost to the export,
 * never to the audit.
 */
#pragma once
#include "audit/audit.h"

struct exporter;

/* conf->export is not NONE. */
kf_err exporter_open(const struct audit_conf *conf, struct exporter **ret);
void exporter_close(
	struct exporter *e); /* tries what is left for a moment; NULL is fine */
/* Whole lines; the audit worker's. */
void exporter_put(struct exporter *e, struct slice lines);
/* Any thread. */
void exporter_status(
	const struct exporter *e, uint64_t *ret_exported, uint64_t *ret_lost);
