#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""page.py PAGE - runs the commands of a page of docs, in one shell, and compares their
output with the page's. A line of four spaces and "# " is a command; those after it are
its output, in which * stands for anything, also for several lines.
"""

import fnmatch
import re
import subprocess
import sys


def steps(text):
    """(command, expected output) for each command."""
    found = []
    for line in text.splitlines():
        if line.startswith("    # "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    return [(command, "\n".join(lines)) for command, lines in found]


def main():
    with open(sys.argv[1]) as f:
        todo = steps(f.read())
    mark = "-- end of the command --"
    script = "".join("%s\nprintf '%%s\\n' '%s'\n" % (command, mark)
                     for command, _ in todo)
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          check=False).stdout.decode()
    outputs = [o.strip("\n") for o in done.split(mark + "\n")]
    bad = len(outputs) != len(todo) + 1
    for (command, want), got in zip(todo, outputs):
        # brackets are no pattern here
        pattern = re.sub(r"\[", "[[]", want)
        if not fnmatch.fnmatchcase(got, pattern):
            print("# %s\nprinted:\n%s\nthe page has:\n%s" % (command, got, want))
            bad = True
    print("%d commands" % len(todo))
    sys.exit(bad)


if __name__ == "__main__":
    main()
