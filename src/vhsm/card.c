/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/card.h"
#include "base/tlv.h"
#include "vhsm/cvc.h"
#include "vhsm/vhsm.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { MAJOR = 3, MINOR = 5, PLATFORM = 0x00, CHALLENGE_MAX = 1024 };

#define AID SLICE_LIT("\xe8\x2b\x06\x01\x04\x01\x81\xc3\x1f\x02\x01")

void card_reset(struct card *c)
{
	c->is_logged_in = false;
	c->selected = 0;
	buf_clear(&c->chain);
	buf_clear(&c->rest);
}

void card_put_key(struct card *c, uint8_t reference, struct key **take)
{
	key_free(c->keys[reference]);
	c->keys[reference] = *take;
	*take = NULL;
	c->is_changed = true;
}

void card_erase(struct card *c)
{
	for (unsigned i = 1; i < CARD_KEYS; i++) {
		key_free(c->keys[i]);
		c->keys[i] = NULL;
	}
	for (size_t i = c->n_files; i-- > 0;)
		if (c->files[i].fid != FID_DEVICE_CERTIFICATE &&
			c->files[i].fid != FID_DIR)
			file_delete(c, c->files[i].fid);
	explicit_bzero(c->domains, sizeof(c->domains));
	c->n_domains = 0;
	c->is_changed = true;
}

void card_free(struct card *c)
{
	if (!c)
		return;
	card_erase(c);
	key_free(c->keys[0]);
	for (size_t i = 0; i < c->n_files; i++)
		buf_free(&c->files[i].data);
	free(c->files);
	buf_free(&c->chain);
	buf_free(&c->rest);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

struct key *card_key(struct card *c, uint8_t reference, sw_t *status)
{
	struct key *k = c->keys[reference];
	*status = !c->is_logged_in ? SW_NOT_LOGGED_IN : k ? SW_OK : SW_NOT_FOUND;
	return *status == SW_OK ? k : NULL;
}

sw_t card_use(struct card *c, struct key *k, uint8_t algorithm)
{
	if (!key_allows(k, algorithm))
		return SW_ALGORITHM;
	if (k->uses == 0)
		return SW_USED_UP;
	if (k->uses != KEY_USES_UNLIMITED) {
		k->uses--;
		c->is_changed = true;
	}
	return SW_OK;
}

/* What is left of a key's use counter: proprietary information. */
static void put_uses(const struct card *c, uint16_t fid, struct buf *to)
{
	const struct key *k = (fid & 0xff00) == FID_KEY ? c->keys[fid & 0xff] : NULL;
	autobuf about = buf_new(16);
	if (!k || k->uses == KEY_USES_UNLIMITED)
		return;
	const uint8_t uses[] = { (uint8_t)(k->uses >> 24), (uint8_t)(k->uses >> 16),
		(uint8_t)(k->uses >> 8), (uint8_t)k->uses };
	tlv_add(&about, 0x90, (struct slice){ uses, sizeof(uses) });
	tlv_add(to, 0xa5, buf_slice(&about));
}

/* FCP of a file, or of the application when there is none. */
static void put_fcp(const struct card *c, uint16_t fid, size_t size, struct buf *to)
{
	autobuf fcp = buf_new(128);
	const uint8_t length[] = { (uint8_t)(size >> 8), (uint8_t)size };
	const uint8_t id[] = { (uint8_t)(fid >> 8), (uint8_t)fid };
	const uint8_t about[] = { c->options[0], c->options[1], PLATFORM, MAJOR, MINOR };
	tlv_add(&fcp, 0x81, (struct slice){ length, sizeof(length) });
	tlv_add_byte(&fcp, 0x82, 0x01);
	tlv_add(&fcp, 0x83, (struct slice){ id, sizeof(id) });
	if (fid == 0)
		tlv_add(&fcp, 0x84, AID);
	tlv_add_byte(&fcp, 0x8a, 0x05);
	if (fid == 0)
		tlv_add(&fcp, 0x85, (struct slice){ about, sizeof(about) });
	put_uses(c, fid, &fcp);
	tlv_add(to, 0x62, buf_slice(&fcp));
}

static sw_t select_application(struct card *c, struct slice name, struct buf *to)
{
	if (!slice_eq(name, AID))
		return SW_NOT_FOUND;
	card_reset(c);
	put_fcp(c, 0, 0, to);
	return SW_OK;
}

/* A key exists as CC.id, though nobody can read it. */
static bool find(struct card *c, uint16_t fid, size_t *size)
{
	const struct ef *f = file_find(c, fid);
	*size = f ? f->data.n : 0;
	return f || ((fid & 0xff00) == FID_KEY && c->keys[fid & 0xff]);
}

sw_t cmd_select(struct card *c, const struct apdu *a, struct buf *to)
{
	if (a->p1 == 0x04)
		return select_application(c, a->data, to);
	if (a->p1 != 0x00 && a->p1 != 0x08 && a->p1 != 0x02)
		return SW_P1P2;
	if (a->data.n != 2)
		return SW_NOT_FOUND; /* there are no directories, hence no longer paths */
	uint16_t fid = (uint16_t)(a->data.p[0] << 8 | a->data.p[1]);
	size_t size;
	if (fid == 0x3f00) {
		c->selected = 0;
		put_fcp(c, 0, 0, to);
		return SW_OK;
	}
	if (!find(c, fid, &size))
		return SW_NOT_FOUND;
	c->selected = fid;
	put_fcp(c, fid, size, to);
	return SW_OK;
}

sw_t cmd_challenge(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)c;
	if (a->ne == 0 || a->ne == APDU_NE_EXTENDED || a->ne > CHALLENGE_MAX)
		return SW_LENGTH;
	uint8_t *at = buf_reserve(to, a->ne);
	if (!at || RAND_bytes(at, (int)a->ne) != 1)
		return SW_INTERNAL;
	buf_commit(to, a->ne);
	return SW_OK;
}

