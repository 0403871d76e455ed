/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/vars.h"
#include <stdlib.h>
#include <string.h>

struct replay_var {
	struct replay_var *older;
	struct slice name, value;
	uint8_t bytes[];
};

void replay_bind(struct replay_vars *v, struct slice name, struct slice value)
{
	struct replay_var *new = malloc(sizeof(*new) + name.n + value.n);
	if (!new) {
		v->err = kf_fail(NOMEM, "binding a variable");
		return;
	}
	if (name.n)
		memcpy(new->bytes, name.p, name.n);
	if (value.n)
		memcpy(new->bytes + name.n, value.p, value.n);
	new->name = (struct slice){ new->bytes, name.n };
	new->value = (struct slice){ new->bytes + name.n, value.n };
	new->older = v->newest;
	v->newest = new;
}

bool replay_find(const struct replay_vars *v, struct slice name, struct slice *ret)
{
	for (const struct replay_var *i = v->newest; i; i = i->older) {
		if (slice_eq(i->name, name)) {
			*ret = i->value;
			return true;
		}
	}
	return false;
}

struct replay_var *replay_mark(const struct replay_vars *v) { return v->newest; }

void replay_undo(struct replay_vars *v, struct replay_var *mark)
{
	while (v->newest != mark) {
		struct replay_var *gone = v->newest;
		v->newest = gone->older;
		free(gone);
	}
}

void replay_vars_clear(struct replay_vars *v)
{
	replay_undo(v, NULL);
	v->err = KF_OK;
}
