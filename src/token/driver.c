/* SPDX-License-Identifier: Apache-2.0 */
#include "token/driver.h"
#include <stdlib.h>
#include <string.h>

enum { TRIES_FOR_PEOPLE = 2 };

bool token_may_try_pin(const struct token_facts *f)
{
	return f->pin_tries > TRIES_FOR_PEOPLE;
}

void token_blob_id(const struct token_blob *b, uint8_t ret[KEY_ID_SIZE])
{
	if (b->alg && b->alg->family == FAMILY_AES)
		memcpy(ret, b->key_id, KEY_ID_SIZE);
	else
		spki_id(buf_slice(&b->spki), ret);
}

void token_key_facts_free(struct token_key_facts *f)
{
	buf_free(&f->spki);
	buf_free(&f->certificate);
	*f = (struct token_key_facts){ 0 };
}

void token_key_list_free(struct token_key_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		token_key_facts_free(&l->key[i]);
	free(l->key);
	*l = (struct token_key_list){ 0 };
}

void token_blob_free(struct token_blob *b)
{
	buf_free(&b->wrapped);
	buf_free(&b->spki);
	buf_free(&b->certificate);
	*b = (struct token_blob){ 0 };
}
