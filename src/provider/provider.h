/* SPDX-License-Identifier: Apache-2.0
 *
 * provider: what one loaded instance of the OpenSSL provider knows, and how it says what went wrong.
 *
 * Made by OSSL_provider_init(), constant from then on, shared by all threads.  A guest: never aborts,
 * never writes to standard streams, makes no threads, opens no file after it was loaded.
 */
#pragma once
#include "client/local.h"
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>

struct provider {
	const OSSL_CORE_HANDLE *handle;
	OSSL_LIB_CTX *core; /* the application's, for its BIOs */
	/* Ours, with the default provider only: public keys live here, so that nothing we ask OpenSSL
	 * for can come back to us. */
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *base; /* the default provider in lib */
	struct local *local;
	kf_err broken; /* why there is no `local`: loading never fails, using does */

	OSSL_FUNC_core_new_error_fn *new_error;
	OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
	OSSL_FUNC_core_vset_error_fn *vset_error;
};

typedef void (*dispatch_fn)(void); /* as in OSSL_DISPATCH */

/* Puts a failure into the application's error queue: the reason is the code, what follows are the
 * failure's own text and, unless it is empty, `about`. */
void provider_raise(const struct provider *p, kf_err e, const char *about);

/* The tables of algorithms, one a file. */
extern const OSSL_ALGORITHM keymgmt_algorithms[];
extern const OSSL_ALGORITHM signature_algorithms[];
extern const OSSL_ALGORITHM decrypt_algorithms[];
extern const OSSL_ALGORITHM decoder_algorithms[];
