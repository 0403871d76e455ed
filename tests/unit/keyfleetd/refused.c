/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/refused.h"
#include "../audit/keys.h"
#include "pool/inside.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 4096 };

static const struct token_pin one = { .n = 6, .bytes = "648219" };
static const struct token_pin two = { .n = 6, .bytes = "111111" };
static char directory[] = "/tmp/keyfleet-refused-XXXXXX";
static char seen[64], path[64];

static void remove_all(void)
{
	unlink(path);
	rmdir(directory);
}

/* A key server's life: pools that were told what was refused before. */
struct life {
	struct refused *refused;
	struct pools *pools;
	struct pool_refusal known[8];
	size_t n; /* that refused this PIN, as the file says */
};

static void begin(struct life *l, const struct token_pin *pin)
{
	if (!seen[0]) {
		OK(mkdtemp(directory) != NULL);
		snprintf(seen, sizeof(seen), "%s/seen", directory);
		snprintf(path, sizeof(path), "%s/pins-refused", directory);
		atexit(remove_all);
	}
	OK(kf_ok(refused_open(seen, keys(), &l->refused)));
	OK(kf_ok(pools_open(NULL, 0, &l->pools)));
	l->n = refused_of(l->refused, pin, l->known, 8);
	for (size_t i = 0; i < l->n; i++)
		refusal_note(
			&l->pools->refusals, l->known[i].serial, pin, l->known[i].asked);
}

static void end(struct life *l)
{
	refused_keep(l->refused, l->pools);
	pools_close(l->pools);
	refused_free(l->refused);
}

/* It leaves the PIN unanswered in a life of its own; or refuses it: asked 0. */
static void leave(const char *serial, const struct token_pin *pin, int asked)
{
	struct life l;
	begin(&l, pin);
	refusal_note(&l.pools->refusals, serial, pin, asked);
	end(&l);
}

static void refuse(const char *serial, const struct token_pin *pin)
{
	leave(serial, pin, 0);
}

static size_t count(const struct token_pin *pin)
{
	struct life l;
	begin(&l, pin);
	size_t n = l.n;
	end(&l);
	return n;
}

static size_t read_text(char text[TEXT_MAX])
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, TEXT_MAX, f) : 0;
	if (f)
		fclose(f);
	return n;
}

static void write_text(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");
	OK(f && fwrite(text, 1, n, f) == n);
	fclose(f);
}

static void fresh(void)
{
	if (path[0])
		unlink(path);
}

TEST(a_refusal_is_known_in_the_next_life)
{
	struct life l;
	fresh();
	refuse("DECC0100001", &one);

	begin(&l, &one);

	OK(l.n == 1 && !strcmp(l.known[0].serial, "DECC0100001"));
	end(&l);
	EQ(count(&two), 0);
}

TEST(what_was_not_answered_is_known_with_the_tries_that_were_left)
{
	struct life l;
	fresh();
	leave("T 1", &one, 10);
	refuse("T2", &one);

	begin(&l, &one);
	EQ(l.n, 2);
	OK(!strcmp(l.known[0].serial, "T 1") && !l.known[0].pin);
	EQ(l.known[0].asked, 10);
	EQ(l.known[1].asked, 0);
	OK(!refusal_is_known(&l.pools->refusals, "T 1", &one, 10));
	refusal_accepted(&l.pools->refusals, "T 1", &one);
	end(&l);

	EQ(count(&one), 1);
}

TEST(that_a_try_is_gone_is_known_for_ever)
{
	struct life l;
	fresh();
	leave("T1", &one, 3);

	begin(&l, &one);
	OK(refusal_is_known(&l.pools->refusals, "T1", &one, 2));
	end(&l);

	begin(&l, &one);
	EQ(l.known[0].asked, 0);
	OK(refusal_is_known(&l.pools->refusals, "T1", &one, 3)); /* given back */
	refusal_note(&l.pools->refusals, "T1", &one, 3);
	OK(refusal_is_known(&l.pools->refusals, "T1", &one, 3));
	end(&l);
}

