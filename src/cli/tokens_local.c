/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens_local: tokens that are plugged in here, without a key server.
 */
#include "base/mem.h"
#include "cli/tokens.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPERATION_MS = 60000, WAIT_MS = 60000, QUEUE = 16, KEYS_MAX = 4096 };

static const char pool_name[] = "local";

/* The bar of what tokens do; a thread draws it again and again, for one of them may work for minutes. */
struct bar {
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t over;
	pthread_t thread;
	bool has_thread, is_over, is_busy;
	double part;
	struct progress progress;
};

struct local {
	struct tokens base;
	struct pools *pools;
	struct token_pin *pin;
	struct provision provision;
	struct bar bar;
};

static struct local *local_of(struct tokens *t)
{
	return (struct local *)(void *)t; /* base comes first */
}

/* ---- progress ---- */

static void show(void *arg, const char *task, size_t done, size_t of)
{
	struct local *l = arg;
	struct bar *b = &l->bar;
	pthread_mutex_lock(&b->lock);
	if (done == 0)
		b->progress = progress_start(task);
	b->part = (double)done / (double)of;
	b->is_busy = done < of;
	if (!b->is_busy)
		progress_done(&b->progress, l->base.cli);
	pthread_mutex_unlock(&b->lock);
}

static void *draw(void *arg)
{
	struct local *l = arg;
	struct bar *b = &l->bar;
	pthread_mutex_lock(&b->lock);
	while (!b->is_over) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&b->over, &b->lock, &until);
		if (b->is_busy && !b->is_over)
			progress_show(&b->progress, l->base.cli, b->part);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static void bar_open(struct local *l)
{
	pthread_mutex_init(&l->bar.lock, NULL);
	pthread_cond_init(&l->bar.over, NULL);
	l->bar.has_thread = !l->base.cli->is_quiet && isatty(STDERR_FILENO) &&
			    !pthread_create(&l->bar.thread, NULL, draw, l);
}

static void bar_close(struct bar *b)
{
	pthread_mutex_lock(&b->lock);
	b->is_over = true;
	pthread_cond_signal(&b->over);
	pthread_mutex_unlock(&b->lock);
	if (b->has_thread)
		pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->over);
	pthread_mutex_destroy(&b->lock);
}

/* ---- keys by what people call them ---- */

static kf_err read_keys(struct local *l, struct pool_key_status **ret, size_t *ret_n)
{
	struct pool_key_status *keys = calloc(KEYS_MAX, sizeof(*keys));
	if (!keys)
		return kf_fail(NOMEM, "no memory for a list of keys");
	size_t n = pool_keys(l->pools, pool_name, keys, KEYS_MAX);
	*ret = keys;
	*ret_n = n < KEYS_MAX ? n : KEYS_MAX;
	return KF_OK;
}

static void put_hex(const uint8_t *p, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 2 * i, 3, "%02x", p[i]);
}

/* Its label, or eight or more digits of its key id. */
static bool is_called(const struct pool_key_status *k, const char *name)
{
	char hex[2 * KEY_ID_SIZE + 1];
	size_t n = strlen(name);
	put_hex(k->key_id, KEY_ID_SIZE, hex);
	return !strcmp(k->label, name) || (n >= 8 && !strncmp(hex, name, n));
}

static kf_err find_key(struct local *l, const char *name, uint8_t ret[KEY_ID_SIZE])
{
	CLEANUP(mem_freep) struct pool_key_status *keys = NULL;
	size_t n, found = 0;
	KF_TRY(read_keys(l, &keys, &n));
	for (size_t i = 0; i < n; i++)
		if (is_called(&keys[i], name)) {
			memcpy(ret, keys[i].key_id, KEY_ID_SIZE);
			found++;
		}
	if (found == 1)
		return KF_OK;
	cli_note(l->base.cli,
		found ? "%s: several keys have this label; name its key id"
		      : "%s: no token here holds such a key; `keyfleet token "
			"info --local` lists them",
		name);
	return found ? kf_fail(CONFLICT, "ambiguous") : kf_fail(NOT_FOUND, "no such key");
}

/* ---- looking ---- */

