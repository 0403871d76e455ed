/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "talk.h"

TEST(a_fault_that_is_none_is_refused)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	static const char *const bad[] = { "", "explode", "hang x", "garbage", "sw 9000",
		"sw xyz 1", "uses 256 1", "slow -1", "slow", "time rsa=1", "time ec",
		"time ec=x", "time ec=-1", "unplug 1", "garbage -1", "sw 9000 1 1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		OK(kf_is(vhsm_tell(v, bad[i]), KF_E_CONFIG));
}

TEST_MAIN
