#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The floors' check finds what it must: an include that goes up, sideways, out of the tree, or into a closed room.
set -u
floors=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/low" "$tree/left" "$tree/right" "$tree/guest"
printf 'low\nleft right\nguest\nonly guest: low\n' >"$tree/FLOORS"
n=0 bad=0

# finds WHAT FILE LINE: planted there, the line must be found
finds() {
	n=$((n + 1))
	printf '%s\n' "$3" >"$tree/$2"
	if "$floors" "$tree/FLOORS" "$tree" >/dev/null 2>&1; then
		echo "not ok $n - $1"
		bad=1
	else
		echo "ok $n - $1"
	fi
	rm "$tree/$2"
}

echo 1..7
n=1
if "$floors" "$tree/FLOORS" "$tree"; then echo "ok 1 - a clean tree passes"; else echo "not ok 1 - a clean tree passes"; bad=1; fi
finds "an include that goes up" low/a.c '#include "left/x.h"'
finds "with spaces inside" low/a.c '#  include   "left/x.h"'
finds "an include of a neighbour" left/a.h '#include "right/x.h"'
finds "an include that climbs" right/a.c '#include "../low/x.h"'
finds "an included .c" right/a.c '#include "low/x.c"'
finds "a closed room" guest/a.c '#include "left/x.h"'
exit $bad
