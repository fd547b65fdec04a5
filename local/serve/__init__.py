"""`make serve`: the API with N workers, without AWS and without an emulator."""
