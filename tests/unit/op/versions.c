/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation, in every version, about objects that have all there is: no tag, no attribute, no value
 * and no reason leaves that the version does not know.
 */
#include "crypt/x509.h"
#include "kmip/attrs.h"
#include "kmip/reason.h"
#include "world.h"

static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
	KMIP_2_0, KMIP_2_1 };
enum { VERSIONS = sizeof(versions) / sizeof(*versions) };

/* --- what a version knows: an own look at the tables, deeper than the writer's --- */

/* Fields that are older than their place in a structure. */
static const struct place {
	uint32_t inside, field;
	uint16_t since;
} places[] = {
	{ TAG_CRYPTOGRAPHIC_PARAMETERS, TAG_DIGITAL_SIGNATURE_ALGORITHM, KMIP_1_2 },
	{ TAG_CRYPTOGRAPHIC_PARAMETERS, TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_1_2 },
	{ TAG_DIGEST, TAG_KEY_FORMAT_TYPE, KMIP_1_1 },
};

static bool is_in_place(uint32_t inside, uint32_t field, uint16_t version)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (places[i].inside == inside && places[i].field == field)
			return version >= places[i].since;
	return true;
}

static bool knows_value(const struct ttlv_item *it, uint16_t version)
{
	const enum ttlv_kind kind = (enum ttlv_kind)ttlv_tag(it->tag)->kind;
	if (it->type == TTLV_DATE_EXTENDED)
		return version >= KMIP_2_0;
	if (!kind || (it->type != TTLV_ENUM && it->type != TTLV_INT))
		return true;
	return ttlv_value_in(kind, (uint32_t)ttlv_item_int(it), version);
}

static bool knows(struct slice items, uint32_t inside, uint16_t version);

/* 1.x: the name says what the value is. */
static bool knows_attribute(const struct ttlv_item *it, uint16_t version)
{
	autobuf value = buf_new(65536);
	struct ttlv_reader r = ttlv_read(it->value);
	struct slice name = { 0 };
	struct ttlv_item v = { 0 };
	int32_t index;

	ttlv_get_text(&r, TAG_ATTRIBUTE_NAME, &name);
	ttlv_opt_int(&r, TAG_ATTRIBUTE_INDEX, &index);
	if (!ttlv_at(&r, TAG_ATTRIBUTE_VALUE))
		return ttlv_ok(&r);
	ttlv_get_item(&r, TAG_ATTRIBUTE_VALUE, &v);
	if (name.n > 2 && name.p[1] == '-')
		return ttlv_ok(&r);
	const struct attr_info *info = attr_info_by_name(name);
	if (!info || version < info->since || version > info->until || !ttlv_ok(&r))
		return false;
	struct ttlv_writer w = ttlv_write(&value, 0);
	ttlv_put_as(&w, info->tag, &v);
	return kf_ok(ttlv_written(&w)) && knows(buf_slice(&value), 0, version);
}

static bool knows_name(const struct ttlv_item *it, uint16_t version)
{
	const struct attr_info *info = attr_info_by_name(it->value);
	return (it->value.n > 2 && it->value.p[1] == '-') ||
	       (info && info->since <= version && version <= info->until);
}

static bool knows_item(const struct ttlv_item *it, uint32_t inside, uint16_t version)
{
	if (!ttlv_tag_in(it->tag, version) || !is_in_place(inside, it->tag, version) ||
		!knows_value(it, version))
		return false;
	if (it->tag == TAG_ATTRIBUTE)
		return kmip_is_2(version) || knows_attribute(it, version);
	if (it->tag == TAG_ATTRIBUTE_NAME && !kmip_is_2(version))
		return knows_name(it, version);
	return it->type != TTLV_STRUCT || knows(it->value, it->tag, version);
}

static bool knows(struct slice items, uint32_t inside, uint16_t version)
{
	struct ttlv_reader r = ttlv_read(items);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (!knows_item(&it, inside, version))
			return false;
	return ttlv_ok(&r);
}

/* --- objects that have all there is --- */

