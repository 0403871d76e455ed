# SPDX-License-Identifier: Apache-2.0
"""page: a report as Markdown and as one HTML file, from the same blocks."""
import html
import os
import re

STYLE = """body { font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } th, td { border: 1px solid #ccc; padding: .2em .6em; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { background: #f3f3f3; } img { max-width: 100%; }
code { background: #f3f3f3; padding: 0 .2em; }"""


def inline(text):
    text = html.escape(text, quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


class Page:
    def __init__(self, title):
        self.title = title
        self.markdown, self.html = [f"# {title}\n"], [f"<h1>{inline(title)}</h1>"]

    def heading(self, text):
        self.markdown.append(f"## {text}\n")
        self.html.append(f"<h2>{inline(text)}</h2>")

    def text(self, text):
        self.markdown.append(text + "\n")
        self.html.append(f"<p>{inline(text)}</p>")

    def points(self, points):
        self.markdown.append("\n".join("- " + p for p in points) + "\n")
        self.html.append("<ul>" + "".join(f"<li>{inline(p)}</li>" for p in points) + "</ul>")

    def table(self, head, rows):
        lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        self.markdown.append("\n".join(lines) + "\n")
        cells = "".join("<tr>" + "".join(f"<td>{inline(c)}</td>" for c in row) + "</tr>\n" for row in rows)
        self.html.append("<table><tr>" + "".join(f"<th>{inline(h)}</th>" for h in head) + f"</tr>\n{cells}</table>")

    def figure(self, name, caption):
        """A chart that lies beside the report as NAME.svg and NAME.png."""
        self.markdown.append(f"![{caption}]({name}.svg)\n")
        self.html.append(f'<p><img src="{name}.svg" alt="{html.escape(caption)}"></p>')

    def save(self, folder, name):
        """The two files' names."""
        paths = [os.path.join(folder, name + ending) for ending in (".md", ".html")]
        with open(paths[0], "w", encoding="utf-8") as f:
            f.write("\n".join(self.markdown))
        with open(paths[1], "w", encoding="utf-8") as f:
            f.write(f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>\n'
                    f"<style>{STYLE}</style></head><body>\n" + "\n".join(self.html) + "\n</body></html>\n")
        return paths
