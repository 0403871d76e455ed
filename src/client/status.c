/* SPDX-License-Identifier: Apache-2.0 */
#include "client/status.h"
#include <stdio.h>
#include <string.h>

kf_result status_of(enum kf_code code)
{
	switch (code) {
#define STATUS(from, to)                                                                 \
	case KF_E_##from:                                                                \
		return KF_##to;
#include "client/status.def"
#undef STATUS
	}
	return KF_INTERNAL;
}

const char *kf_result_text(kf_result result)
{
	switch (result) {
#define RESULT(name, text)                                                               \
	case KF_##name:                                                                  \
		return text;
#include "client/status.def"
#undef RESULT
	}
	return "unknown result";
}

const char *kf_error_text(const kf_call *call)
{
	if (!call)
		return "no details were asked for";
	return call->text[0] ? call->text : kf_result_text(call->result);
}

static void set_text(kf_call *call, const char *what, const char *why)
{
	snprintf(call->text, sizeof(call->text), "%.60s%s%.170s", what, *why ? ": " : "",
		why);
}

kf_result status_tell(kf_call *call, kf_err err, const struct call_report *report)
{
	kf_result result = status_of(err.code);
	if (!call)
		return result;
	call->result = result;
	call->reason = report ? report->reason : 0;
	call->attempts = report ? report->attempts : 0;
	call->text[0] = 0;
	if (result == KF_SUCCESS)
		return result;
	const char *why = report ? report->message : "";
	if (!*why && err.site)
		why = err.site->text;
	set_text(call, kf_result_text(result), why);
	return result;
}

kf_result status_tell_lines(kf_call *call, kf_err err, struct slice why)
{
	struct call_report report = { 0 };
	size_t n =
		why.n < sizeof(report.message) - 1 ? why.n : sizeof(report.message) - 1;
	if (n)
		memcpy(report.message, why.p, n);
	while (n && report.message[n - 1] == '\n')
		report.message[--n] = 0;
	return status_tell(call, err, &report);
}

kf_result status_refuse(kf_call *call, kf_result result, const char *text)
{
	if (!call)
		return result;
	call->result = result;
	call->reason = call->attempts = 0;
	set_text(call, kf_result_text(result), text);
	return result;
}
