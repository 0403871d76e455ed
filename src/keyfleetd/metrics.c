/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/metrics.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypt/keygen.h"
#include "keyfleetd/req.h"
#include "keyfleetd/server.h"
#include "keyfleetd/tokens.h"
#include "metric/process.h"
#include "op/authority.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- labels ---- */

static const char *operation_name(size_t i)
{
	const struct op *op = op_each(i);
	return op ? op->name : "unknown";
}

static const char *class_name(size_t i)
{
	static const char *const names[] = { "admin", "owner", "granted", "everybody",
		"denied" };
	return names[i];
}

static const char *stage_name(size_t i)
{
	static const char *const names[] = { "queue", "token", "audit", "store", "send" };
	return names[i];
}

static const char *token_name(size_t i) { return i == TOKEN_POOL ? "pool" : "soft"; }

static const char *algorithm_name(size_t i)
{
	return i < ALG_COUNT ? alg_get((enum alg_id)i)->name : "aes";
}

static const char *handshake_name(size_t i)
{
	static const char *const names[] = { "full", "resumed", "timeout", "gone",
		"certificate", "refused", "protocol", "stranger", "limit", "key" };
	return names[i];
}

static const char *refusal_name(size_t i)
{
	static const char *const names[] = { "draining", "full", "untrusted", "memory" };
	return names[i];
}

static const char *limit_name(size_t i)
{
	static const char *const names[] = { "client_rate", "client_requests",
		"grant_rate", "grant_requests" };
	return names[i];
}

static const char *overflow_name(size_t i)
{
	static const char *const names[] = { "wait", "no-token", "failed" };
	return names[i];
}

static const char *direction_name(size_t i) { return i ? "out" : "in"; }

/* NULL: a request whose operation is not known. */
static size_t operation_of(const struct op *op)
{
	return op ? (size_t)(op - op_each(0)) : OPERATIONS;
}

/* ---- counting ---- */

kf_err metrics_new(struct metrics **ret)
{
	struct metrics *m = aligned_alloc(alignof(struct metrics), sizeof(*m));
	if (!m)
		return kf_fail(NOMEM, "metrics");
	memset(m, 0, sizeof(*m));
	*ret = m;
	return KF_OK;
}

void metrics_free(struct metrics *m) { free(m); }

static enum metric_class class_of(const struct req *r)
{
	const char *rule = r->call.decision.rule;
	if (!r->call.decision.is_allowed || !rule)
		return CLASS_DENIED;
	if (r->who.is_admin)
		return CLASS_ADMIN;
	if (rule[0] == 'o' && strcmp(rule, "owner") == 0)
		return CLASS_OWNER;
	if (rule[0] == 'e' && strcmp(rule, "everybody") == 0)
		return CLASS_EVERYBODY;
	return CLASS_GRANTED;
}

void metrics_count_answer(const struct req *r)
{
	struct metrics *m = r->io->metrics;
	size_t operation = operation_of(r->call.op);
	enum metric_result result = metric_result_of(r->err.code);
	uint64_t took = io_latest_ns(r->io) - r->arrived_ns;
	count_add(&m->requests[operation][result], 1);
	count_add(&m->classes[class_of(r)][result], 1);
	if (took) {
		histogram_add(&m->request[operation], took, 1);
		return;
	}
	m->quick_mask |= 1ULL << operation;
	m->quick[operation]++;
}

void metrics_count_quick(struct metrics *m, uint64_t took_ns)
{
	while (m->quick_mask) {
		int operation = __builtin_ctzll(m->quick_mask);
		histogram_add(&m->request[operation], took_ns, m->quick[operation]);
		m->quick[operation] = 0;
		m->quick_mask &= m->quick_mask - 1;
	}
}

