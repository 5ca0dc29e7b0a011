"""A folder as the Hugging Face Hub shows it: model card, weights with their config, recipe, pictures."""

from pathlib import Path
from shutil import copyfile as copy_file

import tomli_w
from torch import nn

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.export.card import PICTURE, RECIPE, model_card
from ganforge.export.published import published_config, published_recipe
from ganforge.files import replaced_folder, write_text
from ganforge.grid import picture_of
from ganforge.recipe import parse
from ganforge.run_files import RunFolder
from ganforge.sampling.draw import Sampler, config_of
from ganforge.saved.generator_file import flat_state, load_generator, save_generator
from ganforge.saved.hub import GENERATOR_NAME, upload
from ganforge.variables import as_written

NUM_SAMPLES = 64
OURS = {GENERATOR_NAME, Path(GENERATOR_NAME).with_suffix(".json").name, PICTURE, "README.md", RECIPE}
"""The files that an export writes: a folder with anything else in it is not replaced."""


def export_hub(
    run: str | Path,
    out: Path,
    *,
    repo: str | None = None,
    license_name: str | None = None,
    push: bool = False,
    private: bool = False,
) -> str:
    """Lay out the folder and, if wanted, upload it.

    Folders of this machine are left out of what is published: of absolute paths only the last part stays.

    Args:
        run: run folder or generator file.
        out: new folder, or one that an earlier export made.
        repo: `owner/name` on the hub; None to leave the owner open.
        license_name: identifier of a license for the card.
        push: upload to `repo`.
        private: make the repository private if it is new.

    Returns:
        what was written where.

    Raises:
        CheckpointError: there is no generator.
        GanforgeError: `out` holds something else or cannot be written, or the hub refuses.
    """
    out = out.resolve()
    if out.exists():
        found = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
        if found and (not found <= OURS or not {GENERATOR_NAME, "README.md"} <= found):
            raise GanforgeError(f"{out}: holds something else; choose another {argument('out')}")
    network = load_generator(run)
    config = published_config(config_of(network))
    recipe_file = RunFolder(Path(run)).recipe
    table = published_recipe(as_written(parse(recipe_file))) if recipe_file.is_file() else None
    recipe = None if table is None else tomli_w.dumps(table)
    text = model_card(
        config,
        repo=repo or f"OWNER/{config.run or out.name}",
        recipe=recipe,
        data=None if table is None else table["data"],
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        license_name=license_name,
    )
    try:
        with replaced_folder(out) as making:
            save_generator(making / GENERATOR_NAME, flat_state(network), config)
            _save_picture(network, run, making / PICTURE)
            write_text(making / "README.md", text)
            if recipe is not None:
                write_text(making / RECIPE, recipe)
    except OSError as error:
        raise GanforgeError(f"{out}: cannot be written: {error.strerror or error}") from error
    written = f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}"
    if not push:
        return written
    assert repo is not None
    return f"{written}\n{upload(out, repo, private=private)}"


def _save_picture(network: nn.Module, run: str | Path, path: Path) -> None:
    """The first samples of seed 0; of a translator, the newest sheet of its run, if it has one."""
    if config_of(network).source is None:
        sampler = Sampler(network)
        picture_of(sampler.many(NUM_SAMPLES), has_alpha=sampler.config.spec.has_alpha).save(path)
    elif sheets := sorted(RunFolder(Path(run)).samples.glob("*.png")):
        copy_file(sheets[-1], path)
