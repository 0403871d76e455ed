/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_shape.h"
#include <string.h>

enum {
	RANDOMS = 64, /* client_random and server_random */
	BLANKS = 64,
	CURVE_NAMED = 3,
	POINT_UNCOMPRESSED = 4,
};

/* Takes n bytes off the front; a failure empties the rest, so that nothing fits any more. */
static struct slice take(struct slice *from, size_t n)
{
	struct slice got = { from->p, n };
	if (from->n < n) {
		*from = (struct slice){ 0 };
		return (struct slice){ 0 };
	}
	from->p += n;
	from->n -= n;
	return got;
}

bool tls_is_certificate_verify(struct slice data)
{
	static const char context[] =
		"TLS 1.3, server CertificateVerify"; /* and its NUL */
	struct slice blanks = take(&data, BLANKS);
	struct slice name = take(&data, sizeof(context));
	for (size_t i = 0; i < blanks.n; i++)
		if (blanks.p[i] != ' ')
			return false;
	return name.n && !memcmp(name.p, context, sizeof(context)) &&
	       (data.n == 32 || data.n == 48);
}

/* TLS Supported Groups and the length of a public value. */
static size_t point_size(unsigned group)
{
	switch (group) {
	case 23: return 65;  /* secp256r1 */
	case 24: return 97;  /* secp384r1 */
	case 25: return 133; /* secp521r1 */
	case 29: return 32;  /* x25519 */
	case 30: return 56;  /* x448 */
	}
	return 0;
}

/* curve_type, named curve, point with its length; nothing else. */
static bool is_ecdh_params(struct slice params)
{
	struct slice head = take(&params, 4);
	if (!head.n || head.p[0] != CURVE_NAMED)
		return false;
	unsigned group = (unsigned)head.p[1] << 8 | head.p[2];
	size_t size = point_size(group);
	if (!size || head.p[3] != size || params.n != size)
		return false;
	return group >= 29 || params.p[0] == POINT_UNCOMPRESSED;
}

static struct slice take_number(struct slice *from)
{
	struct slice length = take(from, 2);
	if (!length.n)
		return (struct slice){ 0 };
	return take(from, (size_t)length.p[0] << 8 | length.p[1]);
}

static bool is_above(struct slice a, struct slice b)
{
	while (a.n && !a.p[0])
		take(&a, 1);
	while (b.n && !b.p[0])
		take(&b, 1);
	return a.n != b.n ? a.n > b.n : a.n && memcmp(a.p, b.p, a.n) > 0;
}

/* Odd, of 1024 to 8192 bits, without leading zeros. */
static bool is_prime_like(struct slice p)
{
	return p.n >= 128 && p.n <= 1024 && p.p[0] && (p.p[p.n - 1] & 1);
}

/* p, g and Ys, each with its length; 1 < g < p, 1 < Ys < p; nothing else. */
static bool is_dh_params(struct slice params)
{
	static const uint8_t one_byte[] = { 1 };
	struct slice one = { one_byte, 1 };
	struct slice p = take_number(&params), g = take_number(&params);
	bool is_cut = params.n == 0;
	struct slice y = take_number(&params);
	return !is_cut && params.n == 0 && is_prime_like(p) && y.n <= p.n &&
	       is_above(g, one) && is_above(p, g) && is_above(y, one) && is_above(p, y);
}

/* ---- DER, as far as it matters here ---- */

enum { DER_INTEGER = 0x02, DER_SEQUENCE = 0x30, DER_SET = 0x31, DER_CONTEXT_0 = 0xa0 };

/* Length in the one form that DER allows; false if it is none or longer than the rest. */
static bool take_length(struct slice *from, size_t *ret)
{
	struct slice first = take(from, 1);
	if (!first.n)
		return false;
	size_t n = first.p[0];
	if (n >= 0x80) {
		struct slice more = take(from, n - 0x80);
		if (more.n < 1 || more.n > 3 || more.p[0] == 0)
			return false;
		n = 0;
		for (size_t i = 0; i < more.n; i++)
			n = n << 8 | more.p[i];
		if (n < 0x80)
			return false;
	}
	*ret = n;
	return n <= from->n;
}

/* One element of this tag: its content, and all of it. */
static bool take_der(
	struct slice *from, uint8_t tag, struct slice *content, struct slice *whole)
{
	const uint8_t *start = from->p;
	size_t n;
	if (!from->n || from->p[0] != tag)
		return false;
	take(from, 1);
	if (!take_length(from, &n))
		return false;
	*content = (struct slice){ from->p, n };
	take(from, n);
	*whole = (struct slice){ start, (size_t)(content->p - start) + n };
	return true;
}

/* ---- TLS 1.2, the whole ---- */

/* The 64 bytes of the randoms are free, and so is most of a point: enough to hide a certificate to be
 * signed, or whatever else is one DER element.  Real randoms begin like that and with the right
 * length once in 2^23. */
static bool is_der_element(struct slice data)
{
	struct slice content, whole, rest = data;
	if (take_der(&rest, DER_SEQUENCE, &content, &whole) && rest.n == 0)
		return true;
	return take_der(&data, DER_SET, &content, &whole) && data.n == 0;
}

bool tls_is_server_key_exchange(struct slice data)
{
	struct slice params = data;
	return take(&params, RANDOMS).n &&
	       (is_ecdh_params(params) || is_dh_params(params)) && !is_der_element(data);
}

bool tls_shape_ok(struct slice data)
{
	return tls_is_certificate_verify(data) || tls_is_server_key_exchange(data);
}

/* ---- PKCS#10 ---- */

/* Every child of the element is a whole element too; what is in them does not matter here. */
static bool is_row_of(struct slice content, uint8_t tag)
{
	struct slice one, whole;
	while (content.n)
		if (!take_der(&content, tag, &one, &whole))
			return false;
	return true;
}

bool csr_info_is_for(struct slice data, struct slice spki)
{
	struct slice info, version, name, key, attributes, whole, key_whole;
	return take_der(&data, DER_SEQUENCE, &info, &whole) && data.n == 0 &&
	       take_der(&info, DER_INTEGER, &version, &whole) && version.n == 1 &&
	       version.p[0] == 0 && take_der(&info, DER_SEQUENCE, &name, &whole) &&
	       is_row_of(name, DER_SET) &&
	       take_der(&info, DER_SEQUENCE, &key, &key_whole) && spki.n &&
	       slice_eq(key_whole, spki) &&
	       take_der(&info, DER_CONTEXT_0, &attributes, &whole) &&
	       is_row_of(attributes, DER_SEQUENCE) && info.n == 0;
}
