"""An SVG can be read by anybody: well formed, nothing on top of anything, the same every time, in grey and in the dark."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tallystick import diagram
from tallystick.definition import reader
from tallystick.diagram import Overlay, Standing, Traffic
from tallystick.money import Money

PACKAGED = reader.load(reader.packaged_folder())
SVG = "{http://www.w3.org/2000/svg}"


def overlay_of_payments() -> Overlay:
    """Figures as a store would give them; made up."""
    return Overlay(
        states={
            "authorized": Standing(26, {"held": (Money(137255, "BRL"),)}),
            "closed": Standing(456, {"redeemed": (Money(1551438, "BRL"),)}),
        },
        edges={
            ("requested", "authorize", "authorized"): Traffic(482, (Money(3705850, "BRL"),)),
            ("authorized", "settle_all", "closed"): Traffic(456, (Money(1551438, "BRL"),)),
        },
        as_of="2026-03-01 12:00 UTC",
        verified="verified",
    )


def said(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", list(PACKAGED))
def test_an_svg_has_every_state_and_is_the_same_every_time(name: str) -> None:
    svg = diagram.draw(PACKAGED[name])
    assert isinstance(svg, str)

    drawn = {each.get("data-state") for each in ElementTree.fromstring(svg).iter(f"{SVG}g")} - {None}

    assert drawn == set(PACKAGED[name].states)
    assert diagram.draw(reader.load(reader.packaged_folder())[name]) == svg


def test_an_overlay_says_how_many_how_much_and_as_of_when() -> None:
    svg = diagram.draw(PACKAGED["payment"], overlay=overlay_of_payments())
    assert isinstance(svg, str)

    assert {"456", "held 1,372.55 BRL", "482 · 37,058.50 BRL"} <= set(said(svg))
    assert "as of 2026-03-01 12:00 UTC, verified" in said(svg)
