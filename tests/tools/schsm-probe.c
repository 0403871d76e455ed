/* SPDX-License-Identifier: Apache-2.0
 *
 * schsm-probe [SOCKET...]: the SmartCard-HSM driver by hand, for scenario tests.  Source 0 is the system's
 * pcscd, or the first SOCKET's, and so on.  One command a line on standard input, one answer a line: "ok ..."
 * or "CODE text".
 *
 *     watch SOURCE MS | wake SOURCE         what is plugged in: ok NAME#INSERTION|...
 *     open SOURCE READER                    ok TOKEN SERIAL TRIES
 *     close TOKEN | facts TOKEN | probe TOKEN | login TOKEN PIN | list TOKEN | keys TOKEN
 *     init TOKEN SO-PIN PIN SHARES LABEL | share TOKEN BYTE
 *     generate TOKEN ALGORITHM LABEL | delete TOKEN HANDLE
 *     wrap TOKEN HANDLE | unwrap TOKEN      what was wrapped last
 *     sign TOKEN HANDLE [COUNT]             verified; ok MEDIAN LEAST of one, in ns
 *     begin COMMAND... | end                the command in a thread of its own; waits for it, its answer
 *     interrupt TOKEN                       while begin's command is at work
 */
#include "base/clock.h"
#include "base/mem.h"
#include "crypt/pubkey.h"
#include "token/driver.h"
#include <openssl/rand.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 8, TOKENS = 64, WORDS = 8, LINE_SIZE = 65536, COUNT_MAX = 100000 };

static const char *const codes[] = {
#define X(code, text) #code,
#include "base/err.def"
#undef X
};

struct held {
	struct token *token;
	struct token_key_list keys;
};

static struct token_source *sources[SOURCES];
static struct held held[TOKENS];
static size_t held_n;
static struct token_blob blob;

struct call {
	size_t n;
	char *word[WORDS];
	char answer[LINE_SIZE];
	char line[LINE_SIZE];
};

static void answer(struct call *c, kf_err e, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void answer(struct call *c, kf_err e, const char *format, ...)
{
	va_list ap;
	if (!kf_ok(e)) {
		snprintf(c->answer, sizeof(c->answer), "%s %s", codes[e.code],
			e.site->text);
		return;
	}
	size_t n = (size_t)snprintf(c->answer, sizeof(c->answer), "ok ");
	va_start(ap, format);
	vsnprintf(c->answer + n, sizeof(c->answer) - n, format, ap);
	va_end(ap);
}

static unsigned long number(const struct call *c, size_t i)
{
	return i < c->n ? strtoul(c->word[i], NULL, 10) : 0;
}

static struct held *token_of(const struct call *c, size_t i)
{
	unsigned long n = number(c, i);
	if (i >= c->n || n >= held_n || !held[n].token)
		abort(); /* the scenario is wrong */
	return &held[n];
}

static struct token_pin pin_of(const char *text)
{
	struct token_pin p = { .n = strlen(text) };
	if (p.n > sizeof(p.bytes))
		abort();
	memcpy(p.bytes, text, p.n);
	return p;
}

/* ---- sources ---- */

static void do_watch(struct call *c)
{
	static struct token_places places;
	char text[LINE_SIZE - 16] = "";
	kf_err e = schsm_driver.watch(
		sources[number(c, 1)], (unsigned)number(c, 2), &places);
	for (size_t i = 0, n = 0; kf_ok(e) && i < places.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s#%llu",
			i ? "|" : "", places.place[i].name,
			(unsigned long long)places.place[i].insertion);
	answer(c, e, "%s", text);
}

static void do_wake(struct call *c)
{
	schsm_driver.wake(sources[number(c, 1)]);
	answer(c, KF_OK, "woken");
}

static void do_open(struct call *c)
{
	struct token_place place = { 0 };
	struct token *t = NULL;
	snprintf(place.name, sizeof(place.name), "%s", c->word[2]);
	kf_err e = schsm_driver.open(sources[number(c, 1)], &place, &t);
	if (kf_ok(e) && held_n < TOKENS)
		held[held_n++].token = t;
	const struct token_facts *f = kf_ok(e) ? schsm_driver.facts(t) : NULL;
	answer(c, e, "%zu %s %d", held_n - 1, f ? f->serial : "", f ? f->pin_tries : 0);
}

static void do_close(struct call *c)
{
	struct held *h = token_of(c, 1);
	schsm_driver.close(h->token);
	token_key_list_free(&h->keys);
	h->token = NULL;
	answer(c, KF_OK, "closed");
}

/* ---- tokens ---- */

static void do_facts(struct call *c)
{
	const struct token_facts *f = schsm_driver.facts(token_of(c, 1)->token);
	answer(c, KF_OK, "%s label=%s tries=%d so=%d shares=%u missing=%u kcv=%d",
		f->serial, f->label, f->pin_tries, f->so_pin_tries, f->shares,
		f->shares_missing, f->has_kcv);
}

static void do_probe(struct call *c)
{
	answer(c, schsm_driver.probe(token_of(c, 1)->token), "well");
}

static void do_login(struct call *c)
{
	struct held *h = token_of(c, 1);
	struct token_pin pin = pin_of(c->word[2]);
	kf_err e = schsm_driver.login(h->token, &pin);
	answer(c, e, "%d", schsm_driver.facts(h->token)->pin_tries);
}

/* HANDLE:ALGORITHM:LABEL:PROBLEM, one after another. */
static void do_list(struct call *c)
{
	struct held *h = token_of(c, 1);
	char text[LINE_SIZE - 16] = "";
	kf_err e = schsm_driver.list_keys(h->token, &h->keys);
	for (size_t i = 0, n = 0; kf_ok(e) && i < h->keys.n; i++) {
		const struct token_key_facts *f = &h->keys.key[i];
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u:%s:%s:%s",
			i ? "|" : "", f->handle, f->alg ? f->alg->name : "none", f->label,
			f->problem ? f->problem : "");
	}
	answer(c, e, "%s", text);
}

