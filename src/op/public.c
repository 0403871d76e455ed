/* SPDX-License-Identifier: Apache-2.0 */
#include "op/public.h"
#include "crypt/x509.h"
#include "op/certificate.h"
#include "op/material.h"
#include "op/step.h"

static kf_err of_certificate(struct slice material, struct pubkey **ret)
{
	struct kmip_object k = { 0 };
	autobuf pem = buf_new(1 << 20);

	KF_TRY(kmip_object_parse(material, &k));
	if (k.certificate_type != KMIP_CERTIFICATE_TYPE_X_509)
		return kf_fail(KEY_FORMAT, "only X.509 certificates have a known key");
	KF_TRY(cert_from_der(k.value, &pem));
	return pubkey_from_pem(buf_slice(&pem), ret);
}

bool op_public_is_long(const struct object *o)
{
	return o->type == OBJECT_CERTIFICATE && o->sealed.n > CERTIFICATE_INLINE_MAX;
}

kf_err op_public_key(struct op_call *call, struct pubkey **ret)
{
	return op_public_key_of(call, call->object, ret);
}

kf_err op_public_key_of(struct op_call *call, const struct object *o, struct pubkey **ret)
{
	struct slice material;

	if (o->type == OBJECT_PRIVATE_KEY && o->key)
		return pubkey_parse(material_key_spki(o->key), ret);
	if (o->type != OBJECT_PUBLIC_KEY && o->type != OBJECT_CERTIFICATE)
		return kf_fail(OBJECT_TYPE, "the object is no key for this");
	KF_TRY(store_material(call->server->store, o, &call->scratch, &material));
	return o->type == OBJECT_CERTIFICATE ? of_certificate(material, ret)
					     : material_public(material, o, ret);
}
