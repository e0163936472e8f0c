# A mail server on a free port, with TLS from the first byte (argument "tls") or on request ("starttls"): prints its port, then each message as a line of JSON. An address
# that begins with "refused" is refused for good, one that begins with "later" is put off.
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP

mode, cert, key = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 no such user"
        if address.startswith("later"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or mode == "tls",
            "user": session.auth_data.decode() if session.auth_data else None,
            "content": envelope.content.decode("utf-8"),
        }
        print(json.dumps(message), flush=True)
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    from aiosmtpd.smtp import AuthResult
    if data.login == b"pathway" and data.password == b"correct horse":
        return AuthResult(success=True, auth_data=data.login)
    return AuthResult(success=False, handled=False)


async def main():
    def smtp():
        upgrade = context if mode == "starttls" else None
        return SMTP(Handler(), tls_context=upgrade, require_starttls=upgrade is not None,
                    authenticator=authenticate, auth_require_tls=mode == "starttls", auth_required=True)
    server = await asyncio.get_running_loop().create_server(
        smtp, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
