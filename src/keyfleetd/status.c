/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server says about itself.
 */
#include "base/clock.h"
#include "keyfleetd/server.h"

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

static void print_store(struct server *s, struct buf *b)
{
	struct store_status store;
	store_status(s->store, &store);
	print(b, "store_reachable", store.is_reachable);
	print(b, "store_writable", store.is_writable);
	print(b, "store_rolled_back", store.is_rolled_back);
	print(b, "store_sequence", store.sequence);
	print(b, "store_objects", store.objects);
	print(b, "store_tampered", store.tampered);
	print(b, "store_commits", store.commits);
	print(b, "store_changes", store.changes);
	print(b, "store_old_master_keys", store.old_master_keys);
}

static void print_audit(struct server *s, struct buf *b)
{
	struct audit_status audit;
	audit_status(s->audit, &audit);
	print(b, "audit_healthy", audit.is_healthy);
	print(b, "audit_records", audit.records);
	print(b, "audit_syncs", audit.syncs);
	print(b, "audit_reserve_bytes", audit.reserve_bytes);
}

void server_status(struct server *s, struct buf *ret)
{
	buf_printf(ret, "version=%s\nname=%s\n", s->op.version, s->op.name);
	print(ret, "uptime_s", (clock_monotonic_ns() - s->started_ns) / 1000000000);
	print(ret, "draining", atomic_load(&s->is_draining));
	print(ret, "loops", s->ios);
	print(ret, "load", server_load(s));
	print(ret, "connections", atomic_load(&s->connections));
	print_audit(s, ret);
	print_store(s, ret);
}
