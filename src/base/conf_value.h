/* SPDX-License-Identifier: Apache-2.0 */
/* conf_value: one value of a configuration, from text into a field; private to base/conf*.c. */
#pragma once
#include "base/conf.h"

enum { CONF_VALUE_MAX = 4096, CONF_WHY_MAX = 512 };

/* The field keeps its old value on failure; `why` then says what is wrong and what would be right. */
bool conf_set(const struct conf_option *o, const char *dir, const char *text, void *field,
	char why[CONF_WHY_MAX]);
void conf_clear(const struct conf_option *o, void *field); /* frees what it owns */
const char *conf_type_text(enum conf_type type);           /* "DURATION" */
