/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/refused.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypt/keyring.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ROWS_MAX = POOL_REFUSALS_MAX,
	TRIES_MAX = 255,
	FILE_MAX = ROWS_MAX * (TOKEN_SERIAL_SIZE + 2 * MAC_SIZE + 2 + (int)sizeof("/255"))
};

struct row {
	char serial[TOKEN_SERIAL_SIZE];
	uint8_t mac[MAC_SIZE];
	int asked; /* as struct pool_refusal has it */
	bool is_ours; /* of a PIN that is in use now: the pools say whether it is refused still */
};

struct refused {
	char path[PATH_MAX], new_path[PATH_MAX];
	const struct keyring *keyring;
	pthread_mutex_t lock; /* what follows, and the file */
	bool is_unwritten;    /* the file could not be written */
	bool is_full;
	size_t n;
	struct row row[ROWS_MAX];
};

/* ---- lines ---- */

static kf_err mac_of(const struct refused *r, const char *key, const char *serial,
	const struct token_pin *pin, uint8_t ret[MAC_SIZE])
{
	uint8_t both[TOKEN_SERIAL_SIZE + TOKEN_PIN_MAX] = { 0 };
	snprintf((char *)both, TOKEN_SERIAL_SIZE, "%s", serial);
	memcpy(both + TOKEN_SERIAL_SIZE, pin->bytes, pin->n);
	kf_err e = keyring_mac(r->keyring, slice_of(key), "refused pin",
		(struct slice){ both, TOKEN_SERIAL_SIZE + pin->n }, ret);
	OPENSSL_cleanse(both, sizeof(both));
	return e;
}

/* Whichever master key was the newest then. */
static bool is_of(
	const struct refused *r, const struct row *row, const struct token_pin *pin)
{
	uint8_t mac[MAC_SIZE];
	for (size_t i = 0; i < keyring_count(r->keyring); i++)
		if (kf_ok(mac_of(r, keyring_id(r->keyring, i), row->serial, pin, mac)) &&
			!CRYPTO_memcmp(mac, row->mac, MAC_SIZE))
			return true;
	return false;
}

static bool parse_asked(const char *text, int *ret)
{
	char *end;
	if (!*text)
		return true;
	if (*text != '/' || !isdigit((unsigned char)text[1]))
		return false;
	unsigned long n = strtoul(text + 1, &end, 10);
	*ret = (int)n;
	return !*end && n > 0 && n <= TRIES_MAX;
}

static bool parse(const char *line, struct row *ret)
{
	const char *hex = strrchr(line, ' '); /* serial numbers may have blanks */
	size_t n = hex ? (size_t)(hex - line) : 0;
	*ret = (struct row){ 0 };
	if (!n || n >= sizeof(ret->serial) || strlen(hex + 1) < 2 * (size_t)MAC_SIZE ||
		!parse_asked(hex + 1 + 2 * (size_t)MAC_SIZE, &ret->asked))
		return false;
	memcpy(ret->serial, line, n);
	for (size_t i = 0; i < MAC_SIZE; i++)
		if (sscanf(hex + 1 + 2 * i, "%2hhx", &ret->mac[i]) != 1)
			return false;
	return true;
}

static void read_lines(struct refused *r, char *text)
{
	char *rest = text, *line;
	while (r->n < ROWS_MAX && (line = strsep(&rest, "\n")))
		r->n += parse(line, &r->row[r->n]);
}

static void read_file(struct refused *r)
{
	CLEANUP(mem_closep) int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	CLEANUP(mem_freep) char *text = fd < 0 ? NULL : calloc(1, FILE_MAX + 1);
	if (text && read(fd, text, FILE_MAX) > 0)
		read_lines(r, text);
}

/* ---- the file ---- */

static kf_err write_all(const struct refused *r, int fd)
{
	autobuf text = buf_new(FILE_MAX + 1);
	for (size_t i = 0; i < r->n; i++) {
		buf_printf(&text, "%s ", r->row[i].serial);
		for (size_t k = 0; k < MAC_SIZE; k++)
			buf_printf(&text, "%02x", r->row[i].mac[k]);
		if (r->row[i].asked)
			buf_printf(&text, "/%d", r->row[i].asked);
		buf_add_u8(&text, '\n');
	}
	KF_TRY(buf_err(&text));
	if (write(fd, text.p, text.n) != (ssize_t)text.n || fsync(fd) != 0)
		return kf_fail(IO, "file of refused PINs cannot be written");
	return KF_OK;
}

