/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/message.h"
#include "kmip/activate.h"
#include "kmip/credential.h"
#include "kmip/reason.h"
#include "kmip/sign.h"
#include "test.h"

static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
	KMIP_2_0, KMIP_2_1 };
enum { VERSIONS = sizeof(versions) / sizeof(versions[0]) };

static const uint8_t id16[17] = "0123456789abcdef";

static kf_err write_request(struct buf *out, const struct kmip_request_header *h,
	const struct kmip_extension *ext)
{
	struct ttlv_writer w = ttlv_write(out, 0);
	struct activate_request q = { .uid = kmip_uid_text(slice_of("key-1")) };
	kmip_put_request_header(&w, h);
	for (int32_t i = 0; i < h->batch_count; i++) {
		kmip_put_request_item_begin(
			&w, KMIP_OPERATION_ACTIVATE, (struct slice){ id16 + i, 1 });
		activate_put_request(&w, &q);
		kmip_put_request_item_end(&w, ext);
	}
	return kmip_put_request_end(&w);
}

static kf_err read_request(
	struct slice in, struct kmip_request_header *h, struct kmip_request_item *item)
{
	struct ttlv_reader r = ttlv_read(in);
	struct activate_request q;
	KF_TRY(kmip_get_request_header(&r, h));
	for (int32_t i = 0; i < h->batch_count; i++) {
		KF_TRY(kmip_get_request_item(&r, item));
		struct ttlv_reader p = kmip_payload(&r, item->payload);
		KF_TRY(activate_get_request(&p, &q));
	}
	return kmip_get_request_end(&r);
}

TEST(request_goes_round_in_every_version)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		struct kmip_request_header h = {
			.version = versions[v],
			.maximum_response_size = 4096,
			.asynchronous = KMIP_ASYNCHRONOUS_INDICATOR_OPTIONAL,
			.batch_error_continuation =
				KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO,
			.is_ordered = v % 2,
			.has_time_stamp = true,
			.time_stamp = 12345,
			.batch_count = 3,
		};
		struct kmip_extension ext = {
			.request_id = { id16, 16 },
			.deadline_ms = 250,
			.tls_client_version = 0x0303,
			.tls_negotiated_version = 0x0302,
			.has_sent_at = true,
			.sent_at_ms = 77,
			.has_user = true,
			.user = 33,
			.abandoned = { id16, 4 },
		};
		struct kmip_request_header got;
		struct kmip_request_item item;
		if (versions[v] >= KMIP_1_4)
			h.client_correlation_value = slice_of("trace");
		autobuf b = buf_new(4096);

		OK(kf_ok(write_request(&b, &h, &ext)));
		OK(kf_ok(read_request(buf_slice(&b), &got, &item)));

		EQ(got.version, versions[v]);
		EQ(kmip_version(buf_slice(&b)), versions[v]);
		EQ(got.maximum_response_size, 4096);
		OK(got.asynchronous == KMIP_ASYNCHRONOUS_INDICATOR_OPTIONAL &&
			!got.is_lenient && got.has_time_stamp);
		OK(slice_eq(got.client_correlation_value, h.client_correlation_value));
		EQ(got.batch_error_continuation, h.batch_error_continuation);
		EQ(got.is_ordered, h.is_ordered);
		EQ(got.time_stamp, 12345);
		EQ(item.operation, KMIP_OPERATION_ACTIVATE);
		OK(slice_eq(item.batch_id, (struct slice){ id16 + 2, 1 }));
		OK(slice_eq(item.extension.request_id, ext.request_id));
		EQ(item.extension.deadline_ms, 250);
		EQ(item.extension.tls_client_version, 0x0303);
		EQ(item.extension.tls_negotiated_version, 0x0302);
		OK(item.extension.has_sent_at);
		EQ(item.extension.sent_at_ms, 77);
		OK(item.extension.has_user);
		EQ(item.extension.user, 33);
		OK(slice_eq(item.extension.abandoned, ext.abandoned));
		OK(!item.has_unknown_critical_extension);
	}
}

TEST(default_of_the_batch_order_depends_on_the_version)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		struct kmip_request_header got, h = { .version = versions[v],
			.is_ordered = kmip_is_2(versions[v]),
			.batch_count = 1 };
		struct kmip_request_item item;
		autobuf b = buf_new(4096);
		OK(kf_ok(write_request(&b, &h, NULL)));
		OK(kf_ok(read_request(buf_slice(&b), &got, &item)));
		EQ(got.is_ordered, kmip_is_2(versions[v]));
	}
}

