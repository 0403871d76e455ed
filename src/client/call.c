/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "client/client.h"
#include "client/repeat.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	MS = 1000000,
	PROBE_MS = 500,
	ROUND_MS = 20,
	ROUND_DOUBLINGS = 4,
	ATTEMPT_MIN_MS = 200
};

/* One call on its way through several servers. */
struct run {
	struct kf_client *client;
	const struct call *q;
	enum repeat repeat;
	uint8_t request_id[16];
	uint64_t deadline_ns,
		patience_ns;    /* when to give up: altogether; while nobody is there */
	uint64_t tried, barred; /* servers, a bit each: asked already; not meant */
	unsigned rounds;        /* in which everybody was busy */
	bool is_sent;           /* some server may have done it */
	bool is_settled;        /* the answer is final */
	bool has_looked;        /* for new addresses */
	bool was_over_limit;    /* one server said so; one more may be asked */
	struct call_report report;
	kf_err err;

	/* of the attempt that runs */
	struct pool_turn turn;
	bool is_answered;
	int32_t load;
};

static uint64_t min64(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t in_ms(uint64_t now_ns, int64_t ms) { return now_ns + (uint64_t)ms * MS; }

/* ---- waiting ---- */

/* Until the connection can go on; false: the time is up. */
static bool wait_for(const struct conn *c, uint64_t until_ns)
{
	for (;;) {
		uint64_t now = clock_monotonic_ns();
		if (now >= until_ns)
			return false;
		struct pollfd p = { .fd = conn_fd(c), .events = conn_events(c) };
		int n = poll(&p, 1, (int)min64((until_ns - now) / MS + 1, 60000));
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static void sleep_until(uint64_t at_ns)
{
	uint64_t now = clock_monotonic_ns();
	if (at_ns <= now)
		return;
	struct timespec t = { .tv_sec = (time_t)((at_ns - now) / 1000000000),
		.tv_nsec = (long)((at_ns - now) % 1000000000) };
	nanosleep(&t, NULL);
}

/* ---- one attempt ---- */

static void complain(struct run *r, const char *what)
{
	snprintf(r->report.message, sizeof(r->report.message), "%.100s: %.120s",
		r->turn.node.name, what);
	node_blame(&r->turn.node, what);
}

static kf_err open_conn(struct run *r)
{
	struct pool_turn *t = &r->turn;
	const struct settings *s = &r->client->fleet.settings;
	uint64_t now = clock_monotonic_ns();
	int64_t patience_ms =
		node_is_healthy(&t->node) || s->connect_timeout_ms < PROBE_MS
			? s->connect_timeout_ms
			: PROBE_MS;
	uint64_t until = min64(r->deadline_ns, in_ms(now, patience_ms));
	struct tls_session *session = t->session;
	t->session = NULL;
	KF_TRY(conn_new(&r->client->fleet.setup, &t->node, session, &t->conn));
	pool_note(&r->client->pool, t->conn);
	conn_set_pad(t->conn, t->pad);
	while (t->conn->state != CONN_OPEN) {
		if (!wait_for(t->conn, until))
			return kf_fail(TIMEOUT, "connecting takes too long");
		KF_TRY(conn_work(t->conn, NULL, NULL));
	}
	return KF_OK;
}

void report_message(struct call_report *report, struct slice text)
{
	size_t n = min64(text.n, sizeof(report->message) - 1);
	if (n)
		memcpy(report->message, text.p, n);
	report->message[n] = 0;
}

static void take_answer(void *arg, void *waiter, const struct kmip_response_item *item)
{
	struct run *r = arg;
	(void)waiter;
	r->is_answered = true;
	r->load = item->extension.has_load ? item->extension.load : -1;
	r->err = kmip_result(item);
	r->report.version = r->turn.conn->version;
	r->report.server = r->turn.index + 1;
	r->report.reason = kf_ok(r->err) ? 0 : item->reason;
	report_message(&r->report, kf_ok(r->err) ? (struct slice){ 0 } : item->message);
	if (kf_ok(r->err))
		buf_add_slice(r->q->ret, item->payload);
}

static kf_err put_request(struct run *r)
{
	const struct call_options *o = r->q->options;
	struct conn *c = r->turn.conn;
	autobuf payload = buf_new(r->client->fleet.setup.message_max);
	struct ttlv_writer w = ttlv_write(&payload, c->version);
	w.allows_vendor = true;
	KF_TRY(r->q->put(&w, r->q->request));
	KF_TRY(ttlv_written(&w));
	uint64_t now = clock_monotonic_ns();
	uint64_t left_ms = r->deadline_ns > now ? (r->deadline_ns - now) / MS : 0;
	struct conn_request q = { .operation = r->q->operation,
		.payload = buf_slice(&payload),
		.extension = { .request_id = { r->request_id, 16 },
			.deadline_ms = (int32_t)min64(left_ms + 1, INT32_MAX),
			.has_sent_at = true,
			.sent_at_ms = (int32_t)(now / MS & INT32_MAX),
			.tls_client_version = o->tls_client_version,
			.tls_negotiated_version = o->tls_negotiated_version } };
	return conn_put(c, &q, r);
}

/* Half of the time that is left: the other half is another server's, if this one is stuck. */
static uint64_t attempt_end(const struct run *r)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t left = r->deadline_ns > now ? r->deadline_ns - now : 0;
	if (r->q->options->is_once)
		return r->deadline_ns;
	return left > (uint64_t)ATTEMPT_MIN_MS * MS ? now + left / 2 : r->deadline_ns;
}

static kf_err exchange(struct run *r)
{
	struct conn *c = r->turn.conn;
	uint64_t until = attempt_end(r);
	r->turn.is_sent = true;
	r->report.attempts++;
	do {
		/* Before the first wait: send, and look whether the answer is there already. */
		KF_TRY(conn_work(c, take_answer, r));
		if (!r->is_answered && !wait_for(c, until))
			return kf_fail(TIMEOUT, "no answer in time");
	} while (!r->is_answered);
	return KF_OK;
}

/* A change that may have been done must not reach a server that does not know request ids. */
static bool may_go_to(const struct run *r, const struct conn *c)
{
	return !r->is_sent || r->repeat == REPEAT_FREELY || c->is_by_id;
}

static kf_err attempt(struct run *r)
{
	struct pool_turn *t = &r->turn;
	r->is_answered = false;
	r->load = -1;
	if (!t->pad)
		return kf_fail(NOMEM, "no memory for a connection");
	if (!t->conn)
		KF_TRY(open_conn(r));
	if (!may_go_to(r, t->conn))
		return kf_fail(OUTCOME_UNKNOWN, "this server knows no request ids");
	KF_TRY(put_request(r));
	return exchange(r);
}

/* ---- judging it ---- */

/* What another server may answer differently, or this one later. */
static bool is_passing(kf_err err)
{
	return kf_is(err, KF_E_BUSY) || kf_is(err, KF_E_UNAVAILABLE) ||
	       kf_is(err, KF_E_OUTCOME_UNKNOWN);
}

static bool may_repeat(const struct run *r, const struct conn *c)
{
	return r->repeat == REPEAT_FREELY ||
	       (r->repeat == REPEAT_WITH_ID && c && c->is_by_id);
}

/* Before anything is sent, or by an encoder: the same everywhere. */
static bool is_ours(const struct run *r, kf_err err)
{
	return !r->turn.is_sent && r->turn.conn && r->turn.conn->state == CONN_OPEN &&
	       !kf_ok(err);
}

static enum pool_verdict judge_answer(struct run *r)
{
	r->is_settled = !is_passing(r->err);
	/* It says itself that it did nothing, unless it does not know. */
	if (kf_is(r->err, KF_E_OUTCOME_UNKNOWN)) {
		r->is_sent = true;
		r->is_settled = !may_repeat(r, r->turn.conn);
	}
	if (kmip_limit_of(r->err.code)) {
		r->is_settled = r->was_over_limit;
		r->was_over_limit = true;
	}
	if (kf_is(r->err, KF_E_BUSY))
		r->load = NODE_LOAD_MAX;
	return POOL_ANSWERED;
}

static enum pool_verdict judge_silence(struct run *r, kf_err err)
{
	struct conn *c = r->turn.conn;
	r->err = err;
	complain(r, c && c->why[0] ? c->why : (err.site ? err.site->text : "failed"));
	if (is_ours(r, err)) {
		r->is_settled = true;
		return POOL_NOTHING;
	}
	if (!r->turn.is_sent)
		return kf_is(err, KF_E_NOMEM) ? POOL_NOTHING : POOL_FAILED;
	r->is_sent = true;
	if (!may_repeat(r, c)) {
		r->err = kf_fail(OUTCOME_UNKNOWN, "sent, but no answer came");
		r->is_settled = true;
	}
	return POOL_FAILED;
}

/* One turn at one server. */
static void take_turn(struct run *r)
{
	uint64_t bit = 1ULL << r->turn.index;
	bool was_idle = r->turn.conn != NULL;
	kf_err err = attempt(r);
	enum pool_verdict verdict =
		r->is_answered ? judge_answer(r) : judge_silence(r, err);
	bool is_stale = was_idle && verdict == POOL_FAILED && !kf_is(err, KF_E_TIMEOUT);
	/* A connection that died while it was idle tells little about its server: ask once more. */
	if (is_stale)
		verdict = POOL_NOTHING;
	else
		r->tried |= bit;
	pool_end(&r->client->pool, &r->turn, verdict, r->load);
}

/* ---- all attempts ---- */

/* Servers may have moved: their names and address files are asked again, once a call. */
static bool look_up_again(struct run *r, const struct pool_outlook *o)
{
	if (r->has_looked || (o->has_nodes && !o->is_hopeless))
		return false;
	r->has_looked = true;
	return kf_ok(pool_resolve(&r->client->pool));
}

/* Servers that say they are busy are asked less and less often, and not by all clients at once. */
static uint64_t pause_ms(struct run *r)
{
	if (!kf_is(r->err, KF_E_BUSY))
		return ROUND_MS;
	uint64_t ms = (uint64_t)ROUND_MS
		      << (r->rounds < ROUND_DOUBLINGS ? r->rounds : ROUND_DOUBLINGS);
	uint8_t random = r->request_id[r->rounds++ % sizeof(r->request_id)];
	return ms / 2 + ms * random / 510;
}

/* Nobody can be asked now.  False: and nobody will be. */
static bool wait_for_servers(struct run *r, const struct pool_outlook *o)
{
	uint64_t now = clock_monotonic_ns(), end = min64(r->deadline_ns, r->patience_ns);
	r->tried = 0;
	if (look_up_again(r, o))
		return true;
	bool is_vain = o->is_hopeless && !r->is_sent && o->retry_at_ns > now;
	if (!o->has_nodes || is_vain || now >= end)
		return false;
	uint64_t round = in_ms(now, (int64_t)pause_ms(r));
	bool is_soon = o->retry_at_ns > now && o->retry_at_ns < round;
	sleep_until(min64(end, is_soon ? o->retry_at_ns : round));
	return true;
}

static kf_err give_up(struct run *r, kf_err err)
{
	if (r->is_sent && r->repeat != REPEAT_FREELY)
		return kf_fail(OUTCOME_UNKNOWN, "sent, but no answer came");
	return err;
}

/* Nobody could even be tried: which servers were meant? */
static void say_whom(struct run *r)
{
	const struct conf_list *servers = &r->client->fleet.settings.servers;
	snprintf(r->report.message, sizeof(r->report.message),
		"no key server is known or up (servers = %.120s%s); is keyfleetd "
		"running?",
		servers->n ? servers->item[0] : "", servers->n > 1 ? " ..." : "");
}

static kf_err out_of_servers(struct run *r)
{
	if (!r->report.message[0])
		say_whom(r);
	if (clock_monotonic_ns() >= r->deadline_ns)
		return give_up(r, kf_fail(TIMEOUT, "deadline has passed"));
	return give_up(r, kf_is(r->err, KF_E_BUSY) || kmip_limit_of(r->err.code)
				  ? r->err
				  : kf_fail(UNAVAILABLE, "no server can be reached"));
}

static kf_err run(struct run *r)
{
	while (clock_monotonic_ns() < r->deadline_ns) {
		struct pool_outlook outlook;
		if (pool_begin(
			    &r->client->pool, r->tried | r->barred, &r->turn, &outlook))
			take_turn(r);
		else if (r->was_over_limit || !wait_for_servers(r, &outlook))
			return out_of_servers(r);
		if (r->is_settled)
			return r->err;
	}
	return give_up(r, kf_fail(TIMEOUT, "deadline has passed"));
}

/* Not only the server that was tried last. */
static kf_err run_and_say_why(struct run *r)
{
	kf_err err = run(r);
	if ((kf_is(err, KF_E_UNAVAILABLE) || kf_is(err, KF_E_TIMEOUT)) &&
		!r->report.version)
		pool_say_why(
			&r->client->pool, r->report.message, sizeof(r->report.message));
	return err;
}

static kf_err make_request_id(struct run *r)
{
	const uint8_t *given = r->q->options->request_id;
	if (given)
		memcpy(r->request_id, given, sizeof(r->request_id));
	else if (getrandom(r->request_id, sizeof(r->request_id), 0) !=
		 sizeof(r->request_id))
		return kf_fail(INTERNAL, "no random numbers");
	return KF_OK;
}

kf_err client_run(struct kf_client *c, const struct call *q, uint16_t *ret_version)
{
	struct run r = { .client = c,
		.q = q,
		.repeat = q->options->is_once ? REPEAT_NEVER : repeat_of(q->operation) };
	const struct settings *s = &c->fleet.settings;
	uint64_t now = clock_monotonic_ns();
	if (q->options->server)
		r.barred = ~(1ULL << ((q->options->server - 1) % NODES_MAX));
	r.deadline_ns = in_ms(
		now, q->options->timeout_ms ? q->options->timeout_ms : s->timeout_ms);
	r.patience_ns = in_ms(now, s->patience_ms);
	kf_err err = make_request_id(&r);
	if (kf_ok(err))
		err = c->local ? client_run_agent(c, q, &r.report) : run_and_say_why(&r);
	if (q->options->report)
		*q->options->report = r.report;
	KF_TRY(err);
	*ret_version = r.report.version;
	return buf_err(q->ret);
}

/* ---- raw calls ---- */

static kf_err put_raw(struct ttlv_writer *w, const void *request)
{
	const struct slice *payload = request;
	ttlv_put_items(w, *payload);
	return ttlv_written(w);
}

kf_err client_call(struct kf_client *c, uint32_t operation, struct slice payload,
	const struct call_options *options, struct buf *ret)
{
	static const struct call_options none;
	struct call q = { operation, put_raw, &payload, options ? options : &none, ret };
	uint16_t version;
	return client_run(c, &q, &version);
}
