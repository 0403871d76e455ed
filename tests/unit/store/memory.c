/* SPDX-License-Identifier: Apache-2.0 */
#include "suite.h"

static const char *fresh_location(void) { return "memory:"; }
TEST_MAIN
