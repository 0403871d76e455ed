/* SPDX-License-Identifier: Apache-2.0 */
#include "client/keyref.h"
#include <string.h>

enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_SEQUENCE = 0x30,
	DER_EXTENSIONS = 0xa0, /* [0] IMPLICIT SEQUENCE */
};

/* What is left to read of one constructed value.  The first failure sticks and empties it. */
struct der {
	struct slice left;
	kf_err err;
};

static void fail(struct der *d, kf_err e)
{
	if (kf_ok(d->err))
		d->err = e;
	d->left.n = 0;
}

static uint8_t take_byte(struct der *d)
{
	if (d->left.n == 0) {
		fail(d, kf_fail(SHORT, "key reference ends too early"));
		return 0;
	}
	uint8_t v = d->left.p[0];
	d->left.p++;
	d->left.n--;
	return v;
}

/* DER has one way to write a length; the others are refused.  Two bytes are enough for what
 * KEYREF_DER_MAX allows. */
static size_t take_length(struct der *d)
{
	uint8_t first = take_byte(d);
	if (first < 0x80)
		return first;
	size_t n = 0;
	for (unsigned i = first & 0x7f; i > 0 && first <= 0x82; i--)
		n = n << 8 | take_byte(d);
	if (first == 0x80 || first > 0x82 || n < 0x80 || (first == 0x82 && n < 0x100))
		fail(d, kf_fail(MALFORMED,
				"key reference has a length that DER forbids"));
	return n;
}

static bool next_is(const struct der *d, uint8_t tag)
{
	return d->left.n > 0 && d->left.p[0] == tag;
}

static struct slice take(struct der *d, uint8_t tag)
{
	if (take_byte(d) != tag)
		fail(d, kf_fail(MALFORMED, "key reference has an unexpected field"));
	size_t n = take_length(d);
	if (n > d->left.n)
		fail(d, kf_fail(SHORT, "field of the key reference is cut off"));
	if (!kf_ok(d->err))
		return (struct slice){ 0 };
	struct slice v = { d->left.p, n };
	d->left.p += n;
	d->left.n -= n;
	return v;
}

static struct der open_in(struct der *d, uint8_t tag)
{
	struct slice v = take(d, tag);
	return (struct der){ v, d->err };
}

static void close_in(struct der *d, struct der *inner)
{
	if (inner->left.n)
		fail(inner, kf_fail(MALFORMED, "key reference has bytes left over"));
	if (!kf_ok(inner->err))
		fail(d, inner->err);
}

/* Length of the UTF-8 sequence at p, or 0: too long, cut off, a surrogate, beyond U+10FFFF. */
static size_t utf8_step(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t want = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (want == 1)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4 || want > n)
		return 0;
	uint32_t v = p[0] & (0x7fu >> want);
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3f);
	}
	bool is_surrogate = v >= 0xd800 && v <= 0xdfff;
	return v < least[want] || v > 0x10ffff || is_surrogate ? 0 : want;
}

/* An id is shown in logs and terminals: text without control characters. */
static kf_err check_id(struct slice id)
{
	if (id.n == 0 || id.n > KEYREF_ID_MAX)
		return kf_fail(MALFORMED, "key id is not 1 to 64 bytes long");
	for (size_t i = 0; i < id.n;) {
		size_t step = utf8_step(id.p + i, id.n - i);
		if (step == 0 || id.p[i] < 0x20 || id.p[i] == 0x7f)
			return kf_fail(MALFORMED, "key id is not printable UTF-8");
		i += step;
	}
	return KF_OK;
}

static void check_spki(struct der *d)
{
	struct der spki = open_in(d, DER_SEQUENCE);
	struct der algorithm = open_in(&spki, DER_SEQUENCE);
	take(&algorithm, DER_OID);
	algorithm.left.n = 0; /* the parameters are the algorithm's affair */
	close_in(&spki, &algorithm);
	take(&spki, DER_BIT_STRING);
	close_in(d, &spki);
}

