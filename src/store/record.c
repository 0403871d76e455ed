/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"
#include <assert.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 8 << 20 };

#define INT    (1 << VALUE_INT)
#define TEXT   (1 << VALUE_TEXT)
#define BLOB   (1 << VALUE_BYTES)
#define DATE   (1 << VALUE_INT | 1 << VALUE_NULL)
#define LATER  (1 << VALUE_INT | 1 << VALUE_NULL) /* added by a later schema */
#define COMMON TEXT, INT, INT, INT, TEXT, BLOB

static const struct kinds {
	const char *name;
	size_t n;
	uint8_t kind[RECORD_COLUMNS];
} tables[TABLES] = {
	[TABLE_OBJECT] = { "object", OBJECT_COLUMNS,
		{ COMMON, INT, TEXT, INT, DATE, DATE, DATE, DATE, DATE, DATE, BLOB,
			BLOB } },
	[TABLE_CLIENT] = { "client", CLIENT_COLUMNS, { COMMON, INT, BLOB } },
	[TABLE_GRANT] = { "grant", GRANT_COLUMNS,
		{ COMMON, INT, TEXT, TEXT, INT, INT, LATER, LATER, LATER } },
};

enum value_kind record_kind(enum table_id table, size_t column)
{
	const uint8_t kinds = tables[table].kind[column];
	return kinds & INT ? VALUE_INT : kinds & TEXT ? VALUE_TEXT : VALUE_BYTES;
}

size_t record_columns(enum table_id table) { return tables[table].n; }

kf_err record_read(
	enum table_id table, const struct value *v, size_t n, struct record *ret)
{
	const struct kinds *t = &tables[table];
	if (n != t->n)
		return kf_fail(TAMPERED, "row has the wrong number of columns");
	for (size_t i = 0; i < n; i++)
		if (!(t->kind[i] & 1 << v[i].kind))
			return kf_fail(TAMPERED, "column has the wrong type");
	*ret = (struct record){ .table = table };
	memcpy(ret->v, v, n * sizeof(*v));
	return KF_OK;
}

/* --- objects --- */

static struct value text(const char *s) { return value_text(slice_of(s)); }

static struct value date(int64_t d)
{
	return d == DATE_UNSET ? (struct value){ 0 } : value_int(d);
}

void record_of_object(const struct object *o, struct record *ret)
{
	*ret = (struct record){ .table = TABLE_OBJECT };
	struct value *v = ret->v;
	v[COL_ID] = text(o->id);
	v[COL_VERSION] = value_int((int64_t)o->version);
	v[OBJECT_TYPE] = value_int(o->type);
	v[OBJECT_OWNER] = text(o->owner);
	v[OBJECT_STATE] = value_int(o->stored_state);
	v[OBJECT_DATES + 0] = date(o->initial_date);
	v[OBJECT_DATES + 1] = date(o->activation_date);
	v[OBJECT_DATES + 2] = date(o->process_start_date);
	v[OBJECT_DATES + 3] = date(o->protect_stop_date);
	v[OBJECT_DATES + 4] = date(o->deactivation_date);
	v[OBJECT_DATES + 5] = date(o->destroy_date);
	v[OBJECT_ATTRS] = value_bytes(o->attrs);
	v[OBJECT_SEALED] = value_bytes(o->sealed);
}

kf_err record_to_object(const struct record *r, struct object **ret)
{
	const struct value *v = r->v;
	struct object_parts parts = {
		.id = v[COL_ID].s,
		.owner = v[OBJECT_OWNER].s,
		.attrs = v[OBJECT_ATTRS].s,
		.sealed = v[OBJECT_SEALED].s,
		.type = (enum object_type)v[OBJECT_TYPE].i,
		.version = (uint64_t)v[COL_VERSION].i,
	};
	return object_new(&parts, ret);
}

/* --- clients: each certificate is 32 bytes of fingerprint and 8 of its end --- */

enum { CERTIFICATE_SIZE = 40 };

kf_err record_of_client(
	const struct client_row *row, struct buf *scratch, struct record *ret)
{
	size_t max = sizeof(row->certificate) / sizeof(row->certificate[0]);
	if (row->certificates > max)
		return kf_fail(LIMIT, "a client has four certificates at most");
	buf_clear(scratch);
	for (size_t i = 0; i < row->certificates; i++) {
		const struct client_certificate *c = &row->certificate[i];
		buf_add(scratch, c->fingerprint, sizeof(c->fingerprint));
		buf_add_u64(scratch, (uint64_t)c->not_after);
	}
	KF_TRY(buf_err(scratch));
	*ret = (struct record){ .table = TABLE_CLIENT };
	ret->v[COL_ID] = text(row->name);
	ret->v[COL_VERSION] = value_int((int64_t)row->version);
	ret->v[CLIENT_IS_REVOKED] = value_int(row->is_revoked);
	ret->v[CLIENT_CERTIFICATES] = value_bytes(buf_slice(scratch));
	return KF_OK;
}

