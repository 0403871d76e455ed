/* SPDX-License-Identifier: Apache-2.0 */
/* bytes: a backup that is written to memory, and read from there. */
#pragma once
#include "base/buf.h"
#include <string.h>

static inline kf_err into_buf(void *arg, struct slice bytes)
{
	buf_add_slice(arg, bytes);
	return buf_err(arg);
}

static inline kf_err from_slice(void *arg, uint8_t *p, size_t size, size_t *ret)
{
	struct slice *s = arg;
	*ret = size < s->n ? size : s->n;
	if (*ret)
		memcpy(p, s->p, *ret);
	s->p += *ret;
	s->n -= *ret;
	return KF_OK;
}
