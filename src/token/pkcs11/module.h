/* SPDX-License-Identifier: Apache-2.0
 *
 * module: a PKCS#11 module in this process.  It is loaded and initialised once, however many sources use
 * it; the last one finalises it, if it was us who initialised it.  It stays loaded: modules leave
 * threads and exit handlers behind.
 *
 * Its slots are looked at here, for all sources: an event of a slot is told only once.
 */
#pragma once
#include "token/driver.h"
#include "token/pkcs11/rv.h"

struct module;

/* `path` is absolute. */
kf_err p11_module_open(const char *path, struct module **ret);
void p11_module_close(struct module *m); /* NULL is fine */

/* Calls C_name of the module: CK_RV rv = CALL(m, Sign, session, ...).  Modules that cannot be called by
 * several threads at a time are not. */
#define CALL(m, name, ...)                                                               \
	__extension__({                                                                  \
		CK_RV rv_ = p11_module_enter(m)->C_##name(__VA_ARGS__);                  \
		p11_module_leave(m);                                                     \
		rv_;                                                                     \
	})
const CK_FUNCTION_LIST *p11_module_enter(struct module *m);
void p11_module_leave(struct module *m);

/* What is plugged in, and a number that changes when that does.  Never fails: a module that cannot
 * tell has nothing plugged in. */
uint64_t p11_module_scan(struct module *m, struct token_places *ret);

/* One token has one user in this process, since a login counts for all of it.  CLOSED: it was pulled;
 * DENIED: somebody has it. */
kf_err p11_module_take(
	struct module *m, const struct token_place *place, CK_SLOT_ID *ret);
/* False: it was pulled since; its sessions are over, and their numbers may be another's. */
bool p11_module_is_there(struct module *m, CK_SLOT_ID slot, uint64_t insertion);
void p11_module_give_back(struct module *m, CK_SLOT_ID slot, uint64_t insertion);