void metrics_count_second(struct metrics *m)
{
	const struct histogram *sign =
		&m->request[operation_of(op_find(KMIP_OPERATION_SIGN))];
	uint64_t all = 0;
	for (size_t i = 0; i <= OPERATIONS; i++)
		for (size_t j = 0; j < METRIC_RESULTS; j++)
			all += count_get(&m->requests[i][j]);
	count_set(&m->per_second, all - m->until_now);
	m->until_now = all;
	if (m->seconds++ % RECENT_S == 0) {
		histogram_copy(&m->sign_before[1], &m->sign_before[0]);
		histogram_copy(&m->sign_before[0], sign);
	}
}

void server_pace(const struct server *s, struct server_pace *ret)
{
	struct metric_sums sums = { 0 };
	size_t sign = operation_of(op_find(KMIP_OPERATION_SIGN));
	*ret = (struct server_pace){ 0 };
	for (unsigned i = 0; i < s->ios; i++) {
		const struct metrics *m = s->io[i]->metrics;
		ret->requests_per_s += count_get(&m->per_second);
		metric_sum(&sums, &m->request[sign], &m->sign_before[1]);
	}
	ret->sign = metric_summarise(&sums);
}

uint64_t server_overflows(const struct server *s)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < s->ios; i++)
		for (size_t j = 0; j < OVERFLOWS; j++)
			sum += count_get(&s->io[i]->metrics->overflows[j]);
	return sum;
}

void metrics_count_work(struct req *r)
{
	struct metrics *m = r->io->metrics;
	uint64_t away = loop_now_ns(r->io->loop) - r->waits_ns;
	uint64_t worked = r->worked_ns < away ? r->worked_ns : away;
	histogram_add(&m->stage[STAGE_QUEUE], away - worked, 1);
	histogram_add(&m->stage[STAGE_TOKEN], worked, 1);
	if (!r->is_job)
		return;
	bool is_signature = r->call.op->code != KMIP_OPERATION_DECRYPT;
	const struct token_key *key =
		is_signature ? r->call.job.key : r->call.decrypt.key;
	histogram_add(&m->token[TOKEN_SOFT][key->alg->id], worked, 1);
	count_add(&m->tokens[TOKEN_SOFT][key->alg->id], 1);
	if (!kf_ok(is_signature ? r->call.job.err : r->call.decrypt.err))
		count_add(&m->token_errors[TOKEN_SOFT], 1);
}

void metrics_count_pool_job(struct req *r)
{
	struct metrics *m = r->io->metrics;
	const struct pool_job *j = &r->job;
	const struct token_key *key = j->sign      ? j->sign->key
				      : j->decrypt ? j->decrypt->key
						   : j->use->key;
	histogram_add(&m->stage[STAGE_QUEUE], j->waited_ns, 1);
	histogram_add(&m->stage[STAGE_TOKEN], j->worked_ns, 1);
	histogram_add(&m->token[TOKEN_POOL][key->alg->id], j->worked_ns, 1);
	count_add(&m->tokens[TOKEN_POOL][key->alg->id], 1);
	if (!kf_ok(j->sign ? j->sign->err : j->decrypt ? j->decrypt->err : j->use->err))
		count_add(&m->token_errors[TOKEN_POOL], 1);
}

void metrics_count_overflow(struct req *r, kf_err why)
{
	enum metric_overflow reason = kf_is(why, KF_E_BUSY)          ? OVERFLOW_WAIT
				      : kf_is(why, KF_E_UNAVAILABLE) ? OVERFLOW_TOKENS
								     : OVERFLOW_FAILED;
	count_add(&r->io->metrics->overflows[reason], 1);
}

/* ---- what is asked when somebody prints ---- */

static struct server *server_of(const struct metric_out *o) { return metric_arg(o); }
static void put(struct metric_out *o, double value) { metric_put(o, value, NULL, NULL); }

static void read_connections(struct metric_out *o)
{
	put(o, atomic_load(&server_of(o)->connections));
}

