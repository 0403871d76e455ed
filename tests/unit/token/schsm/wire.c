/* SPDX-License-Identifier: Apache-2.0 */
#include "../../vhsm/talk.h"
#include "crypt/pubkey.h"
#include "token/schsm/apdu.h"
#include "token/schsm/cvc.h"
#include "token/schsm/sw.h"

/* Commands as OpenSC and sc-hsm-embedded send them. */
static bool encodes(const struct card_command *c, const char *hex)
{
	uint8_t bytes[APDU_MAX];
	size_t n;
	autobuf want = buf_new(4096);
	add_hex(&want, hex);
	return kf_ok(apdu_encode(c, sizeof(bytes), bytes, &n)) && n == want.n &&
	       !memcmp(bytes, want.p, n);
}

TEST(commands_are_as_other_tools_send_them)
{
	static const uint8_t hash[32] = { 0xab };
	OK(encodes(&(struct card_command){ .ins = 0x20, .p2 = 0x81 }, "00200081"));
	OK(encodes(&(struct card_command){ .cla = 0x80, .ins = 0x52, .le = 256 },
		"8052000000"));
	OK(encodes(&(struct card_command){ .cla = 0x80, .ins = 0x58, .le = APDU_LE_ALL },
		"80580000000000"));
	OK(encodes(&(struct card_command){ .ins = 0x84, .le = 8 }, "0084000008"));
	OK(encodes(
		&(struct card_command){
			.ins = 0x20, .p2 = 0x81, .data = SLICE_LIT("648219") },
		"0020008106363438323139"));
	OK(encodes(&(struct card_command){ .cla = 0x80,
			   .ins = 0x68,
			   .p1 = 2,
			   .p2 = 0x70,
			   .data = { hash, 32 },
			   .le = 256 },
		"8068027020AB0000000000000000000000000000000000000000000000000000"
		"000000000000"));
	OK(encodes(&(struct card_command){ .ins = 0xb1,
			   .p1 = 0xc4,
			   .p2 = 1,
			   .data = SLICE_LIT("\x54\x02\x00\x00"),
			   .le = APDU_LE_ALL },
		"00B1C401000004540200000000"));
}

TEST(a_command_that_is_too_long_is_refused)
{
	static const uint8_t data[2048];
	uint8_t bytes[APDU_MAX];
	size_t n;
	for (size_t size = 0; size < 1100; size++) {
		struct card_command c = { .data = { data, size }, .le = APDU_LE_ALL };
		kf_err e = apdu_encode(&c, 1014, bytes, &n);
		OK(kf_ok(e) ? n <= 1014 : kf_is(e, KF_E_TOO_BIG) && size > 1000);
	}
}

TEST(an_answer_has_a_status_word)
{
	struct card_answer a;
	OK(kf_is(apdu_answer((struct slice){ 0 }, &a), KF_E_MALFORMED));
	OK(kf_is(apdu_answer(SLICE_LIT("\x90"), &a), KF_E_MALFORMED));
	OK(kf_ok(apdu_answer(SLICE_LIT("\x63\xc2"), &a)));
	EQ(a.sw, 0x63c2);
	EQ(a.data.n, 0);
	OK(kf_ok(apdu_answer(SLICE_LIT("ab\x90\x00"), &a)));
	EQ(a.sw, 0x9000);
	EQ(a.data.n, 2);
}

TEST(every_status_word_is_a_code)
{
	OK(kf_ok(sw_error(0x9000)) && kf_ok(sw_error(0x6282)));
	OK(kf_is(sw_error(0x63c2), KF_E_AUTH) && kf_is(sw_error(0x6983), KF_E_AUTH));
	OK(kf_is(sw_error(0x6984), KF_E_LIMIT) && kf_is(sw_error(0x6a84), KF_E_FULL));
	OK(kf_is(sw_error(0x6f00), KF_E_TOKEN) && kf_is(sw_error(0x6400), KF_E_TOKEN));
	OK(kf_is(sw_error(0), KF_E_TOKEN) && kf_is(sw_error(0xffff), KF_E_TOKEN));
}

/* What OpenSC sends, without the command around it. */
static bool wishes(enum alg_id alg, const char *hex)
{
	enum { BEFORE = 14, AFTER = 4 }; /* "0046xx000000NN" or longer, "0000" */
	char wished[2048] = "";
	autobuf data = buf_new(4096);
	if (!kf_ok(cvc_put_wish(&(struct cvc_wish){ .alg = alg_get(alg),
					.holder = "ESPICOHSMTR00001" },
		    &data)))
		return false;
	for (size_t i = 0; i < data.n; i++)
		snprintf(wished + 2 * i, 3, "%02X", data.p[i]);
	size_t n = strlen(hex) - BEFORE - AFTER;
	return n == strlen(wished) && !strncmp(hex + BEFORE, wished, n);
}

TEST(keys_are_asked_for_as_opensc_does)
{
	char rsa[1024], ec[1024];
	snprintf(rsa, sizeof(rsa), GENERATE_RSA, 1, 2048);
	snprintf(ec, sizeof(ec), GENERATE_P256, 1);
	OK(wishes(ALG_RSA_2048, rsa));
	OK(wishes(ALG_P256, ec));
}

/* Whatever is cut or lied about: an error or a key, never a step beyond the bytes. */
TEST(a_request_survives_cuts_and_lies)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	CLEANUP(pubkey_freep) struct pubkey *whole = NULL;
	EQ(say(v, &a, GENERATE_P256, 1), 0x9000);
	OK(cvc_is(buf_slice(&a)));
	OK(kf_ok(cvc_public_key(buf_slice(&a), &whole)));
	OK(pubkey_alg(whole) == alg_get(ALG_P256));
	for (size_t i = 0; i < a.n; i++) {
		CLEANUP(pubkey_freep) struct pubkey *cut = NULL, *lied = NULL;
		uint8_t *copy = malloc(i + 1); /* so that a step beyond is seen */
		memcpy(copy, a.p, i);
		OK(!kf_ok(cvc_public_key((struct slice){ copy, i }, &cut)));
		free(copy);
		uint8_t was = a.p[i];
		a.p[i] = (uint8_t)(was ^ 0x81);
		(void)cvc_public_key(buf_slice(&a), &lied);
		a.p[i] = was;
	}
}

TEST_MAIN
