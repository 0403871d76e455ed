/* SPDX-License-Identifier: Apache-2.0 */
#include "suite.h"

static char location[128];

static const char *fresh_location(void)
{
	static int n;
	snprintf(location, sizeof(location), "sqlite:%s/%d.db", temporary_directory(),
		n++);
	return location;
}

TEST(a_second_server_on_the_same_file_is_refused)
{
	struct fixture f = { 0 }, g = { 0 };
	const char *where = fresh_location();
	OK(kf_ok(fixture_open(&f, where, KEY_A)));

	OK(says(fixture_open(&g, where, KEY_A), KF_E_BUSY,
		"in use by another keyfleetd"));

	fixture_close(&g);
	fixture_close(&f);
}
TEST_MAIN
