/* SPDX-License-Identifier: Apache-2.0 */
#include "op/ids.h"
#include "world.h"

/* As a batch does: what was answered is noted. */
static void note(struct world *w, struct op_ids *ids, uint32_t operation, kf_err e)
{
	const struct slice none = { 0 };
	op_ids_note(ids, w->call, operation, kf_ok(e) ? buf_slice(&w->answer) : none);
}

static kf_err activate_as(struct world *w, struct kmip_uid uid)
{
	struct ttlv_writer q = question(w);
	activate_put_request(&q, &(struct activate_request){ .uid = uid });
	return ask(w, KMIP_OPERATION_ACTIVATE);
}

static struct kmip_uid form(enum kmip_uid_kind kind, int32_t number)
{
	return (struct kmip_uid){ .kind = kind, .number = number };
}

static void make_pair(struct world *w, struct op_ids *ids, struct pair *pair)
{
	const struct pair_wish wish = { .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
		.curve = KMIP_RECOMMENDED_CURVE_P_256 };
	OK(kf_ok(create_pair(w, &wish, pair)));
	note(w, ids, KMIP_OPERATION_CREATE_KEY_PAIR, KF_OK);
}

#define IDS(w, ids)                                                                      \
	CLEANUP(op_ids_free) struct op_ids ids;                                          \
	op_ids_init(&ids, 4096);                                                         \
	OK(kf_ok(let_alice_create(&w)));                                                 \
	w.call->ids = &ids

TEST(an_enumeration_means_what_such_an_operation_made)
{
	WORLD(w);
	IDS(w, ids);
	struct id aes;
	struct pair pair;
	OK(kf_ok(create_aes(&w, NULL, &aes)));
	note(&w, &ids, KMIP_OPERATION_CREATE, KF_OK);
	make_pair(&w, &ids, &pair);

	OK(kf_ok(activate_as(&w, form(KMIP_UID_ENUM, KMIP_UNIQUE_IDENTIFIER_CREATE))));
	EQ(state_of(&w, &aes), STATE_ACTIVE);
	EQ(state_of(&w, &pair.private_key), STATE_PRE_ACTIVE);
	OK(kf_ok(activate_as(&w,
		form(KMIP_UID_ENUM, KMIP_UNIQUE_IDENTIFIER_CREATE_KEY_PAIR_PUBLIC_KEY))));
	EQ(state_of(&w, &pair.public_key), STATE_ACTIVE);
	EQ(state_of(&w, &pair.private_key), STATE_PRE_ACTIVE);
	OK(kf_ok(activate_as(
		&w, form(KMIP_UID_ENUM, KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER))));
	EQ(state_of(&w, &pair.private_key), STATE_ACTIVE);
}

TEST(an_enumeration_of_what_was_not_made_means_nothing)
{
	WORLD(w);
	IDS(w, ids);
	for (int32_t kind = 2; kind < OP_IDS_KINDS; kind++)
		OK(kf_is(activate_as(&w, form(KMIP_UID_ENUM, kind)), KF_E_NOT_FOUND));
	OK(kf_is(activate_as(&w, form(KMIP_UID_ENUM, OP_IDS_KINDS)), KF_E_INVALID_FIELD));
	OK(kf_is(activate_as(&w, form(KMIP_UID_ENUM, -1)), KF_E_INVALID_FIELD));
	OK(kf_is(activate_as(&w, form(KMIP_UID_ENUM, 0)), KF_E_INVALID_FIELD));
}

TEST(a_number_counts_identifiers_of_the_response)
{
	WORLD(w);
	IDS(w, ids);
	struct id aes;
	struct pair pair;
	OK(kf_ok(create_aes(&w, NULL, &aes)));
	note(&w, &ids, KMIP_OPERATION_CREATE, KF_OK);
	make_pair(&w, &ids, &pair);

	OK(kf_ok(activate_as(&w, form(KMIP_UID_INT, 0))));
	EQ(state_of(&w, &aes), STATE_ACTIVE);
	OK(kf_ok(activate_as(&w, form(KMIP_UID_INT, -1))));
	EQ(state_of(&w, &pair.public_key), STATE_ACTIVE);
	OK(kf_ok(activate_as(&w, form(KMIP_UID_INT, 1))));
	EQ(state_of(&w, &pair.private_key), STATE_ACTIVE);
	OK(kf_is(activate_as(&w, form(KMIP_UID_INT, 3)), KF_E_NOT_FOUND));
	OK(kf_is(activate_as(&w, form(KMIP_UID_INT, -4)), KF_E_NOT_FOUND));
	OK(kf_is(activate_as(&w, form(KMIP_UID_INT, INT32_MIN)), KF_E_NOT_FOUND));
	OK(kf_is(activate_as(&w, form(KMIP_UID_INT, INT32_MAX)), KF_E_NOT_FOUND));
}

TEST(what_failed_to_be_made_leaves_no_placeholder)
{
	WORLD(w);
	IDS(w, ids);
	struct id aes;
	OK(kf_ok(create_aes(&w, NULL, &aes)));
	note(&w, &ids, KMIP_OPERATION_CREATE, KF_OK);

	note(&w, &ids, KMIP_OPERATION_REGISTER, kf_fail(DENIED, "test"));

	OK(kf_is(activate(&w, NULL), KF_E_NO_IDENTIFIER));
	OK(kf_is(activate_as(&w, form(KMIP_UID_ENUM, KMIP_UNIQUE_IDENTIFIER_REGISTER)),
		KF_E_NOT_FOUND));
	OK(kf_ok(activate_as(&w, form(KMIP_UID_ENUM, KMIP_UNIQUE_IDENTIFIER_CREATE))));
}

TEST(without_a_batch_no_form_but_text_means_anything)
{
	WORLD(w);
	OK(kf_is(activate_as(&w, form(KMIP_UID_INT, 0)), KF_E_NOT_FOUND));
	OK(kf_is(activate_as(&w, form(KMIP_UID_ENUM, KMIP_UNIQUE_IDENTIFIER_CREATE)),
		KF_E_NOT_FOUND));
}

TEST_MAIN
