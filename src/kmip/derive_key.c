/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/derive_key.h"
#include "kmip/wire.h"

static void put_how(struct ttlv_writer *w, const struct derivation_parameters *p)
{
	ttlv_begin(w, TAG_DERIVATION_PARAMETERS);
	if (p->has_parameters)
		cryptographic_parameters_put(w, &p->parameters);
	wire_put_bytes(w, TAG_INITIALIZATION_VECTOR, p->iv);
	for (size_t i = 0; i < p->data_n; i++)
		ttlv_put_bytes(w, TAG_DERIVATION_DATA, p->data[i]);
	if (p->has_salt)
		ttlv_put_bytes(w, TAG_SALT, p->salt);
	if (p->has_iterations)
		ttlv_put_int(w, TAG_ITERATION_COUNT, p->iterations);
	ttlv_end(w);
}

static void get_data(struct ttlv_reader *r, struct derivation_parameters *p)
{
	while (ttlv_at(r, TAG_DERIVATION_DATA)) {
		if (p->data_n == DERIVE_KEY_DATA) {
			ttlv_refuse(r, kf_fail(LIMIT, "too much Derivation Data"));
			return;
		}
		ttlv_get_bytes(r, TAG_DERIVATION_DATA, &p->data[p->data_n]);
		if (!ttlv_ok(r))
			return;
		p->data_n++;
	}
}

static void get_how(struct ttlv_reader *r, struct derivation_parameters *p)
{
	ttlv_open(r, TAG_DERIVATION_PARAMETERS);
	p->has_parameters = cryptographic_parameters_opt(r, &p->parameters);
	ttlv_opt_bytes(r, TAG_INITIALIZATION_VECTOR, &p->iv);
	get_data(r, p);
	p->has_salt = ttlv_opt_bytes(r, TAG_SALT, &p->salt);
	p->has_iterations = ttlv_opt_int(r, TAG_ITERATION_COUNT, &p->iterations);
	ttlv_close(r);
}

static void get_bases(struct ttlv_reader *r, struct derive_key_request *q)
{
	do {
		if (q->bases == DERIVE_KEY_BASES) {
			ttlv_refuse(r, kf_fail(LIMIT, "too many objects to derive from"));
			return;
		}
		kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &q->base[q->bases]);
		q->bases++;
	} while (ttlv_at(r, TAG_UNIQUE_IDENTIFIER));
}

void derive_key_put_request(struct ttlv_writer *w, const struct derive_key_request *q)
{
	ttlv_put_enum(w, TAG_OBJECT_TYPE, q->object_type);
	for (size_t i = 0; i < q->bases; i++)
		kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->base[i]);
	ttlv_put_enum(w, TAG_DERIVATION_METHOD, q->method);
	put_how(w, &q->how);
	attrs_put_template(w, ATTRS_PLAIN, q->attributes);
}

kf_err derive_key_get_request(
	struct ttlv_reader *r, struct derive_key_request *ret, struct buf *attrs)
{
	*ret = (struct derive_key_request){ 0 };
	const size_t at = attrs->n;
	ttlv_get_enum(r, TAG_OBJECT_TYPE, &ret->object_type);
	get_bases(r, ret);
	ttlv_get_enum(r, TAG_DERIVATION_METHOD, &ret->method);
	get_how(r, &ret->how);
	attrs_get_template(r, ATTRS_PLAIN, attrs);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void derive_key_put_response(struct ttlv_writer *w, const struct derive_key_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err derive_key_get_response(struct ttlv_reader *r, struct derive_key_response *ret)
{
	*ret = (struct derive_key_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	wire_skip_template(r, TAG_TEMPLATE_ATTRIBUTE);
	return ttlv_done(r);
}
