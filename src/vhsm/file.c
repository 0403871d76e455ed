/* SPDX-License-Identifier: Apache-2.0
 *
 * file: elementary files, flat, by identifier.  Sorted, so that lists come in a stable order.
 */
#include "base/tlv.h"
#include "vhsm/card.h"
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 32768 };

static size_t place_of(const struct card *c, uint16_t fid)
{
	size_t low = 0, high = c->n_files;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (c->files[middle].fid < fid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct ef *file_find(struct card *c, uint16_t fid)
{
	size_t i = place_of(c, fid);
	return i < c->n_files && c->files[i].fid == fid ? &c->files[i] : NULL;
}

static struct ef *file_add(struct card *c, uint16_t fid)
{
	if (c->n_files == CARD_FILES_MAX)
		return NULL;
	struct ef *files = realloc(c->files, (c->n_files + 1) * sizeof(*files));
	if (!files)
		return NULL;
	c->files = files;
	size_t i = place_of(c, fid);
	memmove(files + i + 1, files + i, (c->n_files - i) * sizeof(*files));
	files[i] = (struct ef){ fid, buf_new(FILE_MAX) };
	c->n_files++;
	return &files[i];
}

/* A write at the beginning makes the file anew; further ones overwrite or lengthen it. */
static void put(struct ef *f, size_t offset, struct slice data)
{
	if (offset == 0)
		buf_clear(&f->data);
	size_t inside = f->data.n - offset < data.n ? f->data.n - offset : data.n;
	if (inside)
		memcpy(f->data.p + offset, data.p, inside);
	if (data.n > inside)
		buf_add(&f->data, data.p + inside, data.n - inside);
}

sw_t file_write(struct card *c, uint16_t fid, size_t offset, struct slice data)
{
	if (offset + data.n > FILE_MAX)
		return SW_MEMORY;
	struct ef *f = file_find(c, fid);
	size_t had = f ? f->data.n : 0;
	if (offset > had)
		return SW_OFFSET; /* would leave a hole */
	size_t has = offset == 0 || offset + data.n > had ? offset + data.n : had;
	if (c->n_bytes - had + has > CARD_BYTES_MAX)
		return SW_MEMORY;
	if (!f && !(f = file_add(c, fid)))
		return SW_MEMORY;
	put(f, offset, data);
	c->n_bytes += f->data.n - had;
	c->is_changed = true;
	return SW_OK;
}

void file_delete(struct card *c, uint16_t fid)
{
	struct ef *f = file_find(c, fid);
	if (!f)
		return;
	c->n_bytes -= f->data.n;
	buf_free(&f->data);
	size_t i = (size_t)(f - c->files);
	memmove(f, f + 1, (c->n_files - i - 1) * sizeof(*f));
	c->n_files--;
	c->is_changed = true;
}

static void add_fid(struct buf *to, uint16_t fid)
{
	buf_add_u8(to, (uint8_t)(fid >> 8));
	buf_add_u8(to, (uint8_t)fid);
}

void file_list(const struct card *c, struct buf *to)
{
	for (unsigned i = 0; i < CARD_KEYS; i++)
		if (c->keys[i])
			add_fid(to, (uint16_t)(FID_KEY | i));
	for (size_t i = 0; i < c->n_files; i++)
		if (c->files[i].fid >= FID_KEY_DESCRIPTION)
			add_fid(to, c->files[i].fid);
}

sw_t cmd_enumerate(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)a;
	file_list(c, to);
	return SW_OK;
}

static bool is_key_fid(uint16_t fid) { return (fid & 0xff00) == FID_KEY; }

/* Of SELECT, READ and UPDATE: P1 P2, or the selected file when they are zero. */
static uint16_t fid_of(const struct card *c, uint16_t p1p2)
{
	return p1p2 ? p1p2 : c->selected;
}

/* 54 02 offset; then, in UPDATE, 53 data. */
static bool offset_of(struct slice *data, size_t *ret)
{
	struct tlv t;
	if (!tlv_next(data, &t) || t.tag != 0x54 || t.value.n == 0 || t.value.n > 2)
		return false;
	*ret = t.value.n == 2 ? (size_t)t.value.p[0] << 8 | t.value.p[1] : t.value.p[0];
	return true;
}

static sw_t read_file(
	struct card *c, uint16_t fid, size_t offset, size_t ne, struct buf *to)
{
	if (is_key_fid(fid) && c->keys[fid & 0xff])
		return SW_NOT_LOGGED_IN; /* never to be read */
	if ((fid & 0xff00) == FID_PROTECTED_DATA && !c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	const struct ef *f = file_find(c, fid);
	if (!f)
		return SW_NOT_FOUND;
	if (offset > f->data.n)
		return SW_OFFSET;
	size_t n = f->data.n - offset;
	if (ne && n > ne)
		n = ne;
	if (n)
		buf_add(to, f->data.p + offset, n);
	return ne && n < ne && ne != APDU_NE_SHORT && ne != APDU_NE_EXTENDED
		       ? SW_END_OF_FILE
		       : SW_OK;
}

sw_t cmd_read(struct card *c, const struct apdu *a, struct buf *to)
{
	struct slice rest = a->data;
	size_t offset;
	if (!offset_of(&rest, &offset))
		return SW_DATA;
	return read_file(c, fid_of(c, apdu_p1p2(a)), offset, a->ne, to);
}

/* The even form: offset in P1 P2, of the selected file. */
sw_t cmd_read_even(struct card *c, const struct apdu *a, struct buf *to)
{
	if (a->p1 & 0x80)
		return SW_P1P2;
	return read_file(c, c->selected, apdu_p1p2(a), a->ne, to);
}

static sw_t update_file(struct card *c, uint16_t fid, size_t offset, struct slice data)
{
	if (!c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	if (fid == 0 || is_key_fid(fid) || fid == FID_DEVICE_CERTIFICATE)
		return SW_CONDITIONS;
	return file_write(c, fid, offset, data);
}

sw_t cmd_update(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	struct slice rest = a->data;
	struct tlv t;
	size_t offset;
	if (!offset_of(&rest, &offset) || !tlv_next(&rest, &t) || t.tag != 0x53 || rest.n)
		return SW_DATA;
	uint16_t fid = fid_of(c, apdu_p1p2(a));
	sw_t status = update_file(c, fid, offset, t.value);
	if (status == SW_OK)
		c->selected = fid;
	return status;
}

sw_t cmd_update_even(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	if (a->p1 & 0x80)
		return SW_P1P2;
	return update_file(c, c->selected, apdu_p1p2(a), a->data);
}

sw_t cmd_delete(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	if (a->data.n != 2)
		return SW_LENGTH;
	uint16_t fid = (uint16_t)(a->data.p[0] << 8 | a->data.p[1]);
	if (!c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	if (fid == FID_KEY || fid == FID_DEVICE_CERTIFICATE)
		return SW_CONDITIONS;
	if (is_key_fid(fid) && c->keys[fid & 0xff]) {
		card_put_key(c, (uint8_t)fid, &(struct key *){ NULL });
		return SW_OK;
	}
	if (!file_find(c, fid))
		return SW_NOT_FOUND;
	file_delete(c, fid);
	return SW_OK;
}
