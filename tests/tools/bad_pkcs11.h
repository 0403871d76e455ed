/* SPDX-License-Identifier: Apache-2.0
 *
 * bad_pkcs11: a small PKCS#11 module for tests, with one token, real keys, and faults on command.  What is
 * here is found with dlsym() in the module that the driver has loaded.
 */
#pragma once
#include <p11-kit/pkcs11.h>

struct bad_pkcs11 {
	/* Forgets everything: slots, objects, sessions, faults, counts. */
	void (*reset)(void);
	/* From now on C_<function> answers so, and does nothing; CKR_OK: it does its work again. */
	void (*answer)(const char *function, CK_RV rv);
	/* From now on C_<function> lies: what it does is done, and the length (or handle) that it tells is this. */
	void (*lie)(const char *function, CK_ULONG length);
	/* C_<function> does not return until release(). */
	void (*hang)(const char *function);
	void (*release)(void);
	unsigned (*calls)(const char *function); /* since reset() */
	unsigned (*overlaps)(void);   /* calls that began while another was at work */
	void (*plug)(int is_present); /* all sessions end; an event is told */
	void (*forget_login)(void);
	CK_FLAGS *flags;            /* of the token, besides the usual ones */
	CK_ULONG *initialise_flags; /* what C_Initialize was last given */
	int *has_locks;             /* 0: CKR_CANT_LOCK */
	/* An attribute of every object of a class, anew; n 0: it has none any more. */
	void (*set)(
		CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type, const void *p, size_t n);
};

const struct bad_pkcs11 *bad_pkcs11_faults(void);
