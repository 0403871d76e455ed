/* SPDX-License-Identifier: Apache-2.0
 *
 * ttlv: KMIP's Tag-Type-Length-Value encoding, read and written in place.
 *
 * Both sides keep the first error and turn later calls into no-ops, so a message is written as the
 * list of its fields and checked once, at the end.  Slices returned by a reader point into the
 * message and live as long as it does.  Getters leave *ret untouched on failure: zero it first.
 *
 * Versions are numbers: 0x0104 is KMIP 1.4.  Built with KF_GUEST nothing here ever aborts.
 */
#pragma once
#include "base/buf.h"

enum ttlv_type {
	TTLV_STRUCT = 1,
	TTLV_INT,
	TTLV_LONG,
	TTLV_BIGINT,
	TTLV_ENUM,
	TTLV_BOOL,
	TTLV_TEXT,
	TTLV_BYTES,
	TTLV_DATE,
	TTLV_INTERVAL,
	TTLV_DATE_EXTENDED, /* since 2.0; microseconds */
};

enum ttlv_tag {
#define X(name, value, types, since, until, secret, kind, text) TAG_##name = value,
#include "ttlv/tag.def"
#undef X
};

/* Values of enumerations and masks, as in KMIP_OPERATION_SIGN or KMIP_STATE_ACTIVE.  Those of
 * vendors do not fit an int, hence the extension. */
__extension__ enum ttlv_value {
#define X(kind, name, value, since, until, text) KMIP_##kind##_##name = value,
#include "ttlv/enum.def"
};

enum ttlv_kind {
	TTLV_KIND_NONE,
	TTLV_KIND_TAG, /* the value is a tag itself, as in Attribute Reference */
#define KIND(name, is_mask, text) TTLV_KIND_##name,
#include "ttlv/enum.def"
	TTLV_KINDS,
};

/* What the tables know.  NULL or false: unknown. */
struct ttlv_tag_info {
	uint16_t since, until; /* protocol versions, both inclusive */
	uint16_t types;        /* bit 1 << enum ttlv_type */
	uint8_t kind;          /* enum ttlv_kind of its values */
	bool is_secret;        /* print masked, with everything below */
	const char *text;      /* the standard's name */
};
const struct ttlv_tag_info *ttlv_tag(uint32_t tag);
bool ttlv_tag_in(uint32_t tag, uint16_t version); /* known to that version */
uint32_t ttlv_tag_find(struct slice text);        /* by the standard's name; 0: unknown */
/* By its letters and digits only, without case: "IVCounterNonce", as in KMIP's XML. */
uint32_t ttlv_tag_find_words(struct slice text);

const char *ttlv_value_text(enum ttlv_kind kind, uint32_t value);
/* Compares letters and digits only, without case: "AES", "Cryptographic-Usage mask". */
bool ttlv_value_find(enum ttlv_kind kind, struct slice text, uint32_t *ret);
/* Vendor values (from 0x80000000 up) and enumerations without a table are in every version. */
bool ttlv_value_in(enum ttlv_kind kind, uint32_t value, uint16_t version);

/* --- reading --- */

enum { TTLV_DEPTH = 32 };

struct ttlv_reader {
	struct slice in;
	uint16_t version; /* 0: not known yet, everything is welcome */
	bool is_lenient;  /* skip fields that we do not know (a foreign minor version) */
	uint8_t depth;
	uint32_t pos, start[TTLV_DEPTH + 1],
		end[TTLV_DEPTH + 1]; /* of every open structure */
	kf_err err;
};

/* One item, whatever it is.  `value` is without padding; `whole` is header, value and padding. */
struct ttlv_item {
	uint32_t tag;
	enum ttlv_type type;
	struct slice value, whole;
};

/* Over a whole message or over the content of a structure. */
struct ttlv_reader ttlv_read(struct slice in);
struct ttlv_reader ttlv_read_as(struct slice in, uint16_t version, bool is_lenient);
/* The same in place: a reader is large, and GCC copies what a function returns.  For hot paths. */
void ttlv_start(
	struct ttlv_reader *ret, struct slice in, uint16_t version, bool is_lenient);
/* Over `in`, in the version of `r`. */
struct ttlv_reader ttlv_read_like(const struct ttlv_reader *r, struct slice in);

void ttlv_open(struct ttlv_reader *r, enum ttlv_tag tag);
bool ttlv_open_opt(struct ttlv_reader *r, enum ttlv_tag tag);
/* A field that is left over: MALFORMED if it is a repetition, otherwise INVALID_FIELD, or nothing
 * when reading leniently. */
void ttlv_close(struct ttlv_reader *r);

bool ttlv_at(
	struct ttlv_reader *r, enum ttlv_tag tag); /* is the next item's tag this one? */
bool ttlv_more(struct ttlv_reader *r); /* is there another item in this structure? */

