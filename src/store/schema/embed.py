#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py OUTPUT FILE...: rows X(NUMBER, "name", "text") of the schema files, for store/schema.c."""
import os
import sys


def literal(line):
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"'


def main(output, files):
    with open(output, "w") as out:
        out.write("/* SPDX-License-Identifier: Apache-2.0 */\n")
        for number, path in enumerate(sorted(files), 1):
            name = os.path.basename(path)
            if int(name.split("-")[0]) != number:
                sys.exit(f"{name}: files are numbered 001, 002, ... without a gap")
            lines = [line.rstrip("\n") for line in open(path)]
            text = "\n".join(literal(line) for line in lines if line and not line.startswith("--"))
            out.write(f'X({number}, "{name}",\n{text})\n')


main(sys.argv[1], sys.argv[2:])
