/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/server.h"
#include "base/mem.h"
#include "vhsm/link.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_MAX = 65536, LINE_MAX_SIZE = 256, LOOK_MS = 1000 };

kf_err server_open_cards(struct server *s, const char *dir, size_t n)
{
	char path[PATH_MAX];
	for (; s->n_cards < n; s->n_cards++) {
		if (snprintf(path, sizeof(path), "%s/card-%zu", dir, s->n_cards + 1) >=
			(int)sizeof(path))
			return kf_fail(TOO_BIG, "the path of a virtual card is too long");
		KF_TRY(vhsm_new(path, &s->cards[s->n_cards]));
	}
	return KF_OK;
}

static void tell_status(struct server *s, struct buf *to)
{
	for (size_t i = 0; i < s->n_cards; i++) {
		struct vhsm_counts n = vhsm_counts(s->cards[i]);
		buf_printf(to,
			"card %zu serial %s %s commands %llu signatures %llu faults "
			"%llu\n",
			i + 1, vhsm_serial(s->cards[i]),
			vhsm_presence(s->cards[i]).is_in ? "in" : "out",
			(unsigned long long)n.commands, (unsigned long long)n.signatures,
			(unsigned long long)n.faults);
	}
}

static kf_err tell_cards(struct server *s, const char *which, const char *what)
{
	char *end;
	size_t n = strtoul(which, &end, 10);
	bool all = !strcmp(which, "all");
	if (!all && (*end || n < 1 || n > s->n_cards))
		return kf_fail(CONFIG, "no such card; they are numbered from 1");
	for (size_t i = 0; i < s->n_cards; i++)
		if (all || i == n - 1)
			KF_TRY(vhsm_tell(s->cards[i], what));
	return KF_OK;
}

kf_err server_tell(struct server *s, struct slice line, struct buf *why)
{
	char text[LINE_MAX_SIZE], which[16];
	int at = 0;
	kf_err e = slice_to_text(line, text, sizeof(text));
	if (kf_ok(e) && !strcmp(text, "status")) {
		tell_status(s, why);
		return KF_OK;
	}
	if (kf_ok(e) && (sscanf(text, "card %15s %n", which, &at) != 1 || at == 0))
		e = kf_fail(CONFIG, "say `status`, `card N FAULT` or `card all FAULT`");
	if (kf_ok(e))
		e = tell_cards(s, which, text + at);
	if (!kf_ok(e))
		buf_add_text(why, e.site->text);
	return e;
}

struct connection {
	struct server *server;
	int fd;
	struct vhsm *card; /* once it is open */
};

static struct vhsm *card_of(const struct connection *c, const struct buf *number)
{
	bool is_known =
		number->n == 1 && number->p[0] >= 1 && number->p[0] <= c->server->n_cards;
	return is_known ? c->server->cards[number->p[0] - 1] : NULL;
}

static kf_err refuse(const struct connection *c, const char *why)
{
	return link_send(c->fd, LINK_REFUSED, slice_of(why));
}

static kf_err tell_presence(const struct connection *c, bool is_in)
{
	const uint8_t byte = is_in;
	return link_send(c->fd, LINK_PRESENCE, (struct slice){ &byte, 1 });
}

/* Never returns KF_OK: ends with the watcher. */
static kf_err watch(const struct connection *c, struct vhsm *card)
{
	struct vhsm_presence was = vhsm_presence(card);
	KF_TRY(tell_presence(c, was.is_in));
	for (;;) {
		struct vhsm_presence is = vhsm_wait_presence(card, was, LOOK_MS);
		if (is.pulls != was.pulls)
			KF_TRY(tell_presence(c, false));
		if (is.is_in && (is.pulls != was.pulls || !was.is_in))
			KF_TRY(tell_presence(c, true));
		was = is;
		struct pollfd p = { c->fd, POLLIN, 0 };
		if (poll(&p, 1, 0) > 0)
			return kf_fail(CLOSED, "a watcher says nothing");
	}
}

static kf_err answer_card(
	const struct connection *c, enum link_kind kind, struct slice bytes)
{
	autobuf answer = buf_new(LINK_FRAME_MAX);
	kf_err e = kind == LINK_APDU ? vhsm_transmit(c->card, bytes, &answer)
				     : vhsm_reset(c->card);
	if (!kf_ok(e))
		return link_send(c->fd, LINK_GONE, (struct slice){ NULL, 0 });
	if (kind == LINK_RESET)
		buf_add_slice(&answer, vhsm_atr());
	return link_send(c->fd, LINK_ANSWER, buf_slice(&answer));
}

static kf_err answer_tell(const struct connection *c, struct slice line)
{
	autobuf text = buf_new(TEXT_MAX);
	bool good = kf_ok(server_tell(c->server, line, &text));
	return link_send(c->fd, good ? LINK_ANSWER : LINK_REFUSED, buf_slice(&text));
}

static kf_err serve_one(struct connection *c, struct buf *bytes)
{
	enum link_kind kind;
	KF_TRY(link_receive(c->fd, &kind, bytes));
	struct vhsm *card = card_of(c, bytes);
	switch ((char)kind) {
	case LINK_OPEN:
		if (!card)
			return refuse(c, "no such card");
		c->card = card;
		return link_send(c->fd, LINK_ANSWER, vhsm_atr());
	case LINK_WATCH: return card ? watch(c, card) : refuse(c, "no such card");
	case LINK_RESET:
	case LINK_OFF:
	case LINK_APDU:
		if (!c->card)
			return refuse(c, "no card was opened");
		return answer_card(c, kind, buf_slice(bytes));
	case LINK_TELL: return answer_tell(c, buf_slice(bytes));
	default: return refuse(c, "no such kind of frame");
	}
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	autobuf bytes = buf_new(LINK_FRAME_MAX);
	while (kf_ok(serve_one(c, &bytes)))
		;
	close(c->fd);
	atomic_fetch_sub(&c->server->connections, 1);
	free(c);
	return NULL;
}

static bool spawn(struct server *s, int fd)
{
	pthread_t thread;
	struct connection *c = calloc(1, sizeof(*c));
	if (!c)
		return false;
	*c = (struct connection){ .server = s, .fd = fd };
	atomic_fetch_add(&s->connections, 1);
	if (atomic_load(&s->connections) <= SERVER_CONNECTIONS_MAX &&
		pthread_create(&thread, NULL, serve, c) == 0) {
		pthread_detach(thread);
		return true;
	}
	atomic_fetch_sub(&s->connections, 1);
	free(c);
	return false;
}

kf_err server_run(struct server *s)
{
	for (;;) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return kf_fail(IO, "no connection can be taken");
		if (!spawn(s, fd))
			close(fd);
	}
}
