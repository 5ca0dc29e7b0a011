from ganforge.spec import DataSpec
from ganforge.wording import counted


def test_one_is_not_a_plural_and_thousands_have_a_comma() -> None:
    assert [counted(number, "shard") for number in (0, 1, 2, 3000)] == [
        "0 shards",
        "1 shard",
        "2 shards",
        "3,000 shards",
    ]
    assert [counted(number, "process", "processes") for number in (1, 2)] == ["1 process", "2 processes"]


def test_a_spec_is_height_by_width_and_counts_its_classes() -> None:
    assert str(DataSpec((3, 48, 96), ("a",))) == "48x96 RGB, 1 class"
    assert str(DataSpec((1, 28, 28), ("a", "b"))) == "28x28 grey, 2 classes"
