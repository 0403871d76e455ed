/* SPDX-License-Identifier: Apache-2.0 */
#include "op/op.h"
#include "op/slow.h"
#include "op/step.h"
#include "op/template.h"
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum {
	STANDARD_CODES = 0x40,
	VENDOR_CODES = 0x10,
	CONFLICTS_MAX = 4,
	/* Uses that are counted at once get in each other's way, and one of them gets through each time. */
	SPENDING_CONFLICTS_MAX = 1000,
};

#define by_permission NULL

static const struct op rows[] = {
#define X(code_, name_, permission_, audit_, since_, object_, change_, decide_, fn)      \
	{                                                                                \
		.code = KMIP_OPERATION_##code_,                                          \
		.name = name_,                                                           \
		.permission = PERM_##permission_,                                        \
		.audit = AUDIT_##audit_,                                                 \
		.since = KMIP_##since_,                                                  \
		.needs_object = object_,                                                 \
		.changes_store = change_,                                                \
		.decode = op_##fn##_decode,                                              \
		.decide = decide_,                                                       \
		.start = op_##fn##_start,                                                \
		.answer = op_##fn##_answer,                                              \
	},
#include "op/op.def"
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(*rows) };

enum {
#define X(code, ...) ROW_##code,
#include "op/op.def"
#undef X
};

/* clang-format off */
#define VENDOR_FIRST 0x806b6600u
#define INDEX(code) ((unsigned)(code) < STANDARD_CODES ? (unsigned)(code) : (unsigned)(code) - VENDOR_FIRST + STANDARD_CODES)
/* clang-format on */

/* Row number plus 1; 0: no such operation.  The vendor's codes follow the standard's. */
static const uint8_t row_of[STANDARD_CODES + VENDOR_CODES] = {
#define X(code, ...) [INDEX(KMIP_OPERATION_##code)] = ROW_##code + 1,
#include "op/op.def"
#undef X
};

const struct op *op_find(uint32_t code)
{
	uint32_t at = INDEX(code);
	if (at >= sizeof(row_of) || (code >= STANDARD_CODES && at < STANDARD_CODES))
		return NULL;
	return row_of[at] ? &rows[row_of[at] - 1] : NULL;
}

const struct op *op_each(size_t i) { return i < ROWS ? &rows[i] : NULL; }

/* --- decode --- */

static void prepare_bufs(struct op_call *call)
{
	const size_t most = call->server->message_max;
	if (!call->scratch.limit)
		call->scratch = buf_new(most);
	if (!call->attrs.limit)
		call->attrs = buf_new(most);
	call->scratch.limit = call->attrs.limit = most; /* kept from call to call */
}

static bool takes_templates(uint32_t code)
{
	switch (code) {
	case KMIP_OPERATION_CREATE:
	case KMIP_OPERATION_CREATE_KEY_PAIR:
	case KMIP_OPERATION_REGISTER:
	case KMIP_OPERATION_DERIVE_KEY:
	case KMIP_OPERATION_RE_KEY:
	case KMIP_OPERATION_RE_KEY_KEY_PAIR:
	case KMIP_OPERATION_CERTIFY:
	case KMIP_OPERATION_RE_CERTIFY: return true;
	default: return false;
	}
}

kf_err op_decode(struct op_call *call)
{
	const struct op *op = call->op;

	prepare_bufs(call);
	memset(call->request, 0, sizeof(call->request));
	call->object_id[0] = '\0';
	memset(call->asked_id, 0, sizeof(call->asked_id));
	if (call->version < op->since)
		return kf_fail(
			UNSUPPORTED, "operation is newer than the protocol version");
	if (!kmip_is_2(call->version) && takes_templates(op->code))
		KF_TRY(template_expand(call));
	return op->decode(call);
}

/* --- authorise --- */

