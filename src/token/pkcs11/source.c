/* SPDX-License-Identifier: Apache-2.0
 *
 * source: a module is asked every second what is plugged in; few can wait for that, and those that can
 * cannot be woken.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "token/pkcs11/private.h"
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 1000 };

void p11_source_close(struct token_source *s)
{
	if (!s)
		return;
	p11_module_close(s->module);
	mem_closep(&s->wake);
	free(s);
}

kf_err p11_source_open(const struct token_source_conf *conf, struct token_source **ret)
{
	struct token_source *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "source");
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kf_err err = s->wake < 0 ? kf_fail(NOMEM, "eventfd")
				 : p11_module_open(conf->module, &s->module);
	if (kf_ok(err))
		*ret = s;
	else
		p11_source_close(s);
	return err;
}

void p11_source_wake(struct token_source *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->wake, &one, sizeof(one));
	(void)n; /* full: it is awake */
}

/* True: somebody called wake(). */
static bool rest(struct token_source *s, uint64_t until_ns)
{
	uint64_t now = clock_monotonic_ns(), count;
	uint64_t left_ms = until_ns > now ? (until_ns - now + 999999) / 1000000 : 0;
	struct pollfd p = { s->wake, POLLIN, 0 };
	poll(&p, 1, left_ms < LOOK_EVERY_MS ? (int)left_ms : LOOK_EVERY_MS);
	return read(s->wake, &count, sizeof(count)) == sizeof(count);
}

kf_err p11_source_watch(
	struct token_source *s, unsigned timeout_ms, struct token_places *ret)
{
	uint64_t until = clock_monotonic_ns() + timeout_ms * UINT64_C(1000000);
	bool is_over = !s->has_looked;
	s->has_looked = true;
	for (;;) {
		bool is_woken = !is_over && rest(s, until);
		uint64_t generation = p11_module_scan(s->module, ret);
		is_over = is_over || is_woken || generation != s->generation ||
			  clock_monotonic_ns() >= until;
		s->generation = generation;
		if (is_over)
			return KF_OK;
	}
}
