/* SPDX-License-Identifier: Apache-2.0
 *
 * Header, batch items and payload of a response, as a client reads them.
 */
#include "kmip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_list(struct ttlv_reader *r, uint32_t operation)
{
	struct list_response list;
	struct admin_client c;
	struct admin_grant g;
	struct status_pair p;
	if (!kf_ok(list_get_response(r, &list)))
		return;
	struct ttlv_reader each = ttlv_read(list.items);
	while (operation == KMIP_OPERATION_CLIENT_LIST && admin_client_next(&each, &c))
		;
	while (operation == KMIP_OPERATION_GRANT_LIST && admin_grant_next(&each, &g))
		;
	while (operation == KMIP_OPERATION_STATUS && status_pair_next(&each, &p))
		;
}

static void read_payload(struct ttlv_reader *r, uint32_t operation)
{
	switch (operation) {
		ROW_CHANGED(ADD)
		ROW_CHANGED(MODIFY)
		ROW_CHANGED(DELETE)
		ROW_CHANGED(SET)
		ROW_CHANGED(ADJUST)
		ROW_PLAIN(CHECK, check, response)
		ROW_PLAIN(OBTAIN_LEASE, obtain_lease, response)
		ROW_PLAIN(GET_USAGE_ALLOCATION, get_usage_allocation, response)
		ROW_PLAIN(ARCHIVE, archive, response)
		ROW_PLAIN(ACTIVATE, activate, response)
		ROW_PLAIN(REVOKE, revoke, response)
		ROW_PLAIN(DISCOVER_VERSIONS, discover_versions, response)
		ROW_PLAIN(QUERY, query, response)
		ROW_PLAIN(SIGN, sign, response)
		ROW_PLAIN(SIGNATURE_VERIFY, signature_verify, response)
		ROW_PLAIN(MAC, mac, response)
		ROW_PLAIN(MAC_VERIFY, mac_verify, response)
		ROW_PLAIN(HASH, hash, response)
		ROW_PLAIN(RNG_RETRIEVE, rng_retrieve, response)
		ROW_PLAIN(RNG_SEED, rng_seed, response)
		ROW_PLAIN(DECRYPT, decrypt, response)
		ROW_PLAIN(GET, get, response)
		ROW_ATTRS(GET_ATTRIBUTES, get_attributes, response)
		ROW_PLAIN(CREATE, create, response)
		ROW_PLAIN(CREATE_KEY_PAIR, create_key_pair, response)
		ROW_PLAIN(VALIDATE, validate, response)
		ROW_PLAIN(RE_KEY, rekey, response)
		ROW_PLAIN(CERTIFY, certify, response)
		ROW_PLAIN(REGISTER, register, response)
		ROW_PLAIN(IMPORT, import, response)
		ROW_ATTRS(EXPORT, export, response)
		ROW_PLAIN(DERIVE_KEY, derive_key, response)
		ROW_PLAIN(LOCATE, locate, response)
		ROW_PLAIN(BACKUP, backup, response)
	default: read_list(r, operation); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ttlv_reader r = ttlv_read((struct slice){ data, size });
	struct kmip_response_header h;
	struct kmip_response_item item;
	if (!kf_ok(kmip_get_response_header(&r, &h)))
		return 0;
	for (int32_t i = 0; i < h.batch_count; i++) {
		if (!kf_ok(kmip_get_response_item(&r, &item)))
			return 0;
		if (!kf_ok(kmip_result(&item)))
			continue;
		struct ttlv_reader payload = kmip_payload(&r, item.payload);
		read_payload(&payload, item.operation);
	}
	return 0;
}
