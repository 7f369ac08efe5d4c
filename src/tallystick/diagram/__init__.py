"""Pictures of a machine, drawn from the declaration that runs: a neutral model, and an emitter for each format."""
