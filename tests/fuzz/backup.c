/* SPDX-License-Identifier: Apache-2.0
 *
 * A backup, and a single record, from somebody who does not mean well.
 */
#include "crypt/keyring.h"
#include "store/record.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static kf_err from_slice(void *arg, uint8_t *p, size_t size, size_t *ret)
{
	struct slice *s = arg;
	*ret = size < s->n ? size : s->n;
	if (*ret)
		memcpy(p, s->p, *ret);
	s->p += *ret;
	s->n -= *ret;
	return KF_OK;
}

static const struct keyring *keyring(void)
{
	static struct keyring *k;
	unsigned line;
	if (!k && !kf_ok(keyring_parse(SLICE_LIT("a = 000102030405060708090a0b0c0d0e0f"
						 "101112131415161718191a1b1c1d1e1f\n"),
			  &line, &k)))
		abort();
	return k;
}

static void decode(const struct record *r)
{
	struct object *o = NULL;
	struct client_row client;
	struct grant_row grant;
	bool is_dropped;
	if (r->table == TABLE_OBJECT && kf_ok(record_to_object(r, &o)))
		object_unref(o);
	if (r->table == TABLE_CLIENT && !kf_ok(record_to_client(r, &client)))
		return;
	if (r->table == TABLE_GRANT && !kf_ok(record_to_grant(r, &grant, &is_dropped)))
		return;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice in = { p, n }, again = in;
	struct store_backup_facts facts;
	struct record r;
	bool is_right = kf_ok(store_backup_verify(keyring(), from_slice, &again, &facts));
	if (is_right && facts.sequence == 0 && facts.objects)
		abort();
	if (kf_ok(record_parse(in, &r)))
		decode(&r);
	return 0;
}
