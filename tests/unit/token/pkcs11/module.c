/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pkcs11/module.h"
#include "bad.h"
#include "base/clock.h"
#include "test.h"
#include "token/text.h"
#include <poll.h>
#include <pthread.h>

TEST(what_is_no_module_is_refused)
{
	struct token_source *s;
	struct token_source_conf conf = { .module = NULL };
	OK(kf_is(DRIVER->open_source(&conf, &s), KF_E_CONFIG));
	conf.module = "opensc-pkcs11.so";
	OK(kf_is(DRIVER->open_source(&conf, &s), KF_E_CONFIG));
	conf.module = "/no/such/module.so";
	OK(kf_is(DRIVER->open_source(&conf, &s), KF_E_CONFIG));
	bad_load();
	setenv("BAD_PKCS11_NO_LIST", "1", 1);
	OK(kf_is(bad_source(&s), KF_E_CONFIG));
	unsetenv("BAD_PKCS11_NO_LIST");
}

TEST(a_module_that_does_not_start_is_refused)
{
	struct token_source *s;
	bad_load();
	faults->reset();
	faults->answer("Initialize", CKR_FUNCTION_FAILED);
	OK(kf_is(bad_source(&s), KF_E_CONFIG));
}

TEST(two_sources_initialise_a_module_once_and_the_last_finalises_it)
{
	struct token_source *a, *b;
	bad_load();
	faults->reset();

	OK(kf_ok(bad_source(&a)) && kf_ok(bad_source(&b)));
	EQ(faults->calls("Initialize"), 1);
	OK(*faults->initialise_flags & CKF_OS_LOCKING_OK);
	DRIVER->close_source(a);
	EQ(faults->calls("Finalize"), 0);
	DRIVER->close_source(b);
	EQ(faults->calls("Finalize"), 1);
}

TEST(a_module_that_somebody_else_initialised_is_left_to_them)
{
	struct token_source *s;
	bad_load();
	faults->reset();
	faults->answer("Initialize", CKR_CRYPTOKI_ALREADY_INITIALIZED);
	OK(kf_ok(bad_source(&s)));
	DRIVER->close_source(s);
	EQ(faults->calls("Finalize"), 0);
}

TEST(a_token_has_one_user_in_a_process)
{
	CLEANUP(bad_close_source) struct token_source *a = NULL, *b = NULL;
	CLEANUP(bad_close_token) struct token *t = NULL;
	struct token *other;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&a)) && kf_ok(bad_source(&b)));

	OK(kf_ok(bad_open(a, &t)));
	OK(kf_is(bad_open(b, &other), KF_E_DENIED));
	DRIVER->close(t);
	t = NULL;
	OK(kf_ok(bad_open(b, &t)));
}

TEST(a_place_of_an_earlier_insertion_cannot_be_opened)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	struct token_places *before = calloc(1, sizeof(*before)),
			    *after = calloc(1, sizeof(*after));
	struct token *t;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)));

	OK(kf_ok(DRIVER->watch(s, 0, before)));
	faults->plug(0);
	faults->plug(1); /* between two looks: the event alone tells */
	DRIVER->wake(s);
	OK(kf_ok(DRIVER->watch(s, 10000, after)));
	EQ(before->n, 1);
	EQ(after->n, 1);
	OK(!strcmp(before->place[0].name, after->place[0].name));
	OK(before->place[0].insertion != after->place[0].insertion);
	OK(kf_is(DRIVER->open(s, &before->place[0], &t), KF_E_CLOSED));
	free(before);
	free(after);
}

TEST(a_token_that_hangs_keeps_nobody_from_it_once_it_was_pulled)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	CLEANUP(bad_close_token) struct token *new = NULL;
	struct token *old = NULL;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)) && kf_ok(bad_open(s, &old)) &&
		kf_ok(bad_login(old, "1234")));

	faults->plug(0);
	faults->plug(1);
	DRIVER->wake(s);
	OK(kf_ok(bad_open(s, &new)) && kf_ok(bad_login(new, "1234")));
	DRIVER->close(old); /* its session's number is the new one's now */
	EQ(faults->calls("Logout"), 0);
	EQ(faults->calls("CloseSession"), 0);
	OK(kf_ok(DRIVER->probe(new)));
}

TEST(a_watch_ends_when_a_token_goes_or_comes)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	struct token_places *places = calloc(1, sizeof(*places));
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)) && kf_ok(DRIVER->watch(s, 0, places)));
	uint64_t start = clock_monotonic_ns();

	faults->plug(0);
	OK(kf_ok(DRIVER->watch(s, 60 * 1000, places)));
	EQ(places->n, 0);
	OK(clock_monotonic_ns() - start < UINT64_C(30000000000));
	free(places);
}

