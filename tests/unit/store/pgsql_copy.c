/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "store/pgsql.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>

#define HEADER "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
#define ROW                                                                              \
	"\0\3"                                                                           \
	"\0\0\0\10\0\0\0\0\0\0\1\2"                                                      \
	"\0\0\0\2ab"                                                                     \
	"\377\377\377\377"
#define LITERAL(s) ((struct slice){ (const uint8_t *)(s), sizeof(s) - 1 })

static const enum value_kind kinds[] = { VALUE_INT, VALUE_TEXT, VALUE_BYTES };

struct seen {
	unsigned rows;
	bool is_right;
};

static kf_err see(void *arg, const struct value *v, size_t n)
{
	struct seen *s = arg;
	s->rows++;
	s->is_right = n == 3 && v[0].kind == VALUE_INT && v[0].i == 258 &&
		      v[1].kind == VALUE_TEXT && slice_is(v[1].s, "ab") &&
		      v[2].kind == VALUE_NULL;
	return KF_OK;
}

/* From memory of its own, behind which a sanitizer watches. */
static kf_err take(struct slice message, struct seen *ret)
{
	const struct query q = { .sql = "", .row = see, .arg = ret };
	struct pgsql_copy c = { .q = &q, .kinds = kinds, .columns = 3 };
	uint8_t *copy = malloc(message.n ? message.n : 1);
	if (!copy)
		return kf_fail(NOMEM, "test");
	memcpy(copy, message.p, message.n);
	*ret = (struct seen){ 0 };
	kf_err err = pgsql_copy_take(&c, (struct slice){ copy, message.n });
	free(copy);
	return err;
}

TEST(a_row_comes_behind_the_header_and_nothing_behind_the_last)
{
	struct seen seen;
	OK(kf_ok(take(LITERAL(HEADER ROW), &seen)));
	OK(seen.rows == 1 && seen.is_right);
	OK(kf_ok(take(LITERAL(HEADER ROW "\377\377"), &seen)));
	OK(seen.rows == 1 && seen.is_right);
	OK(kf_ok(take(LITERAL(HEADER "\377\377"), &seen)));
	EQ(seen.rows, 0);
}

TEST(what_is_cut_is_no_row)
{
	const struct slice whole = LITERAL(HEADER ROW);
	const size_t header_n = sizeof(HEADER) - 1;
	struct seen seen;
	for (size_t n = 0; n < whole.n; n++) {
		kf_err err = take((struct slice){ whole.p, n }, &seen);
		EQ(err.code, n == header_n ? KF_E_NONE : KF_E_STORE);
		EQ(seen.rows, 0);
	}
}

TEST(a_length_that_lies_is_found_out)
{
	static const size_t lengths[] = { 21, 33, 39 };
	const struct slice whole = LITERAL(HEADER ROW);
	struct seen seen;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		for (unsigned lie = 0; lie < 4; lie++) {
			uint8_t bytes[sizeof(HEADER ROW)];
			memcpy(bytes, whole.p, whole.n);
			bytes[lengths[i] + lie] ^= 0x41;
			kf_err err = take((struct slice){ bytes, whole.n }, &seen);
			OK(kf_is(err, KF_E_STORE));
			EQ(seen.rows, 0);
		}
}

TEST(a_row_of_other_columns_than_were_asked_for_is_none)
{
	static const char columns[][2] = { "\0\2", "\0\4", "\0\40", "\0\377", "\177\377",
		"\0\0" };
	struct seen seen;
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		uint8_t bytes[] = HEADER ROW "\377\377\377\377\377\377\377\377";
		memcpy(bytes + sizeof(HEADER) - 1, columns[i], 2);
		kf_err err = take((struct slice){ bytes, sizeof(bytes) - 1 }, &seen);
		OK(kf_is(err, KF_E_STORE));
		EQ(seen.rows, 0);
	}
}

TEST(another_header_is_none)
{
	const struct slice whole = LITERAL(HEADER ROW);
	struct seen seen;
	for (size_t i = 0; i < sizeof(HEADER) - 1; i++) {
		uint8_t bytes[sizeof(HEADER ROW)];
		memcpy(bytes, whole.p, whole.n);
		bytes[i] ^= 1;
		OK(kf_is(take((struct slice){ bytes, whole.n }, &seen), KF_E_STORE));
		EQ(seen.rows, 0);
	}
}
TEST_MAIN
