/* SPDX-License-Identifier: Apache-2.0
 *
 * kmip-cases: reads messages in the text form of TTLV, each behind a line "# NAME", and decodes each.
 * Prints those that it cannot read, and answers that hold what our tables give to another version.
 */
#include "kmip/activate.h"
#include "kmip/create.h"
#include "kmip/create_key_pair.h"
#include "kmip/decrypt.h"
#include "kmip/destroy.h"
#include "kmip/discover_versions.h"
#include "kmip/get.h"
#include "kmip/get_attribute_list.h"
#include "kmip/get_attributes.h"
#include "kmip/hash.h"
#include "kmip/locate.h"
#include "kmip/mac.h"
#include "kmip/query.h"
#include "kmip/register.h"
#include "kmip/revoke.h"
#include "kmip/sign.h"
#include "kmip/signature_verify.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 8 << 20, MESSAGE_MAX = 1 << 20 };

#define ROW(code, type, call)                                                            \
	case KMIP_OPERATION_##code: {                                                    \
		struct type q;                                                           \
		return call;                                                             \
	}

static kf_err read_question(struct ttlv_reader *r, uint32_t operation)
{
	autobuf set = buf_new(MESSAGE_MAX);
	switch (operation) {
		ROW(ACTIVATE, activate_request, activate_get_request(r, &q))
		ROW(DESTROY, destroy_request, destroy_get_request(r, &q))
		ROW(REVOKE, revoke_request, revoke_get_request(r, &q))
		ROW(QUERY, query_request, query_get_request(r, &q))
		ROW(SIGN, sign_request, sign_get_request(r, &q))
		ROW(DECRYPT, decrypt_request, decrypt_get_request(r, &q))
		ROW(ENCRYPT, decrypt_request, encrypt_get_request(r, &q))
		ROW(MAC, mac_request, mac_get_request(r, &q))
		ROW(MAC_VERIFY, mac_request, mac_verify_get_request(r, &q))
		ROW(HASH, hash_request, hash_get_request(r, &q))
		ROW(RNG_RETRIEVE, rng_retrieve_request, rng_retrieve_get_request(r, &q))
		ROW(RNG_SEED, rng_seed_request, rng_seed_get_request(r, &q))
		ROW(GET, get_request, get_get_request(r, &q))
		ROW(CREATE, create_request, create_get_request(r, &q, &set))
		ROW(REGISTER, register_request, register_get_request(r, &q, &set))
		ROW(LOCATE, locate_request, locate_get_request(r, &q, &set))
		ROW(DISCOVER_VERSIONS, discover_versions_request,
			discover_versions_get_request(r, &q))
		ROW(SIGNATURE_VERIFY, signature_verify_request,
			signature_verify_get_request(r, &q))
		ROW(GET_ATTRIBUTES, get_attributes_request,
			get_attributes_get_request(r, &q))
		ROW(GET_ATTRIBUTE_LIST, get_attribute_list_request,
			get_attribute_list_get_request(r, &q))
		ROW(CREATE_KEY_PAIR, create_key_pair_request,
			create_key_pair_get_request(r, &q, &set))
	default: return KF_OK;
	}
}

static kf_err read_answer(struct ttlv_reader *r, uint32_t operation)
{
	autobuf set = buf_new(MESSAGE_MAX);
	switch (operation) {
		ROW(ACTIVATE, activate_response, activate_get_response(r, &q))
		ROW(DESTROY, destroy_response, destroy_get_response(r, &q))
		ROW(REVOKE, revoke_response, revoke_get_response(r, &q))
		ROW(QUERY, query_response, query_get_response(r, &q))
		ROW(SIGN, sign_response, sign_get_response(r, &q))
		ROW(DECRYPT, decrypt_response, decrypt_get_response(r, &q))
		ROW(ENCRYPT, decrypt_response, encrypt_get_response(r, &q))
		ROW(MAC, mac_response, mac_get_response(r, &q))
		ROW(MAC_VERIFY, mac_verify_response, mac_verify_get_response(r, &q))
		ROW(HASH, hash_response, hash_get_response(r, &q))
		ROW(RNG_RETRIEVE, rng_retrieve_response, rng_retrieve_get_response(r, &q))
		ROW(RNG_SEED, rng_seed_response, rng_seed_get_response(r, &q))
		ROW(GET, get_response, get_get_response(r, &q))
		ROW(CREATE, create_response, create_get_response(r, &q))
		ROW(REGISTER, register_response, register_get_response(r, &q))
		ROW(LOCATE, locate_response, locate_get_response(r, &q))
		ROW(SIGNATURE_VERIFY, signature_verify_response,
			signature_verify_get_response(r, &q))
		ROW(GET_ATTRIBUTES, get_attributes_response,
			get_attributes_get_response(r, &q, &set))
		ROW(GET_ATTRIBUTE_LIST, get_attribute_list_response,
			get_attribute_list_get_response(r, &q))
		ROW(CREATE_KEY_PAIR, create_key_pair_response,
			create_key_pair_get_response(r, &q))
	default: return KF_OK;
	}
}

static kf_err read_request(struct ttlv_reader *r)
{
	struct kmip_request_header h;
	struct kmip_request_item item;
	KF_TRY(kmip_get_request_header(r, &h));
	for (int32_t i = 0; i < h.batch_count; i++) {
		KF_TRY(kmip_get_request_item(r, &item));
		struct ttlv_reader payload = kmip_payload(r, item.payload);
		KF_TRY(read_question(&payload, item.operation));
	}
	return kmip_get_request_end(r);
}

static kf_err read_response(struct ttlv_reader *r)
{
	struct kmip_response_header h;
	struct kmip_response_item item;
	KF_TRY(kmip_get_response_header(r, &h));
	for (int32_t i = 0; i < h.batch_count; i++) {
		KF_TRY(kmip_get_response_item(r, &item));
		struct ttlv_reader payload = kmip_payload(r, item.payload);
		if (!ttlv_fits(item.payload, h.version))
			return kf_fail(VERSION, "holds what the version does not know");
		if (kf_ok(kmip_result(&item)))
			KF_TRY(read_answer(&payload, item.operation));
	}
	return kmip_get_response_end(r);
}

static kf_err read_message(struct slice text)
{
	autobuf b = buf_new(MESSAGE_MAX);
	KF_TRY(ttlv_parse(text, &b));
	KF_TRY(ttlv_check(buf_slice(&b)));
	struct ttlv_reader r = ttlv_read(buf_slice(&b));
	return ttlv_at(&r, TAG_RESPONSE_MESSAGE) ? read_response(&r) : read_request(&r);
}

/* One message: its name, and the lines up to the next "# ". */
static bool check_one(char *at, char *end)
{
	char *text = strchr(at, '\n') + 1;
	*strchr(at, '\n') = 0;
	kf_err e = read_message((struct slice){ (uint8_t *)text, (size_t)(end - text) });
	if (!kf_ok(e))
		printf("# %s: %s, %s:%d\n", at, e.site->text, e.site->file, e.site->line);
	return kf_ok(e);
}

int main(void)
{
	char *input = calloc(1, INPUT_MAX);
	size_t n = input ? fread(input, 1, INPUT_MAX - 1, stdin) : 0;
	int total = 0, bad = 0;
	for (char *at = input; at && n && *at == '#';) {
		char *next = strstr(at, "\n# ");
		char *end = next ? next + 1 : input + n;
		total++;
		bad += !check_one(at + 2, end);
		at = end;
	}
	printf("%s 1 - %d messages of the profile cases are read\n1..1\n",
		bad || !total ? "not ok" : "ok", total);
	free(input);
	return bad || !total;
}
