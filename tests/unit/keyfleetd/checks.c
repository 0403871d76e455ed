/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/checks.h"
#include "test.h"

static const struct checks_limits limits = { .most = 5, .of_one = 2 };

static kf_err begin(struct checks *c, const char *text)
{
	struct address a;
	KF_TRY(address_parse(text, &a));
	return checks_begin(c, &limits, &a);
}

static void end(struct checks *c, const char *text)
{
	struct address a;
	if (kf_ok(address_parse(text, &a)))
		checks_end(c, &a);
}

TEST(one_address_checks_so_many_whatever_its_ports)
{
	struct checks c;
	checks_init(&c);
	OK(kf_ok(begin(&c, "192.0.2.1:1")));
	OK(kf_ok(begin(&c, "192.0.2.1:2")));
	OK(kf_is(begin(&c, "192.0.2.1:3"), KF_E_BUSY));
	OK(kf_is(begin(&c, "[::ffff:192.0.2.1]:4"), KF_E_BUSY));
	OK(kf_ok(begin(&c, "192.0.2.2:1")));
	OK(kf_ok(begin(&c, "[::ffff:192.0.2.3]:1")));
	end(&c, "192.0.2.1:9");
	OK(kf_ok(begin(&c, "192.0.2.1:3")));
	checks_clear(&c);
}

TEST(a_network_of_64_bits_is_one_address)
{
	struct checks c;
	checks_init(&c);
	OK(kf_ok(begin(&c, "[2001:db8::1]:1")));
	OK(kf_ok(begin(&c, "[2001:db8::2]:1")));
	OK(kf_is(begin(&c, "[2001:db8::3]:1"), KF_E_BUSY));
	OK(kf_ok(begin(&c, "[2001:db8:0:1::3]:1")));
	checks_clear(&c);
}

TEST(all_together_check_so_many)
{
	struct checks c;
	checks_init(&c);
	OK(kf_ok(begin(&c, "192.0.2.1:1")));
	OK(kf_ok(begin(&c, "192.0.2.2:1")));
	OK(kf_ok(begin(&c, "192.0.2.3:1")));
	OK(kf_ok(begin(&c, "192.0.2.4:1")));
	OK(kf_ok(begin(&c, "unix:/a")));
	OK(kf_is(begin(&c, "192.0.2.5:1"), KF_E_BUSY));
	end(&c, "unix:/b");
	OK(kf_ok(begin(&c, "192.0.2.5:1")));
	for (int i = 1; i < 6; i++) {
		char text[32];
		snprintf(text, sizeof(text), "192.0.2.%d:7", i);
		end(&c, text);
	}
	EQ(c.n, 0);
	end(&c, "192.0.2.1:1"); /* nothing is there, nothing happens */
	EQ(c.n, 0);
	checks_clear(&c);
}

TEST_MAIN
