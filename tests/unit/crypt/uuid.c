/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/uuid.h"
#include "test.h"
#include <ctype.h>

static bool is_uuid(const char *s, char version)
{
	for (int i = 0; i < UUID_TEXT - 1; i++) {
		const bool has_dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (has_dash ? s[i] != '-' : !isdigit(s[i]) && !strchr("abcdef", s[i]))
			return false;
	}
	return !s[UUID_TEXT - 1] && s[14] == version && strchr("89ab", s[19]);
}

TEST(random_ones_say_that_they_are_and_differ)
{
	char a[UUID_TEXT], b[UUID_TEXT];
	OK(kf_ok(uuid_random(a)) && kf_ok(uuid_random(b)));
	OK(is_uuid(a, '4') && is_uuid(b, '4') && strcmp(a, b) != 0);
}

/* RFC 9562, appendix A.6: the time of the example, 2022-02-22 19:22:22 UTC. */
TEST(those_by_time_begin_with_its_milliseconds)
{
	const int64_t us = 0x017F22E279B0 * 1000LL;
	char a[UUID_TEXT], b[UUID_TEXT], later[UUID_TEXT];
	OK(kf_ok(uuid_by_time(us, a)) && kf_ok(uuid_by_time(us + 999, b)));
	OK(kf_ok(uuid_by_time(us + 1000, later)));
	OK(is_uuid(a, '7') && is_uuid(b, '7') && is_uuid(later, '7'));
	OK(!strncmp(a, "017f22e2-79b0-7", 15) && !strncmp(b, a, 15));
	OK(strcmp(a, b) != 0 && strcmp(a, later) < 0 && strcmp(b, later) < 0);
}

TEST_MAIN
