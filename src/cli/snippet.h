/* SPDX-License-Identifier: Apache-2.0
 *
 * snippet: the configurations that make stock servers use key references.
 */
#pragma once

const char *snippet_text(const char *server); /* NULL: there is none */
