/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rights.h"
#include "base/epoch.h"
#include <stdlib.h>
#include <string.h>

typedef int (*compare)(const void *a, const void *b);

static int compare_clients(const void *a, const void *b)
{
	const struct client_row *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int compare_grants(const void *a, const void *b)
{
	const struct grant_row *const *x = a, *const *y = b;
	int who = strcmp((*x)->who, (*y)->who);
	int key = who ? who : strcmp((*x)->key, (*y)->key);
	return key ? key : strcmp((*x)->id, (*y)->id);
}

/* Those that go by one name or group are one behind the other. */
static int compare_keys(const void *a, const void *b)
{
	const struct grant_row *const *x = a, *const *y = b;
	int key = strcmp((*x)->key, (*y)->key);
	return key ? key : compare_grants(a, b);
}

static int compare_certificates(const void *a, const void *b)
{
	const struct rights_certificate *x = a, *y = b;
	return memcmp(x->fingerprint, y->fingerprint,
		sizeof(x->client->certificate[0].fingerprint));
}

/* --- the writer's arrays --- */

static kf_err make_room(struct sorted *s)
{
	if (s->n < s->cap)
		return KF_OK;
	size_t cap = s->cap ? 2 * s->cap : 16;
	void **row = reallocarray(s->row, cap, sizeof(*row));
	if (!row)
		return kf_fail(NOMEM, "growing the rights");
	s->row = row;
	s->cap = cap;
	return KF_OK;
}

/* Where the row is, or would be. */
static size_t position(const struct sorted *s, const void *row, compare cmp)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (cmp(&s->row[middle], &row) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert(struct sorted *s, size_t at, void *row)
{
	memmove(s->row + at + 1, s->row + at, (s->n - at) * sizeof(*s->row));
	s->row[at] = row;
	s->n++;
}

static void *take(struct sorted *s, size_t at)
{
	void *row = s->row[at];
	s->n--;
	memmove(s->row + at, s->row + at + 1, (s->n - at) * sizeof(*s->row));
	return row;
}

static void *copy(const void *row, size_t size)
{
	void *own = malloc(size);
	if (own)
		memcpy(own, row, size);
	return own;
}

/* --- snapshots --- */

static size_t count_certificates(const struct sorted *clients)
{
	size_t n = 0;
	for (size_t i = 0; i < clients->n; i++)
		n += ((const struct client_row *)clients->row[i])->certificates;
	return n;
}

static void list_certificates(
	const struct sorted *clients, struct rights_certificate *into)
{
	for (size_t i = 0; i < clients->n; i++) {
		const struct client_row *c = clients->row[i];
		for (size_t j = 0; j < c->certificates; j++)
			*into++ = (struct rights_certificate){
				c->certificate[j].fingerprint, c
			};
	}
}

static void *copy_rows(void **into, const struct sorted *s)
{
	if (s->n)
		memcpy(into, s->row, s->n * sizeof(*into));
	return into;
}

/* One allocation: the struct, its certificates, then the three arrays of pointers. */
static struct rights *snapshot(const struct rights_writer *w, uint64_t generation)
{
	size_t n = count_certificates(&w->clients), rows = w->clients.n + 2 * w->grants.n;
	struct rights *r = malloc(sizeof(*r) + n * sizeof(struct rights_certificate) +
				  rows * sizeof(void *));
	if (!r)
		return NULL;
	struct rights_certificate *certificate = (struct rights_certificate *)(r + 1);
	void **client = (void **)(certificate + n), **grant = client + w->clients.n;
	list_certificates(&w->clients, certificate);
	qsort(certificate, n, sizeof(*certificate), compare_certificates);
	*r = (struct rights){
		.generation = generation,
		.clients = w->clients.n,
		.grants = w->grants.n,
		.client = copy_rows(client, &w->clients),
		.grant = copy_rows(grant, &w->grants),
		.by_key = copy_rows(grant + w->grants.n, &w->by_key),
		.certificates = n,
		.certificate = certificate,
	};
	return r;
}

kf_err rights_publish(struct rights_writer *w)
{
	if (w->holds || !w->is_changed)
		return KF_OK;
	struct rights *old = atomic_load_explicit(&w->now, memory_order_relaxed);
	struct rights *r = snapshot(w, old ? old->generation + 1 : 1);
	if (!r)
		return kf_fail(NOMEM, "publishing the rights");
	w->is_changed = false;
	atomic_store_explicit(&w->now, r, memory_order_release);
	if (old)
		epoch_retire(w->epoch, old, free);
	return KF_OK;
}

kf_err rights_init(struct rights_writer *w, struct epoch *epoch)
{
	*w = (struct rights_writer){ .epoch = epoch, .is_changed = true };
	return rights_publish(w);
}

static void free_rows(struct sorted *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->row[i]);
	free(s->row);
}

void rights_clear(struct rights_writer *w)
{
	free_rows(&w->clients);
	free_rows(&w->grants);
	free(w->by_key.row);
	free(atomic_load(&w->now));
}

/* --- changes --- */

/* A row that was replaced may be freed only after the snapshot that names it was retired, and while
 * changes are held that snapshot is still the current one: so publish first. */
static kf_err retire_row(struct rights_writer *w, void *row)
{
	unsigned holds = w->holds;
	w->holds = 0;
	kf_err err = rights_publish(w);
	w->holds = holds;
	if (kf_ok(err))
		epoch_retire(w->epoch, row, free);
	return err; /* NOMEM: the row is leaked rather than pulled from under a reader */
}

kf_err rights_put_client(struct rights_writer *w, const struct client_row *row)
{
	KF_TRY(make_room(&w->clients));
	void *own = copy(row, sizeof(*row)), *old = NULL;
	if (!own)
		return kf_fail(NOMEM, "adding a client");
	size_t at = position(&w->clients, own, compare_clients);
	if (at < w->clients.n && compare_clients(&w->clients.row[at], &own) == 0)
		old = take(&w->clients, at);
	insert(&w->clients, at, own);
	w->is_changed = true;
	return old ? retire_row(w, old) : rights_publish(w);
}

static void *take_grant(struct sorted *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(((const struct grant_row *)s->row[i])->id, id) == 0)
			return take(s, i);
	return NULL;
}

