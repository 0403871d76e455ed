/* SPDX-License-Identifier: Apache-2.0
 *
 * rv: what a module answered, as an error of the driver's contract.
 */
#pragma once
#include "base/err.h"
#include "token/pkcs11/ck.h"

kf_err p11_err(CK_RV rv);     /* nothing was begun: an Init, a look */
kf_err p11_outcome(CK_RV rv); /* of a command that may have been carried out */
