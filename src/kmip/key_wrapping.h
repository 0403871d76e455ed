/* SPDX-License-Identifier: Apache-2.0
 *
 * Key Wrapping Specification (how a key shall be wrapped, in Get and Export) and Key Wrapping Data (how
 * it is wrapped, in a Key Block).
 */
#pragma once
#include "kmip/cryptographic_parameters.h"
#include "kmip/message.h"

enum { KEY_WRAPPING_ATTRIBUTES_MAX = 64 };

/* Encryption Key Information, MAC/Signature Key Information. */
struct key_information {
	bool is_there;
	struct kmip_uid uid;
	bool has_parameters;
	struct cryptographic_parameters parameters;
};

struct key_wrapping {
	uint32_t method; /* KMIP_WRAPPING_METHOD_... */
	struct key_information encryption, mac;
	struct slice mac_signature, iv; /* data only; empty: absent */
	struct slice attributes;        /* specification only: the names, unread */
	size_t attributes_n;
	uint32_t
		encoding; /* KMIP_ENCODING_OPTION_...; 0: absent, which means TTLV Encoding */
};

/* The whole structures.  Fields that the writer's version does not know are left out. */
void key_wrapping_specification_put(struct ttlv_writer *w, const struct key_wrapping *k);
void key_wrapping_specification_get(struct ttlv_reader *r, struct key_wrapping *ret);
void key_wrapping_data_put(struct ttlv_writer *w, const struct key_wrapping *k);
void key_wrapping_data_get(struct ttlv_reader *r, struct key_wrapping *ret);

/* Of an item that was kept: both of them.  version 0: whatever it says is welcome. */
kf_err key_wrapping_specification_parse(
	struct slice item, uint16_t version, struct key_wrapping *ret);
kf_err key_wrapping_data_parse(
	struct slice item, uint16_t version, struct key_wrapping *ret);