void ttlv_get_int(struct ttlv_reader *r, enum ttlv_tag tag, int32_t *ret);
void ttlv_get_long(struct ttlv_reader *r, enum ttlv_tag tag, int64_t *ret);
void ttlv_get_bigint(struct ttlv_reader *r, enum ttlv_tag tag, struct slice *ret);
void ttlv_get_enum(struct ttlv_reader *r, enum ttlv_tag tag, uint32_t *ret);
void ttlv_get_bool(struct ttlv_reader *r, enum ttlv_tag tag, bool *ret);
void ttlv_get_text(struct ttlv_reader *r, enum ttlv_tag tag, struct slice *ret);
void ttlv_get_bytes(struct ttlv_reader *r, enum ttlv_tag tag, struct slice *ret);
void ttlv_get_date(struct ttlv_reader *r, enum ttlv_tag tag, int64_t *ret);
void ttlv_get_interval(struct ttlv_reader *r, enum ttlv_tag tag, uint32_t *ret);
/* Any type that the table allows for the tag; checked like the typed ones. */
void ttlv_get_item(struct ttlv_reader *r, enum ttlv_tag tag, struct ttlv_item *ret);
/* The content of a structure, unread. */
void ttlv_get_content(struct ttlv_reader *r, enum ttlv_tag tag, struct slice *ret);

/* The optional ones: false and no error when the next item is another one. */
bool ttlv_opt_int(struct ttlv_reader *r, enum ttlv_tag tag, int32_t *ret);
bool ttlv_opt_enum(struct ttlv_reader *r, enum ttlv_tag tag, uint32_t *ret);
bool ttlv_opt_bool(struct ttlv_reader *r, enum ttlv_tag tag, bool *ret);
bool ttlv_opt_text(struct ttlv_reader *r, enum ttlv_tag tag, struct slice *ret);
bool ttlv_opt_bytes(struct ttlv_reader *r, enum ttlv_tag tag, struct slice *ret);
bool ttlv_opt_date(struct ttlv_reader *r, enum ttlv_tag tag, int64_t *ret);

/* Generic iteration: the next item of this structure, whatever its tag; false at the end or on
 * failure.  Type and length are checked; an unknown tag is not an error. */
bool ttlv_next(struct ttlv_reader *r, struct ttlv_item *ret);
/* Walks the whole encoding below `in`: MALFORMED where any item at any depth is. */
kf_err ttlv_check(struct slice in);

bool ttlv_ok(const struct ttlv_reader *r);
void ttlv_refuse(struct ttlv_reader *r,
	kf_err err); /* the caller's own finding; first one stays */
/* Everything was read: closes the outermost level as ttlv_close() does and says what happened. */
kf_err ttlv_done(struct ttlv_reader *r);

/* Values of an item from ttlv_next(), whose type was checked by the caller. */
int32_t ttlv_item_int(const struct ttlv_item *it);  /* INT, ENUM, INTERVAL */
int64_t ttlv_item_long(const struct ttlv_item *it); /* LONG, BOOL, DATE, DATE_EXTENDED */

/* --- writing --- */

struct ttlv_writer {
	struct buf *out;  /* keeps the first error */
	uint16_t version; /* a tag that is not in it is an INTERNAL error; 0: no check */
	bool allows_vendor; /* our 0x54 tags may leave */
	uint8_t depth;
	uint32_t at[TTLV_DEPTH]; /* where every open structure begins */
};

struct ttlv_writer ttlv_write(struct buf *out, uint16_t version);
void ttlv_begin(struct ttlv_writer *w, enum ttlv_tag tag);
void ttlv_end(struct ttlv_writer *w);
void ttlv_put_int(struct ttlv_writer *w, enum ttlv_tag tag, int32_t value);
void ttlv_put_long(struct ttlv_writer *w, enum ttlv_tag tag, int64_t value);
void ttlv_put_bigint(
	struct ttlv_writer *w, enum ttlv_tag tag, struct slice value); /* as read */
void ttlv_put_enum(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t value);
void ttlv_put_bool(struct ttlv_writer *w, enum ttlv_tag tag, bool value);
void ttlv_put_text(struct ttlv_writer *w, enum ttlv_tag tag, struct slice value);
void ttlv_put_bytes(struct ttlv_writer *w, enum ttlv_tag tag, struct slice value);
void ttlv_put_date(struct ttlv_writer *w, enum ttlv_tag tag, int64_t value);
void ttlv_put_interval(struct ttlv_writer *w, enum ttlv_tag tag, uint32_t value);
/* The type and value of an item under another tag. */
void ttlv_put_as(struct ttlv_writer *w, uint32_t tag, const struct ttlv_item *it);
/* Encoded items as they are.  Only the outermost tags are checked against the version: what goes
 * deeper was checked by ttlv_fits() where it matters. */
void ttlv_put_items(struct ttlv_writer *w, struct slice items);
/* True if every tag and enumeration value below `items` is in the version. */
bool ttlv_fits(struct slice items, uint16_t version);
kf_err ttlv_written(const struct ttlv_writer *w);

/* --- text --- */

/* One item a line, children indented by a tab; names and values as in the standard:
 *
 *   Request Payload
 *   	Unique Identifier = Text "3f2a"
 *   	Cryptographic Usage Mask = Integer Sign | Verify
 *   	Cryptographic Algorithm = Enumeration RSA
 *   	Activation Date = Date 2026-01-31T12:00:00Z
 *   	Data = Bytes 0102
 *   	Key Material = Bytes (masked, 32 bytes)
 *
 * Text escapes control bytes, quotes and backslash as \xHH.  Unmasked, ttlv_parse() gives the same
 * bytes (of input whose padding is zero).  Unknown tags and values are written as 0x numbers. */
kf_err ttlv_print(struct slice items, bool is_masked, struct buf *ret);
kf_err ttlv_parse(struct slice text, struct buf *ret);
