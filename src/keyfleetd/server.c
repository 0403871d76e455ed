/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/service.h"
#include "crypt/keygen.h"
#include "crypt/keyring.h"
#include "crypt/password.h"
#include "keyfleetd/authorities.h"
#include "keyfleetd/erase.h"
#include "keyfleetd/heads.h"
#include "keyfleetd/health.h"
#include "keyfleetd/identity.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/rotation.h"
#include "keyfleetd/tokens.h"
#include "op/backup.h"
#include "op/cryptoki.h"
#include "op/later.h"
#include "op/material.h"
#include "op/parts.h"
#include "op/slow.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- pieces ---- */

static kf_err open_keyring(const struct conf *c, struct buf *why, struct keyring **ret)
{
	unsigned line = 0;
	if (c->master_key_credential) {
		autobuf text = buf_new(KEYRING_FILE_MAX);
		KF_TRY(conf_read_credential(c->master_key_credential, &text, why));
		return keyring_parse(buf_slice(&text), &line, ret);
	}
	kf_err e = keyring_load(c->master_key, &line, ret);
	if (!kf_ok(e))
		buf_printf(why, line ? "%s:%u: %s\n" : "%s:%.0u %s\n", c->master_key,
			line, e.site->text);
	return e;
}

static kf_err set_settings(struct server *s, uint64_t generation)
{
	struct settings *new = calloc(1, sizeof(*new));
	if (!new)
		return kf_fail(NOMEM, "settings");
	kf_err e = config_settings(&s->conf, generation, new);
	if (!kf_ok(e)) {
		free(new);
		return e;
	}
	struct settings *old = atomic_exchange(&s->settings, new);
	if (old)
		epoch_retire(s->epoch, old, free);
	atomic_store(&s->own_key.most, (unsigned)s->conf.token_handshakes);
	atomic_store(&s->own_key.timeout_ns, new->handshake_timeout_ns);
	epoch_reclaim(s->epoch);
	return KF_OK;
}

/* A relative path begins at the directory of the configuration, like all others. */
static kf_err set_store_location(struct server *s)
{
	const char *at = s->conf.store, *slash = strrchr(s->conf_path, '/');
	bool is_relative = strncmp(at, "sqlite:", 7) == 0 && at[7] != '/';
	int n = slash ? (int)(slash - s->conf_path) + 1 : 0;
	int done = is_relative ? asprintf(&s->store_location, "sqlite:%.*s%s", n,
					 s->conf_path, at + 7)
			       : asprintf(&s->store_location, "%s", at);
	if (done >= 0)
		return KF_OK;
	s->store_location = NULL;
	return kf_fail(NOMEM, "location of the store");
}

static void store_event(void *arg, kf_err why, const char *what)
{
	(void)arg;
	if (kf_ok(why))
		log_notice("store", LOG_TEXT("what", what));
	else
		log_err(why, "store", LOG_TEXT("what", what));
}

/* A large store takes its time: the service manager gives it more. */
static void tell_progress(void *arg, uint64_t rows)
{
	char text[64];
	(void)arg;
	snprintf(text, sizeof(text), "reading the store: %" PRIu64 " rows", rows);
	service_notify("EXTEND_TIMEOUT_USEC=60000000");
	service_status(text);
	log_notice("reading the store", LOG_NUM("rows", (int64_t)rows));
}

static void tell_upgrade(void *arg, unsigned at_most_ms)
{
	char text[64];
	(void)arg;
	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%u000", at_most_ms);
	service_notify(text);
	service_status("upgrading the tables of the store");
	log_notice("upgrading the tables of the store, which may take minutes");
}

/* The keyring is newer, the last rotation did not end, or a server that had not been reloaded yet went
 * on with an older key. */
static void rotate_if_needed(struct server *s)
{
	struct store_status status;
	store_status(s->store, &status);
	if (status.old_master_keys)
		store_rotate_master(s->store);
}

