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

static uint64_t told[4];
static size_t times_told;

static void note_progress(void *arg, uint64_t rows)
{
	(void)arg;
	if (times_told < 4)
		told[times_told++] = rows;
}

TEST(who_waits_for_a_large_store_hears_how_far_it_is)
{
	struct fixture f = { 0 };
	const char *where = fresh_location();
	char id[16];
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	for (int i = 0; i < 25; i++) {
		snprintf(id, sizeof(id), "id-%d", i);
		OK(kf_ok(put(f.store, &(struct spec){ .id = id, .material = "x" })));
	}
	fixture_close(&f);

	f.conf.progress = note_progress;
	f.conf.progress_rows = 10;
	OK(kf_ok(fixture_open(&f, where, KEY_A)));

	EQ(times_told, 2);
	EQ(told[0], 10);
	EQ(told[1], 20);
	fixture_close(&f);
}
TEST_MAIN
