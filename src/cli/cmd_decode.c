/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet decode: KMIP messages as text, and back.
 */
#include "base/conf.h"
#include "cli/cli.h"
#include "ttlv/ttlv.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DECODE_MAX = 16 << 20 };

static kf_err read_all(struct cli *c, struct buf *ret)
{
	if (c->argc && strcmp(c->argv[0], "-") != 0) {
		autobuf why = buf_new(4096);
		kf_err e = conf_read_file(c->argv[0], ret, &why);
		if (!kf_ok(e))
			cli_note_lines(c, &why);
		return e;
	}
	uint8_t chunk[65536];
	ssize_t n;
	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		buf_add(ret, chunk, (size_t)n);
	return n < 0 ? kf_fail(IO, "standard input cannot be read") : buf_err(ret);
}

static int digit(uint8_t ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = (uint8_t)tolower(ch);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Bytes written as hexadecimal digits, white space anywhere. */
static kf_err from_hex(struct slice text, struct buf *ret)
{
	int high = -1;
	for (size_t i = 0; i < text.n; i++) {
		if (isspace(text.p[i]))
			continue;
		int d = digit(text.p[i]);
		if (d < 0)
			return kf_fail(MALFORMED,
				"neither a message nor its hexadecimal digits");
		if (high < 0) {
			high = d;
			continue;
		}
		buf_add_u8(ret, (uint8_t)(high << 4 | d));
		high = -1;
	}
	return high < 0 ? buf_err(ret)
			: kf_fail(SHORT, "an odd number of hexadecimal digits");
}

static kf_err encode(struct slice text)
{
	autobuf bytes = buf_new(DECODE_MAX);
	KF_TRY(ttlv_parse(text, &bytes));
	fwrite(bytes.p, 1, bytes.n, stdout);
	return KF_OK;
}

static kf_err run(struct cli *c)
{
	bool is_encode = false, is_plain = false;
	const struct cli_option options[] = { { "encode", NULL, &is_encode },
		{ "show-secrets", NULL, &is_plain } };
	KF_TRY(cli_options(c, options, 2));
	KF_TRY(cli_operands(c, 0, 1));
	autobuf in = buf_new(DECODE_MAX), bytes = buf_new(DECODE_MAX),
		text = buf_new(4 * DECODE_MAX);
	KF_TRY(read_all(c, &in));
	if (is_encode)
		return encode(buf_slice(&in));
	bool is_binary = in.n && (in.p[0] == 0x42 || in.p[0] == 0x54) && in.n > 3 &&
			 !isxdigit(in.p[1]);
	if (is_binary)
		buf_add_slice(&bytes, buf_slice(&in));
	else
		KF_TRY(from_hex(buf_slice(&in), &bytes));
	KF_TRY(ttlv_print(buf_slice(&bytes), !is_plain, &text));
	fwrite(text.p, 1, text.n, stdout);
	return KF_OK;
}

const struct command command_decode = {
	.words = "decode",
	.args = "[FILE] [--show-secrets] [--encode]",
	.summary = "print a KMIP message (binary or hexadecimal) as text",
	.help = "  --show-secrets  do not mask key material and other secret fields\n"
		"  --encode        the other way: text in, message out\n",
	.run = run,
};
