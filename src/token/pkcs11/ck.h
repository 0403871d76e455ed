/* SPDX-License-Identifier: Apache-2.0
 *
 * ck: the types of PKCS#11, and what came after version 2.40 of the header.
 */
#pragma once
#include <p11-kit/pkcs11.h>

/* PKCS#11 3.0: RFC 5649 without a doubt.  (In 2.40 CKM_AES_KEY_WRAP_PAD is meant to be the same.) */
#define CK_AES_KEY_WRAP_KWP 0x210bUL
