/* SPDX-License-Identifier: Apache-2.0
 *
 * apache: the two halves of the reader for Apache httpd: apache.c knows directives, apache_line.c lines, defines,
 * conditions and includes.
 */
#pragma once
#include "site/private.h"

enum apache_switch { SWITCH_IS_UNSAID, SWITCH_IS_OFF, SWITCH_IS_ON };

struct vhost {
	struct vhost *next;
	struct site_values certificates, keys, names, addresses;
	enum apache_switch ssl, proxy; /* SSLEngine, RemoteIPProxyProtocol */
};

/* A define and its value, or a module and its file. */
struct known {
	struct known *next;
	const char *name, *value; /* value NULL: no longer defined */
};

struct apache {
	struct reading *r;
	const char *dir, *server_root;
	struct vhost main, *host; /* host: that is being read */
	struct vhost *hosts, **last_host;
	bool has_proxy_exceptions; /* some may come without a PROXY line: perhaps we */
	struct known *defines, *modules, *environment;
};

/* One file and how far it has been read. */
struct apache_file {
	struct slice text;
	size_t at, line;
	struct words words; /* of the line; for a section, without the angle brackets */
	bool is_section;
	unsigned depth, skip_from, host_depth; /* sections; 0: not inside of one */
};

void apache_read_file(struct apache *a, const char *path, const struct site_value *by);
/* False at the end. */
bool apache_next_line(struct apache *a, struct apache_file *f);
void apache_include(struct apache *a, const struct words *w, bool is_optional);
/* Whether the section is to be read; true for all that are no conditions. */
bool apache_condition(const struct apache *a, const struct words *w);
void apache_define(struct apache *a, const char *name, const char *value);
void apache_undefine(struct apache *a, const char *name);
/* The variables of `envvars` beside the main file, as far as they are plain. */
void apache_read_envvars(struct apache *a);
