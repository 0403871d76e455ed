/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a key is not there for a host: the key server tells administrators only.  Where their configuration
 * can be read (--config), it is asked; elsewhere nothing is said.
 */
#include "cli/call.h"
#include "cli/doctor.h"
#include "client/call.h"
#include "kmip/admin.h"
#include "policy/policy.h"
#include <string.h>
#include <unistd.h>

static kf_err open_quietly(struct cli *c)
{
	kf_call call = { 0 };
	if (c->client)
		return KF_OK;
	if (access(c->config, R_OK) ||
		kf_client_open(c->config, &c->client, &call) != KF_SUCCESS)
		return kf_fail(NOT_FOUND, "no administrator's configuration");
	return KF_OK;
}

/* The facts "allowed", "why", ... ; only the reason for a no is of use here. */
static void take_why(struct slice items, char *ret, size_t size)
{
	struct ttlv_reader r = ttlv_read(items);
	struct status_pair p;
	while (status_pair_next(&r, &p))
		if (slice_is(p.name, "why") && !kf_ok(slice_to_text(p.value, ret, size)))
			ret[0] = 0;
}

kf_err doctor_policy(
	struct cli *c, const char *who, const char *key, char *ret, size_t size)
{
	const struct policy_test_request q = {
		.who = slice_of(who), .key = slice_of(key), .permission = PERM_SIGN
	};
	ret[0] = 0;
	KF_TRY(open_quietly(c));
	autopayload p;
	payload_init(&p);
	policy_test_put_request(&p.w, &q);
	KF_TRY(ttlv_written(&p.w));
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	const struct call_options options = { .timeout_ms = 3000 };
	KF_TRY(client_call(c->client, KMIP_OPERATION_POLICY_TEST, buf_slice(&p.bytes),
		&options, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct list_response list = { 0 };
	KF_TRY(list_get_response(&r, &list));
	take_why(list.items, ret, size);
	return KF_OK;
}
