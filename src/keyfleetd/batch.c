/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/batch.h"
#include "base/clock.h"
#include "keyfleetd/io.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/req.h"

enum { PIECE_MAX = 32, ESTIMATE_NS = 250000 };

kf_err batch_init(struct batch *b)
{
	*b = (struct batch){ 0 };
	list_init(&b->queue);
	for (int i = 0; i < ALG_COUNT; i++)
		b->estimate_ns[i] = ESTIMATE_NS;
	return soft_open(&b->token);
}

void batch_clear(struct batch *b) { soft_close(b->token); }

void batch_add(struct batch *b, struct req *r)
{
	list_add_tail(&b->queue, &r->run);
	b->n++;
}

static const struct alg *alg_of(const struct req *r)
{
	return r->next == OP_SIGN ? r->call.job.key->alg : r->call.decrypt.key->alg;
}

static struct req *first(const struct batch *b)
{
	return container_of(b->queue.next, struct req, run);
}

uint64_t batch_first_ticket(const struct batch *b)
{
	return list_is_empty(&b->queue) ? 0 : first(b)->ticket;
}

/* Takes requests from the front: of one algorithm, as many as the budget allows, one at least. */
static size_t cut_piece(struct batch *b, struct req **piece, uint64_t budget_ns)
{
	const struct alg *alg = alg_of(first(b));
	enum op_next kind = first(b)->next;
	uint64_t each = b->estimate_ns[alg->id];
	size_t n = 0;
	while (n < PIECE_MAX && !list_is_empty(&b->queue)) {
		struct req *r = first(b);
		if (alg_of(r) != alg || r->next != kind ||
			(n && (n * each >= budget_ns || req_is_late(r))))
			break;
		list_remove(&r->run);
		piece[n++] = r;
	}
	b->n -= n;
	return n;
}

static void compute(struct batch *b, struct req *const *piece, size_t n)
{
	struct sign_job *job[PIECE_MAX];
	if (piece[0]->next == OP_DECRYPT) {
		for (size_t i = 0; i < n; i++)
			soft_decrypt(b->token, &piece[i]->call.decrypt);
		return;
	}
	for (size_t i = 0; i < n; i++)
		job[i] = &piece[i]->call.job;
	soft_sign(b->token, job, n);
}

static void drop_late(struct batch *b)
{
	while (!list_is_empty(&b->queue) && req_is_late(first(b))) {
		struct req *r = first(b);
		list_remove(&r->run);
		b->n--;
		req_fail_late(r);
	}
}

static bool has_failed(const struct req *r)
{
	return !kf_ok(r->next == OP_SIGN ? r->call.job.err : r->call.decrypt.err);
}

/* Each is said to have taken an equal part. */
static void count_piece(
	struct req *const *piece, size_t n, uint64_t began_ns, uint64_t took_ns)
{
	struct io *io = piece[0]->io;
	struct metrics *m = io->metrics;
	enum alg_id alg = alg_of(piece[0])->id;
	io->latest_ns = began_ns + took_ns;
	metrics_count_quick(m, began_ns - loop_now_ns(io->loop));
	for (size_t i = 0; i < n; i++) {
		histogram_add(&m->stage[STAGE_QUEUE], began_ns - piece[i]->waits_ns, 1);
		if (has_failed(piece[i]))
			count_add(&m->token_errors[TOKEN_SOFT], 1);
	}
	histogram_add(&m->stage[STAGE_TOKEN], took_ns / n, n);
	histogram_add(&m->token[TOKEN_SOFT][alg], took_ns / n, n);
	count_add(&m->tokens[TOKEN_SOFT][alg], n);
}

uint64_t batch_step(struct batch *b, uint64_t budget_ns)
{
	struct req *piece[PIECE_MAX];
	drop_late(b);
	if (list_is_empty(&b->queue))
		return 0;
	enum alg_id id = alg_of(first(b))->id;
	size_t n = cut_piece(b, piece, budget_ns);

	uint64_t begin = clock_monotonic_ns();
	compute(b, piece, n);
	uint64_t took = clock_monotonic_ns() - begin;

	count_piece(piece, n, begin, took);
	b->estimate_ns[id] = (7 * b->estimate_ns[id] + took / n) / 8;
	for (size_t i = 0; i < n; i++) {
		piece[i]->next = OP_ANSWER;
		req_resume(piece[i]);
	}
	return took ? took : 1;
}