static kf_err open_store(struct server *s)
{
	KF_TRY(set_store_location(s));
	struct store_conf c = {
		.location = s->store_location,
		.seen = s->conf.seen,
		.snapshot = s->conf.snapshot,
		.keyring = s->keyring,
		.epoch = s->epoch,
		.deadline_ms = (unsigned)s->conf.commit_timeout_ms,
		.poll_ms = (unsigned)s->conf.poll_ms,
		.queue_max = (size_t)s->conf.store_queue,
		.load_key = material_load_key,
		.event = store_event,
		.progress = tell_progress,
		.upgrading = tell_upgrade,
	};
	KF_TRY(store_open(&c, &s->store));
	rotate_if_needed(s);
	return KF_OK;
}

static kf_err open_backup(struct server *s)
{
	const char *where = s->conf.backup ? s->conf.backup : s->conf.audit;
	return op_backup_new(s->store, store_backup, where, &s->backup);
}

static enum audit_export export_kind(const struct conf *c)
{
	static const enum audit_export kind[] = { AUDIT_EXPORT_NONE, AUDIT_EXPORT_SYSLOG,
		AUDIT_EXPORT_JOURNAL };
	return kind[c->audit_export];
}

/* Beside the directory, not in it: whoever may write there must not be able to put both back. */
static kf_err set_audit_seen(struct server *s)
{
	const char *given = s->conf.audit_seen;
	int n = given ? asprintf(&s->audit_seen, "%s", given)
		      : asprintf(&s->audit_seen, "%s.seen", s->conf.audit);
	if (n >= 0)
		return KF_OK;
	s->audit_seen = NULL;
	return kf_fail(NOMEM, "file of the newest audit checkpoint");
}

/* On the audit worker: records are on disk that changes wait for. */
static void rouse_store(void *server) { store_rouse(((struct server *)server)->store); }

static kf_err open_audit(struct server *s)
{
	s->audit_segment = (size_t)s->conf.audit_segment;
	KF_TRY(set_audit_seen(s));
	struct audit_conf c = {
		.directory = s->conf.audit,
		.segment_size = (size_t)s->conf.audit_segment,
		.ring_size = (size_t)s->conf.audit_queue,
		.loops = s->ios,
		.is_synced = s->conf.audit_sync == CONF_SYNC_FSYNC,
		.server = s->name,
		.keyring = s->keyring,
		.checkpoint_ms = (unsigned)s->conf.audit_checkpoint_ms,
		.seen = s->audit_seen,
		.keep_s = s->conf.audit_keep_ms / 1000,
		.keep_size = (uint64_t)s->conf.audit_keep_size,
		.export = export_kind(&s->conf),
		.exports_checkpoints_only =
			s->conf.audit_export_lines == CONF_EXPORT_CHECKPOINTS,
		.export_socket = s->conf.audit_export_socket,
	};
	const struct audit_waker waker = { io_audit_woke, rouse_store, s };
	KF_TRY(audit_open(&c, &waker, &s->audit));
	const char *finding = audit_finding(s->audit);
	if (finding)
		log_error("audit was tampered with", LOG_TEXT("what", finding));
	return KF_OK;
}

static kf_err open_ios(struct server *s)
{
	s->io = calloc(s->ios, sizeof(struct io *));
	if (!s->io)
		return kf_fail(NOMEM, "loops");
	for (unsigned i = 0; i < s->ios; i++)
		KF_TRY(io_new(s, i, &s->io[i]));
	for (unsigned i = 0; i < s->ios; i++)
		KF_TRY(io_start(s->io[i]));
	return KF_OK;
}

static uint32_t load_of(void *arg) { return server_load(arg); }
static void status_of(void *arg, struct buf *ret) { server_status(arg, ret); }

static bool is_own_key(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	return own_key_is(&((struct server *)arg)->own_key, key_id);
}

/* On any loop: the settings are a snapshot. */
static void limits_of(void *arg, struct buf *ret)
{
	const struct settings *s = atomic_load(&((struct server *)arg)->settings);
	limits_print(&s->client_limits, ret);
}

