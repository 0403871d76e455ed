/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/vhsm.h"
#include "base/clock.h"
#include "vhsm/fault.h"
#include "vhsm/state.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct vhsm {
	pthread_mutex_t turn; /* guards card: one command at a time */
	struct card *card;
	struct fault fault;
	char *path; /* NULL: kept nowhere */
	_Atomic uint64_t commands, signatures;
};

static kf_err load_or_make(struct vhsm *v)
{
	kf_err e =
		v->path ? state_load(v->path, &v->card) : kf_fail(NOT_FOUND, "no file");
	if (!kf_is(e, KF_E_NOT_FOUND))
		return e;
	KF_TRY(card_new(&v->card));
	return v->path ? state_save(v->card, v->path) : KF_OK;
}

kf_err vhsm_new(const char *path, struct vhsm **ret)
{
	struct vhsm *v = calloc(1, sizeof(*v));
	if (!v)
		return kf_fail(NOMEM, "no memory for a card");
	kf_err e = pthread_mutex_init(&v->turn, NULL)
			   ? kf_fail(NOMEM, "no memory for a lock")
			   : fault_init(&v->fault);
	if (kf_ok(e) && path && !(v->path = strdup(path)))
		e = kf_fail(NOMEM, "no memory for a path");
	if (kf_ok(e))
		e = load_or_make(v);
	if (kf_ok(e))
		*ret = v;
	else
		vhsm_free(v);
	return e;
}

void vhsm_free(struct vhsm *v)
{
	if (!v)
		return;
	card_free(v->card);
	fault_free(&v->fault);
	pthread_mutex_destroy(&v->turn);
	free(v->path);
	free(v);
}

/* Contact, T=1, historical bytes "HSM1". */
struct slice vhsm_atr(void)
{
	return SLICE_LIT("\x3b\xfe\x18\x00\x00\x81\x31\xfe\x45\x80\x31\x81\x54\x48\x53"
			 "\x4d\x31\x73\x80\x21\x40\x81\x07\xfa");
}

const char *vhsm_serial(const struct vhsm *v) { return v->card->serial; }

struct vhsm_presence vhsm_presence(struct vhsm *v)
{
	return fault_wait_presence(&v->fault, (struct vhsm_presence){ 0 }, 0);
}

struct vhsm_presence vhsm_wait_presence(
	struct vhsm *v, struct vhsm_presence was, int timeout_ms)
{
	return fault_wait_presence(&v->fault, was, timeout_ms);
}

kf_err vhsm_reset(struct vhsm *v)
{
	if (!vhsm_presence(v).is_in)
		return kf_fail(CLOSED, "the card is not in its reader");
	pthread_mutex_lock(&v->turn);
	card_reset(v->card);
	pthread_mutex_unlock(&v->turn);
	return KF_OK;
}

static kf_err work(struct vhsm *v, struct slice apdu, struct buf *ret)
{
	if (apdu.n > VHSM_APDU_MAX)
		return kf_fail(TOO_BIG, "no APDU is that long");
	card_transmit(v->card, apdu, ret);
	atomic_store_explicit(&v->signatures, v->card->signatures, memory_order_relaxed);
	if (v->path && v->card->is_changed)
		KF_TRY(state_save(v->card, v->path));
	v->card->is_changed = false;
	return buf_err(ret);
}

static kf_err transmit(struct vhsm *v, struct slice apdu, struct buf *ret)
{
	uint64_t interruptions, began = clock_monotonic_ns();
	sw_t refusal;
	KF_TRY(fault_begin(&v->fault, v->card, apdu.n, &interruptions, &refusal));
	enum pace_id pace = pace_of(v->card, apdu);
	if (refusal) {
		buf_add_u8(ret, (uint8_t)(refusal >> 8));
		buf_add_u8(ret, (uint8_t)refusal);
	} else
		KF_TRY(work(v, apdu, ret));
	return fault_end(&v->fault, pace, began, interruptions, ret);
}

kf_err vhsm_transmit(struct vhsm *v, struct slice apdu, struct buf *ret)
{
	buf_clear(ret);
	atomic_fetch_add_explicit(&v->commands, 1, memory_order_relaxed);
	pthread_mutex_lock(&v->turn);
	kf_err e = transmit(v, apdu, ret);
	pthread_mutex_unlock(&v->turn);
	if (!kf_ok(e))
		buf_clear(ret);
	return e;
}

kf_err vhsm_tell(struct vhsm *v, const char *line) { return fault_tell(&v->fault, line); }

struct vhsm_counts vhsm_counts(struct vhsm *v)
{
	pthread_mutex_lock(&v->fault.lock);
	uint64_t faults = v->fault.n + v->fault.interruptions;
	pthread_mutex_unlock(&v->fault.lock);
	return (struct vhsm_counts){
		atomic_load_explicit(&v->commands, memory_order_relaxed),
		atomic_load_explicit(&v->signatures, memory_order_relaxed),
		faults,
	};
}
