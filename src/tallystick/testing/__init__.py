"""What proves machines, stores and providers: a referee with eyes of its own, simulation, faults, a fuzz kit."""
