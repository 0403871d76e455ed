/* SPDX-License-Identifier: Apache-2.0 */
#include "client/waits.h"

/* Tag 420094, type 07, length; KMIP's Unique Identifier comes first in Sign and Decrypt. */
enum { HEAD = 8 };

uint64_t waits_key(struct slice payload)
{
	const uint8_t *p = payload.p;
	if (payload.n < HEAD || p[0] != 0x42 || p[1] != 0 || p[2] != 0x94 || p[4] ||
		p[5] || p[6] || p[7] > payload.n - HEAD)
		return 0;
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	for (size_t i = 0; i < p[7]; i++)
		hash = (hash ^ p[HEAD + i]) * 0x100000001b3;
	return hash ? hash : 1;
}

bool waits_has(const struct waits *w, uint64_t key)
{
	return key && w->key[key % WAITS_SIZE] == key;
}

void waits_learn(struct waits *w, uint64_t key)
{
	if (!key)
		return;
	uint64_t *slot = &w->key[key % WAITS_SIZE];
	w->n += *slot == 0;
	*slot = key;
}
