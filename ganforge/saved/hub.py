"""Generators on the Hugging Face Hub: names, fetching, uploading. Fetched files stay in that hub's own cache."""

import re
from pathlib import Path

from ganforge.arguments import argument
from ganforge.errors import CheckpointError, GanforgeError

GENERATOR_NAME = "generator.safetensors"
PREFIX = "hf://"
_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")


def hub_name(text: str) -> tuple[str, str | None] | None:
    """Repository and revision of `hf://owner/name` or `owner/name`, either with `@revision`; None for a local path.

    Without `hf://`, what exists here is local, and so is a name in a folder that exists here.

    Raises:
        CheckpointError: what follows `hf://` is not owner/name.
    """
    match = _NAME.fullmatch(text.removeprefix(PREFIX))
    if text.startswith(PREFIX):
        if match is None:
            raise CheckpointError(f"{text}: a generator on the hub is hf://owner/name, or hf://owner/name@revision")
    elif match is None or Path(text).exists() or Path(text).parent.exists():
        return None
    return match["repo"], match["revision"]


def fetch_generator(repo: str, revision: str | None) -> Path:
    """The generator file of a repository, fetched unless it is in the cache.

    Raises:
        CheckpointError: there is none, or the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, GENERATOR_NAME, revision=revision))
    except Exception as error:  # the library raises classes of several packages
        is_offline = isinstance(error, LocalEntryNotFoundError)
        reason = "it is not in the cache and the hub cannot be reached" if is_offline else _first_line(error)
        raise CheckpointError(
            f"{repo}: there is no such run folder or generator file here, and none could be fetched from the Hugging "
            f"Face Hub: {reason}"
        ) from error


def check_repository(repo: str) -> None:
    """Refuse what is not owner/name.

    Raises:
        GanforgeError: it is not.
    """
    match = _NAME.fullmatch(repo)
    if match is None or match["revision"] is not None:
        raise GanforgeError(f"{argument('push', repo)}: give owner/name")


def upload(folder: Path, repo: str, *, private: bool = False) -> str:
    """Make the repository if need be and put all files of a folder into it; returns its address.

    Raises:
        GanforgeError: it is refused, for example without a login.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(repo, exist_ok=True, private=private)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="A generator trained with ganforge")
    except Exception as error:  # the library raises classes of several packages
        raise GanforgeError(
            f"{argument('push', repo)}: {_first_line(error)}. Log in with `hf auth login`; the folder {folder} is "
            f"complete, `hf upload {repo} {folder}` sends it too"
        ) from error
    return str(address)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
