/* SPDX-License-Identifier: Apache-2.0 */
/* err: what a function says when it could not do its work.
 *
 * A kf_err is two machine words: a code to act upon, and the place that first
 * failed.  It is a struct, so it can be mistaken neither for a count nor for a
 * bool, and it is [[nodiscard]], so it cannot be dropped by accident.
 */
#pragma once
#include <stdbool.h>

enum kf_code {
#define X(code, text) KF_E_##code,
#include "base/err.def"
#undef X
};

struct kf_site {
	const char *file, *func, *text;
	int line;
};

typedef struct [[nodiscard]] kf_err {
	enum kf_code code;
	const struct kf_site *site; /* static; NULL when code is KF_E_NONE */
} kf_err;

#define KF_OK ((kf_err){ 0 })

/* Born here.  The text is for people; it never holds secrets or peer data. */
#define kf_fail(c, t)                                                                    \
	__extension__({                                                                  \
		static const struct kf_site site_ = { __FILE__, __func__, (t),           \
			__LINE__ };                                                      \
		(kf_err){ KF_E_##c, &site_ };                                            \
	})

/* The only macro in the tree that hides a return. */
#define KF_TRY(expr)                                                                     \
	do {                                                                             \
		kf_err err_ = (expr);                                                    \
		if (err_.code)                                                           \
			return err_;                                                     \
	} while (0)

static inline bool kf_ok(kf_err e) { return e.code == KF_E_NONE; }
static inline bool kf_is(kf_err e, enum kf_code code) { return e.code == code; }

const char *kf_code_name(enum kf_code code);
