/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

enum { UNSPECIFIED = 1, KEY_COMPROMISE = 2, CA_COMPROMISE = 3, SUPERSEDED = 5 };

enum act { ACTIVATE, REVOKE, COMPROMISE, DESTROY, ACTS };

static kf_err act(struct world *w, enum act a, const struct id *id)
{
	switch (a) {
	case ACTIVATE: return activate(w, id);
	case REVOKE: return revoke(w, id, SUPERSEDED);
	case COMPROMISE: return revoke(w, id, KEY_COMPROMISE);
	case DESTROY: return destroy(w, id);
	case ACTS: break;
	}
	return kf_fail(INTERNAL, "no such act");
}

/* KMIP 2.1, State.  0: refused.  Row: the state before. */
static const enum object_state table[][ACTS] = {
	[STATE_PRE_ACTIVE] = { STATE_ACTIVE, 0, STATE_COMPROMISED, STATE_DESTROYED },
	[STATE_ACTIVE] = { 0, STATE_DEACTIVATED, STATE_COMPROMISED, 0 },
	[STATE_DEACTIVATED] = { 0, 0, STATE_COMPROMISED, STATE_DESTROYED },
	[STATE_COMPROMISED] = { 0, 0, 0, STATE_DESTROYED_COMPROMISED },
	[STATE_DESTROYED] = { 0, 0, STATE_DESTROYED_COMPROMISED, 0 },
	[STATE_DESTROYED_COMPROMISED] = { 0, 0, 0, 0 },
};

/* The shortest way to a state. */
static kf_err bring(struct world *w, const struct id *id, enum object_state state)
{
	switch (state) {
	case STATE_PRE_ACTIVE: return KF_OK;
	case STATE_ACTIVE: return activate(w, id);
	case STATE_DEACTIVATED:
		KF_TRY(activate(w, id));
		return revoke(w, id, UNSPECIFIED);
	case STATE_COMPROMISED: return revoke(w, id, CA_COMPROMISE);
	case STATE_DESTROYED: return destroy(w, id);
	case STATE_DESTROYED_COMPROMISED:
		KF_TRY(revoke(w, id, KEY_COMPROMISE));
		return destroy(w, id);
	}
	return KF_OK;
}

TEST(the_states_follow_the_table_and_nothing_else)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));

	for (int state = STATE_PRE_ACTIVE; state <= STATE_DESTROYED_COMPROMISED; state++)
		for (int a = 0; a < ACTS; a++) {
			struct id id;
			OK(kf_ok(create_aes(&w, NULL, &id)));
			OK(kf_ok(bring(&w, &id, (enum object_state)state)));
			EQ(state_of(&w, &id), state);
			const enum object_state want = table[state][a];
			const kf_err err = act(&w, (enum act)a, &id);
			EQ(kf_ok(err), want != 0);
			if (!want)
				OK(kf_is(err, KF_E_STATE) || kf_is(err, KF_E_DESTROYED) ||
					kf_is(err, KF_E_DESTROYED_BEFORE));
			EQ(state_of(&w, &id), want ? (int)want : state);
		}
}

TEST(an_activation_date_that_has_come_makes_it_active_at_once)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));

	EQ(state_of(&w, &p.private_key), STATE_ACTIVE);
	EQ(state_of(&w, &p.public_key), STATE_ACTIVE);
}

TEST(destroying_takes_the_material_and_leaves_the_attributes)
{
	WORLD(w);
	struct id id, again;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "k", &id)));
	OK(kf_ok(get(&w, &id, &a)));

	OK(kf_ok(destroy(&w, &id)));

	OK(kf_is(get(&w, &id, &a), KF_E_DESTROYED));
	OK(kf_is(destroy(&w, &id), KF_E_DESTROYED_BEFORE));
	EQ(state_of(&w, &id), STATE_DESTROYED);
	int64_t date = 0;
	OK(attrs_get_date(buf_slice(&w.attrs), TAG_DESTROY_DATE, &date));
	EQ(date, NOW);
	EQ(located_by_name(&w, "k", NULL), 0);
	OK(kf_ok(create_aes(&w, "k", &again))); /* the name is free again */
	const struct object *o = catalog_find(w.server.catalog, slice_of(id.text));
	OK(o && !o->sealed.n && !o->key);
}

