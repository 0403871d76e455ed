/* SPDX-License-Identifier: Apache-2.0
 *
 * What an attribute must look like inside, and what a client may say about a new object.
 */
#include "kmip/attrs.h"
#include "kmip/attrs_wire.h"

enum { FIELDS = 8, OPTIONAL = 1 << 30, MANY = 1 << 29, TAG_BITS = 0xffffff };

/* Fields of structured attributes, in their order. */
static const struct shape {
	uint32_t tag, field[FIELDS];
} shapes[] = {
	{ TAG_NAME, { TAG_NAME_VALUE, TAG_NAME_TYPE } },
	{ TAG_LINK, { TAG_LINK_TYPE, TAG_LINKED_OBJECT_IDENTIFIER } },
	{ TAG_APPLICATION_SPECIFIC_INFORMATION,
		{ TAG_APPLICATION_NAMESPACE, TAG_APPLICATION_DATA | OPTIONAL } },
	{ TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS,
		{ TAG_QLENGTH | OPTIONAL, TAG_RECOMMENDED_CURVE | OPTIONAL } },
	{ TAG_DIGEST, { TAG_HASHING_ALGORITHM, TAG_DIGEST_VALUE | OPTIONAL,
			      TAG_KEY_FORMAT_TYPE | OPTIONAL } },
	{ TAG_USAGE_LIMITS, { TAG_USAGE_LIMITS_TOTAL, TAG_USAGE_LIMITS_COUNT | OPTIONAL,
				    TAG_USAGE_LIMITS_UNIT } },
	{ TAG_REVOCATION_REASON,
		{ TAG_REVOCATION_REASON_CODE, TAG_REVOCATION_MESSAGE | OPTIONAL } },
	{ TAG_ALTERNATIVE_NAME,
		{ TAG_ALTERNATIVE_NAME_VALUE, TAG_ALTERNATIVE_NAME_TYPE } },
	{ TAG_KEY_VALUE_LOCATION,
		{ TAG_KEY_VALUE_LOCATION_VALUE, TAG_KEY_VALUE_LOCATION_TYPE } },
	{ TAG_X_509_CERTIFICATE_IDENTIFIER,
		{ TAG_ISSUER_DISTINGUISHED_NAME | OPTIONAL,
			TAG_CERTIFICATE_SERIAL_NUMBER | OPTIONAL } },
	{ TAG_X_509_CERTIFICATE_SUBJECT,
		{ TAG_SUBJECT_DISTINGUISHED_NAME | OPTIONAL,
			TAG_SUBJECT_ALTERNATIVE_NAME | OPTIONAL | MANY } },
	{ TAG_X_509_CERTIFICATE_ISSUER,
		{ TAG_ISSUER_DISTINGUISHED_NAME | OPTIONAL,
			TAG_ISSUER_ALTERNATIVE_NAME | OPTIONAL | MANY } },
	{ TAG_CERTIFICATE_IDENTIFIER, { TAG_ISSUER, TAG_SERIAL_NUMBER | OPTIONAL } },
	{ TAG_CERTIFICATE_SUBJECT,
		{ TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME,
			TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME | OPTIONAL | MANY } },
	{ TAG_CERTIFICATE_ISSUER,
		{ TAG_CERTIFICATE_ISSUER_DISTINGUISHED_NAME,
			TAG_CERTIFICATE_ISSUER_ALTERNATIVE_NAME | OPTIONAL | MANY } },
	{ TAG_RANDOM_NUMBER_GENERATOR,
		{ TAG_RNG_ALGORITHM, TAG_CRYPTOGRAPHIC_ALGORITHM | OPTIONAL,
			TAG_CRYPTOGRAPHIC_LENGTH | OPTIONAL,
			TAG_HASHING_ALGORITHM | OPTIONAL, TAG_DRBG_ALGORITHM | OPTIONAL,
			TAG_RECOMMENDED_CURVE | OPTIONAL,
			TAG_FIPS186_VARIATION | OPTIONAL,
			TAG_PREDICTION_RESISTANCE | OPTIONAL } },
	{ TAG_ROTATE_NAME, { TAG_ROTATE_NAME_VALUE, TAG_ROTATE_NAME_TYPE } },
	{ TAG_ATTRIBUTE,
		{ TAG_VENDOR_IDENTIFICATION, TAG_ATTRIBUTE_NAME, TAG_ATTRIBUTE_VALUE } },
};

