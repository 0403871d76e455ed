/* SPDX-License-Identifier: Apache-2.0 */
#include "op/ids.h"
#include <string.h>

void op_ids_init(struct op_ids *ids, size_t most_bytes)
{
	*ids = (struct op_ids){ .all = buf_new(most_bytes) };
}

void op_ids_free(struct op_ids *ids) { buf_free(&ids->all); }

/* --- what was answered --- */

/* Which forms stand for what an operation answers.  Of a pair the private key counts where one is
 * meant (KMIP 2.1, Create Key Pair). */
struct maker {
	uint32_t operation, kind, private_kind, public_kind;
};

#define PLAIN(code)                                                                      \
	{                                                                                \
		KMIP_OPERATION_##code, KMIP_UNIQUE_IDENTIFIER_##code, 0, 0               \
	}
#define PAIR(code)                                                                       \
	{                                                                                \
		KMIP_OPERATION_##code, KMIP_UNIQUE_IDENTIFIER_##code,                    \
			KMIP_UNIQUE_IDENTIFIER_##code##_PRIVATE_KEY,                     \
			KMIP_UNIQUE_IDENTIFIER_##code##_PUBLIC_KEY                       \
	}
static const struct maker makers[] = {
	PLAIN(CERTIFY),
	PLAIN(CREATE),
	PAIR(CREATE_KEY_PAIR),
	PLAIN(CREATE_SPLIT_KEY),
	PLAIN(DERIVE_KEY),
	PLAIN(IMPORT),
	PLAIN(JOIN_SPLIT_KEY),
	PLAIN(LOCATE),
	PLAIN(REGISTER),
	PLAIN(RE_KEY),
	PLAIN(RE_CERTIFY),
	PAIR(RE_KEY_KEY_PAIR),
};

static const struct maker *maker_of(uint32_t operation)
{
	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		if (makers[i].operation == operation)
			return &makers[i];
	return NULL;
}

/* The identifiers of one answer. */
struct named {
	size_t n;
	char first[OBJECT_ID_SIZE], public_key[OBJECT_ID_SIZE];
};

static bool is_id(const struct ttlv_item *it)
{
	return it->type == TTLV_TEXT && it->value.n < OBJECT_ID_SIZE &&
	       (it->tag == TAG_UNIQUE_IDENTIFIER ||
		       it->tag == TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER ||
		       it->tag == TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER);
}

static void take(struct op_ids *ids, const struct ttlv_item *it, struct named *into)
{
	char id[OBJECT_ID_SIZE] = { 0 };
	if (!kf_ok(slice_to_text(it->value, id, sizeof(id))))
		return;
	buf_add(&ids->all, id, sizeof(id));
	if (!into->n++)
		memcpy(into->first, id, sizeof(id));
	if (it->tag == TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER)
		memcpy(into->public_key, id, sizeof(id));
}

static struct named read(struct op_ids *ids, struct slice payload)
{
	struct named named = { 0 };
	struct ttlv_reader r = ttlv_read(payload);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (is_id(&it))
			take(ids, &it, &named);
	return named;
}

static void put(struct op_ids *ids, uint32_t kind, const char *id)
{
	memcpy(ids->last[kind], id, OBJECT_ID_SIZE);
}

/* A failure empties what it would have set: whoever goes on must not mean another object. */
static void set_kinds(
	struct op_ids *ids, const struct maker *maker, const struct named *named)
{
	put(ids, maker->kind, named->first);
	if (!maker->private_kind)
		return;
	put(ids, maker->private_kind, named->first);
	put(ids, maker->public_kind, named->public_key);
}

void op_ids_note(struct op_ids *ids, struct op_call *call, uint32_t operation,
	struct slice payload)
{
	struct named named = read(ids, payload);
	const struct maker *maker = maker_of(operation);
	if (!maker)
		return;
	/* Locate itself knows what it found beside what it gave. */
	if (operation == KMIP_OPERATION_LOCATE && payload.n)
		memcpy(named.first, call->placeholder, OBJECT_ID_SIZE);
	set_kinds(ids, maker, &named);
	memcpy(call->placeholder, named.first, OBJECT_ID_SIZE);
}

/* --- what is meant --- */

kf_err op_ids_last(const struct op_ids *ids, uint32_t kind, char ret[OBJECT_ID_SIZE])
{
	if (!kind || kind >= OP_IDS_KINDS)
		return kf_fail(INVALID_FIELD, "no such form of Unique Identifier");
	if (!ids || !ids->last[kind][0])
		return kf_fail(NOT_FOUND, "no operation before made such an object");
	memcpy(ret, ids->last[kind], OBJECT_ID_SIZE);
	return KF_OK;
}

kf_err op_ids_nth(const struct op_ids *ids, int32_t number, char ret[OBJECT_ID_SIZE])
{
	const int64_t have = ids ? (int64_t)(ids->all.n / OBJECT_ID_SIZE) : 0;
	const int64_t at = number < 0 ? have + number : number;
	if (at < 0 || at >= have)
		return kf_fail(NOT_FOUND, "the response has no so many identifiers yet");
	memcpy(ret, ids->all.p + (size_t)at * OBJECT_ID_SIZE, OBJECT_ID_SIZE);
	return KF_OK;
}
