/* SPDX-License-Identifier: Apache-2.0
 *
 * rights: the writer's side of clients and grants.  Rows live until no reader can see the last
 * snapshot that names them.
 */
#pragma once
#include "store/catalog.h"
#include <stdatomic.h>

struct rights_writer {
	struct epoch *epoch;
	_Atomic(struct rights *) now;
	struct sorted {
		void **row;
		size_t n, cap;
	} clients, grants, by_key; /* by_key: the grants once more */
	unsigned holds;
	bool is_changed;
};

kf_err rights_init(struct rights_writer *w, struct epoch *epoch);
void rights_clear(struct rights_writer *w); /* no readers any more */
kf_err rights_put_client(struct rights_writer *w, const struct client_row *row);
kf_err rights_put_grant(struct rights_writer *w, const struct grant_row *row);
kf_err rights_drop_grant(struct rights_writer *w, const char *id);
kf_err rights_publish(struct rights_writer *w); /* unless held */
