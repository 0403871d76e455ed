/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/attrs.h"
#include "test.h"

/* A set that has something for every version. */
static const char canonical[] = "Name\n"
				"\tName Value = Text \"www\"\n"
				"\tName Type = Enumeration Uninterpreted Text String\n"
				"Object Type = Enumeration Private Key\n"
				"Cryptographic Algorithm = Enumeration RSA\n"
				"Cryptographic Length = Integer 2048\n"
				"Cryptographic Usage Mask = Integer Sign | Unrestricted\n"
				"Cryptographic Parameters\n"
				"\tPadding Method = Enumeration PSS\n"
				"\tHashing Algorithm = Enumeration SHA3-256\n"
				"\tSalt Length = Integer 32\n"
				"Digest\n"
				"\tHashing Algorithm = Enumeration SHA-256\n"
				"\tDigest Value = Bytes 00\n"
				"\tKey Format Type = Enumeration PKCS#8\n"
				"Operation Policy Name = Text \"default\"\n"
				"Sensitive = Boolean true\n"
				"Key Format Type = Enumeration PKCS#8\n"
				"Rotate Automatic = Boolean false\n"
				"Link\n"
				"\tLink Type = Enumeration Public Key Link\n"
				"\tLinked Object Identifier = Text \"pub\"\n"
				"Link\n"
				"\tLink Type = Enumeration Wrapping Key Link\n"
				"\tLinked Object Identifier = Text \"kek\"\n"
				"Name\n"
				"\tName Value = Text \"www2\"\n"
				"\tName Type = Enumeration URI\n"
				"Attribute\n"
				"\tVendor Identification = Text \"x\"\n"
				"\tAttribute Name = Text \"Pair\"\n"
				"\tAttribute Value\n"
				"\t\t0x540fff = Integer 1\n"
				"Attribute\n"
				"\tVendor Identification = Text \"ACME\"\n"
				"\tAttribute Name = Text \"Rack\"\n"
				"\tAttribute Value = Integer 7\n";

static kf_err print_list(const char *set_text, uint16_t version, struct buf *ret)
{
	autobuf set = buf_new(8192), out = buf_new(8192);
	KF_TRY(ttlv_parse(slice_of(set_text), &set));
	struct ttlv_writer w = ttlv_write(&out, version);
	attrs_put_list(&w, buf_slice(&set));
	KF_TRY(ttlv_written(&w));
	return ttlv_print(buf_slice(&out), false, ret);
}

static bool has(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

TEST(attributes_leave_in_1_0_as_it_knows_them)
{
	autobuf t = buf_new(16384);

	OK(kf_ok(print_list(canonical, KMIP_1_0, &t)));

	OK(has(&t, "Attribute Name = Text \"Name\"\n\tAttribute Value\n\t\tName Value = "
		   "Text "
		   "\"www\""));
	OK(has(&t,
		"\tAttribute Index = Integer 1\n\tAttribute Value\n\t\tName Value = Text "
		"\"www2\""));
	OK(has(&t, "Attribute Value = Integer Sign\n"));
	OK(has(&t, "Attribute Name = Text \"x-Pair\""));
	OK(has(&t, "\"Operation Policy Name\""));
	OK(has(&t, "\"Digest\"") && !has(&t, "PKCS#8"));
	OK(has(&t, "PSS") && !has(&t, "SHA3") && !has(&t, "Salt"));
	OK(!has(&t, "Sensitive") && !has(&t, "Rotate") && !has(&t, "Rack"));
	OK(has(&t, "\"pub\"") && !has(&t, "\"kek\""));
}

TEST(attributes_leave_in_1_4_as_it_knows_them)
{
	autobuf t = buf_new(16384);
	OK(kf_ok(print_list(canonical, KMIP_1_4, &t)));
	OK(has(&t, "\"Sensitive\"") && has(&t, "SHA3-256") && has(&t, "Salt Length"));
	OK(has(&t, "Key Format Type = Enumeration PKCS#8"));
	OK(!has(&t, "\"Key Format Type\"") && !has(&t, "Rotate"));
}

TEST(attributes_leave_in_2_x_natively)
{
	autobuf t = buf_new(16384);
	OK(kf_ok(print_list(canonical, KMIP_2_0, &t)));
	OK(has(&t, "Attributes\n\tName\n"));
	OK(has(&t, "Integer Sign | Unrestricted") && has(&t, "\"kek\""));
	OK(has(&t, "\tKey Format Type = Enumeration PKCS#8\n"));
	OK(!has(&t, "Rotate") && !has(&t, "Operation Policy Name"));
	buf_clear(&t);
	OK(kf_ok(print_list(canonical, KMIP_2_1, &t)));
	OK(has(&t, "Rotate Automatic") && has(&t, "Rack"));
}

static kf_err read_template(const char *text, uint16_t version, struct buf *into)
{
	autobuf b = buf_new(8192);
	KF_TRY(ttlv_parse(slice_of(text), &b));
	struct ttlv_reader r = ttlv_read_as(buf_slice(&b), version, version == 0x0109);
	attrs_get_template(&r, ATTRS_PLAIN, into);
	return ttlv_done(&r);
}

TEST(what_leaves_comes_back)
{
	static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3,
		KMIP_1_4, KMIP_2_0, KMIP_2_1 };
	for (size_t v = 0; v < 7; v++) {
		autobuf set = buf_new(8192), out = buf_new(8192), back = buf_new(8192),
			again = buf_new(8192);
		OK(kf_ok(ttlv_parse(slice_of(canonical), &set)));
		struct ttlv_writer w = ttlv_write(&out, versions[v]);
		attrs_put_template(&w, ATTRS_PLAIN, buf_slice(&set));
		OK(kf_ok(ttlv_written(&w)));

		struct ttlv_reader r = ttlv_read_as(buf_slice(&out), versions[v], false);
		attrs_get_template(&r, ATTRS_PLAIN, &back);
		OK(kf_ok(ttlv_done(&r)));
		w = ttlv_write(&again, versions[v]);
		attrs_put_template(&w, ATTRS_PLAIN, buf_slice(&back));
		OK(slice_eq(buf_slice(&out), buf_slice(&again)));
	}
}

