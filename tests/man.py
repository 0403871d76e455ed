#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages and guides say what the programs do: all of it, and nothing else.

    man.py SOURCE-ROOT BUILD-ROOT       speaks TAP
"""
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT, BUILD = sys.argv[1:3]
PAGES = sorted(glob.glob(os.path.join(BUILD, "docs/man/*.[0-9]")))
TEXTS = [os.path.join(ROOT, "README.md"), *glob.glob(os.path.join(ROOT, "docs/guide/*.md")),
         *glob.glob(os.path.join(ROOT, "docs/man/*.scd"))]
PROGRAMS = {"keyfleet": "client.conf.5", "keyfleetd": "keyfleetd.conf.5", "keyfleet-agent": "agent.conf.5"}


def output(program, *arguments):
    return subprocess.run([os.path.join(BUILD, "bin", program), *arguments], check=True, capture_output=True,
                          text=True).stdout


def rendered(page):
    done = subprocess.run(["man", "-l", "--warnings=w", page], capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""})
    return done.stdout, done.stderr.strip()


def words_of(text):
    return re.sub(r"\s+", " ", re.sub(r".\x08", "", text))


def commands():
    return [line[2:18].strip() for line in output("keyfleet", "--help").splitlines() if re.match(r"  [a-z]", line)]


def options_of(text):
    return set(re.findall(r"--[a-z][a-z-]+", text))


def claim_every_page_renders_without_a_warning():
    for page in PAGES:
        text, warnings = rendered(page)
        yield f"{page}: {warnings}" if warnings else None
        yield None if "NAME" in text else f"{page}: nothing was rendered"


def claim_every_option_of_a_configuration_is_in_its_page():
    for program, page in PROGRAMS.items():
        text = words_of(rendered(os.path.join(BUILD, "docs/man", page))[0])
        for key in re.findall(r"^  ([a-z_0-9]+) = ", output(program, "--options"), re.M):
            yield None if f"{key} = " in text else f"{page} lacks {key}"


def claim_every_command_and_each_of_its_options_is_in_keyfleet_1():
    text = words_of(rendered(os.path.join(BUILD, "docs/man/keyfleet.1"))[0])
    for words in commands():
        yield None if f"{words} " in text else f"keyfleet(1) lacks {words}"
        for option in options_of(output("keyfleet", *words.split(), "--help")):
            yield None if option in text else f"keyfleet(1) lacks {option} of {words}"


def claim_every_option_of_a_program_is_in_its_page():
    for program in PROGRAMS:
        page = glob.glob(os.path.join(BUILD, f"docs/man/{program}.[18]"))[0]
        text = words_of(rendered(page)[0])
        for option in options_of(output(program, "--help")):
            yield None if option in text else f"{page} lacks {option}"


def example_lines():
    """Lines of examples that call one of our programs, continued lines joined, without comments."""
    for path in TEXTS:
        for line in open(path).read().replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:\$ |# )?(?:sudo )?(?:(?:runuser|setpriv) .*-- )?(keyfleet(?:d|-agent)?) ([^#>|`]*)", line)
            if found and not found[2].startswith("- "):  # the name of a page is no example
                yield os.path.basename(path), found[1], found[2].split()


def inline_examples():
    """Those within a sentence; what is no command of ours is no example."""
    for path in TEXTS:
        for found in re.finditer(r"`(keyfleet(?:d|-agent)?) ([a-z][^`#>|]*)`", open(path).read()):
            yield os.path.basename(path), found[1], found[2].split()


def claim_examples_use_commands_and_options_that_exist():
    known = commands()
    help_of = {w: output("keyfleet", *w.split(), "--help") for w in known}
    general = {p: options_of(output(p, "--help")) | {"--help"} for p in PROGRAMS}
    for is_line, (path, program, words) in [*((True, e) for e in example_lines()), *((False, e) for e in inline_examples())]:
        allowed = set(general[program])
        if program == "keyfleet":
            rest = [w for i, w in enumerate(words) if w[0] != "-" and (i == 0 or words[i - 1] != "--config")]
            found = [k for k in known if rest[:len(k.split())] == k.split()]
            yield None if found or not is_line or not rest or rest[0].isupper() or not rest[0].isalpha() else \
                f"{path}: keyfleet has no command {' '.join(rest[:2])}"
            allowed |= options_of(help_of[max(found, key=len)]) if found else set()
        for option in options_of(" ".join(words)) - allowed:
            yield f"{path}: {program} {' '.join(words)}: no option {option}"


def claim_pages_that_are_referred_to_exist():
    names = {os.path.basename(p) for p in PAGES}
    for path in TEXTS:
        for name, section in re.findall(r"\*?((?:keyfleet[a-z.-]*|client\.conf|agent\.conf))\*?\(([1-8])\)", open(path).read()):
            yield None if f"{name.rstrip('*')}.{section}" in names else f"{path}: no page {name}({section})"


def claim_every_field_and_operation_of_ours_is_in_wire_md():
    text = open(os.path.join(ROOT, "docs/wire.md")).read()
    tags = open(os.path.join(ROOT, "src/ttlv/tag.def")).read()
    types = {"BYTES": "Byte String", "INT": "Integer", "TEXT": "Text String", "STRUCT": "Structure", "BOOL": "Boolean",
             "DATE": "Date-Time", "LONG": "Long Integer"}
    for tag, kind, name in re.findall(r'^X\(\w+,\s+0x(54\w+), B_(\w+),.*"(.*)"\)', tags, re.M):
        yield None if f"| {tag} | {name} | {types[kind]}" in text else f"wire.md lacks {tag} {name}, {types[kind]}"
    enums = open(os.path.join(ROOT, "src/ttlv/enum.def")).read()
    for code, name in re.findall(r'^X\(OPERATION, \w+, (0x8\w+), .*"(.*)"\)', enums, re.M):
        yield None if f"| {name} | {code} |" in text else f"wire.md lacks {name}, {code}"


def main():
    if not PAGES or not shutil.which("man"):
        print("1..0 # SKIP no pages, or no man to render them")
        return 0
    claims = {n[6:].replace("_", " "): f for n, f in globals().items() if n.startswith("claim_")}
    bad = 0
    print(f"1..{len(claims)}")
    for number, (name, claim) in enumerate(claims.items(), 1):
        wrong = [w for w in claim() if w]
        bad += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}", *("# " + w for w in wrong), sep="\n")
    return 1 if bad else 0


sys.exit(main())
