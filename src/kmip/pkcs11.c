/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/pkcs11.h"
#include "kmip/wire.h"

static void put_head(struct ttlv_writer *w, struct slice interface, uint32_t function)
{
	wire_put_text(w, TAG_PKCS_11_INTERFACE, interface);
	ttlv_put_enum(w, TAG_PKCS_11_FUNCTION, function);
}

void pkcs11_put_request(struct ttlv_writer *w, const struct pkcs11_request *q)
{
	put_head(w, q->interface, q->function);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, q->correlation);
	wire_put_bytes(w, TAG_PKCS_11_INPUT_PARAMETERS, q->input);
}

kf_err pkcs11_get_request(struct ttlv_reader *r, struct pkcs11_request *ret)
{
	*ret = (struct pkcs11_request){ 0 };
	ttlv_opt_text(r, TAG_PKCS_11_INTERFACE, &ret->interface);
	ttlv_get_enum(r, TAG_PKCS_11_FUNCTION, &ret->function);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation);
	ttlv_opt_bytes(r, TAG_PKCS_11_INPUT_PARAMETERS, &ret->input);
	return ttlv_done(r);
}

void pkcs11_put_response(struct ttlv_writer *w, const struct pkcs11_response *a)
{
	put_head(w, a->interface, a->function);
	wire_put_bytes(w, TAG_CORRELATION_VALUE, a->correlation);
	wire_put_bytes(w, TAG_PKCS_11_OUTPUT_PARAMETERS, a->output);
	ttlv_put_enum(w, TAG_PKCS_11_RETURN_CODE, a->return_code);
}

kf_err pkcs11_get_response(struct ttlv_reader *r, struct pkcs11_response *ret)
{
	*ret = (struct pkcs11_response){ 0 };
	ttlv_opt_text(r, TAG_PKCS_11_INTERFACE, &ret->interface);
	ttlv_get_enum(r, TAG_PKCS_11_FUNCTION, &ret->function);
	ttlv_opt_bytes(r, TAG_CORRELATION_VALUE, &ret->correlation);
	ttlv_opt_bytes(r, TAG_PKCS_11_OUTPUT_PARAMETERS, &ret->output);
	ttlv_get_enum(r, TAG_PKCS_11_RETURN_CODE, &ret->return_code);
	return ttlv_done(r);
}
