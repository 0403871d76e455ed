/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/epoch.h"
#include "bench/catalog/bench.h"
#include "kmip/create.h"
#include "kmip/get.h"
#include "kmip/locate.h"
#include "op/step.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { GROUP_SIZE = 100, VERSION = KMIP_2_1, KNOWN = 1000 };

static void make_buffers(struct slot *s)
{
	if (s->question.limit)
		return;
	s->question = buf_new(1 << 16);
	s->answer = buf_new(64 << 20);
}

static struct slice numbered(const char *kind, uint64_t n, char room[48])
{
	snprintf(room, 48, "%s-%08llu", kind, (unsigned long long)n);
	return slice_of(room);
}

/* --- one call --- */

static void set_up(struct slot *s, uint32_t operation)
{
	struct bench *b = s->bench;
	struct op_call *c = &s->call;
	c->op = op_find(operation);
	c->server = &b->server;
	c->version = VERSION;
	c->payload = buf_slice(&s->question);
	c->who = &b->who;
	c->now_s = b->now_s;
}

static void came_home(struct change *c)
{
	struct slot *s = c->arg;
	struct slot *was = atomic_load(&s->bench->done);
	do
		s->next = was;
	while (!atomic_compare_exchange_weak(&s->bench->done, &was, s));
	sem_post(&s->bench->is_done);
}

static kf_err answer(struct slot *s)
{
	struct ttlv_writer a = ttlv_write(&s->answer, VERSION);
	buf_clear(&s->answer);
	return op_answer(&s->call, &a);
}

/* What needs no commit. */
static kf_err run(struct slot *s, uint32_t operation)
{
	set_up(s, operation);
	KF_TRY(op_decode(&s->call));
	KF_TRY(op_authorise(&s->call));
	enum op_next next = op_start(&s->call);
	if (next == OP_WORK)
		next = op_worked(&s->call);
	kf_err e = next == OP_ANSWER ? answer(s) : s->call.err;
	op_clear(&s->call);
	epoch_quiescent(s->bench->reader);
	return e;
}

/* --- making --- */

