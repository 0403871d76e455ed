/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/case.h"
#include "replay/value.h"
#include "test.h"

static bool reads(const char *xml)
{
	struct replay_case c;
	autobuf why = buf_new(4096);
	bool is_read = kf_ok(replay_case_read(slice_of(xml), &why, &c));
	replay_case_clear(&c);
	return is_read && !why.n;
}

#define BOTH "<RequestMessage/><ResponseMessage/>"

TEST(a_case_is_requests_and_answers_in_turn)
{
	OK(reads("<KMIP>" BOTH "</KMIP>"));
	OK(reads("<?xml version=\"1.0\"?>\r\n<KMIP>" BOTH "<!-- why -->" BOTH "</KMIP>"));
	OK(!reads("<KMIP/>"));
	OK(!reads("<KMIP><RequestMessage/></KMIP>"));
	OK(!reads("<KMIP><ResponseMessage/><RequestMessage/></KMIP>"));
	OK(!reads("<KMIP>" BOTH "<RequestMessage/></KMIP>"));
	OK(!reads("<OTHER>" BOTH "</OTHER>"));
	OK(!reads(""));
	OK(!reads("<KMIP>" BOTH));
}

TEST(cases_of_the_profiles_before_1_3_are_read)
{
	OK(reads("<KmipTestCase>" BOTH "</KmipTestCase>"));
	OK(reads("<KMIP> # TIME 0 " BOTH "\n# TIME 1\n" BOTH "</KMIP>"));
	OK(!reads("<KMIP># TIME 0\nTIME 1" BOTH "</KMIP>"));
	OK(!reads("<KMIP># TIME 0 <RequestMessage/> TIME <ResponseMessage/></KMIP>"));
	OK(!reads("<KMIP><RequestMessage># TIME 0</RequestMessage><ResponseMessage/>"
		  "</KMIP>"));
}

TEST(neither_entities_nor_document_types_are_read)
{
	OK(!reads("<!DOCTYPE KMIP [<!ENTITY a \"x\">]><KMIP>" BOTH "</KMIP>"));
	OK(!reads("<!DOCTYPE KMIP SYSTEM \"/etc/passwd\"><KMIP>" BOTH "</KMIP>"));
	OK(!reads("<KMIP>&a;" BOTH "</KMIP>"));
	OK(!reads("<KMIP>text" BOTH "</KMIP>"));
}

TEST(what_is_not_known_is_refused_with_its_line)
{
	struct replay_case c;
	autobuf why = buf_new(4096);
	OK(kf_is(
		replay_case_read(SLICE_LIT("<KMIP>\n<RequestMessage>\n<Foo/>"), &why, &c),
		KF_E_MALFORMED));
	OK(slice_is(buf_slice(&why), "3: unknown tag `Foo`\n"));
	replay_case_clear(&c);
	OK(!reads(
		"<KMIP><RequestMessage><Data type=\"Word\" value=\"1\"/></RequestMessage>"
		"<ResponseMessage/></KMIP>"));
	OK(!reads("<KMIP><RequestMessage><Data type=\"ByteString\" "
		  "value=\"\"><Data/></Data>"
		  "</RequestMessage><ResponseMessage/></KMIP>"));
}

TEST(depth_has_a_limit)
{
	autobuf xml = buf_new(65536), why = buf_new(4096);
	struct replay_case c;
	buf_add_text(&xml, "<KMIP><RequestMessage>");
	for (int i = 0; i < 100; i++)
		buf_add_text(&xml, "<Attributes>");
	OK(kf_is(replay_case_read(buf_slice(&xml), &why, &c), KF_E_MALFORMED));
	replay_case_clear(&c);
}

/* ---- values ---- */

/* The item of one element, as hexadecimal text; "": it cannot be read. */
static const char *item(const char *element)
{
	static char hex[1024];
	autobuf xml = buf_new(65536), why = buf_new(4096), out = buf_new(4096);
	struct replay_case c;
	struct replay_scope s = { .now = 1000 };
	buf_printf(&xml,
		"<KMIP><RequestMessage>%s</RequestMessage><ResponseMessage/></KMIP>",
		element);
	hex[0] = 0;
	if (kf_ok(replay_case_read(buf_slice(&xml), &why, &c)) &&
		kf_ok(replay_encode(c.root->first->first, &s, &out)))
		for (size_t i = 0; i < out.n; i++)
			sprintf(hex + 2 * i, "%02x", out.p[i]);
	replay_case_clear(&c);
	return hex;
}