TEST(header_field_newer_than_the_version_does_not_leave)
{
	struct kmip_request_header h = { .version = KMIP_1_3,
		.client_correlation_value = slice_of("trace"),
		.batch_count = 1 };
	autobuf b = buf_new(4096);
	OK(kf_is(write_request(&b, &h, NULL), KF_E_INTERNAL));
}

TEST(foreign_minor_version_is_read_leniently)
{
	struct kmip_request_header got, h = { .version = 0x0109, .batch_count = 1 };
	struct kmip_request_item item;
	autobuf b = buf_new(4096);
	OK(kf_ok(write_request(&b, &h, NULL)));
	OK(kf_ok(read_request(buf_slice(&b), &got, &item)));
	OK(got.is_lenient);
}

TEST(foreign_major_version_is_refused)
{
	struct kmip_request_header got, h = { .version = KMIP_1_4, .batch_count = 1 };
	struct kmip_request_item item;
	autobuf b = buf_new(4096);
	OK(kf_ok(write_request(&b, &h, NULL)));
	/* message 8, header 8, version 8, major 8 + 4 */
	b.p[35] = 3;
	OK(kf_is(read_request(buf_slice(&b), &got, &item), KF_E_VERSION));
	EQ(kmip_version(buf_slice(&b)), 0x0304);
}

TEST(batch_count_must_be_true)
{
	struct kmip_request_header got, h = { .version = KMIP_1_4, .batch_count = 2 };
	struct kmip_request_item item;
	autobuf b = buf_new(4096);
	OK(kf_ok(write_request(&b, &h, NULL)));
	for (int count = 0; count < 4; count++) {
		/* the header is 8 + 40 bytes of version and ends with the count's value */
		b.p[8 + 8 + 40 + 11] = (uint8_t)count;
		OK(kf_ok(read_request(buf_slice(&b), &got, &item)) == (count == 2));
	}
}

TEST(request_cut_at_every_byte_is_refused)
{
	struct kmip_request_header got, h = { .version = KMIP_2_1, .batch_count = 2 };
	struct kmip_extension ext = { .request_id = { id16, 16 } };
	struct kmip_request_item item;
	autobuf b = buf_new(4096);
	OK(kf_ok(write_request(&b, &h, &ext)));
	for (size_t n = 0; n < b.n; n++)
		OK(!kf_ok(read_request((struct slice){ b.p, n }, &got, &item)));
}

/* Is the message refused with every lie in the length of every item below `in`? */
static bool lies_are_refused(const struct buf *message, struct slice in)
{
	static const uint32_t lies[] = { 8, (uint32_t)-8, 16, 1 << 16, 0x7ffffff8,
		0xfffffff8 };
	struct kmip_request_header h;
	struct kmip_request_item item;
	struct ttlv_reader r = ttlv_read(in);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			autobuf copy = buf_new(4096);
			buf_add(&copy, message->p, message->n);
			buf_set_u32(&copy, (size_t)(it.whole.p - message->p) + 4,
				(uint32_t)it.value.n + lies[i]);
			if (kf_ok(read_request(buf_slice(&copy), &h, &item)))
				return false;
		}
		if (it.type == TTLV_STRUCT && !lies_are_refused(message, it.value))
			return false;
	}
	return true;
}

TEST(lie_in_every_length_is_refused)
{
	struct kmip_request_header h = { .version = KMIP_2_1,
		.client_correlation_value = slice_of("trace"),
		.batch_count = 2 };
	struct kmip_extension ext = { .request_id = { id16, 16 } };
	autobuf b = buf_new(4096);
	OK(kf_ok(write_request(&b, &h, &ext)));
	OK(lies_are_refused(&b, buf_slice(&b)));
}

TEST(unknown_critical_extension_is_noticed)
{
	static const char text[] = "Batch Item\n"
				   "\tOperation = Enumeration Activate\n"
				   "\tRequest Payload\n"
				   "\tMessage Extension\n"
				   "\t\tVendor Identification = Text \"ACME\"\n"
				   "\t\tCriticality Indicator = Boolean true\n"
				   "\t\tVendor Extension\n"
				   "\t\t\t0x540999 = Integer 1\n";
	struct kmip_request_item item;
	autobuf b = buf_new(4096);
	OK(kf_ok(ttlv_parse(slice_of(text), &b)));
	struct ttlv_reader r = ttlv_read_as(buf_slice(&b), KMIP_1_4, false);
	OK(kf_ok(kmip_get_request_item(&r, &item)));
	OK(item.has_unknown_critical_extension);
}

TEST(request_id_of_the_wrong_size_is_refused)
{
	struct kmip_request_header got, h = { .version = KMIP_2_1, .batch_count = 1 };
	struct kmip_extension ext = { .request_id = { id16, 15 } };
	struct kmip_request_item item;
	autobuf b = buf_new(4096);
	OK(kf_ok(write_request(&b, &h, &ext)));
	OK(kf_is(read_request(buf_slice(&b), &got, &item), KF_E_INVALID_FIELD));
}

