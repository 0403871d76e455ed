/* SPDX-License-Identifier: Apache-2.0
 *
 * opened: the material of what is read again and again, opened once.  To unseal costs more than all the
 * rest of a Get.  Public keys and certificates are no secret; small keys and passwords lie in secret
 * memory, where the private keys' numbers and the master keys are too.  It goes with its object.
 */
#include "base/mem.h"
#include "crypt/seal.h"
#include "store/work.h"
#include <string.h>

enum {
	SECRET_MAX = 1024, /* bytes of one object: keys and passwords, not documents */
	TRY_EVERY = 4096,  /* when the secret memory was full: to look for room is slow */
};

struct object_opened {
	size_t n;
	bool is_secret; /* its memory is */
	uint8_t bytes[];
};

void object_opened_free(struct object_opened *o)
{
	if (o && o->is_secret)
		secret_free(o);
	else
		free(o);
}

static bool is_public(const struct object *o)
{
	return o->type == OBJECT_PUBLIC_KEY || o->type == OBJECT_CERTIFICATE;
}

static bool is_worth_keeping(const struct object *o, size_t n)
{
	bool is_small_secret = n <= SECRET_MAX && (o->type == OBJECT_SYMMETRIC_KEY ||
							  o->type == OBJECT_SECRET_DATA);
	return is_public(o) || is_small_secret;
}

static struct object_opened *alloc_secret(struct store *s, size_t n)
{
	if (atomic_load_explicit(&s->secret_full, memory_order_relaxed) &&
		atomic_fetch_add_explicit(&s->secret_full, 1, memory_order_relaxed) %
			TRY_EVERY)
		return NULL;
	struct object_opened *p = secret_alloc_spare(n);
	atomic_store_explicit(&s->secret_full, p ? 0 : 1, memory_order_relaxed);
	return p;
}

static struct object_opened *copy_of(
	struct store *s, const struct object *o, struct slice bytes)
{
	size_t size = sizeof(struct object_opened) + bytes.n;
	struct object_opened *p = is_public(o) ? malloc(size) : alloc_secret(s, size);
	if (!p)
		return NULL; /* the next one tries again */
	p->n = bytes.n;
	p->is_secret = !is_public(o);
	if (bytes.n)
		memcpy(p->bytes, bytes.p, bytes.n);
	return p;
}

/* Readers share the object; whoever comes first leaves its copy there. */
static void keep(struct store *s, const struct object *o, struct slice bytes)
{
	struct object *own = (struct object *)(uintptr_t)o;
	struct object_opened *none = NULL, *p = copy_of(s, o, bytes);

	if (p && !atomic_compare_exchange_strong_explicit(&own->opened, &none, p,
			 memory_order_acq_rel, memory_order_relaxed))
		object_opened_free(p);
}

kf_err store_unseal(struct store *s, const struct object *o, struct buf *ret)
{
	autobuf binding = buf_new(1024);
	KF_TRY(object_binding(o, &binding));
	return unseal_object(s->conf.keyring, o->sealed, buf_slice(&binding), ret);
}

kf_err store_material(
	struct store *s, const struct object *o, struct buf *scratch, struct slice *ret)
{
	const struct object_opened *p =
		atomic_load_explicit(&o->opened, memory_order_acquire);

	if (p) {
		*ret = (struct slice){ p->bytes, p->n };
		return KF_OK;
	}
	buf_clear(scratch);
	KF_TRY(store_unseal(s, o, scratch));
	*ret = buf_slice(scratch);
	if (is_worth_keeping(o, ret->n))
		keep(s, o, *ret);
	return KF_OK;
}
