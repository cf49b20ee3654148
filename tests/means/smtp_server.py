# A mail server that tells on its standard output what it is handed: a line of JSON with its port, and then one for
# each letter, read as a mail program reads it. How it behaves is said by its arguments, in JSON.
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

settings = json.loads(sys.argv[1])


def text(part):
    content = part.get_content()
    if isinstance(content, bytes):
        content = content.decode()
    return content.replace("\r\n", "\n")


def tell(what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 nobody of that name: " + address
        if address.startswith("later@"):
            return "450 4.2.0 come back later"
        if address.startswith("never@"):
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "login": session.authenticated,
            "raw": envelope.content.decode("ascii"),
            "headers": [[name, str(value)] for name, value in letter.items()],
            "texts": [
                [part.get_content_type(), part.get_filename(), text(part)]
                for part in letter.walk() if not part.is_multipart()
            ],
        })
        return "250 ok"


def authenticate(server, session, envelope, mechanism, data):
    known = data.login == b"me" and data.password == b"hunter2"
    return AuthResult(success=known, handled=False)


arguments = {}
from_the_beginning = None
if settings.get("certificate"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings["certificate"], settings["key"])
    if settings.get("from_the_beginning"):
        from_the_beginning = context
        # It knows only of the TLS that it has begun itself.
        arguments["auth_require_tls"] = False
    else:
        arguments["tls_context"] = context
        arguments["require_starttls"] = True
if settings.get("login"):
    arguments["authenticator"] = authenticate
    arguments["auth_required"] = True


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), loop=loop, **arguments), "127.0.0.1", settings.get("port", 0), ssl=from_the_beginning)
    tell(server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
