/* SPDX-License-Identifier: Apache-2.0
 *
 * A card in a reader, with a libpcsclite that answers as told.
 */
#include "token/schsm/pcsc.h"
#include "test.h"
#include <sys/eventfd.h>
#include <unistd.h>

static LONG answer; /* of SCardTransmit */

static LONG establish(DWORD scope, LPCVOID a, LPCVOID b, LPSCARDCONTEXT ret)
{
	(void)scope, (void)a, (void)b;
	*ret = 1;
	return SCARD_S_SUCCESS;
}

static LONG release(SCARDCONTEXT context)
{
	(void)context;
	return SCARD_S_SUCCESS;
}

static LONG connect_card(SCARDCONTEXT context, LPCSTR reader, DWORD share,
	DWORD protocols, LPSCARDHANDLE ret, LPDWORD ret_protocol)
{
	(void)context, (void)reader, (void)share, (void)protocols;
	*ret = 2;
	*ret_protocol = SCARD_PROTOCOL_T1;
	return SCARD_S_SUCCESS;
}

static LONG disconnect(SCARDHANDLE card, DWORD what)
{
	(void)card, (void)what;
	return SCARD_S_SUCCESS;
}

static LONG status(SCARDHANDLE card, LPSTR reader, LPDWORD reader_n, LPDWORD state,
	LPDWORD protocol, LPBYTE atr, LPDWORD atr_n)
{
	(void)card, (void)reader, (void)reader_n, (void)state, (void)atr;
	*protocol = SCARD_PROTOCOL_T1;
	*atr_n = 0;
	return SCARD_S_SUCCESS;
}

static LONG transmit(SCARDHANDLE card, const SCARD_IO_REQUEST *protocol, LPCBYTE apdu,
	DWORD n, SCARD_IO_REQUEST *got, LPBYTE ret, LPDWORD ret_n)
{
	(void)card, (void)protocol, (void)apdu, (void)n, (void)got, (void)ret;
	*ret_n = 0;
	return answer;
}

static struct token_source source = {
	.api = { .establish = establish,
		.release = release,
		.connect = connect_card,
		.disconnect = disconnect,
		.status = status,
		.transmit = transmit },
	.establishing = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.opening = LIST_INIT(source.opening),
};

TEST(only_what_never_reached_the_card_is_said_not_to_have_begun)
{
	static const struct {
		LONG answer;
		enum kf_code code;
	} cases[] = { { SCARD_W_REMOVED_CARD, KF_E_CLOSED },
		{ SCARD_E_INVALID_HANDLE, KF_E_CLOSED },
		{ SCARD_E_NO_SMARTCARD, KF_E_TOKEN },
		{ SCARD_E_READER_UNAVAILABLE, KF_E_TOKEN },
		{ SCARD_E_NOT_TRANSACTED, KF_E_TOKEN },
		{ SCARD_W_RESET_CARD, KF_E_TOKEN } };
	source.wake_fd = eventfd(0, EFD_CLOEXEC);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct card_link *l = NULL;
		autobuf got = buf_new(CARD_ANSWER_MAX);
		OK(kf_ok(pcsc_connect(&source, "reader", &l)));
		answer = cases[i].answer;
		kf_err e = l->ops->transmit(l, SLICE_LIT("\x00\x20\x00\x81"), &got);
		l->ops->close(l);
		EQ(e.code, cases[i].code);
	}
	close(source.wake_fd);
}

TEST_MAIN