#define IS(type, tag, value, want)                                                       \
	OK(!strcmp(item("<" tag " type=\"" type "\" value=\"" value "\"/>"), want))

TEST(values_are_encoded_as_the_standard_says)
{
	IS("Integer", "BatchCount", "8", "42000d02000000040000000800000000");
	IS("Integer", "BatchCount", "-1", "42000d0200000004ffffffff00000000");
	IS("Integer", "CryptographicUsageMask", "Encrypt Decrypt",
		"42002c02000000040000000c00000000");
	IS("Integer", "CryptographicUsageMask", "Encrypt|Decrypt",
		"42002c02000000040000000c00000000");
	IS("Integer", "CryptographicUsageMask", "Encrypt   Decrypt",
		"42002c02000000040000000c00000000");
	IS("Integer", "CryptographicUsageMask", "0x0000000c",
		"42002c02000000040000000c00000000");
	IS("Integer", "CryptographicUsageMask", "", "42002c02000000040000000000000000");
	IS("LongInteger", "UsageLimitsTotal", "0x10",
		"420097030000000800000000"
		"00000010");
	IS("Enumeration", "CryptographicAlgorithm", "DES3",
		"42002805000000040000000200000000");
	IS("Enumeration", "CryptographicAlgorithm", "AES",
		"42002805000000040000000300000000");
	IS("Enumeration", "OpaqueDataType", "0x80123456",
		"42005905000000048012345600000000");
	IS("Enumeration", "AttributeReference", "CryptographicLength",
		"42013b05000000040042002a00000000");
	IS("Boolean", "BatchOrderOption", "true", "42001006000000080000000000000001");
	IS("TextString", "NameValue", "ab", "42005507000000026162000000000000");
	IS("TextString", "NameValue", " a  b", "42005507000000052061202062000000");
	IS("TextString", "AttributeName", "a   b \n c",
		"42000a07000000056120622063000000");
	IS("ByteString", "Data", "0aFF", "4200c208000000020aff000000000000");
	IS("ByteString", "Data", "", "4200c20800000000");
	IS("BigInteger", "Modulus", "ff01", "4200520400000008ffffffffffffff01");
	IS("BigInteger", "Modulus", "7f01", "42005204000000080000000000007f01");
	IS("DateTime", "TimeStamp", "$NOW-10", "420092090000000800000000000003de");
	IS("DateTime", "TimeStamp", "1970-01-01T00:00:06+00:00",
		"42009209000000080000000000000006");
	IS("DateTime", "TimeStamp", "1970-01-01T10:00:06+10:00",
		"42009209000000080000000000000006");
	IS("DateTime", "TimeStamp", "0x06", "42009209000000080000000000000006");
	IS("Interval", "LeaseTime", "3600", "4200490a0000000400000e1000000000");
}

TEST(values_that_make_no_sense_are_refused)
{
	IS("Integer", "BatchCount", "x", "");
	IS("Integer", "BatchCount", "99999999999", "");
	IS("Enumeration", "CryptographicAlgorithm", "ROT13", "");
	IS("Enumeration", "CryptographicAlgorithm", "", "");
	IS("Boolean", "BatchOrderOption", "yes", "");
	IS("ByteString", "Data", "0", "");
	IS("ByteString", "Data", "zz", "");
	IS("BigInteger", "Modulus", "", "");
	IS("DateTime", "TimeStamp", "yesterday", "");
	IS("DateTime", "TimeStamp", "1970-01-01T00:00:06+1", "");
	IS("ByteString", "Data", "$UNBOUND", "");
}

TEST(the_value_of_an_attribute_is_read_by_its_name)
{
	OK(!strcmp(item("<Attribute><AttributeName type=\"TextString\" value=\"State\"/>"
			"<AttributeValue type=\"Enumeration\" "
			"value=\"Active\"/></Attribute>"),
		"420008010000002042000a07000000055374617465000000"
		"42000b05000000040000000200000000"));
}

TEST_MAIN
