# SPDX-License-Identifier: GPL-2.0
"""Prints the results of unittest as TAP."""

import sys
import unittest


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.n = 0

    def say(self, test, ok, text="", after=""):
        self.n += 1
        for line in text.splitlines():
            print("# " + line)
        name = test.id().split(".", 1)[1].replace(".test_", ": ")
        print("%sok %d - %s%s" % ("" if ok else "not ", self.n,
                                  name.replace("_", " "), after), flush=True)

    def addSuccess(self, test):
        self.say(test, True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(test, True, after=" # SKIP " + reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(test, False, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self.say(test, False, self._exc_info_to_string(err, test))


def main(module):
    """Runs the tests of a module; exits with 1 if one failed."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = Tap()
    suite.run(result)
    print("1..%d" % result.n)
    sys.exit(not result.wasSuccessful())