/* One that came back after a crash would only keep a PIN from being tried. */
static kf_err remove_file(const struct refused *r)
{
	return unlink(r->path) == 0 || errno == ENOENT
		       ? KF_OK
		       : kf_fail(IO, "file of refused PINs cannot be removed");
}

static kf_err write_file(const struct refused *r)
{
	if (!r->n)
		return remove_file(r);
	CLEANUP(mem_closep)
	int fd = open(
		r->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kf_fail(IO, "file of refused PINs cannot be made");
	KF_TRY(write_all(r, fd));
	return file_put_in_place(r->new_path, r->path);
}

/* ---- life ---- */

kf_err refused_open(const char *seen, const struct keyring *keyring, struct refused **ret)
{
	const char *slash = seen ? strrchr(seen, '/') : NULL;
	struct refused *r = slash && keyring ? calloc(1, sizeof(*r)) : NULL;
	*ret = r;
	if (!r)
		return slash && keyring ? kf_fail(NOMEM, "refused PINs") : KF_OK;
	r->keyring = keyring;
	pthread_mutex_init(&r->lock, NULL);
	snprintf(
		r->path, sizeof(r->path), "%.*s/pins-refused", (int)(slash - seen), seen);
	snprintf(r->new_path, sizeof(r->new_path), "%.*s/pins-refused.new",
		(int)(slash - seen), seen);
	read_file(r);
	return KF_OK;
}

void refused_free(struct refused *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void tell(const struct row *row, struct pool_refusal *ret)
{
	*ret = (struct pool_refusal){ .asked = row->asked };
	memcpy(ret->serial, row->serial, sizeof(ret->serial));
}

size_t refused_of(struct refused *r, const struct token_pin *pin,
	struct pool_refusal *ret, size_t n)
{
	size_t found = 0;
	for (size_t i = 0; r && pin && i < r->n; i++) {
		if (!is_of(r, &r->row[i], pin))
			continue;
		r->row[i].is_ours = true;
		if (found < n)
			tell(&r->row[i], &ret[found++]);
	}
	return found;
}

static bool is_same(const struct refused *r, const struct row *row, size_t n)
{
	return r->n == n && !memcmp(r->row, row, n * sizeof(*row));
}

static kf_err note(
	const struct refused *r, const struct pool_refusal *from, struct row *to)
{
	to->is_ours = true;
	to->asked = from->asked < TRIES_MAX ? from->asked : TRIES_MAX;
	snprintf(to->serial, sizeof(to->serial), "%s", from->serial);
	return mac_of(r, keyring_id(r->keyring, 0), to->serial, from->pin, to->mac);
}

/* What is refused now, and what was of PINs that nobody uses now: they may be put back. */
static kf_err collect(
	const struct refused *r, struct pools *pools, struct row *row, size_t *ret)
{
	CLEANUP(mem_freep) struct pool_refusal *now = calloc(ROWS_MAX, sizeof(*now));
	if (!now)
		return kf_fail(NOMEM, "refused PINs");
	size_t n = pools_refusals(pools, now, ROWS_MAX);
	n = n < ROWS_MAX ? n : ROWS_MAX;
	for (size_t i = 0; i < n; i++)
		KF_TRY(note(r, &now[i], &row[i]));
	for (size_t i = 0; i < r->n && n < ROWS_MAX; i++)
		if (!r->row[i].is_ours)
			row[n++] = r->row[i];
	*ret = n;
	return KF_OK;
}

/* Once, until there is room again. */
static void tell_full(struct refused *r, size_t n)
{
	const bool is_full = n == ROWS_MAX;
	if (is_full && !r->is_full)
		log_warn("so many tokens have refused a PIN that the oldest are "
			 "forgotten: one of those may cost its token another try",
			LOG_NUM("remembered", ROWS_MAX));
	r->is_full = is_full;
}

static void keep(struct refused *r, struct pools *pools, struct row *row)
{
	size_t n = 0;
	if (!kf_ok(collect(r, pools, row, &n)))
		return;
	tell_full(r, n);
	if (is_same(r, row, n) && !r->is_unwritten)
		return;
	memcpy(r->row, row, n * sizeof(*row));
	r->n = n;
	kf_err e = write_file(r);
	if (!kf_ok(e) && !r->is_unwritten)
		log_err(e, "a refused PIN may be tried again after a restart");
	r->is_unwritten = !kf_ok(e);
}

void refused_keep(struct refused *r, struct pools *pools)
{
	CLEANUP(mem_freep) struct row *row = r ? calloc(ROWS_MAX, sizeof(*row)) : NULL;
	if (!row)
		return;
	pthread_mutex_lock(&r->lock);
	keep(r, pools, row);
	pthread_mutex_unlock(&r->lock);
}
