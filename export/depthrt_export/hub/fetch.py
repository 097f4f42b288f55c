"""Files of the Hugging Face hub, by its own client; whatever goes wrong is a sentence.

``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` mean what they mean to the client. A download
that was interrupted goes on where it stopped. No message shows a token.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from depthrt.errors import DepthrtError, ModelError, UsageError
from depthrt.files.file_hash import file_sha256
from depthrt.model.catalogue.hub_models import HUB
from depthrt.system.installation import install_command
from depthrt.system.process_settings import Borrowed, loggers_at
from depthrt_export.hub.listing import HubFile, Listing

_POINTER = b"version https://git-lfs.github.com/spec"
_FATAL = 50  # logging.CRITICAL
_quiet = Borrowed(lambda: loggers_at(_FATAL, "huggingface_hub", "httpx", "httpx2"))


class FetchError(DepthrtError):
    """The hub cannot be reached, or a download did not end."""


def require_client() -> None:
    """Check that the hub's client is installed.

    Raises:
        UsageError: it is not; the message says how to install it.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UsageError(
            f"huggingface_hub needed for pull is not installed: {install_command('hub')}"
        )


def list_repository(repo: str, revision: str) -> Listing:
    """What a repository holds at a revision: a branch, a tag or a commit.

    Raises:
        ModelError: there is no such repository or revision, or it may not be read.
        FetchError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    with _quiet(), _as_sentence(repo, revision):
        api = HfApi(endpoint=_endpoint(), library_name="depthrt")
        info = api.model_info(repo, revision=revision, files_metadata=True)
    files = tuple(_file(sibling) for sibling in info.siblings or ())
    card = info.card_data
    licence = "" if card is None else str(getattr(card, "license", None) or "")
    return Listing(repo, str(info.sha or revision), files, licence)


def fetch(listing: Listing, file: HubFile, folder: Path) -> Path:
    """Download a file into a folder, under the path that it has in the repository.

    What there is of an unfinished download is kept beside it, and the next one goes on from there:
    the client's own download begins anew with each process.

    Args:
        listing: the repository at a commit.
        file: one of its files.
        folder: of this repository at this commit alone.

    Raises:
        ModelError: the file is gone, may not be read, or is another than the hub says.
        FetchError: the hub cannot be reached, the download did not end, or the disk is full.
    """
    target = folder / file.path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{listing.repo} names a file outside itself: {file.path}")
    if not target.is_file():
        partial = target.with_name(f"{target.name}.partial")
        with _quiet(), _as_sentence(listing.repo, listing.commit, file.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            _download(listing, file, partial)
            partial.replace(target)
    _check_hash(target, file, listing)
    with target.open("rb") as content:
        if content.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{file.path} of {listing.repo} is a pointer of git LFS, not the file: the "
                "repository was uploaded without it, so ask its authors"
            )
    return target


def _download(listing: Listing, file: HubFile, partial: Path) -> None:
    """Append to ``partial`` what is missing of a file; the errors are the client's."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.file_download import http_get

    url = hf_hub_url(listing.repo, file.path, revision=listing.commit, endpoint=_endpoint())
    about = get_hf_file_metadata(url)
    token = get_token()
    # The token is for the hub, not for the server that the file lies on.
    at_hub = urlsplit(about.location).netloc == urlsplit(url).netloc
    headers = {"authorization": f"Bearer {token}"} if token and at_hub else {}
    with partial.open("ab") as output:
        if about.size is None or output.tell() > about.size:
            output.truncate(0)
        http_get(
            about.location,
            output,
            resume_size=output.tell(),
            headers=headers,
            expected_size=about.size,
            displayed_filename=file.path,
        )


def _check_hash(path: Path, file: HubFile, listing: Listing) -> None:
    """Remove a file that is another than it should be.

    Raises:
        ModelError: it is another.
    """
    if not file.sha256 or (found := file_sha256(path)) == file.sha256:
        return
    path.unlink()
    raise ModelError(
        f"{file.path} of {listing.repo} is not the file that was expected: its SHA-256 is "
        f"{found[:16]}..., not {file.sha256[:16]}... (it was removed; pull again, and if that does "
        "not help, the file was changed)"
    )


def _file(sibling: Any) -> HubFile:
    large = sibling.lfs
    return HubFile(sibling.rfilename, sibling.size, "" if large is None else str(large.sha256))


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or HUB


def _host() -> str:
    """The hub's address without a password that it may hold."""
    parts = urlsplit(_endpoint())
    host = parts.hostname or "the hub"
    return f"{host}:{parts.port}" if parts.port else host


@contextmanager
def _as_sentence(repo: str, revision: str, file: str = "") -> Iterator[None]:
    """Turn the client's errors, which name addresses and headers, into sentences."""
    from huggingface_hub import errors

    what = f"{file} of {repo}" if file else repo
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repo} is given only to those who accept its terms: accept them at {HUB}/{repo}, "
            "then run `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{repo} has no revision {revision}: leave it out, or look at it"
        ) from error
    except errors.DisabledRepoError as error:
        raise ModelError(f"{repo} was taken down by {_host()}") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{_host()} has no repository {repo}, or does not show it to you: check the name, and "
            "for a private one set HF_TOKEN"
        ) from error
    except errors.HFValidationError as error:
        raise ModelError(f"{repo} is no name of a repository of the hub") from error
    except errors.OfflineModeIsEnabled as error:
        raise FetchError(f"{what} cannot be fetched: HF_HUB_OFFLINE is set") from error
    except errors.LocalEntryNotFoundError as error:
        raise _unreached(what, error) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(f"{repo} has no file {file} at {revision}: it is gone") from error
    except errors.HfHubHTTPError as error:
        code = getattr(error.response, "status_code", "no")
        raise FetchError(f"{_host()} answered {code} when asked for {what}: try again") from error
    except OSError as error:
        if error.errno is not None:  # a disk that is full, a folder that cannot be written
            raise FetchError(f"{what} could not be kept ({error.strerror})") from error
        raise _unreached(what, error) from error
    except Exception as error:  # of the client's own library for HTTP, which differs by version
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore"):
            raise
        raise _unreached(what, error) from error


def _unreached(what: str, error: BaseException) -> FetchError:
    """What is said where the connection failed or broke off."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    if any(type(each).__name__ == "OfflineModeIsEnabled" for each in causes):
        return FetchError(f"{what} cannot be fetched: HF_HUB_OFFLINE is set")
    broke_off = any(
        type(each).__name__ == "RemoteProtocolError" or "Consistency check" in str(each)
        for each in causes
    )
    if broke_off:
        return FetchError(
            f"the download of {what} from {_host()} broke off: the same command goes on from there"
        )
    return FetchError(f"{_host()} cannot be reached for {what}: check the network, then try again")
