/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet policy test: what the key server would say, and why.
 */
#include "cli/call.h"
#include "kmip/admin.h"
#include "policy/policy.h"
#include <string.h>

/* As the server names them; the first one is the answer. */
static const char *const facts[] = { "allowed", "rule", "why", "key", "constraints",
	"limits", "client-limits" };
static const char *const titles[] = { "ALLOWED", "RULE", "WHY", "KEY", "CONSTRAINTS",
	"LIMITS", "CLIENT LIMITS" };
enum { FACTS = sizeof(facts) / sizeof(facts[0]), FACT_MAX = 512 };

struct verdict {
	char fact[FACTS][FACT_MAX];
};

static kf_err parse_operation(struct cli *c, const char *word, uint32_t *ret)
{
	uint32_t one = 0;
	kf_err e = permissions_parse(slice_of(word), &one);
	if (kf_ok(e) && one && !(one & (one - 1))) {
		*ret = one;
		return KF_OK;
	}
	cli_note(
		c, "%s: not one operation; `keyfleet grant add --help` lists them", word);
	return kf_fail(INVALID_FIELD, "see --help");
}

static kf_err take_facts(struct slice items, struct verdict *ret)
{
	struct ttlv_reader r = ttlv_read(items);
	struct status_pair p;
	while (status_pair_next(&r, &p))
		for (size_t i = 0; i < FACTS; i++)
			if (slice_is(p.name, facts[i]))
				KF_TRY(slice_to_text(p.value, ret->fact[i], FACT_MAX));
	return ttlv_ok(&r) ? KF_OK : r.err;
}

static kf_err ask(struct cli *c, const struct policy_test_request *q, struct verdict *ret)
{
	autopayload p;
	payload_init(&p);
	policy_test_put_request(&p.w, q);
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	KF_TRY(cli_call(c, KMIP_OPERATION_POLICY_TEST, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	struct list_response list = { 0 };
	KF_TRY(list_get_response(&r, &list));
	return take_facts(list.items, ret);
}

static kf_err run_test(struct cli *c)
{
	struct verdict v = { 0 };
	KF_TRY(cli_options(c, NULL, 0));
	KF_TRY(cli_operands(c, 3, 3));
	struct policy_test_request q = { .who = slice_of(c->argv[0]),
		.key = slice_of(c->argv[2]) };
	KF_TRY(parse_operation(c, c->argv[1], &q.permission));
	KF_TRY(ask(c, &q, &v));
	const char *cells[FACTS];
	for (size_t i = 0; i < FACTS; i++)
		cells[i] = v.fact[i];
	struct table *t = table_new(c, titles, FACTS);
	table_row(t, cells);
	c->exit_status = strcmp(v.fact[0], "yes") ? 1 : 0;
	return table_end(t, KF_OK);
}

const struct command command_policy_test = {
	.words = "policy test",
	.args = "WHO OPERATION KEY",
	.summary = "would the key server let a client do this, and by which rule",
	.help = "  WHO        a client's name, or admin\n"
		"  OPERATION  one word as in `keyfleet grant add`\n"
		"  KEY        a key's name or id\n"
		"\n"
		"Prints yes or no; the rule (a grant's id, owner, admin or everybody); "
		"if "
		"no, why;\n"
		"and the constraints and limits that hold. Nothing is done. Exit status: "
		"0 "
		"yes, 1 no.\n",
	.run = run_test,
};
