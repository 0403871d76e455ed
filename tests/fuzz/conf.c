/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct entry {
	char *label, *path;
	struct conf_list hosts;
};

struct target {
	char *text, *address;
	int64_t number, size, duration;
	bool flag;
	int word;
	struct conf_group entries;
};

static const char *const words[] = { "one", "two", NULL };
static const struct conf_section sections[] = {
	{ "main", 0, 0, NULL },
	{ "entry", sizeof(struct entry), offsetof(struct target, entries), NULL },
};
static const struct conf_option options[] = {
	{ "main", "text", CONF_TEXT, offsetof(struct target, text), .initial = "x" },
	{ "main", "address", CONF_ADDRESS, offsetof(struct target, address) },
	{ "main", "number", CONF_INTEGER, offsetof(struct target, number), .min = -5,
		.max = 5 },
	{ "main", "size", CONF_SIZE, offsetof(struct target, size) },
	{ "main", "duration", CONF_DURATION, offsetof(struct target, duration) },
	{ "main", "flag", CONF_BOOL, offsetof(struct target, flag) },
	{ "main", "word", CONF_ENUM, offsetof(struct target, word), .words = words },
	{ "entry", "path", CONF_PATH, offsetof(struct entry, path) },
	{ "entry", "hosts", CONF_ADDRESSES, offsetof(struct entry, hosts) },
};
static const struct conf_table table = CONF_TABLE(sections, options);

/* Whatever the text says: limits hold, mistakes are named, and everything can be freed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t = { 0 };
	autobuf errors = buf_new(1 << 20);
	kf_err e = conf_parse(
		&table, "/etc/t.conf", (struct slice){ data, size }, &t, &errors);
	if (kf_ok(e) != (errors.n == 0) || t.number < -5 || t.number > 5 || t.size < 0 ||
		t.duration < 0 || (t.address && !strchr(t.address, ':')))
		abort();
	conf_free(&table, &t);
	return 0;
}
