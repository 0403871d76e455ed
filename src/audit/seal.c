/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/seal.h"
#include "audit/line.h"
#include "base/clock.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the key ---- */

kf_err seal_signer(const struct keyring *k, struct slice id, struct signer **ret)
{
	return keyring_signer(k, id, "keyfleet audit key 1", ret);
}

static kf_err make_signer(
	const struct seal *s, struct slice id, char *ret_id, struct signer **ret)
{
	KF_TRY(slice_to_text(id, ret_id, MASTER_ID_MAX + 1));
	return seal_signer(s->keyring, id, ret);
}

kf_err seal_use_key(struct seal *s, struct slice id)
{
	struct signer *signer = NULL;
	KF_TRY(make_signer(s, id, s->key, &signer));
	signer_free(s->signer);
	s->signer = signer;
	return KF_OK;
}

struct slice seal_to_sign(const struct seal_claim *c, uint8_t room[SEAL_TO_SIGN])
{
	static const char purpose[] = "keyfleet audit checkpoint 1";
	enum { NUMBER = sizeof(purpose) + CHAIN_ORIGIN_SIZE, CHAIN = NUMBER + 8 };
	static_assert(CHAIN + CHAIN_SIZE <= SEAL_TO_SIGN, "room");
	memcpy(room, purpose, sizeof(purpose));
	memcpy(room + sizeof(purpose), c->origin, CHAIN_ORIGIN_SIZE);
	for (int i = 0; i < 8; i++)
		room[NUMBER + i] = (uint8_t)(c->number >> (56 - 8 * i));
	memcpy(room + CHAIN, c->chain, CHAIN_SIZE);
	return (struct slice){ room, CHAIN + CHAIN_SIZE };
}

/* ---- life ---- */

kf_err seal_init(struct seal *s, const struct audit_conf *conf)
{
	*s = (struct seal){ .server = conf->server ? conf->server : "-",
		.keyring = conf->keyring,
		.at = calloc(1, sizeof(struct chains)),
		.next = calloc(1, sizeof(struct chains)) };
	if (!s->at || !s->next)
		return kf_fail(NOMEM, "audit chains");
	if (!s->keyring)
		return kf_fail(CONFIG, "audit without a master key");
	return KF_OK;
}

void seal_clear(struct seal *s)
{
	signer_free(s->signer);
	signer_free(s->coming);
	free(s->at);
	free(s->next);
	*s = (struct seal){ 0 };
}

size_t seal_line_max(const struct seal *s)
{
	return SEAL_LINE_BYTES + s->at->loops * (size_t)SEAL_CHAIN_BYTES;
}

void seal_begin(struct seal *s)
{
	chains_copy(s->next, s->at);
	signer_free(s->coming);
	s->coming = NULL;
}

void seal_keep(struct seal *s)
{
	struct chains *was = s->at;
	s->at = s->next;
	s->next = was;
	if (!s->coming)
		return;
	signer_free(s->signer);
	s->signer = s->coming;
	s->coming = NULL;
	memcpy(s->key, s->coming_key, sizeof(s->key));
}

/* ---- records ---- */

size_t seal_records(struct seal *s, unsigned loop, uint8_t *p, size_t n)
{
	struct chain *chain = &s->next->loop[loop];
	size_t lines = 0;
	for (uint8_t *end = p + n, *stop; (stop = memchr(p, '\n', (size_t)(end - p)));
		p = stop + 1, lines++) {
		size_t text = (size_t)(stop + 1 - p) - CHAIN_END_SIZE;
		chain_add(chain, (struct slice){ p, text });
		chain_to_hex(chain->head, CHAIN_SHOWN,
			(char *)stop - 2 * (ptrdiff_t)CHAIN_SHOWN);
		chains_note(s->next, chain);
	}
	return lines;
}

/* ---- lines of the journal ---- */

static void put_hex(struct buf *b, const char *key, const uint8_t *p, size_t n)
{
	char text[2 * SIGNER_SIGNATURE_SIZE];
	chain_to_hex(p, n, text);
	buf_printf(b, " %s=%.*s", key, (int)(2 * n), text);
}

static void put_number(struct buf *b, const char *key, uint64_t v)
{
	buf_printf(b, " %s=%llu", key, (unsigned long long)v);
}

void audit_put_field(struct buf *to, const char *key, struct slice value)
{
	enum { MOST = 300 };
	uint8_t text[LINE_VALUE_SIZE(MOST)];
	buf_printf(to, " %s=", key);
	buf_add(to, text, line_value(value, MOST, text));
}

static void put_start(const struct seal *s, const char *event, struct buf *b)
{
	char time[LINE_TIME_SIZE];
	line_time(clock_wall_us(), time);
	buf_printf(b, "time=%s event=%s", time, event);
	put_number(b, "number", s->next->journal.sequence + 1);
}

static void add_to_chain(struct seal *s, const struct buf *b, size_t from)
{
	chain_add(&s->next->journal, (struct slice){ b->p + from, b->n - from });
}

