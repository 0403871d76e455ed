/* SPDX-License-Identifier: Apache-2.0
 *
 * A test case of OASIS: read, its messages encoded, and an answer compared with what is expected.
 */
#include "replay/compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT = 1 << 20 };
extern const int fuzz_mutations;
const int fuzz_mutations = 3000;

static void play(const struct replay_case *c, struct replay_scope *s)
{
	for (const struct replay_node *q = c->root->first; q; q = q->next->next) {
		autobuf out = buf_new(OUT), answer = buf_new(OUT);
		struct replay_diff d = { .text = buf_new(OUT) };
		kf_err e = replay_encode(q, s, &out);
		if (kf_ok(e))
			e = replay_encode(q->next, s, &answer);
		(void)e;
		(void)replay_compare(q, q->next, buf_slice(&answer), s, &d);
		buf_free(&d.text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct replay_case c;
	struct replay_scope s = { .now = 1700000000 };
	autobuf why = buf_new(65536);
	kf_err e = replay_case_read((struct slice){ data, size }, &why, &c);
	if (kf_ok(e))
		play(&c, &s);
	replay_case_clear(&c);
	replay_vars_clear(&s.vars);
	replay_vars_clear(&s.objects);
	return 0;
}
