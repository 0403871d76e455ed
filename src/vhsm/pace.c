/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/pace.h"
#include "vhsm/vhsm.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { MS_MAX = 3600 * 1000 };

static const char *const names[] = {
#define X(id, name, what) name,
#include "vhsm/pace.def"
#undef X
};

static int find(const char *name, size_t n)
{
	for (int i = 0; i < PACE_COUNT; i++)
		if (strlen(names[i]) == n && !memcmp(names[i], name, n))
			return i;
	return -1;
}

kf_err pace_set(struct pace *p, const char *text)
{
	struct pace new = *p;
	while (*text) {
		const char *equals = strchr(text, '=');
		int id = equals ? find(text, (size_t)(equals - text)) : -1;
		if (id < 0)
			return kf_fail(CONFIG, "no such time; `vhsm --help` lists them");
		char *end;
		new.ms[id] = strtod(equals + 1, &end);
		if (end == equals + 1 || (*end && *end != ',') || !(new.ms[id] >= 0) ||
			new.ms[id] > (id == PACE_JITTER ? 100 : MS_MAX))
			return kf_fail(CONFIG, "a time is a number of milliseconds");
		text = *end ? end + 1 : end;
	}
	*p = new;
	return KF_OK;
}

static enum pace_id of_key(const struct key *k)
{
	if (!k)
		return PACE_OTHER;
	if (k->kind != KEY_RSA)
		return k->kind == KEY_EC ? PACE_EC : PACE_AES;
	size_t bits = key_bits(k);
	return bits <= 1024   ? PACE_RSA1024
	       : bits <= 2048 ? PACE_RSA2048
	       : bits <= 3072 ? PACE_RSA3072
			      : PACE_RSA4096;
}

enum pace_id pace_of(const struct card *c, struct slice command)
{
	if (command.n < 4)
		return PACE_OTHER;
	switch (command.p[1]) {
	case 0x46:
	case 0x48: return PACE_GENERATE;
	case 0x72:
	case 0x74: return PACE_WRAP;
	case 0x62:
	case 0x68:
	case 0x78: return of_key(c->keys[command.p[2]]);
	default: return PACE_OTHER;
	}
}

/* -1 to 1. */
static double swing(void)
{
	uint32_t random = 0;
	(void)RAND_bytes((uint8_t *)&random, sizeof(random));
	return random / (double)UINT32_MAX * 2 - 1;
}

uint64_t pace_ns(const struct pace *p, enum pace_id id)
{
	double ms = p->ms[id] * p->factor;
	if (ms > 0 && p->ms[PACE_JITTER] > 0)
		ms *= 1 + swing() * p->ms[PACE_JITTER] / 100;
	return (uint64_t)(ms * 1e6);
}

void vhsm_times(struct buf *to)
{
#define X(id, name, what) buf_printf(to, "  %-9s %s\n", name, what);
#include "vhsm/pace.def"
#undef X
}
