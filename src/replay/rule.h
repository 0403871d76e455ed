/* SPDX-License-Identifier: Apache-2.0
 *
 * rule: what compare.c does not compare, or not in order, and why.
 */
#pragma once
#include "replay/made.h"

/* Only the type counts: clocks, messages, correlation, what the server says of itself. */
bool rule_is_free(const struct replay_node *expected, const struct replay_item *i);

/* The case has sent this moment ($NOW-3600) for the same attribute: then the very same comes back. */
bool rule_was_sent(const struct replay_node *expected, const struct replay_node *request);

/* A moment of the server's clock: $NOW that was not sent, or a date that the server sets and no request of the case
 * has: the cases of 1.0 to 1.2 state when theirs did. */
bool rule_is_server_clock(
	const struct replay_node *expected, const struct replay_node *request);

/* Optional in every answer: correlation values and messages are there or not. */
bool rule_may_be_absent(uint32_t tag);

/* In `parent` the order of these does not count: attributes, and lists of their names. */
bool rule_is_member(
	const struct replay_node *parent, uint32_t tag, const struct replay_item *i);
bool rule_is_same_member(const struct replay_node *expected, const struct ttlv_item *it);
/* In the list of an object's attributes: known by its value. */
bool rule_is_name(const struct replay_node *expected, const struct replay_item *i);
/* The request asked for all attributes: a server may have more than the case's. */
bool rule_takes_more(const struct replay_node *parent, const struct replay_item *i);

/* What the answer of Query lists is the server's own. */
bool rule_is_list(const struct replay_node *parent, const struct replay_item *i);
bool rule_may_be_empty(uint32_t tag);
