/* SPDX-License-Identifier: Apache-2.0
 *
 * vhsm: a SmartCard-HSM in software, for development, demos and tests.  It answers the APDUs of the
 * real card, is as slow as told, and fails as told.
 *
 * A card belongs to whoever made it.  Any thread may call any function but vhsm_free(): a card takes
 * one APDU at a time, and faults reach it while it works.
 *
 * NOT FOR KEYS THAT MATTER: the state file holds them in the clear (mode 0600).
 */
#pragma once
#include "base/buf.h"

struct vhsm;

enum { VHSM_ANSWER_MAX = 65536 + 2, VHSM_APDU_MAX = 65536 + 16 };

/* Opens the card in a file, or makes a blank one there; NULL: a card in memory only. */
kf_err vhsm_new(const char *path, struct vhsm **ret);
void vhsm_free(struct vhsm *v);
static inline void vhsm_freep(struct vhsm **v) { vhsm_free(*v); }

struct slice vhsm_atr(void);
const char *vhsm_serial(const struct vhsm *v); /* "UTVHSM12345" */

/* Power on and reset: nobody is logged in any more.  CLOSED when the card is not in its reader. */
kf_err vhsm_reset(struct vhsm *v);
/* One command, and its answer with the status word at the end (replaces what ret held).  CLOSED when
 * the card is pulled or reset meanwhile: what became of the command is not known, as with a real one. */
kf_err vhsm_transmit(struct vhsm *v, struct slice apdu, struct buf *ret);

/* What a card can be told at any time, also while it works.  One line of text, as in `vhsm ctl`:
 *
 *     unplug | replug              pulled out of its reader, put back
 *     reset                        loses its login; the command at work is lost
 *     hang | resume                does not answer until resumed, pulled or reset
 *     garbage N | short N | wrong N   the next N answers are noise | are cut | have one wrong bit
 *     sw XXXX N                    the next N answers are this status word
 *     pin-blocked                  the user PIN has no tries left
 *     uses KEY N                   key reference (decimal) can be used N times more
 *     slow FACTOR                  everything takes FACTOR times as long; 1 is as configured
 *     time NAME=MS,...             how long operations take; see vhsm_times()
 *     apdu-max N                   longer commands are refused with 6700; 0: any length
 *     heal                         forgets every fault, but not what pin-blocked and uses did
 *
 * CONFIG when the line is none of these. */
kf_err vhsm_tell(struct vhsm *v, const char *line);
/* Names for `time`, one line each with what it is. */
void vhsm_times(struct buf *to);

/* Whether it is in its reader; how often it was pulled tells a quick hand from a card that stayed. */
struct vhsm_presence {
	bool is_in;
	uint64_t pulls;
};
struct vhsm_presence vhsm_presence(struct vhsm *v);
/* Waits until presence differs from `was`, or the time is over; says what it is then. */
struct vhsm_presence vhsm_wait_presence(
	struct vhsm *v, struct vhsm_presence was, int timeout_ms);

struct vhsm_counts {
	uint64_t commands, signatures, faults;
};
struct vhsm_counts vhsm_counts(struct vhsm *v);
