/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/chain.h"
#include <string.h>

/* Differs for every chain of every server. */
static void begin(struct chain *c, const uint8_t *origin, uint32_t number)
{
	static const char purpose[] = "keyfleet audit chain 1";
	const uint8_t n[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16),
		(uint8_t)(number >> 8), (uint8_t)number };
	SHA256_CTX h;
	SHA256_Init(&h);
	SHA256_Update(&h, purpose, sizeof(purpose));
	SHA256_Update(&h, origin, CHAIN_ORIGIN_SIZE);
	SHA256_Update(&h, n, sizeof(n));
	*c = (struct chain){ 0 };
	SHA256_Final(c->head, &h);
}

void chains_init(
	struct chains *c, const uint8_t origin[CHAIN_ORIGIN_SIZE], unsigned loops)
{
	memcpy(c->origin, origin, CHAIN_ORIGIN_SIZE);
	begin(&c->journal, origin, UINT32_MAX);
	c->loops = 0;
	c->unsealed = 0;
	SHA256_Init(&c->order);
	chains_grow(c, loops);
}

void chains_grow(struct chains *c, unsigned loops)
{
	for (; c->loops < loops && c->loops < CHAIN_LOOPS_MAX; c->loops++)
		begin(&c->loop[c->loops], c->origin, c->loops);
}

void chains_copy(struct chains *to, const struct chains *from)
{
	memcpy(to, from,
		offsetof(struct chains, loop) + from->loops * sizeof(from->loop[0]));
}

void chain_fold(struct chain *c, struct slice more)
{
	SHA256_CTX h;
	SHA256_Init(&h);
	SHA256_Update(&h, c->head, CHAIN_SIZE);
	SHA256_Update(&h, more.p, more.n);
	SHA256_Final(c->head, &h);
}

void chain_add(struct chain *c, struct slice text)
{
	chain_fold(c, text);
	c->sequence++;
}

void chains_note(struct chains *c, const struct chain *of)
{
	SHA256_Update(&c->order, of->head, CHAIN_SHOWN);
	c->unsealed++;
}

void chains_order(const struct chains *c, uint8_t ret[CHAIN_SIZE])
{
	SHA256_CTX h = c->order;
	SHA256_Final(ret, &h);
}

void chains_seal(struct chains *c)
{
	for (unsigned i = 0; i < c->loops; i++)
		c->loop[i].sealed = c->loop[i].sequence;
	SHA256_Init(&c->order);
	c->unsealed = 0;
}

void chain_to_hex(const uint8_t *p, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++) {
		*ret++ = "0123456789abcdef"[p[i] >> 4];
		*ret++ = "0123456789abcdef"[p[i] & 15];
	}
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool chain_from_hex(struct slice text, uint8_t *ret, size_t n)
{
	if (text.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = digit(text.p[2 * i]), low = digit(text.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
