/* SPDX-License-Identifier: Apache-2.0 */
#include "client/fleet.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64], item[80];

static void write_address(const char *text)
{
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

/* One server by its number, one by an address file. */
static char number[] = "127.0.0.1:1001";
static char *items[] = { number, item };

static void set_up(struct fleet *f, struct fleet_nodes *found)
{
	strcpy(path, "/tmp/keyfleet-test-fleet-XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0 || close(fd) != 0)
		abort();
	snprintf(item, sizeof(item), "file:%s", path);
	write_address("127.0.0.1:1002\n");
	*f = (struct fleet){ .settings.servers = { .item = items, .n = 2 }, .random = 1 };
	OK(kf_ok(fleet_look_up(&f->settings, found)));
	fleet_adopt(f, found);
}

static struct fleet fleet;
static struct fleet_nodes found;

TEST(a_server_without_an_answer_of_the_name_service_is_not_forgotten)
{
	set_up(&fleet, &found);
	unlink(path);

	OK(kf_ok(fleet_look_up(&fleet.settings, &found)));
	OK(found.n == 1 && found.is_partial);
	fleet_add_known(&fleet, &found);

	EQ(found.n, 2);
	OK(fleet_is_same(&fleet, &found));
}

TEST(a_server_that_has_moved_is_only_where_it_is_now)
{
	set_up(&fleet, &found);
	write_address("127.0.0.1:1003\n");

	OK(kf_ok(fleet_look_up(&fleet.settings, &found)));
	OK(!found.is_partial);
	fleet_add_known(&fleet, &found);

	EQ(found.n, 2);
	OK(!fleet_is_same(&fleet, &found));
	unlink(path);
}

TEST(what_is_known_is_no_more_than_there_is_room_for)
{
	set_up(&fleet, &found);
	unlink(path);
	found = (struct fleet_nodes){ .n = NODES_MAX, .is_partial = true };

	fleet_add_known(&fleet, &found);

	EQ(found.n, NODES_MAX);
}

TEST_MAIN
