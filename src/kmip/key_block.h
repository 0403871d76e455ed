/* SPDX-License-Identifier: Apache-2.0
 *
 * Key Block, and the managed objects around it: what Register brings and Get returns.
 *
 * Whoever stores an object keeps struct kmip_object's `item` byte for byte.
 */
#pragma once
#include "ttlv/ttlv.h"

struct key_block {
	uint32_t format;      /* KMIP_KEY_FORMAT_TYPE_... */
	uint32_t compression; /* 0: absent */
	uint32_t algorithm;   /* 0: absent */
	int32_t length;       /* in bits; 0: absent */
	bool has_value;
	bool is_wrapped; /* Key Wrapping Data is there */
	bool is_encoded; /* Key Value is bytes, as wrapped */
	/* Of a Key Value that is a structure: raw bytes, or the whole Key Material item of a transparent
	 * format.  Of an encoded Key Value: its bytes. */
	struct slice material;
	bool is_transparent;
	struct slice attributes; /* items behind Key Material: Attribute* or Attributes */
	bool writes_attributes;  /* for key_block_put(): they were asked for */
	struct slice value, wrapping_data; /* the whole items; `value` is only read */
};

void key_block_get(struct ttlv_reader *r, struct key_block *ret);
/* The Key Value item that was wrapped. */
kf_err key_value_parse(struct slice item, uint16_t version, struct key_block *kb);
void key_value_put(struct ttlv_writer *w, const struct key_block *kb);
/* Writes no attributes unless it is told to: nothing unasked for inside Key Value. */
void key_block_put(struct ttlv_writer *w, const struct key_block *kb);

/* A managed object: Symmetric Key, Certificate, ... */
struct kmip_object {
	uint32_t type;     /* KMIP_OBJECT_TYPE_... */
	struct slice item; /* the whole object, as it came */
	/* Of a stored object that came wrapped and was unwrapped: as it came; else empty. */
	struct slice registered;
	struct key_block block;    /* types that have one */
	uint32_t certificate_type; /* Certificate (and its Request) */
	struct slice
		value; /* Certificate Value, Opaque Data Value, Certificate Request Value */
	uint32_t secret_data_type; /* Secret Data */
	uint32_t opaque_data_type; /* Opaque Object */
};

/* The type of the object that comes next; 0: it is none. */
uint32_t kmip_object_next(struct ttlv_reader *r);
/* The object that comes next must be of this type. */
void kmip_object_get(struct ttlv_reader *r, uint32_t type, struct kmip_object *ret);
/* Parses what was stored: an object, and perhaps behind it the same as it was registered. */
kf_err kmip_object_parse(struct slice item, struct kmip_object *ret);
/* Objects whose fields are not read, only their Key Block: they leave as they came (o->item), and no other block can be
 * put into them. */
bool kmip_object_is_kept_whole(uint32_t type);
/* Writes the fields of `o` (not o->item) for the writer's version. */
void kmip_object_put(struct ttlv_writer *w, const struct kmip_object *o);
