/* SPDX-License-Identifier: Apache-2.0
 *
 * pcsc_watch: what is plugged in, told when it changes.
 */
#include "base/clock.h"
#include "token/schsm/pcsc.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* A wake() that comes just before the wait is noticed after so long, and so is a pcscd that was away. */
enum { SLICE_MS = 500, PAUSE_MS = 100, NAMES_MAX = TOKEN_PLACES_MAX * 132 };

static const char pnp[] = "\\\\?PnP?\\Notification";

/* ---- life ---- */

kf_err pcsc_open_source(const struct token_source_conf *conf, struct token_source **ret)
{
	struct token_source *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "no memory for the readers of smart cards");
	list_init(&s->opening);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kf_err e = s->wake_fd < 0 || pthread_mutex_init(&s->lock, NULL) ||
				   pthread_mutex_init(&s->establishing, NULL)
			   ? kf_fail(NOMEM, "no event or lock for smart cards")
			   : pcsc_load(conf->socket, &s->api);
	if (kf_ok(e))
		*ret = s;
	else
		pcsc_close_source(s);
	return e;
}

static void drop_context(struct token_source *s)
{
	if (s->has_context)
		s->api.release((SCARDCONTEXT)atomic_load(&s->context));
	s->has_context = false;
	s->n = 0;
	s->pnp_state = SCARD_STATE_UNAWARE;
}

void pcsc_close_source(struct token_source *s)
{
	if (!s)
		return;
	drop_context(s);
	pcsc_unload(&s->api);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->establishing);
	free(s);
}

/* ---- readers ---- */

static struct pcsc_reader *find_reader(struct token_source *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->readers[i].name, name))
			return &s->readers[i];
	return NULL;
}

/* Those that stay keep what is known of them. */
static void take_names(struct token_source *s, const char *names, const char *end)
{
	static const struct pcsc_reader none;
	struct pcsc_reader now[TOKEN_PLACES_MAX];
	size_t n = 0;
	for (const char *at = names; at < end && *at && n < TOKEN_PLACES_MAX;
		at += strlen(at) + 1) {
		const struct pcsc_reader *was = find_reader(s, at);
		if (strlen(at) >= sizeof(now[n].name))
			continue;
		now[n] = was ? *was : none;
		now[n].is_new = !was;
		strcpy(now[n++].name, at);
	}
	memcpy(s->readers, now, n * sizeof(*now));
	s->n = n;
}

static LONG list_readers(struct token_source *s)
{
	char names[NAMES_MAX] = { 0 };
	DWORD size = sizeof(names) - 1;
	LONG rc = s->api.list((SCARDCONTEXT)atomic_load(&s->context), NULL, names, &size);
	if (rc == SCARD_E_NO_READERS_AVAILABLE)
		size = 0;
	else if (rc != SCARD_S_SUCCESS)
		return rc;
	take_names(s, names, names + size);
	return SCARD_S_SUCCESS;
}

static bool is_present(DWORD state)
{
	return (state & SCARD_STATE_PRESENT) && !(state & SCARD_STATE_MUTE);
}

/* A card that came, or came back unseen: the upper half counts both ways. */
static void take_state(struct token_source *s, struct pcsc_reader *r, DWORD state)
{
	state &= ~(DWORD)SCARD_STATE_CHANGED;
	bool is_other =
		r->is_new || state >> 16 != r->state >> 16 || !is_present(r->state);
	if (is_present(state) && is_other)
		r->insertion = ++s->insertions;
	r->state = state;
	r->is_new = false;
}

static LONG wait_for_change(struct token_source *s, unsigned timeout_ms)
{
	SCARD_READERSTATE states[TOKEN_PLACES_MAX + 1] = { 0 };
	for (size_t i = 0; i < s->n; i++) {
		states[i].szReader = s->readers[i].name;
		states[i].dwCurrentState = s->readers[i].state;
		if (s->readers[i].is_new)
			timeout_ms = 0;
	}
	states[s->n].szReader = pnp;
	states[s->n].dwCurrentState = s->pnp_state;
	SCARDCONTEXT context = (SCARDCONTEXT)atomic_load(&s->context);
	LONG rc = s->api.wait(context, timeout_ms, states, (DWORD)s->n + 1);
	/* With as many readers as it can have there is no room for the one that tells of new ones. */
	if (rc == SCARD_E_INVALID_PARAMETER || rc == SCARD_E_INVALID_VALUE)
		rc = s->api.wait(context, timeout_ms, states, (DWORD)s->n);
	if (rc != SCARD_S_SUCCESS && rc != SCARD_E_TIMEOUT)
		return rc;
	for (size_t i = 0; i < s->n; i++)
		take_state(s, &s->readers[i], states[i].dwEventState);
	s->pnp_state = states[s->n].dwEventState & ~(DWORD)SCARD_STATE_CHANGED;
	return SCARD_S_SUCCESS;
}