static kf_err write_response(struct buf *out, uint16_t version)
{
	struct ttlv_writer w = ttlv_write(out, 0);
	struct kmip_response_header h = { .version = version, .time_stamp = 77 };
	struct kmip_extension ext = { .has_load = true,
		.load = 4321,
		.has_expected_wait = true,
		.expected_wait_us = 660000 };
	struct activate_response a = { .uid = kmip_uid_text(slice_of("key-1")) };
	size_t count_at;
	kmip_put_response_header(&w, &h, &count_at);
	kmip_put_response_item_begin(
		&w, KMIP_OPERATION_ACTIVATE, (struct slice){ id16, 4 });
	activate_put_response(&w, &a);
	kmip_put_response_item_end(&w, &ext);
	kmip_put_response_undone(
		&w, KMIP_OPERATION_SIGN, (struct slice){ 0 }, (struct slice){ 0 });
	kmip_put_response_failure(
		&w, 0x80123456, (struct slice){ id16, 1 }, KF_E_SENSITIVE, &ext);
	kmip_set_batch_count(out, count_at, 3);
	return kmip_put_response_end(&w);
}

TEST(response_goes_round_in_every_version)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		struct kmip_response_header h;
		struct kmip_response_item item;
		struct activate_response a;
		autobuf b = buf_new(4096);
		OK(kf_ok(write_response(&b, versions[v])));
		struct ttlv_reader r = ttlv_read(buf_slice(&b));

		OK(kf_ok(kmip_get_response_header(&r, &h)));
		EQ(h.version, versions[v]);
		EQ(h.time_stamp, 77);
		EQ(h.batch_count, 3);

		OK(kf_ok(kmip_get_response_item(&r, &item)));
		OK(kf_ok(kmip_result(&item)));
		OK(slice_eq(item.batch_id, (struct slice){ id16, 4 }));
		OK(item.extension.has_load);
		EQ(item.extension.load, 4321);
		OK(item.extension.has_expected_wait);
		EQ(item.extension.expected_wait_us, 660000);
		struct ttlv_reader p = kmip_payload(&r, item.payload);
		OK(kf_ok(activate_get_response(&p, &a)));
		OK(slice_is(a.uid.text, "key-1"));

		OK(kf_ok(kmip_get_response_item(&r, &item)));
		EQ(item.status, KMIP_RESULT_STATUS_OPERATION_UNDONE);

		OK(kf_ok(kmip_get_response_item(&r, &item)));
		EQ(item.operation, 0x80123456);
		bool knows_sensitive = versions[v] >= KMIP_1_4;
		OK(kf_is(kmip_result(&item),
			knows_sensitive ? KF_E_SENSITIVE : KF_E_DENIED));
		OK(slice_is(item.message, "object is sensitive"));
		OK(kf_ok(kmip_get_response_end(&r)));
	}
}

TEST(refusal_can_be_read_by_whoever_is_refused)
{
	static const struct {
		uint16_t asked, answered;
	} cases[] = { { 0, KMIP_1_4 }, { KMIP_1_0, KMIP_1_0 }, { 0x0300, KMIP_2_1 },
		{ 0x0207, KMIP_2_1 }, { KMIP_2_0, KMIP_2_0 } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kmip_response_header h;
		struct kmip_response_item item;
		autobuf b = buf_new(4096);
		OK(kf_ok(kmip_put_refusal(&b, cases[i].asked, KF_E_SHORT, 5)));
		struct ttlv_reader r = ttlv_read(buf_slice(&b));
		OK(kf_ok(kmip_get_response_header(&r, &h)));
		EQ(h.version, cases[i].answered);
		OK(kf_ok(kmip_get_response_item(&r, &item)));
		EQ(item.operation, 0);
		EQ(item.reason, KMIP_RESULT_REASON_INVALID_MESSAGE);
		OK(kf_ok(kmip_get_response_end(&r)));
	}
}

TEST(answers_of_the_hot_path_stay_in_the_memory_that_is_there)
{
	static const uint8_t signature[256];
	autobuf b = buf_new(4096);
	uint8_t *room = buf_reserve(&b, 1024);
	for (int i = 0; i < 100; i++) {
		struct ttlv_writer w = ttlv_write(&b, KMIP_2_1);
		struct kmip_response_header h = { .version = KMIP_2_1, .batch_count = 1 };
		struct sign_response a = { kmip_uid_text(slice_of("key")),
			{ signature, sizeof(signature) } };
		kmip_put_response_header(&w, &h, NULL);
		kmip_put_response_item_begin(
			&w, KMIP_OPERATION_SIGN, (struct slice){ id16, 4 });
		sign_put_response(&w, &a);
		kmip_put_response_item_end(&w, NULL);
		OK(kf_ok(kmip_put_response_end(&w)));
		OK(b.p == room);
		buf_clear(&b);
	}
}