static void keep_rule(struct op_call *call)
{
	if (!call->decision.rule)
		return;
	const size_t n = strnlen(call->decision.rule, sizeof(call->rule) - 1);
	memcpy(call->rule, call->decision.rule, n);
	call->rule[n] = '\0';
	call->decision.rule = call->rule;
}

kf_err op_authorise(struct op_call *call)
{
	const struct op *op = call->op;

	/* A missing object is decided upon like any other, so that it costs the same. */
	call->decision = op->decide ? op->decide(call)
				    : policy_decide_linked(call->server->catalog,
					      call->who, op->permission, call->object);
	keep_rule(call);
	if (op->needs_object && (!call->object || !call->decision.is_allowed))
		return kf_fail(
			NOT_FOUND, "no such object, or none that this client may know");
	if (!call->decision.is_allowed)
		return kf_fail(DENIED, "no grant allows this operation");
	return KF_OK;
}

/* --- changes --- */

/* What is remembered with a request id: the same id must bring the same request. */
static void hash_request(const struct op_call *call, uint8_t ret[SHA256_DIGEST_LENGTH])
{
	const uint8_t head[] = { (uint8_t)(call->op->code >> 24),
		(uint8_t)(call->op->code >> 16), (uint8_t)(call->op->code >> 8),
		(uint8_t)call->op->code, (uint8_t)(call->version >> 8),
		(uint8_t)call->version };
	uint8_t both[sizeof(head) + SHA256_DIGEST_LENGTH + OBJECT_ID_SIZE] = { 0 };

	memcpy(both, head, sizeof(head));
	SHA256(call->payload.p ? call->payload.p : head, call->payload.n,
		both + sizeof(head));
	memcpy(both + sizeof(head) + SHA256_DIGEST_LENGTH, call->asked_id,
		OBJECT_ID_SIZE);
	SHA256(both, sizeof(both), ret);
}

static void name_change(struct op_call *call)
{
	struct change *c = &call->change;

	memcpy(c->client, call->who->name, sizeof(c->client));
	c->has_request_id = call->request_id.n == sizeof(c->request_id);
	if (!c->has_request_id)
		return;
	memcpy(c->request_id, call->request_id.p, sizeof(c->request_id));
	hash_request(call, c->request_hash);
}

/* The answer is made before the commit: a repeated request id gets the very same bytes. */
static kf_err record_answer(struct op_call *call)
{
	struct buf *into = &call->change.answer;

	if (!into->limit)
		*into = buf_new(call->server->message_max);
	buf_clear(into);
	struct ttlv_writer w = ttlv_write(into, call->version);
	w.allows_vendor = true;
	call->op->answer(call, &w);
	return ttlv_written(&w);
}

static void drop_mutation(struct mutation *m)
{
	if (m->kind != PUT_OBJECT)
		return;
	object_unref(m->object.object);
	object_unref((struct object *)(uintptr_t)m->object.was);
	buf_free(&m->object.material);
}

static void drop_mutations(struct op_call *call)
{
	for (size_t i = 0; i < call->change.n; i++)
		drop_mutation(change_mutation(&call->change, i));
	call->change.n = 0;
	free(call->change.more);
	call->change.more = NULL;
}

static void release(struct op_call *call)
{
	if (call->release)
		call->release(call);
	call->release = NULL;
}

/* Whoever repeats a change that was made finds that it cannot be made again; then only the store can
 * tell whether it was this very request that made it.  So ask it, by a change that must fail. */
static bool may_be_repetition(const struct op_call *call)
{
	if (!call->op->changes_store ||
		call->request_id.n != sizeof(call->change.request_id))
		return false;
	switch ((int)call->err.code) {
	case KF_E_STATE:
	case KF_E_DESTROYED:
	case KF_E_DESTROYED_BEFORE:
	case KF_E_NAME_NOT_UNIQUE:
	case KF_E_NAME_TAKEN:
	case KF_E_SINGLE_VALUED:
	case KF_E_NO_INSTANCE:
	case KF_E_NOTHING_TO_DELETE:
	case KF_E_ARCHIVED:
	case KF_E_EXISTS:
	case KF_E_NOT_FOUND: return true;
	default: return false;
	}
}