static kf_err list(struct tokens *t, struct token_line *ret, size_t max, size_t *ret_n)
{
	CLEANUP(mem_freep) struct pool_token_status *s = calloc(max, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	size_t n = pool_tokens(local_of(t)->pools, s, max);
	*ret_n = n < max ? n : max;
	for (size_t i = 0; i < *ret_n; i++)
		token_line_of_status(&s[i], &ret[i]);
	return KF_OK;
}

static void add_name(char *to, size_t size, const char *name)
{
	size_t n = strlen(to);
	snprintf(to + n, size - n, "%s%s", n ? " " : "", name);
}

static void see_key(struct local *l, const struct pool_key_status *s, struct key_line *k)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	*k = (struct key_line){ 0 };
	size_t n =
		pool_key_holders(l->pools, pool_name, s->key_id, holder, POOL_TOKENS_MAX);
	for (size_t i = 0; i < n && i < POOL_TOKENS_MAX; i++)
		add_name(k->holders, sizeof(k->holders), holder[i]);
	k->holders_n = (unsigned)n;
	memcpy(k->label, s->label, sizeof(k->label));
	snprintf(k->algorithm, sizeof(k->algorithm), "%s", s->alg->name);
	put_hex(s->key_id, KEY_ID_SIZE, k->key_id);
}

static kf_err keys(
	struct tokens *t, void (*see)(void *arg, const struct key_line *k), void *arg)
{
	struct local *l = local_of(t);
	CLEANUP(mem_freep) struct pool_key_status *all = NULL;
	CLEANUP(mem_freep) struct key_line *k = calloc(1, sizeof(*k));
	size_t n;
	if (!k)
		return kf_fail(NOMEM, "no memory for a key");
	KF_TRY(read_keys(l, &all, &n));
	for (size_t i = 0; i < n; i++) {
		see_key(l, &all[i], k);
		see(arg, k);
	}
	return KF_OK;
}

/* ---- doing ---- */

static kf_err serial_of(struct local *l, const char *name, char ret[TOKEN_SERIAL_SIZE])
{
	return tokens_error(l->base.cli, name, provision_find(&l->provision, name, ret));
}

static struct provision_targets targets_of(const struct token_names *n)
{
	return (struct provision_targets){ n->name, n->n };
}

static kf_err init(
	struct tokens *t, const char *name, const struct token_init *in, bool force)
{
	char serial[TOKEN_SERIAL_SIZE];
	KF_TRY(serial_of(local_of(t), name, serial));
	return provision_init(&local_of(t)->provision, serial, in, force);
}

static kf_err identify(struct tokens *t, const char *name)
{
	char serial[TOKEN_SERIAL_SIZE];
	KF_TRY(serial_of(local_of(t), name, serial));
	return provision_identify(&local_of(t)->provision, serial);
}

static kf_err change_pin(struct tokens *t, const char *name, const struct token_pin *old,
	const struct token_pin *new)
{
	char serial[TOKEN_SERIAL_SIZE];
	KF_TRY(serial_of(local_of(t), name, serial));
	return provision_change_pin(&local_of(t)->provision, serial, old, new);
}

static kf_err drain(struct tokens *t, const char *name, bool resume)
{
	(void)name;
	(void)resume;
	cli_note(t->cli,
		"drain and resume are for tokens of a key server: without --local");
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err import_shares(struct tokens *t, const struct token_names *to,
	const struct provision_shares *shares, struct provision_report *ret)
{
	const struct provision_targets targets = targets_of(to);
	return provision_import_shares(&local_of(t)->provision, &targets, shares, ret);
}

static kf_err clone_key(struct tokens *t, const char *key, const struct token_names *to,
	struct provision_report *ret)
{
	const struct provision_targets targets = targets_of(to);
	uint8_t id[KEY_ID_SIZE];
	KF_TRY(find_key(local_of(t), key, id));
	return provision_clone(&local_of(t)->provision, id, &targets, ret);
}

static kf_err erase(struct tokens *t, const char *key, const struct token_names *from,
	bool force, struct provision_report *ret)
{
	const struct provision_targets targets = targets_of(from);
	uint8_t id[KEY_ID_SIZE];
	KF_TRY(find_key(local_of(t), key, id));
	return provision_delete(&local_of(t)->provision, id, &targets, force, ret);
}

static kf_err backup(struct tokens *t, const char *key, struct buf *ret)
{
	uint8_t id[KEY_ID_SIZE];
	KF_TRY(find_key(local_of(t), key, id));
	return provision_backup(&local_of(t)->provision, id, ret);
}

static kf_err put_id(struct slice spki, struct buf *ret)
{
	uint8_t id[KEY_ID_SIZE];
	char hex[2 * KEY_ID_SIZE + 1];
	spki_id(spki, id);
	put_hex(id, KEY_ID_SIZE, hex);
	buf_add_text(ret, hex);
	return buf_err(ret);
}

static kf_err restore(struct tokens *t, const struct key_wish *wish, struct slice file,
	const struct token_names *to, struct buf *ret_id, struct provision_report *ret)
{
	const struct provision_targets targets = targets_of(to);
	autobuf spki = buf_new(SPKI_MAX);
	KF_TRY(provision_restore(
		&local_of(t)->provision, file, &targets, wish->copies, &spki, ret));
	return put_id(buf_slice(&spki), ret_id);
}

/* Labels are what people call keys here: a second one would make both ambiguous. */
static kf_err check_label(struct local *l, const char *name)
{
	CLEANUP(mem_freep) struct pool_key_status *all = NULL;
	size_t n;
	KF_TRY(read_keys(l, &all, &n));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].label, name))
			return kf_fail(NAME_NOT_UNIQUE, "a key with this label is on "
							"tokens already; `keyfleet key "
							"clone` makes copies of it");
	return KF_OK;
}

