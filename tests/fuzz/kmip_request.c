/* SPDX-License-Identifier: Apache-2.0
 *
 * Header, batch items and payload of a request.
 */
#include "kmip.h"
#include "kmip/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_payload(struct ttlv_reader *r, uint32_t operation)
{
	switch (operation) {
		ROW_PLAIN(ACTIVATE, activate, request)
		ROW_CHANGE(ADD)
		ROW_CHANGE(MODIFY)
		ROW_CHANGE(DELETE)
		ROW_CHANGE(SET)
		ROW_CHANGE(ADJUST)
		ROW_PLAIN(CHECK, check, request)
		ROW_PLAIN(OBTAIN_LEASE, obtain_lease, request)
		ROW_PLAIN(GET_USAGE_ALLOCATION, get_usage_allocation, request)
		ROW_TYPED(ARCHIVE, archive_request, archive)
		ROW_TYPED(RECOVER, archive_request, archive)
		ROW_PLAIN(DESTROY, destroy, request)
		ROW_PLAIN(REVOKE, revoke, request)
		ROW_PLAIN(DISCOVER_VERSIONS, discover_versions, request)
		ROW_PLAIN(QUERY, query, request)
		ROW_PLAIN(INTEROP, interop, request)
		ROW_PLAIN(LOG, log, request)
		ROW_PLAIN(SIGN, sign, request)
		ROW_PLAIN(SIGNATURE_VERIFY, signature_verify, request)
		ROW_PLAIN(DECRYPT, decrypt, request)
		ROW_TYPED(ENCRYPT, decrypt_request, encrypt)
		ROW_PLAIN(MAC, mac, request)
		ROW_TYPED(MAC_VERIFY, mac_request, mac_verify)
		ROW_PLAIN(HASH, hash, request)
		ROW_PLAIN(RNG_RETRIEVE, rng_retrieve, request)
		ROW_PLAIN(RNG_SEED, rng_seed, request)
		ROW_PLAIN(GET, get, request)
		ROW_PLAIN(GET_ATTRIBUTES, get_attributes, request)
		ROW_PLAIN(GET_ATTRIBUTE_LIST, get_attribute_list, request)
		ROW_ATTRS(CREATE, create, request)
		ROW_ATTRS(DERIVE_KEY, derive_key, request)
		ROW_ATTRS(CREATE_KEY_PAIR, create_key_pair, request)
		ROW_ATTRS(REGISTER, register, request)
		ROW_PLAIN(VALIDATE, validate, request)
		ROW_ATTRS(RE_KEY, rekey, request)
		ROW_ATTRS(CERTIFY, certify, request)
		ROW_TYPED_ATTRS(RE_CERTIFY, certify_request, recertify)
		ROW_ATTRS(RE_KEY_KEY_PAIR, rekey_pair, request)
		ROW_ATTRS(IMPORT, import, request)
		ROW_TYPED(EXPORT, get_request, get)
		ROW_ATTRS(LOCATE, locate, request)
		ROW_TYPED(POLL, asynchronous_request, asynchronous)
		ROW_TYPED(QUERY_ASYNCHRONOUS_REQUESTS, query_asynchronous_request,
			query_asynchronous)
		ROW_PLAIN(PKCS_11, pkcs11, request)
		ROW_PLAIN(CLIENT_ADD, client_add, request)
		ROW_PLAIN(CLIENT_REVOKE, client_revoke, request)
		ROW_TYPED(CLIENT_LIST, page, page)
		ROW_TYPED(GRANT_ADD, admin_grant, grant_add)
		ROW_PLAIN(BACKUP, backup, request)
		ROW_PLAIN(POLICY_TEST, policy_test, request)
	default: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ttlv_reader r = ttlv_read((struct slice){ data, size });
	struct kmip_request_header h;
	struct kmip_request_item item;
	struct kmip_authentication a;
	kmip_version(r.in);
	if (!kf_ok(kmip_get_request_header(&r, &h)))
		return 0;
	if (h.authentication.n)
		(void)kf_ok(kmip_get_authentication(&r, h.authentication, &a));
	for (int32_t i = 0; i < h.batch_count; i++) {
		if (!kf_ok(kmip_get_request_item(&r, &item)))
			return 0;
		struct ttlv_reader payload = kmip_payload(&r, item.payload);
		read_payload(&payload, item.operation);
	}
	kf_err e = kmip_get_request_end(&r);
	(void)e;
	return 0;
}
