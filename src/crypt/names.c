/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/names.h"
#include "crypt/x509.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 256, ATTRIBUTES_MAX = 16 };

static bool is_printable(const char *text, size_t max)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < n; i++)
		if (!isprint((unsigned char)text[i]))
			return false;
	return n > 0 && n <= max;
}

static kf_err add(X509_NAME *name, const char *type, const char *value)
{
	if (!is_printable(value, VALUE_MAX))
		return kf_fail(
			INVALID_FIELD, "a name has printable ASCII characters only");
	if (!X509_NAME_add_entry_by_txt(
		    name, type, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0))
		return ossl_fail(INVALID_FIELD,
			"unknown attribute, or too long a value, in a subject");
	return KF_OK;
}

kf_err names_add_cn(X509_NAME *name, const char *text)
{
	if (!text || !is_printable(text, NAME_MAX_BYTES))
		return kf_fail(INVALID_FIELD,
			"a common name has 1 to 64 printable ASCII characters");
	return add(name, "CN", text);
}

/* Copies up to the stop character or the end, undoing backslashes; returns where it stopped. */
static const char *cut(const char *from, char stop, char *ret, size_t size)
{
	size_t n = 0;
	while (*from && *from != stop) {
		if (*from == '\\' && from[1])
			from++;
		if (n + 1 >= size)
			return NULL;
		ret[n++] = *from++;
	}
	ret[n] = 0;
	return from;
}

kf_err names_add_subject(X509_NAME *name, const char *text)
{
	char type[VALUE_MAX + 1], value[VALUE_MAX + 1];
	for (int i = 0; i < ATTRIBUTES_MAX; i++) {
		text = cut(text + strspn(text, " "), '=', type, sizeof(type));
		if (!text || *text != '=')
			return kf_fail(
				INVALID_FIELD, "a subject is TYPE=VALUE,TYPE=VALUE...");
		text = cut(text + 1, ',', value, sizeof(value));
		if (!text)
			return kf_fail(
				INVALID_FIELD, "a value in the subject is too long");
		KF_TRY(add(name, type, value));
		if (!*text++)
			return KF_OK;
	}
	return kf_fail(INVALID_FIELD, "too many attributes in the subject");
}

static bool is_dns_name(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(".-_*", *p))
			return false;
	return *text && strlen(text) <= 253;
}

/* The text's value as an OCTET STRING (address) or IA5String (name). */
static kf_err make_san(const char *text, GENERAL_NAME *san)
{
	bool says_dns = !strncasecmp(text, "dns:", 4),
	     says_ip = !strncasecmp(text, "ip:", 3);
	const char *value = text + (says_dns ? 4 : says_ip ? 3 : 0);
	ASN1_OCTET_STRING *address = says_dns ? NULL : a2i_IPADDRESS(value);
	if (address) {
		GENERAL_NAME_set0_value(san, GEN_IPADD, address);
		return KF_OK;
	}
	if (says_ip || !is_dns_name(value))
		return ossl_fail(INVALID_FIELD, "neither a DNS name nor an address");
	ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
	if (!dns || !ASN1_STRING_set(dns, value, -1)) {
		ASN1_IA5STRING_free(dns);
		return ossl_fail(NOMEM, "alternative name");
	}
	GENERAL_NAME_set0_value(san, GEN_DNS, dns);
	return KF_OK;
}

static kf_err add_san(const char *text, GENERAL_NAMES *list)
{
	GENERAL_NAME *san = GENERAL_NAME_new();
	kf_err err = san ? make_san(text, san) : ossl_fail(NOMEM, "alternative name");
	if (kf_ok(err) && !sk_GENERAL_NAME_push(list, san))
		err = ossl_fail(NOMEM, "alternative name");
	if (!kf_ok(err))
		GENERAL_NAME_free(san);
	return err;
}

kf_err names_make_sans(const char *const *texts, GENERAL_NAMES **ret)
{
	GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
	kf_err err = list ? KF_OK : ossl_fail(NOMEM, "alternative names");
	for (size_t i = 0; kf_ok(err) && texts[i]; i++)
		err = i < SAN_MAX ? add_san(texts[i], list)
				  : kf_fail(INVALID_FIELD, "too many alternative names");
	if (kf_ok(err))
		*ret = list;
	else
		sk_GENERAL_NAME_pop_free(list, GENERAL_NAME_free);
	return err;
}
