"""Receipts and refusals in a notebook: what became of a command, masked and escaped."""

from __future__ import annotations

import pytest

import tallystick
from tallystick import Refused
from tallystick.provider.scripted import ScriptedProvider

NUMBER = "6006491234567890"


def test_a_receipt_shows_what_moved_and_where_it_stands() -> None:
    with tallystick.open("memory:") as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
        shown = books.authorize("p-1", "c-1", "20.00", order="o-1", key="k2")._repr_html_()
        assert "payment p-1: authorize applied" in shown
        assert "card → held 20.00 BRL" in shown
        assert "held 20.00 BRL, before 0.00 BRL" in shown
        assert "authorize applied before" in books.authorize("p-1", "c-1", "20.00", order="o-1", key="k2")._repr_html_()


def test_a_refusal_says_why_and_what_would_be_taken() -> None:
    with tallystick.open("memory:") as books:
        books.recognize(NUMBER, NUMBER, currency="BRL", balance="50.00", key="k1")
        with pytest.raises(Refused) as refused:
            books.authorize("p-1", NUMBER, "70.00", order="<b>", key="k2")
        for shown in (refused.value.receipt._repr_html_(), refused.value.receipt.refusal._repr_html_()):
            assert "refuses" in shown
            assert NUMBER not in shown
            assert "<b>" not in shown
        assert "available is 50.00" in shown or "carries less" in shown
        may = books.may("payment", "p-9", "create", card=NUMBER, order="o", currency="BRL")
        assert may.allowed


def test_no_pin_and_no_number_is_in_it() -> None:
    with tallystick.open("memory:", provider=ScriptedProvider()) as books:
        sale = books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        receipts = [sale.receipt, *sale.receipt.followed]
        shown = "".join(each._repr_html_() for each in receipts)
        assert str(sale.number) not in shown
        assert sale.pin is None or sale.pin not in shown
        assert "issue" in shown
