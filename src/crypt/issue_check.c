/* SPDX-License-Identifier: Apache-2.0
 *
 * issue_check: what a small authority lets into its certificates.
 */
#include "crypt/issue_inside.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { DNS_NAME_MAX = 253, LABEL_MAX = 63 };

/* --- names --- */

static bool is_label(struct slice s)
{
	if (!s.n || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return true;
}

static struct slice next_label(struct slice *rest)
{
	const uint8_t *dot = rest->n ? memchr(rest->p, '.', rest->n) : NULL;
	const struct slice label = { rest->p, dot ? (size_t)(dot - rest->p) : rest->n };
	/* A dot at the end leaves an empty label behind. */
	*rest = dot ? (struct slice){ dot + 1, rest->n - label.n - 1 }
		    : (struct slice){ 0 };
	return label;
}

/* Labels between dots, the first of which may be an asterisk. */
static bool is_dns(struct slice name)
{
	struct slice rest = name;
	bool has_more = true;
	if (name.n > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; has_more; i++) {
		struct slice label = next_label(&rest);
		has_more = rest.p != NULL;
		bool is_wildcard = !i && has_more && slice_is(label, "*");
		if (!is_wildcard && !is_label(label))
			return false;
	}
	return true;
}

static bool matches(const char *pattern, struct slice name)
{
	const size_t n = strlen(pattern);
	if (pattern[0] != '.')
		return name.n == n && !strncasecmp(pattern, (const char *)name.p, n);
	return name.n > n && !strncasecmp(pattern, (const char *)name.p + name.n - n, n);
}

static kf_err check_name(const struct issue_policy *p, struct slice name)
{
	if (!is_dns(name))
		return kf_fail(NOT_ISSUED_NAME, "a name that is not a DNS name");
	if (name.p[0] == '*' && !p->allows_wildcards)
		return kf_fail(NOT_ISSUED_NAME, "the authority issues no wildcards");
	for (size_t i = 0; i < p->names_n; i++)
		if (matches(p->names[i], name))
			return KF_OK;
	return kf_fail(NOT_ISSUED_NAME, "a name that the authority does not issue to");
}

/* --- addresses --- */

static bool to_v6(struct slice address, uint8_t ret[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (address.n != 4 && address.n != 16)
		return false;
	memcpy(ret, mapped, sizeof(mapped));
	memcpy(ret + 16 - address.n, address.p, address.n);
	return true;
}

static bool is_in(const struct issue_network *net, const uint8_t address[16])
{
	const size_t whole = net->bits / 8;
	const unsigned rest = net->bits % 8;
	const uint8_t mask = (uint8_t)(0xff00 >> rest);
	return !memcmp(net->address, address, whole) &&
	       (!rest || !((net->address[whole] ^ address[whole]) & mask));
}

static kf_err check_address(const struct issue_policy *p, struct slice address)
{
	uint8_t v6[16];
	if (!to_v6(address, v6))
		return kf_fail(
			NOT_ISSUED_NAME, "an address that is neither IPv4 nor IPv6");
	for (size_t i = 0; i < p->networks_n; i++)
		if (is_in(&p->networks[i], v6))
			return KF_OK;
	return kf_fail(
		NOT_ISSUED_NAME, "an address that the authority does not issue to");
}

static kf_err check_alternative(const struct issue_policy *p, const GENERAL_NAME *name)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
	if (type != GEN_DNS && type != GEN_IPADD)
		return kf_fail(
			NOT_ISSUED_NAME, "alternative names are DNS names and addresses");
	const struct slice value = { ASN1_STRING_get0_data(s),
		(size_t)ASN1_STRING_length(s) };
	return type == GEN_DNS ? check_name(p, value) : check_address(p, value);
}

static kf_err check_common_names(const struct issue_policy *p, const X509_NAME *subject,
	int names, struct buf *refused)
{
	int at = -1, last = -1;
	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0) {
		const ASN1_STRING *s =
			X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
		const struct slice name = { ASN1_STRING_get0_data(s),
			(size_t)ASN1_STRING_length(s) };
		const kf_err err = check_name(p, name);
		if (!kf_ok(err))
			issue_print_text(refused, name);
		KF_TRY(err);
		last = at;
	}
	return last >= 0 || names
		       ? KF_OK
		       : kf_fail(NOT_ISSUED_NAME, "a certificate without a name");
}

static kf_err check_alternatives(
	const struct issue_policy *p, const GENERAL_NAMES *names, struct buf *refused)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const kf_err err = check_alternative(p, name);
		if (!kf_ok(err))
			issue_print_name(refused, name);
		KF_TRY(err);
	}
	return KF_OK;
}

static kf_err check_names(const struct issue_policy *p, enum cert_role role,
	const struct issue_request *r, struct buf *refused)
{
	const int n = r->names ? sk_GENERAL_NAME_num(r->names) : 0;
	if (n > ISSUE_NAMES_MAX)
		return kf_fail(NOT_ISSUED_NAME, "more than 100 alternative names");
	if (!n && role == CERT_SERVER)
		return kf_fail(NOT_ISSUED_NAME,
			"a server needs a DNS name or an address as "
			"Subject Alternative Name");
	KF_TRY(check_alternatives(p, r->names, refused));
	return check_common_names(p, r->subject, n, refused);
}

/* --- the key --- */

static kf_err check_key(const struct issue_policy *p, const struct alg *alg)
{
	const unsigned least = alg->family == FAMILY_RSA  ? p->rsa_bits
			       : alg->family == FAMILY_EC ? p->ec_bits
							  : 0;
	return alg->is_legacy || alg->bits < least
		       ? kf_fail(NOT_ISSUED_KEY, "the key is too small for the authority")
		       : KF_OK;
}

kf_err issue_check(const struct issue_policy *p, enum cert_role role,
	const struct issue_request *r, struct buf *ret_refused)
{
	if (role != CERT_SERVER && role != CERT_CLIENT)
		return kf_fail(NOT_ISSUED, "issued is to servers and clients");
	if (r->wants_to_be_ca)
		return kf_fail(NOT_ISSUED, "the authority makes no other authorities");
	KF_TRY(check_key(p, pubkey_alg(r->key)));
	return check_names(p, role, r, ret_refused);
}
