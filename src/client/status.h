/* SPDX-License-Identifier: Apache-2.0 */
/* status: from a kf_err to what a caller of libkeyfleet sees, by the table status.def. */
#pragma once
#include "base/err.h"
#include "client/call.h"

kf_result status_of(enum kf_code code);
/* Fills the out fields of `call` (NULL is fine) and returns its result.  The text is the report's
 * message if there is one, else that of the place where it went wrong. */
kf_result status_tell(kf_call *call, kf_err err, const struct call_report *report);
/* The same of a client that was to be made: what is wrong with its configuration, lines, becomes the text. */
kf_result status_tell_lines(kf_call *call, kf_err err, struct slice why);
/* A mistake of the caller: `text` says which. */
kf_result status_refuse(kf_call *call, kf_result result, const char *text);
