/* SPDX-License-Identifier: Apache-2.0
 *
 * pcsc_link: a card in a reader of pcscd.
 */
#include "base/clock.h"
#include "token/schsm/pcsc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct pcsc_link {
	struct card_link link;
	struct token_source *source;
	const struct pcsc_api *api;
	struct pcsc_opening opening;
	SCARDCONTEXT context;
	SCARDHANDLE card;
	bool has_context, has_card;
	const SCARD_IO_REQUEST *protocol;
	/* A duplicate of the context's connection to pcscd: a call that hangs in there returns when it is
	 * shut down, which nothing in the interface of PC/SC makes it do.  -1: not found. */
	int socket;
};

/* CLOSED: the command was not sent, as the card had been gone before.  Whatever else goes wrong may have
 * happened before or after the card did its work. */
static kf_err error_of(LONG rc)
{
	switch ((unsigned long)rc) {
	case (unsigned long)SCARD_W_REMOVED_CARD:
	case (unsigned long)SCARD_E_NO_SMARTCARD:
	case (unsigned long)SCARD_E_READER_UNAVAILABLE:
	case (unsigned long)SCARD_E_UNKNOWN_READER:
		return kf_fail(CLOSED, "the card is not in its reader");
	/* After a quick replug: the handle is of no card. */
	case (unsigned long)SCARD_E_PROTO_MISMATCH:
		return kf_fail(CLOSED, "the card was replaced");
	case (unsigned long)SCARD_E_INVALID_HANDLE:
		return kf_fail(CLOSED, "pcscd was restarted");
	case (unsigned long)SCARD_E_NO_SERVICE:
	case (unsigned long)SCARD_E_SERVICE_STOPPED:
		return kf_fail(TOKEN, "pcscd is away");
	case (unsigned long)SCARD_W_RESET_CARD:
		return kf_fail(TOKEN, "the card was reset");
	case (unsigned long)SCARD_E_NOT_TRANSACTED:
		return kf_fail(TOKEN, "the card was pulled or reset");
	case (unsigned long)SCARD_E_INSUFFICIENT_BUFFER:
		return kf_fail(TOKEN, "an answer of the card is too long");
	case (unsigned long)SCARD_W_UNRESPONSIVE_CARD:
	case (unsigned long)SCARD_W_UNPOWERED_CARD:
		return kf_fail(TOKEN, "the card does not answer");
	default: return kf_fail(TOKEN, "the reader failed");
	}
}

/* What is told alike of a reader that was away before and of one that was pulled while the card was at work:
 * pcscd says so too when its driver fails. */
static kf_err transmit_error(LONG rc)
{
	switch ((unsigned long)rc) {
	case (unsigned long)SCARD_E_NO_SMARTCARD:
	case (unsigned long)SCARD_E_READER_UNAVAILABLE:
		return kf_fail(TOKEN, "the card or its reader was pulled");
	default: return error_of(rc);
	}
}

static struct pcsc_link *of(struct card_link *l) { return (struct pcsc_link *)l; }

static kf_err link_transmit(struct card_link *link, struct slice apdu, struct buf *ret)
{
	struct pcsc_link *l = of(link);
	buf_clear(ret);
	uint8_t *at = buf_reserve(ret, CARD_ANSWER_MAX);
	DWORD n = CARD_ANSWER_MAX;
	if (!at)
		return kf_fail(NOMEM, "no memory for an answer of the card");
	LONG rc = l->api->transmit(l->card, l->protocol, apdu.p, apdu.n, NULL, at, &n);
	if (rc != SCARD_S_SUCCESS)
		return transmit_error(rc);
	if (n > CARD_ANSWER_MAX)
		return kf_fail(TOKEN, "pcscd tells more bytes than it had room for");
	buf_commit(ret, n);
	return KF_OK;
}

static kf_err use_protocol(struct pcsc_link *l, DWORD protocol)
{
	l->protocol = protocol == SCARD_PROTOCOL_T0 ? l->api->t0 : l->api->t1;
	return KF_OK;
}

/* A card that was pulled says so until there is a new connection, so what is left was only reset. */
static kf_err link_repair(struct card_link *link)
{
	struct pcsc_link *l = of(link);
	DWORD state, protocol, atr_n = CARD_ATR_MAX;
	uint8_t atr[CARD_ATR_MAX];
	LONG rc = l->api->status(l->card, NULL, NULL, &state, &protocol, atr, &atr_n);
	if (rc == SCARD_W_RESET_CARD)
		rc = l->api->reconnect(l->card, SCARD_SHARE_EXCLUSIVE,
			SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, SCARD_LEAVE_CARD,
			&protocol);
	return rc == SCARD_S_SUCCESS ? use_protocol(l, protocol) : error_of(rc);
}

static void link_interrupt(struct card_link *link)
{
	struct pcsc_link *l = of(link);
	if (l->socket >= 0)
		shutdown(l->socket, SHUT_RDWR);
}