/* Returns the whole field, header included: that is what a SubjectPublicKeyInfo is to others. */
static struct slice take_spki(struct der *d)
{
	const uint8_t *start = d->left.p;
	check_spki(d);
	return kf_ok(d->err) ? (struct slice){ start, (size_t)(d->left.p - start) }
			     : (struct slice){ 0 };
}

/* We know no extension yet: only those that may be ignored pass. */
static void skip_extension(struct der *d)
{
	struct der ext = open_in(d, DER_SEQUENCE);
	take(&ext, DER_OID);
	if (next_is(&ext, DER_BOOLEAN)) {
		struct slice critical = take(&ext, DER_BOOLEAN);
		if (critical.n != 1 || critical.p[0] != 0xff)
			fail(&ext, kf_fail(MALFORMED, "critical flag is not in DER"));
		else
			fail(&ext,
				kf_fail(FEATURE, "key reference needs a newer keyfleet"));
	}
	take(&ext, DER_OCTET_STRING);
	close_in(d, &ext);
}

static void skip_extensions(struct der *d)
{
	struct der list = open_in(d, DER_EXTENSIONS);
	while (list.left.n)
		skip_extension(&list);
	close_in(d, &list);
}

static void take_version(struct der *d)
{
	struct slice version = take(d, DER_INTEGER);
	if (version.n != 1 && kf_ok(d->err))
		fail(d, kf_fail(MALFORMED, "version of the key reference"));
	if (kf_ok(d->err) && version.p[0] != 0)
		fail(d, kf_fail(VERSION, "key reference is of a newer version"));
}

kf_err keyref_get(struct slice der, struct keyref *ret)
{
	if (der.n > KEYREF_DER_MAX)
		return kf_fail(TOO_BIG, "key reference is too big");
	struct der all = { der, KF_OK };
	struct der d = open_in(&all, DER_SEQUENCE);
	struct keyref ref = { 0 };

	take_version(&d);
	ref.id = take(&d, DER_UTF8_STRING);
	ref.spki = take_spki(&d);
	if (next_is(&d, DER_EXTENSIONS))
		skip_extensions(&d);
	close_in(&all, &d);
	if (all.left.n)
		fail(&all, kf_fail(MALFORMED, "bytes follow the key reference"));
	KF_TRY(all.err);
	KF_TRY(check_id(ref.id));
	*ret = ref;
	return KF_OK;
}

static size_t header_size(size_t n) { return n < 0x80 ? 2 : n < 0x100 ? 3 : 4; }

static void put_header(struct buf *b, uint8_t tag, size_t n)
{
	buf_add_u8(b, tag);
	if (n >= 0x80)
		buf_add_u8(b, n < 0x100 ? 0x81 : 0x82);
	if (n >= 0x100)
		buf_add_u8(b, (uint8_t)(n >> 8));
	buf_add_u8(b, (uint8_t)n);
}

static kf_err check_ref(const struct keyref *ref)
{
	KF_TRY(check_id(ref->id));
	struct der d = { ref->spki, KF_OK };
	check_spki(&d);
	KF_TRY(d.err);
	if (d.left.n)
		return kf_fail(MALFORMED, "bytes follow the public key");
	if (ref->spki.n > KEYREF_DER_MAX - KEYREF_ID_MAX - 16)
		return kf_fail(TOO_BIG, "public key is too big for a reference");
	return KF_OK;
}

void keyref_put(struct buf *b, const struct keyref *ref)
{
	kf_err e = check_ref(ref);
	if (!kf_ok(e)) {
		if (kf_ok(b->err))
			b->err = e;
		return;
	}
	put_header(b, DER_SEQUENCE, 3 + header_size(ref->id.n) + ref->id.n + ref->spki.n);
	buf_add(b, (const uint8_t[]){ DER_INTEGER, 1, 0 }, 3);
	put_header(b, DER_UTF8_STRING, ref->id.n);
	buf_add_slice(b, ref->id);
	buf_add_slice(b, ref->spki);
}

