/* SPDX-License-Identifier: Apache-2.0 */
/* direct: the driver's link to a virtual card in the same process, without pcscd.  Test programs link the
 * virtual card; the driver never does. */
#pragma once
#include "base/mem.h"
#include "test.h"
#include "token/driver.h"
#include "token/schsm/schsm.h"
#include "vhsm/vhsm.h"
#include <stdlib.h>

#define USER_PIN "648219"
#define SO_PIN   "3537363231383830"

struct direct {
	struct card_link link;
	struct vhsm *v;
	uint64_t pulls;
};

/* This thread's card is pulled at the command after so many: before it gets there, or before its answer does. */
static _Thread_local struct direct_cut {
	bool is_armed;
	int commands;
	bool is_after;
} direct_cut;

static inline bool direct_is_cut(struct direct *d, bool is_after)
{
	if (!direct_cut.is_armed || direct_cut.commands > 0 ||
		direct_cut.is_after != is_after)
		return false;
	direct_cut.is_armed = false;
	if (!kf_ok(vhsm_tell(d->v, "unplug")))
		abort();
	return true;
}

/* What else happens to the card when it has done a command. */
static void (*direct_after)(struct vhsm *v, struct slice apdu);

static inline bool direct_is_same(const struct direct *d)
{
	struct vhsm_presence p = vhsm_presence(d->v);
	return p.is_in && p.pulls == d->pulls;
}

static inline kf_err direct_transmit(
	struct card_link *l, struct slice apdu, struct buf *ret)
{
	struct direct *d = (struct direct *)l;
	if (direct_is_cut(d, false) || !direct_is_same(d))
		return kf_fail(CLOSED, "the card is not in its reader");
	kf_err e = vhsm_transmit(d->v, apdu, ret);
	if (direct_after)
		direct_after(d->v, apdu);
	bool is_cut = direct_is_cut(d, true);
	direct_cut.commands -= direct_cut.commands > 0;
	if (!kf_ok(e) || is_cut)
		return kf_fail(TOKEN, "the card was pulled or reset");
	return KF_OK;
}

static inline kf_err direct_repair(struct card_link *l)
{
	return direct_is_same((struct direct *)l)
		       ? KF_OK
		       : kf_fail(CLOSED, "the card is not in its reader");
}

static inline void direct_interrupt(struct card_link *l)
{
	if (!kf_ok(vhsm_tell(((struct direct *)l)->v, "reset")))
		abort();
}

static inline void direct_close(struct card_link *l) { free(l); }

static const struct card_link_ops direct_ops = { direct_transmit, direct_repair,
	direct_interrupt, direct_close };

static inline kf_err direct_open(struct vhsm *v, struct token **ret)
{
	struct direct *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	*d = (struct direct){
		.link.ops = &direct_ops, .v = v, .pulls = vhsm_presence(v).pulls
	};
	d->link.atr_n = vhsm_atr().n;
	memcpy(d->link.atr, vhsm_atr().p, vhsm_atr().n);
	if (!vhsm_presence(v).is_in || !kf_ok(vhsm_reset(v))) {
		free(d);
		return kf_fail(CLOSED, "the card is not in its reader");
	}
	return schsm_open_link(&d->link, ret);
}

static inline struct token_pin pin_of(const char *text)
{
	struct token_pin p = { .n = strlen(text) };
	memcpy(p.bytes, text, p.n);
	return p;
}

/* What the driver tells of failures, for a failed test's output. */
static inline bool is_good(kf_err e)
{
	if (!kf_ok(e))
		printf("# %s: %s (%s:%d)\n", kf_code_name(e.code), e.site->text,
			e.site->file, e.site->line);
	return kf_ok(e);
}

/* A card of its own; with it come the locked pages that its keys lie in. */
static inline struct vhsm *new_vhsm(void)
{
	static bool is_ready;
	struct vhsm *v = NULL;
	if ((!is_ready && !is_good(secret_init(1 << 18))) || !is_good(vhsm_new(NULL, &v)))
		abort();
	is_ready = true;
	return v;
}

/* Initialised with one DKEK share (all bytes the same), logged in. */
static inline struct token *direct_ready(struct vhsm *v)
{
	const struct token_pin so = pin_of(SO_PIN), pin = pin_of(USER_PIN);
	uint8_t share[32];
	struct token *t;
	memset(share, 0x5a, sizeof(share));
	if (!is_good(direct_open(v, &t)) ||
		!is_good(schsm_driver.initialise(t, &(struct token_init){ .so_pin = &so,
							    .pin = &pin,
							    .shares = 1,
							    .label = "one" })) ||
		!is_good(schsm_driver.import_share(t, share)))
		abort();
	return t;
}

static inline void token_closep(struct token **t) { schsm_driver.close(*t); }
