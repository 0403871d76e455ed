/* SPDX-License-Identifier: Apache-2.0 */
#include "store/driver.h"
#include <string.h>

static const struct store_driver *const drivers[] = { &sqlite_driver, &memory_driver,
	&pgsql_driver };

kf_err driver_find(
	const char *location, const struct store_driver **ret, const char **ret_where)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		size_t n = strlen(drivers[i]->scheme);
		if (strncmp(location, drivers[i]->scheme, n) == 0) {
			*ret = drivers[i];
			*ret_where = location + n;
			return KF_OK;
		}
	}
	return kf_fail(
		CONFIG, "store location is neither sqlite:PATH nor postgresql:CONNINFO");
}