static int64_t big_endian(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

kf_err record_to_client(const struct record *r, struct client_row *ret)
{
	struct client_row row = { .version = (uint64_t)r->v[COL_VERSION].i };
	struct slice s = r->v[CLIENT_CERTIFICATES].s;
	KF_TRY(slice_to_text(r->v[COL_ID].s, row.name, sizeof(row.name)));
	row.is_revoked = r->v[CLIENT_IS_REVOKED].i != 0;
	row.certificates = s.n / CERTIFICATE_SIZE;
	if (s.n % CERTIFICATE_SIZE ||
		row.certificates > sizeof(row.certificate) / sizeof(row.certificate[0]))
		return kf_fail(TAMPERED, "certificates of a client are malformed");
	for (size_t i = 0; i < row.certificates; i++) {
		const uint8_t *p = s.p + i * CERTIFICATE_SIZE;
		memcpy(row.certificate[i].fingerprint, p, 32);
		row.certificate[i].not_after = big_endian(p + 32);
	}
	*ret = row;
	return KF_OK;
}

/* --- grants --- */

static struct value limit(uint32_t n) { return n ? value_int(n) : (struct value){ 0 }; }

void record_of_grant(const struct grant_row *row, bool is_dropped, struct record *ret)
{
	*ret = (struct record){ .table = TABLE_GRANT };
	ret->v[COL_ID] = text(row->id);
	ret->v[COL_VERSION] = value_int((int64_t)row->version);
	ret->v[GRANT_IS_DROPPED] = value_int(is_dropped);
	ret->v[GRANT_WHO] = text(row->who);
	ret->v[GRANT_TARGET] = text(row->key);
	ret->v[GRANT_PERMISSIONS] = value_int(row->permissions);
	ret->v[GRANT_CONSTRAINTS] = value_int(row->constraints);
	ret->v[GRANT_RATE] = limit(row->limits.rate_per_hour);
	ret->v[GRANT_BURST] = limit(row->limits.burst);
	ret->v[GRANT_CONCURRENCY] = limit(row->limits.concurrency);
}

kf_err record_to_grant(const struct record *r, struct grant_row *ret, bool *is_dropped)
{
	struct grant_row row = {
		.version = (uint64_t)r->v[COL_VERSION].i,
		.permissions = (uint32_t)r->v[GRANT_PERMISSIONS].i,
		.constraints = (uint32_t)r->v[GRANT_CONSTRAINTS].i,
		.limits = { .rate_per_hour = (uint32_t)r->v[GRANT_RATE].i,
			.burst = (uint32_t)r->v[GRANT_BURST].i,
			.concurrency = (uint32_t)r->v[GRANT_CONCURRENCY].i },
	};
	KF_TRY(slice_to_text(r->v[COL_ID].s, row.id, sizeof(row.id)));
	KF_TRY(slice_to_text(r->v[GRANT_WHO].s, row.who, sizeof(row.who)));
	KF_TRY(slice_to_text(r->v[GRANT_TARGET].s, row.key, sizeof(row.key)));
	*ret = row;
	*is_dropped = r->v[GRANT_IS_DROPPED].i != 0;
	return KF_OK;
}

/* --- authentication --- */

static void add_bytes(struct buf *b, struct slice s)
{
	buf_add_u32(b, (uint32_t)s.n);
	buf_add_slice(b, s);
}

static void add_value(struct buf *b, const struct value *v)
{
	buf_add_u8(b, (uint8_t)v->kind);
	switch (v->kind) {
	case VALUE_NULL: break;
	case VALUE_INT: buf_add_u64(b, (uint64_t)v->i); break;
	case VALUE_TEXT:
	case VALUE_BYTES: add_bytes(b, v->s); break;
	}
}

/* Without trailing nulls: those of columns that the table did not always have. */
static size_t count_written(const struct record *r)
{
	size_t n = tables[r->table].n;
	while (n > COL_OWN && r->v[n - 1].kind == VALUE_NULL)
		n--;
	return n;
}

static kf_err record_mac(
	const struct keyring *k, const struct record *r, uint8_t ret[MAC_SIZE])
{
	autobuf b = buf_new(RECORD_BYTES_MAX);
	size_t n = count_written(r);
	add_bytes(&b, slice_of(tables[r->table].name));
	for (size_t i = 0; i < n; i++)
		if (i != COL_MAC)
			add_value(&b, &r->v[i]);
	KF_TRY(buf_err(&b));
	return keyring_mac(k, r->v[COL_MASTER].s, KEYRING_LABEL_ROW, buf_slice(&b), ret);
}

void record_write(const struct record *r, struct buf *ret)
{
	size_t n = count_written(r);
	buf_add_u8(ret, (uint8_t)r->table);
	for (size_t i = 0; i < n; i++)
		add_value(ret, &r->v[i]);
}

static kf_err take_bytes(struct slice *in, size_t n, struct slice *ret)
{
	if (n > in->n)
		return kf_fail(SHORT, "record ends too early");
	*ret = (struct slice){ in->p, n };
	in->p += n;
	in->n -= n;
	return KF_OK;
}

static kf_err parse_value(struct slice *in, struct value *ret)
{
	struct slice kind, s;
	KF_TRY(take_bytes(in, 1, &kind));
	*ret = (struct value){ .kind = (enum value_kind)kind.p[0] };
	switch (ret->kind) {
	case VALUE_NULL: return KF_OK;
	case VALUE_INT:
		KF_TRY(take_bytes(in, 8, &s));
		ret->i = big_endian(s.p);
		return KF_OK;
	case VALUE_TEXT:
	case VALUE_BYTES:
		KF_TRY(take_bytes(in, 4, &s));
		return take_bytes(in,
			(size_t)s.p[0] << 24 | (size_t)s.p[1] << 16 |
				(size_t)s.p[2] << 8 | s.p[3],
			&ret->s);
	}
	return kf_fail(MALFORMED, "record holds an unknown kind of value");
}

kf_err record_parse(struct slice in, struct record *ret)
{
	struct slice table;
	struct value v[RECORD_COLUMNS] = { 0 };
	KF_TRY(take_bytes(&in, 1, &table));
	if (table.p[0] >= TABLES)
		return kf_fail(MALFORMED, "record is of an unknown table");
	size_t n = tables[table.p[0]].n;
	for (size_t i = 0; i < n && in.n; i++)
		KF_TRY(parse_value(&in, &v[i]));
	if (in.n)
		return kf_fail(MALFORMED, "record is too long");
	return record_read((enum table_id)table.p[0], v, n, ret);
}

kf_err record_sign(const struct keyring *k, struct record *r, uint8_t mac[MAC_SIZE])
{
	r->v[COL_MASTER] = text(keyring_id(k, 0));
	KF_TRY(record_mac(k, r, mac));
	r->v[COL_MAC] = value_bytes((struct slice){ mac, MAC_SIZE });
	return KF_OK;
}

kf_err record_check(const struct keyring *k, const struct record *r)
{
	uint8_t want[MAC_SIZE];
	KF_TRY(record_mac(k, r, want));
	return mac_check(want, r->v[COL_MAC].s);
}

/* --- the head --- */

kf_err record_term(const struct keyring *k, const struct record *r, uint8_t ret[MAC_SIZE])
{
	autobuf b = buf_new(4096);
	add_bytes(&b, slice_of(tables[r->table].name));
	add_value(&b, &r->v[COL_ID]);
	add_value(&b, &r->v[COL_VERSION]);
	add_value(&b, &r->v[COL_MAC]);
	KF_TRY(buf_err(&b));
	return keyring_mac(k, r->v[COL_MASTER].s, KEYRING_LABEL_SUM, buf_slice(&b), ret);
}

static void sum_add(uint8_t sum[MAC_SIZE], const uint8_t t[MAC_SIZE])
{
	unsigned carry = 0;
	for (int i = MAC_SIZE - 1; i >= 0; i--) {
		carry += (unsigned)sum[i] + t[i];
		sum[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

void head_add(struct head *h, const uint8_t term[MAC_SIZE])
{
	sum_add(h->sum, term);
	h->rows++;
}

void head_drop(struct head *h, const uint8_t term[MAC_SIZE])
{
	static const uint8_t one[MAC_SIZE] = { [MAC_SIZE - 1] = 1 };
	uint8_t minus[MAC_SIZE];
	for (int i = 0; i < MAC_SIZE; i++)
		minus[i] = (uint8_t)~term[i];
	sum_add(minus, one);
	sum_add(h->sum, minus);
	h->rows--;
}

bool head_eq(const struct head *a, const struct head *b)
{
	return a->incarnation == b->incarnation && a->sequence == b->sequence &&
	       a->rows == b->rows && memcmp(a->sum, b->sum, MAC_SIZE) == 0;
}

kf_err head_sign(const struct keyring *k, const struct head *h, struct slice master,
	uint8_t ret[MAC_SIZE])
{
	autobuf b = buf_new(256);
	buf_add_u64(&b, (uint64_t)h->incarnation);
	buf_add_u64(&b, h->sequence);
	buf_add_u64(&b, h->rows);
	buf_add(&b, h->sum, sizeof(h->sum));
	KF_TRY(buf_err(&b));
	return keyring_mac(k, master, "keyfleet store head", buf_slice(&b), ret);
}

kf_err head_check(const struct keyring *k, const struct head *h, struct slice master,
	struct slice mac)
{
	uint8_t want[MAC_SIZE];
	KF_TRY(head_sign(k, h, master, want));
	return mac_check(want, mac);
}
