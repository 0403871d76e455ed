/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backup.h"
#include <string.h>

struct stream {
	struct backup_reader *r;
	struct digest digest;
	struct buf chunk;
	uint8_t kind;
	char master[MASTER_ID_MAX + 1]; /* of the head and the end */
	struct head sum;
};

/* --- bytes --- */

static kf_err read_exactly(struct stream *s, uint8_t *p, size_t n)
{
	while (n) {
		size_t got = 0;
		KF_TRY(s->r->source(s->r->source_arg, p, n, &got));
		if (!got || got > n)
			return kf_fail(SHORT, "backup ends too early");
		p += got;
		n -= got;
	}
	return KF_OK;
}

static uint64_t number(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* The end is not part of what it authenticates. */
static kf_err read_chunk(struct stream *s)
{
	uint8_t header[5];
	KF_TRY(read_exactly(s, header, sizeof(header)));
	s->kind = header[0];
	size_t n = number(header + 1, 4);
	if (n > CHUNK_MAX)
		return kf_fail(TOO_BIG, "chunk of a backup");
	buf_clear(&s->chunk);
	uint8_t *p = buf_reserve(&s->chunk, n);
	KF_TRY(buf_err(&s->chunk));
	KF_TRY(read_exactly(s, p, n));
	buf_commit(&s->chunk, n);
	if (s->kind == CHUNK_END)
		return KF_OK;
	KF_TRY(backup_digest_add(&s->digest, (struct slice){ header, sizeof(header) }));
	return backup_digest_add(&s->digest, buf_slice(&s->chunk));
}

/* --- chunks --- */

static kf_err take_magic(struct stream *s)
{
	uint8_t magic[sizeof(BACKUP_MAGIC) - 1];
	KF_TRY(read_exactly(s, magic, sizeof(magic)));
	if (memcmp(magic, BACKUP_MAGIC, sizeof(magic)) != 0)
		return kf_fail(MALFORMED, "file is no keyfleet backup");
	return backup_digest_add(&s->digest, (struct slice){ magic, sizeof(magic) });
}

static kf_err take_head(struct stream *s)
{
	KF_TRY(read_chunk(s));
	const uint8_t *p = s->chunk.p;
	if (s->kind != CHUNK_HEAD || s->chunk.n < HEAD_CHUNK_SIZE)
		return kf_fail(MALFORMED, "backup does not begin with its head");
	struct slice master = { p + HEAD_CHUNK_SIZE, s->chunk.n - HEAD_CHUNK_SIZE };
	struct head *h = &s->r->head;
	s->r->facts.made_s = (int64_t)number(p, 8);
	h->incarnation = (int64_t)number(p + 8, 8);
	s->r->facts.sequence = h->sequence = number(p + 16, 8);
	h->rows = number(p + 24, 8);
	memcpy(h->sum, p + 32, MAC_SIZE);
	KF_TRY(slice_to_text(master, s->master, sizeof(s->master)));
	if (!keyring_has(s->r->keyring, master))
		return kf_fail(CONFIG,
			"the master key that sealed the backup is not in the "
			"master key file");
	kf_err err =
		head_check(s->r->keyring, h, master, (struct slice){ p + 64, MAC_SIZE });
	if (kf_is(err, KF_E_TAMPERED))
		return kf_fail(
			TAMPERED, "backup was changed, or its master key is another one");
	return err;
}

static kf_err take_master(struct stream *s)
{
	struct slice id = buf_slice(&s->chunk);
	if (!keyring_has(s->r->keyring, id))
		return kf_fail(CONFIG,
			"a master key that the backup needs is not in the master "
			"key file: put its line back");
	return s->r->master ? s->r->master(s->r->arg, id) : KF_OK;
}

static kf_err take_record(struct stream *s)
{
	struct record r;
	uint8_t term[MAC_SIZE];
	KF_TRY(record_parse(buf_slice(&s->chunk), &r));
	KF_TRY(record_term(s->r->keyring, &r, term));
	head_add(&s->sum, term);
	bool is_right = kf_ok(record_check(s->r->keyring, &r));
	s->r->facts.tampered += !is_right;
	backup_count(&s->r->facts, r.table);
	return s->r->record ? s->r->record(s->r->arg, &r, is_right) : KF_OK;
}

static kf_err take_end(struct stream *s)
{
	uint8_t mac[MAC_SIZE];
	KF_TRY(backup_digest_mac(&s->digest, s->r->keyring, slice_of(s->master), mac));
	if (!kf_ok(mac_check(mac, buf_slice(&s->chunk))))
		return kf_fail(TAMPERED, "backup was changed");
	if (s->sum.rows != s->r->head.rows ||
		memcmp(s->sum.sum, s->r->head.sum, MAC_SIZE) != 0)
		return kf_fail(
			TAMPERED, "records are missing from the backup or were replaced");
	return KF_OK;
}

static kf_err take_chunks(struct stream *s)
{
	for (;;) {
		KF_TRY(read_chunk(s));
		if (s->kind == CHUNK_END)
			return take_end(s);
		if (s->kind == CHUNK_MASTER)
			KF_TRY(take_master(s));
		else if (s->kind == CHUNK_RECORD)
			KF_TRY(take_record(s));
		else
			return kf_fail(MALFORMED, "backup holds an unknown chunk");
	}
}

static kf_err read_all(struct stream *s)
{
	KF_TRY(backup_digest_init(&s->digest));
	KF_TRY(take_magic(s));
	KF_TRY(take_head(s));
	return take_chunks(s);
}

kf_err backup_read(struct backup_reader *r)
{
	struct stream s = { .r = r, .chunk = buf_new(CHUNK_MAX) };
	r->head = (struct head){ 0 };
	r->facts = (struct store_backup_facts){ 0 };
	kf_err err = read_all(&s);
	backup_digest_free(&s.digest);
	buf_free(&s.chunk);
	return err;
}

kf_err store_backup_verify(const struct keyring *keyring, store_source source, void *arg,
	struct store_backup_facts *ret)
{
	struct backup_reader r = {
		.keyring = keyring, .source = source, .source_arg = arg
	};
	KF_TRY(backup_read(&r));
	*ret = r.facts;
	return KF_OK;
}