static void do_init(struct call *c)
{
	struct token_pin so = pin_of(c->word[2]), pin = pin_of(c->word[3]);
	kf_err e = schsm_driver.initialise(
		token_of(c, 1)->token, &(struct token_init){ .so_pin = &so,
					       .pin = &pin,
					       .shares = atoi(c->word[4]),
					       .label = c->word[5] });
	answer(c, e, "initialised");
}

static void do_share(struct call *c)
{
	uint8_t share[32];
	memset(share, (int)number(c, 2), sizeof(share));
	answer(c, schsm_driver.import_share(token_of(c, 1)->token, share), "imported");
}

static void do_generate(struct call *c)
{
	struct token_key_facts f = { 0 };
	kf_err e = schsm_driver.generate(token_of(c, 1)->token,
		&(struct token_new_key){ .alg = alg_by_name(slice_of(c->word[2])),
			.label = c->word[3],
			.may_decrypt = true,
			.may_leave = true },
		&f);
	answer(c, e, "%u", f.handle);
	if (kf_ok(e))
		token_key_facts_free(&f);
}

static void do_delete(struct call *c)
{
	answer(c, schsm_driver.delete_key(token_of(c, 1)->token, (unsigned)number(c, 2)),
		"deleted");
}

static void do_wrap(struct call *c)
{
	token_blob_free(&blob);
	kf_err e =
		schsm_driver.wrap(token_of(c, 1)->token, (unsigned)number(c, 2), &blob);
	answer(c, e, "%zu", blob.wrapped.n);
}

static void do_unwrap(struct call *c)
{
	struct token_key_facts f = { 0 };
	kf_err e = schsm_driver.unwrap(token_of(c, 1)->token, &blob, &f);
	answer(c, e, "%u", f.handle);
	if (kf_ok(e))
		token_key_facts_free(&f);
}

