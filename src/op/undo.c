/* SPDX-License-Identifier: Apache-2.0 */
#include "op/undo.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

/* An object that the batch has changed, once. */
struct touched {
	struct object *before; /* NULL: the batch made it */
	bool is_lost;          /* ... it did not, but nobody knows what was before */
	uint64_t version;      /* the newest of the batch */
	enum object_type type;
	char id[OBJECT_ID_SIZE], owner[CLIENT_NAME_SIZE];
};

struct step {
	struct touched *object;
	const char *operation;
};

/* Of the change that is under way. */
struct pending {
	struct touched *object;
	uint64_t version;
};

struct op_undo {
	const struct catalog *catalog;
	struct map objects;
	struct buf steps; /* struct step */
	size_t n;         /* of objects that were changed */
	const char *operation;
	size_t pending_n;
	struct pending pending[CHANGE_MUTATIONS];
	struct change change;
};

enum { STEPS_MAX = CHANGE_MUTATIONS_MAX * sizeof(struct step) };

kf_err op_undo_new(const struct catalog *catalog, struct op_undo **ret)
{
	struct op_undo *u = calloc(1, sizeof(*u));
	if (!u)
		return kf_fail(NOMEM, "what a batch changes");
	u->catalog = catalog;
	u->objects = map_new();
	u->steps = buf_new(STEPS_MAX);
	*ret = u;
	return KF_OK;
}

/* The store has taken what it used. */
static void drop_change(struct change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct mutation *m = change_mutation(c, i);
		object_unref(m->object.object);
		object_unref((struct object *)(uintptr_t)m->object.was);
	}
	free(c->more);
}

void op_undo_free(struct op_undo *u)
{
	struct touched *t;
	if (!u)
		return;
	for (size_t at = 0; (t = map_next(&u->objects, &at));) {
		object_unref(t->before);
		free(t);
	}
	map_free(&u->objects);
	buf_free(&u->steps);
	drop_change(&u->change);
	free(u);
}

/* --- what is changed --- */

static void look_back(struct op_undo *u, const struct mutation *m, struct touched *t)
{
	const struct object *o = catalog_find(u->catalog, slice_of(t->id));
	if (!m->expected_version)
		return;
	t->is_lost = !o || o->version != m->expected_version;
	t->before = t->is_lost ? NULL : object_ref(o);
}

/* Not changed before, or never successfully: then what was before may have changed. */
static void describe(struct op_undo *u, const struct mutation *m, struct touched *t)
{
	const struct object *o = m->object.object;
	object_unref(t->before);
	*t = (struct touched){ .type = o->type };
	memcpy(t->id, o->id, sizeof(t->id));
	memcpy(t->owner, o->owner, sizeof(t->owner));
	look_back(u, m, t);
}

static kf_err touch(struct op_undo *u, const struct mutation *m, struct touched **ret)
{
	struct touched *t = map_get(&u->objects, slice_of(m->object.object->id));
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return kf_fail(NOMEM, "what a batch changes");
		describe(u, m, t);
		kf_err err = map_put(&u->objects, slice_of(t->id), t);
		if (!kf_ok(err)) {
			object_unref(t->before);
			free(t);
			return err;
		}
	} else if (!t->version) {
		describe(u, m, t);
	}
	*ret = t;
	return KF_OK;
}

kf_err op_undo_expect(struct op_undo *u, const struct change *c, const char *operation)
{
	u->pending_n = 0;
	u->operation = operation;
	if (c->more)
		return kf_fail(FEATURE, "a change of so many objects is not undone");
	for (size_t i = 0; i < c->n; i++) {
		struct touched *t;
		if (c->m[i].kind != PUT_OBJECT)
			return kf_fail(FEATURE, "rights are not undone");
		KF_TRY(touch(u, &c->m[i], &t));
		u->pending[i] = (struct pending){ t, c->m[i].object.object->version };
		u->pending_n++;
	}
	return KF_OK;
}

void op_undo_keep(struct op_undo *u)
{
	for (size_t i = 0; i < u->pending_n; i++) {
		const struct step step = { u->pending[i].object, u->operation };
		u->n += !step.object->version;
		step.object->version = u->pending[i].version;
		buf_add(&u->steps, &step, sizeof(step));
	}
	u->pending_n = 0;
}

/* --- putting it back --- */

bool op_undo_is_empty(const struct op_undo *u) { return u->n == 0; }

static kf_err put_back(const struct touched *t, struct mutation *m)
{
	const struct object_parts parts = {
		.id = slice_of(t->id),
		.owner = slice_of(t->owner),
		.attrs = t->before ? t->before->attrs : (struct slice){ 0 },
		.type = t->type,
		.version = t->version + 1,
	};
	if (t->is_lost)
		return kf_fail(CONFLICT, "what was before is not known");
	*m = (struct mutation){ .kind = PUT_OBJECT, .expected_version = t->version };
	m->object.was = t->before ? object_ref(t->before) : NULL;
	return object_new(&parts, &m->object.object);
}

static kf_err make_room(struct op_undo *u)
{
	KF_TRY(buf_err(&u->steps));
	if (u->n > CHANGE_MUTATIONS_MAX)
		return kf_fail(LIMIT, "a batch that changed too many objects");
	if (u->n <= CHANGE_MUTATIONS)
		return KF_OK;
	u->change.more = calloc(u->n - CHANGE_MUTATIONS, sizeof(*u->change.more));
	return u->change.more ? KF_OK : kf_fail(NOMEM, "undoing a batch");
}

kf_err op_undo_change(struct op_undo *u, struct change **ret)
{
	struct change *c = &u->change;
	struct touched *t;
	KF_TRY(make_room(u));
	for (size_t at = 0; (t = map_next(&u->objects, &at));)
		if (t->version)
			KF_TRY(put_back(t, change_mutation(c, c->n++)));
	*ret = c;
	return KF_OK;
}

bool op_undo_step(
	const struct op_undo *u, size_t i, const char **operation, const char **id)
{
	struct step step;
	if (i >= u->steps.n / sizeof(step))
		return false;
	memcpy(&step, u->steps.p + i * sizeof(step), sizeof(step));
	*operation = step.operation;
	*id = step.object->id;
	return true;
}