static void describe(uint64_t n, struct buf *attrs)
{
	char room[48];
	attrs_add_enum(
		attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
	attrs_add_int(attrs, TAG_CRYPTOGRAPHIC_LENGTH, 256);
	attrs_add_int(attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_name(attrs, numbered("disk", n, room));
	attrs_add_text(attrs, TAG_OBJECT_GROUP, numbered("host", n / GROUP_SIZE, room));
	if (n % 1000)
		attrs_add_date(attrs, TAG_ACTIVATION_DATE, 1600000000);
}

static kf_err begin_create(struct slot *s)
{
	autobuf attrs = buf_new(4096);
	describe(s->number, &attrs);
	buf_clear(&s->question);
	struct ttlv_writer q = ttlv_write(&s->question, VERSION);
	create_put_request(
		&q, &(struct create_request){ OBJECT_SYMMETRIC_KEY, buf_slice(&attrs) });
	KF_TRY(ttlv_written(&q));
	set_up(s, KMIP_OPERATION_CREATE);
	KF_TRY(op_decode(&s->call));
	KF_TRY(op_authorise(&s->call));
	if (op_start(&s->call) != OP_COMMIT)
		return s->call.err;
	s->call.change.done = came_home;
	s->call.change.arg = s;
	return store_submit(s->bench->store, &s->call.change);
}

static kf_err end_create(struct slot *s)
{
	kf_err e = op_committed(&s->call) == OP_ANSWER ? answer(s) : s->call.err;
	op_clear(&s->call);
	return e;
}

/* What Create would put there: an object like the first one. */
static kf_err begin_put(struct slot *s)
{
	const struct object *like = catalog_at(s->bench->server.catalog, 0);
	autobuf attrs = buf_new(8192);
	char room[48];
	buf_add_slice(&attrs, like->attrs);
	attrs_remove_all(&attrs, TAG_NAME);
	attrs_add_name(&attrs, numbered("disk", s->number, room));
	char id[OBJECT_ID_SIZE];
	op_new_id(id);
	KF_TRY(buf_err(&attrs));
	s->bare = (struct change){
		.n = 1, .m = { { .kind = PUT_OBJECT } }, .done = came_home, .arg = s
	};
	struct mutation *m = &s->bare.m[0];
	KF_TRY(object_new(&(struct object_parts){ .id = slice_of(id),
				  .owner = slice_of(like->owner),
				  .attrs = buf_slice(&attrs),
				  .type = like->type,
				  .version = 1 },
		&m->object.object));
	m->object.material = buf_new(4096);
	KF_TRY(store_unseal(s->bench->store, like, &m->object.material));
	return store_submit(s->bench->store, &s->bare);
}

static kf_err end_put(struct slot *s) { return s->bare.err; }

static struct slot *wait_for_one(struct bench *b, struct slot **ready)
{
	if (!*ready) {
		epoch_offline(b->reader);
		while (sem_wait(&b->is_done))
			;
		epoch_online(b->reader);
		*ready = atomic_exchange(&b->done, NULL);
		for (struct slot *s = *ready; s && s->next; s = s->next)
			(void)sem_trywait(&b->is_done);
	}
	struct slot *s = *ready;
	if (s)
		*ready = s->next;
	return s;
}

struct making {
	kf_err (*begin)(struct slot *s);
	kf_err (*end)(struct slot *s);
	size_t slots;
};

static kf_err start(struct bench *b, struct slot *s, const struct making *m)
{
	s->bench = b;
	make_buffers(s);
	s->number = b->made++;
	return m->begin(s);
}

static kf_err make(struct bench *b, uint64_t objects, const struct making *m)
{
	struct slot *ready = NULL;
	uint64_t begun = 0, ended = 0;

	for (; begun < m->slots && begun < objects; begun++)
		KF_TRY(start(b, &b->slot[begun], m));
	while (ended < objects) {
		struct slot *s = wait_for_one(b, &ready);
		if (!s)
			continue;
		KF_TRY(m->end(s));
		ended++;
		if (begun++ < objects)
			KF_TRY(start(b, s, m));
	}
	return KF_OK;
}

static kf_err timed(
	struct bench *b, uint64_t objects, const struct making *m, double *ret_rate)
{
	epoch_online(b->reader);
	const double began = seconds_now();
	kf_err e = make(b, objects, m);
	*ret_rate = (double)objects / (seconds_now() - began);
	epoch_offline(b->reader);
	return e;
}

kf_err bench_create(struct bench *b, uint64_t objects, size_t slots, double *ret_rate)
{
	const struct making m = { begin_create, end_create, slots };
	return timed(b, objects, &m, ret_rate);
}

kf_err bench_put(struct bench *b, uint64_t objects, size_t slots, double *ret_rate)
{
	const struct making m = { begin_put, end_put, slots };
	return timed(b, objects, &m, ret_rate);
}

/* --- looking --- */

static void want(const struct bench *b, int way, struct buf *attrs)
{
	char room[48];
	const uint64_t n = (uint64_t)random() % b->made;
	if (way == BY_NAME)
		attrs_add_name(attrs, numbered("disk", n, room));
	else if (way == BY_GROUP)
		attrs_add_text(
			attrs, TAG_OBJECT_GROUP, numbered("host", n / GROUP_SIZE, room));
	else if (way == BY_STATE)
		attrs_add_enum(attrs, TAG_STATE, STATE_PRE_ACTIVE);
}

static kf_err locate(struct bench *b, int way, uint64_t *ret_found)
{
	struct slot *s = &b->slot[0];
	struct locate_response a;
	struct slice id;
	autobuf attrs = buf_new(1024);
	want(b, way, &attrs);
	buf_clear(&s->question);
	struct ttlv_writer q = ttlv_write(&s->question, VERSION);
	locate_put_request(
		&q, &(struct locate_request){ .maximum_items = way == BY_NOTHING ? 1 : -1,
			    .offset_items = -1,
			    .attributes = buf_slice(&attrs) });
	KF_TRY(run(s, KMIP_OPERATION_LOCATE));
	struct ttlv_reader r = ttlv_read(buf_slice(&s->answer));
	KF_TRY(locate_get_response(&r, &a));
	r = ttlv_read(a.uids);
	while (locate_next_uid(&r, &id))
		++*ret_found;
	return KF_OK;
}

kf_err bench_locate(
	struct bench *b, int way, unsigned times, double *ret_us, uint64_t *ret_found)
{
	kf_err e = KF_OK;
	uint64_t found = 0;
	b->slot[0].bench = b;
	make_buffers(&b->slot[0]);
	epoch_online(b->reader);
	const double began = work_now();
	for (unsigned i = 0; i < times && kf_ok(e); i++)
		e = locate(b, way, &found);
	*ret_us = (work_now() - began) / times * 1e6;
	*ret_found = found;
	epoch_offline(b->reader);
	return e;
}

static kf_err get(struct bench *b, uint32_t place)
{
	struct slot *s = &b->slot[0];
	const struct object *o = catalog_at(b->server.catalog, place);
	buf_clear(&s->question);
	struct ttlv_writer q = ttlv_write(&s->question, VERSION);
	get_put_request(
		&q, &(struct get_request){ .uid = kmip_uid_text(slice_of(o->id)) });
	return run(s, KMIP_OPERATION_GET);
}

static void wait_for_store(struct bench *b)
{
	struct store_status status = { .queued = 1 };
	epoch_offline(b->reader);
	for (; status.queued; usleep(1000))
		store_status(b->store, &status);
	epoch_online(b->reader);
}

/* The first Get of an object is noted in the store: that is not what is measured. */
static kf_err get_all(struct bench *b, const uint32_t place[KNOWN], unsigned times)
{
	for (size_t i = 0; i < times; i++)
		KF_TRY(get(b, place[i % KNOWN]));
	return KF_OK;
}

kf_err bench_get(struct bench *b, unsigned times, double *ret_us)
{
	uint32_t place[KNOWN];
	for (size_t i = 0; i < KNOWN; i++)
		place[i] = (uint32_t)((uint64_t)random() % b->made);
	b->slot[0].bench = b;
	make_buffers(&b->slot[0]);
	epoch_online(b->reader);
	kf_err e = get_all(b, place, KNOWN);
	wait_for_store(b);
	const double began = work_now();
	if (kf_ok(e))
		e = get_all(b, place, times);
	*ret_us = (work_now() - began) / times * 1e6;
	epoch_offline(b->reader);
	return e;
}
