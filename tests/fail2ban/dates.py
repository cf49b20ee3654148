"""Tells what Fail2ban's own detector of dates finds.

Each line of the input is an object of JSON, and so is each line of the output. A `pattern` and `lines` are answered
with one entry a line: nothing, or where the date begins and ends, in bytes, and its moment, or why it is none, or
nothing if it is not meant to tell one, and whether it is by the last template. `filters` are answered with the date patterns of each, with the settings that are given.
"""

import json
import logging
import os
import sys
import time

NOW = 1124013600

os.environ["TZ"] = "CET-01CEST-02,M3.5.0,M10.5.0"
time.tzset()
logging.disable(logging.CRITICAL)

from fail2ban.client.filterreader import FilterReader
from fail2ban.server.datedetector import DateDetector
from fail2ban.server.mytime import MyTime

MyTime.setAlternateNow(NOW)
MyTime.setTime(NOW)


def detector(pattern):
    found = DateDetector()
    for line in (pattern or "").split("\n"):
        if line.strip():
            found.appendTemplate(line.strip())
    if not found.templates:
        found.addDefaultTemplate()
    return found


def dates(pattern, lines, sticky):
    known = detector(pattern)
    last = known.templates[-1].template
    answer = []
    for line in lines:
        if not sticky:
            known = detector(pattern)
        match, template = known.matchTime(line)
        if match is None:
            answer.append(None)
            continue
        start, end = match.start(1), match.end(1)
        place = [len(line[:start].encode()), len(line[:end].encode())]
        moment = None
        if start < end:
            try:
                moment = template.getDate(line[start:end], match)[0]
            except Exception as error:
                moment = repr(error)
        answer.append(place + [moment, template is last])
    return answer


def filters(base, settings):
    answer = {}
    for name, variants in settings.items():
        patterns = []
        for options in variants:
            reader = FilterReader(name, "jail", options, basedir=base)
            reader.read()
            reader.getOptions({})
            told = [entry[3] for entry in reader.convert() if entry[2] == "datepattern"]
            pattern = told[0] if told else ""
            if pattern not in patterns:
                patterns.append(pattern)
        answer[name] = patterns
    return answer


for line in sys.stdin:
    asked = json.loads(line)
    try:
        if "filters" in asked:
            answer = filters(asked["base"], asked["filters"])
        else:
            answer = dates(asked["pattern"], asked["lines"], asked["sticky"])
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
