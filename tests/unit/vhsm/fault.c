/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "talk.h"
#include <pthread.h>
#include <sched.h>

#define CHALLENGE "0084000008"

TEST(a_fault_that_is_none_is_refused)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	static const char *const bad[] = { "", "explode", "hang 1", "garbage", "sw 9000",
		"sw xyz 1", "uses 256 1", "slow -1", "slow", "time rsa=1", "time ec",
		"time ec=x", "time ec=-1", "unplug 1", "garbage -1", "sw 9000 1 1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		OK(kf_is(vhsm_tell(v, bad[i]), KF_E_CONFIG));
}

TEST(a_pulled_card_is_gone_and_comes_back_without_its_login)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	OK(kf_ok(vhsm_tell(v, "unplug")) && !vhsm_presence(v).is_in);
	OK(kf_is(vhsm_transmit(v, SLICE_LIT("\x00\x84\x00\x00\x08"), &a), KF_E_CLOSED));
	OK(kf_is(vhsm_reset(v), KF_E_CLOSED));
	OK(kf_ok(vhsm_tell(v, "replug")) && vhsm_presence(v).is_in);
	EQ(say(v, &a, "00200081"), 0x63c3);
}

TEST(answers_are_spoiled_as_often_as_told)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	OK(kf_ok(vhsm_tell(v, "sw 6f00 2")));
	EQ(say(v, &a, CHALLENGE), 0x6f00);
	EQ(say(v, &a, CHALLENGE), 0x6f00);
	EQ(say(v, &a, CHALLENGE), 0x9000);
	OK(kf_ok(vhsm_tell(v, "short 1")));
	OK(kf_ok(vhsm_transmit(v, SLICE_LIT("\x00\x84\x00\x00\x08"), &a)));
	EQ(a.n, 5);
	EQ(say(v, &a, CHALLENGE), 0x9000);
	EQ(a.n, 8);
	OK(kf_ok(vhsm_tell(v, "garbage 1")));
	say(v, &a, "00200081"); /* anything may come back */
	EQ(say(v, &a, "00200081"), 0x9000);
	EQ(vhsm_counts(v).faults, 4);
}

TEST(a_wrong_answer_is_wrong_in_one_bit)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX), b = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, GENERATE_RSA, 1, 1024), 0x9000);
	EQ(say(v, &a, "806801300301020300"), 0x9000);
	OK(kf_ok(vhsm_tell(v, "wrong 1")));
	EQ(say(v, &b, CHALLENGE), 0x9000); /* is nothing that could be wrong */
	EQ(say(v, &b, "806801300301020300"), 0x9000);
	size_t differ = 0;
	for (size_t i = 0; i < a.n; i++)
		differ += (size_t)__builtin_popcount(a.p[i] ^ b.p[i]);
	EQ(differ, 1);
}

TEST(a_use_counter_runs_out_and_a_pin_is_blocked)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	EQ(say(v, &a, GENERATE_RSA, 1, 1024), 0x9000);
	OK(kf_ok(vhsm_tell(v, "uses 1 1")));
	EQ(say(v, &a, "806801300301020300"), 0x9000);
	EQ(say(v, &a, "806801300301020300"), 0x6984);
	OK(kf_ok(vhsm_tell(v, "pin-blocked")));
	EQ(say(v, &a, "806801300301020300"), 0x6982);
	EQ(say(v, &a, "0020008106" USER), 0x6983);
}

TEST(operations_take_as_long_as_told)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	OK(kf_ok(vhsm_tell(v, "time other=20")));
	uint64_t began = clock_monotonic_ns();
	EQ(say(v, &a, CHALLENGE), 0x9000);
	OK(clock_monotonic_ns() - began >= 20000000);
	OK(kf_ok(vhsm_tell(v, "slow 2")));
	began = clock_monotonic_ns();
	EQ(say(v, &a, CHALLENGE), 0x9000);
	OK(clock_monotonic_ns() - began >= 40000000);
}

static void *work(void *arg)
{
	struct vhsm *v = arg;
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	return kf_ok(vhsm_transmit(v, SLICE_LIT("\x00\x84\x00\x00\x08"), &a)) ? NULL : v;
}

/* Whatever the order of the two threads: the command is lost, at once or when it hangs. */
static bool is_lost(const char *first, const char *then)
{
	pthread_t thread;
	void *lost;
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	uint64_t before = vhsm_counts(v).commands;
	if (!kf_ok(vhsm_tell(v, first)) || pthread_create(&thread, NULL, work, v))
		return false;
	while (vhsm_counts(v).commands == before)
		sched_yield();
	if (!kf_ok(vhsm_tell(v, then)))
		return false;
	pthread_join(thread, &lost);
	return lost == v;
}

TEST(a_command_at_work_is_lost_with_the_card)
{
	OK(is_lost("hang", "unplug"));
	OK(is_lost("time other=60000", "unplug"));
}

TEST(a_pull_is_told_to_who_waits_for_it)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	struct vhsm_presence was = vhsm_presence(v);
	OK(was.is_in);
	OK(kf_ok(vhsm_tell(v, "unplug")));
	OK(!vhsm_wait_presence(v, was, 60000).is_in);
	OK(kf_ok(vhsm_tell(v, "replug")));
	OK(vhsm_wait_presence(v, was, 60000).is_in); /* it is another presence */
}

TEST(a_command_longer_than_the_card_takes_is_refused)
{
	autobuf a = buf_new(VHSM_ANSWER_MAX);
	CLEANUP(vhsm_freep) struct vhsm *v = new_card(&a);
	OK(kf_ok(vhsm_tell(v, "apdu-max 13")));
	EQ(say(v, &a, "0020008106" USER), 0x9000);
	EQ(say(v, &a, "00D72F030C54020000530630313233343536"), 0x6700);
	OK(kf_ok(vhsm_tell(v, "apdu-max 0")));
	EQ(say(v, &a, "00D72F030C54020000530630313233343536"), 0x9000);
}

TEST_MAIN
