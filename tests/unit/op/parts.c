/* SPDX-License-Identifier: Apache-2.0 */
#include "op/parts.h"
#include "world.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 300 };

struct user {
	struct world *w;
	struct op_call *call;
	unsigned went_well;
};

static kf_err one_round(struct op_call *call)
{
	const struct parts_request first = { .is_first = true };
	struct parts *p = NULL;
	uint8_t id[PARTS_ID_SIZE];

	KF_TRY(parts_open(call, &first, &p));
	buf_add_text(&p->data, "held");
	memcpy(id, p->id, sizeof(id));
	KF_TRY(parts_put(call, &p));
	const struct parts_request more = { .correlation_value = { id, sizeof(id) } };
	KF_TRY(parts_open(call, &more, &p));
	KF_TRY(parts_put(call, &p));
	KF_TRY(parts_open(call, &more, &p));
	parts_free(call, &p);
	return KF_OK;
}

static void *run(void *arg)
{
	struct user *u = arg;
	for (unsigned i = 0; i < ROUNDS; i++)
		u->went_well += kf_ok(one_round(u->call));
	return NULL;
}

static struct op_call *new_call(struct world *w)
{
	struct op_call *call = calloc(1, sizeof(*call));
	if (!call)
		return NULL;
	call->server = &w->server;
	call->who = &w->who;
	call->op = op_find(KMIP_OPERATION_HASH);
	call->now_s = w->now_s;
	return call;
}

TEST(threads_share_the_table)
{
	WORLD(w);
	pthread_t thread[THREADS];
	struct user user[THREADS] = { 0 };
	OK(kf_ok(op_parts_new(&(struct op_parts_conf){ .most = 64,
				      .client_most = 64,
				      .memory = 65536,
				      .idle_ns = 3600000000000 },
		&w.server.parts)));

	for (size_t i = 0; i < THREADS; i++) {
		user[i] = (struct user){ .w = &w, .call = new_call(&w) };
		OK(pthread_create(&thread[i], NULL, run, &user[i]) == 0);
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		op_parts_sweep(w.server.parts, w.server.catalog, w.now_s);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		EQ(user[i].went_well, ROUNDS);
		free(user[i].call);
	}

	EQ(op_parts_count(w.server.parts), 0);
	op_parts_free(w.server.parts);
}

TEST(what_is_left_is_wiped_with_the_server)
{
	WORLD(w);
	struct parts *p = NULL;
	struct op_call *call = new_call(&w);
	const struct parts_request first = { .is_first = true };
	OK(kf_ok(op_parts_new(&(struct op_parts_conf){ .most = 1,
				      .client_most = 1,
				      .memory = 64,
				      .idle_ns = 3600000000000 },
		&w.server.parts)));

	OK(kf_ok(parts_open(call, &first, &p)));
	buf_add_text(&p->data, "held");
	OK(kf_ok(parts_put(call, &p)));
	OK(kf_is(parts_open(call, &first, &p), KF_E_BUSY));
	EQ(op_parts_count(w.server.parts), 1);

	free(call);
	op_parts_free(w.server.parts);
}

TEST_MAIN
