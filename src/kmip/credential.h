/* SPDX-License-Identifier: Apache-2.0
 *
 * credential: the Authentication of a request header: who the client says it is, beside its certificate.
 */
#pragma once
#include "kmip/message.h"

enum { CREDENTIALS_MAX = 8 };

struct kmip_credential {
	uint32_t type; /* KMIP_CREDENTIAL_TYPE_... */
	/* of Username and Password; of other types only the type is read */
	struct slice username, password;
};

struct kmip_authentication {
	size_t n;
	struct kmip_credential credential[CREDENTIALS_MAX];
};

/* `item` is header->authentication; the reader's version and leniency are the message's. */
kf_err kmip_get_authentication(const struct ttlv_reader *message, struct slice item,
	struct kmip_authentication *ret);
/* Username and Password alone. */
void kmip_put_authentication(struct ttlv_writer *w, const struct kmip_authentication *a);
