/* SPDX-License-Identifier: Apache-2.0
 *
 * Status: facts about the server.  For the administrator.
 */
#include "op/page.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

kf_err op_status_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return page_get_request(&r, &OP_REQUEST(call, struct page_call)->q);
}

static void add_text(struct op_call *call, struct slice name, struct slice value)
{
	if (page_has(OP_REQUEST(call, struct page_call)))
		status_pair_add(&call->scratch, &(struct status_pair){ name, value });
}

static void add_number(struct op_call *call, const char *name, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	add_text(call, slice_of(name), slice_of(text));
}

static void add_claim(struct op_call *call, const char *name, bool value)
{
	add_text(call, slice_of(name), slice_of(value ? "yes" : "no"));
}

static void add_store(struct op_call *call)
{
	const struct rights *rights = catalog_rights(call->server->catalog);
	struct store_status s = { 0 };

	store_status(call->server->store, &s);
	add_claim(call, "store.reachable", s.is_reachable);
	add_claim(call, "store.writable", s.is_writable);
	add_number(call, "store.sequence", s.sequence);
	add_number(call, "store.objects", s.objects);
	add_number(call, "store.tampered", s.tampered);
	add_number(call, "store.unloaded", s.unloaded);
	add_number(call, "store.commits", s.commits);
	add_number(call, "store.changes", s.changes);
	add_number(call, "store.old-master-keys", s.old_master_keys);
	add_number(call, "rights.generation", rights->generation);
	add_number(call, "rights.clients", rights->clients);
	add_number(call, "rights.grants", rights->grants);
}

/* The daemon's own facts: lines of name=value. */
static void add_lines(struct op_call *call, struct slice text)
{
	while (text.n) {
		const struct slice line = slice_take_line(&text);
		const uint8_t *equals = memchr(line.p, '=', line.n);
		if (equals) {
			const size_t n = (size_t)(equals - line.p);
			add_text(call, (struct slice){ line.p, n },
				(struct slice){ equals + 1, line.n - n - 1 });
		}
	}
}

enum op_next op_status_start(struct op_call *call)
{
	const struct op_server *server = call->server;
	autobuf lines = buf_new(server->message_max);

	add_text(call, SLICE_LIT("version"), slice_of(server->version));
	if (server->name)
		add_text(call, SLICE_LIT("name"), slice_of(server->name));
	if (server->load)
		add_number(call, "load", server->load(server->arg));
	add_store(call);
	if (server->status)
		server->status(server->arg, &lines);
	add_lines(call, buf_slice(&lines));
	return op_then(call, buf_err(&call->scratch), OP_ANSWER);
}

void op_status_answer(struct op_call *call, struct ttlv_writer *w)
{
	page_answer(call, w);
}
