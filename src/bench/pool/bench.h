/* SPDX-License-Identifier: Apache-2.0
 *
 * bench: how near a pool of virtual SmartCard-HSMs comes to what is possible, and whether it ever loses a
 * signature.  Everything but the cards is what a key server runs.
 */
#pragma once
#include "bench/report.h"
#include "pool/pool.h"
#include "vhsm/vhsm.h"

enum { CARDS_MAX = 16 };

/* ---- cards in this process (cards.c) ---- */

/* One at a time; blank.  Times are nothing until told. */
kf_err cards_open(unsigned n);
void cards_close(void);
const struct token_driver *cards_driver(void);
kf_err cards_tell(unsigned card, const char *line); /* as vhsm_tell() */

/* From now on signatures of a card take mean_ms, drawn up to 10 % around it; the same seed gives the same draws.
 * 0: whatever vhsm_tell() said. */
void cards_draw(unsigned card, double mean_ms, uint64_t seed);

struct draws {
	uint64_t state;
	double mean_ms;
};
void draws_init(struct draws *d, double mean_ms, uint64_t seed);
double draws_next_ms(struct draws *d);
double draws_uniform(struct draws *d); /* [0, 1) */

/* ---- a pool with keys on every card (fleet.c) ---- */

enum { FLEET_RSA, FLEET_EC, FLEET_KEYS };
struct fleet {
	struct pools *pools;
	struct token_key *key[FLEET_KEYS];
	struct pubkey *pubkey[FLEET_KEYS];
	unsigned tokens;
	unsigned timeout_ms;
};
/* Initialises all tokens, makes an RSA-2048 and a brainpoolP256r1 key on the first and clones them to
 * the others.  `socket`: of a pcscd whose blank cards are used; NULL: cards_open(). */
kf_err fleet_open(
	unsigned tokens, unsigned timeout_ms, const char *socket, struct fleet *ret);
void fleet_close(struct fleet *f);

/* ---- load (load.c) ---- */

struct load {
	struct fleet *fleet;
	int key;
	unsigned callers;
	uint64_t total;         /* signatures; or until `seconds` are over */
	double warm_s, seconds; /* what is counted, if total is 0 */

	double rate; /* a second */
	uint64_t made, failed, wrong, retried;
	char why[160]; /* the first failure */
};
/* Callers that wait for each signature, and verify it. */
kf_err load_run(struct load *l);

/* Signatures that are asked for at random times, whatever happens to them. */
struct arrivals {
	struct fleet *fleet;
	int key;
	double rate;
	unsigned n;
	uint64_t seed;
	/* in seconds since the first; each n, the caller's */
	double *arrived, *finished;
	unsigned failed;
};
kf_err arrivals_run(struct arrivals *a);

/* One queue before tokens with these draws, without any cost (ideal.c). */
void ideal_run(const double *arrived, unsigned n, struct draws *token, unsigned tokens,
	double *ret_finished);
/* Of the answer times but the first tenth, which warms up. */
double percentile(const double *arrived, const double *finished, unsigned n, double p);

/* ---- faults while it runs (burn.c) ---- */

struct burn {
	uint64_t signatures[FLEET_KEYS];
	unsigned fault_ms; /* the next fault after so long */
	const char *socket;
};
kf_err burn_run(const struct burn *b, struct report *r);