#define ALL_ATTRIBUTES                                                                   \
	"\tCryptographic Usage Mask = Integer 15745023\n"                                \
	"\tName\n\t\tName Value = Text \"$\"\n"                                          \
	"\t\tName Type = Enumeration URI\n"                                              \
	"\tObject Group = Text \"group\"\n"                                              \
	"\tLink\n\t\tLink Type = Enumeration Wrapping Key Link\n"                        \
	"\t\tLinked Object Identifier = Text \"kek\"\n"                                  \
	"\tLink\n\t\tLink Type = Enumeration PKCS#12 Password Link\n"                    \
	"\t\tLinked Object Identifier = Text \"password\"\n"                             \
	"\tLink\n\t\tLink Type = Enumeration Next Link\n"                                \
	"\t\tLinked Object Identifier = Text \"next\"\n"                                 \
	"\tApplication Specific Information\n"                                           \
	"\t\tApplication Namespace = Text \"ns\"\n"                                      \
	"\tContact Information = Text \"me\"\n"                                          \
	"\tAlternative Name\n\t\tAlternative Name Value = Text \"other\"\n"              \
	"\t\tAlternative Name Type = Enumeration URI\n"                                  \
	"\tDescription = Text \"d\"\n\tComment = Text \"c\"\n"                           \
	"\tSensitive = Boolean false\n\tExtractable = Boolean true\n"                    \
	"\tProtection Level = Enumeration High\n"                                        \
	"\tProtection Period = Interval 7\n"                                             \
	"\tAttribute\n\t\tVendor Identification = Text \"x\"\n"                          \
	"\t\tAttribute Name = Text \"a\"\n\t\tAttribute Value = Integer 1\n"             \
	"\tAttribute\n\t\tVendor Identification = Text \"ACME\"\n"                       \
	"\t\tAttribute Name = Text \"a\"\n\t\tAttribute Value = Integer 1\n"

#define KEY_ATTRIBUTES                                                                   \
	"\tCryptographic Parameters\n"                                                   \
	"\t\tBlock Cipher Mode = Enumeration AEAD\n"                                     \
	"\t\tPadding Method = Enumeration PSS\n"                                         \
	"\t\tHashing Algorithm = Enumeration SHA-256\n"                                  \
	"\t\tKey Role Type = Enumeration DUKPT\n"                                        \
	"\t\tDigital Signature Algorithm = Enumeration SHA3-256 with RSA Encryption\n"   \
	"\t\tCryptographic Algorithm = Enumeration ED25519\n"                            \
	"\t\tRandom IV = Boolean true\n\t\tIV Length = Integer 12\n"                     \
	"\t\tTag Length = Integer 16\n\t\tSalt Length = Integer 32\n"                    \
	"\t\tMask Generator = Enumeration MGF1\n"                                        \
	"\tKey Value Location\n\t\tKey Value Location Value = Text \"here\"\n"           \
	"\t\tKey Value Location Type = Enumeration URI\n"                                \
	"\tPKCS#12 Friendly Name = Text \"friend\"\n"                                    \
	"\tUsage Limits\n\t\tUsage Limits Total = Long 100000\n"                         \
	"\t\tUsage Limits Unit = Enumeration Object\n"                                   \
	"\tNIST Key Type = Enumeration Symmetric Key Wrapping Key\n"

#define ROTATION                                                                         \
	"\tRotate Interval = Interval 1000\n"                                            \
	"\tRotate Name\n\t\tRotate Name Value = Text \"r\"\n"                            \
	"\t\tRotate Name Type = Enumeration URI\n"

struct all {
	struct id id[32];
	size_t n;
};

static void keep_ids(struct world *w, struct all *ret)
{
	struct ttlv_reader r = answer(w);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (it.type != TTLV_TEXT || ret->n == sizeof(ret->id) / sizeof(*ret->id))
			continue;
		const struct kmip_uid u = kmip_uid_text(it.value);
		keep_id(&u, &ret->id[ret->n++]);
	}
}

/* The name stands for each $. */
static kf_err parse(const char *text, const char *name, struct buf *ret)
{
	autobuf whole = buf_new(1 << 16);
	for (; *text; text++)
		if (*text == '$')
			buf_add_slice(&whole, slice_of(name));
		else
			buf_add(&whole, text, 1);
	KF_TRY(buf_err(&whole));
	return ttlv_parse(buf_slice(&whole), ret);
}

static kf_err ask_text(struct world *w, uint32_t code, const char *text, const char *name)
{
	buf_clear(&w->question);
	KF_TRY(parse(text, name, &w->question));
	return ask(w, code);
}

static void add_object(struct world *w, uint32_t code, const char *text, const char *name,
	struct all *to)
{
	const kf_err e = ask_text(w, code, text, name);
	if (!kf_ok(e))
		printf("# %s: %s\n", name, e.site->text);
	OK(kf_ok(e));
	keep_ids(w, to);
}

/* A certificate of ours, DER. */
static kf_err make_certificate(struct buf *ret)
{
	CLEANUP(cert_free) struct cert ca = { 0 };
	KF_TRY(cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "Test CA" }, &ca));
	return cert_to_der(buf_slice(&ca.pem), ret);
}

