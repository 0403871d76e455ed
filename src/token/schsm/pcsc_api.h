/* SPDX-License-Identifier: Apache-2.0
 *
 * pcsc_api: libpcsclite, loaded when the first source is opened, so that key servers without smart cards
 * need none of it.
 *
 * The library knows one pcscd a process: it reads PCSCLITE_CSOCK_NAME once.  Another socket therefore gets
 * another instance of the library, in a namespace of the linker with an environment of its own.
 */
#pragma once
#include "base/err.h"
#include <winscard.h>

enum { PCSC_PATH_MAX = 108 }; /* of a Unix socket */

struct pcsc_api {
	void *library;
	char socket[PCSC_PATH_MAX]; /* where it finds pcscd */
	const SCARD_IO_REQUEST *t0, *t1;
#define PCSC_FUNCTIONS(X)                                                                \
	X(establish, SCardEstablishContext)                                              \
	X(release, SCardReleaseContext)                                                  \
	X(connect, SCardConnect)                                                         \
	X(reconnect, SCardReconnect)                                                     \
	X(disconnect, SCardDisconnect)                                                   \
	X(status, SCardStatus)                                                           \
	X(transmit, SCardTransmit)                                                       \
	X(wait, SCardGetStatusChange)                                                    \
	X(list, SCardListReaders)                                                        \
	X(cancel, SCardCancel)
#define X(name, symbol) __typeof__(symbol) *name;
	PCSC_FUNCTIONS(X)
#undef X
};

/* socket NULL: the system's.  CONFIG with a remedy when there is no such library. */
kf_err pcsc_load(const char *socket, struct pcsc_api *ret);
void pcsc_unload(struct pcsc_api *a);
