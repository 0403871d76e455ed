/* SPDX-License-Identifier: Apache-2.0
 *
 * birth: what the maker of a card puts on it: device key, the chain of its certificate, EF.DIR.
 */
#include "base/tlv.h"
#include "vhsm/card.h"
#include "vhsm/cvc.h"
#include "vhsm/vhsm.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define DEVICE_CURVE "brainpoolP256r1"

/* Application template: AID, label. */
#define DIR                                                                              \
	SLICE_LIT("\x61\x1c\x4f\x0b\xe8\x2b\x06\x01\x04\x01\x81\xc3\x1f\x02\x01"         \
		  "\x50\x0dSmartCard-HSM")

static const char root_name[] = "UTSRCA00001", issuer_name[] = "UTVHSMCA00001";

static bool draw_serial(struct card *c)
{
	uint32_t random;
	if (RAND_bytes((uint8_t *)&random, sizeof(random)) != 1)
		return false;
	snprintf(c->serial, sizeof(c->serial), "UTVHSM%05u", random % 100000);
	return true;
}

/* The device's certificate, then its issuer's.  The issuer's keys are gone afterwards. */
static kf_err certify(struct card *c, struct buf *to)
{
	const struct curve *curve = curve_by_name(DEVICE_CURVE);
	CLEANUP(key_freep) struct key *root = NULL, *issuer = NULL;
	char holder[24];
	int n = snprintf(holder, sizeof(holder), "%s00000", c->serial);
	KF_TRY(key_generate_ec(curve, &root));
	KF_TRY(key_generate_ec(curve, &issuer));
	KF_TRY(key_generate_ec(curve, &c->keys[0]));
	KF_TRY(cvc_put(&(struct cvc){ issuer_name, { (const uint8_t *)holder, (size_t)n },
			       c->keys[0], issuer },
		to));
	return cvc_put(
		&(struct cvc){ root_name, slice_of(issuer_name), issuer, root }, to);
}

kf_err card_new(struct card **ret)
{
	CLEANUP(card_freep) struct card *c = calloc(1, sizeof(*c));
	autobuf certificates = buf_new(4096);
	if (!c)
		return kf_fail(NOMEM, "no memory for a card");
	c->chain = buf_new(VHSM_APDU_MAX);
	c->rest = buf_new(VHSM_ANSWER_MAX);
	if (!draw_serial(c))
		return ossl_fail(CRYPTO, "no random bytes");
	KF_TRY(certify(c, &certificates));
	if (file_write(c, FID_DEVICE_CERTIFICATE, 0, buf_slice(&certificates)) != SW_OK ||
		file_write(c, FID_DIR, 0, DIR) != SW_OK)
		return kf_fail(NOMEM, "no memory for the files of a card");
	*ret = c;
	c = NULL;
	return KF_OK;
}
