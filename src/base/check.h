/* SPDX-License-Identifier: Apache-2.0
 *
 * check: what we know to be true.  A daemon dies when it is not, and is restarted.  A guest lives in
 * somebody else's process and never aborts (KF_GUEST): there it becomes a sticky INTERNAL error.
 *
 *     if (!KF_HOLDS(&b->err, n <= b->n, "dropping more than there is"))
 *             return;
 */
#pragma once
#include "base/err.h"

#ifdef KF_GUEST
#define kf_broken(err, text)                                                             \
	do {                                                                             \
		if (kf_ok(*(err)))                                                       \
			*(err) = kf_fail(INTERNAL, (text));                              \
	} while (0)
#else
#include <stdlib.h>
#define kf_broken(err, text)                                                             \
	do {                                                                             \
		*(err) = kf_fail(INTERNAL, (text));                                      \
		abort();                                                                 \
	} while (0)
#endif

/* True as it should be; otherwise the end of a daemon, or false and *err set in a guest. */
#define KF_HOLDS(err, condition, text)                                                   \
	__extension__({                                                                  \
		bool holds_ = (condition);                                               \
		if (!holds_)                                                             \
			kf_broken((err), text);                                          \
		holds_;                                                                  \
	})