static void set_op_server(struct server *s)
{
	s->search = (struct op_search){ .most = (unsigned)s->conf.searches,
		.time_ms = (unsigned)s->conf.search_time_ms,
		.items_max = (unsigned)s->conf.search_items };
	s->op = (struct op_server){
		.store = s->store,
		.catalog = store_catalog(s->store),
		.message_max = (size_t)s->conf.message_size,
		.lease_s = (uint32_t)(s->conf.lease_ms / 1000),
		.version = KEYFLEET_VERSION,
		.name = s->name,
		.load = load_of,
		.status = status_of,
		.limits = limits_of,
		.is_own_key = is_own_key,
		.pools = s->pools,
		.slow = s->slow,
		.parts = s->parts,
		.allows_legacy = s->conf.legacy_rsa_1024,
		.tag_min = (size_t)s->conf.tag_length,
		.iterations_max = (uint32_t)s->conf.derive_iterations,
		.is_interop_test = s->conf.interop_test,
		.backup = s->backup,
		.later = s->later,
		.cryptoki = s->cryptoki,
		.search = &s->search,
		.arg = s,
	};
	s->op.authorities = authorities_list(s->authorities, &s->op.authorities_n);
	if (s->op.allows_legacy)
		log_warn("RSA keys of 1024 bits are allowed, which are too weak",
			LOG_TEXT("option", "legacy_rsa_1024 in [server]"));
	if (s->op.is_interop_test)
		log_warn("THIS SERVER IS UNDER TEST: a client that may destroy objects "
			 "can make all of them vanish",
			LOG_TEXT("option", "interop_test in [server]"));
}

static kf_err read_passwords(
	const struct conf *c, struct buf *why, struct passwords **ret)
{
	autobuf text = buf_new(PASSWORDS_FILE_MAX);
	unsigned line = 0;
	if (!c->passwords)
		return KF_OK;
	KF_TRY(conf_read_secret(c->passwords, &text, why));
	kf_err e = passwords_parse(buf_slice(&text), &line, ret);
	if (!kf_ok(e))
		buf_printf(why, "%s:%u: %s\n", c->passwords, line, e.site->text);
	return e;
}

static void retire_passwords(void *p) { passwords_free(p); }

static void take_passwords(struct server *s, struct passwords *take)
{
	struct passwords *old = atomic_exchange(&s->passwords, take);
	atomic_fetch_add(&s->passwords_generation, 1);
	if (old)
		epoch_retire(s->epoch, old, retire_passwords);
}

static kf_err open_tables(struct server *s)
{
	const struct op_later_conf c = {
		.most = (unsigned)s->conf.asynchronous,
		.client_most = (unsigned)s->conf.client_asynchronous,
		.keep_s = s->conf.asynchronous_keep_ms / 1000,
		.bytes = (size_t)s->conf.asynchronous_size,
	};
	KF_TRY(op_later_new(&c, &s->later));
	KF_TRY(guard_new(&s->guard));
	return op_cryptoki_new(&s->cryptoki);
}

static kf_err open_workers(struct server *s)
{
	unsigned slow = s->pools ? OP_SLOW_MAX : 0;
	KF_TRY(workers_start((unsigned)s->conf.workers, s->epoch, &s->workers));
	KF_TRY(workers_start(1, s->epoch, &s->searcher));
	return slow ? workers_start(slow, NULL, &s->slow_workers) : KF_OK;
}

static kf_err open_tokens(struct server *s, struct buf *why)
{
	KF_TRY(tokens_open(&s->conf, s->keyring, why, &s->tokens));
	s->pools = tokens_pools(s->tokens);
	return s->pools ? op_slow_new(&s->slow) : KF_OK;
}

static kf_err open_parts(struct server *s)
{
	return op_parts_new(
		&(struct op_parts_conf){
			.most = (size_t)s->conf.streams,
			.client_most = (size_t)s->conf.client_streams,
			.memory = (size_t)s->conf.stream_memory,
			.idle_ns = (uint64_t)s->conf.stream_timeout_ms * 1000000,
		},
		&s->parts);
}

static void set_name(struct server *s)
{
	if (s->conf.name)
		snprintf(s->name, sizeof(s->name), "%s", s->conf.name);
	else if (gethostname(s->name, sizeof(s->name) - 1) != 0)
		strcpy(s->name, "keyfleetd");
}

static void count_ios(struct server *s)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	s->ios = (unsigned)(s->conf.loops ? s->conf.loops : cores > 0 ? cores : 1);
}

/* ---- life ---- */

/* "what: why (where)", for the terminal of whoever starts us. */
static kf_err explain(kf_err e, const char *what, struct buf *why)
{
	if (!kf_ok(e) && why->n == 0)
		buf_printf(
			why, "%s: %s (%s)\n", what, e.site->text, kf_code_name(e.code));
	return e;
}

