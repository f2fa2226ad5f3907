# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines that documents show, and the options gmemu has. For the checkers beside it."""
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# What a fence says it holds, that is not commands.
NOT_SHELL = {"c", "c++", "cpp", "text", "json", "yaml", "toml", "ini", "diff"}


class Line:
    """A line of a block, continued lines joined: where it stands, and its block's first line."""

    def __init__(self, document, number, text, first):
        self.document, self.number, self.text, self.first = document, number, text, first

    def __str__(self):
        return f"{self.document}:{self.number}: {self.text}"


def blocks(text):
    """Lists of (number, line): what is fenced, and what is indented after an empty line."""
    block, fence, after_empty = [], None, True
    for number, line in enumerate(text.splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                if fence not in NOT_SHELL:
                    yield block
                block, fence = [], None
            else:
                block.append((number, line))
            continue
        if match := re.fullmatch(r" *```([\w+]*)", line):
            block, fence = [], match[1]
        elif line.startswith("    ") and (block or after_empty):
            block.append((number, line[4:]))
        elif line.strip() or len(block) == 0:
            if block:
                yield block
            block = []
        else:
            block.append((number, ""))
        after_empty = not line.strip()
    if block:
        yield block


def lines(document):
    for block in blocks(document.read_text(encoding="utf-8")):
        first, pending, start = None, "", 0
        for number, text in block:
            start = start if pending else number
            pending += text.strip()
            if pending.endswith("\\"):
                pending = pending[:-1]
                continue
            if pending:
                first = first or pending
                yield Line(document.relative_to(ROOT).as_posix(), start, pending, first)
            pending = ""


def without_comment(command):
    """A command without what a person reads after it."""
    return re.sub(r"\s+#( .*)?$", "", command)


def help_of(gmemu, *command):
    run = subprocess.run([gmemu, *command, "--help"], check=False, text=True, capture_output=True)
    return run.stdout if run.returncode == 0 else ""


def options_of(text):
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


def words_of(rest):
    """The words after gmemu, to what belongs to the program."""
    try:
        words = shlex.split(rest, comments=True)
    except ValueError:
        words = rest.split()
    return words[:words.index("--")] if "--" in words else words


class Options:
    """Which commands and options gmemu has, by what it says itself."""

    def __init__(self, gmemu):
        self.gmemu, self.helps = gmemu, {}
        self.everywhere = options_of(help_of(gmemu))

    def wrong(self, rest):
        """What is wrong with the words after gmemu; None if there is no command in them."""
        words = words_of(rest)
        if not words or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
            return None
        command = words[0]
        if command not in self.helps:
            self.helps[command] = help_of(self.gmemu, command)
        if not self.helps[command]:
            return [f"gmemu has no command '{command}'"]
        known = options_of(self.helps[command]) | self.everywhere
        return [f"gmemu {command} has no option {option}"
                for option in (word.split("=")[0] for word in words[1:] if word.startswith("--"))
                if option not in known]
