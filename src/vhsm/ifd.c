/* SPDX-License-Identifier: Apache-2.0
 *
 * ifd: the driver (PC/SC part 3) with which pcscd serves virtual cards: a reader a card, all
 * independent of each other.  DEVICENAME in reader.conf is SOCKET:CARD.
 *
 * Each reader has two connections: one works, the other is told of pulls and insertions.  When `vhsm`
 * ends, its readers are empty; when it is back, so are the cards.
 */
#include "base/mem.h"
#include "vhsm/link.h"
#include <ifdhandler.h>
#include <poll.h>
#include <pthread.h>
#include <reader.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READERS = 64, PATH_SIZE = 128, RETRY_MS = 200, ATR_SIZE = 33 };

struct reader {
	pthread_mutex_t turn;  /* guards atr; who has it may use work */
	pthread_mutex_t state; /* guards events, is_in, and changes of work */
	char path[PATH_SIZE];
	uint8_t card;
	int work, events, stop;
	bool is_in;
	uint8_t atr[ATR_SIZE];
	size_t n_atr;
};

static pthread_mutex_t readers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reader *readers[READERS]; /* by the upper half of the logical unit number */

#define API __attribute__((visibility("default")))

static struct reader *reader_of(DWORD lun)
{
	size_t i = lun >> 16;
	pthread_mutex_lock(&readers_lock);
	struct reader *r = i < READERS ? readers[i] : NULL;
	pthread_mutex_unlock(&readers_lock);
	return r;
}

static struct slice card_number(const struct reader *r)
{
	return (struct slice){ &r->card, 1 };
}

static void drop(int *fd)
{
	mem_closep(fd);
	*fd = -1;
}

static void set_work(struct reader *r, int fd)
{
	pthread_mutex_lock(&r->state);
	mem_closep(&r->work);
	r->work = fd;
	pthread_mutex_unlock(&r->state);
}

/* Opens the card anew when the last connection broke.  With the turn. */
static bool is_working(struct reader *r, struct buf *answer)
{
	int fd;
	if (r->work >= 0)
		return true;
	if (!kf_ok(link_connect(r->path, &fd)))
		return false;
	set_work(r, fd);
	if (kf_ok(link_ask(fd, LINK_OPEN, card_number(r), answer)))
		return true;
	set_work(r, -1);
	return false;
}

/* With the turn. */
static kf_err ask(
	struct reader *r, enum link_kind kind, struct slice bytes, struct buf *ret)
{
	if (!is_working(r, ret))
		return kf_fail(UNAVAILABLE, "vhsm does not run");
	kf_err e = link_ask(r->work, kind, bytes, ret);
	if (!kf_ok(e))
		set_work(r, -1);
	return e;
}

/* Being out is told before what came later is read: a card pulled and put back has lost its login,
 * and pcscd has to know.  With the state lock. */
static void read_events(struct reader *r)
{
	enum link_kind kind;
	autobuf b = buf_new(LINK_FRAME_MAX);
	struct pollfd p = { r->events, POLLIN, 0 };
	bool was_told = false;
	while (r->events >= 0 && !(was_told && !r->is_in) && poll(&p, 1, 0) > 0) {
		was_told = kf_ok(link_receive(r->events, &kind, &b)) &&
			   kind == LINK_PRESENCE && b.n == 1;
		r->is_in = was_told && b.p[0] != 0;
		if (!was_told)
			drop(&r->events);
	}
}

/* The first word is waited for.  With the state lock. */
static void connect_events(struct reader *r)
{
	if (r->events >= 0 || !kf_ok(link_connect(r->path, &r->events)))
		return;
	struct pollfd p = { r->events, POLLIN, 0 };
	if (!kf_ok(link_send(r->events, LINK_WATCH, card_number(r))) ||
		poll(&p, 1, 10 * RETRY_MS) <= 0)
		drop(&r->events);
}

/* Whether the card is in its reader, as far as we were told. */
static bool is_in(struct reader *r)
{
	pthread_mutex_lock(&r->state);
	connect_events(r);
	read_events(r);
	bool is = r->is_in;
	pthread_mutex_unlock(&r->state);
	return is;
}

static int events_of(struct reader *r)
{
	pthread_mutex_lock(&r->state);
	connect_events(r);
	int fd = r->events;
	pthread_mutex_unlock(&r->state);
	return fd;
}

