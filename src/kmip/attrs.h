/* SPDX-License-Identifier: Apache-2.0
 *
 * attrs: attributes of managed objects.
 *
 * The canonical form is KMIP 2.x: a set of attributes is a run of encoded items, the content of an
 * Attributes structure.  A vendor attribute is Attribute{Vendor Identification, Attribute Name,
 * Attribute Value}; the custom attributes "x-NAME" and "y-NAME" of 1.x are those of the vendors "x"
 * and "y".  1.x is translated when it comes and when it leaves.  attr.def knows every attribute.
 */
#pragma once
#include "kmip/message.h"

enum {
	ATTRS_COUNT_MAX = 512
}; /* attributes, or names of them, in one request: more are LIMIT */

/* The words of attr.def. */
#define ATTR_STATE(s) (1u << KMIP_STATE_##s)
#define ATTR_TYPE(t)  (1u << KMIP_OBJECT_TYPE_##t)
enum {
	ATTR_ANY_STATE = 0xffff,
	ATTR_PRE_ACTIVE = ATTR_STATE(PRE_ACTIVE),
	ATTR_LIVING = ATTR_STATE(PRE_ACTIVE) | ATTR_STATE(ACTIVE),
	/* Templates have what they give to others. */
	ATTR_ANY = 0xffff,
	ATTR_PAIRS = ATTR_TYPE(PUBLIC_KEY) | ATTR_TYPE(PRIVATE_KEY) | ATTR_TYPE(TEMPLATE),
	ATTR_KEYS = ATTR_PAIRS | ATTR_TYPE(SYMMETRIC_KEY) | ATTR_TYPE(SPLIT_KEY) |
		    ATTR_TYPE(SECRET_DATA) | ATTR_TYPE(PGP_KEY),
	ATTR_CERTIFICATES = ATTR_TYPE(CERTIFICATE) | ATTR_TYPE(CERTIFICATE_REQUEST) |
			    ATTR_TYPE(PGP_KEY) | ATTR_TYPE(TEMPLATE),
	ATTR_HAS_KEY = ATTR_KEYS | ATTR_CERTIFICATES,
	ATTR_OPAQUE = ATTR_TYPE(OPAQUE_OBJECT),
};

struct attr_info {
	uint32_t tag;
	uint16_t since, until;
	bool is_multi;      /* may have several instances */
	bool is_settable;   /* by the client when it makes the object */
	bool is_modifiable; /* by the client afterwards; where not: server only */
	bool is_deletable;  /* by the client */
	bool is_indexed;    /* Locate can use an index */
	uint16_t states; /* ... in which it may be changed; bits of 1 << KMIP_STATE_* */
	uint16_t types;  /* objects that have it; bits of 1 << KMIP_OBJECT_TYPE_* */
};
const struct attr_info *attr_info(uint32_t tag);              /* NULL: not an attribute */
const struct attr_info *attr_info_by_name(struct slice name); /* 1.x name */
const struct attr_info *attr_info_each(size_t i);             /* NULL after the last */
const char *attr_name(const struct attr_info *info);          /* in 1.x, and of the tag */

/* Which attribute: a standard one by tag, or one of a vendor (tag is TAG_ATTRIBUTE). */
struct attr_ref {
	uint32_t tag;
	struct slice vendor, name; /* vendor attributes */
};
/* False for an item that can be no attribute. */
bool attr_ref_of(const struct ttlv_item *it, struct attr_ref *ret);
bool attr_ref_eq(const struct attr_ref *a, const struct attr_ref *b);

/* --- sets --- */

/* The n-th instance (from 0) of an attribute; false: there is none. */
bool attrs_find(struct slice set, uint32_t tag, size_t n, struct ttlv_item *ret);
bool attrs_find_ref(
	struct slice set, const struct attr_ref *ref, size_t n, struct ttlv_item *ret);
size_t attrs_count(struct slice set, uint32_t tag);
/* Typed short cuts to the first instance. */
bool attrs_get_int(struct slice set, uint32_t tag, int32_t *ret);
bool attrs_get_enum(struct slice set, uint32_t tag, uint32_t *ret);
bool attrs_get_bool(struct slice set, uint32_t tag, bool *ret);
bool attrs_get_date(struct slice set, uint32_t tag, int64_t *ret);
bool attrs_get_text(struct slice set, uint32_t tag, struct slice *ret);
/* Name Value of the n-th Name; Linked Object Identifier of the first Link of this type. */
bool attrs_get_name(struct slice set, size_t n, struct slice *ret);
bool attrs_has_name(struct slice set, struct slice name); /* is it one of the Names? */
bool attrs_get_link(struct slice set, uint32_t link_type, struct slice *ret);

