"""What is timed, one file for each kind of row. The functions are named in `rows.yaml`; each gives a Result."""
