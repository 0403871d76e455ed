/* SPDX-License-Identifier: Apache-2.0
 *
 * What the doctor reads may be anything: error logs hold what visitors send.  Nothing is read beyond its
 * end, and what was found lies within the text.
 */
#include "cli/doctor_conf.h"
#include "cli/doctor_log.h"
#include "cli/doctor_openssl.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void explain_lines(struct slice text)
{
	while (text.n) {
		size_t before = text.n;
		const struct log_text *found = log_explain(log_next_line(&text));
		if (text.n >= before || (found && !*found->cause))
			abort();
	}
}

static void check_lines(size_t line, size_t size)
{
	if (line == 0 || line > size + 1)
		abort();
}

static void read_conf(struct slice text)
{
	struct doctor_conf c;
	kf_err e = doctor_conf_parse("/x/fuzz.conf", text, &c);
	for (size_t i = 0; kf_ok(e) && i < c.n; i++) {
		check_lines(c.item[i].line, text.n);
		(void)doctor_conf_size(c.item[i].value);
		(void)doctor_conf_lists(c.item[i].value, c.item[i].key);
	}
	doctor_conf_free(&c);
}

/* .include would open what the input names. */
static void read_openssl(struct slice text)
{
	struct openssl_conf c;
	if (text.n && memmem(text.p, text.n, ".include", 8))
		return;
	kf_err e = openssl_conf_parse("/x/openssl.cnf", text, &c);
	for (size_t i = 0; kf_ok(e) && i < c.n; i++)
		check_lines(c.item[i].line, text.n);
	if (kf_ok(e))
		(void)openssl_conf_keyfleet(&c, "module");
	openssl_conf_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice in = { data, size };
	explain_lines(in);
	read_conf(in);
	read_openssl(in);
	return 0;
}
