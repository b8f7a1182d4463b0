"""Which servers are the right ones, for clients that speak TLS."""

import ssl


class BadAuthority(Exception):
    """What is to be trusted can't be read; the message says why."""


def trusting(ca: str, *, exact: bool = False) -> ssl.SSLContext:
    """Trust what the machine trusts, and the authorities of ``ca`` (PEM); or, ``exact``, nothing but the certificate
    that ``ca`` is, whatever names it has. Raises :class:`BadAuthority`.
    """
    try:
        if not exact:
            context = ssl.create_default_context()
            if ca:
                context.load_verify_locations(cadata=ca)
            return context
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise BadAuthority(f"no certificate that could be trusted: {error}") from error
    # It is all that is trusted, so it need not lead to a root, nor name this address.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
