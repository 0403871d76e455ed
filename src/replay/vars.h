/* SPDX-License-Identifier: Apache-2.0
 *
 * vars: what a run knows by name: the variables of a case, and what is known of objects.  The newest value
 * of a name counts; what was bound on trial can be taken back.
 */
#pragma once
#include "base/buf.h"

struct replay_var;
struct replay_vars {
	struct replay_var *newest;
	kf_err err; /* no memory */
};

void replay_bind(struct replay_vars *v, struct slice name, struct slice value);
bool replay_find(const struct replay_vars *v, struct slice name, struct slice *ret);

struct replay_var *replay_mark(const struct replay_vars *v);
void replay_undo(struct replay_vars *v, struct replay_var *mark);
void replay_vars_clear(struct replay_vars *v);
