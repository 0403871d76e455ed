/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backup.h"
#include "base/clock.h"
#include "store/work.h"
#include <openssl/evp.h>
#include <string.h>

enum { BACKUP_MS = 600000 };

/* --- the digest --- */

kf_err backup_digest_init(struct digest *d)
{
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || !EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL))
		return kf_fail(NOMEM, "digest of a backup");
	return KF_OK;
}

kf_err backup_digest_add(struct digest *d, struct slice s)
{
	if (s.n && !EVP_DigestUpdate(d->ctx, s.p, s.n))
		return kf_fail(CRYPTO, "digest of a backup");
	return KF_OK;
}

kf_err backup_digest_mac(struct digest *d, const struct keyring *k, struct slice master,
	uint8_t ret[MAC_SIZE])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (!EVP_DigestFinal_ex(d->ctx, hash, &n))
		return kf_fail(CRYPTO, "digest of a backup");
	return keyring_mac(k, master, "keyfleet backup", (struct slice){ hash, n }, ret);
}

void backup_digest_free(struct digest *d) { EVP_MD_CTX_free(d->ctx); }

void backup_count(struct store_backup_facts *f, enum table_id table)
{
	uint64_t *const counter[TABLES] = { &f->objects, &f->clients, &f->grants };
	++*counter[table];
}

/* --- writing --- */

struct writer {
	const struct keyring *k;
	struct slice
		master; /* of the head and the end: a reload may bring a newer one meanwhile */
	struct db *db;
	store_sink sink;
	void *arg;
	struct digest digest;
	struct buf chunk;
	struct head head, sum;
	struct store_backup_facts facts;
};

static kf_err send(struct writer *w, struct slice s)
{
	KF_TRY(backup_digest_add(&w->digest, s));
	return w->sink(w->arg, s);
}

static void begin_chunk(struct writer *w, uint8_t kind)
{
	buf_clear(&w->chunk);
	buf_add_u8(&w->chunk, kind);
	buf_add_u32(&w->chunk, 0);
}

static kf_err end_chunk(struct writer *w)
{
	KF_TRY(buf_err(&w->chunk));
	buf_set_u32(&w->chunk, 1, (uint32_t)(w->chunk.n - 5));
	return send(w, buf_slice(&w->chunk));
}

static kf_err write_head(struct writer *w)
{
	uint8_t mac[MAC_SIZE];
	KF_TRY(head_sign(w->k, &w->head, w->master, mac));
	begin_chunk(w, CHUNK_HEAD);
	buf_add_u64(&w->chunk, (uint64_t)w->facts.made_s);
	buf_add_u64(&w->chunk, (uint64_t)w->head.incarnation);
	buf_add_u64(&w->chunk, w->head.sequence);
	buf_add_u64(&w->chunk, w->head.rows);
	buf_add(&w->chunk, w->head.sum, MAC_SIZE);
	buf_add(&w->chunk, mac, MAC_SIZE);
	buf_add_slice(&w->chunk, w->master);
	return end_chunk(w);
}

static kf_err write_master(void *arg, struct slice id)
{
	struct writer *w = arg;
	begin_chunk(w, CHUNK_MASTER);
	buf_add_slice(&w->chunk, id);
	return end_chunk(w);
}

static kf_err write_record(
	void *arg, enum table_id table, const struct value *v, size_t n)
{
	struct writer *w = arg;
	struct record r;
	uint8_t term[MAC_SIZE];
	KF_TRY(record_read(table, v, n, &r));
	KF_TRY(record_term(w->k, &r, term));
	head_add(&w->sum, term);
	backup_count(&w->facts, table);
	if (!kf_ok(record_check(w->k, &r)))
		w->facts.tampered++;
	begin_chunk(w, CHUNK_RECORD);
	record_write(&r, &w->chunk);
	return end_chunk(w);
}

static kf_err write_end(struct writer *w)
{
	uint8_t mac[MAC_SIZE];
	KF_TRY(backup_digest_mac(&w->digest, w->k, w->master, mac));
	buf_clear(&w->chunk);
	buf_add_u8(&w->chunk, CHUNK_END);
	buf_add_u32(&w->chunk, MAC_SIZE);
	buf_add(&w->chunk, mac, MAC_SIZE);
	KF_TRY(buf_err(&w->chunk));
	return w->sink(w->arg, buf_slice(&w->chunk));
}

/* Inside a snapshot. */
static kf_err write_all(struct writer *w)
{
	KF_TRY(rows_check_masters(w->db, w->k));
	KF_TRY(rows_head(w->db, w->k, false, &w->head));
	w->facts.sequence = w->head.sequence;
	w->facts.made_s = clock_wall_s();
	KF_TRY(send(w, SLICE_LIT(BACKUP_MAGIC)));
	KF_TRY(write_head(w));
	KF_TRY(rows_each_master(w->db, write_master, w));
	for (size_t i = 0; i < TABLES; i++)
		KF_TRY(rows_each(w->db, i, 0, write_record, w));
	if (w->sum.rows != w->head.rows || memcmp(w->sum.sum, w->head.sum, MAC_SIZE) != 0)
		return kf_fail(TAMPERED,
			"rows of the store were changed outside keyfleet: keep "
			"the last good backup");
	return write_end(w);
}

static kf_err write_snapshot(struct writer *w)
{
	KF_TRY(w->db->driver->begin(w->db, false));
	kf_err err = write_all(w);
	w->db->driver->rollback(w->db);
	return err;
}

kf_err store_backup(
	struct store *s, store_sink sink, void *arg, struct store_backup_facts *ret)
{
	struct writer w = { .k = s->conf.keyring, .sink = sink, .arg = arg };
	struct db_target to = { .where = s->where, .role = DB_READER };
	w.master = slice_of(keyring_id(w.k, 0));
	to.deadline_ns = clock_monotonic_ns() + BACKUP_MS * UINT64_C(1000000);
	KF_TRY(s->driver->open(&to, &w.db));
	w.chunk = buf_new(CHUNK_MAX);
	kf_err err = backup_digest_init(&w.digest);
	if (kf_ok(err))
		err = write_snapshot(&w);
	backup_digest_free(&w.digest);
	buf_free(&w.chunk);
	s->driver->close(w.db);
	if (kf_ok(err))
		*ret = w.facts;
	return err;
}