/* ---- signatures ---- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static kf_err sign_once(struct token *t, const struct token_key_facts *f,
	const struct pubkey *k, uint64_t *ns)
{
	bool is_rsa = f->alg->family == FAMILY_RSA;
	struct sign_job job = { .mech = mech_get(
					is_rsa ? MECH_RSA_PSS_SHA256 : MECH_ECDSA_SHA256),
		.salt = SALT_AS_DIGEST,
		.is_digest = true,
		.n = 32 };
	RAND_bytes(job.data, 32);
	uint64_t before = clock_monotonic_ns();
	KF_TRY(schsm_driver.sign(t, f->handle, &job));
	*ns = clock_monotonic_ns() - before;
	return pubkey_verify(k, &(struct signature){ .mech = job.mech,
					.salt = job.salt,
					.is_digest = true,
					.data = { job.data, 32 },
					.sig = { job.sig, job.sig_n } });
}

static kf_err sign_all(struct held *h, unsigned handle, size_t count, uint64_t ret[2])
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	CLEANUP(mem_freep) uint64_t *ns = calloc(count, sizeof(*ns));
	for (size_t i = 0; i < h->keys.n; i++) {
		const struct token_key_facts *f = &h->keys.key[i];
		if (f->handle != handle || !f->alg)
			continue;
		KF_TRY(pubkey_parse(buf_slice(&f->spki), &k));
		for (size_t m = 0; m < count; m++)
			KF_TRY(sign_once(h->token, f, k, &ns[m]));
		qsort(ns, count, sizeof(*ns), by_value);
		ret[0] = ns[count / 2];
		ret[1] = ns[0];
		return KF_OK;
	}
	return kf_fail(NOT_FOUND, "it was not listed");
}

static void do_sign(struct call *c)
{
	uint64_t ns[2] = { 0 };
	size_t count = number(c, 3) ? number(c, 3) : 1;
	kf_err e = sign_all(token_of(c, 1), (unsigned)number(c, 2),
		count < COUNT_MAX ? count : COUNT_MAX, ns);
	answer(c, e, "%llu %llu", (unsigned long long)ns[0], (unsigned long long)ns[1]);
}

static void do_interrupt(struct call *c)
{
	schsm_driver.interrupt(token_of(c, 1)->token);
	answer(c, KF_OK, "interrupted");
}

/* ---- lines ---- */

static void run(struct call *c)
{
	static const struct {
		const char *name;
		size_t words;
		void (*run)(struct call *c);
	} commands[] = { { "watch", 3, do_watch }, { "wake", 2, do_wake },
		{ "open", 3, do_open }, { "close", 2, do_close },
		{ "facts", 2, do_facts }, { "probe", 2, do_probe },
		{ "login", 3, do_login }, { "list", 2, do_list }, { "init", 6, do_init },
		{ "share", 3, do_share }, { "generate", 4, do_generate },
		{ "delete", 3, do_delete }, { "wrap", 3, do_wrap },
		{ "unwrap", 2, do_unwrap }, { "sign", 3, do_sign },
		{ "interrupt", 2, do_interrupt } };
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (c->n >= commands[i].words && !strcmp(c->word[0], commands[i].name)) {
			commands[i].run(c);
			return;
		}
	snprintf(c->answer, sizeof(c->answer), "USAGE no such command");
}

/* Words are parted by tabs: readers have blanks in their names. */
static void split(struct call *c, const char *line)
{
	snprintf(c->line, sizeof(c->line), "%s", line);
	c->n = 0;
	for (char *at = strtok(c->line, "\t\n"); at && c->n < WORDS;
		at = strtok(NULL, "\t\n"))
		c->word[c->n++] = at;
}

static void *run_thread(void *arg)
{
	run(arg);
	return NULL;
}

static void serve(void)
{
	static struct call now, later;
	static char line[LINE_SIZE];
	pthread_t thread;
	while (fgets(line, sizeof(line), stdin)) {
		bool begins = !strncmp(line, "begin\t", 6), ends = !strcmp(line, "end\n");
		if (begins) {
			split(&later, line + 6);
			if (pthread_create(&thread, NULL, run_thread, &later) != 0)
				abort();
			puts("ok begun");
		} else if (ends) {
			pthread_join(thread, NULL);
			puts(later.answer);
		} else {
			split(&now, line);
			run(&now);
			puts(now.answer);
		}
		fflush(stdout);
	}
}

static bool open_source(const char *socket, struct token_source **ret)
{
	kf_err e = schsm_driver.open_source(
		&(struct token_source_conf){ .socket = socket }, ret);
	if (!kf_ok(e))
		fprintf(stderr, "%s: %s\n", socket ? socket : "pcscd", e.site->text);
	return kf_ok(e);
}

int main(int argc, char **argv)
{
	if (!kf_ok(secret_init(1 << 18)) || argc > SOURCES)
		return 1;
	for (int i = 0; i < (argc > 1 ? argc - 1 : 1); i++)
		if (!open_source(argc > 1 ? argv[i + 1] : NULL, &sources[i]))
			return 1;
	serve();
	for (size_t i = 0; i < held_n; i++) {
		schsm_driver.close(held[i].token);
		token_key_list_free(&held[i].keys);
	}
	token_blob_free(&blob);
	for (size_t i = 0; i < SOURCES; i++)
		schsm_driver.close_source(sources[i]);
	return 0;
}
