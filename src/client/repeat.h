/* SPDX-License-Identifier: Apache-2.0 */
/* repeat: which operations may be sent again when nobody knows whether they were done?  Not the parts of a message in
 * several requests (Correlation Value): call_options.is_once. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum repeat {
	REPEAT_FREELY,  /* doing it twice harms nobody */
	REPEAT_WITH_ID, /* changes the store: on servers that know request ids */
	REPEAT_NEVER,
};

enum repeat repeat_of(uint32_t operation);
