/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listen.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, BUDGET = 64 };

static const char *socket_path(const struct address *a)
{
	const struct sockaddr_un *sun = (const struct sockaddr_un *)&a->sa;
	return address_is_unix(a) && sun->sun_path[0] ? sun->sun_path : NULL;
}

/* A socket file that nobody answers at is left over from a process that was killed. */
static kf_err clear_path(const struct address *a)
{
	const char *path = socket_path(a);
	struct stat st;
	CLEANUP(mem_closep) int fd = -1;
	if (!path || lstat(path, &st) < 0)
		return KF_OK;
	if (!S_ISSOCK(st.st_mode))
		return kf_fail(EXISTS, "path of the socket is taken by something else");
	kf_err e = connect_start(a, &fd);
	if (kf_ok(e) || kf_is(e, KF_E_BUSY))
		return kf_fail(EXISTS, "another process listens there");
	unlink(path);
	return KF_OK;
}

static kf_err bind_failed(void)
{
	if (errno == EADDRINUSE)
		return kf_fail(EXISTS, "another process listens there");
	if (errno == EACCES || errno == EPERM)
		return kf_fail(DENIED, "no right to listen there");
	if (errno == ENOENT || errno == ENOTDIR)
		return kf_fail(NOT_FOUND, "the folder for the socket does not exist");
	if (errno == EADDRNOTAVAIL)
		return kf_fail(INVALID_FIELD, "address is none of this host's");
	return kf_fail(IO, "listening failed");
}

kf_err listen_open(
	const struct address *a, const struct listen_options *options, int *ret_fd)
{
	int one = 1, backlog = options && options->backlog ? options->backlog : BACKLOG;
	KF_TRY(clear_path(a));
	CLEANUP(mem_closep)
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return kf_fail(IO, "socket cannot be made");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&a->sa, a->n) < 0)
		return bind_failed();
	mode_t mode = options && options->unix_mode ? (mode_t)options->unix_mode : 0666;
	if (socket_path(a) && chmod(socket_path(a), mode) < 0)
		return kf_fail(IO, "mode of the socket cannot be set");
	if (listen(fd, backlog) < 0)
		return bind_failed();
	*ret_fd = fd;
	fd = -1;
	return KF_OK;
}

kf_err listen_adopt(int fd)
{
	int type = 0, is_listening = 0, flags = fcntl(fd, F_GETFL);
	socklen_t n = sizeof(type), m = sizeof(is_listening);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &m) < 0 ||
		!is_listening)
		return kf_fail(
			CONFIG, "inherited descriptor is no listening stream socket");
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return kf_fail(IO, "fcntl");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return KF_OK;
}

static int open_reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

static bool is_out_of_descriptors(int no)
{
	return no == EMFILE || no == ENFILE || no == ENOBUFS || no == ENOMEM;
}

/* Gives up the reserve to take one connection off the backlog and close it. */
static bool turn_one_away(struct listener *l)
{
	if (l->reserve_fd < 0)
		return false;
	close(l->reserve_fd);
	int fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->reserve_fd = open_reserve();
	l->refused += fd >= 0;
	return fd >= 0;
}

/* False: enough for this round. */
static bool accept_one(struct listener *l)
{
	struct address peer = { .n = sizeof(peer.sa) };
	int fd = accept4(l->watch.fd, (struct sockaddr *)&peer.sa, &peer.n,
		SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && is_out_of_descriptors(errno))
		return turn_one_away(l);
	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
	if (l->reserve_fd < 0)
		l->reserve_fd = open_reserve(); /* another thread was faster, last time */
	address_tune(fd, &peer);
	l->accepted(l, fd, &peer);
	return true;
}

static void accept_ready(struct loop_watch *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);
	(void)events;
	/* The callee may stop or pause us in the middle. */
	for (int left = l->budget; left > 0 && l->watch.events; left--)
		if (!accept_one(l))
			return;
}

kf_err listener_start(struct listener *l, struct loop *loop, int fd)
{
	l->loop = loop;
	l->watch = (struct loop_watch){ .fd = fd, .ready = accept_ready };
	l->budget = l->budget > 0 ? l->budget : BUDGET;
	l->reserve_fd = open_reserve();
	return loop_add(loop, &l->watch, EPOLLIN);
}

kf_err listener_pause(struct listener *l, bool is_paused)
{
	return loop_change(l->loop, &l->watch, is_paused ? 0 : EPOLLIN);
}

void listener_stop(struct listener *l)
{
	if (!l->loop)
		return;
	loop_remove(l->loop, &l->watch);
	close(l->watch.fd);
	if (l->reserve_fd >= 0)
		close(l->reserve_fd);
	l->loop = NULL;
	l->reserve_fd = l->watch.fd = -1;
}
