/* SPDX-License-Identifier: Apache-2.0
 *
 * Query: what the server can do.  Everybody may ask.
 */
#include "kmip/query.h"
#include "op/make.h"
#include <stdio.h>

#define VENDOR_VALUES 0x80000000u

struct query_call {
	struct query_request q;
	char load[16];
};

kf_err op_query_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return query_get_request(&r, &OP_REQUEST(call, struct query_call)->q);
}

static bool asks(const struct query_request *q, uint32_t function)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->function[i] == function)
			return true;
	return false;
}

/* Our own operations are for our own tool, which does not ask; other clients may stumble over them. */
static bool is_offered(const struct op_call *call, const struct op *op)
{
	if (op->code == KMIP_OPERATION_INTEROP && !call->server->is_interop_test)
		return false;
	if (op->permission == PERM_CERTIFY && !call->server->authorities_n)
		return false;
	return op->since <= call->version && op->code < VENDOR_VALUES;
}

static void add_operations(const struct op_call *call, struct query_response *a)
{
	const struct op *op;

	for (size_t i = 0; (op = op_each(i)) && a->operations < QUERY_LIST_MAX; i++)
		if (is_offered(call, op))
			a->operation[a->operations++] = op->code;
}

static void add_object_types(struct query_response *a)
{
	static const uint32_t types[] = { OBJECT_CERTIFICATE, OBJECT_SYMMETRIC_KEY,
		OBJECT_PUBLIC_KEY, OBJECT_PRIVATE_KEY, OBJECT_SECRET_DATA, OBJECT_OPAQUE,
		OBJECT_TEMPLATE, OBJECT_CERTIFICATE_REQUEST };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		a->object_type[a->object_types++] = types[i];
}

static void add_server_information(
	const struct op_call *call, struct query_call *s, struct query_response *a)
{
	const struct op_server *server = call->server;

	a->vendor_identification = SLICE_LIT("keyfleet");
	a->has_server_information = true;
	if (call->version < KMIP_2_0)
		return;
	a->server_name = slice_of(server->name);
	a->server_version = slice_of(server->version);
	a->product_name = SLICE_LIT("keyfleet");
	if (!server->load)
		return;
	snprintf(s->load, sizeof(s->load), "%u", server->load(server->arg));
	a->server_load = slice_of(s->load);
}

static void put_capabilities(const struct op_call *call, struct ttlv_writer *w)
{
	ttlv_begin(w, TAG_CAPABILITY_INFORMATION);
	ttlv_put_bool(w, TAG_STREAMING_CAPABILITY, call->server->parts != NULL);
	ttlv_put_bool(w, TAG_ASYNCHRONOUS_CAPABILITY, true);
	ttlv_put_bool(w, TAG_ATTESTATION_CAPABILITY, false);
	if (call->version >= KMIP_1_4) {
		ttlv_put_bool(w, TAG_BATCH_UNDO_CAPABILITY, true);
		ttlv_put_bool(w, TAG_BATCH_CONTINUE_CAPABILITY, true);
	}
	/* Register unwraps what it can. */
	ttlv_put_enum(w, TAG_UNWRAP_MODE, KMIP_UNWRAP_MODE_PROCESSED);
	ttlv_put_enum(w, TAG_DESTROY_ACTION, KMIP_DESTROY_ACTION_KEY_MATERIAL_DELETED);
	ttlv_end(w);
}

/* Profiles whose mandatory cases pass (docs/kmip.md), by their names in 1.3, 1.4 and 2.x; 0: the version has
 * none. */
static const uint32_t profiles[][3] = {
#define PROFILE(name) KMIP_PROFILE_NAME_##name
#define PROFILES(name)                                                                   \
	{                                                                                \
		PROFILE(name##_KMIP_V1_3), PROFILE(name##_KMIP_V1_4), PROFILE(name)      \
	}
	{ PROFILE(BASELINE_SERVER_BASIC_KMIP_V1_3),
		PROFILE(BASELINE_SERVER_BASIC_KMIP_V1_4), PROFILE(BASELINE_SERVER) },
	{ PROFILE(BASELINE_SERVER_TLS_V1_2_KMIP_V1_3),
		PROFILE(BASELINE_SERVER_TLS_V1_2_KMIP_V1_4), 0 },
	PROFILES(TAPE_LIBRARY_SERVER),
	PROFILES(SYMMETRIC_KEY_LIFECYCLE_SERVER),
	PROFILES(ASYMMETRIC_KEY_LIFECYCLE_SERVER),
	PROFILES(BASIC_CRYPTOGRAPHIC_SERVER),
	PROFILES(ADVANCED_CRYPTOGRAPHIC_SERVER),
	PROFILES(RNG_CRYPTOGRAPHIC_SERVER),
	PROFILES(SYMMETRIC_KEY_FOUNDRY_SERVER),
	PROFILES(OPAQUE_MANAGED_OBJECT_STORE_SERVER),
	PROFILES(STORAGE_ARRAY_WITH_SELF_ENCRYPTING_DRIVE_SERVER),
	{ 0, 0, PROFILE(AES_XTS_SERVER) },
	{ 0, 0, PROFILE(PKCS_11_SERVER) },
#undef PROFILES
#undef PROFILE
};

static void put_profiles(const struct op_call *call, struct ttlv_writer *w)
{
	const size_t column = call->version >= KMIP_2_0 ? 2 : call->version - KMIP_1_3;

	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		if (!profiles[i][column])
			continue;
		ttlv_begin(w, TAG_PROFILE_INFORMATION);
		ttlv_put_enum(w, TAG_PROFILE_NAME, profiles[i][column]);
		ttlv_end(w);
	}
}

/* In the order of the response. */
static void put_more(
	const struct op_call *call, const struct query_request *q, struct buf *more)
{
	struct ttlv_writer w = ttlv_write(more, call->version);

	if (call->version < KMIP_1_3)
		return;
	if (asks(q, KMIP_QUERY_FUNCTION_QUERY_RNGS))
		make_put_rng(&w, TAG_RNG_PARAMETERS);
	if (asks(q, KMIP_QUERY_FUNCTION_QUERY_PROFILES))
		put_profiles(call, &w);
	if (asks(q, KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES))
		put_capabilities(call, &w);
}

enum op_next op_query_start(struct op_call *call)
{
	put_more(call, &OP_REQUEST(call, struct query_call)->q, &call->scratch);
	return op_then(call, buf_err(&call->scratch), OP_ANSWER);
}

void op_query_answer(struct op_call *call, struct ttlv_writer *w)
{
	struct query_call *s = OP_REQUEST(call, struct query_call);
	struct query_response a = { .more = buf_slice(&call->scratch) };

	if (asks(&s->q, KMIP_QUERY_FUNCTION_QUERY_OPERATIONS))
		add_operations(call, &a);
	if (asks(&s->q, KMIP_QUERY_FUNCTION_QUERY_OBJECTS))
		add_object_types(&a);
	if (asks(&s->q, KMIP_QUERY_FUNCTION_QUERY_SERVER_INFORMATION))
		add_server_information(call, s, &a);
	query_put_response(w, &a);
}
