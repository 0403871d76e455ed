/* SPDX-License-Identifier: Apache-2.0 */
/* talk: commands and answers of a virtual card in hex, as people read them. */
#pragma once
#include "test.h"
#include "vhsm/vhsm.h"
#include <stdarg.h>
#include <stdlib.h>

#define SELECT "00A404000BE82B0601040181C31F020100"
#define USER   "363438323139"     /* 648219 */
#define SO     "3537363231383830" /* 57621880 */

static inline int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static inline void add_hex(struct buf *to, const char *hex)
{
	for (; hex[0]; hex += 2)
		buf_add_u8(to, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
}

/* Sends; the answer's data are in `ret`, the status word is returned; 0 when the card is gone. */
static inline int say_bytes(struct vhsm *v, struct slice apdu, struct buf *ret)
{
	if (!kf_ok(vhsm_transmit(v, apdu, ret)) || ret->n < 2)
		return 0;
	ret->n -= 2;
	return ret->p[ret->n] << 8 | ret->p[ret->n + 1];
}

__attribute__((format(printf, 3, 4))) static inline int say(
	struct vhsm *v, struct buf *ret, const char *format, ...)
{
	static char hex[16384];
	autobuf apdu = buf_new(VHSM_APDU_MAX);
	va_list ap;
	va_start(ap, format);
	vsnprintf(hex, sizeof(hex), format, ap);
	va_end(ap);
	add_hex(&apdu, hex);
	return say_bytes(v, buf_slice(&apdu), ret);
}

static inline bool is_hex(const struct buf *b, const char *hex)
{
	autobuf want = buf_new(VHSM_ANSWER_MAX);
	add_hex(&want, hex);
	return slice_eq(buf_slice(b), buf_slice(&want));
}

/* A card that sc-hsm-tool initialised with one share, whose user has logged in. */
static inline struct vhsm *new_card(struct buf *ret)
{
	struct vhsm *v = NULL;
	if (!kf_ok(vhsm_new(NULL, &v)))
		abort();
	bool good = say(v, ret, SELECT) == 0x9000 &&
		    say(v, ret,
			    "805000001C80020001810636343832313982083537363231383830"
			    "910103920101") == 0x9000 &&
		    say(v, ret,
			    "8052000020833A24479D417FBEE5E6405AAC9E36FC0DCE611626297509"
			    "D8EB5E7BDF3D821700") == 0x9000 &&
		    say(v, ret, "0020008106" USER) == 0x9000;
	if (!good)
		abort();
	return v;
}

/* GENERATE KEY PAIR as OpenSC says it. */
#define GENERATE_RSA                                                                     \
	"0046%02X"                                                                       \
	"0000003A5F29010042095554434130303030317F4915060A04007F0007020202010282030100"   \
	"01"                                                                             \
	"0202%04X"                                                                       \
	"5F201045535049434F48534D545230303030310000"
#define GENERATE_P256                                                                    \
	"0046%02X"                                                                       \
	"000001005F29010042095554434130303030317F4981DA060A04007F000702020202038120FF"   \
	"FFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF8220FFFFFFFF00"   \
	"000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFC83205AC635D8AA3A93E7B3"   \
	"EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B8441046B17D1F2E12C4247F8BCE6E5"   \
	"63A440F277037D812DEB33A0F4A13945D898C2964FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE"   \
	"33576B315ECECBB6406837BF51F58520FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA717"   \
	"9E84F3B9CAC2FC6325518701015F201045535049434F48534D545230303030310000"
