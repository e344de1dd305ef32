"""Certificates, and a line that ends TLS before a Temporal server that has none."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import asynccontextmanager

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def certificate(folder, name, issuer=None):
    """Write NAME.pem and NAME.key; without an issuer it signs itself and others."""
    key = ec.generate_private_key(ec.SECP256R1())
    above, signing = issuer or (named(name), key)
    made = issued(name, key.public_key(), above, signing, authority=issuer is None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(made)
    (folder / f"{name}.key").write_bytes(pem)
    return named(name), key


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def issued(name, key, above, signing, *, authority=False):
    """Return a certificate for 127.0.0.1, in PEM."""
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(above)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(signing, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


@asynccontextmanager
async def behind_tls(folder, plain):
    """Give the address of a line to a server that only holders of certificates get through."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    async with carried(plain, ssl=context) as address:
        yield address


@asynccontextmanager
async def carried(to, seen=None, **how):
    """Give the address of a line that carries bytes to another one, and notes what it sees."""
    host, _, port = to.rpartition(":")

    async def line(reader, writer):
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_copy(reader, back, seen), _copy(there, writer, seen))

    async with await asyncio.start_server(line, "127.0.0.1", **how) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


async def _copy(reader, writer, seen):
    try:
        while data := await reader.read(65_536):
            if seen is not None:
                seen.append(data)
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # one side left
    finally:
        writer.close()
