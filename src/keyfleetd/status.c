/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server says about itself.
 */
#include "base/clock.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/server.h"
#include "keyfleetd/tokens.h"

enum { LOAD_FULL = 10000 };

bool server_is_up(struct server *s)
{
	return !atomic_load(&s->is_draining) && audit_is_healthy(s->audit);
}

bool server_is_writable(struct server *s)
{
	struct store_status store;
	store_status(s->store, &store);
	return server_is_up(s) && store.is_writable && !store.is_rolled_back;
}

uint32_t server_load(struct server *s)
{
	uint64_t sum = 0;
	if (!server_is_up(s))
		return LOAD_FULL;
	for (unsigned i = 0; i < s->ios; i++)
		sum += atomic_load_explicit(&s->io[i]->load, memory_order_relaxed);
	return (uint32_t)(sum / s->ios);
}

static void print(struct buf *b, const char *name, uint64_t value)
{
	buf_printf(b, "%s=%llu\n", name, (unsigned long long)value);
}

/* For whoever wants to be a witness; see docs/audit.md. */
static void print_head(struct server *s, struct buf *b)
{
	struct audit_head head;
	audit_head(s->audit, &head);
	buf_printf(b, "audit.head=%s\n", head.line);
}

static void print_audit(struct server *s, struct buf *b)
{
	struct audit_status audit;
	audit_status(s->audit, &audit);
	print(b, "audit.healthy", audit.is_healthy);
	print(b, "audit.records", audit.records);
	print(b, "audit.syncs", audit.syncs);
	print(b, "audit.reserve-bytes", audit.reserve_bytes);
	print(b, "audit.intact", audit.is_intact);
	print(b, "audit.checkpoints", audit.checkpoints);
	print(b, "audit.synced-s-ago",
		(clock_monotonic_ns() - audit.synced_ns) / 1000000000);
	print(b, "audit.exported", audit.exported);
	print(b, "audit.export-lost", audit.export_lost);
	print(b, "audit.retired-segment", audit.retired);
	print_head(s, b);
}

static void print_pace(struct server *s, struct buf *b)
{
	struct server_pace pace;
	server_pace(s, &pace);
	print(b, "requests-per-s", pace.requests_per_s);
	print(b, "sign.p50-us", (uint64_t)(pace.sign.p50_s * 1e6));
	print(b, "sign.p99-us", (uint64_t)(pace.sign.p99_s * 1e6));
}

void server_status(struct server *s, struct buf *ret)
{
	print(ret, "uptime-s", (clock_monotonic_ns() - s->started_ns) / 1000000000);
	print(ret, "draining", atomic_load(&s->is_draining));
	print(ret, "loops", s->ios);
	print(ret, "connections", atomic_load(&s->connections));
	print_pace(s, ret);
	tokens_status(s->tokens, ret);
	if (s->pools)
		print(ret, "pool-overflows", server_overflows(s));
	print_audit(s, ret);
}

void server_health(struct server *s, struct buf *ret)
{
	struct store_status store;
	store_status(s->store, &store);
	buf_printf(ret, "version=%s\nname=%s\n", s->op.version, s->op.name);
	print(ret, "load", server_load(s));
	print(ret, "store.reachable", store.is_reachable);
	print(ret, "store.writable", store.is_writable);
	print(ret, "store.rolled-back", store.is_rolled_back);
	print(ret, "store.objects", store.objects);
	print(ret, "store.tampered", store.tampered);
	print(ret, "store.unloaded", store.unloaded);
	print(ret, "store.old-master-keys", store.old_master_keys);
	server_status(s, ret);
}
