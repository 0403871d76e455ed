/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/client.h"
#include "test.h"

TEST(a_client_has_no_more_connections_than_allowed)
{
	struct clients *c;
	struct client_slot *first, *second, *third = NULL;
	OK(kf_ok(clients_new(2, &c)));

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
	OK(kf_ok(clients_new(1, &c)));

	OK(kf_ok(clients_enter(c, "web1", 1, &mine)));
	OK(kf_ok(clients_enter(c, "web2", 1, &other)));

	OK(mine != other);
	clients_free(c);
}

TEST(whoever_leaves_makes_room)
{
	struct clients *c;
	struct client_slot *slot;
	OK(kf_ok(clients_new(1, &c)));

	for (int i = 0; i < 3; i++) {
		OK(kf_ok(clients_enter(c, "web1", 1, &slot)));
		clients_leave(c, slot);
	}

	clients_leave(c, NULL);
	clients_free(c);
}

TEST(each_grant_has_a_meter_of_its_own)
{
	struct clients *c;
	struct client_slot *slot, *other;
	struct meter *a, *b, *again, *others;
	OK(kf_ok(clients_new(2, &c)));
	OK(kf_ok(clients_enter(c, "web1", 1, &slot)));
	OK(kf_ok(clients_enter(c, "web2", 1, &other)));

	OK(kf_ok(clients_meter(c, slot, "g1", &a)));
	OK(kf_ok(clients_meter(c, slot, "g2", &b)));
	OK(kf_ok(clients_meter(c, slot, "g1", &again)));
	OK(kf_ok(clients_meter(c, other, "g1", &others)));

	OK(a != b && a == again && a != others && a->slot == slot);
	OK(!strcmp(a->rule, "g1") && !strcmp(slot->own->rule, "client"));
	clients_free(c);
}

/* Else a limit would be as new after every connection. */
TEST(whoever_comes_back_finds_the_limits_as_they_were)
{
	struct clients *c;
	struct client_slot *slot, *back;
	struct meter *m;
	const struct rate rate = rate_of(3600, 2);
	const uint64_t now = 1000000000;
	OK(kf_ok(clients_new(1, &c)));
	OK(kf_ok(clients_enter(c, "web1", 1, &slot)));
	OK(kf_ok(clients_meter(c, slot, "g1", &m)));
	EQ(bucket_take(&m->bucket, &rate, now, 9), 2);
	clients_leave(c, slot);

	EQ(clients_sweep(c, now + 1), 1);
	OK(kf_ok(clients_enter(c, "web1", 1, &back)));
	OK(back == slot);
	EQ(bucket_take(&m->bucket, &rate, now + 1, 9), 0);
	clients_leave(c, back);

	EQ(clients_sweep(c, now + 2000000000), 0);
	clients_free(c);
}

TEST(nobody_is_forgotten_with_requests_under_way)
{
	struct clients *c;
	struct client_slot *slot;
	OK(kf_ok(clients_new(2, &c)));
	OK(kf_ok(clients_enter(c, "web1", 1, &slot)));
	atomic_store(&slot->part[1].under_way, 1);
	clients_leave(c, slot);

	EQ(clients_sweep(c, 1), 1);
	atomic_store(&slot->part[1].under_way, 0);
	EQ(clients_sweep(c, 1), 0);
	clients_free(c);
}
TEST_MAIN