TEST(framing_refuses_what_is_no_message)
{
	size_t n = 0;
	OK(kf_ok(kmip_message_length((const uint8_t *)"\x42\0\x78\1\0\0\0\x10", 64, &n)));
	EQ(n, 24);
	OK(kf_ok(kmip_message_length((const uint8_t *)"\x42\0\x7b\1\0\0\0\x38", 64, &n)));
	EQ(n, 64);
	OK(kf_is(kmip_message_length((const uint8_t *)"\x42\0\x7b\1\0\0\0\x40", 64, &n),
		KF_E_TOO_BIG));
	OK(kf_is(kmip_message_length(
			 (const uint8_t *)"\x42\0\x7b\1\xff\xff\xff\xf8", 64, &n),
		KF_E_TOO_BIG));
	OK(kf_is(kmip_message_length((const uint8_t *)"\x42\0\x78\1\0\0\0\x11", 64, &n),
		KF_E_MALFORMED));
	OK(kf_is(kmip_message_length((const uint8_t *)"\x42\0\x78\2\0\0\0\x10", 64, &n),
		KF_E_MALFORMED));
	OK(kf_is(kmip_message_length((const uint8_t *)"\x16\3\1\2\0\1\0\1", 64, &n),
		KF_E_MALFORMED));
}

TEST(no_reason_is_newer_than_the_version)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		for (int code = KF_E_INTERNAL; code <= KF_E_TOKEN; code++) {
			uint32_t reason = kmip_reason((enum kf_code)code, versions[v]);
			OK(ttlv_value_in(TTLV_KIND_RESULT_REASON, reason, versions[v]));
		}
	}
}

TEST(reasons_come_back_as_what_they_were)
{
	static const enum kf_code codes[] = { KF_E_INTERNAL, KF_E_UNSUPPORTED,
		KF_E_INVALID_FIELD, KF_E_DENIED, KF_E_BUSY, KF_E_LIMIT, KF_E_NOT_FOUND,
		KF_E_DESTROYED, KF_E_STATE, KF_E_USAGE, KF_E_NAME_NOT_UNIQUE, KF_E_STORE,
		KF_E_OUTCOME_UNKNOWN, KF_E_SENSITIVE, KF_E_BAD_PARAMETERS };
	struct slice none = { 0 };
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		EQ(kmip_reason_code(kmip_reason(codes[i], KMIP_2_1), none), codes[i]);
	EQ(kmip_reason_code(KMIP_RESULT_REASON_ITEM_NOT_FOUND, none), KF_E_NOT_FOUND);
	EQ(kmip_reason_code(0x99, none), KF_E_INTERNAL);
}

TEST(codes_that_share_a_reason_are_told_apart_by_their_message)
{
	static const enum kf_code codes[] = { KF_E_UNAVAILABLE, KF_E_STORE, KF_E_FULL };
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		EQ(kmip_reason_code(kmip_reason(codes[i], KMIP_2_1),
			   slice_of(kf_code_name(codes[i]))),
			codes[i]);
	EQ(kmip_reason_code(kmip_reason(KF_E_DENIED, KMIP_2_1),
		   slice_of(kf_code_name(KF_E_STORE))),
		KF_E_DENIED);
}

TEST(credentials_go_round_and_cuts_are_refused)
{
	const struct kmip_authentication in = { 2,
		{ { KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD, SLICE_LIT("alice"),
			  SLICE_LIT("open sesame") },
			{ KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD, SLICE_LIT("bob"),
				{ 0 } } } };
	autobuf b = buf_new(4096);
	struct ttlv_writer w = ttlv_write(&b, KMIP_1_4);
	kmip_put_authentication(&w, &in);
	OK(kf_ok(ttlv_written(&w)));
	const struct ttlv_reader message = ttlv_read_as(buf_slice(&b), KMIP_1_4, false);
	struct kmip_authentication out;

	OK(kf_ok(kmip_get_authentication(&message, buf_slice(&b), &out)));
	EQ(out.n, 2);
	OK(slice_is(out.credential[0].username, "alice"));
	OK(slice_is(out.credential[0].password, "open sesame"));
	OK(slice_is(out.credential[1].username, "bob"));
	EQ(out.credential[1].password.n, 0);
	for (size_t n = 0; n < b.n; n++)
		OK(!kf_ok(kmip_get_authentication(
			&message, (struct slice){ b.p, n }, &out)));
}

TEST_MAIN
