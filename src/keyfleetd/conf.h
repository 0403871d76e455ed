/* SPDX-License-Identifier: Apache-2.0
 *
 * conf: keyfleetd.conf, read and checked.  Belongs to the main thread; what loops need of it is in
 * struct settings.
 */
#pragma once
#include "base/bucket.h"
#include "base/conf.h"
#include "keyfleetd/checks.h"
#include "net/address.h"
#include "pool/pool.h"
#include "store/catalog.h"

enum { ADMINS_MAX = 16, TRUSTED_MAX = 32, LISTENERS_MAX = 16 };

/* [listener NAME] */
struct listener_options {
	char *name;
	int profile; /* row of profile.def */
	struct conf_list listen, clients;
	char *certificate, *key;
};

/* [ca NAME] */
struct ca_options {
	char *name;
	char *certificate, *key;
	struct conf_list names, networks, profiles;
	bool allows_wildcards;
	int subject, hash;
	int64_t valid_ms, valid_max_ms, rsa_bits, ec_bits;
};
enum { CONF_SUBJECT_NAME, CONF_SUBJECT_WHOLE };
enum { CONF_HASH_AUTO, CONF_HASH_SHA256, CONF_HASH_SHA384, CONF_HASH_SHA512 };

/* [pool NAME] */
struct pool_options {
	char *name;
	int driver, overflow;
	char *module, *pin;
	struct conf_list tokens, socket;
	int64_t queue, timeout_ms, overflow_wait_ms;
	bool is_read_only;
};

enum { CONF_DRIVER_SMARTCARD_HSM, CONF_DRIVER_PKCS11 };
enum { CONF_OVERFLOW_NEVER, CONF_OVERFLOW_SOFTWARE };

/* As in option.def, the types of base/conf.h. */
struct conf {
	struct conf_group pools;     /* struct pool_options */
	struct conf_group listeners; /* struct listener_options */
	struct conf_group cas;       /* struct ca_options */
	struct conf_list listen, admin, proxy_trusted;
	char *name, *address_file, *certificate, *key, *ca, *crl, *store, *seen,
		*snapshot;
	char *master_key, *master_key_credential, *backup, *audit, *health;
	char *audit_seen, *audit_export_socket;
	bool legacy_rsa_1024, interop_test;
	int log_level, audit_sync, audit_export, audit_export_lines, proxy;
	int64_t loops, workers, secret_memory, ticket_lifetime_ms;
	int64_t rotation_check_ms, rotation_retry_ms;
	bool erases_restored;
	int64_t commit_timeout_ms, poll_ms, store_queue, audit_segment, audit_queue;
	int64_t audit_checkpoint_ms, audit_witness_ms, audit_keep_ms, audit_keep_size;
	int64_t lease_ms;
	int64_t message_size, connections, client_connections, requests;
	int64_t searches, search_time_ms, search_items;
	int64_t connection_requests, handshakes, token_handshakes, round_cost_ms, output;
	char *passwords;
	int64_t tag_length, derive_iterations, password_checks, address_password_checks;
	int64_t asynchronous, client_asynchronous, asynchronous_keep_ms,
		asynchronous_size;
	int64_t streams, client_streams, stream_timeout_ms, stream_memory;
	int64_t client_requests, client_rate, client_burst, client_refusals;
	int64_t handshake_timeout_ms, message_timeout_ms, idle_timeout_ms, drain_ms;
};

enum { CONF_SYNC_FSYNC, CONF_SYNC_WRITE };
enum { CONF_EXPORT_ALL, CONF_EXPORT_CHECKPOINTS };
enum { CONF_PROXY_OFF, CONF_PROXY_V2 };

/* An IPv4 network is kept as its mapped IPv6 one. */
struct network {
	uint8_t address[16];
	unsigned bits;
};

/* What may change while connections live, as loops need it.  Immutable; replaced as a whole by a
 * reload (base/epoch.h). */
struct settings {
	uint64_t generation; /* grows with each reload */
	size_t admins;
	uint8_t admin[ADMINS_MAX][32];
	bool expects_proxy;
	size_t trusted_n;
	struct network trusted[TRUSTED_MAX];
	size_t message_size, output;
	unsigned connections, client_connections, requests, connection_requests,
		handshakes, client_requests;
	struct checks_limits checks; /* of passwords */
	struct rate client_rate, client_refusals;
	struct grant_limits client_limits; /* the same as they were written */
	uint64_t round_cost_ns, handshake_timeout_ns, message_timeout_ns, idle_timeout_ns;
};

/* The file and everything in it that can be checked without opening other files. */
kf_err config_read(const char *path, struct conf *ret, struct buf *errors);
void config_free(struct conf *c);
void config_manual(struct buf *to);
static inline struct pool_options *config_pool(const struct conf *c, size_t i)
{
	return (struct pool_options *)c->pools.items + i;
}
static inline struct listener_options *config_listener(const struct conf *c, size_t i)
{
	return (struct listener_options *)c->listeners.items + i;
}
static inline struct ca_options *config_ca(const struct conf *c, size_t i)
{
	return (struct ca_options *)c->cas.items + i;
}
/* "192.0.2.0/24", "::1" */
bool config_network(const char *text, struct network *ret);
/* Names what differs and counts from the next start on only: "loops in [server], sync in [audit]". */
void config_needs_restart(
	const struct conf *runs, const struct conf *new, struct buf *to);
kf_err config_settings(const struct conf *c, uint64_t generation, struct settings *ret);

bool settings_is_admin(const struct settings *s, const uint8_t fingerprint[32]);
bool settings_trusts(const struct settings *s, const struct address *a);