static void add_certificate(struct world *w, struct all *to)
{
	autobuf attrs = buf_new(8192), der = buf_new(CERT_PEM_MAX);
	OK(kf_ok(make_certificate(&der)));
	struct slice content = { 0 };
	OK(kf_ok(parse("Attributes\n" ALL_ATTRIBUTES, "certificate", &attrs)));
	struct ttlv_reader r = ttlv_read(buf_slice(&attrs));
	ttlv_get_content(&r, TAG_ATTRIBUTES, &content);
	struct ttlv_writer q = question(w);
	register_put_request(
		&q, &(struct register_request){ .attributes = content,
			    .object = { .type = OBJECT_CERTIFICATE,
				    .certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
				    .value = buf_slice(&der) } });
	OK(kf_ok(ask(w, KMIP_OPERATION_REGISTER)));
	keep_ids(w, to);
}

static void fill(struct world *w, struct all *all)
{
	*all = (struct all){ 0 };
	OK(kf_ok(let_alice_create(w)));
	add_object(w, KMIP_OPERATION_CREATE,
		"Object Type = Enumeration Symmetric Key\nAttributes\n"
		"\tCryptographic Algorithm = Enumeration AES\n"
		"\tCryptographic Length = Integer 256\n" ALL_ATTRIBUTES KEY_ATTRIBUTES
			ROTATION,
		"aes", all);
	add_object(w, KMIP_OPERATION_CREATE,
		"Object Type = Enumeration Symmetric Key\nAttributes\n"
		"\tCryptographic Algorithm = Enumeration ChaCha20\n"
		"\tCryptographic Length = Integer 256\n"
		"\tActivation Date = Date 2020-01-01T00:00:00Z\n" ALL_ATTRIBUTES,
		"chacha", all);
	add_object(w, KMIP_OPERATION_CREATE_KEY_PAIR,
		"Common Attributes\n\tCryptographic Algorithm = Enumeration Ed25519\n"
		"\tActivation Date = Date 2020-01-01T00:00:00Z\n"
		"Private Key Attributes\n" ALL_ATTRIBUTES,
		"ed25519", all);
	add_object(w, KMIP_OPERATION_CREATE_KEY_PAIR,
		"Common Attributes\n\tCryptographic Algorithm = Enumeration EC\n"
		"\tCryptographic Domain Parameters\n"
		"\t\tRecommended Curve = Enumeration P-256\n"
		"\tActivation Date = Date 2020-01-01T00:00:00Z\n"
		"Private Key Attributes\n" ALL_ATTRIBUTES,
		"p256", all);
	add_object(w, KMIP_OPERATION_REGISTER,
		"Object Type = Enumeration Secret Data\nAttributes\n" ALL_ATTRIBUTES
		"Secret Data\n\tSecret Data Type = Enumeration Password\n"
		"\tKey Block\n\t\tKey Format Type = Enumeration Opaque\n"
		"\t\tKey Value\n\t\t\tKey Material = Bytes 0102\n",
		"secret", all);
	add_object(w, KMIP_OPERATION_REGISTER,
		"Object Type = Enumeration Opaque Object\nAttributes\n" ALL_ATTRIBUTES
		"Opaque Object\n\tOpaque Data Type = Enumeration 0x80123456\n"
		"\tOpaque Data Value = Bytes 0102\n",
		"opaque", all);
	add_object(w, KMIP_OPERATION_REGISTER,
		"Object Type = Enumeration Symmetric Key\nAttributes\n" ALL_ATTRIBUTES
		"\tCryptographic Algorithm = Enumeration AES\n"
		"\tCryptographic Length = Integer 128\n"
		"Symmetric Key\n\tKey Block\n"
		"\t\tKey Format Type = Enumeration Transparent Symmetric Key\n"
		"\t\tKey Value\n\t\t\tKey Material\n"
		"\t\t\t\tKey = Bytes 00112233445566778899aabbccddeeff\n"
		"\t\tCryptographic Algorithm = Enumeration AES\n"
		"\t\tCryptographic Length = Integer 128\n",
		"transparent", all);
	add_object(w, KMIP_OPERATION_REGISTER,
		"Object Type = Enumeration Symmetric Key\nAttributes\n" ALL_ATTRIBUTES
		"\tCryptographic Algorithm = Enumeration AES\n"
		"\tCryptographic Length = Integer 128\n"
		"Symmetric Key\n\tKey Block\n\t\tKey Format Type = Enumeration Raw\n"
		"\t\tKey Value = Bytes 00112233445566778899aabbccddeeff0011223344556677\n"
		"\t\tCryptographic Algorithm = Enumeration AES\n"
		"\t\tCryptographic Length = Integer 128\n"
		"\t\tKey Wrapping Data\n\t\t\tWrapping Method = Enumeration Encrypt\n"
		"\t\t\tEncryption Key Information\n"
		"\t\t\t\tUnique Identifier = Text \"elsewhere\"\n"
		"\t\t\t\tCryptographic Parameters\n"
		"\t\t\t\t\tBlock Cipher Mode = Enumeration NISTKeyWrap\n"
		"\t\t\t\t\tCryptographic Algorithm = Enumeration AES\n"
		"\t\t\t\t\tTag Length = Integer 16\n"
		"\t\t\tEncoding Option = Enumeration No Encoding\n",
		"wrapped", all);
	add_object(w, KMIP_OPERATION_REGISTER,
		"Object Type = Enumeration Public Key\nAttributes\n" ALL_ATTRIBUTES
		"Public Key\n\tKey Block\n"
		"\t\tKey Format Type = Enumeration Transparent EC Public Key\n"
		"\t\tKey Value\n\t\t\tKey Material\n"
		"\t\t\t\tRecommended Curve = Enumeration CURVE25519\n"
		"\t\t\t\tQ String = Bytes 0102\n",
		"x25519", all);
	add_certificate(w, all);
	w->version = KMIP_1_4;
	add_object(w, KMIP_OPERATION_REGISTER,
		"Object Type = Enumeration Template\nTemplate-Attribute\n"
		"\tAttribute\n\t\tAttribute Name = Text \"Name\"\n"
		"\t\tAttribute Value\n\t\t\tName Value = Text \"$\"\n"
		"\t\t\tName Type = Enumeration URI\n"
		"Template\n\tAttribute\n\t\tAttribute Name = Text \"Comment\"\n"
		"\t\tAttribute Value = Text \"c\"\n",
		"template", all);
}