TEST(dates_and_reasons_are_kept)
{
	WORLD(w);
	struct id id;
	int64_t date = 0;
	struct ttlv_item reason;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	w.now_s = NOW + 10;
	OK(kf_ok(activate(&w, &id)));
	w.now_s = NOW + 20;
	OK(kf_ok(revoke(&w, &id, KEY_COMPROMISE)));

	OK(kf_ok(attributes(&w, &id)));
	const struct slice attrs = buf_slice(&w.attrs);
	OK(attrs_get_date(attrs, TAG_INITIAL_DATE, &date) && date == NOW);
	OK(attrs_get_date(attrs, TAG_ACTIVATION_DATE, &date) && date == NOW + 10);
	OK(attrs_get_date(attrs, TAG_COMPROMISE_DATE, &date) && date == NOW + 20);
	OK(attrs_get_date(attrs, TAG_COMPROMISE_OCCURRENCE_DATE, &date) &&
		date == NOW); /* as it may have been from the first */
	OK(attrs_get_date(attrs, TAG_LAST_CHANGE_DATE, &date) && date == NOW + 20);
	OK(!attrs_get_date(attrs, TAG_DEACTIVATION_DATE, &date));
	OK(attrs_find(attrs, TAG_REVOCATION_REASON, 0, &reason));
}

TEST(in_1_x_what_is_deactivated_is_revoked_once_more_and_keeps_its_date)
{
	WORLD(w);
	struct id id;
	int64_t date = 0;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(bring(&w, &id, STATE_DEACTIVATED)));
	w.now_s = NOW + 10;
	for (uint16_t version = KMIP_1_0; version <= KMIP_1_4; version++) {
		w.version = version;
		OK(kf_ok(revoke(&w, &id, SUPERSEDED)));
	}
	EQ(state_of(&w, &id), STATE_DEACTIVATED);
	OK(kf_ok(attributes(&w, &id)));
	OK(attrs_get_date(buf_slice(&w.attrs), TAG_DEACTIVATION_DATE, &date));
	EQ(date, NOW);
	OK(kf_ok(revoke(&w, &id, KEY_COMPROMISE)));
}

TEST(an_unknown_revocation_reason_is_refused)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	OK(!kf_ok(revoke(&w, &id, 77)));
	EQ(state_of(&w, &id), STATE_PRE_ACTIVE);
}

TEST(strangers_get_the_same_answer_as_for_what_is_not_there)
{
	WORLD(w);
	struct id id, nothing = { "00000000-0000-4000-8000-000000000000" };
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "k", &id)));
	be(&w, "mallory", false);

	const kf_err foreign[] = { activate(&w, &id), revoke(&w, &id, UNSPECIFIED),
		destroy(&w, &id), get(&w, &id, &a), attributes(&w, &id),
		sign_text(&w, &id, "x") };
	const kf_err absent[] = { activate(&w, &nothing),
		revoke(&w, &nothing, UNSPECIFIED), destroy(&w, &nothing),
		get(&w, &nothing, &a), attributes(&w, &nothing),
		sign_text(&w, &nothing, "x") };

	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
		EQ(foreign[i].code, KF_E_NOT_FOUND);
		OK(foreign[i].site == absent[i].site);
	}
	EQ(located_by_name(&w, "k", NULL), 0);
	OK(kf_is(create_aes(&w, NULL, &id), KF_E_DENIED));
	be(&w, "root", true);
	EQ(located_by_name(&w, "k", NULL), 1);
	OK(kf_ok(destroy(&w, &id)) || true);
}

/* --- a random life against a model of it --- */

enum { OBJECTS = 12, STEPS = 400 };

TEST(a_random_life_follows_the_model)
{
	WORLD(w);
	struct id id[OBJECTS];
	enum object_state model[OBJECTS];
	uint32_t seed = 20261121;
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < OBJECTS; i++) {
		OK(kf_ok(create_aes(&w, NULL, &id[i])));
		model[i] = STATE_PRE_ACTIVE;
	}

	for (int step = 0; step < STEPS; step++) {
		seed = seed * 1664525 + 1013904223;
		const unsigned i = (seed >> 8) % OBJECTS, a = (seed >> 16) % ACTS;
		if ((seed >> 24) % 8 == 0) {
			OK(kf_ok(create_aes(&w, NULL, &id[i])));
			model[i] = STATE_PRE_ACTIVE;
			continue;
		}
		const enum object_state want = table[model[i]][a];
		EQ(kf_ok(act(&w, (enum act)a, &id[i])), want != 0);
		if (want)
			model[i] = want;
		struct get_response response;
		const bool gone = model[i] >= STATE_DESTROYED;
		EQ(kf_ok(get(&w, &id[i], &response)), !gone);
	}
	for (int i = 0; i < OBJECTS; i++)
		EQ(state_of(&w, &id[i]), model[i]);
}

TEST_MAIN
