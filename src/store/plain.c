/* SPDX-License-Identifier: Apache-2.0
 *
 * plain: the material of small secrets that are read again and again, opened once.  To unseal costs
 * more than all the rest of a Get.  What is kept lies in secret memory, where the private keys' numbers
 * and the master keys are too, and goes with its object.
 */
#include "base/mem.h"
#include "store/work.h"
#include <string.h>

enum {
	PLAIN_MAX = 1024, /* bytes of one object: keys and passwords, not documents */
	TRY_EVERY = 4096, /* when the secret memory was full: to look for room is slow */
};

struct object_plain {
	size_t n;
	uint8_t bytes[];
};

void object_plain_free(struct object_plain *p) { secret_free(p); }

static bool is_worth_keeping(const struct object *o, size_t n)
{
	return n <= PLAIN_MAX &&
	       (o->type == OBJECT_SYMMETRIC_KEY || o->type == OBJECT_SECRET_DATA);
}

static struct object_plain *copy_of(struct store *s, struct slice bytes)
{
	if (atomic_load_explicit(&s->plain_full, memory_order_relaxed) &&
		atomic_fetch_add_explicit(&s->plain_full, 1, memory_order_relaxed) %
			TRY_EVERY)
		return NULL;
	struct object_plain *p = secret_alloc_spare(sizeof(*p) + bytes.n);
	atomic_store_explicit(&s->plain_full, p ? 0 : 1, memory_order_relaxed);
	if (!p)
		return NULL;
	p->n = bytes.n;
	memcpy(p->bytes, bytes.p, bytes.n);
	return p;
}

/* Readers share the object; whoever comes first leaves its copy there. */
static void keep(struct store *s, const struct object *o, struct slice bytes)
{
	struct object *own = (struct object *)(uintptr_t)o;
	struct object_plain *none = NULL, *p = copy_of(s, bytes);

	if (p && !atomic_compare_exchange_strong_explicit(&own->plain, &none, p,
			 memory_order_acq_rel, memory_order_relaxed))
		object_plain_free(p);
}

kf_err store_material(
	struct store *s, const struct object *o, struct buf *scratch, struct slice *ret)
{
	struct object *own = (struct object *)(uintptr_t)o;
	const struct object_plain *p =
		atomic_load_explicit(&own->plain, memory_order_acquire);

	if (p) {
		*ret = (struct slice){ p->bytes, p->n };
		return KF_OK;
	}
	KF_TRY(store_unseal(s, o, scratch));
	*ret = buf_slice(scratch);
	if (is_worth_keeping(o, ret->n))
		keep(s, o, *ret);
	return KF_OK;
}
