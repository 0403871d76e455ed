/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/chore.h"
#include "../store/fixture.h"
#include "keyfleetd/server.h"
#include "test.h"

enum { OFTEN_MS = 1, NEVER_MS = 3600000 };

/* What a chore does in these tests: it is counted, and stays until it may go. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned looks;
static bool hangs;

static void look(struct chore *c)
{
	(void)c;
	pthread_mutex_lock(&lock);
	looks++;
	pthread_cond_broadcast(&changed);
	while (hangs)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void wait_for_looks(unsigned n)
{
	pthread_mutex_lock(&lock);
	while (looks < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void set_hanging(bool is)
{
	pthread_mutex_lock(&lock);
	hangs = is;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static uint64_t in_ms(uint64_t ms) { return clock_monotonic_ns() + ms * 1000000; }

/* A server that has what chores need. */
struct place {
	struct fixture f;
	struct server server;
	struct chore chore;
};

static struct audit *open_audit(const struct keyring *keyring)
{
	static char where[256];
	struct audit *a = NULL;
	snprintf(where, sizeof(where), "%s/audit", temporary_directory());
	const struct audit_conf c = { .directory = where,
		.segment_size = 1 << 20,
		.loops = 1,
		.server = "test",
		.keyring = keyring };
	return kf_ok(audit_open(&c, &(struct audit_waker){ 0 }, &a)) ? a : NULL;
}

static void open_place(struct place *p, int64_t every_ms)
{
	*p = (struct place){ 0 };
	looks = 0;
	hangs = false;
	OK(kf_ok(fixture_open(&p->f, "memory:", KEY_A)));
	epoch_offline(p->f.reader);
	p->server.epoch = p->f.epoch;
	p->server.store = p->f.store;
	p->server.commit_timeout_ns = UINT64_C(20000000000);
	p->server.audit = open_audit(p->f.keyring);
	OK(p->server.audit);
	p->chore = (struct chore){
		.server = &p->server, .name = "test", .every_ms = every_ms, .look = look
	};
}

static void close_place(struct place *p)
{
	audit_close(p->server.audit);
	epoch_online(p->f.reader);
	fixture_close(&p->f);
}

TEST(it_looks_again_and_again_until_it_is_stopped)
{
	struct place p;
	open_place(&p, OFTEN_MS);

	OK(kf_ok(chore_start(&p.chore)));
	wait_for_looks(3);

	OK(chore_stop(&p.chore, in_ms(60000)));
	close_place(&p);
}

TEST(one_that_waits_for_its_next_look_stops_at_once)
{
	struct place p;
	open_place(&p, NEVER_MS);

	OK(kf_ok(chore_start(&p.chore)));

	OK(chore_stop(&p.chore, in_ms(60000)));
	EQ(looks, 0);
	close_place(&p);
}

TEST(one_that_hangs_is_waited_for_until_the_deadline)
{
	struct place p;
	open_place(&p, OFTEN_MS);
	set_hanging(true);
	OK(kf_ok(chore_start(&p.chore)));
	wait_for_looks(1);

	OK(!chore_stop(&p.chore, in_ms(20)));
	set_hanging(false);

	OK(chore_stop(&p.chore, in_ms(60000)));
	EQ(looks, 1);
	close_place(&p);
}

/* ---- on its thread ---- */

static kf_err caught_up, recorded, refused_record;
static uint64_t written; /* changes of rows */

static void work(struct chore *c)
{
	struct store_status s;
	caught_up = chore_catch_up(c);
	store_status(c->server->store, &s);
	written = s.sequence;
	recorded = chore_record(c, "erase", SLICE_LIT(" object=x"));
	refused_record =
		chore_record(c, "a name that no event has", SLICE_LIT(" object=x"));
	look(c);
}

TEST(it_catches_up_without_writing_and_records_before_it_acts)
{
	struct place p;
	struct audit_status s;
	open_place(&p, OFTEN_MS);
	p.chore.look = work;
	set_hanging(true);

	OK(kf_ok(chore_start(&p.chore)));
	wait_for_looks(1);

	OK(kf_ok(caught_up) && written == 0);
	OK(kf_ok(recorded));
	audit_status(p.server.audit, &s);
	OK(s.syncs >= 2);
	OK(kf_is(refused_record, KF_E_TOO_BIG));
	set_hanging(false);
	OK(chore_stop(&p.chore, in_ms(60000)));
	close_place(&p);
}

TEST_MAIN
