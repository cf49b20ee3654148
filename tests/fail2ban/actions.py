"""What Fail2ban makes of actions: asked by actions.rs, as JSON on standard input and output."""

import ast
import json
import sys

from fail2ban.server.action import ADD_REPL_TAGS, CommandAction
from fail2ban.server.actions import Actions
from fail2ban.server.ticket import BanTicket

OPERATIONS = ["start", "stop", "check", "repair", "ban", "unban", "reban", "prolong", "flush", "reload"]


def set_option(action, key, value):
    if key not in ("actionstart_on_demand", "actionrepair_on_unban", "norestored") or value not in ("", None):
        setattr(action, key, value)


def texts(dump):
    """The commands of all actions of a `fail2ban-client -d`, with parameters put in, by family."""
    ADD_REPL_TAGS.update({"fq-hostname": "FQ", "sh-hostname": "SH"})
    actions = {}
    for line in dump.splitlines():
        words = ast.literal_eval(line)
        if words[0] == "multi-set" and words[2] == "action":
            for key, value in words[4]:
                set_option(actions.setdefault((words[1], words[3]), CommandAction(None, words[3])), key, value)
        elif words[0] == "set" and len(words) == 4 and words[2] == "addaction":
            actions[words[1], words[3]] = CommandAction(None, words[3])
        elif words[0] == "set" and len(words) == 6 and words[2] == "action":
            set_option(actions[words[1], words[3]], words[4], words[5])
    said = []
    for (jail, name), action in actions.items():
        for family in ("inet4", "inet6"):
            for operation in OPERATIONS:
                text = action.replaceTag(
                    "<action%s>" % operation, action._properties,
                    conditional="family=" + family, cache=action._substCache)
                if text != "<action%s>" % operation:
                    said.append([jail, name, family, operation, text])
    return said


class Jail:
    """As much of a jail as actions ask for."""

    name = "sshd"
    database = None

    def __init__(self):
        self.actions = self
        self.banEpoch = 0

    def _getActionInfo(self, ticket):
        return info(ticket or BanTicket("", 0), self)

    def getBanTime(self):
        return 3600


def info(ticket, jail):
    return Actions.ActionInfo(ticket, jail)


def run(scenario):
    """Runs the commands of one action for the steps of a scenario."""
    jail = Jail()
    action = CommandAction(jail, "custom")
    for key, value in scenario["options"]:
        set_option(action, key, value)
    tickets = {}
    action.start()
    for step in scenario["steps"]:
        ip = step["ip"]
        if step["what"] == "ban":
            ticket = BanTicket(ip, 1600000000, step["matches"])
            ticket.setAttempt(5)
            ticket.setBanTime(3600)
            ticket.incrBanCount(2)
            ticket.setData("user", step["user"])
            tickets[ip] = ticket
            try:
                action.ban(info(ticket, jail))
            except RuntimeError:
                pass
        elif step["what"] == "unban":
            try:
                action.unban(info(tickets.pop(ip), jail))
            except RuntimeError:
                pass
    if not action.actionflush or not action.flush():
        for ip in sorted(tickets, key=lambda ip: (":" in ip, ip)):
            try:
                action.unban(info(tickets[ip], jail))
            except RuntimeError:
                pass
    action.stop()
    return []


asked = json.load(sys.stdin)
print(json.dumps({"texts": texts, "run": run}[asked["what"]](asked["of"])))
