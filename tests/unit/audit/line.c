/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"
#include "test.h"

static struct line line;

static const char *text(void)
{
	line.p[line.n] = 0;
	return (const char *)line.p;
}

static void write_record(const struct audit_record *r)
{
	static struct line_clock clock;
	struct line_origin origin = { 3, 42, 1700000000123456 };
	line_write(&line, &clock, &origin, r);
}

static bool is_one_line(void)
{
	return line.n > 0 && memchr(line.p, '\n', line.n) == line.p + line.n - 1;
}

TEST(a_record_is_one_line_of_keys_and_values)
{
	write_record(&(struct audit_record){
		.phase = AUDIT_ALLOWED,
		.client = "web1",
		.operation = "Sign",
		.object = "1-2",
		.rule = "owner",
		.mechanism = "ecdsa-sha256",
		.digest = SLICE_LIT("\x01\xff"),
		.correlation = SLICE_LIT("trace 7"),
		.op_id = SLICE_LIT("\xab\x02"),
		.has_uid = true,
		.uid = 33,
		.connection = 9,
	});

	OK(strcmp(text(),
		   "time=2023-11-14T22:13:20.123456Z loop=3 sequence=42 connection=9 "
		   "phase=allowed client=web1 operation=Sign object=1-2 rule=owner "
		   "mechanism=ecdsa-sha256 digest=01ff correlation=\"trace 7\" "
		   "op-id=ab02 uid=33 chain=0000000000000000\n") == 0);
}

TEST(peer_text_cannot_forge_a_line_or_a_field)
{
	write_record(&(struct audit_record){
		.client = "a\nphase=allowed", .object = "\" x=\"\\", .why = "\x7f\xc3" });

	OK(is_one_line());
	OK(strstr(text(), "client=\"a\\x0aphase=allowed\""));
	OK(strstr(text(), "object=\"\\x22 x=\\x22\\x5c\""));
	OK(strstr(text(), "why=\"\\x7f\\xc3\""));
}

TEST(absent_text_is_a_dash_and_empty_text_is_quoted)
{
	write_record(&(struct audit_record){ .object = "" });

	OK(strstr(text(), " client=- "));
	OK(strstr(text(), " object=\"\" "));
}

TEST(the_longest_values_fit_one_line)
{
	static char worst[4000];
	memset(worst, 1, sizeof(worst) - 1);
	struct slice bytes = { (const uint8_t *)worst, sizeof(worst) };

	write_record(&(struct audit_record){ .client = worst,
		.operation = worst,
		.object = worst,
		.rule = worst,
		.mechanism = worst,
		.why = worst,
		.digest = bytes,
		.correlation = bytes,
		.op_id = bytes,
		.connection = UINT64_MAX });

	OK(is_one_line());
	OK(strstr(text(), "\\x01...\""));
}

TEST(the_clock_moves_on_with_the_second)
{
	struct line_clock clock = { 0 };
	struct line_origin origin = { 0, 1, 1700000000000000 };
	line_write(&line, &clock, &origin, &(struct audit_record){ 0 });
	origin.time_us += 1000001;
	line_write(&line, &clock, &origin, &(struct audit_record){ 0 });

	OK(strstr(text(), "22:13:21.000001Z"));
}
TEST_MAIN