static void reader_free(struct reader *r)
{
	if (!r)
		return;
	mem_closep(&r->work);
	mem_closep(&r->events);
	mem_closep(&r->stop);
	pthread_mutex_destroy(&r->turn);
	pthread_mutex_destroy(&r->state);
	free(r);
}

/* SOCKET:CARD */
static struct reader *reader_new(const char *device)
{
	const char *colon = strrchr(device, ':');
	char *end;
	unsigned long card = colon ? strtoul(colon + 1, &end, 10) : 0;
	size_t n = colon ? (size_t)(colon - device) : 0;
	struct reader *r = calloc(1, sizeof(*r));
	if (!r || card < 1 || card > 255 || *end || n == 0 || n >= PATH_SIZE) {
		free(r);
		return NULL;
	}
	memcpy(r->path, device, n);
	r->card = (uint8_t)card;
	r->work = r->events = -1;
	r->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&r->turn, NULL);
	pthread_mutex_init(&r->state, NULL);
	return r;
}

API RESPONSECODE IFDHCreateChannelByName(DWORD lun, LPSTR device)
{
	size_t i = lun >> 16;
	struct reader *r = i < READERS ? reader_new(device) : NULL;
	if (!r)
		return IFD_NO_SUCH_DEVICE;
	pthread_mutex_lock(&readers_lock);
	struct reader *old = readers[i];
	readers[i] = r;
	pthread_mutex_unlock(&readers_lock);
	reader_free(old);
	return IFD_SUCCESS;
}

API RESPONSECODE IFDHCreateChannel(DWORD lun, DWORD channel)
{
	(void)lun, (void)channel;
	return IFD_NO_SUCH_DEVICE; /* reader.conf needs a DEVICENAME */
}

/* Ends a command that the card does not answer, and waits until its thread is out. */
static void hang_up(struct reader *r)
{
	pthread_mutex_lock(&r->state);
	if (r->work >= 0)
		shutdown(r->work, SHUT_RDWR);
	pthread_mutex_unlock(&r->state);
	pthread_mutex_lock(&r->turn);
	pthread_mutex_unlock(&r->turn);
}

API RESPONSECODE IFDHCloseChannel(DWORD lun)
{
	size_t i = lun >> 16;
	pthread_mutex_lock(&readers_lock);
	struct reader *r = i < READERS ? readers[i] : NULL;
	if (r)
		readers[i] = NULL;
	pthread_mutex_unlock(&readers_lock);
	if (!r)
		return IFD_NO_SUCH_DEVICE;
	hang_up(r);
	reader_free(r);
	return IFD_SUCCESS;
}

/* Returns when the card was pulled or put in, when told to stop, or when the time is over. */
static RESPONSECODE wait_event(DWORD lun, int timeout_ms)
{
	struct reader *r = reader_of(lun);
	if (!r)
		return IFD_NO_SUCH_DEVICE;
	struct pollfd p[] = { { r->stop, POLLIN, 0 }, { events_of(r), POLLIN, 0 } };
	if (p[1].fd < 0 && timeout_ms > RETRY_MS)
		timeout_ms = RETRY_MS;
	eventfd_t told;
	if (poll(p, 2, timeout_ms) > 0 && p[0].revents)
		eventfd_read(r->stop, &told); /* pcscd asks once, also to look anew */
	return IFD_SUCCESS;
}

static RESPONSECODE stop_waiting(DWORD lun)
{
	struct reader *r = reader_of(lun);
	return r && eventfd_write(r->stop, 1) == 0 ? IFD_SUCCESS : IFD_NO_SUCH_DEVICE;
}

static RESPONSECODE give(const void *what, size_t n, PDWORD length, PUCHAR value)
{
	if (*length < n)
		return IFD_ERROR_INSUFFICIENT_BUFFER;
	memcpy(value, what, n);
	*length = n;
	return IFD_SUCCESS;
}

static RESPONSECODE give_byte(uint8_t byte, PDWORD length, PUCHAR value)
{
	return give(&byte, 1, length, value);
}