/* --- questions --- */

#define ID "Unique Identifier = Text \"$\"\n"

#define ALL_FUNCTIONS                                                                    \
	"Query Function = Enumeration 0x1\nQuery Function = Enumeration 0x2\n"           \
	"Query Function = Enumeration 0x3\nQuery Function = Enumeration 0x4\n"           \
	"Query Function = Enumeration 0x5\nQuery Function = Enumeration 0x6\n"           \
	"Query Function = Enumeration 0x7\nQuery Function = Enumeration 0x8\n"           \
	"Query Function = Enumeration 0x9\nQuery Function = Enumeration 0xa\n"           \
	"Query Function = Enumeration 0xb\nQuery Function = Enumeration 0xc\n"           \
	"Query Function = Enumeration 0xd\nQuery Function = Enumeration 0xe\n"

/* What is not here is asked by its Unique Identifier alone. */
static const struct question_text {
	uint32_t code;
	const char *text;
	uint16_t since;
} questions[] = {
#define Q(code, ...)                                                                     \
	{                                                                                \
		KMIP_OPERATION_##code, __VA_ARGS__                                       \
	}
	Q(QUERY, ALL_FUNCTIONS),
	Q(DISCOVER_VERSIONS, ""),
	Q(LOCATE, "Maximum Items = Integer 100\n"),
	Q(GET, ID),
	Q(GET, ID "Key Format Type = Enumeration Raw\n"),
	Q(GET, ID "Key Format Type = Enumeration X.509\n"),
	Q(GET, ID "Key Format Type = Enumeration Transparent ECDSA Public Key\n"),
	Q(GET, ID "Key Format Type = Enumeration Transparent EC Private Key\n"),
	Q(GET, ID "Key Wrap Type = Enumeration Not Wrapped\n", KMIP_1_4),
	Q(EXPORT, ID "Key Wrap Type = Enumeration As Registered\n"),
	Q(CHECK, ID "Cryptographic Usage Mask = Integer 4\nLease Time = Interval 9\n"),
	Q(GET_USAGE_ALLOCATION, ID "Usage Limits Count = Long 1\n"),
	Q(ENCRYPT, ID "Data = Bytes 00112233\n"),
	Q(DECRYPT, ID "Data = Bytes 00112233\nIV/Counter/Nonce = Bytes 001122334455\n"),
	Q(SIGN, ID "Data = Bytes 00112233\n"),
	Q(SIGNATURE_VERIFY, ID "Data = Bytes 0011\nSignature Data = Bytes 0011\n"),
	Q(MAC, ID "Data = Bytes 0011\n"),
	Q(MAC_VERIFY, ID "Data = Bytes 0011\nMAC Data = Bytes 0011\n"),
	Q(HASH, "Cryptographic Parameters\n\tHashing Algorithm = Enumeration SHA-256\n"
		"Data = Bytes 0011\n"),
	Q(RNG_RETRIEVE, "Data Length = Integer 8\n"),
	Q(RNG_SEED, "Data = Bytes 0011\n"),
	Q(POLL, "Asynchronous Correlation Value = Bytes 0011\n"),
	Q(CANCEL, "Asynchronous Correlation Value = Bytes 0011\n"),
	Q(PING, ""),
	Q(LOG, "Log Message = Text \"x\"\n"),
	Q(PKCS_11, "PKCS#11 Function = Enumeration C_GetInfo\n"),
	Q(QUERY_ASYNCHRONOUS_REQUESTS, ""),
	Q(RE_KEY_KEY_PAIR, "Private Key Unique Identifier = Text \"$\"\n"),
	Q(REVOKE, ID "Revocation Reason\n"
		     "\tRevocation Reason Code = Enumeration Key Compromise\n"),
#undef Q
};
enum { QUESTIONS = sizeof(questions) / sizeof(*questions) };