TEST(a_line_with_other_tries_than_there_are_counts_for_nothing)
{
	static const char *const ends[] = { "/0", "/", "/256", "/-1", "/ 3", "/3x", "3" };
	char text[TEXT_MAX];
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		fresh();
		refuse("T1", &one);
		size_t n = read_text(text);
		n = n - 1 + (size_t)snprintf(text + n - 1, TEXT_MAX - n, "%s\n", ends[i]);
		write_text(text, n);
		EQ(count(&one), 0);
	}
}

TEST(serial_numbers_may_have_blanks)
{
	struct life l;
	fresh();
	refuse("a b  c ", &one);

	begin(&l, &one);

	OK(l.n == 1 && !strcmp(l.known[0].serial, "a b  c "));
	end(&l);
}

TEST(a_line_with_another_mac_counts_for_nothing)
{
	char text[TEXT_MAX];
	fresh();
	refuse("T1", &one);
	size_t n = read_text(text);
	OK(n > 3);

	text[n - 2] = text[n - 2] == '0' ? '1' : '0';
	write_text(text, n);

	EQ(count(&one), 0);
}

TEST(a_line_of_another_token_counts_for_nothing)
{
	char text[TEXT_MAX];
	fresh();
	refuse("T1", &one);
	size_t n = read_text(text);

	text[1] = '2';
	write_text(text, n);

	EQ(count(&one), 0);
}

TEST(a_pin_that_is_put_back_is_still_refused)
{
	fresh();
	refuse("T1", &one);

	EQ(count(&two), 0);
	EQ(count(&one), 1);

	refuse("T1", &two);
	EQ(count(&one), 1);
	EQ(count(&two), 1);
}

TEST(what_was_forgiven_is_forgotten_and_nothing_else)
{
	struct life l;
	fresh();
	refuse("T1", &one);
	refuse("T2", &one);
	refuse("T1", &two);

	begin(&l, &one);
	refusal_forget(&l.pools->refusals, "T1");
	end(&l);

	EQ(count(&one), 1);
	EQ(count(&two), 1);
}

TEST(a_file_without_lines_is_none)
{
	struct life l;
	fresh();
	refuse("T1", &one);

	begin(&l, &one);
	refusal_forget(&l.pools->refusals, "T1");
	end(&l);

	OK(access(path, F_OK) != 0);
}

TEST(what_could_not_be_written_is_written_as_soon_as_that_works)
{
	struct life l;
	char new_path[72];
	fresh();
	begin(&l, &one);
	snprintf(new_path, sizeof(new_path), "%s.new", path);
	OK(mkdir(new_path, 0700) == 0); /* in the way */
	refusal_note(&l.pools->refusals, "T1", &one, 3);
	refused_keep(l.refused, l.pools);
	OK(access(path, F_OK) != 0);

	OK(rmdir(new_path) == 0);
	refused_keep(l.refused, l.pools);

	OK(access(path, F_OK) == 0);
	end(&l);
	EQ(count(&one), 1);
}

TEST(the_oldest_makes_room_but_not_what_is_being_sent)
{
	char serial[TOKEN_SERIAL_SIZE];
	struct life l;
	fresh();
	begin(&l, &one);
	struct refusals *r = &l.pools->refusals;
	refusal_note(r, "sent just now", &one, 3);
	for (int i = 0; i < POOL_REFUSALS_MAX; i++) {
		snprintf(serial, sizeof(serial), "T%d", i);
		refusal_note(r, serial, &one, 0);
	}

	EQ(pools_refusals(l.pools, NULL, 0), POOL_REFUSALS_MAX);
	OK(!refusal_is_known(r, "T0", &one, 3));
	OK(refusal_is_known(r, "T1", &one, 3) && refusal_is_known(r, serial, &one, 3));
	OK(refusal_is_known(r, "sent just now", &one, 2));
	end(&l);
	EQ(count(&one), 8); /* as many as this test asks for */
}

/* Lines that are whole count, and what is cut is nobody's. */
TEST(a_file_that_is_cut_anywhere_loses_its_end_only)
{
	char text[TEXT_MAX];
	fresh();
	refuse("first", &one);
	refuse("second one", &one);
	const size_t n = read_text(text);
	const size_t first = (size_t)((char *)memchr(text, '\n', n) - text);

	for (size_t cut = 0; cut <= n; cut++) {
		write_text(text, cut);
		EQ(count(&one), (size_t)(cut >= first) + (cut >= n - 1));
	}
}

TEST_MAIN