static kf_err open_memory(const struct server *s)
{
	KF_TRY(secret_init((size_t)s->conf.secret_memory / 2));
	return crypt_init((size_t)s->conf.secret_memory / 2);
}

/* The health thread has not begun: its place among the readers is free. */
static void warn_of_authorities(struct server *s)
{
	epoch_online(s->health_reader);
	authorities_warn(s->authorities, &s->op, clock_wall_s());
	epoch_offline(s->health_reader);
}

kf_err server_open(struct server *s, struct buf *why)
{
	s->started_ns = clock_monotonic_ns();
	s->commit_timeout_ns = (uint64_t)s->conf.commit_timeout_ms * 1000000;
	set_name(s);
	count_ios(s);
	if (getrandom(&s->run, sizeof(s->run), 0) != sizeof(s->run))
		return explain(kf_fail(CRYPTO, "random numbers"), "start", why);
	KF_TRY(explain(open_memory(s), "secret memory", why));
	KF_TRY(explain(epoch_new(&s->epoch), "start", why));
	KF_TRY(explain(set_settings(s, 1), "settings", why));
	KF_TRY(explain(clients_new(s->ios, &s->clients), "start", why));
	KF_TRY(explain(metrics_new(&s->metrics), "start", why));
	KF_TRY(explain(gates_open(s, why), "tls", why));
	KF_TRY(explain(open_keyring(&s->conf, why, &s->keyring), "master key", why));
	KF_TRY(explain(authorities_open(&s->conf, s->conf_path, why, &s->authorities),
		"authorities", why));
	KF_TRY(explain(open_tokens(s, why), "pools", why));
	KF_TRY(explain(open_store(s), "store", why));
	KF_TRY(explain(open_backup(s), "backup", why));
	KF_TRY(explain(open_tables(s), "tables", why));
	KF_TRY(explain(open_parts(s), "start", why));
	struct passwords *passwords = NULL;
	KF_TRY(read_passwords(&s->conf, why, &passwords));
	take_passwords(s, passwords);
	set_op_server(s);
	KF_TRY(explain(open_audit(s), "audit", why));
	KF_TRY(explain(heads_start(s, &s->heads), "audit", why));
	KF_TRY(explain(open_workers(s), "workers", why));
	KF_TRY(explain(eraser_start(s, &s->eraser), "pools", why));
	KF_TRY(explain(open_ios(s), "loops", why));
	KF_TRY(explain(rotation_start(s, &s->rotation), "rotation", why));
	KF_TRY(explain(epoch_register(s->epoch, &s->health_reader), "health", why));
	warn_of_authorities(s);
	return explain(health_open(s, s->conf.health, &s->health), "health", why);
}

bool server_settle(struct server *s)
{
	const uint64_t until = clock_monotonic_ns() + 2 * s->commit_timeout_ns;
	pools_interrupt(s->pools); /* whoever waits for a token that hangs need not */
	if (!eraser_stop(s->eraser, until) || !rotation_stop(s->rotation, until))
		return false;
	s->eraser = NULL;
	s->rotation = NULL;
	return true;
}

/* Nothing is in flight any more, or nothing ever was. */
void server_close(struct server *s)
{
	http_close(s->health);
	epoch_unregister(s->health_reader);
	workers_stop(s->slow_workers);
	workers_stop(s->searcher);
	workers_stop(s->workers);
	tokens_close(s->tokens); /* its threads post to the loops */
	for (unsigned i = 0; s->io && i < s->ios; i++)
		if (s->io[i])
			io_stop(s->io[i]);
	op_backup_free(s->backup);
	op_slow_free(s->slow);
	op_later_free(s->later);
	op_cryptoki_free(s->cryptoki);
	op_parts_free(s->parts);
	guard_free(s->guard);
	passwords_free(atomic_load(&s->passwords));
	authorities_free(s->authorities);
	heads_stop(s->heads);
	/* Each asks the other to its end: changes for their records, records for who waits for them. */
	if (s->store)
		store_stop(s->store);
	audit_close(s->audit);
	store_close(s->store);
	for (unsigned i = 0; s->io && i < s->ios; i++)
		io_free(s->io[i]);
	free(s->io);
	gates_close(s);
	keyring_free(s->keyring);
	clients_free(s->clients);
	metrics_free(s->metrics);
	free(atomic_load(&s->settings));
	if (s->epoch)
		epoch_free(s->epoch);
	free(s->store_location);
	free(s->audit_seen);
	config_free(&s->first);
}

