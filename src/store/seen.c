/* SPDX-License-Identifier: Apache-2.0 */
#include "store/seen.h"
#include "base/mem.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* One size always, so that one write replaces it. */
#define FORMAT "keyfleet seen 1 %020" PRId64 " %020" PRIu64 "\n"
enum { LINE_SIZE = 16 + 20 + 1 + 20 + 1 };

static kf_err parse(const char *line, struct seen *s)
{
	char again[LINE_SIZE + 1];
	if (sscanf(line, "keyfleet seen 1 %" SCNd64 " %" SCNu64, &s->incarnation,
		    &s->sequence) != 2)
		return kf_fail(CONFIG,
			"file of the newest sequence seen is damaged: if the "
			"store is right, remove it");
	int n = snprintf(again, sizeof(again), FORMAT, s->incarnation, s->sequence);
	return n == LINE_SIZE
		       ? KF_OK
		       : kf_fail(CONFIG, "file of the newest sequence seen is damaged");
}

kf_err seen_open(const char *path, struct seen *ret)
{
	struct seen s = { .fd = -1 };
	if (!path) {
		*ret = s;
		return KF_OK;
	}
	CLEANUP(mem_closep)
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kf_fail(
			CONFIG, "file of the newest sequence seen cannot be opened");
	char line[LINE_SIZE + 1] = { 0 };
	ssize_t n = pread(fd, line, LINE_SIZE, 0);
	if (n < 0)
		return kf_fail(IO, "file of the newest sequence seen cannot be read");
	if (n > 0)
		KF_TRY(parse(line, &s));
	s.fd = fd;
	fd = -1;
	*ret = s;
	return KF_OK;
}

void seen_close(struct seen *s) { mem_closep(&s->fd); }

kf_err seen_check(const struct seen *s, const struct head *h)
{
	bool is_older = h->incarnation < s->incarnation ||
			(h->incarnation == s->incarnation && h->sequence < s->sequence);
	if (is_older)
		return kf_fail(TAMPERED,
			"store is older than what this server has seen: it was "
			"rolled back; restore the newest backup with keyfleet "
			"restore, or remove the file `seen` to accept the loss");
	return KF_OK;
}

kf_err seen_put(struct seen *s, const struct head *h)
{
	if (!kf_ok(seen_check(s, h)))
		return KF_OK; /* a snapshot may be older: what was seen was seen */
	s->incarnation = h->incarnation;
	s->sequence = h->sequence;
	if (s->fd < 0)
		return KF_OK;
	char line[LINE_SIZE + 1];
	(void)snprintf(line, sizeof(line), FORMAT, s->incarnation, s->sequence);
	if (pwrite(s->fd, line, LINE_SIZE, 0) != LINE_SIZE)
		return kf_fail(IO, "file of the newest sequence seen cannot be written");
	return KF_OK;
}
