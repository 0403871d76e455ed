/* SPDX-License-Identifier: Apache-2.0
 *
 * token_buried: keys on tokens that were destroyed.  The object's attributes stay, and with them the key's id: a token
 * that was away, or is another key server's, is known by it to hold what must be deleted.
 */
#include "kmip/attrs.h"
#include "kmip/token_admin.h"
#include "op/token_key.h"
#include "store/term.h"
#include <stdio.h>
#include <string.h>

enum { HEX_SIZE = 2 * KEY_ID_SIZE + 1 };

static void put_attribute(const uint8_t key_id[KEY_ID_SIZE], struct buf *ret)
{
	char hex[HEX_SIZE];
	for (size_t i = 0; i < KEY_ID_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", key_id[i]);
	attrs_add_vendor_text(ret, slice_of(TOKEN_ATTRIBUTE_VENDOR),
		slice_of(TOKEN_ATTRIBUTE_KEY_ID), slice_of(hex));
}

void token_key_bury(struct buf *attrs, const struct token_key *key)
{
	put_attribute(key->id, attrs);
}

/* ---- objects that are there ---- */

struct finding {
	const uint8_t *key_id;
	const struct object *found;
};

static bool is_private_of(void *arg, const struct object *o)
{
	struct finding *f = arg;
	if (o->key && !object_is_destroyed(o) && pool_key_is(o->key) &&
		!memcmp(o->key_id, f->key_id, KEY_ID_SIZE))
		f->found = o;
	return !f->found;
}

const struct object *token_key_object(
	const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE])
{
	struct finding f = { .key_id = key_id };
	catalog_each_key(c, key_id, is_private_of, &f);
	return f.found;
}

/* ---- those that were ---- */

/* What has the term is looked at: two values may have one. */
static bool has_attribute(const struct object *o, const struct ttlv_item *wanted)
{
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	while ((o->type == OBJECT_PRIVATE_KEY || o->type == OBJECT_SYMMETRIC_KEY) &&
		object_is_destroyed(o) && ttlv_next(&r, &it))
		if (slice_eq(it.whole, wanted->whole))
			return true;
	return false;
}

/* The last of them that was destroyed. */
static const struct object *find_with(
	const struct catalog *c, uint64_t term, const struct ttlv_item *wanted)
{
	const struct object *last = NULL;
	struct posting p;
	catalog_having(c, term, &p);
	for (size_t i = 0; i < p.n; i++) {
		const struct object *o = catalog_at(c, posting_at(&p, i));
		if (o && has_attribute(o, wanted) &&
			(!last || o->destroy_date > last->destroy_date))
			last = o;
	}
	return last;
}

static const struct object *find_destroyed(
	const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE])
{
	const struct term_space gone = catalog_terms(c, true);
	autobuf attribute = buf_new(512);
	struct terms terms;
	struct ttlv_item it;
	const struct object *found = NULL;
	put_attribute(key_id, &attribute);
	struct ttlv_reader r = ttlv_read(buf_slice(&attribute));
	if (!ttlv_next(&r, &it))
		return NULL;
	terms_init(&terms);
	terms_of_item(&gone, &it, &terms);
	if (kf_ok(terms.err) && terms.n)
		found = find_with(c, terms.p[terms.n - 1], &it);
	terms_free(&terms);
	return found;
}

const struct object *token_key_buried(
	const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE])
{
	const struct object *o = find_destroyed(c, key_id);
	return o && !token_key_object(c, key_id) ? o : NULL;
}

bool token_key_is_buried(const struct catalog *c, const uint8_t key_id[KEY_ID_SIZE],
	char ret_id[OBJECT_ID_SIZE])
{
	const struct object *o = token_key_buried(c, key_id);
	if (o)
		memcpy(ret_id, o->id, OBJECT_ID_SIZE);
	return o != NULL;
}
