# Asks Fail2ban's own reader what it makes of trees, lists, tags and times: one question a line in, one answer a line out, as
# JSON. It runs with Debian's package fail2ban, of which nothing is here.
import json, logging, os, shutil, sys, tempfile, warnings

from fail2ban.client.configreader import ConfigReaderUnshared
from fail2ban.helpers import extractOptions, splitWithOptions, substituteRecursiveTags
from fail2ban.server.mytime import MyTime

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


def kind(error):
    return {"error": type(error).__name__}


def tree(files):
    folder = tempfile.mkdtemp()
    try:
        for name, text in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(text)
        reader = ConfigReaderUnshared(basedir=folder)
        if not reader.read("jail"):
            return {"error": "Nothing"}
        sections = []
        for name in reader.sections():
            if name.startswith("KNOWN/"):
                continue
            values = {}
            for key in reader.options(name):
                try:
                    values[key] = reader.get(name, key)
                except Exception as error:
                    values[key] = kind(error)
            sections.append([name, values])
        return sections
    finally:
        shutil.rmtree(folder)


def brackets(text):
    name, parameters = extractOptions(text)
    return [name, list(map(list, parameters.items()))]


answers = {
    "tree": tree,
    "brackets": brackets,
    "list": lambda text: [entry.strip() for entry in splitWithOptions(text) if entry.strip()],
    "tags": lambda tags: list(map(list, substituteRecursiveTags(dict(tags)).items())),
    "time": lambda text: str(MyTime.str2seconds(text)),
}

for line in sys.stdin:
    what, question = json.loads(line)
    try:
        answer = answers[what](question)
    except Exception as error:
        answer = kind(error)
    print(json.dumps(answer))
