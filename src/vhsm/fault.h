/* SPDX-License-Identifier: Apache-2.0
 *
 * fault: what goes wrong with a card, and when.  Its own lock: faults reach a card at work.
 */
#pragma once
#include "vhsm/pace.h"
#include "vhsm/vhsm.h"
#include <pthread.h>

struct fault {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct vhsm_presence presence;
	uint64_t
		interruptions; /* pulls and resets so far: work begun before one is lost */
	bool hangs;            /* until told otherwise, pulled or reset */
	uint32_t apdu_max;     /* 0: any length */
	uint32_t garbage, cuts, wrong, refusals; /* how many to come */
	sw_t refusal;
	bool forgets;    /* login, before the next command */
	bool blocks_pin; /* the same */
	bool has_uses[CARD_KEYS];
	uint32_t uses[CARD_KEYS];
	struct pace pace;
	uint64_t n; /* how many have happened */
};

kf_err fault_init(struct fault *f);
void fault_free(struct fault *f);
kf_err fault_tell(struct fault *f, const char *line);

/* Before a command: does to the card what was told, and hangs if it is to.  CLOSED when the card is out,
 * or is pulled while it hangs.  *refusal: the status word to answer without working, or 0. */
kf_err fault_begin(struct fault *f, struct card *c, size_t command_size,
	uint64_t *interruptions, sw_t *refusal);
/* After it: lets the time pass since it began, then spoils the answer if it is to. */
kf_err fault_end(struct fault *f, enum pace_id pace, uint64_t began_ns,
	uint64_t interruptions, struct buf *answer);
struct vhsm_presence fault_wait_presence(
	struct fault *f, struct vhsm_presence was, int timeout_ms);