kf_err seal_event(struct seal *s, const char *event, struct slice fields, struct buf *ret)
{
	size_t from = ret->n;
	put_start(s, event, ret);
	buf_add_slice(ret, fields);
	KF_TRY(buf_err(ret));
	add_to_chain(s, ret, from);
	put_hex(ret, "chain", s->next->journal.head, CHAIN_SHOWN);
	buf_add_u8(ret, '\n');
	chains_note(s->next, &s->next->journal);
	return buf_err(ret);
}

static void put_public(struct buf *b, const struct signer *signer)
{
	uint8_t public[SIGNER_PUBLIC_SIZE];
	signer_public(signer, public);
	put_hex(b, "public", public, sizeof(public));
}

static void put_segment(const struct seal *s, struct buf *b)
{
	put_number(b, "segment", s->segment);
	put_number(b, "after", s->after);
	put_hex(b, "origin", s->next->origin, CHAIN_ORIGIN_SIZE);
	audit_put_field(b, "server", slice_of(s->server));
	audit_put_field(b, "key", slice_of(s->key));
	put_public(b, s->signer);
}

static void put_heads(const struct chains *c, bool has_all, struct buf *b)
{
	bool any = false;
	buf_add_text(b, " heads=");
	for (unsigned i = 0; i < c->loops; i++) {
		char head[2 * CHAIN_SIZE];
		if (!has_all && c->loop[i].sequence == c->loop[i].sealed)
			continue;
		chain_to_hex(c->loop[i].head, CHAIN_SIZE, head);
		buf_printf(b, "%s%u:%llu:%.*s", any ? "," : "", i,
			(unsigned long long)c->loop[i].sequence, (int)sizeof(head), head);
		any = true;
	}
	if (!any)
		buf_add_u8(b, '-');
}

static void put_checkpoint(const struct seal *s, enum seal_kind kind, struct buf *b)
{
	static const char *const event[] = { "checkpoint", "segment", "stop" };
	uint8_t order[CHAIN_SIZE];
	put_start(s, event[kind], b);
	if (kind == SEAL_SEGMENT)
		put_segment(s, b);
	put_hex(b, "previous", s->next->journal.head, CHAIN_SIZE);
	chains_order(s->next, order);
	put_hex(b, "order", order, sizeof(order));
	put_heads(s->next, kind == SEAL_SEGMENT, b);
	put_number(b, "retired", s->retired);
}

static uint64_t count_records(const struct chains *c)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < c->loops; i++)
		n += c->loop[i].sequence;
	return n;
}

static kf_err note_head(struct seal *s, const uint8_t signature[SIGNER_SIGNATURE_SIZE])
{
	autobuf b = buf_new(AUDIT_HEAD_SIZE);
	char time[LINE_TIME_SIZE];
	line_time(clock_wall_us(), time);
	put_hex(&b, "origin", s->next->origin, CHAIN_ORIGIN_SIZE);
	audit_put_field(&b, "server", slice_of(s->server));
	put_number(&b, "number", s->next->journal.sequence);
	put_number(&b, "records", count_records(s->next));
	buf_printf(&b, " time=%s", time);
	put_hex(&b, "chain", s->next->journal.head, CHAIN_SIZE);
	put_hex(&b, "signature", signature, SIGNER_SIGNATURE_SIZE);
	buf_consume(&b, 1); /* the first blank */
	KF_TRY(buf_err(&b));
	s->head.number = s->next->journal.sequence;
	return slice_to_text(buf_slice(&b), s->head.line, sizeof(s->head.line));
}

kf_err seal_checkpoint(struct seal *s, enum seal_kind kind, struct buf *ret)
{
	size_t from = ret->n;
	uint8_t room[SEAL_TO_SIGN], signature[SIGNER_SIGNATURE_SIZE];
	put_checkpoint(s, kind, ret);
	KF_TRY(buf_err(ret));
	add_to_chain(s, ret, from);
	struct seal_claim claim = { s->next->origin, s->next->journal.head,
		s->next->journal.sequence };
	KF_TRY(signer_sign(s->signer, seal_to_sign(&claim, room), signature));
	put_hex(ret, "chain", claim.chain, CHAIN_SIZE);
	put_hex(ret, "signature", signature, sizeof(signature));
	buf_add_u8(ret, '\n');
	chains_seal(s->next);
	KF_TRY(buf_err(ret));
	KF_TRY(note_head(s, signature));
	chain_fold(&s->next->journal, (struct slice){ signature, sizeof(signature) });
	return KF_OK;
}

/* ---- another master key ---- */

bool seal_needs_key(const struct seal *s)
{
	return strcmp(keyring_id(s->keyring, 0), s->key) != 0;
}

kf_err seal_renew_key(struct seal *s, struct buf *ret)
{
	struct slice id = slice_of(keyring_id(s->keyring, 0));
	KF_TRY(make_signer(s, id, s->coming_key, &s->coming));
	autobuf fields = buf_new(SEAL_LINE_BYTES);
	audit_put_field(&fields, "key", id);
	put_public(&fields, s->coming);
	KF_TRY(buf_err(&fields));
	KF_TRY(seal_event(s, "key", buf_slice(&fields), ret));
	return seal_checkpoint(s, SEAL_CHECKPOINT, ret);
}
