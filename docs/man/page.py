#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""page: a manual page of its scdoc source, in which a line @OPTIONS PROGRAM@ stands for what
PROGRAM --options prints, a line @COMMANDS PROGRAM@ for the commands of PROGRAM and their --help, and a line @CHECKS PROGRAM@ for
what PROGRAM doctor --checks prints.

    page.py SOURCE OUT NAME=PATH...      NAME is how the source calls the program at PATH
"""
import re
import subprocess
import sys


def output(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def escaped(text):
    return re.sub(r"([\\*_#|`~<>])", r"\\\1", text)


def options(program, *arguments):
    """`[section]`, `  key = TYPE` and deeper lines of text become headers and a list of definitions."""
    page, is_new = [], False
    for line in output(program, *(arguments or ["--options"])).splitlines():
        if line.startswith("["):
            page += ["", "## " + escaped(line), ""]
            is_new = True
        elif line.startswith("      "):
            page += ["\t" + escaped(line.strip()), ""]
        elif re.match(r"  [a-z_0-9-]+ = ", line):
            key, kind = line.strip().split(" = ", 1)
            page += [f"*{escaped(key)}* = {escaped(kind)}"]
            is_new = False
        elif line.strip() and is_new:
            page += [escaped(line.strip()) + ".", ""]
    return page


def checks(program):
    return options(program, "doctor", "--checks")


def command_words(program):
    """Lines of --help: two blanks, the words, blanks, the summary."""
    return [line[2:18].strip() for line in output(program, "--help").splitlines()
            if re.match(r"  [a-z]", line)]


def command(program, words):
    usage, rest = output(program, *words.split(), "--help").split("\n\n", 1)
    arguments = " ".join(usage.split()).split(" ", 2)[2][len(words):].strip()
    summary, _, details = rest.partition("\n\n")
    page = [f"*{words}* {escaped(arguments)}".rstrip(), "\t" + escaped(summary.strip()) + ".", ""]
    if details.strip():
        page += ["\t```", *("\t" + line for line in details.rstrip().splitlines()), "\t```", ""]
    return page


def commands(program):
    return [line for words in command_words(program) for line in command(program, words)]


def metrics(program):
    """`  name type`, the sentence, and lines of labels become a list of definitions."""
    page = []
    for line in output(program, "--metrics").splitlines():
        text = escaped(line.strip())
        if line.startswith("      "):
            page += ["\t" + text, ""]
        else:
            name, kind = text.rsplit(" ", 1)
            page += [f"*{name}* ({kind})"]
    return page


EXPANDERS = {"CHECKS": checks, "OPTIONS": options, "COMMANDS": commands, "METRICS": metrics}


def expanded(text, programs):
    for line in text.splitlines():
        found = re.fullmatch(r"@(CHECKS|OPTIONS|COMMANDS|METRICS) (\S+)@", line)
        if found:
            yield from EXPANDERS[found[1]](programs[found[2]])
        else:
            yield line


def main():
    source, out, *pairs = sys.argv[1:]
    programs = dict(p.split("=", 1) for p in pairs)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(expanded(open(source).read(), programs))) + "\n"
    roff = subprocess.run(["scdoc"], input=text, check=True, stdout=subprocess.PIPE, text=True).stdout
    with open(out, "w") as f:
        f.write(roff)


if __name__ == "__main__":
    main()