static kf_err create(struct tokens *t, const struct key_wish *wish, struct buf *ret_id,
	struct provision_report *ret)
{
	const struct provision_new_key in = {
		.key = { .alg = wish->alg,
			.label = wish->name,
			.may_leave = true,
			.may_decrypt = wish->alg->family == FAMILY_RSA },
		.serial = wish->token,
		.copies = wish->copies,
	};
	autobuf spki = buf_new(SPKI_MAX);
	KF_TRY(check_label(local_of(t), wish->name));
	kf_err e = provision_generate(&local_of(t)->provision, &in, &spki, ret);
	if (spki.n)
		KF_TRY(put_id(buf_slice(&spki), ret_id));
	return e;
}

static kf_err certificate(struct tokens *t, const char *key,
	enum token_certificate_kind kind, struct slice der, struct provision_report *ret)
{
	uint8_t id[KEY_ID_SIZE];
	KF_TRY(find_key(local_of(t), key, id));
	return provision_certificate(&local_of(t)->provision, id, kind, der, ret);
}

static kf_err drift(struct tokens *t, const struct provision_drift *in)
{
	return provision_drift(&local_of(t)->provision, in);
}

static void close_local(struct tokens *t)
{
	struct local *l = local_of(t);
	bar_close(&l->bar);
	pools_close(l->pools);
	secret_free(l->pin);
	free(l);
}

static const struct tokens_ops local_ops = {
	.list = list,
	.keys = keys,
	.init = init,
	.identify = identify,
	.drain = drain,
	.change_pin = change_pin,
	.import_shares = import_shares,
	.clone = clone_key,
	.erase = erase,
	.backup = backup,
	.restore = restore,
	.create = create,
	.certificate = certificate,
	.drift = drift,
	.close = close_local,
};

/* ---- open ---- */

static kf_err choose_driver(const struct cli *c, const struct tokens_options *o,
	const struct token_driver **ret)
{
	const char *name = o->driver ? o->driver : o->module ? "pkcs11" : "smartcard-hsm";
	static const struct token_driver *const drivers[] = { &schsm_driver,
		&pkcs11_driver };
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(drivers[i]->name, name))
			*ret = drivers[i];
	if (!*ret)
		cli_note(c, "--driver %s: there is smartcard-hsm and pkcs11", name);
	else if (*ret == &pkcs11_driver && !o->module)
		cli_note(c, "--driver pkcs11 needs --module FILE");
	else
		return KF_OK;
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err open_pool(struct local *l, const struct tokens_options *o)
{
	const struct token_driver *driver = NULL;
	KF_TRY(choose_driver(l->base.cli, o, &driver));
	const struct pool_conf conf = {
		.name = pool_name,
		.driver = driver,
		.source = { .module = o->module },
		.sockets = o->sockets.item,
		.sockets_n = o->sockets.n,
		.tokens = &l->base.options.token,
		.tokens_n = o->token ? 1 : 0,
		.pin = l->pin,
		.queue = QUEUE,
		.timeout_ms = OPERATION_MS,
	};
	KF_TRY(pools_open(&conf, 1, &l->pools));
	kf_err e = pools_wait(l->pools, WAIT_MS);
	if (kf_is(e, KF_E_TIMEOUT))
		cli_note(l->base.cli, "not every token answers; the others are used");
	*l->base.cli->has_told = false; /* of what goes wrong later */
	return kf_is(e, KF_E_TIMEOUT) ? KF_OK : e;
}

kf_err tokens_open_local(
	struct cli *c, const struct tokens_options *o, bool logs_in, struct tokens **ret)
{
	struct local *l = calloc(1, sizeof(*l));
	if (!l)
		return kf_fail(NOMEM, "no memory for tokens");
	l->base = (struct tokens){ &local_ops, c, *o };
	bar_open(l);
	kf_err e = KF_OK;
	if (logs_in || o->pin_file)
		e = tokens_read_pin(c, o->pin_file, "PIN", false, &l->pin);
	if (kf_ok(e))
		e = open_pool(l, o);
	if (!kf_ok(e)) {
		close_local(&l->base);
		return e;
	}
	l->provision = (struct provision){ l->pools, pool_name, show, l };
	*ret = &l->base;
	return KF_OK;
}
