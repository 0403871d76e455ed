#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kmip-cases READER SOURCE-ROOT: every message of the OASIS profile cases is one that we can read.

The cases are looked for beside the source tree (../shared/kmip-cases); without them the test is skipped.
Each message becomes the text form of TTLV, which READER (test-kmip-cases) parses and decodes.
Placeholders get a value of their type.
"""
import datetime
import glob
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

TYPES = {"Integer": "Integer", "LongInteger": "Long", "BigInteger": "BigInteger", "Enumeration": "Enumeration",
         "Boolean": "Boolean", "TextString": "Text", "ByteString": "Bytes", "DateTime": "Date",
         "Interval": "Interval"}
DUMMY = {"Text": '"placeholder"', "Bytes": "00", "Integer": "1", "Long": "1", "Date": "2026-01-31T12:00:00Z"}


def words(text):
    return re.sub("[^a-z0-9]", "", text.lower())


def read_names(root):
    """XML element name -> name of the tag; masks: tag -> names of bits."""
    tags, masks = {}, {}
    for line in open(os.path.join(root, "src/ttlv/tag.def")):
        found = re.match(r'X\(.*"(.*)"\)', line)
        if found:
            tags[words(found[1])] = found[1]
    for line in open(os.path.join(root, "src/ttlv/enum.def")):
        found = re.match(r'X\((\w+), \w+, (\w+), .*"(.*)"\)', line)
        if found:
            masks.setdefault(words(found[1]), {})[words(found[3])] = found[3]
    return tags, masks


def text_value(value):
    out = "".join(c if c.isprintable() and c not in '"\\' else "\\x%02x" % ord(c) for c in value)
    return '"%s"' % out


def number_value(value, names):
    """Mask names are separated by blanks in the cases, by bars in the text form."""
    if re.match(r"-?(0x)?[0-9A-Fa-f]+$", value):
        return value
    return " | ".join(names.get(words(w), w) for w in value.split())


def enum_value(value, name, tags):
    if name == "AttributeReference":
        return tags[words(value)]
    return {"DES3": "3DES"}.get(value, value)


def big_value(value):
    sign = "f" if value[0] in "89abcdefABCDEF" else "0"
    return sign * (-len(value) % 16) + value


def item_value(e, kind, tags, masks):
    value = e.get("value", "")
    if value.startswith("$") and kind in DUMMY:
        return DUMMY[kind]
    if kind == "Text":
        return text_value(value)
    if kind == "Enumeration":
        return enum_value(value, e.tag, tags)
    if kind == "Integer":
        return number_value(value, masks.get(words(e.tag), {}))
    if kind == "BigInteger":
        return big_value(value)
    if kind == "Date" and "T" in value:
        return str(int(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()))
    return value


def mask_of_sibling(e, name, masks, tags):
    """The value of a 1.x attribute is named by its sibling."""
    if e.tag == "AttributeValue" and e.get("type") == "Integer":
        return number_value(e.get("value"), masks.get(words(name), {}))
    return None


def print_item(e, depth, tags, masks, out, name=""):
    line = "\t" * depth + (e.get("tag") if e.tag == "TTLV" else tags[words(e.tag)])
    kind = TYPES.get(e.get("type", "Structure"))
    if not kind:
        out.append(line)
        for child in e:
            print_item(child, depth + 1, tags, masks, out, name)
            if child.tag == "AttributeName":
                name = child.get("value")
        return
    value = mask_of_sibling(e, name, masks, tags) or item_value(e, kind, tags, masks)
    out.append("%s = %s %s" % (line, kind, value))


def messages(cases, tags, masks):
    for path in sorted(glob.glob(os.path.join(cases, "*", "*.xml"))):
        for number, message in enumerate(ET.parse(path).getroot()):
            out = ["# %s %d" % (os.path.basename(path), number)]
            print_item(message, 0, tags, masks, out)
            yield "\n".join(out)


def main(reader, root):
    cases = os.path.join(root, "../shared/kmip-cases")
    if not os.path.isdir(cases):
        print("1..0 # SKIP the cases are not here")
        return 0
    tags, masks = read_names(root)
    text = "\n".join(messages(cases, tags, masks)) + "\n"
    return subprocess.run([reader], input=text.encode()).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