/* ---- reload ---- */

/* All is read before anything is taken over. */
static kf_err reload_files(struct server *s, const struct conf *new, struct buf *why)
{
	CLEANUP(keyring_freep) struct keyring *from = NULL;
	CLEANUP(passwords_freep) struct passwords *passwords = NULL;
	KF_TRY(open_keyring(new, why, &from));
	KF_TRY(read_passwords(new, why, &passwords));
	KF_TRY(gates_reopen(s, new, why));
	bool is_other = strcmp(keyring_id(from, 0), keyring_id(s->keyring, 0)) != 0;
	KF_TRY(explain(keyring_adopt(s->keyring, from), "master key", why));
	take_passwords(s, passwords);
	passwords = NULL;
	if (is_other)
		store_rotate_master(s->store);
	else
		rotate_if_needed(s);
	return KF_OK;
}

/* Each time, as long as what runs is not what is written. */
static void tell_late(const struct server *s)
{
	autobuf late = buf_new(4096);
	config_needs_restart(&s->first, &s->conf, &late);
	if (late.n)
		log_warn("some options count from the next start on",
			LOG_SLICE("options", buf_slice(&late)));
}

kf_err server_reload(struct server *s, struct buf *why)
{
	struct conf new = { 0 };
	kf_err e = config_read(s->conf_path, &new, why);
	if (kf_ok(e))
		e = reload_files(s, &new, why);
	if (!kf_ok(e)) {
		config_free(&new);
		return e;
	}
	log_set_level((enum log_level)(new.log_level + LOG_LEVEL_ERROR));
	struct conf old = s->conf;
	s->conf = new;
	if (!s->is_reloaded)
		s->first = old;
	else
		config_free(&old);
	s->is_reloaded = true;
	tell_late(s);
	atomic_store(&s->op.message_max, (size_t)s->conf.message_size);
	atomic_store(&s->op.lease_s, (uint32_t)(s->conf.lease_ms / 1000));
	return set_settings(s, atomic_load(&s->settings)->generation + 1);
}

/* ---- --check ---- */

static void check_directory(const char *path, const char *option, struct buf *problems)
{
	struct stat st;
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		buf_printf(problems, "%s: `%s` is not a directory\n", path, option);
	else if (access(path, F_OK) == 0 && access(path, R_OK | W_OK | X_OK) != 0)
		buf_printf(problems, "%s: `%s` cannot be written\n", path, option);
}

static void check_addresses(const struct conf *c, struct buf *problems)
{
	struct address a;
	for (size_t i = 0; i < c->listen.n; i++)
		if (!kf_ok(address_parse(c->listen.item[i], &a)))
			buf_printf(problems, "`listen`: %s is no address\n",
				c->listen.item[i]);
	if (c->health && !http_may_listen(c->health))
		buf_printf(problems,
			"`listen` in [health]: %s is neither loopback nor unix:\n",
			c->health);
}

static void check_authorities(const struct server *s, struct buf *problems)
{
	struct authorities *a = NULL;
	const size_t before = problems->n;
	kf_err e = authorities_open(&s->conf, s->conf_path, problems, &a);
	if (!kf_ok(e) && problems->n == before)
		buf_printf(problems, "authorities: %s\n", e.site->text);
	authorities_free(a);
}

void server_check(struct server *s, struct buf *problems)
{
	size_t before = problems->n;
	kf_err e = gates_open(s, problems);
	if (!kf_ok(e) && problems->n == before)
		buf_printf(problems, "tls: %s\n", e.site->text);
	before = problems->n;
	e = open_keyring(&s->conf, problems, &s->keyring);
	if (!kf_ok(e) && problems->n == before)
		buf_printf(problems, "master key: %s\n", e.site->text);
	check_addresses(&s->conf, problems);
	check_authorities(s, problems);
	tokens_check(&s->conf, problems);
	check_directory(s->conf.audit, "directory", problems);
	gates_close(s);
	keyring_free(s->keyring);
	s->keyring = NULL;
}
