"""Answers what Python's own regular expressions take, and which of them a package of Fail2ban has.

One question in each line of the input, one answer in each line of the output, both JSON. Fail2ban's modules are looked for
where PYTHONPATH says.
"""

import glob
import json
import logging
import os
import re
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def spans(match, text, added=""):
    """Where the groups stand, in bytes of UTF-8, in the text without what was added to its end."""
    if match is None:
        return None
    end = len(text) - len(added)

    def place(group):
        start, stop = match.span(group)
        if start < 0:
            return None
        start, stop = min(start, end), min(stop, end)
        return [len(text[:start].encode()), len(text[:stop].encode())]

    return {name: place(name) for name in match.re.groupindex}


def search(question):
    """What an expression takes of texts."""
    try:
        flags = re.MULTILINE if question["multi_line"] else 0
        expression = re.compile(question["expression"], flags)
    except (re.error, RecursionError, OverflowError) as error:
        return {"error": str(error)}
    texts = question["texts"]
    return {"found": [spans(expression.search(text), text) for text in texts]}


def search_as_failregex(question):
    """The same, as Fail2ban itself does it, with its tags."""
    from fail2ban.server.failregex import Regex, RegexException

    try:
        use = "yes" if question["names"] else "no"
        regex = Regex(question["expression"], multiline=question["multi_line"], useDns=use)
    except (RegexException, re.error) as error:
        return {"error": str(error)}
    expression = regex._regexObj
    found = [spans(expression.search(text + "\n"), text + "\n", "\n") for text in question["texts"]]
    return {"found": found}


def filters(question):
    """Names of all filters that there are."""
    names = glob.glob(os.path.join(question["tree"], "filter.d", "*.conf"))
    return sorted(os.path.basename(name).removesuffix(".conf") for name in names)


def expressions(question):
    """The expressions of a filter, all replaced, with these options."""
    from fail2ban.client.filterreader import FilterReader

    base = question["tree"]
    reader = FilterReader(question["filter"], "jail", question["options"], basedir=base)
    if not reader.read():
        return {"error": "it cannot be read"}
    reader.getOptions({}, all=True)
    all_of = {"failregex": [], "ignoreregex": [], "prefregex": [], "maxlines": [1], "datepattern": []}
    for command in reader.convert():
        option = command[2].removeprefix("add")
        if option in all_of:
            values = command[3] if command[0] == "multi-set" else [command[3]]
            all_of[option] = all_of[option] + values if option.endswith("regex") else values
    return all_of


def without_dates(question):
    """Lines without what Fail2ban takes for their dates."""
    from fail2ban.server.datedetector import DateDetector

    detector = DateDetector()
    for pattern in question["datepattern"]:
        for part in pattern.split("\n"):
            if part.strip() == "{^LN-BEG}" or part.strip() == "":
                continue
            detector.appendTemplate(part)
    if not question["datepattern"]:
        detector.addDefaultTemplate()
    cut = []
    for line in question["lines"]:
        match, _template = detector.matchTime(line)
        cut.append(line[: match.start(1)] + line[match.end(1) :] if match else line)
    return cut


ANSWERS = {
    "search": search,
    "search as failregex": search_as_failregex,
    "filters": filters,
    "expressions": expressions,
    "without dates": without_dates,
}

for asked in sys.stdin:
    question = json.loads(asked)
    try:
        answer = ANSWERS[question["question"]](question)
    except Exception as error:  # Whatever it is, it belongs to this question.
        answer = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
