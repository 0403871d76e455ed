/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/header.h"
#include "keyfleetd/gate.h"
#include "keyfleetd/identity.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include "op/ids.h"
#include "op/undo.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything is looked at before anything is done: an item that cannot be read at the end of a batch
 * must not be found out after the others have been executed. */
static kf_err check_envelope(const struct req *r)
{
	struct ttlv_reader scan = r->reader;
	struct kmip_request_item item;
	for (int32_t i = 0; i < r->header.batch_count; i++)
		KF_TRY(kmip_get_request_item(&scan, &item));
	KF_TRY(kmip_get_request_end(&scan));
	return r->header.batch_count > 1 ? ttlv_check(req_message(r)) : KF_OK;
}

static kf_err check_header(const struct req *r)
{
	const bool is_undo = r->header.batch_error_continuation ==
			     KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
	if (r->header.batch_count > 1 && is_undo &&
		r->header.asynchronous == KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY)
		return kf_fail(FEATURE, "what is done later is not undone");
	return KF_OK;
}

static kf_err begin_batch(struct req *r)
{
	if (r->header.batch_count == 1)
		return KF_OK;
	r->ids = malloc(sizeof(*r->ids));
	if (!r->ids)
		return kf_fail(NOMEM, "what a batch names");
	op_ids_init(r->ids, ANSWER_MAX);
	if (r->header.batch_error_continuation !=
		KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO)
		return KF_OK;
	return op_undo_new(r->io->server->op.catalog, &r->undo);
}

/* KMIP 1.4: our own name for the request, in answer, audit and log.  Some clients of 1.4 and 2.0 do not know
 * the field: they get it who use it.  Our own clients have their Request Ids. */
static void name_request(struct req *r)
{
	const uint16_t version = r->header.version;
	const bool is_used = r->header.client_correlation_value.n > 0 ||
			     r->header.server_correlation_value.n > 0;
	if (!r->peer || r->peer->answers_out_of_order || version < KMIP_1_4 ||
		(version < KMIP_2_1 && !is_used))
		return;
	snprintf(r->server_correlation, sizeof(r->server_correlation),
		"%08" PRIX32 "-%02X-%" PRIX64, r->io->server->run, r->io->number,
		++r->io->named);
}

struct slice req_server_correlation(const struct req *r)
{
	return slice_of(r->server_correlation);
}

enum step_result header_step(struct req *r)
{
	ttlv_start(&r->reader, req_message(r), 0, false);
	kf_err e = kmip_get_request_header(&r->reader, &r->header);
	if (kf_ok(e) && r->peer)
		e = gate_admit_version(r->peer->gate, r->header.version);
	if (kf_ok(e))
		e = check_envelope(r);
	/* What the message as a whole lacks is no field of an operation: it cannot be parsed. */
	if (kf_is(e, KF_E_MISSING))
		e = kf_fail(MALFORMED, "header or batch items are incomplete");
	if (!kf_ok(e))
		return req_refuse_all(r, e, true);
	name_request(r);
	e = check_header(r);
	if (kf_ok(e))
		e = begin_batch(r);
	if (!kf_ok(e))
		return req_refuse_all(r, e, false);
	r->items_left = r->header.batch_count;
	return r->header.authentication.n ? identity_step(r) : STEP_NEXT;
}