static void read_up(struct metric_out *o) { put(o, server_is_up(server_of(o))); }
static void read_draining(struct metric_out *o)
{
	put(o, atomic_load(&server_of(o)->is_draining));
}
static void read_load(struct metric_out *o) { put(o, server_load(server_of(o)) / 1e4); }
static void read_loops(struct metric_out *o) { put(o, server_of(o)->ios); }
static void read_workers(struct metric_out *o)
{
	put(o, (double)workers_queued(server_of(o)->workers));
}

#define READ_POOL(what, member)                                                          \
	static void read_pool_##what(struct metric_out *o)                               \
	{                                                                                \
		struct pool_totals totals[POOLS_MAX];                                    \
		size_t n = tokens_totals(server_of(o)->tokens, totals, POOLS_MAX);       \
		for (size_t i = 0; i < n; i++)                                           \
			metric_put(o, totals[i].member, totals[i].name, NULL);           \
	}
READ_POOL(tokens, tokens)
READ_POOL(serving, serving)
READ_POOL(waiting, waiting)
READ_POOL(queue, queue)

static void read_token_up(struct metric_out *o)
{
	struct pool_totals totals[POOLS_MAX];
	size_t n = tokens_totals(server_of(o)->tokens, totals, POOLS_MAX);
	unsigned serving = 0;
	for (size_t i = 0; i < n; i++)
		serving += totals[i].serving;
	metric_put(o, 1, "soft", NULL);
	if (n)
		metric_put(o, serving > 0, "pool", NULL);
}

/* Tokens whose serial number is not known yet are told of by their pool's numbers only. */
static void each_token(struct metric_out *o,
	void (*put_one)(struct metric_out *o, const struct pool_token_status *s))
{
	size_t n = 0;
	CLEANUP(mem_freep)
	struct pool_token_status *rows = tokens_list(server_of(o)->tokens, &n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].facts.serial[0])
			put_one(o, &rows[i]);
}

static void put_state(struct metric_out *o, const struct pool_token_status *s)
{
	metric_put(o, 1, s->facts.serial, pool_token_state_text(s->state));
}

static void read_pool_state(struct metric_out *o) { each_token(o, put_state); }

#define READ_TOKEN(what, value)                                                          \
	static void put_##what(struct metric_out *o, const struct pool_token_status *s)  \
	{                                                                                \
		metric_put(o, (double)(value), s->facts.serial, NULL);                   \
	}                                                                                \
	static void read_pool_##what(struct metric_out *o) { each_token(o, put_##what); }
READ_TOKEN(tries, s->facts.pin_tries)
READ_TOKEN(keys, s->keys)
READ_TOKEN(problems, s->keys_with_problems)
READ_TOKEN(signatures, s->signatures)
READ_TOKEN(decryptions, s->decryptions)
READ_TOKEN(failures, s->failures)
READ_TOKEN(wrong, s->wrong_signatures)
READ_TOKEN(ejections, s->ejections)
READ_TOKEN(busy, (double)s->busy_ns / 1e9)
READ_TOKEN(service, (double)s->service_ns / 1e9)

#define READ_STORE(what, member)                                                         \
	static void read_##what(struct metric_out *o)                                    \
	{                                                                                \
		struct store_status status;                                              \
		store_status(server_of(o)->store, &status);                              \
		put(o, (double)status.member);                                           \
	}
READ_STORE(reachable, is_reachable)
READ_STORE(writable, is_writable)
READ_STORE(rolled_back, is_rolled_back)
READ_STORE(objects, objects)
READ_STORE(tampered, tampered)
READ_STORE(old_keys, old_master_keys)
READ_STORE(commits, commits)
READ_STORE(changes, changes)
READ_STORE(store_queue, queued)

#define READ_RIGHTS(what)                                                                \
	static void read_##what(struct metric_out *o)                                    \
	{                                                                                \
		put(o, (double)catalog_rights(server_of(o)->op.catalog)->what);          \
	}
READ_RIGHTS(clients)
READ_RIGHTS(grants)

