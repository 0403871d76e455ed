/* SPDX-License-Identifier: Apache-2.0 */
#include "token/unpad.h"
#include "test.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 80, LENGTH = 48 };

static struct unpad_fake fake;
static uint8_t em[SIZE], out[SIZE];

static void right_padding(void)
{
	memset(em, 0x5a, SIZE);
	em[0] = 0;
	em[1] = 2;
	em[SIZE - LENGTH - 1] = 0;
	memset(fake.message, 0xee, SIZE);
	fake.n = LENGTH;
}

TEST(right_padding_gives_the_message_and_each_wrong_one_the_fake)
{
	right_padding();
	EQ(unpad_choose(&fake, (struct slice){ em, SIZE }, out), LENGTH);
	EQ(out[0], 0x5a);

	for (int at = 0; at < 10; at++) {
		right_padding();
		em[at] = at == 0 ? 1 : at == 1 ? 3 : 0;
		EQ(unpad_choose(&fake, (struct slice){ em, SIZE }, out), LENGTH);
		EQ(out[0], 0xee);
	}
	right_padding();
	em[SIZE - LENGTH - 1] = 1; /* no end of the padding */
	EQ(unpad_choose(&fake, (struct slice){ em, SIZE }, out), LENGTH);
	EQ(out[0], 0xee);
}

TEST(the_shortest_padding_and_the_empty_message_are_right)
{
	right_padding();
	em[10] = 0;
	EQ(unpad_choose(&fake, (struct slice){ em, SIZE }, out), SIZE - 11);
	right_padding();
	em[SIZE - LENGTH - 1] = 1;
	em[SIZE - 1] = 0;
	EQ(unpad_choose(&fake, (struct slice){ em, SIZE }, out), 0);
}

static struct decrypt_job job;

static void premaster(void) { unpad_choose_premaster(&job, (struct slice){ em, SIZE }); }

static void right_premaster(void)
{
	right_padding();
	em[SIZE - 48] = 3;
	em[SIZE - 47] = 3;
	job = (struct decrypt_job){ .client_version = 0x0303, .n = SIZE };
	memset(job.plain, 0xee, 48);
}

TEST(a_premaster_secret_is_taken_only_if_all_of_it_is_right)
{
	right_premaster();
	premaster();
	OK(!memcmp(job.plain, em + SIZE - 48, 48));

	for (int at = 0; at < SIZE - 46; at++) {
		right_premaster();
		em[at] = at == 0 || at == SIZE - 49 ? 1 : at < 2 ? 3 : 0;
		premaster();
		EQ(job.plain[47], 0xee);
	}
	right_premaster();
	em[SIZE - 47] = 2; /* the agreed version: an old client's mistake */
	job.negotiated_version = 0x0302;
	premaster();
	EQ(job.plain[47], 0x5a);
	memset(em + SIZE - 48, 0, 2); /* none was agreed */
	job.negotiated_version = 0;
	memset(job.plain, 0xee, 48);
	premaster();
	EQ(job.plain[47], 0xee);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void pkcs1(void) { unpad_choose(&fake, (struct slice){ em, SIZE }, out); }

static void traced(void (*run)(void))
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	run();
	raise(SIGSTOP);
	_exit(0);
}

/* A number for the sequence of instructions between the stops; 0 if tracing is forbidden. */
static uint64_t path(void (*run)(void))
{
	struct user_regs_struct regs;
	uint64_t sum = 0;
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		traced(run);
	waitpid(pid, &status, 0);
	while (WIFSTOPPED(status) && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 &&
		waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
		WSTOPSIG(status) == SIGTRAP &&
		ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0)
		sum = (sum ^ regs.rip) * 0x100000001b3u;
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return sum;
}

TEST(every_padding_takes_the_same_instructions)
{
	right_padding();
	uint64_t right = path(pkcs1);
	if (!right)
		puts("# skipped: no tracing here");

	em[1] = 3;
	OK(path(pkcs1) == right);
	right_padding();
	memset(em, 0, SIZE);
	OK(path(pkcs1) == right);
	memset(em, 0xff, SIZE);
	OK(path(pkcs1) == right);
}

TEST(every_premaster_secret_takes_the_same_instructions)
{
	right_premaster();
	uint64_t right = path(premaster);

	em[SIZE - 47] ^= 1;
	OK(path(premaster) == right);
	memset(em, 0, SIZE);
	OK(path(premaster) == right);
	memset(em, 0xff, SIZE);
	OK(path(premaster) == right);
}
#endif

TEST_MAIN
