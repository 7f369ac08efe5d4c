"""Walks through machines: what is worth trying (`boundaries`), where to go (`guide`), one step after the other (`walk`)
in a world that keeps what was done (`world`), looked at after each (`watch`, `conformance`), counted (`coverage`), and,
where something went wrong, told again shorter (`shrink`)."""
