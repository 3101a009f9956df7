"""Pipelines of another age, on toys: what a class lacks, what its call reaches, and what is put back."""

import sys
from types import ModuleType

import pytest

from solidmark.errors import NotApplicable
from solidmark.pipelines import age, modern, old_imports
from solidmark.pipelines.quiet import _silenced, quiet


class Stock:
    """The class of today, with a component more."""

    __module__ = "diffusers.toys"

    def __init__(self, unet, image_encoder=None, watermark=True):
        self.register_modules(unet=unet, image_encoder=image_encoder, watermark=watermark)

    def register_modules(self, **parts):
        vars(self).update(parts)

    def __call__(self):
        return self.encode()

    def encode(self):
        return self._inner()

    def _inner(self):
        return 1

    def unused(self):
        return 2


class Older(Stock):
    """A class of 2023."""

    def __init__(self, unet):
        self.register_modules(unet=unet)


def test_a_modern_class_takes_and_registers_what_the_older_lacks():
    one, other = modern(Older)(3), modern(Older)(unet=4, image_encoder=5, watermark=False)
    assert vars(one) == {"unet": 3, "image_encoder": None, "watermark": True}
    assert vars(other) == {"unet": 4, "image_encoder": 5, "watermark": False}
    assert (modern(Older).__name__, modern(Older).__module__, modern(Older).__doc__) == ("Older", __name__, Older.__doc__)


class Open(Stock):
    """Takes whatever is given."""

    def __init__(self, unet, **more):
        super().__init__(unet, **more)


@pytest.mark.parametrize("cls", [Stock, Open, int])
def test_a_class_that_lacks_nothing_is_given_back(cls):
    assert modern(cls) is cls


def test_the_stock_class_is_the_nearest_of_diffusers():
    assert [age.stock_class(cls) for cls in (Stock, Older, int)] == [Stock, Stock, object]


class Overrides(Stock):
    """Overrides a method that is reached by another, one that is not, and one of its own."""

    def _inner(self):
        return 3

    def unused(self):
        return 4

    def own(self):
        return 5


class Reaches(Overrides):
    """Reaches the other one as well."""

    def _inner(self):
        return super().unused()


def test_overrides_that_no_call_reaches_are_told():
    assert age.unused_overrides(Overrides) == ["unused"]
    assert age.unused_overrides(Reaches) == age.unused_overrides(Stock) == age.unused_overrides(int) == []


class Properties:
    """Methods of other kinds."""

    @property
    def shown(self):
        return self.one

    @classmethod
    def made(cls):
        return super().two

    @staticmethod
    def free(self):
        return self.three(other.four)  # noqa: F821


def test_what_a_method_calls_is_read_from_its_source():
    found = [age._called(vars(Properties)[name]) for name in ("shown", "made", "free")]
    assert found == [{"one"}, {"two"}, {"three"}]
    assert age._called(None) == age._called(3) == age._called(eval("lambda self: self.x")) == set()


def test_a_name_that_moved_is_where_it_was_inside_alone(monkeypatch):
    old, new = ModuleType("toy_old"), ModuleType("toy_new")
    old.kept, new.one, new.two = 1, 2, 3
    monkeypatch.setattr(age, "MOVED", (("toy_old", "kept", "toy_new", "one"), ("toy_old", "name", "toy_new", "two")))
    monkeypatch.setitem(sys.modules, "toy_old", old)
    monkeypatch.setitem(sys.modules, "toy_new", new)
    with old_imports():
        assert (old.kept, old.name) == (1, 3)
    with pytest.raises(ZeroDivisionError), old_imports():
        raise ZeroDivisionError
    assert (old.kept, hasattr(old, "name")) == (1, False)


def test_a_library_that_replaces_itself_while_a_name_is_looked_up_gets_the_name(monkeypatch):
    old, again = ModuleType("toy_old"), ModuleType("toy_old")
    old.__getattr__ = lambda name: sys.modules.__setitem__("toy_old", again) or 4
    monkeypatch.setattr(age, "MOVED", (("toy_old", "name", "toy_old", "today"),))
    monkeypatch.setitem(sys.modules, "toy_old", old)
    with old_imports():
        assert sys.modules["toy_old"].name == 4


class Log:
    """A library's log and progress bars."""

    def __init__(self, bars):
        self.verbosity, self.bars = 30, bars

    def get_verbosity(self):
        return self.verbosity

    def set_verbosity(self, verbosity):
        self.verbosity = verbosity

    def set_verbosity_error(self):
        self.verbosity = 40

    def is_progress_bar_enabled(self):
        return self.bars

    def enable_progress_bar(self):
        self.bars = True

    def disable_progress_bar(self):
        self.bars = False


@pytest.mark.parametrize("bars", [True, False])
def test_a_library_is_silent_inside_and_as_before_afterwards(bars):
    log = Log(bars)
    with _silenced(log):
        assert vars(log) == {"verbosity": 40, "bars": False}
    assert vars(log) == {"verbosity": 30, "bars": bars}
    with pytest.raises(ZeroDivisionError), _silenced(log):
        raise ZeroDivisionError
    assert vars(log) == {"verbosity": 30, "bars": bars}


@pytest.mark.parametrize("name", ["diffusers", "transformers"])
def test_without_the_extra_a_pipeline_says_what_to_install(monkeypatch, name):
    monkeypatch.setitem(sys.modules, f"{name}.utils.logging", None)
    with pytest.raises(NotApplicable, match=rf"no {name}; expected the extra `pipelines`.*solidmark\[pipelines\]"), quiet():
        pass
