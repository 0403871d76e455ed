/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/tokens.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "keyfleetd/conf.h"
#include "keyfleetd/refused.h"
#include <stdlib.h>
#include <string.h>

enum { START_WAIT_MS = 10000, LOOK_MS = 1000, PIN_FILE_MAX = 256 };

/* What was logged last of a token. */
struct seen {
	char serial[TOKEN_SERIAL_SIZE], place[TOKEN_PLACE_SIZE];
	enum pool_token_state state;
};

struct tokens {
	struct pools *pools;
	struct refused *refused;
	size_t n;
	struct pool_conf
		conf[POOLS_MAX]; /* texts: name[] and the daemon's configuration */
	char *name[POOLS_MAX];
	struct token_pin *pin[POOLS_MAX];
	struct pool_refusal *refusing[POOLS_MAX];
	struct loop *loop;
	struct loop_timer look;
	size_t seen_n;
	struct seen seen[POOLS_MAX * POOL_TOKENS_MAX];
};

struct pools *tokens_pools(struct tokens *t) { return t ? t->pools : NULL; }

/* ---- opening ---- */

static bool is_blank(uint8_t c)
{
	return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

/* The first line's worth: editors end files with a newline. */
static kf_err read_pin(const char *path, struct buf *why, struct token_pin *ret)
{
	autobuf text = buf_new(PIN_FILE_MAX);
	KF_TRY(conf_read_secret(path, &text, why));
	size_t n = text.n;
	while (n && is_blank(text.p[n - 1]))
		n--;
	if (n == 0 || n > TOKEN_PIN_MAX) {
		buf_printf(
			why, "%s: holds no PIN of 1 to %d bytes\n", path, TOKEN_PIN_MAX);
		return kf_fail(CONFIG, "no PIN in the file");
	}
	memcpy(ret->bytes, text.p, n);
	ret->n = n;
	return KF_OK;
}

static kf_err open_pin(
	const struct pool_options *o, struct buf *why, struct token_pin **ret)
{
	if (!o->pin)
		return KF_OK;
	struct token_pin *pin = secret_alloc(sizeof(*pin));
	if (!pin)
		return kf_fail(NOMEM, "locked memory for a PIN; raise secret_memory");
	*ret = pin; /* freed with the rest */
	return read_pin(o->pin, why, pin);
}

static const struct token_driver *driver_of(const struct pool_options *o)
{
	return o->driver == CONF_DRIVER_PKCS11 ? &pkcs11_driver : &schsm_driver;
}

static void remember(void *arg, struct pools *pools)
{
	const struct tokens *t = arg;
	refused_keep(t->refused, pools);
}

static kf_err describe(struct tokens *t, const struct pool_options *o, struct buf *why)
{
	size_t i = t->n++;
	t->name[i] = strdup(o->name);
	if (!t->name[i])
		return kf_fail(NOMEM, "pools");
	KF_TRY(open_pin(o, why, &t->pin[i]));
	t->refusing[i] = calloc(POOL_REFUSALS_MAX, sizeof(*t->refusing[i]));
	if (!t->refusing[i])
		return kf_fail(NOMEM, "pools");
	t->conf[i] = (struct pool_conf){
		.name = t->name[i],
		.driver = driver_of(o),
		.source = { .module = o->module },
		.sockets = (const char *const *)o->socket.item,
		.sockets_n = o->socket.n,
		.tokens = (const char *const *)o->tokens.item,
		.tokens_n = o->tokens.n,
		.pin = t->pin[i],
		.refused = t->refusing[i],
		.refused_n = refused_of(
			t->refused, t->pin[i], t->refusing[i], POOL_REFUSALS_MAX),
		.remember = remember,
		.remember_arg = t,
		.queue = (unsigned)o->queue,
		.timeout_ms = (unsigned)o->timeout_ms,
		.is_read_only = o->is_read_only,
		.overflow_ms = o->overflow == CONF_OVERFLOW_SOFTWARE
				       ? (unsigned)o->overflow_wait_ms
				       : 0,
	};
	return KF_OK;
}

static kf_err open_all(struct tokens *t, const struct conf *c,
	const struct keyring *keyring, struct buf *why)
{
	KF_TRY(refused_open(c->seen, keyring, &t->refused));
	for (size_t i = 0; i < c->pools.n; i++)
		KF_TRY(describe(t, config_pool(c, i), why));
	KF_TRY(pools_open(t->conf, t->n, &t->pools));
	if (!kf_ok(pools_wait(t->pools, START_WAIT_MS)))
		log_warn("some tokens are not ready yet");
	refused_keep(t->refused, t->pools);
	return KF_OK;
}

kf_err tokens_open(const struct conf *c, const struct keyring *keyring, struct buf *why,
	struct tokens **ret)
{
	if (c->pools.n == 0)
		return KF_OK;
	struct tokens *t = calloc(1, sizeof(*t));
	if (!t)
		return kf_fail(NOMEM, "pools");
	kf_err e = open_all(t, c, keyring, why);
	if (kf_ok(e))
		*ret = t;
	else
		tokens_close(t);
	return e;
}

void tokens_close(struct tokens *t)
{
	if (!t)
		return;
	if (t->loop)
		loop_disarm(t->loop, &t->look);
	if (t->pools)
		refused_keep(t->refused, t->pools);
	pools_close(t->pools);
	for (size_t i = 0; i < t->n; i++) {
		secret_free(t->pin[i]);
		free(t->refusing[i]);
		free(t->name[i]);
	}
	refused_free(t->refused);
	free(t);
}

void tokens_check(const struct conf *c, struct buf *problems)
{
	for (size_t i = 0; i < c->pools.n; i++) {
		struct token_pin pin = { 0 };
		const struct pool_options *o = config_pool(c, i);
		kf_err e = o->pin ? read_pin(o->pin, problems, &pin) : KF_OK;
		(void)e; /* said so */
		explicit_bzero(&pin, sizeof(pin));
	}
}

/* ---- what they do ---- */

struct pool_token_status *tokens_list(struct tokens *t, size_t *ret_n)
{
	enum { SLACK = 8 }; /* plugged in meanwhile */
	*ret_n = 0;
	if (!t)
		return NULL;
	size_t room = pool_tokens(t->pools, NULL, 0) + SLACK;
	struct pool_token_status *rows = calloc(room, sizeof(*rows));
	if (!rows)
		return NULL;
	size_t n = pool_tokens(t->pools, rows, room);
	*ret_n = n < room ? n : room;
	return rows;
}

size_t tokens_totals(struct tokens *t, struct pool_totals *ret, size_t n)
{
	size_t rows_n = 0;
	CLEANUP(mem_freep) struct pool_token_status *rows = tokens_list(t, &rows_n);
	for (size_t i = 0; t && i < t->n && i < n; i++) {
		ret[i] = (struct pool_totals){ .name = t->name[i],
			.queue = t->conf[i].queue,
			.is_read_only = t->conf[i].is_read_only,
			.overflow_ms = t->conf[i].overflow_ms,
			.waiting = pool_waiting(t->pools, t->name[i]) };
		for (size_t k = 0; k < rows_n; k++) {
			if (strcmp(rows[k].pool, t->name[i]) != 0)
				continue;
			ret[i].tokens++;
			ret[i].serving += rows[k].state == POOL_TOKEN_SERVING;
		}
	}
	return t ? t->n : 0;
}

void tokens_status(struct tokens *t, struct buf *ret)
{
	struct pool_totals totals[POOLS_MAX];
	size_t n = tokens_totals(t, totals, POOLS_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct pool_totals *p = &totals[i];
		buf_printf(ret, "pool.%s.tokens=%u\n", p->name, p->tokens);
		buf_printf(ret, "pool.%s.serving=%u\n", p->name, p->serving);
		buf_printf(ret, "pool.%s.waiting=%u\n", p->name, p->waiting);
		buf_printf(ret, "pool.%s.read-only=%s\n", p->name,
			p->is_read_only ? "yes" : "no");
		buf_printf(ret, "pool.%s.overflow=%s\n", p->name,
			p->overflow_ms ? "software" : "never");
	}
}

/* ---- the log ---- */

static struct seen *seen_of(struct tokens *t, const struct pool_token_status *s)
{
	for (size_t i = 0; i < t->seen_n; i++)
		if (!strcmp(t->seen[i].serial, s->facts.serial) &&
			(s->facts.serial[0] || !strcmp(t->seen[i].place, s->place)))
			return &t->seen[i];
	if (t->seen_n == sizeof(t->seen) / sizeof(t->seen[0]))
		return NULL;
	struct seen *new = &t->seen[t->seen_n++];
	memcpy(new->serial, s->facts.serial, sizeof(new->serial));
	memcpy(new->place, s->place, sizeof(new->place));
	new->state = POOL_TOKEN_STATES; /* nothing was logged yet */
	return new;
}

static void tell(const struct pool_token_status *s)
{
	const char *state = pool_token_state_text(s->state);
	bool is_fine = s->state == POOL_TOKEN_SERVING || s->state == POOL_TOKEN_STARTING;
	if (is_fine || s->state == POOL_TOKEN_DRAINED)
		log_notice("token", LOG_TEXT("pool", s->pool),
			LOG_TEXT("serial", s->facts.serial), LOG_TEXT("state", state),
			LOG_NUM("keys", s->keys));
	else
		log_warn("token", LOG_TEXT("pool", s->pool),
			LOG_TEXT("serial", s->facts.serial), LOG_TEXT("state", state),
			LOG_TEXT("place", s->place), LOG_TEXT("why", s->why));
}

static void look(struct tokens *t)
{
	size_t n = 0;
	CLEANUP(mem_freep) struct pool_token_status *rows = tokens_list(t, &n);
	for (size_t i = 0; i < n; i++) {
		struct seen *seen = seen_of(t, &rows[i]);
		if (!seen || seen->state == rows[i].state)
			continue;
		seen->state = rows[i].state;
		tell(&rows[i]);
	}
}

static void looked(struct loop_timer *timer)
{
	struct tokens *t = container_of(timer, struct tokens, look);
	look(t);
	refused_keep(t->refused, t->pools);
	kf_err e = loop_arm(
		t->loop, timer, clock_monotonic_ns() + (uint64_t)LOOK_MS * 1000000);
	if (!kf_ok(e))
		log_err(e, "tokens are not watched any more");
}

void tokens_watch(struct tokens *t, struct loop *loop)
{
	if (!t)
		return;
	t->loop = loop;
	t->look.expired = looked;
	looked(&t->look);
}