static bool is_told(kf_err e, uint16_t version)
{
	return kf_ok(e) || (!kf_is(e, KF_E_INTERNAL) &&
				   ttlv_value_in(TTLV_KIND_RESULT_REASON,
					   kmip_reason(e.code, version), version));
}

static void ask_about(
	struct world *w, const struct op *op, const char *text, const struct id *id)
{
	const kf_err e = ask_text(w, op->code, text, id->text);
	const bool is_known = knows(buf_slice(&w->answer), 0, w->version);
	if (is_told(e, w->version) && (!kf_ok(e) || is_known))
		return;
	autobuf t = buf_new(1 << 16);
	OK(kf_ok(ttlv_print(buf_slice(&w->answer), false, &t)));
	printf("# %04x %s: %s\n%.*s", w->version, op->name, e.site ? e.site->text : "",
		(int)t.n, (const char *)t.p);
	OK(!"something newer leaves");
}

static void ask_all(struct world *w, const struct op *op, const struct id *id)
{
	bool is_asked = false;
	for (size_t i = 0; i < QUESTIONS; i++) {
		if (questions[i].code != op->code || questions[i].since > w->version)
			continue;
		is_asked = true;
		ask_about(w, op, questions[i].text, id);
	}
	if (!is_asked)
		ask_about(w, op, ID, id);
}

/* What ends an object comes last. */
static const uint32_t ends[] = { KMIP_OPERATION_ARCHIVE, KMIP_OPERATION_RECOVER,
	KMIP_OPERATION_REVOKE, KMIP_OPERATION_DESTROY };
enum { ENDS = sizeof(ends) / sizeof(*ends) };

static bool is_end(uint32_t code)
{
	for (size_t i = 0; i < ENDS; i++)
		if (ends[i] == code)
			return true;
	return code == KMIP_OPERATION_INTEROP || code >= 0x80000000;
}

static void walk(struct world *w, const struct all *all)
{
	const struct op *op;
	for (size_t i = 0; (op = op_each(i)); i++)
		for (size_t k = 0; k < all->n && !is_end(op->code); k++)
			ask_all(w, op, &all->id[k]);
	for (size_t i = 0; i < ENDS; i++)
		for (size_t k = 0; k < all->n; k++) {
			ask_all(w, op_find(ends[i]), &all->id[k]);
			ask_all(w, op_find(KMIP_OPERATION_GET_ATTRIBUTES), &all->id[k]);
		}
}

TEST(nothing_that_the_version_does_not_know_leaves)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		WORLD(w);
		struct all all;
		fill(&w, &all);
		EQ(all.n, 13);
		w.version = versions[v];
		walk(&w, &all);
	}
}

static const enum kf_code codes[] = {
#define X(code, text) KF_E_##code,
#include "base/err.def"
#undef X
};

TEST(every_error_has_a_reason_in_every_version)
{
	for (size_t v = 0; v < VERSIONS; v++)
		for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
			OK(ttlv_value_in(TTLV_KIND_RESULT_REASON,
				kmip_reason(codes[i], versions[v]), versions[v]));
}

TEST(a_field_that_is_missing_makes_an_invalid_message)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		EQ(kmip_reason(KF_E_MISSING, versions[v]),
			KMIP_RESULT_REASON_INVALID_MESSAGE);
		EQ(kmip_reason(KF_E_NO_IDENTIFIER, versions[v]),
			KMIP_RESULT_REASON_MISSING_DATA);
	}
}

TEST_MAIN
