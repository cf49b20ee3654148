"""Reports a failed login: report("shop", "192.0.2.7", user="root"). Never waits and never raises.

Addresses may be texts or those of the module ipaddress.
"""

import json
import socket


def report(service, ip, user=None, outcome="failure", detail=None, to="/run/f2bd/report.sock"):
    words = {"service": service, "ip": ip, "user": user, "outcome": outcome, "detail": detail}
    words = {key: value for key, value in words.items() if value is not None}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(json.dumps(words, default=str).encode(), to)
    except OSError:
        return False
    return True
