"""Settings: defaults, files, overrides and messages for wrong values."""

from pathlib import Path

import pytest

from facepulse.errors import UsageError
from facepulse.training.settings import Settings, read_settings, settings_from


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_default_is_the_recipe_of_the_paper() -> None:
    recipe = Settings()

    assert (recipe.optimiser.lr, recipe.optimiser.weight_decay) == (9e-3, 0.0)
    assert (recipe.optimiser.batch, recipe.optimiser.epochs) == (4, 30)
    assert (recipe.data.frames, recipe.data.size) == (160, 128)
    assert recipe.network.name == "physfsunet"
    assert (recipe.loss.name, recipe.loss.alpha, recipe.loss.lambda_, recipe.loss.theta) == ("hybrid", 1, 1, 1.5)
    assert not any(getattr(recipe.augmentation, name) for name in recipe.augmentation.__struct_fields__)


def test_written_settings_are_read_back_equal(tmp_path: Path) -> None:
    settings = read_settings(
        written(
            tmp_path,
            "network: {config: {width: 8}}\ndata: {caches: [{path: cache/pure, split: 80-20}], frames: 64}\n"
            "loss: {lambda: 2}\noptimiser: {lr: 9e-3}\n",
        )
    )

    assert settings.network.config == {"width": 8}
    assert settings.data.caches[0].split == "80-20"
    assert settings.loss.lambda_ == 2.0
    assert settings.optimiser.lr == 9e-3  # YAML 1.1 parses it as text
    assert read_settings(written(tmp_path, settings.to_yaml())) == settings


def test_overrides_replace_values_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "optimiser: {lr: 1e-3, epochs: 3}")

    settings = read_settings(
        path, ["--optimiser.lr", "2e-3", "--seed=7", "--data.caches", "[{path: a}, {path: b, weight: 0.5}]"]
    )

    assert (settings.optimiser.lr, settings.optimiser.epochs, settings.seed) == (2e-3, 3, 7)
    assert [(cache.path, cache.weight) for cache in settings.data.caches] == [("a", 1.0), ("b", 0.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: {lr: 1}", "optimizer is not a setting: choose from .*optimiser"),
        ("optimiser: {rate: 1}", "optimiser.rate is not a setting: choose from lr, "),
        (
            "data: {caches: [{path: a}, {folder: b}]}",
            r"data.caches\[1\].folder is not a setting: choose from path, ",
        ),
        ("optimiser: {epochs: many}", "optimiser.epochs: "),
        ("optimiser: {epochs: 2.5}", "optimiser.epochs: "),
        ("optimiser: {lr: -1}", "optimiser: lr must be above 0, not -1"),
        ("optimiser: {batch: 0}", "optimiser: batch must be 1 or above, not 0"),
        ("data: {caches: [{split: 80-20}]}", r"data.caches\[0\]: .*path"),
        ("data: {caches: [{path: a, split: half}]}", r"data.caches\[0\]: split 'half' is unknown"),
        ("network: {name: resnet}", "network: name 'resnet' is not a network: choose one of physfsunet"),
        ("network: {config: {wide: 3}}", "network: config does not fit physfsunet: .*wide"),
        ("network: {config: {width: wide}}", "network: config does not fit physfsunet: width must be of type int"),
        ("loss: {name: l1}", "loss.name: "),
        ("validation: {protocol: mine}", "validation: protocol 'mine' is unknown"),
        ("- 1", "expected settings"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_wrong_key_or_value_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_settings(written(tmp_path, text))


@pytest.mark.parametrize("words", [["--seed"], ["seed", "1"], ["--optimiser.lr.x", "1"], ["--seed", "[1"]])
def test_malformed_overrides_are_refused(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(UsageError):
        read_settings(written(tmp_path, "optimiser: {lr: 1e-3}"), words)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.yaml"):
        read_settings(tmp_path / "none.yaml")


def test_settings_can_be_created_from_plain_values() -> None:
    assert settings_from({"seed": 3}, "a test").seed == 3
