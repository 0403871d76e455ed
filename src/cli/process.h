/* SPDX-License-Identifier: Apache-2.0
 *
 * process: processes of this host, by /proc; and programs that are run to the end.
 */
#pragma once
#include "base/buf.h"
#include <sys/types.h>

enum { PROCESS_CHILDREN_MAX = 4096 };

struct pids {
	pid_t item[PROCESS_CHILDREN_MAX];
	size_t n;
};

/* Each process of this network namespace; stops when each() says false. */
void process_each(bool (*each)(void *arg, pid_t pid), void *arg);
/* Name of the program's file, without its folder; "" when it is gone or another's. */
void process_program(pid_t pid, char *ret, size_t size);
void process_path(pid_t pid, char *ret, size_t size);
pid_t process_parent(pid_t pid);
/* Whoever started it is root or who we are: its program, environment and arguments can be believed. */
bool process_is_ours(pid_t pid);
/* The arguments joined by blanks: what ps shows. */
void process_title(pid_t pid, char *ret, size_t size);
bool process_maps(pid_t pid, const char *file_name);
bool process_is_gone(pid_t pid);
void process_children(pid_t pid, struct pids *ret);
bool pids_has(const struct pids *p, pid_t pid);

/* "/proc/PID/NAME" whole, NULs and all. */
kf_err process_read(pid_t pid, const char *name, struct buf *ret);

/* Runs a program without a terminal; what it writes goes to `output`, as far as it fits.  environ_of: a process
 * whose first environment it gets, 0: ours.  IO when it cannot be run, TIMEOUT, DENIED when its status is not 0. */
struct run {
	const char *const *argv;
	pid_t environ_of;
	unsigned timeout_ms;
};
kf_err process_run(const struct run *run, struct buf *output);
