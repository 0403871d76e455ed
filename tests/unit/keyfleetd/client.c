/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/client.h"
#include "test.h"

TEST(a_client_has_no_more_connections_than_allowed)
{
	struct clients *c;
	struct client_slot *first, *second, *third = NULL;
	OK(kf_ok(clients_new(&c)));

	OK(kf_ok(clients_enter(c, "web1", 2, &first)));
	OK(kf_ok(clients_enter(c, "web1", 2, &second)));

	OK(first == second);
	OK(kf_is(clients_enter(c, "web1", 2, &third), KF_E_LIMIT));
	clients_free(c);
}

TEST(clients_do_not_count_for_each_other)
{
	struct clients *c;
	struct client_slot *mine, *other;
	OK(kf_ok(clients_new(&c)));

	OK(kf_ok(clients_enter(c, "web1", 1, &mine)));
	OK(kf_ok(clients_enter(c, "web2", 1, &other)));

	clients_free(c);
}

TEST(whoever_leaves_makes_room)
{
	struct clients *c;
	struct client_slot *slot;
	OK(kf_ok(clients_new(&c)));

	for (int i = 0; i < 3; i++) {
		OK(kf_ok(clients_enter(c, "web1", 1, &slot)));
		clients_leave(c, slot);
	}

	clients_leave(c, NULL);
	clients_free(c);
}
TEST_MAIN
