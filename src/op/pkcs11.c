/* SPDX-License-Identifier: Apache-2.0
 *
 * PKCS#11: who calls Cryptoki through KMIP finds a library without slots: it says what it is, and that it
 * supports no more than that.  Keys are used by KMIP's own operations.
 */
#include "kmip/pkcs11.h"
#include "op/cryptoki.h"
#include "op/step.h"
#include <stdio.h>
#include <string.h>

enum { INFO_SIZE = 2 + 32 + 8 + 32 + 2, INPUT_MAX = 256 };

struct pkcs11_call {
	struct pkcs11_request q;
	struct pkcs11_response a;
	uint8_t id[CRYPTOKI_ID_SIZE];
	uint8_t info[INFO_SIZE];
};

kf_err op_pkcs11_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return pkcs11_get_request(&r, &OP_REQUEST(call, struct pkcs11_call)->q);
}

static kf_err check(const struct pkcs11_request *q)
{
	if (q->interface.n && !slice_is(q->interface, "PKCS 11"))
		return kf_fail(P11_INTERFACE, "no such PKCS#11 interface");
	if (!q->function || q->function > PKCS11_C_LAST)
		return kf_fail(P11_FUNCTION, "no such PKCS#11 function");
	/* C_Initialize: CK_C_INITIALIZE_ARGS is a byte that says whether there are any, and flags. */
	const size_t most = q->function == PKCS11_C_INITIALIZE ? INPUT_MAX : 0;
	if (q->function <= PKCS11_C_GET_INFO && q->input.n > most)
		return kf_fail(P11_CODEC, "more parameters than the function has");
	return KF_OK;
}

static void put_padded(uint8_t *at, const char *text)
{
	memset(at, ' ', 32);
	memcpy(at, text, strlen(text));
}

/* CK_INFO: Cryptoki 2.40. */
static struct slice info(struct op_call *call, struct pkcs11_call *p)
{
	unsigned major = 0, minor = 0;
	(void)sscanf(call->server->version, "%u.%u", &major, &minor);
	memset(p->info, 0, sizeof(p->info));
	p->info[0] = 2;
	p->info[1] = 40;
	put_padded(p->info + 2, "keyfleet");
	put_padded(p->info + 42, "keyfleetd");
	p->info[74] = (uint8_t)major;
	p->info[75] = (uint8_t)minor;
	return (struct slice){ p->info, sizeof(p->info) };
}

static kf_err initialize(struct op_call *call, struct pkcs11_call *p)
{
	struct op_cryptoki *c = call->server->cryptoki;
	if (op_cryptoki_has(c, call->who->name, p->q.correlation)) {
		p->a.return_code = PKCS11_CKR_CRYPTOKI_ALREADY_INITIALIZED;
		return KF_OK;
	}
	KF_TRY(op_cryptoki_begin(c, call->who->name, p->id));
	p->a.correlation = (struct slice){ p->id, sizeof(p->id) };
	return KF_OK;
}

static void finalize(struct op_call *call, struct pkcs11_call *p)
{
	if (!op_cryptoki_end(call->server->cryptoki, call->who->name, p->q.correlation))
		p->a.return_code = PKCS11_CKR_CRYPTOKI_NOT_INITIALIZED;
}

static void use(struct op_call *call, struct pkcs11_call *p)
{
	if (!op_cryptoki_has(call->server->cryptoki, call->who->name, p->q.correlation))
		p->a.return_code = PKCS11_CKR_CRYPTOKI_NOT_INITIALIZED;
	else if (p->q.function == PKCS11_C_GET_INFO)
		p->a.output = info(call, p);
	else
		p->a.return_code = PKCS11_CKR_FUNCTION_NOT_SUPPORTED;
}

static kf_err carry_out(struct op_call *call)
{
	struct pkcs11_call *p = OP_REQUEST(call, struct pkcs11_call);
	KF_TRY(check(&p->q));
	p->a.interface = p->q.interface;
	p->a.function = p->q.function;
	switch (p->q.function) {
	case PKCS11_C_INITIALIZE: return initialize(call, p);
	case PKCS11_C_FINALIZE: finalize(call, p); return KF_OK;
	default: use(call, p); return KF_OK;
	}
}

enum op_next op_pkcs11_start(struct op_call *call)
{
	return op_then(call, carry_out(call), OP_ANSWER);
}

void op_pkcs11_answer(struct op_call *call, struct ttlv_writer *w)
{
	pkcs11_put_response(w, &OP_REQUEST(call, struct pkcs11_call)->a);
}