/* ---- PEM ---- */

#define BEGIN_LINE "-----BEGIN " KEYREF_LABEL "-----"
#define END_LINE   "-----END " KEYREF_LABEL "-----"

/* Cuts the next line off *text, without its end and the blanks before that. */
static struct slice next_line(struct slice *text)
{
	struct slice line = slice_take_line(text);
	while (line.n && strchr(" \t\r", line.p[line.n - 1]) && line.p[line.n - 1])
		line.n--;
	return line;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(uint8_t c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;
	return at ? (int)(at - base64_digits) : -1;
}

/* Base64 over several lines; the last group may be padded, and nothing may follow padding. */
struct base64 {
	struct buf *out;
	uint32_t bits;
	unsigned digits, padding;
	bool is_bad;
};

static void flush_group(struct base64 *d)
{
	uint8_t v[] = { (uint8_t)(d->bits >> 16), (uint8_t)(d->bits >> 8),
		(uint8_t)d->bits };
	unsigned n = 3 - d->padding;
	d->is_bad |= d->padding > 2;
	for (unsigned i = n; i < 3 && !d->is_bad; i++)
		d->is_bad = v[i] != 0;
	if (!d->is_bad)
		buf_add(d->out, v, n);
	d->bits = d->digits = 0;
}

static void base64_line(struct base64 *d, struct slice line)
{
	for (size_t i = 0; i < line.n && !d->is_bad; i++) {
		int v = base64_value(line.p[i]);
		bool is_padding = line.p[i] == '=' && d->digits >= 2;
		d->is_bad = is_padding ? false : v < 0 || d->padding;
		d->padding += is_padding;
		d->bits = d->bits << 6 | (is_padding ? 0 : (uint32_t)v & 0x3f);
		if (++d->digits == 4)
			flush_group(d);
	}
}

static bool find_begin(struct slice *text)
{
	while (text->n)
		if (slice_is(next_line(text), BEGIN_LINE))
			return true;
	return false;
}

static kf_err get_body(struct slice text, struct buf *der)
{
	struct base64 d = { .out = der };
	while (text.n) {
		struct slice line = next_line(&text);
		if (slice_is(line, END_LINE) && d.digits == 0 && !d.is_bad)
			return buf_err(der);
		base64_line(&d, line);
		if (d.is_bad)
			return kf_fail(MALFORMED, "key reference is not in Base64");
	}
	return kf_fail(SHORT, "key reference has no END line");
}

kf_err keyref_get_pem(struct slice text, struct buf *der, struct keyref *ret)
{
	if (!find_begin(&text))
		return kf_fail(NOT_FOUND, "no " KEYREF_LABEL " block");
	buf_clear(der);
	KF_TRY(get_body(text, der));
	return keyref_get(buf_slice(der), ret);
}

static void put_base64(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i += 3) {
		size_t have = s.n - i < 3 ? s.n - i : 3;
		uint32_t v = (uint32_t)s.p[i] << 16;
		v |= have > 1 ? (uint32_t)s.p[i + 1] << 8 : 0;
		v |= have > 2 ? s.p[i + 2] : 0;
		for (size_t k = 0; k < 4; k++)
			buf_add_u8(b,
				k > have
					? '='
					: (uint8_t)base64_digits[v >> (18 - 6 * k) & 63]);
		if (i % 48 == 45 || i + 3 >= s.n)
			buf_add_u8(b, '\n');
	}
}

void keyref_put_pem(struct buf *b, const struct keyref *ref)
{
	autobuf der = buf_new(KEYREF_DER_MAX);
	keyref_put(&der, ref);
	if (!kf_ok(buf_err(&der)) && kf_ok(b->err))
		b->err = buf_err(&der);
	buf_add_text(b, BEGIN_LINE "\n");
	put_base64(b, buf_slice(&der));
	buf_add_text(b, END_LINE "\n");
}
