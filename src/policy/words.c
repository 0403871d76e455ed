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

/* --- rates --- */

static const struct unit {
	char letter;
	uint32_t per_hour;
} units[] = { { 's', 3600 }, { 'm', 60 }, { 'h', 1 } };

enum { UNITS = sizeof(units) / sizeof(units[0]) };

static uint32_t unit_of(struct slice word)
{
	for (size_t i = 0; i < UNITS; i++)
		if (word.n == 1 && word.p[0] == (uint8_t)units[i].letter)
			return units[i].per_hour;
	return 0;
}

/* Beyond int32 it could not travel. */
static bool parse_number(struct slice text, uint64_t *ret)
{
	uint64_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || n > INT32_MAX)
			return false;
		n = n * 10 + (text.p[i] - '0');
	}
	*ret = n;
	return text.n > 0;
}

kf_err rate_parse(struct slice text, uint32_t *ret)
{
	uint64_t n = 0;
	const uint8_t *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
	if (!slash)
		return kf_fail(INVALID_FIELD, "a rate is 100/s, 5000/m or 10/h");
	size_t digits = (size_t)(slash - text.p);
	uint32_t unit = unit_of((struct slice){ slash + 1, text.n - digits - 1 });
	if (!unit || !parse_number((struct slice){ text.p, digits }, &n) || !n ||
		n * unit > INT32_MAX)
		return kf_fail(INVALID_FIELD, "a rate is 100/s, 5000/m or 10/h");
	*ret = (uint32_t)(n * unit);
	return KF_OK;
}

void rate_print(uint32_t per_hour, struct buf *ret)
{
	const struct unit *u = units;
	while (per_hour % u->per_hour)
		u++;
	buf_printf(ret, "%u/%c", per_hour / u->per_hour, u->letter);
}

void limits_print(const struct grant_limits *l, struct buf *ret)
{
	if (l->rate_per_hour) {
		buf_add_text(ret, "rate ");
		rate_print(l->rate_per_hour, ret);
	}
	if (l->burst)
		buf_printf(ret, ", burst %u", l->burst);
	if (l->concurrency)
		buf_printf(ret, "%sconcurrency %u", l->rate_per_hour ? ", " : "",
			l->concurrency);
}