/* ---- cards that hang while they are opened ---- */

/* Nobody has a token to interrupt yet. */
enum { OPENING_MAX_S = 30 };

static void give_up_opening(struct token_source *s)
{
	uint64_t now = clock_monotonic_ns();
	pthread_mutex_lock(&s->lock);
	list_each(l, &s->opening)
	{
		struct pcsc_opening *o = container_of(l, struct pcsc_opening, link);
		if (now - o->since_ns > OPENING_MAX_S * UINT64_C(1000000000))
			shutdown(o->socket, SHUT_RDWR);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- watch ---- */

static bool is_woken(struct token_source *s, unsigned wait_ms)
{
	struct pollfd p = { .fd = s->wake_fd, .events = POLLIN };
	return poll(&p, 1, (int)wait_ms) > 0;
}

static bool is_harmless(LONG rc)
{
	return rc == SCARD_S_SUCCESS || rc == SCARD_E_TIMEOUT ||
	       rc == SCARD_E_CANCELLED || rc == SCARD_E_UNKNOWN_READER ||
	       rc == SCARD_E_READER_UNAVAILABLE;
}

static bool has_service(struct token_source *s)
{
	SCARDCONTEXT context;
	if (!s->has_context && s->api.establish(SCARD_SCOPE_SYSTEM, NULL, NULL,
				       &context) == SCARD_S_SUCCESS) {
		atomic_store(&s->context, (unsigned long)context);
		s->has_context = true;
	}
	return s->has_context;
}

/* Waits at most so long for a change, and looks. */
static void look(struct token_source *s, unsigned wait_ms)
{
	if (!has_service(s)) {
		is_woken(s, wait_ms);
		return;
	}
	LONG rc = list_readers(s);
	if (is_harmless(rc))
		rc = wait_for_change(s, wait_ms);
	if (is_harmless(rc))
		rc = list_readers(s); /* some may have gone */
	if (is_harmless(rc))
		return;
	drop_context(s);
	is_woken(s, wait_ms < PAUSE_MS ? wait_ms : PAUSE_MS);
}

static void tell(const struct token_source *s, struct token_places *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < s->n; i++) {
		const struct pcsc_reader *r = &s->readers[i];
		if (r->is_new || !is_present(r->state))
			continue;
		memcpy(ret->place[ret->n].name, r->name, sizeof(r->name));
		ret->place[ret->n++].insertion = r->insertion;
	}
}

static bool is_same(const struct token_places *a, const struct token_places *b)
{
	return a->n == b->n && !memcmp(a->place, b->place, a->n * sizeof(*a->place));
}

static unsigned slice_of_time(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t left_ms = deadline_ns > now ? (deadline_ns - now + 999999) / 1000000 : 0;
	return left_ms < SLICE_MS ? (unsigned)left_ms : SLICE_MS;
}

kf_err pcsc_watch(struct token_source *s, unsigned timeout_ms, struct token_places *ret)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
	bool is_over = !s->has_looked;
	struct token_places now;
	do {
		give_up_opening(s);
		look(s, s->has_looked ? slice_of_time(deadline) : 0);
		tell(s, &now);
		s->has_looked = true;
		is_over |= is_woken(s, 0) || clock_monotonic_ns() >= deadline;
	} while (!is_over && is_same(&now, &s->told));
	uint64_t ignored;
	(void)!read(s->wake_fd, &ignored, sizeof(ignored));
	s->told = now;
	*ret = now;
	return KF_OK;
}

void pcsc_wake(struct token_source *s)
{
	(void)!write(s->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	s->api.cancel((SCARDCONTEXT)atomic_load(&s->context));
}
