/* SPDX-License-Identifier: Apache-2.0 */
#include "store/driver.h"

static kf_err pgsql_open(
	const char *where, enum db_role role, uint64_t deadline_ns, struct db **ret)
{
	(void)where;
	(void)role;
	(void)deadline_ns;
	(void)ret;
	return kf_fail(FEATURE, "PostgreSQL is not built in");
}

const struct store_driver pgsql_driver = { .scheme = "postgresql:", .open = pgsql_open };
