/* SPDX-License-Identifier: Apache-2.0
 *
 * value: from the words of a case to the bytes of TTLV.
 */
#pragma once
#include "replay/case.h"
#include "replay/vars.h"

/* What the values of a case are read with. */
struct replay_scope {
	int64_t now; /* $NOW: one for a whole case, so that what was set can be compared when it comes back */
	struct replay_vars vars;    /* of the case */
	struct replay_vars objects; /* of the run: what is known of objects (made.h) */
};

/* By the name in XML: letters and digits of the standard's name.  0: unknown. */
uint32_t replay_tag(struct slice name);
enum ttlv_type replay_type(struct slice name);

/* What the value is about: for an Attribute Value that is its attribute. */
uint32_t replay_subject(const struct replay_node *n);

/* "$NOW", "$NOW-3600". */
bool replay_is_now(const struct replay_node *n);
/* "$NAME", but not "$NOW". */
bool replay_is_variable(const struct replay_node *n);

/* Remembers a field of an answer: a variable that no answer has bound is the last field of its name. */
void replay_saw(struct replay_scope *s, uint32_t tag, struct slice value);

/* From now on the literal of this node stands for another value, wherever it is in the same field. */
void replay_stand_for(
	struct replay_scope *s, const struct replay_node *n, struct slice value);
bool replay_stands_for(
	const struct replay_scope *s, const struct replay_node *n, struct slice *ret);

/* The value of a node without children.  NOT_FOUND: it is a variable that is not bound.  MALFORMED: it cannot
 * be read; the reason is constant. */
kf_err replay_value(
	const struct replay_node *n, const struct replay_scope *s, struct buf *ret);

/* A message or part of one. */
kf_err replay_encode(
	const struct replay_node *n, const struct replay_scope *s, struct buf *ret);