#define READ_AUDIT(what, member)                                                         \
	static void read_##what(struct metric_out *o)                                    \
	{                                                                                \
		struct audit_status status;                                              \
		audit_status(server_of(o)->audit, &status);                              \
		put(o, (double)status.member);                                           \
	}
READ_AUDIT(audit_up, is_healthy)
READ_AUDIT(records, records)
READ_AUDIT(syncs, syncs)
READ_AUDIT(reserve, reserve_bytes)
READ_AUDIT(intact, is_intact)
READ_AUDIT(checkpoints, checkpoints)
READ_AUDIT(exported, exported)
READ_AUDIT(export_lost, export_lost)

static void read_synced(struct metric_out *o)
{
	struct audit_status status;
	audit_status(server_of(o)->audit, &status);
	put(o, (double)(clock_monotonic_ns() - status.synced_ns) / 1e9);
}

static void read_segment(struct metric_out *o)
{
	put(o, (double)server_of(o)->audit_segment);
}

static void put_expiry(struct metric_out *o, const char *certificate, int64_t at_s)
{
	if (at_s)
		metric_put(o, (double)at_s, certificate, NULL);
}

static void read_expiry(struct metric_out *o)
{
	struct tls_expiry ends;
	tls_context_expiry(server_of(o)->gate->tls, &ends);
	put_expiry(o, "server", ends.certificate_s);
	put_expiry(o, "ca", ends.authority_s);
	put_expiry(o, "crl", ends.revoked_s);
	const struct op_server *server = &server_of(o)->op;
	for (size_t i = 0; i < server->authorities_n; i++) {
		char name[AUTHORITY_NAME_SIZE + 4];
		snprintf(name, sizeof(name), "ca:%s", server->authorities[i].name);
		put_expiry(o, name, issue_ca_not_after(server->authorities[i].ca));
	}
}

static void read_authority(struct metric_out *o)
{
	const struct op_server *server = &server_of(o)->op;
	for (size_t i = 0; i < server->authorities_n; i++) {
		const struct authority *a = &server->authorities[i];
		metric_put(o, 1, a->name,
			authority_state_word(authority_state(
				a, authority_key(server, a), clock_wall_s())));
	}
}

static void read_secret(struct metric_out *o)
{
	metric_put(o, (double)secret_use().used, "arena", NULL);
	metric_put(o, (double)(crypt_heap_size() - crypt_room()), "heap", NULL);
}

static void read_secret_max(struct metric_out *o)
{
	metric_put(o, (double)secret_use().size, "arena", NULL);
	metric_put(o, (double)crypt_heap_size(), "heap", NULL);
}

static void read_build_info(struct metric_out *o)
{
	metric_put(o, 1, "keyfleetd", KEYFLEET_VERSION);
}

/* ---- the table ---- */

#define LABEL(id, name_, n_, value_)                                                     \
	static const struct metric_label label_##id = { name_, n_, value_ };
#include "keyfleetd/metric.def"

#define METRIC_BLOCK struct metrics
/* clang-format off */
static const struct metric_row rows[] = {
#include "metric/rows.def"
#include "keyfleetd/metric.def"
};
/* clang-format on */

static const struct metric_table table = { rows, sizeof(rows) / sizeof(rows[0]) };

void metrics_manual(struct buf *to) { metric_print_manual(&table, to); }

void server_metrics(struct server *s, enum metric_format f, struct buf *ret)
{
	CLEANUP(mem_freep) const void **block = calloc(s->ios + 1, sizeof(*block));
	if (!block) {
		ret->err =
			kf_fail(NOMEM, "metrics"); /* an empty page would be believed */
		return;
	}
	for (unsigned i = 0; i < s->ios; i++)
		block[i] = s->io[i]->metrics;
	block[s->ios] = s->metrics;
	struct metric_source source = { &table, block, s->ios + 1, s };
	epoch_online(s->health_reader); /* the rights of the catalog are read */
	metric_print(&source, f, ret);
	epoch_offline(s->health_reader);
}