static enum op_next ask_for_repetition(struct op_call *call)
{
	drop_mutations(call);
	struct mutation *m = op_mutate(call, DROP_GRANT);
	m->expected_version = UINT64_MAX;
	memcpy(m->grant.id, "none", sizeof("none"));
	call->is_question = true;
	name_change(call);
	return OP_COMMIT;
}

/* What tokens do takes long and cannot be taken back: a repeated request must not do it once more. */
static bool is_to_be_asked_first(const struct op_call *call)
{
	return call->is_slow && call->op->changes_store && !call->was_asked &&
	       call->request_id.n == sizeof(call->change.request_id);
}

static enum op_next check_next(struct op_call *call, enum op_next next)
{
	if (next == OP_FAIL && may_be_repetition(call))
		next = ask_for_repetition(call);
	else if (next == OP_WORK && is_to_be_asked_first(call)) {
		call->was_asked = true;
		next = ask_for_repetition(call);
	} else if (next == OP_COMMIT && call->spends) {
		/* Each use counts, and its answer is made afterwards: no request id. */
		call->change.has_request_id = false;
	} else if (next == OP_COMMIT) {
		name_change(call);
		next = op_then(call, record_answer(call), OP_COMMIT);
	}
	if (next == OP_COMMIT)
		call->fate = CHANGE_IN_DOUBT;
	call->next = next;
	return next;
}

enum op_next op_aim(const struct op_call *call)
{
	return call->next == OP_COMMIT && call->spends ? call->after_spending
						       : call->next;
}

enum op_next op_start(struct op_call *call)
{
	call->err = KF_OK;
	return check_next(call, call->op->start(call));
}

enum op_next op_worked(struct op_call *call)
{
	return check_next(call, call->work(call));
}

/* The ID Placeholder and the audit record want the identifier that the first answer gave. */
static void adopt_replay(struct op_call *call)
{
	struct ttlv_reader r = ttlv_read(buf_slice(&call->change.answer));
	struct ttlv_item it;

	while (ttlv_next(&r, &it)) {
		if (it.tag != TAG_UNIQUE_IDENTIFIER &&
			it.tag != TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER)
			continue;
		if (!kf_ok(slice_to_text(it.value, call->object_id, OBJECT_ID_SIZE)))
			return;
		memcpy(call->placeholder, call->object_id, OBJECT_ID_SIZE);
		return;
	}
}

/* Somebody changed the object between our look and our commit: look again.  Not at what tokens have done,
 * which would be done once more. */
static enum op_next start_again(struct op_call *call)
{
	drop_mutations(call);
	release(call);
	buf_clear(&call->scratch);
	if (call->object) {
		object_unref(call->object);
		call->object = NULL;
		const struct object *o =
			catalog_find(call->server->catalog, slice_of(call->object_id));
		call->object = o ? object_ref(o) : NULL;
	}
	kf_err err = op_authorise(call);
	return kf_ok(err) ? op_start(call) : op_then(call, err, OP_FAIL);
}

/* KMIP 1.x has another reason for a name that is taken when an object exists already. */
static kf_err as_change(const struct op_call *call, kf_err err)
{
	return call->object && kf_is(err, KF_E_NAME_NOT_UNIQUE)
		       ? kf_fail(NAME_TAKEN, "another object has this name")
		       : err;
}

static bool may_start_again(struct op_call *call)
{
	const unsigned most = call->spends ? SPENDING_CONFLICTS_MAX : CONFLICTS_MAX;
	return !call->is_question && !call->is_slow &&
	       kf_is(call->change.err, KF_E_CONFLICT) && call->conflicts++ < most;
}

