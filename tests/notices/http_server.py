# A web service that tells on its standard output what it is asked: a line of JSON for each request, and one before them
# when it listens. Its arguments: a port, and in JSON the answers that it gives first, each a list of a status, headers
# and a body. Later ones are 200, or what a service of that name answers that keeps addresses.
import base64
import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, answers, held = int(sys.argv[1]), json.loads(sys.argv[2]), set()


def keeps(path, body):
    """What the two firewalls answer that are known here, and None for anything else."""
    if path.startswith("/api/firewall/alias_util/list/"):
        return {"total": len(held), "rows": [{"ip": address} for address in sorted(held)]}
    if path.startswith("/api/firewall/alias_util/add/"):
        held.add(json.loads(body)["address"])
        return {"status": "done"}
    if path.startswith("/api/firewall/alias_util/delete/"):
        held.discard(json.loads(body)["address"])
        return {"status": "done"}
    known = re.fullmatch(r"/rest/(ipv?6?)/firewall/address-list\?list=f2bd&\.proplist=address", path)
    if known:
        return [{".id": "*1", "address": address} for family, address in sorted(held) if family == known[1]]
    if path == "/rest/execute":
        for command in json.loads(body)["script"].split("; "):
            entry = r'list="f2bd" address="([0-9a-f.:/]+)"'
            removed = re.fullmatch(r"/(ipv?6?)/firewall/address-list/remove \[find where " + entry + r"\]", command)
            added = re.fullmatch(r"/(ipv?6?)/firewall/address-list/add " + entry + r" timeout=(\d+|none-dynamic)", command)
            if removed:
                held.discard(removed.groups())
            else:
                held.add(added.groups()[:2])
        return {"ret": "*1"}
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if answers:
            status, headers, said = answers.pop(0)
        else:
            kept = keeps(self.path, body)
            status, headers, said = 200, {}, "" if kept is None else json.dumps(kept)
        login = self.headers.get("Authorization", "")
        tell({
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "login": base64.b64decode(login[6:]).decode() if login.startswith("Basic ") else None,
            "body": body,
            "status": status,
            "time": time.monotonic(),
        })
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass


def tell(what):
    # In one piece: several requests are told at the same time.
    os.write(1, (json.dumps(what) + "\n").encode())


# Who keeps a connection keeps nobody else from asking.
server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
tell(port)
server.serve_forever()