/* --- instances ---
 *
 * In 1.x an instance has an index, which stays the same when others before it are deleted: a gap, an
 * item that never leaves the server, keeps the place. */
bool attrs_find_index(struct slice set, const struct attr_ref *ref, int32_t index,
	struct ttlv_item *ret);
int32_t attrs_index_of(
	struct slice set, const struct ttlv_item *it); /* of the set's item */
size_t attrs_count_ref(struct slice set, const struct attr_ref *ref);
/* All instances of one attribute, with their gaps. */
void attrs_pick(struct slice set, const struct attr_ref *ref, struct buf *into);
/* The indices of the others stay.  `gone` and `old` are items of the set. */
void attrs_take_out(struct buf *set, const struct ttlv_item *gone);
void attrs_take_out_all(struct buf *set, const struct attr_ref *ref);
void attrs_replace(struct buf *set, const struct ttlv_item *old, struct slice whole_item);

/* Iterate with: struct ttlv_reader r = ttlv_read(set); while (ttlv_next(&r, &item)) */

/* --- building (sticky: ask buf_err() once) --- */

void attrs_add_item(struct buf *set, struct slice whole_item);
void attrs_add_int(struct buf *set, uint32_t tag, int32_t v);
void attrs_add_enum(struct buf *set, uint32_t tag, uint32_t v);
void attrs_add_bool(struct buf *set, uint32_t tag, bool v);
void attrs_add_date(struct buf *set, uint32_t tag, int64_t v);
void attrs_add_text(struct buf *set, uint32_t tag, struct slice v);
void attrs_add_name(struct buf *set, struct slice name);
void attrs_add_link(struct buf *set, uint32_t link_type, struct slice uid);
/* Of a pair that is asked for: its length alone means the first curve that has it.  0: none, which adds nothing. */
void attrs_add_curve(struct buf *set, uint32_t recommended_curve);
/* A vendor attribute whose value is text. */
void attrs_add_vendor_text(
	struct buf *set, struct slice vendor, struct slice name, struct slice value);
/* Drops the n-th instance, or all of them. */
bool attrs_remove(struct buf *set, uint32_t tag, size_t n);
void attrs_remove_all(struct buf *set, uint32_t tag);
/* Puts a new first instance in the place of all old ones. */
void attrs_set_date(struct buf *set, uint32_t tag, int64_t v);
void attrs_set_enum(struct buf *set, uint32_t tag, uint32_t v);
void attrs_set_bool(struct buf *set, uint32_t tag, bool v);
void attrs_set_item(struct buf *set, struct slice whole_item);

/* Every attribute is known, well formed, of the right type, single where it must be, and may be set
 * by a client: INVALID_FIELD, SINGLE_VALUED or READ_ONLY otherwise. */
kf_err attrs_check_new(struct slice set);
/* The same for Import, where a client may set all of them. */
kf_err attrs_check_import(struct slice set);

/* --- on the wire --- */

/* Which set of Create Key Pair; elsewhere ATTRS_PLAIN. */
enum attrs_role { ATTRS_PLAIN, ATTRS_COMMON, ATTRS_PRIVATE_KEY, ATTRS_PUBLIC_KEY };

/* 1.x: (Common, Private Key, Public Key) Template-Attribute.  2.x: ... Attributes.  Appends to `into`
 * in canonical form; nothing happens when the structure is absent. */
void attrs_get_template(struct ttlv_reader *r, enum attrs_role role, struct buf *into);
void attrs_put_template(struct ttlv_writer *w, enum attrs_role role, struct slice set);
/* Bare attributes, as in Locate and the answer of Get Attributes: 1.x Attribute*, 2.x Attributes. */
void attrs_get_list(struct ttlv_reader *r, struct buf *into);
void attrs_put_list(struct ttlv_writer *w, struct slice set);
/* One attribute; `index` is its instance (1.x writes it). */
void attrs_put_one(struct ttlv_writer *w, const struct ttlv_item *it, int32_t index);

/* One attribute of a request, appended to `into`: 1.x Attribute, with its index; 2.x the structure
 * `tag` (Current or New Attribute) around it. */
struct attr_index {
	bool is_given;
	int32_t value;
};
void attrs_get_one(struct ttlv_reader *r, enum ttlv_tag tag, struct buf *into,
	struct attr_index *ret);

/* Names of attributes: 1.x Attribute Name, 2.x Attribute Reference.  Names that the version does
 * not know are not written. */
void attr_ref_put(struct ttlv_writer *w, const struct attr_ref *ref);
/* The next one, if there is one.  An unknown name gives tag 0: ask attr_info() no further. */
bool attr_ref_get(struct ttlv_reader *r, struct attr_ref *ret);
