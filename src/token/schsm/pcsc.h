/* SPDX-License-Identifier: Apache-2.0
 *
 * pcsc: readers of one pcscd, and cards in them as links.  Every card has a context of its own, so that one
 * that hangs holds up nobody.
 */
#pragma once
#include "base/list.h"
#include "token/driver.h"
#include "token/schsm/link.h"
#include "token/schsm/pcsc_api.h"
#include <pthread.h>
#include <stdatomic.h>

struct pcsc_reader {
	char name[TOKEN_PLACE_SIZE];
	DWORD state; /* as last told; the upper half counts insertions and removals */
	bool is_new;
	uint64_t insertion;
};

/* A card that is being opened; one that hangs meanwhile is given up by the watcher. */
struct pcsc_opening {
	struct list link;
	int socket; /* of its context; -1: not known */
	uint64_t since_ns;
};

struct token_source {
	struct pcsc_api api;
	pthread_mutex_t establishing; /* one context after another: whose socket is it? */
	pthread_mutex_t lock;         /* guards opening */
	struct list opening;

	/* the watcher's */
	bool has_context, has_looked;
	atomic_ulong context; /* SCARDCONTEXT: wake() cancels what waits in it */
	int wake_fd;
	uint64_t insertions;
	DWORD pnp_state;
	size_t n;
	struct pcsc_reader readers[TOKEN_PLACES_MAX];
	struct token_places told;
};

kf_err pcsc_open_source(const struct token_source_conf *conf, struct token_source **ret);
void pcsc_close_source(struct token_source *s);
kf_err pcsc_watch(struct token_source *s, unsigned timeout_ms, struct token_places *ret);
void pcsc_wake(struct token_source *s);

/* For this process alone; DENIED: another has it.  The link counts as being opened until pcsc_opened(). */
kf_err pcsc_connect(struct token_source *s, const char *reader, struct card_link **ret);
void pcsc_opened(struct card_link *link);
