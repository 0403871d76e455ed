/* SPDX-License-Identifier: Apache-2.0
 *
 * What a monitoring plug-in reads of whoever listens at an endpoint's address.
 */
#include "cli/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	autobuf page = buf_new(1 << 20);
	buf_add(&page, p, n);
	if (!kf_ok(page_cut_head(&page)))
		return 0;
	volatile double sum = page_value(&page, "keyfleet_up");
	sum = page_value(&page, "a{b=\"c\"}");
	sum = page_sum(&page, "keyfleet_requests_total{operation=\"Sign\",");
	sum = page_sum(&page, "");
	(void)sum;
	return 0;
}
