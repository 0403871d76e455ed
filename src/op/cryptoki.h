/* SPDX-License-Identifier: Apache-2.0
 *
 * cryptoki: which clients have called C_Initialize, and not C_Finalize, by the Correlation Value that the
 * first of them was answered with.  So many a client; who opens more loses the oldest.  Forgotten when
 * the server stops.  Any thread.
 */
#pragma once
#include "base/buf.h"

struct op_cryptoki;

enum {
	CRYPTOKI_ID_SIZE = 16,
	CRYPTOKI_MAX = 1024, /* of all clients; then the oldest goes */
	CRYPTOKI_CLIENT_MAX = 16,
};

kf_err op_cryptoki_new(struct op_cryptoki **ret);
void op_cryptoki_free(struct op_cryptoki *c); /* NULL is fine */

kf_err op_cryptoki_begin(
	struct op_cryptoki *c, const char *client, uint8_t ret[CRYPTOKI_ID_SIZE]);
/* Of this very client? */
bool op_cryptoki_has(struct op_cryptoki *c, const char *client, struct slice id);
bool op_cryptoki_end(struct op_cryptoki *c, const char *client, struct slice id);
