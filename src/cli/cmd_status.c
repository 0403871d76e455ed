/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet status: facts about the server that answers.
 */
#include "cli/call.h"
#include "kmip/admin.h"

static void add_row(struct table *t, const struct status_pair *s)
{
	char name[256], value[1024];
	if (!kf_ok(slice_to_text(s->name, name, sizeof(name))) ||
		!kf_ok(slice_to_text(s->value, value, sizeof(value))))
		return;
	const char *cells[] = { name, value };
	table_row(t, cells);
}

static kf_err run(struct cli *c)
{
	static const char *const titles[] = { "NAME", "VALUE" };
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 0, 0));
	struct table *t = table_new(c, titles, 2);
	struct list_pages pages = { .operation = KMIP_OPERATION_STATUS };
	kf_err e;
	while (list_next_page(c, &pages, &e)) {
		struct ttlv_reader r = ttlv_read(pages.items);
		struct status_pair s;
		while (status_pair_next(&r, &s))
			add_row(t, &s);
	}
	return table_end(t, e);
}

const struct command command_status = { .words = "status",
	.args = "",
	.summary = "print what the key server says of itself",
	.run = run };
