"""Which skin the configuration means, and which one this installation can give."""

from reactor.errors import ConfigError
from reactor.shell.transport.seam import Transport


def create_transport(name: str) -> tuple[Transport, str | None]:
    """A transport by its name in the configuration.

    Args:
        name: `picows` or `websockets`.

    Returns:
        The transport, and None; or, where picows cannot be loaded here, the portable one and the reason, to
        be shown.

    Raises:
        ConfigError: there is no such transport.
    """
    if name == "websockets":
        return _portable(), None
    if name != "picows":
        raise ConfigError(f"transport = {name!r}: choose picows or websockets")
    try:
        from reactor.shell.transport.picows_skin import PicowsTransport  # noqa: PLC0415 -- may be absent
    except ImportError as error:
        return (
            _portable(),
            f"picows cannot be loaded ({error}): websockets is used instead, at several times the cost",
        )
    return PicowsTransport(), None


def _portable() -> Transport:
    # Loaded where it is used: a start is quicker, and a guard smaller, without a second set of sockets.
    from reactor.shell.transport.websockets_skin import WebsocketsTransport  # noqa: PLC0415

    return WebsocketsTransport()