static void drop_key(struct sorted *by_key, const struct grant_row *old)
{
	if (old)
		take(by_key, position(by_key, old, compare_keys));
}

/* The row that this one replaces stands where this one goes, unless the change moves it.  Only then are
 * all looked through, so that loading many stays linear. */
static void *take_old_grant(struct sorted *s, const struct grant_row *row)
{
	size_t at = position(s, row, compare_grants);
	if (at < s->n && compare_grants(&s->row[at], &row) == 0)
		return take(s, at);
	return row->version > 1 ? take_grant(s, row->id) : NULL;
}

kf_err rights_put_grant(struct rights_writer *w, const struct grant_row *row)
{
	KF_TRY(make_room(&w->grants));
	KF_TRY(make_room(&w->by_key));
	void *own = copy(row, sizeof(*row));
	if (!own)
		return kf_fail(NOMEM, "adding a grant");
	void *old = take_old_grant(&w->grants, row);
	drop_key(&w->by_key, old);
	insert(&w->grants, position(&w->grants, own, compare_grants), own);
	insert(&w->by_key, position(&w->by_key, own, compare_keys), own);
	w->is_changed = true;
	return old ? retire_row(w, old) : rights_publish(w);
}

kf_err rights_drop_grant(struct rights_writer *w, const char *id)
{
	void *old = take_grant(&w->grants, id);
	if (!old)
		return KF_OK;
	drop_key(&w->by_key, old);
	w->is_changed = true;
	return retire_row(w, old);
}

/* --- readers --- */

const struct client_row *rights_client(const struct rights *r, const char *name)
{
	size_t low = 0, high = r->clients;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(r->client[middle]->name, name);
		if (order == 0)
			return r->client[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct client_row *rights_certificate(
	const struct rights *r, const uint8_t fingerprint[32])
{
	size_t low = 0, high = r->certificates;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(r->certificate[middle].fingerprint, fingerprint, 32);
		if (order == 0)
			return r->certificate[middle].client;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
