"""A signature becomes a strict schema, and what does not fit is said in one sentence with a remedy."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ganforge.errors import RegistryError
from ganforge.option_docs import option_docs, type_name
from ganforge.option_problems import unknown_key
from ganforge.options import OptionsModel, options_model, validate
from ganforge.wording import did_you_mean


def component(
    spec: object,
    *,
    rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    width: Annotated[int, Field(ge=1, le=512)] = 64,
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    norm: Literal["batch", "none", "spectral"] = "batch",
    flip: bool = False,
    label: str = "x",
    sizes: list[int] = [1, 2],  # noqa: B006  # what a plugin might write
    grid: tuple[tuple[int, int], ...] = (),
    extra: dict[str, float] = {},  # noqa: B006
    limit: int | None = None,
    either: int | str = 1,
) -> None:
    """A component with one option of each type."""


MODEL = options_model(component, "thing 'x'")


def problem(**table: Any) -> str:
    options, problems = validate(MODEL, table)
    assert options is None
    (only,) = problems
    return str(only)


def accepted(**table: Any) -> OptionsModel:
    options, problems = validate(MODEL, table)
    assert problems == []
    assert options is not None
    return options


def test_defaults_are_filled_in() -> None:
    options = accepted()
    assert {name: getattr(options, name) for name in MODEL.model_fields} == {
        "rate": 2e-4,
        "betas": (0.5, 0.999),
        "width": 64,
        "share": 0.5,
        "norm": "batch",
        "flip": False,
        "label": "x",
        "sizes": [1, 2],
        "grid": (),
        "extra": {},
        "limit": None,
        "either": 1,
    }


def test_a_whole_number_is_taken_for_a_float_and_arrives_as_one() -> None:
    rate = accepted(rate=1).rate  # type: ignore[attr-defined]
    assert (rate, type(rate)) == (1.0, float)


def test_a_toml_list_is_taken_for_a_tuple_also_inside_another() -> None:
    options = accepted(betas=[0, 0.9], grid=[[1, 2], [3, 4]])
    assert options.betas == (0.0, 0.9)  # type: ignore[attr-defined]
    assert options.grid == ((1, 2), (3, 4))  # type: ignore[attr-defined]


def test_options_cannot_be_changed_after_validation() -> None:
    with pytest.raises(ValueError, match="frozen"):
        accepted().width = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"rate": "2e-4"}, 'rate: must be a number, not the string "2e-4"'),
        ({"rate": True}, "rate: must be a number, not true"),
        ({"width": True}, "width: must be a whole number, not true"),
        ({"width": 1.5}, "width: must be a whole number, not 1.5"),
        ({"width": 64.0}, "width: must be a whole number, not 64.0"),
        ({"width": "64"}, 'width: must be a whole number, not the string "64"'),
        ({"flip": 1}, "flip: must be true or false, not 1"),
        ({"flip": "true"}, 'flip: must be true or false, not the string "true"'),
        ({"label": 3}, 'label: must be a string, not 3; write "3", or `overrides=[\'label="3"\']`'),
        ({"either": [1]}, "either: must be a whole number or a string, not the list [1]"),
        ({"limit": "no"}, 'limit: must be a whole number, not the string "no"'),
        ({"sizes": 1}, "sizes: must be a list, not 1"),
        ({"sizes": "1"}, 'sizes: must be a list, not the string "1"; write ["1"]'),
        ({"sizes": {"a": 1}}, 'sizes: must be a list, not a table {"a": 1}'),
        ({"extra": 1}, "extra: must be a table, not 1"),
        ({"extra": {"a": "b"}}, 'extra.a: must be a number, not the string "b"'),
        ({"betas": [0.5]}, "betas.1: is missing; the list is too short"),
        ({"betas": [0.5, "0.9"]}, 'betas.1: must be a number, not the string "0.9"'),
        ({"grid": [[1, 2], [3, 4.5]]}, "grid.1.1: must be a whole number, not 4.5"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_wanted(table: dict[str, Any], message: str) -> None:
    assert problem(**table) == message


def test_a_length_out_of_bounds_is_refused() -> None:
    def function(
        *,
        names: Annotated[list[str], Field(min_length=1)] = ["a"],  # noqa: B006
        word: Annotated[str, Field(max_length=3, pattern="^[a-z]*$")] = "",
    ) -> None: ...

    def message(**table: Any) -> str:
        return str(validate(options_model(function, "thing 'y'"), table)[1][0])

    assert problem(betas=[0.1, 0.2, 0.3]) == "betas: must have at most 2 values, not 3"
    assert message(names=[]) == "names: must have at least 1 values, not 0"
    assert message(word="abcd") == "word: must have at most 3 characters, not 4"
    assert message(word="A") == 'word: must match ^[a-z]*$, which the string "A" does not'


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"width": 0}, "width: must be at least 1, not 0"),
        ({"width": 513}, "width: must be at most 512, not 513"),
        ({"share": 0.0}, "share: must be greater than 0, not 0.0"),
        ({"share": 1}, "share: must be less than 1, not 1"),
    ],
)
def test_a_value_beyond_the_bounds_of_its_annotation_is_refused(table: dict[str, Any], message: str) -> None:
    assert problem(**table) == message


def test_a_wrong_choice_lists_the_right_ones_and_the_nearest() -> None:
    choices = "must be one of 'batch', 'none', 'spectral', not"
    assert problem(norm="bach") == f"norm: {choices} the string \"bach\" (did you mean 'batch'?)"
    assert problem(norm="zzz") == f'norm: {choices} the string "zzz"'
    assert problem(norm=3) == f"norm: {choices} 3"


def test_a_misspelt_key_gets_the_nearest_or_all_that_are_known() -> None:
    assert problem(widht=3) == "widht: unknown key (did you mean 'width'?)"
    known = "betas, either, extra, flip, grid, label, limit, norm, rate, share, sizes, width"
    assert problem(qqqq=3) == f"qqqq: unknown key; known here: {known}"
    assert unknown_key("a", []) == "unknown key; there are no options here"
    assert did_you_mean("dcgn", ["dcgan", "mlp"]) == " (did you mean 'dcgan'?)"
    assert did_you_mean("resnet", ["dcgan", "mlp"]) == ""


def test_every_problem_of_a_table_is_found_at_once() -> None:
    _, problems = validate(MODEL, {"rate": "a", "width": 0, "nrom": 1, "betas": [1, "b"]}, ("generator",))
    assert sorted(map(str, problems)) == [
        'generator.betas.1: must be a number, not the string "b"',
        "generator.nrom: unknown key (did you mean 'norm'?)",
        'generator.rate: must be a number, not the string "a"',
        "generator.width: must be at least 1, not 0",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    assert problem(rate=value) == f"rate: {value} is not a finite number"
    assert problem(betas=[0.5, value]) == f"betas.1: {value} is not a finite number"


def test_a_long_value_is_cut_short_in_a_message() -> None:
    text = problem(width="a" * 1000)
    assert len(text) < 120
    assert text.endswith("...")


def options_of(function: Any) -> type[OptionsModel]:
    return options_model(function, "thing 'x'")


def test_an_option_that_may_be_none_needs_none_as_its_default() -> None:
    def other(*, limit: int | None = 3) -> None: ...
    def none_at_all(*, limit: Annotated[int | None, Field(ge=1)]) -> None: ...

    for function in (other, none_at_all):
        with pytest.raises(RegistryError) as error:
            options_of(function)
        assert str(error.value) == (
            "thing 'x': option 'limit' may be None, so None must be its default; TOML has no null"
        )


def test_a_default_that_does_not_fit_its_annotation_is_refused() -> None:
    def wrong_type(*, width: int = "64") -> None: ...  # type: ignore[assignment]
    def below_bound(*, width: Annotated[int, Field(ge=1)] = 0) -> None: ...
    def list_for_tuple(*, betas: tuple[int, ...] = [1]) -> None: ...  # type: ignore[assignment]
    def infinite(*, limit: float = float("inf")) -> None: ...

    for function, why in (
        (wrong_type, "option 'width' has a default that does not fit, '64': should be a valid integer"),
        (below_bound, "option 'width' has a default that does not fit, 0: should be greater than or equal to 1"),
        (list_for_tuple, "option 'betas' has a default that does not fit, [1]: should be a valid tuple"),
        (infinite, "option 'limit' has a default that does not fit, inf: should be a finite number"),
    ):
        with pytest.raises(RegistryError) as error:
            options_of(function)
        assert str(error.value) == f"thing 'x': {why}"


def test_a_type_that_no_recipe_can_write_is_refused() -> None:
    class Network: ...

    def function(*, network: Network) -> None: ...

    function.__annotations__["network"] = Network
    with pytest.raises(RegistryError, match="option 'network' has a type that no recipe can write: Network"):
        options_of(function)


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    def function(*, width: "Unheard") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(RegistryError, match=r"an annotation cannot be resolved .*Unheard"):
        options_of(function)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (bool, "bool"),
        (Annotated[float, Field(ge=0)], "float >= 0"),
        (Annotated[int, Field(ge=1, le=64)], "int >= 1 and <= 64"),
        (Annotated[list[int], Field(min_length=1)], "list[int] length >= 1"),
        (Literal["batch", "none"], '"batch" | "none"'),
        (int | None, "int"),
        (int | str, "int | str"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[Annotated[float, Field(ge=0, lt=1)], float], "tuple[float >= 0 and < 1, float]"),
        (dict[str, float], "dict[str, float]"),
        (Any, "Any"),
    ],
)
def test_a_type_is_shown_as_a_person_writes_it(annotation: Any, text: str) -> None:
    assert type_name(annotation) == text


def test_an_option_documented_over_several_lines_is_kept_whole() -> None:
    def function(*, width: int = 1, depth: int = 2) -> None:
        """First line.

        Args:
            width: of the
                first layer.
            depth: number of layers.
        """

    assert option_docs(function) == {"width": "of the first layer.", "depth": "number of layers."}
