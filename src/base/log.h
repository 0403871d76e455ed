/* SPDX-License-Identifier: Apache-2.0 */
/* log: one event, one line of key=value on standard error.
 *
 *     log_warn("handshake refused", LOG_TEXT("peer", address), LOG_ERR(e));
 *     -> level=warning event="handshake refused" peer="192.0.2.1:4711" err="..." why="..." at=...
 *
 * Values are quoted and cut here, so text of a peer may be passed as it is; secrets may not be passed
 * at all.  One site writes 20 lines at once and one a second from then on, however many ask for
 * them: no flood fills a disk.  What was left out is counted in the site's next line.
 * Under systemd (JOURNAL_STREAM) lines start with the <N> of their level.  For programs only, any
 * thread; the folders of the lower floors return errors instead.
 */
#pragma once
#include "base/bucket.h"
#include "base/buf.h"
#include <stdatomic.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

struct log_field {
	const char *key;
	enum { LOG_IS_TEXT, LOG_IS_NUMBER, LOG_IS_HEX, LOG_IS_ERR } kind;
	struct slice bytes;
	int64_t number;
	kf_err err;
};

#define LOG_TEXT(k, text)                                                                \
	((struct log_field){ .key = (k), .kind = LOG_IS_TEXT, .bytes = slice_of(text) })
#define LOG_SLICE(k, slice)                                                              \
	((struct log_field){ .key = (k), .kind = LOG_IS_TEXT, .bytes = (slice) })
#define LOG_HEX(k, slice)                                                                \
	((struct log_field){ .key = (k), .kind = LOG_IS_HEX, .bytes = (slice) })
#define LOG_NUM(k, n)                                                                    \
	((struct log_field){ .key = (k), .kind = LOG_IS_NUMBER, .number = (int64_t)(n) })
/* Prints err="text of the code" why="text of the site" at=file:line. */
#define LOG_ERR(e) ((struct log_field){ .key = "err", .kind = LOG_IS_ERR, .err = (e) })
/* errno, taken where the macro stands: errno="No such file or directory". */
#define LOG_ERRNO                                                                        \
	((struct log_field){                                                             \
		.key = "errno", .kind = LOG_IS_TEXT, .bytes = log_errno_text() })

/* Words of the option `log_level`, for conf tables; index + LOG_LEVEL_ERROR is the level. */
extern const char *const log_level_words[]; /* error warning notice info debug NULL */
void log_set_level(enum log_level level);   /* at start: NOTICE */
bool log_wants(enum log_level level);
void log_set_fd(int fd); /* tests; standard error otherwise */

#define log_error(...)  log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)   log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)   log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)  log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* log_err(e, "what we tried", fields...): an error with its code, why and where. */
#define log_err(e, event, ...) log_at(LOG_LEVEL_ERROR, event, LOG_ERR(e), ##__VA_ARGS__)

struct log_site {
	struct bucket bucket;
	_Atomic uint32_t left_out;
};

#define log_at(level, event, ...)                                                        \
	do {                                                                             \
		static struct log_site site_;                                            \
		if (log_wants(level)) {                                                  \
			const struct log_field fields_[] = { LOG_TEXT("event", event),   \
				##__VA_ARGS__ };                                         \
			log_write(&site_, (level), fields_,                              \
				sizeof(fields_) / sizeof(fields_[0]));                   \
		}                                                                        \
	} while (0)

void log_write(struct log_site *site, enum log_level level,
	const struct log_field *fields, size_t n);
struct slice log_errno_text(void);
