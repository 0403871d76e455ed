/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/state.h"
#include "vhsm/tlv.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 65536 + 2, GENERATE_KEY_PAIR = 0x46 };

/* Made once: a card takes some thousand times as long to make as to ask. */
static struct card *the_card(void)
{
	static struct card *c;
	CLEANUP(key_freep) struct key *k = NULL;
	if (!c && (!kf_ok(card_new(&c)) ||
			  !kf_ok(key_generate_ec(curve_by_name("prime256v1"), &k))))
		abort();
	if (k)
		card_put_key(c, 1, &k);
	return c;
}

/* Commands, each after its length in one byte, to a card that takes all of them. */
static void talk(const uint8_t *data, size_t size)
{
	struct card *c = the_card();
	card_reset(c);
	while (size > 0) {
		size_t n = data[0] < size - 1 ? data[0] : size - 1;
		autobuf answer = buf_new(ANSWER_MAX);
		c->is_logged_in = true;
		if (n < 2 || data[2] != GENERATE_KEY_PAIR) /* that takes long */
			card_transmit(c, (struct slice){ data + 1, n }, &answer);
		if (answer.n == 1 || !kf_ok(buf_err(&answer)))
			abort();
		data += 1 + n;
		size -= 1 + n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(card_freep) struct card *c = NULL;
	if (size > 0 && data[0] == 0xc0) {
		if (kf_ok(state_parse((struct slice){ data, size }, &c)))
			card_reset(c);
		return 0;
	}
	talk(data, size);
	return 0;
}
