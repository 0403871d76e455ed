/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"
#include <string.h>

struct word {
	uint32_t bit;
	const char *text;
};

static const struct word permissions[] = {
#define X(name, bit, text, manual) { PERM_##name, text },
#include "policy/permission.def"
#undef X
	{ 0 }
};

static const struct word constraints[] = {
#define X(name, bit, text, manual) { CONSTRAINT_##name, text },
#include "policy/constraint.def"
#undef X
	{ 0 }
};

static uint32_t bit_of(const struct word *words, struct slice text)
{
	for (; words->bit; words++)
		if (slice_is(text, words->text))
			return words->bit;
	return 0;
}

/* The first word of *text, without blanks; *text goes behind its comma. */
static struct slice next_word(struct slice *text)
{
	const uint8_t *comma = memchr(text->p, ',', text->n);
	struct slice word = { text->p, comma ? (size_t)(comma - text->p) : text->n };
	const size_t used = comma ? word.n + 1 : word.n;

	*text = (struct slice){ text->p + used, text->n - used };
	while (word.n && *word.p == ' ')
		word = (struct slice){ word.p + 1, word.n - 1 };
	while (word.n && word.p[word.n - 1] == ' ')
		word.n--;
	return word;
}

static kf_err parse(const struct word *words, struct slice text, uint32_t *ret)
{
	uint32_t mask = 0;
	while (text.n) {
		uint32_t bit = bit_of(words, next_word(&text));
		if (!bit)
			return kf_fail(INVALID_FIELD, "no such word in the list");
		mask |= bit;
	}
	*ret = mask;
	return KF_OK;
}

static void print(const struct word *words, uint32_t mask, struct buf *ret)
{
	const char *comma = "";
	for (; words->bit; words++) {
		if (!(mask & words->bit))
			continue;
		buf_add_text(ret, comma);
		buf_add_text(ret, words->text);
		comma = ",";
	}
}

kf_err permissions_parse(struct slice text, uint32_t *ret)
{
	uint32_t mask = 0;
	KF_TRY(parse(permissions, text, &mask));
	if (mask & PERM_ADMINISTER)
		return kf_fail(INVALID_FIELD, "administration cannot be granted");
	*ret = mask;
	return KF_OK;
}

kf_err constraints_parse(struct slice text, uint32_t *ret)
{
	return parse(constraints, text, ret);
}

void permissions_print(uint32_t mask, struct buf *ret) { print(permissions, mask, ret); }
void constraints_print(uint32_t mask, struct buf *ret) { print(constraints, mask, ret); }
