/* SPDX-License-Identifier: Apache-2.0 */
#include "client/repeat.h"
#include "ttlv/ttlv.h"

static const uint32_t freely[] = { KMIP_OPERATION_SIGN, KMIP_OPERATION_GET,
	KMIP_OPERATION_DECRYPT, KMIP_OPERATION_GET_ATTRIBUTES,
	KMIP_OPERATION_GET_ATTRIBUTE_LIST, KMIP_OPERATION_LOCATE, KMIP_OPERATION_CHECK,
	KMIP_OPERATION_ENCRYPT, KMIP_OPERATION_SIGNATURE_VERIFY, KMIP_OPERATION_MAC,
	KMIP_OPERATION_MAC_VERIFY, KMIP_OPERATION_HASH, KMIP_OPERATION_RNG_RETRIEVE,
	KMIP_OPERATION_VALIDATE, KMIP_OPERATION_EXPORT, KMIP_OPERATION_QUERY,
	KMIP_OPERATION_DISCOVER_VERSIONS, KMIP_OPERATION_PING,
	KMIP_OPERATION_GET_CONSTRAINTS, KMIP_OPERATION_CLIENT_LIST,
	KMIP_OPERATION_GRANT_LIST, KMIP_OPERATION_STATUS, KMIP_OPERATION_TOKEN_LIST,
	KMIP_OPERATION_TOKEN_KEYS };

/* The chunks of a backup belong to a copy that one server holds, tokens are plugged in at one; the others depend on a
 * session. */
static const uint32_t never[] = { KMIP_OPERATION_BACKUP, KMIP_OPERATION_TOKEN_ACTION,
	KMIP_OPERATION_KEY_TRANSFER, KMIP_OPERATION_LOGIN, KMIP_OPERATION_LOGOUT,
	KMIP_OPERATION_CANCEL, KMIP_OPERATION_POLL, KMIP_OPERATION_NOTIFY,
	KMIP_OPERATION_PUT, KMIP_OPERATION_PKCS_11 };

static bool has(const uint32_t *list, size_t n, uint32_t operation)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == operation)
			return true;
	return false;
}

enum repeat repeat_of(uint32_t operation)
{
	if (has(freely, sizeof(freely) / sizeof(*freely), operation))
		return REPEAT_FREELY;
	if (has(never, sizeof(never) / sizeof(*never), operation))
		return REPEAT_NEVER;
	return REPEAT_WITH_ID;
}
