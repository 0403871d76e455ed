/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "token/soft/soft.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 80, LENGTH = 48 };

static struct soft_fake fake;
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
	EQ(reject_choose(&fake, (struct slice){ em, SIZE }, out), LENGTH);
	EQ(out[0], 0x5a);

	for (int at = 0; at < 10; at++) {
		right_padding();
		em[at] = at == 0 ? 1 : at == 1 ? 3 : 0;
		EQ(reject_choose(&fake, (struct slice){ em, SIZE }, out), LENGTH);
		EQ(out[0], 0xee);
	}
	right_padding();
	em[SIZE - LENGTH - 1] = 1; /* no end of the padding */
	EQ(reject_choose(&fake, (struct slice){ em, SIZE }, out), LENGTH);
	EQ(out[0], 0xee);
}

TEST(the_shortest_padding_and_the_empty_message_are_right)
{
	right_padding();
	em[10] = 0;
	EQ(reject_choose(&fake, (struct slice){ em, SIZE }, out), SIZE - 11);
	right_padding();
	em[SIZE - LENGTH - 1] = 1;
	em[SIZE - 1] = 0;
	EQ(reject_choose(&fake, (struct slice){ em, SIZE }, out), 0);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void traced(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	reject_choose(&fake, (struct slice){ em, SIZE }, out);
	raise(SIGSTOP);
	_exit(0);
}

/* A number for the sequence of instructions between the stops; 0 if tracing is forbidden. */
static uint64_t path(void)
{
	struct user_regs_struct regs;
	uint64_t sum = 0;
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		traced();
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
	uint64_t right = path();
	if (!right)
		puts("# skipped: no tracing here");

	em[1] = 3;
	OK(path() == right);
	right_padding();
	memset(em, 0, SIZE);
	OK(path() == right);
	memset(em, 0xff, SIZE);
	OK(path() == right);
}
#endif

TEST_MAIN