static void *wake_soon(void *source)
{
	DRIVER->wake(source);
	return NULL;
}

TEST(a_watch_ends_when_it_is_woken)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	struct token_places *places = calloc(1, sizeof(*places));
	pthread_t thread;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)));

	OK(kf_ok(DRIVER->watch(s, 0, places)));
	pthread_create(&thread, NULL, wake_soon, s);
	OK(kf_ok(DRIVER->watch(s, 3600 * 1000, places)));
	pthread_join(thread, NULL);
	EQ(places->n, 1);
	free(places);
}

TEST(a_module_that_was_finalised_by_others_is_initialised_again)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	struct token_places *places = calloc(1, sizeof(*places));
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)));

	faults->answer("GetSlotList", CKR_CRYPTOKI_NOT_INITIALIZED);
	OK(kf_ok(DRIVER->watch(s, 0, places)));
	EQ(places->n, 0);
	EQ(faults->calls("Initialize"), 2);
	faults->answer("GetSlotList", CKR_OK);
	OK(kf_ok(DRIVER->watch(s, 0, places)));
	EQ(places->n, 1);
	free(places);
}

/* ---- threads ---- */

struct worker {
	struct token_source *source;
	pthread_t thread;
	bool is_good;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct token_places *places = calloc(1, sizeof(*places));
	w->is_good = true;
	for (int i = 0; i < 50; i++) {
		struct token *t = NULL;
		DRIVER->wake(w->source);
		w->is_good &= kf_ok(DRIVER->watch(w->source, 0, places));
		kf_err err = DRIVER->open(w->source, &places->place[0], &t);
		w->is_good &= kf_ok(err) || kf_is(err, KF_E_DENIED);
		if (kf_ok(err))
			w->is_good &= kf_ok(DRIVER->probe(t));
		DRIVER->close(t);
	}
	free(places);
	return NULL;
}

static bool work_by_many(void)
{
	struct worker w[4] = { 0 };
	bool is_good = true;
	for (int i = 0; i < 4; i++)
		is_good &= kf_ok(bad_source(&w[i].source));
	for (int i = 0; i < 4; i++)
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
	for (int i = 0; i < 4; i++) {
		is_good &= w[i].is_good;
		DRIVER->close_source(w[i].source);
	}
	return is_good;
}

TEST(many_threads_use_a_module_that_locks)
{
	bad_load();
	faults->reset();
	OK(work_by_many());
}

TEST(a_module_without_locks_is_called_by_one_thread_at_a_time)
{
	bad_load();
	faults->reset();
	*faults->has_locks = 0;
	OK(work_by_many());
	EQ(*faults->initialise_flags, 0);
	EQ(faults->overlaps(), 0);
}

static void *hang_in_probe(void *token)
{
	kf_err err = DRIVER->probe(token);
	return kf_ok(err) ? token : NULL;
}

TEST(a_token_that_hangs_leaves_the_watcher_alone)
{
	CLEANUP(bad_close_source) struct token_source *s = NULL;
	CLEANUP(bad_close_token) struct token *t = NULL;
	struct token_places *places = calloc(1, sizeof(*places));
	pthread_t thread;
	void *result;
	bad_load();
	faults->reset();
	OK(kf_ok(bad_source(&s)) && kf_ok(bad_open(s, &t)));

	unsigned before = faults->calls("GetSessionInfo");
	faults->hang("GetSessionInfo");
	pthread_create(&thread, NULL, hang_in_probe, t);
	while (faults->calls("GetSessionInfo") == before)
		poll(NULL, 0, 1);
	OK(kf_ok(DRIVER->watch(s, 0, places)));
	EQ(places->n, 1);
	faults->release();
	pthread_join(thread, &result);
	OK(result == t);
	free(places);
}

/* ---- texts ---- */

static bool text_is(const char *field, size_t n, const char *want)
{
	char text[16];
	text_of_field((const uint8_t *)field, n, text, sizeof(text));
	return !strcmp(text, want);
}

TEST(fields_of_a_module_become_texts)
{
	OK(text_is("label   ", 8, "label"));
	OK(text_is("label\0xx", 8, "label"));
	OK(text_is("", 0, "") && text_is("    ", 4, ""));
	OK(text_is("0123456789abcdefghij", 20, "0123456789abcde"));
	OK(text_is("a\nb\x7f"
		   "c\x1b",
		6, "a?b?c?"));
	OK(text_is("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"));
	OK(text_is("gr\xc3", 3, "gr?") && text_is("\xc0\xaf", 2, "??"));
	OK(text_is("\xed\xa0\x80", 3, "???") && text_is("\xf4\x90\x80\x80", 4, "????"));
	OK(text_is(
		"0123456789abcd\xc3\xbc", 16, "0123456789abcd")); /* never half of one */
}

TEST_MAIN
