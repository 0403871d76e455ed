/* SPDX-License-Identifier: Apache-2.0
 *
 * seal: what the audit worker adds to the records: their chain values, and the lines of the journal's own
 * chain, checkpoints among them.  A group is tentative until seal_keep(): one that did not reach the disk
 * is made again from where the disk is.
 */
#pragma once
#include "audit/audit.h"
#include "audit/chain.h"
#include "crypt/keyring.h"
#include "crypt/signer.h"

enum seal_kind { SEAL_CHECKPOINT, SEAL_SEGMENT, SEAL_STOP };

enum { SEAL_CHAIN_BYTES = 90, SEAL_LINE_BYTES = 2048, SEAL_TO_SIGN = 96 };

struct seal {
	const char *server;
	const struct keyring *keyring;
	struct signer *signer, *coming; /* coming: after the group that names it */
	char key[MASTER_ID_MAX + 1], coming_key[MASTER_ID_MAX + 1]; /* master keys' ids */
	struct chains *at, *next; /* on disk; with the group */
	uint64_t segment, after;  /* the current one, and the one with lines before it */
	uint64_t retired;         /* all segments up to this are to be deleted, or were */
	struct audit_head head;   /* of the newest checkpoint of the group */
};

kf_err seal_init(struct seal *s, const struct audit_conf *conf);
void seal_clear(struct seal *s);
/* Signs with the key of this master key; its id is copied.  CONFIG if the keyring lacks it. */
kf_err seal_use_key(struct seal *s, struct slice id);

/* The longest line that can come out. */
size_t seal_line_max(const struct seal *s);

void seal_begin(struct seal *s);
/* Fills in the chain values of a loop's records, whole lines; returns how many there are. */
size_t seal_records(struct seal *s, unsigned loop, uint8_t *p, size_t n);
kf_err seal_event(
	struct seal *s, const char *event, struct slice fields, struct buf *ret);
kf_err seal_checkpoint(struct seal *s, enum seal_kind kind, struct buf *ret);
/* If the newest master key is another one: a line that names its key, and a checkpoint by the old one. */
kf_err seal_renew_key(struct seal *s, struct buf *ret);
bool seal_needs_key(const struct seal *s);
/* The group is on disk. */
void seal_keep(struct seal *s);

/* What is signed of a checkpoint: whoever shows it elsewhere can change neither its place nor whose it is. */
struct seal_claim {
	const uint8_t *origin, *chain;
	uint64_t number;
};
struct slice seal_to_sign(const struct seal_claim *c, uint8_t room[SEAL_TO_SIGN]);
/* The key of a master key's audit. */
kf_err seal_signer(const struct keyring *k, struct slice id, struct signer **ret);
