"""``meshhook receipt``: proofs of acceptance."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from meshhook import receipt_desk, receipts
from meshhook.commands.answers import ask, say_json
from meshhook.commands.options import DATABASE, Json, with_settings
from meshhook.config import Loaded
from meshhook.db.connect import Database
from meshhook.errors import ConfigError, MeshHookError
from meshhook.receipts import BadKey, BadReceipt, PublicKey

app = typer.Typer(help="Check receipts of accepted deliveries, and make keys that sign them.", no_args_is_help=True)


@app.command()
def verify(
    receipt: Annotated[str, typer.Argument(help="The receipt, or a file that holds it.")],
    key: Annotated[
        str, typer.Option(help="Public key (whpk_…), or a file with it or with the answer of /api/v1/receipts/keys.")
    ],
    body: Annotated[Path | None, typer.Option(help="File with the body that was sent, to compare.")] = None,
    as_json: Json = False,
) -> None:
    """Check a receipt, without a server: who signed it, and that nothing of it was changed. Exit code 1 when it is not right.

    Example: meshhook receipt verify receipt.txt --key keys.json --body order.json
    """
    try:
        said = receipts.verify(_read(receipt).strip(), receipts.public_keys(_read(key)))
    except BadKey as bad:
        raise ConfigError(f"--key can't be used: {bad}") from None
    except BadReceipt as bad:
        raise MeshHookError(f"the receipt is not right: {bad}") from None
    if body is not None and hashlib.sha256(_bytes(body)).hexdigest() != said.body_sha256:
        raise MeshHookError(f"the receipt is right, but it is for another body than {body}")
    if as_json:
        say_json({"valid": True, "receipt": said})
    else:
        typer.echo(f"The receipt is right: run {said.run_id}, accepted at /hooks/{said.endpoint}.")


@app.command("new-key")
def new_key() -> None:
    """Print a new private key. Keep it as a secret, and name that secret in `receipts.key` of an endpoint.

    Example: meshhook receipt new-key | meshhook secret set RECEIPTS
    """
    typer.echo(receipts.new_key())


@app.command()
@with_settings(*DATABASE)
def keys(loaded: Loaded, as_json: Json = False) -> None:
    """Print the public keys of all receipts that were given out, for those who want to check them.

    Example: meshhook receipt keys
    """

    async def read(database: Database, _: int) -> list[PublicKey]:
        return await receipt_desk.keys(database)

    found = ask(loaded, read)
    if as_json:
        say_json({"keys": [key.jwk for key in found]})
    else:
        for key in found:
            typer.echo(key.text)


def _read(text_or_file: str) -> str:
    """A text, or what the file of this name holds."""
    try:
        path = Path(text_or_file)
        return path.read_text(encoding="utf-8") if path.is_file() else text_or_file
    except (OSError, ValueError):  # too long for a name, or no text in it
        return text_or_file


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--body can't be read: {error}") from None