#define ATTRIBUTE_1X(name, value)                                                        \
	"Template-Attribute\n\tAttribute\n\t\tAttribute Name = Text \"" name             \
	"\"\n\t\tAttribute Value = " value "\n"

#define LINK_1X(type)                                                                    \
	"Template-Attribute\n\tAttribute\n\t\tAttribute Name = Text \"Link\"\n"          \
	"\t\tAttribute Value\n\t\t\tLink Type = Enumeration " type "\n"                  \
	"\t\t\tLinked Object Identifier = Text \"o\"\n"

#define PARAMETERS_1X                                                                    \
	"Template-Attribute\n\tAttribute\n"                                              \
	"\t\tAttribute Name = Text \"Cryptographic Parameters\"\n"                       \
	"\t\tAttribute Value\n\t\t\tCryptographic Algorithm = Enumeration AES\n"

TEST(values_that_the_version_does_not_know_are_refused)
{
	autobuf b = buf_new(8192);
	OK(kf_is(read_template(LINK_1X("Next Link"), KMIP_1_1, &b), KF_E_INVALID_FIELD));
	OK(kf_ok(read_template(LINK_1X("Next Link"), KMIP_1_2, &b)));
	OK(kf_ok(read_template(LINK_1X("0x80000001"), KMIP_1_0, &b)));
	OK(kf_ok(read_template(LINK_1X("Next Link"), 0x0109, &b)));
	OK(kf_is(read_template(
			 ATTRIBUTE_1X("Cryptographic Algorithm", "Enumeration ED25519"),
			 KMIP_1_4, &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(read_template(PARAMETERS_1X, KMIP_1_1, &b), KF_E_INVALID_FIELD));
	OK(kf_ok(read_template(PARAMETERS_1X, KMIP_1_2, &b)));
}

TEST(nonsense_in_1_x_is_refused)
{
	autobuf b = buf_new(8192);
	OK(kf_ok(read_template(
		ATTRIBUTE_1X("Cryptographic Length", "Integer 8"), KMIP_1_0, &b)));
	OK(kf_is(read_template(ATTRIBUTE_1X("Cryptographic Length", "Text \"8\""),
			 KMIP_1_0, &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(read_template(ATTRIBUTE_1X("Colour", "Text \"red\""), KMIP_1_4, &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(read_template(ATTRIBUTE_1X("Sensitive", "Boolean true"), KMIP_1_3, &b),
		KF_E_INVALID_FIELD));
	OK(kf_ok(read_template(ATTRIBUTE_1X("Colour", "Text \"red\""), 0x0109, &b)));
	OK(kf_is(read_template("Template-Attribute\n\tName\n\t\tName Value = Text \"t\"\n"
			       "\t\tName Type = Enumeration URI\n",
			 KMIP_1_4, &b),
		KF_E_NOT_FOUND));
}

TEST(nonsense_in_2_x_is_refused)
{
	autobuf b = buf_new(8192);
	OK(kf_is(read_template("Attributes\n\tBatch Count = Integer 1\n", KMIP_2_1, &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(read_template("Attributes\n\tName\n\t\tName Value = Text \"n\"\n",
			 KMIP_2_1, &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(read_template(
			 "Attributes\n\tRotate Automatic = Boolean true\n", KMIP_2_0, &b),
		KF_E_INVALID_FIELD));
	OK(kf_is(read_template(
			 ATTRIBUTE_1X("Cryptographic Length", "Integer 8"), KMIP_2_0, &b),
		KF_E_INVALID_FIELD));
}

static kf_err check_new(const char *text)
{
	autobuf b = buf_new(8192);
	KF_TRY(ttlv_parse(slice_of(text), &b));
	return attrs_check_new(buf_slice(&b));
}

TEST(client_sets_what_is_its_to_set)
{
	OK(kf_ok(check_new("Cryptographic Length = Integer 128\n"
			   "Object Group = Text \"a\"\nObject Group = Text \"b\"\n")));
	OK(kf_is(check_new("State = Enumeration Active\n"), KF_E_READ_ONLY));
	OK(kf_is(check_new("Cryptographic Length = Integer 128\n"
			   "Cryptographic Length = Integer 256\n"),
		KF_E_GIVEN_TWICE));
	OK(kf_is(check_new("Batch Count = Integer 1\n"), KF_E_INVALID_FIELD));
}

TEST(sets_can_be_searched_and_changed)
{
	autobuf set = buf_new(8192);
	struct slice s = { 0 };
	uint32_t e = 0;
	bool b = false;
	OK(kf_ok(ttlv_parse(slice_of(canonical), &set)));

	OK(attrs_get_name(buf_slice(&set), 1, &s) && slice_is(s, "www2"));
	OK(!attrs_get_name(buf_slice(&set), 2, &s));
	OK(attrs_get_link(buf_slice(&set), KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &s));
	OK(slice_is(s, "pub"));
	OK(attrs_get_bool(buf_slice(&set), TAG_SENSITIVE, &b) && b);
	EQ(attrs_count(buf_slice(&set), TAG_NAME), 2);

	attrs_set_enum(&set, TAG_STATE, KMIP_STATE_PRE_ACTIVE);
	attrs_set_enum(&set, TAG_STATE, KMIP_STATE_ACTIVE);
	OK(attrs_get_enum(buf_slice(&set), TAG_STATE, &e) && e == KMIP_STATE_ACTIVE);
	EQ(attrs_count(buf_slice(&set), TAG_STATE), 1);

	OK(attrs_remove(&set, TAG_NAME, 0));
	OK(attrs_get_name(buf_slice(&set), 0, &s) && slice_is(s, "www2"));
	attrs_remove_all(&set, TAG_NAME);
	EQ(attrs_count(buf_slice(&set), TAG_NAME), 0);
	OK(kf_ok(ttlv_check(buf_slice(&set))));
}

TEST(vendor_attributes_are_told_apart_by_vendor_and_name)
{
	autobuf set = buf_new(8192);
	struct ttlv_item it;
	struct attr_ref ref = { TAG_ATTRIBUTE, slice_of("ACME"), slice_of("Rack") };
	OK(kf_ok(ttlv_parse(slice_of(canonical), &set)));
	OK(attrs_find_ref(buf_slice(&set), &ref, 0, &it));
	OK(!attrs_find_ref(buf_slice(&set), &ref, 1, &it));
	ref.vendor = slice_of("x");
	OK(!attrs_find_ref(buf_slice(&set), &ref, 0, &it));
}

TEST(number_of_attributes_is_limited)
{
	for (size_t n = ATTRS_COUNT_MAX; n <= ATTRS_COUNT_MAX + 1; n++) {
		autobuf set = buf_new(1 << 20), out = buf_new(1 << 20),
			back = buf_new(1 << 20);
		for (size_t i = 0; i < n; i++)
			attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of("g"));
		struct ttlv_writer w = ttlv_write(&out, KMIP_1_4);
		attrs_put_list(&w, buf_slice(&set));
		struct ttlv_reader r = ttlv_read_as(buf_slice(&out), KMIP_1_4, false);
		attrs_get_list(&r, &back);
		OK(kf_ok(ttlv_done(&r)) == (n == ATTRS_COUNT_MAX));
	}
}

TEST(every_attribute_has_a_tag_at_least_as_old)
{
	const struct attr_info *info;
	for (size_t i = 0; (info = attr_info_each(i)); i++) {
		OK(ttlv_tag(info->tag));
		OK(ttlv_tag(info->tag)->since <= info->since);
		OK(info->tag == TAG_ATTRIBUTE ||
			attr_info_by_name(slice_of(attr_name(info))) == info);
	}
}

TEST_MAIN