static const struct shape *shape_of(uint32_t tag)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].tag == tag)
			return &shapes[i];
	}
	return NULL;
}

static void read_field(struct ttlv_reader *r, uint32_t field, bool is_part)
{
	enum ttlv_tag tag = (enum ttlv_tag)(field & TAG_BITS);
	struct ttlv_item it;
	if (((field & OPTIONAL) || is_part) && !ttlv_at(r, tag))
		return;
	do {
		ttlv_get_item(r, tag, &it);
	} while ((field & MANY) && ttlv_ok(r) && ttlv_at(r, tag));
}

/* Types were checked when the item was read; what stands inside is checked here. */
static kf_err check_fields(const struct ttlv_item *it, bool is_part)
{
	const struct shape *shape = shape_of(it->tag);
	KF_TRY(ttlv_check(it->whole));
	if (!shape || it->type != TTLV_STRUCT)
		return KF_OK;
	struct ttlv_reader r = ttlv_read(it->value);
	for (size_t i = 0; i < FIELDS && shape->field[i]; i++)
		read_field(&r, shape->field[i], is_part);
	return kf_ok(ttlv_done(&r)) ? KF_OK
				    : kf_fail(INVALID_FIELD, "attribute is incomplete");
}

kf_err attrs_check_shape(const struct ttlv_item *it) { return check_fields(it, false); }

/* A vendor attribute is nothing without its name. */
kf_err attrs_check_part(const struct ttlv_item *it)
{
	return check_fields(it, it->tag != TAG_ATTRIBUTE);
}

/* These two are older than their place in Cryptographic Parameters. */
static bool has_algorithms(const struct ttlv_item *it)
{
	struct ttlv_item field;
	return attrs_find(it->value, TAG_CRYPTOGRAPHIC_ALGORITHM, 0, &field) ||
	       attrs_find(it->value, TAG_DIGITAL_SIGNATURE_ALGORITHM, 0, &field);
}

static bool fits(const struct ttlv_item *it, uint16_t version)
{
	if (it->tag == TAG_CRYPTOGRAPHIC_PARAMETERS && version < KMIP_1_2 &&
		has_algorithms(it))
		return false;
	return ttlv_fits(it->whole, version);
}

/* A vendor's value may hold anything. */
kf_err attrs_check_version(const struct ttlv_item *it, uint16_t version)
{
	return version == 0 || it->tag == TAG_ATTRIBUTE || fits(it, version)
		       ? KF_OK
		       : kf_fail(INVALID_FIELD, "the version has no such value");
}

/* Does an instance of the same attribute stand before this one? */
static bool came_before(struct slice set, const struct ttlv_item *it)
{
	struct ttlv_item first;
	struct attr_ref ref;
	return attr_ref_of(it, &ref) && attrs_find_ref(set, &ref, 0, &first) &&
	       first.whole.p < it->whole.p;
}

static kf_err check_set(struct slice set, bool is_import)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		const struct attr_info *info = attr_info(it.tag);
		if (!info)
			return kf_fail(INVALID_FIELD, "not an attribute");
		if (!info->is_settable && !is_import)
			return kf_fail(READ_ONLY, "attribute is set by the server");
		KF_TRY(attrs_check_shape(&it));
		if (!info->is_multi && came_before(set, &it))
			return kf_fail(GIVEN_TWICE, "attribute is given twice");
	}
	return r.err;
}

kf_err attrs_check_new(struct slice set) { return check_set(set, false); }

kf_err attrs_check_import(struct slice set) { return check_set(set, true); }
