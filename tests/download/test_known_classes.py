from __future__ import annotations

from distingo.download.records import CatalogClass, find_classes, folder_names
from distingo.errors import UsageError
from raising import raises

KNOWN = (
    CatalogClass("/m/01226z", ("Football",)),
    CatalogClass("/m/0wdt60w", ("Rugby ball",)),
    CatalogClass("n02012849", ("crane",), "a long-legged bird"),
    CatalogClass("n03126707", ("crane", "lifter"), "lifts and moves heavy objects"),
    CatalogClass("/m/0x1", ("Übung",)),
)


def identifiers(*wanted: str) -> list[str]:
    return [each.identifier for each in find_classes(wanted, KNOWN, "the list")]


def test_names_are_found_without_regard_to_case_and_each_once() -> None:
    assert identifiers("rugby BALL", "Football", "football") == ["/m/0wdt60w", "/m/01226z"]
    assert identifiers("Rugby_ball", "ÜBUNG", "U\u0308bung", " lifter ") == ["/m/0wdt60w", "/m/0x1", "n03126707"]


def test_identifiers_are_found_too() -> None:
    assert identifiers("/m/01226z", "/M/0WDT60W") == ["/m/01226z", "/m/0wdt60w"]


def test_the_nearest_is_offered() -> None:
    with raises(UsageError, code="unknown_name", parameter="classes", naming="'Rugbyball'"):
        identifiers("Rugbyball")
    with raises(UsageError, code="unknown_name", parameter="classes"):
        identifiers("xyzzy")


def test_of_several_classes_of_one_name_the_person_chooses() -> None:
    with raises(UsageError, code="ambiguous_name", parameter="classes"):
        identifiers("Crane")


def test_folders_have_different_and_harmless_names() -> None:
    classes = [CatalogClass("/m/1", ("Car/Truck",)), CatalogClass("/m/2", ("ball",)), CatalogClass("/m/3", ("Ball",))]
    assert folder_names([*classes, CatalogClass("/m/4", ("..",))]) == (
        "Car-Truck",
        "ball (m-2)",
        "Ball (m-3)",
        "unnamed",
    )
