/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/provider.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

static void set_error(
	const struct provider *p, enum kf_code code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	p->vset_error(p->handle, code, format, args);
	va_end(args);
}

void provider_raise(const struct provider *p, kf_err e, const char *about)
{
	if (!p->new_error || !p->set_error_debug || !p->vset_error || kf_ok(e))
		return;
	p->new_error(p->handle);
	p->set_error_debug(p->handle, e.site->file, e.site->line, e.site->func);
	set_error(p, e.code, about[0] ? "%s (%s)" : "%s", e.site->text, about);
}

/* Reasons are the codes of base/err.def, without the first row, success: a reason 0 ends the table. */
static const OSSL_ITEM *get_reasons(void *provctx)
{
	(void)provctx;
	static const OSSL_ITEM items[] = {
#define X(code, text) [KF_E_##code] = { KF_E_##code, (void *)(uintptr_t)text },
#include "base/err.def"
#undef X
		{ 0, NULL },
	};
	return items + 1;
}

/* ---- configuration ---- */

/* Absent: *ret stays.  The number is read strictly: a mistyped uid must not become root's. */
static kf_err get_number(const char *text, unsigned long max, unsigned *ret)
{
	if (!text || !*text)
		return KF_OK;
	char *end;
	unsigned long v =
		text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : max + 1;
	if (v > max || *end)
		return kf_fail(
			CONFIG, "agent-uid or deadline-ms is not a number in range");
	*ret = (unsigned)v;
	return KF_OK;
}

/* The provider's section of openssl.cnf; where there is none, as with HAProxy's ssl-provider, the
 * environment, which is not believed in programs that gained rights by being started. */
struct settings {
	char *socket, *uid, *deadline;
};

static const char *setting(const char *configured, const char *variable)
{
	return configured && *configured ? configured : secure_getenv(variable);
}

static void get_settings(
	const struct provider *p, const OSSL_DISPATCH *core, struct settings *ret)
{
	OSSL_FUNC_core_get_params_fn *get_params = NULL;
	for (; core->function_id; core++)
		if (core->function_id == OSSL_FUNC_CORE_GET_PARAMS)
			get_params = OSSL_FUNC_core_get_params(core);
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_ptr("agent-socket", &ret->socket, 0),
		OSSL_PARAM_utf8_ptr("agent-uid", &ret->uid, 0),
		OSSL_PARAM_utf8_ptr("deadline-ms", &ret->deadline, 0),
		OSSL_PARAM_END,
	};
	if (get_params)
		get_params(p->handle, params);
}

enum { DEADLINE_MAX_MS = 600000 };

static kf_err connect_pool(struct provider *p, const OSSL_DISPATCH *core)
{
	struct settings s = { 0 };
	unsigned uid = 0, deadline_ms = 0;
	get_settings(p, core, &s);
	KF_TRY(get_number(setting(s.uid, "KEYFLEET_AGENT_UID"), UINT32_MAX - 1, &uid));
	KF_TRY(get_number(setting(s.deadline, "KEYFLEET_DEADLINE_MS"), DEADLINE_MAX_MS,
		&deadline_ms));
	struct local_conf conf = { .socket = setting(s.socket, "KEYFLEET_AGENT_SOCKET"),
		.agent_uid = uid,
		.deadline_ms = deadline_ms };
	return local_new(&conf, &p->local);
}

/* ---- what the core asks for ---- */

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
	(void)provctx;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT: return keymgmt_algorithms;
	case OSSL_OP_SIGNATURE: return signature_algorithms;
	case OSSL_OP_ASYM_CIPHER: return decrypt_algorithms;
	case OSSL_OP_DECODER: return decoder_algorithms;
	default: return NULL;
	}
}

static const OSSL_PARAM *gettable(void *provctx)
{
	(void)provctx;
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
		OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
		OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
		OSSL_PARAM_END,
	};
	return table;
}

static int get_params(void *provctx, OSSL_PARAM params[])
{
	(void)provctx;
	OSSL_PARAM *name = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
	OSSL_PARAM *version = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
	OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	return (!name || OSSL_PARAM_set_utf8_ptr(name, "keyfleet")) &&
	       (!version || OSSL_PARAM_set_utf8_ptr(version, KEYFLEET_VERSION)) &&
	       (!status || OSSL_PARAM_set_int(status, 1));
}

static void teardown(void *provctx)
{
	struct provider *p = provctx;
	local_free(p->local);
	if (p->base)
		OSSL_PROVIDER_unload(p->base);
	OSSL_LIB_CTX_free(p->lib);
	OSSL_LIB_CTX_free(p->core);
	free(p);
}

static void take_core_functions(struct provider *p, const OSSL_DISPATCH *core)
{
	for (; core->function_id; core++) {
		if (core->function_id == OSSL_FUNC_CORE_NEW_ERROR)
			p->new_error = OSSL_FUNC_core_new_error(core);
		else if (core->function_id == OSSL_FUNC_CORE_SET_ERROR_DEBUG)
			p->set_error_debug = OSSL_FUNC_core_set_error_debug(core);
		else if (core->function_id == OSSL_FUNC_CORE_VSET_ERROR)
			p->vset_error = OSSL_FUNC_core_vset_error(core);
	}
}

static bool make_contexts(struct provider *p, const OSSL_DISPATCH *core)
{
	p->core = OSSL_LIB_CTX_new_from_dispatch(p->handle, core);
	p->lib = OSSL_LIB_CTX_new();
	p->base = p->lib ? OSSL_PROVIDER_load(p->lib, "default") : NULL;
	return p->core && p->base;
}

static const OSSL_DISPATCH functions[] = {
	{ OSSL_FUNC_PROVIDER_TEARDOWN, (dispatch_fn)teardown },
	{ OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (dispatch_fn)gettable },
	{ OSSL_FUNC_PROVIDER_GET_PARAMS, (dispatch_fn)get_params },
	{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (dispatch_fn)query },
	{ OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (dispatch_fn)get_reasons },
	{ 0, NULL },
};

/* Runs in every program whose openssl.cnf names us: fails only without memory, and never blocks. */
__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
	const OSSL_DISPATCH **ret_functions, void **ret_provctx)
{
	struct provider *p = calloc(1, sizeof(*p));
	if (!p)
		return 0;
	p->handle = handle;
	take_core_functions(p, core);
	if (!make_contexts(p, core)) {
		teardown(p);
		return 0;
	}
	p->broken = connect_pool(p, core);
	*ret_functions = functions;
	*ret_provctx = p;
	return 1;
}
