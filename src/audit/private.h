/* SPDX-License-Identifier: Apache-2.0
 *
 * For audit.c and its tests: audit_open() on system calls of one's own.
 */
#pragma once
#include "audit/journal.h"

struct audit_waker {
	audit_wake wake;
	void *arg;
};

kf_err audit_open_on(const struct audit_conf *conf, const struct journal_ops *ops,
	const struct audit_waker *waker, struct audit **ret);