/* A replay is what another request has changed. */
void op_learn_fate(struct op_call *call)
{
	const struct change *c = &call->change;
	if (kf_is(c->err, KF_E_OUTCOME_UNKNOWN))
		call->fate = CHANGE_IN_DOUBT;
	else
		call->fate =
			kf_ok(c->err) && !c->is_replay ? CHANGE_MADE : CHANGE_NOT_MADE;
}

enum op_next op_committed(struct op_call *call)
{
	struct change *c = &call->change;

	op_learn_fate(call);
	if (kf_ok(c->err) && c->is_replay)
		adopt_replay(call);
	if (kf_ok(c->err))
		return call->next = call->spends ? call->after_spending : OP_ANSWER;
	if (call->is_question && call->was_asked && kf_ok(call->err) &&
		kf_is(c->err, KF_E_NOT_FOUND)) {
		drop_mutations(call);
		call->is_question = false;
		return call->next = OP_WORK;
	}
	/* It was not made before, so call->err holds.  Any other answer leaves that open. */
	if (call->is_question && kf_is(c->err, KF_E_NOT_FOUND))
		return call->next = OP_FAIL;
	if (may_start_again(call))
		return start_again(call);
	return call->next = op_then(call, as_change(call, c->err), OP_FAIL);
}

/* --- answer --- */

kf_err op_answer(struct op_call *call, struct ttlv_writer *w)
{
	if (call->next == OP_SIGN)
		KF_TRY(call->job.err);
	if (call->next == OP_DECRYPT)
		KF_TRY(call->decrypt.err);
	if (call->next == OP_USE)
		KF_TRY(call->use.err);
	if (call->next == OP_USE && call->after_use)
		KF_TRY(call->after_use(call));
	if (call->op->changes_store)
		ttlv_put_items(w, buf_slice(&call->change.answer));
	else
		call->op->answer(call, w);
	return buf_err(w->out); /* the driver has structures open around this */
}

void op_clear(struct op_call *call)
{
	if (call->next == OP_SIGN)
		sign_job_clear(&call->job);
	if (call->next == OP_DECRYPT)
		decrypt_job_clear(&call->decrypt);
	if (call->next == OP_USE)
		call->use = (struct use_job){ 0 };
	call->after_use = NULL;
	if (call->op && (call->op->changes_store || call->spends)) {
		drop_mutations(call);
		buf_free(&call->change.answer);
		call->change = (struct change){ 0 };
	}
	release(call);
	op_slow_end(call->server ? call->server->slow : NULL, call->slow_place);
	call->slow_place = 0;
	call->token = NULL;
	call->with[0] = '\0';
	object_unref(call->object);
	call->object = NULL;
	buf_clear(&call->scratch);
	buf_clear(&call->attrs);
	if (call->expanded.p)
		buf_free(&call->expanded);
	call->err = KF_OK;
	call->next = OP_ANSWER;
	call->conflicts = 0;
	call->fate = CHANGE_NOT_MADE;
	call->is_question = call->is_slow = call->was_asked = call->spends = false;
	call->is_long = call->is_pending = false;
	call->answers_for = 0;
	call->is_search = false;
	call->mechanism = NULL;
	call->message = (struct slice){ 0 };
	call->decision = (struct decision){ 0 };
}

void op_free(struct op_call *call)
{
	op_clear(call);
	buf_free(&call->scratch);
	buf_free(&call->attrs);
}

static bool is_secret(enum object_type type)
{
	return type == OBJECT_PRIVATE_KEY || type == OBJECT_SYMMETRIC_KEY ||
	       type == OBJECT_SECRET_DATA || type == OBJECT_SPLIT_KEY ||
	       type == OBJECT_PGP_KEY;
}

/* `with`: it was wrapped, and a key was used for that. */
enum op_audit op_audit_of(const struct op_call *call)
{
	const bool uses_secret =
		call->op->code == KMIP_OPERATION_GET &&
		((call->object && is_secret(call->object->type)) || call->with[0]);
	return uses_secret ? AUDIT_FIRST : call->op->audit;
}
