/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/adopt.h"
#include "client/keyref.h"
#include <string.h>

static const uint8_t *find(struct slice text, const char *words)
{
	return memmem(text.p, text.n, words, strlen(words));
}

bool pem_has(struct slice text, const char *words)
{
	return text.n && find(text, words) != NULL;
}

static struct slice behind(struct slice text, const uint8_t *at)
{
	return (struct slice){ at, text.n - (size_t)(at - text.p) };
}

/* From the line after the block's last one. */
static struct slice skip_block(struct slice block)
{
	const uint8_t *end = find(block, "-----END ");
	struct slice rest = end ? behind(block, end) : (struct slice){ block.p, 0 };
	const uint8_t *line = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
	return line ? behind(rest, line + 1) : (struct slice){ block.p, 0 };
}

static bool is_key_block(struct slice block)
{
	const uint8_t *line = memchr(block.p, '\n', block.n);
	const struct slice label = { block.p, line ? (size_t)(line - block.p) : block.n };
	return pem_has(label, "PRIVATE KEY-----") || pem_has(label, "PARAMETERS-----") ||
	       pem_has(label, KEYREF_LABEL);
}

void pem_without_keys(struct slice text, struct buf *ret)
{
	static const char begin[] = "-----BEGIN ";
	while (text.n) {
		const uint8_t *at = find(text, begin);
		struct slice block = at ? behind(text, at) : (struct slice){ text.p, 0 };
		if (!at || !is_key_block(block)) {
			/* up to and with this block's first word, or all */
			size_t n = at ? text.n - block.n + sizeof(begin) - 1 : text.n;
			buf_add(ret, text.p, n);
			text.p += n;
			text.n -= n;
			continue;
		}
		buf_add(ret, text.p, text.n - block.n);
		text = skip_block(block);
	}
}
