/* SPDX-License-Identifier: Apache-2.0
 *
 * card: what a SmartCard-HSM holds, and the commands that work on it.  One thread at a time (vhsm.c
 * sees to that).  A command is a function of card and APDU that appends its answer and returns the
 * status word; ins.def says which instruction is which.
 */
#pragma once
#include "vhsm/apdu.h"
#include "vhsm/key.h"
#include "vhsm/sw.h"

enum {
	CARD_KEYS = 256, /* a key reference is one byte; 0 is the device key */
	CARD_DOMAINS = 16,
	CARD_FILES_MAX = 1024,
	CARD_BYTES_MAX = 512 * 1024, /* of all files: more is 6A84 */
	CARD_PIN_MAX = 16,
	CARD_SO_PIN_SIZE = 8,
	CARD_SO_TRIES = 15,
};

/* Prefixes of file identifiers; the low byte is the key reference. */
enum {
	FID_DIR = 0x2f00,
	FID_DEVICE_CERTIFICATE = 0x2f02,
	FID_TOKEN_INFO = 0x2f03,
	FID_TRANSFER = 0x2f10, /* key blobs that are too long for one APDU */
	FID_KEY = 0xcc00,
	FID_KEY_DESCRIPTION = 0xc400,
	FID_CERTIFICATE = 0xce00,
	FID_PROTECTED_DATA = 0xcd00,
};

/* INITIALIZE DEVICE, options. */
enum { OPTION_SO_RESETS_PIN = 0x01, OPTION_TRANSPORT_PIN = 0x02 };

struct pin {
	bool is_set, must_change;
	uint8_t tries, tries_max;
	uint8_t salt[16], hash[32];
};

/* A key domain: keys leave the card encrypted under its key encryption key only. */
struct domain {
	bool exists;
	uint8_t shares, outstanding;
	uint8_t kek[32];
};

struct ef {
	uint16_t fid;
	struct buf data;
};

struct card {
	/* What is kept. */
	char serial[12];
	bool is_initialised;
	uint8_t options[2];
	struct pin user, so;
	struct domain domains[CARD_DOMAINS];
	uint8_t n_domains;
	struct ef *files;
	size_t n_files, n_bytes;
	struct key *keys[CARD_KEYS];

	/* What a reset forgets. */
	bool is_logged_in;
	uint16_t selected;
	struct buf chain; /* data of a command that comes in several APDUs */
	struct buf rest;  /* of an answer, for GET RESPONSE */

	bool is_changed; /* since it was saved */
	uint64_t signatures;
};

/* A blank card with a device key, certificates and a serial number of its own. */
kf_err card_new(struct card **ret);
void card_free(struct card *c);
static inline void card_freep(struct card **c) { card_free(*c); }
void card_reset(struct card *c);
/* Appends the answer and its status word. */
void card_transmit(struct card *c, struct slice bytes, struct buf *to);

/* Keys and files as INITIALIZE DEVICE leaves them. */
void card_erase(struct card *c);
/* The key of a command: *status says why there is none. */
struct key *card_key(struct card *c, uint8_t reference, sw_t *status);
/* Before a key is used: login, allowed algorithms, use counter. */
sw_t card_use(struct card *c, struct key *k, uint8_t algorithm);
/* Takes the key over, and the place of one that was there. */
void card_put_key(struct card *c, uint8_t reference, struct key **take);

struct ef *file_find(struct card *c, uint16_t fid);
sw_t file_write(struct card *c, uint16_t fid, size_t offset, struct slice data);
void file_delete(struct card *c, uint16_t fid);
/* Each with its fid in two bytes. */
void file_list(const struct card *c, struct buf *to);

void pin_set(struct pin *p, struct slice value, uint8_t tries);
/* Counts a failure; SW_OK, 63Cx or SW_BLOCKED. */
sw_t pin_check(struct card *c, struct pin *p, struct slice value);
/* What VERIFY without data says. */
sw_t pin_status(const struct pin *p);
bool pin_is_fit(struct slice user_pin);

#define X(ins, name, cmd) sw_t cmd(struct card *c, const struct apdu *a, struct buf *to);
#include "vhsm/ins.def"
#undef X
