/* SPDX-License-Identifier: Apache-2.0 */
#include "op/undo.h"
#include "world.h"

enum { OBJECTS = 6, BATCHES = 150, ITEMS_MAX = 7, VALUE = 32 };

/* What is known of an object from outside. */
struct known {
	bool is_there;
	struct id id;
	uint32_t state;
	uint8_t value[VALUE];
};

struct model {
	struct known object[OBJECTS];
	uint64_t seed;
};

static unsigned choose(struct model *m, unsigned n)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(m->seed >> 33) % n;
}

static void begin(struct world *w)
{
	OK(kf_ok(op_undo_new(w->server.catalog, &w->undo)));
}

static kf_err undo(struct world *w)
{
	struct change *c = NULL;
	kf_err err = KF_OK;
	if (!op_undo_is_empty(w->undo)) {
		err = op_undo_change(w->undo, &c);
		if (kf_ok(err))
			submit_and_wait(w, c, &err);
		if (kf_ok(err))
			err = c->err;
	}
	op_undo_free(w->undo);
	w->undo = NULL;
	return err;
}

static void end(struct world *w)
{
	op_undo_free(w->undo);
	w->undo = NULL;
}

/* --- at random --- */

static void read_value(struct world *w, struct known *k)
{
	struct get_response a;
	OK(kf_ok(get(w, &k->id, &a)));
	EQ(a.object.block.material.n, VALUE);
	memcpy(k->value, a.object.block.material.p, VALUE);
}

static void make(struct world *w, struct known *k, const char *name)
{
	if (k->is_there || located_by_name(w, name, &(struct id){ 0 }))
		return;
	OK(kf_ok(create_aes(w, name, &k->id)));
	k->is_there = true;
	k->state = STATE_PRE_ACTIVE;
	read_value(w, k);
}

static void change(struct world *w, struct known *k, unsigned what)
{
	if (!k->is_there)
		return;
	if (what == 0 && kf_ok(activate(w, &k->id)))
		k->state = STATE_ACTIVE;
	if (what == 1 && kf_ok(revoke(w, &k->id,
				 KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION)))
		k->state = STATE_DEACTIVATED;
	if (what == 2 && kf_ok(destroy(w, &k->id)))
		k->state = STATE_DESTROYED;
}

static void carry_out(struct world *w, struct model *m)
{
	const unsigned i = choose(m, OBJECTS);
	const unsigned what = choose(m, 5);
	char name[8];
	snprintf(name, sizeof(name), "n%u", i);
	if (what >= 3)
		make(w, &m->object[i], name);
	else
		change(w, &m->object[i], what);
}

static bool is_as_known(struct world *w, const struct known *k)
{
	struct known now = *k;
	if (!k->is_there)
		return true;
	if (state_of(w, &k->id) != k->state)
		return false;
	if (k->state == STATE_DESTROYED)
		return true;
	read_value(w, &now);
	return memcmp(now.value, k->value, VALUE) == 0;
}

TEST(whatever_a_batch_does_undone_is_as_if_it_had_not_been)
{
	WORLD(w);
	struct model m = { .seed = 7 };
	OK(kf_ok(let_alice_create(&w)));
	for (int n = 0; n < BATCHES; n++) {
		const struct model before = m;
		begin(&w);
		for (unsigned left = 1 + choose(&m, ITEMS_MAX); left; left--)
			carry_out(&w, &m);
		if (choose(&m, 2)) {
			const struct model after = m;
			OK(kf_ok(undo(&w)));
			m = before;
			m.seed = after.seed;
			for (int i = 0; i < OBJECTS; i++)
				if (after.object[i].is_there &&
					!before.object[i].is_there)
					OK(!catalog_find(w.server.catalog,
						slice_of(after.object[i].id.text)));
		} else {
			end(&w);
		}
		for (int i = 0; i < OBJECTS; i++)
			OK(is_as_known(&w, &m.object[i]));
	}
}

/* --- one by one --- */

TEST(what_somebody_else_has_changed_meanwhile_is_not_undone)
{
	WORLD(w);
	struct id one, other;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "one", &one)));
	OK(kf_ok(create_aes(&w, "other", &other)));
	begin(&w);
	OK(kf_ok(activate(&w, &one)));
	OK(kf_ok(activate(&w, &other)));

	struct op_undo *mine = w.undo;
	w.undo = NULL;
	OK(kf_ok(revoke(&w, &one, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION)));
	w.undo = mine;

	OK(kf_is(undo(&w), KF_E_CONFLICT));
	EQ(state_of(&w, &one), STATE_DEACTIVATED);
	EQ(state_of(&w, &other), STATE_ACTIVE);
}

static const struct id *contested;
static void revoke_it(struct world *w)
{
	OK(kf_ok(revoke(w, contested, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE)));
}

static void revoke_first(struct world *w) { meanwhile(w, revoke_it); }

TEST(a_change_that_came_second_is_undone_to_what_the_first_made)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	begin(&w);
	contested = &id;
	w.before_commit = revoke_first;
	OK(kf_ok(destroy(&w, &id)));
	EQ(state_of(&w, &id), STATE_DESTROYED_COMPROMISED);

	OK(kf_ok(undo(&w)));

	EQ(state_of(&w, &id), STATE_COMPROMISED);
}

TEST(rights_cannot_be_undone)
{
	WORLD(w);
	struct change c = { .n = 1, .m = { { .kind = PUT_GRANT } } };
	begin(&w);

	OK(kf_is(op_undo_expect(w.undo, &c, "Grant Add"), KF_E_FEATURE));

	OK(op_undo_is_empty(w.undo));
	end(&w);
}

TEST(the_steps_are_told_in_their_order)
{
	WORLD(w);
	struct id id;
	const char *operation, *object;
	OK(kf_ok(let_alice_create(&w)));
	begin(&w);
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(activate(&w, &id)));
	OK(!kf_ok(activate(&w, &id)));

	OK(op_undo_step(w.undo, 0, &operation, &object));
	OK(!strcmp(operation, "Create") && !strcmp(object, id.text));
	OK(op_undo_step(w.undo, 1, &operation, &object));
	OK(!strcmp(operation, "Activate") && !strcmp(object, id.text));
	OK(!op_undo_step(w.undo, 2, &operation, &object));
	end(&w);
}

TEST_MAIN
