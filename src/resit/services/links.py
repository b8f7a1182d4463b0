"""Links to stored files that open without a token, for a while."""

from resit.domain.errors import Forbidden, NotFound
from resit.ports import ArtifactRow, Signer, Transaction

LINK_SECONDS = 3600.0
"""How long a link lives (Empirical, study 1.6)."""


def sign_artifact(signer: Signer, artifact: str, expires: int) -> str:
    """The signature that opens an artifact until ``expires``, in Unix seconds."""
    return signer.sign(f"artifact:{artifact}:{expires}", expires)


def signed_artifact(
    tx: Transaction, signer: Signer, now: float, artifact: str, expires: int, signature: str
) -> ArtifactRow:
    """The artifact that a signature opens. Raises :class:`Forbidden` for a wrong or old one, :class:`NotFound`."""
    if signer.verify(signature, now) != f"artifact:{artifact}:{expires}":
        raise Forbidden("this link is not valid, or no longer: list the artifacts again for a fresh one")
    found = tx.results.artifact(artifact)
    if found is None or not found.stored:
        raise NotFound("the artifact is not stored")
    return found