/* What of an answer does not fit into Le waits for GET RESPONSE. */
static sw_t deliver(struct card *c, size_t ne, struct buf *answer, struct buf *to)
{
	size_t n = answer->n < ne ? answer->n : ne, left = answer->n - n;
	if (n)
		buf_add(to, answer->p, n);
	buf_clear(&c->rest);
	if (left == 0)
		return SW_OK;
	buf_add(&c->rest, answer->p + n, left);
	return (sw_t)(SW_MORE | (left > 0xff ? 0 : left));
}

sw_t cmd_get_response(struct card *c, const struct apdu *a, struct buf *to)
{
	if (c->rest.n == 0)
		return SW_CONDITIONS;
	autobuf rest = buf_new(VHSM_ANSWER_MAX);
	buf_add_slice(&rest, buf_slice(&c->rest));
	return deliver(c, a->ne, &rest, to);
}

static sw_t run(struct card *c, const struct apdu *a, struct buf *to)
{
	switch (a->ins) {
#define X(ins, name, cmd)                                                                \
	case ins:                                                                        \
		return cmd(c, a, to);
#include "vhsm/ins.def"
#undef X
	default: return SW_INS;
	}
}

/* Collects the data of a chain; true when this was its last part. */
static bool is_whole(struct card *c, struct apdu *a)
{
	if (!(a->cla & CLA_CHAIN) && c->chain.n == 0)
		return true;
	buf_add_slice(&c->chain, a->data);
	a->data = buf_slice(&c->chain);
	return !(a->cla & CLA_CHAIN);
}

static sw_t handle(struct card *c, struct apdu *a, struct buf *to)
{
	autobuf answer = buf_new(VHSM_ANSWER_MAX);
	if ((a->cla & ~(0x80 | CLA_CHAIN)) != 0)
		return SW_CLA;
	if (!is_whole(c, a))
		return kf_ok(buf_err(&c->chain)) ? SW_OK : SW_LENGTH;
	sw_t status = run(c, a, &answer);
	buf_clear(&c->chain);
	if (!kf_ok(buf_err(&answer)))
		return SW_INTERNAL;
	if (a->ins == 0xc0) {
		buf_add_slice(to, buf_slice(&answer));
		return status;
	}
	if (status != SW_OK && status != SW_END_OF_FILE)
		return status;
	sw_t more = deliver(c, a->ne, &answer, to);
	return more != SW_OK ? more : status;
}

void card_transmit(struct card *c, struct slice bytes, struct buf *to)
{
	struct apdu a;
	sw_t status = SW_LENGTH;
	if (kf_ok(apdu_parse(bytes, &a)))
		status = handle(c, &a, to);
	buf_add_u8(to, (uint8_t)(status >> 8));
	buf_add_u8(to, (uint8_t)status);
}
