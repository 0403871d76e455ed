/* SPDX-License-Identifier: Apache-2.0
 *
 * act: the step of a request that does what it asks for: on its loop's batch, on a worker, on a token, in
 * the store.  What leaves the loop comes home as a message.
 */
#pragma once
#include "keyfleetd/req.h"

enum step_result act_step(struct req *r);

/* At the end of a round: its change goes to the store. */
void act_submit(struct req *r);

/* The peer is gone, or waits no more: takes back what waits for a token; the request may be over when it returns. */
void act_abandon(struct req *r);
