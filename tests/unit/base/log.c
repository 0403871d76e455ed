/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/clock.h"
#include "base/mem.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* What was logged since the last call. */
static char text[16384];
static int pipe_fd[2] = { -1, -1 };

static const char *logged(void)
{
	ssize_t n = read(pipe_fd[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static void start(void)
{
	unsetenv("JOURNAL_STREAM");
	if (pipe_fd[0] < 0 && pipe2(pipe_fd, O_NONBLOCK) == 0)
		log_set_fd(pipe_fd[1]);
	log_set_level(LOG_LEVEL_INFO);
	logged();
}

TEST(an_event_is_one_line_of_fields)
{
	start();
	log_info("client connected", LOG_TEXT("peer", "192.0.2.1:4711"),
		LOG_NUM("loop", 3), LOG_HEX("id", SLICE_LIT("\1\xff")));
	OK(strcmp(logged(),
		   "level=info event=\"client connected\" peer=192.0.2.1:4711 loop=3 "
		   "id=01ff\n") == 0);
}

TEST(what_is_below_the_level_costs_nothing)
{
	start();
	log_debug("not seen");
	OK(*logged() == 0);
}

TEST(text_of_a_peer_cannot_forge_a_line)
{
	start();
	log_warn("bad name", LOG_SLICE("name", SLICE_LIT("a\" level=error\n\x1b[2J\\")));
	OK(strcmp(logged(), "level=warning event=\"bad name\" name=\"a\\\" "
			    "level=error\\x0a\\x1b[2J"
			    "\\\\\"\n") == 0);
}

TEST(long_text_is_cut)
{
	start();
	char big[5000];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	log_warn("big", LOG_TEXT("a", big));
	OK(strlen(logged()) < 320);
	OK(strstr(text, "xxx...\"\n") != NULL);
	log_warn("biggest", LOG_TEXT("a", big), LOG_TEXT("b", big), LOG_TEXT("c", big),
		LOG_TEXT("d", big), LOG_TEXT("e", big), LOG_TEXT("f", big),
		LOG_TEXT("g", big), LOG_TEXT("h", big), LOG_TEXT("i", big));
	OK(strlen(logged()) < 2100);
	OK(text[strlen(text) - 1] == '\n');
}

TEST(an_error_says_what_why_and_where)
{
	start();
	kf_err e = kf_fail(IO, "disk is gone");
	log_err(e, "write failed", LOG_TEXT("file", "/tmp/x"));
	OK(strstr(logged(), "err=\"input or output failed\" why=\"disk is gone\" at="));
	OK(strstr(text, "file=/tmp/x"));
	errno = ENOENT;
	log_warn("open", LOG_ERRNO);
	OK(strstr(logged(), "errno=\"No such file or directory\""));
}

static size_t count_lines(void)
{
	size_t lines = 0;
	for (const char *c = logged(); *c; c++)
		lines += *c == '\n';
	return lines;
}

static void storm(int n)
{
	for (int i = 0; i < n; i++)
		log_warn("storm");
}

TEST(one_site_cannot_flood_the_log)
{
	enum { LINES = 500, AT_ONCE = 20, SECOND = 1000000000 };
	start();
	storm(LINES);
	size_t lines = count_lines();
	OK(lines >= AT_ONCE &&
		lines < 2 * AT_ONCE); /* a slow machine takes seconds for this */

	clock_turn(SECOND, 0);
	storm(LINES);
	OK(strstr(logged(), "left_out=4"));
	clock_turn(-SECOND, 0);
}

static size_t storm_of_an_hour(void)
{
	size_t lines = 0;
	for (int s = 0; s < 3600; s++) {
		clock_turn(1000000000, 0);
		storm(30);
		lines += count_lines();
	}
	clock_turn(-3600000000000, 0);
	return lines;
}

TEST(a_flood_of_an_hour_leaves_a_line_a_second)
{
	start();
	size_t lines = storm_of_an_hour();
	OK(lines >= 3500 && lines <= 3600 + 60);
}

TEST(the_journal_gets_the_level_as_a_prefix)
{
	start();
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_error("x");
	unsetenv("JOURNAL_STREAM");
	OK(strncmp(logged(), "<3>level=error event=x\n", 23) == 0);
}
TEST_MAIN
