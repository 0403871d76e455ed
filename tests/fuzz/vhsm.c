/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tlv.h"
#include "vhsm/dkek.h"
#include "vhsm/state.h"
#include <openssl/sha.h>
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

static void add_sealed(struct slice plain, uint8_t kind, struct buf *to)
{
	static const uint8_t kek[DKEK_SIZE], head[8]; /* no algorithm, no restrictions */
	uint8_t in[DKEK_SIZE + 4] = { 0 }, kcv[DKEK_KCV_SIZE];
	struct key cipher = { .kind = KEY_AES, .n_aes = 32 }, mac = cipher;
	in[sizeof(in) - 1] = 1;
	SHA256(in, sizeof(in), cipher.aes);
	in[sizeof(in) - 1] = 2;
	SHA256(in, sizeof(in), mac.aes);
	dkek_kcv(kek, kcv);
	buf_add(to, kcv, sizeof(kcv));
	buf_add_u8(to, kind);
	buf_add(to, head, sizeof(head));
	plain.n -= plain.n % 16;
	if (!kf_ok(key_cipher(&cipher, ALGO_CBC_ENCRYPT, plain, to)) ||
		!kf_ok(key_cipher(&mac, ALGO_CMAC, buf_slice(to), to)))
		abort();
}

/* The plaintext of a key blob, from somebody who knows the key encryption key. */
static void unwrap(uint8_t kind, struct slice plain)
{
	static const uint8_t kek[DKEK_SIZE];
	CLEANUP(key_freep) struct key *k = NULL;
	autobuf blob = buf_new(DKEK_BLOB_MAX), again = buf_new(DKEK_BLOB_MAX);
	if (plain.n < 16 || plain.n > DKEK_BLOB_MAX / 2)
		return;
	add_sealed(plain, kind, &blob);
	if (kf_ok(dkek_unwrap(kek, buf_slice(&blob), &k)) &&
		!kf_ok(dkek_wrap(kek, k, &again)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(card_freep) struct card *c = NULL;
	if (size > 0 && data[0] == 0xc0) {
		if (kf_ok(state_parse((struct slice){ data, size }, &c)))
			card_reset(c);
		return 0;
	}
	if (size > 1 && data[0] == 0xc1) {
		unwrap(data[1], (struct slice){ data + 2, size - 2 });
		return 0;
	}
	talk(data, size);
	return 0;
}
