/* SPDX-License-Identifier: Apache-2.0
 *
 * file: what is needed so that a file is there after a crash.  Its bytes are synced by whoever writes them; its
 * name is on the disk when its folder is.
 */
#pragma once
#include "base/err.h"

/* The folder that a path lies in. */
kf_err file_sync_folder(const char *path);

/* A file that is whole and synced takes the place of another one of the same folder, or a free one: afterwards, and
 * after a crash, there is the old one or the new one.  An error may come when the new one is there already. */
kf_err file_put_in_place(const char *from, const char *to);