void pcsc_opened(struct card_link *link)
{
	struct pcsc_link *l = of(link);
	pthread_mutex_lock(&l->source->lock);
	list_remove(&l->opening.link);
	pthread_mutex_unlock(&l->source->lock);
}

static void begin_opening(struct pcsc_link *l)
{
	l->opening.socket = l->socket;
	l->opening.since_ns = clock_monotonic_ns();
	pthread_mutex_lock(&l->source->lock);
	if (l->socket >= 0)
		list_add_tail(&l->source->opening, &l->opening.link);
	pthread_mutex_unlock(&l->source->lock);
}

/* The card keeps its power: others may have been using the reader's other slot. */
static void link_close(struct card_link *link)
{
	struct pcsc_link *l = of(link);
	if (l->has_card)
		l->api->disconnect(l->card, SCARD_LEAVE_CARD);
	if (l->has_context)
		l->api->release(l->context);
	pcsc_opened(link);
	if (l->socket >= 0)
		close(l->socket);
	free(l);
}

static const struct card_link_ops link_ops = { link_transmit, link_repair, link_interrupt,
	link_close };

/* ---- the context's socket ---- */

/* A new descriptor is the lowest one that is free: it is among the next few, unless other threads open and
 * close theirs just then; in that case there is another try. */
enum { NEAR = 64, TRIES = 5 };

static bool leads_to(int fd, const char *path)
{
	struct sockaddr_un peer = { 0 };
	socklen_t n = sizeof(peer);
	return getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
	       peer.sun_family == AF_UNIX &&
	       !strncmp(peer.sun_path, path, sizeof(peer.sun_path));
}

static int lowest_free(int any)
{
	int fd = fcntl(any, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return fd;
}

/* Which of the descriptors from `first` on are connections to that pcscd. */
static uint64_t find_sockets(int first, const char *path)
{
	uint64_t found = 0;
	for (int i = 0; i < NEAR; i++)
		if (leads_to(first + i, path))
			found |= (uint64_t)1 << i;
	return found;
}

/* The one that came since; -1 unless it is clear which. */
static int new_socket(int first, uint64_t before, const char *path)
{
	uint64_t come = find_sockets(first, path) & ~before;
	if (__builtin_popcountll(come) != 1)
		return -1;
	return fcntl(first + __builtin_ctzll(come), F_DUPFD_CLOEXEC, 0);
}

static LONG establish_once(struct token_source *s, struct pcsc_link *l)
{
	int first = lowest_free(s->wake_fd);
	uint64_t before = first < 0 ? 0 : find_sockets(first, s->api.socket);
	LONG rc = s->api.establish(SCARD_SCOPE_SYSTEM, NULL, NULL, &l->context);
	if (rc == SCARD_S_SUCCESS && first >= 0)
		l->socket = new_socket(first, before, s->api.socket);
	return rc;
}

static LONG establish(struct token_source *s, struct pcsc_link *l)
{
	pthread_mutex_lock(&s->establishing);
	LONG rc = establish_once(s, l);
	for (int i = 1; i < TRIES && rc == SCARD_S_SUCCESS && l->socket < 0; i++) {
		s->api.release(l->context);
		rc = establish_once(s, l);
	}
	pthread_mutex_unlock(&s->establishing);
	l->has_context = rc == SCARD_S_SUCCESS;
	return rc;
}

/* ---- connect ---- */

static kf_err connect_card(struct pcsc_link *l, const char *reader)
{
	DWORD protocol, state, atr_n = CARD_ATR_MAX;
	LONG rc = l->api->connect(l->context, reader, SCARD_SHARE_EXCLUSIVE,
		SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, &l->card, &protocol);
	if (rc == SCARD_E_SHARING_VIOLATION)
		return kf_fail(DENIED, "another process uses the card");
	if (rc != SCARD_S_SUCCESS)
		return error_of(rc);
	l->has_card = true;
	rc = l->api->status(l->card, NULL, NULL, &state, &protocol, l->link.atr, &atr_n);
	if (rc != SCARD_S_SUCCESS)
		return error_of(rc);
	l->link.atr_n = atr_n;
	return use_protocol(l, protocol);
}

kf_err pcsc_connect(struct token_source *s, const char *reader, struct card_link **ret)
{
	struct pcsc_link *l = calloc(1, sizeof(*l));
	if (!l)
		return kf_fail(NOMEM, "no memory for a card");
	*l = (struct pcsc_link){
		.link.ops = &link_ops, .source = s, .api = &s->api, .socket = -1
	};
	list_init(&l->opening.link);
	LONG rc = establish(s, l);
	begin_opening(l);
	kf_err e = rc == SCARD_S_SUCCESS ? connect_card(l, reader) : error_of(rc);
	if (kf_ok(e))
		*ret = &l->link;
	else
		link_close(&l->link);
	return e;
}