API RESPONSECODE IFDHGetCapabilities(DWORD lun, DWORD tag, PDWORD length, PUCHAR value)
{
	RESPONSECODE (*const wait)(DWORD, int) = wait_event;
	RESPONSECODE (*const stop)(DWORD) = stop_waiting;
	struct reader *r = reader_of(lun);
	switch (tag) {
	case TAG_IFD_ATR:
	case SCARD_ATTR_ATR_STRING:
		return r ? give(r->atr, r->n_atr, length, value) : IFD_NO_SUCH_DEVICE;
	case TAG_IFD_SIMULTANEOUS_ACCESS: return give_byte(READERS, length, value);
	case TAG_IFD_THREAD_SAFE:
	case TAG_IFD_SLOT_THREAD_SAFE: return give_byte(1, length, value);
	case TAG_IFD_SLOTS_NUMBER: return give_byte(1, length, value);
	case TAG_IFD_POLLING_THREAD_KILLABLE: return IFD_ERROR_TAG;
	case TAG_IFD_POLLING_THREAD_WITH_TIMEOUT:
		return give(&wait, sizeof(wait), length, value);
	case TAG_IFD_STOP_POLLING_THREAD: return give(&stop, sizeof(stop), length, value);
	default: return IFD_ERROR_TAG;
	}
}

API RESPONSECODE IFDHSetCapabilities(DWORD lun, DWORD tag, DWORD length, PUCHAR value)
{
	(void)lun, (void)tag, (void)length, (void)value;
	return IFD_NOT_SUPPORTED;
}

API RESPONSECODE IFDHSetProtocolParameters(
	DWORD lun, DWORD protocol, UCHAR flags, UCHAR pts1, UCHAR pts2, UCHAR pts3)
{
	(void)lun, (void)flags, (void)pts1, (void)pts2, (void)pts3;
	return protocol == SCARD_PROTOCOL_T1 ? IFD_SUCCESS : IFD_PROTOCOL_NOT_SUPPORTED;
}

API RESPONSECODE IFDHPowerICC(DWORD lun, DWORD action, PUCHAR atr, PDWORD length)
{
	struct reader *r = reader_of(lun);
	autobuf answer = buf_new(LINK_FRAME_MAX);
	*length = 0;
	if (!r)
		return IFD_NO_SUCH_DEVICE;
	bool is_off = action == IFD_POWER_DOWN;
	pthread_mutex_lock(&r->turn);
	kf_err e = ask(
		r, is_off ? LINK_OFF : LINK_RESET, (struct slice){ NULL, 0 }, &answer);
	bool has_atr = kf_ok(e) && answer.n > 0 && answer.n <= ATR_SIZE;
	if (has_atr) {
		memcpy(r->atr, answer.p, answer.n);
		r->n_atr = answer.n;
		memcpy(atr, answer.p, answer.n);
		*length = answer.n;
	}
	pthread_mutex_unlock(&r->turn);
	return is_off || has_atr ? IFD_SUCCESS : IFD_ERROR_POWER_ACTION;
}

API RESPONSECODE IFDHTransmitToICC(DWORD lun, SCARD_IO_HEADER send_pci, PUCHAR tx,
	DWORD tx_length, PUCHAR rx, PDWORD rx_length, PSCARD_IO_HEADER receive_pci)
{
	struct reader *r = reader_of(lun);
	autobuf answer = buf_new(LINK_FRAME_MAX);
	DWORD room = *rx_length;
	*rx_length = 0;
	if (!r)
		return IFD_NO_SUCH_DEVICE;
	pthread_mutex_lock(&r->turn);
	kf_err e = ask(r, LINK_APDU, (struct slice){ tx, tx_length }, &answer);
	pthread_mutex_unlock(&r->turn);
	if (!kf_ok(e))
		return IFD_COMMUNICATION_ERROR;
	if (answer.n > room)
		return IFD_ERROR_INSUFFICIENT_BUFFER;
	if (answer.n)
		memcpy(rx, answer.p, answer.n);
	*rx_length = answer.n;
	if (receive_pci)
		receive_pci->Protocol = send_pci.Protocol;
	return IFD_SUCCESS;
}

API RESPONSECODE IFDHControl(DWORD lun, DWORD code, PUCHAR tx, DWORD tx_length, PUCHAR rx,
	DWORD rx_length, LPDWORD returned)
{
	(void)lun, (void)code, (void)tx, (void)tx_length, (void)rx, (void)rx_length;
	*returned = 0;
	return IFD_ERROR_NOT_SUPPORTED;
}

API RESPONSECODE IFDHICCPresence(DWORD lun)
{
	struct reader *r = reader_of(lun);
	if (!r)
		return IFD_NO_SUCH_DEVICE;
	return is_in(r) ? IFD_ICC_PRESENT : IFD_ICC_NOT_PRESENT;
}
